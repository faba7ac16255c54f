"""Where people stand: from poses relative to the pelvis to bodies on one floor, once per take.

Assumptions, all told in `Placement.assumptions`: the camera stands still enough and has the given field of view or
intrinsics; people are as tall as said or, unsaid, of the size the lifter learned (an average adult); the floor is flat.
Upright is where people's bodies point on average while their legs are straight, unless that disagrees with the camera
by more than 45°, and then where the floor under their planted feet points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.axes import from_facing, level
from sasmamba.app.motion.bones import BONE_QUANTILE, stature_of, with_constant_bones
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.footing import (
    Body,
    Footing,
    floor_under,
    measure_footing,
    planted_feet,
    steadied,
)
from sasmamba.app.motion.locating import guessed_path, pelvis_path, sightings
from sasmamba.app.take import Take
from sasmamba.app.types import Pose3D
from sasmamba.common.arrays import FloatArray
from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import H36M

_MAX_TILT_DEG = 45.0


@dataclass(frozen=True)
class Placement:
    """Poses and places of a whole take.

    Attributes:
        R_world_cam: (3, 3), camera axes to world axes: x right, y away from the camera, z up.
        poses: track id to frame to pose, joints turned into the camera's own axes, bones of constant length.
        roots: track id to frame to pelvis (3,) in world axes, metres, floor at z = 0.
        fov_deg: the field of view along the picture's longer side that was assumed or follows from the intrinsics.
        assumptions: what was taken for granted, by name; goes into every export.
        before, after: feet before and after they were set right (equal where that was not asked for).
        problems: sentences about people whose place is a guess, and about heights of people who are not there.
        planted: track id to frame to (2,) bool, whether the left and the right foot rest on what is under them.
    """

    R_world_cam: FloatArray
    poses: dict[int, dict[int, Pose3D]]
    roots: dict[int, dict[int, FloatArray]]
    fov_deg: float
    assumptions: dict[str, Any] = field(default_factory=dict)
    before: Footing = field(default_factory=Footing)
    after: Footing = field(default_factory=Footing)
    problems: tuple[str, ...] = ()
    planted: dict[int, dict[int, NDArray[np.bool_]]] = field(default_factory=dict)

    def at(self, frame: int) -> tuple[tuple[Pose3D, ...], dict[int, FloatArray]]:
        """Poses of a frame and where their pelves are."""
        here = {i: poses[frame] for i, poses in self.poses.items() if frame in poses}
        return tuple(here.values()), {i: self.roots[i][frame] for i in here}

    def world(self, track_id: int) -> tuple[list[int], FloatArray]:
        """One person's frames and joints (F, 17, 3) in world axes, metres."""
        frames = sorted(self.poses[track_id])
        joints = np.stack([self.poses[track_id][f].joints for f in frames]) @ self.R_world_cam.T
        return frames, joints + np.stack([self.roots[track_id][f] for f in frames])[:, None]


def place(
    take: Take,
    fov_deg: float,
    *,
    intrinsics: Intrinsics | None = None,
    height_m: float | Mapping[int, float] | None = None,
    steady_feet: bool = True,
) -> Placement:
    """Places everybody of a take; an empty take gives an empty placement seen by a level camera.

    Args:
        fov_deg: assumed field of view along the picture's longer side. intrinsics: the camera, if it is known; then
            fov_deg is not used.
        height_m: how tall people are, all of them or by track id; the others are as tall as the lifter makes them.
        steady_feet: keep planted feet where they stand and all feet out of the floor, see `footing.steadied`.

    Who cannot be placed (no frame in which the pose looks like what was seen) is put where somebody of that size would
    be, has no say in where the floor is, and is named in `Placement.problems`.

    Raises:
        UserError: a height of nobody on earth (exit code 2).
    """
    meta = take.meta
    camera = intrinsics or Intrinsics.assumed(meta, fov_deg)
    fov = fov_deg if intrinsics is None else intrinsics.fov_deg(meta)
    heights, problems = _heights(height_m, take)
    frames: dict[int, list[int]] = {}
    bodies: list[Body] = []
    statures: dict[str, dict[str, Any]] = {}
    told: list[bool] = []  # of every body, whether its place was seen and not guessed
    for i, track in take.tracks.items():
        if track.poses:
            frames[i] = sorted(track.poses)
            facing = with_constant_bones(np.stack([track.poses[f].joints for f in frames[i]]))
            stature = stature_of(facing)
            facing *= np.float32(heights.get(i, stature) / stature)
            time = np.array([float(take.times_s[f]) for f in frames[i]])
            rays, score = sightings(track, frames[i], camera)
            path = pelvis_path(rays, score, facing, time)
            told.append(path is not None)
            pelvis = guessed_path(rays, score, facing) if path is None else path
            bodies.append(Body(time, from_facing(facing, pelvis), pelvis))
            statures[str(i)] = {"height_m": round(heights.get(i, stature), 3), "given": i in heights}
            if path is None:
                statures[str(i)]["place"] = "guessed"
                problems.append(
                    f"Where person {i} stands is a guess: no frame shows enough of their body, or none fits the pose."
                )
    planted = [planted_feet(body) for body in bodies]
    # where everybody's place is a guess, guesses are all that there is
    heard = [n for n, sure in enumerate(told) if sure] or list(range(len(bodies)))
    R = level(_up([bodies[n].joints for n in heard]))
    if bodies:
        flat = [bodies[n].turned(R, np.zeros(3)) for n in heard]
        point, normal = floor_under(flat, [planted[n] for n in heard])
        point, R = R.T @ point, level(R.T @ normal)
        bodies = [body.turned(R, np.array([0, 0, -(R @ point)[2]])) for body in bodies]
    before = measure_footing(bodies, planted)
    if steady_feet:
        bodies = [steadied(body, rest) for body, rest in zip(bodies, planted, strict=True)]
    after = measure_footing(bodies, planted)
    poses: dict[int, dict[int, Pose3D]] = {}
    roots: dict[int, dict[int, FloatArray]] = {}
    for i, body in zip(frames, bodies, strict=True):
        joints = (body.joints @ R).astype(np.float32)
        poses[i] = {
            f: replace(take.tracks[i].poses[f], joints=pose, space="camera_root_relative_m")
            for f, pose in zip(frames[i], joints, strict=True)
        }
        roots[i] = dict(zip(frames[i], body.pelvis.astype(np.float32), strict=True))
    assumptions = {
        "camera": {
            "fx_px": camera.fx,
            "fy_px": camera.fy,
            "cx_px": camera.cx,
            "cy_px": camera.cy,
            "fov_deg": fov,
            "given": intrinsics is not None,
            "moves": False,
        },
        "people": statures,
        "upright": "where bodies point on average while their legs are straight, and the floor under planted feet",
        "floor": "one flat floor for the whole take",
        "bones": f"constant per person, the {BONE_QUANTILE:.0%} quantile over the take, both sides alike",
        "feet": "planted feet held still and above the floor" if steady_feet else "as they came",
    }
    contact = {i: dict(zip(frames[i], rest, strict=True)) for i, rest in zip(frames, planted, strict=True)}
    return Placement(R, poses, roots, fov, assumptions, before, after, tuple(problems), contact)


def check_heights(height_m: float | Mapping[int, float] | None) -> None:
    """Raises UserError (exit code 2) for heights of nobody on earth."""
    for height in height_m.values() if isinstance(height_m, Mapping) else [] if height_m is None else [height_m]:
        if not 0.4 <= height <= 2.6:
            raise UserError(f"A person's height must lie between 0.4 and 2.6 metres, not {height:g}.", exit_code=2)


def _heights(height_m: float | Mapping[int, float] | None, take: Take) -> tuple[dict[int, float], list[str]]:
    """Stature by track id, of those of whom it is known, and a sentence for each who is not there."""
    check_heights(height_m)
    if not isinstance(height_m, Mapping):
        return ({} if height_m is None else dict.fromkeys(take.tracks, float(height_m))), []
    there = ", ".join(map(str, sorted(take.tracks))) or "nobody"
    strangers = sorted(height_m.keys() - take.tracks.keys())
    problems = [f"A height is given for person {i}, who is not there; found: {there}." for i in strangers]
    return {i: height for i, height in height_m.items() if i in take.tracks}, problems


def _up(poses: Sequence[NDArray]) -> FloatArray:
    """Up in camera axes: where straight-legged bodies point on average; straight up in the picture without any."""
    picture_up = np.array([0, -1, 0], np.float32)
    if not poses:
        return picture_up
    p = np.concatenate(poses)

    def unit(v: NDArray) -> NDArray:
        return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-6)

    straight = np.ones(len(p), bool)
    for hip, knee, ankle in (
        (H36M.LEFT_HIP, H36M.LEFT_KNEE, H36M.LEFT_ANKLE),
        (H36M.RIGHT_HIP, H36M.RIGHT_KNEE, H36M.RIGHT_ANKLE),
    ):
        straight &= (unit(p[:, knee] - p[:, hip]) * unit(p[:, ankle] - p[:, knee])).sum(-1) > 0.85
    axis = unit(p[:, H36M.THORAX] - 0.5 * (p[:, H36M.LEFT_ANKLE] + p[:, H36M.RIGHT_ANKLE]))
    plausible = straight & (axis @ picture_up > math.cos(math.radians(_MAX_TILT_DEG)))
    if plausible.sum() < 5:
        return picture_up
    return unit(np.median(axis[plausible], 0)).astype(np.float32)
