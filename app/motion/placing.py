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
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.footing import (
    ANKLE_HEIGHT_M,
    Body,
    Footing,
    floor_under,
    measure_footing,
    planted_feet,
    steadied,
)
from sasmamba.app.motion.smoothing import zero_phase
from sasmamba.app.take import Take, Track
from sasmamba.app.types import Pose3D
from sasmamba.common.arrays import FloatArray
from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import H36M, H36M_MIRROR, H36M_PARENTS, coco17_to_h36m17

#: Gaussian smoothing of the path: across the picture, and in depth, which 2D shows far less well.
_ACROSS_S, _DEPTH_S = 0.06, 0.5
_MAX_TILT_DEG = 45.0
#: Where somebody is put of whom so little was seen that not even their size tells.
UNKNOWN_DEPTH_M = 5.0
#: A frame tells how far somebody is where their pose and its picture are at least so alike (cosine, from the pelvis).
#: A pose that is right comes to 0.9 and more; one that is turned about, or of nobody, to nothing or below.
_LEAST_LIKENESS = 0.3
#: 2D joints below this score have no say in where somebody is.
MIN_SCORE = 0.3
#: A joint that is so far from where the pose puts it counts half: the lifter's own error is of this size.
_USUAL_ERROR_M = 0.05
#: A lifter that is unsure where a bone points makes it shorter, never longer: the length is more than the median.
_BONE_QUANTILE = 0.6


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
    """

    R_world_cam: FloatArray
    poses: dict[int, dict[int, Pose3D]]
    roots: dict[int, dict[int, FloatArray]]
    fov_deg: float
    assumptions: dict[str, Any] = field(default_factory=dict)
    before: Footing = field(default_factory=Footing)
    after: Footing = field(default_factory=Footing)
    problems: tuple[str, ...] = ()

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
            stature = _stature(facing)
            facing *= np.float32(heights.get(i, stature) / stature)
            time = np.array([float(take.times_s[f]) for f in frames[i]])
            rays, score = _sightings(track, frames[i], camera)
            path = _path(rays, score, facing, time)
            told.append(path is not None)
            pelvis = _guess(rays, score, facing) if path is None else path
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
        "bones": f"constant per person, the {_BONE_QUANTILE:.0%} quantile over the take, both sides alike",
        "feet": "planted feet held still and above the floor" if steady_feet else "as they came",
    }
    return Placement(R, poses, roots, fov, assumptions, before, after, tuple(problems))


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


def bone_lengths(joints: NDArray) -> NDArray:
    """Bones' lengths (..., 17) of poses (..., 17, 3), each at the joint it leads to."""
    return np.linalg.norm(joints - joints[..., list(H36M_PARENTS), :], axis=-1)


def with_lengths(joints: NDArray, wanted: NDArray) -> NDArray:
    """Poses (..., 17, 3) rebuilt along the same directions with bones of wanted lengths (17,)."""
    bones = joints - joints[..., list(H36M_PARENTS), :]
    bones = bones * (wanted / np.maximum(bone_lengths(joints), 1e-6))[..., None]
    out = np.zeros_like(joints)
    for joint in range(1, 17):  # parents come before their children in this order
        out[..., joint, :] = out[..., H36M_PARENTS[joint], :] + bones[..., joint, :]
    return out


def with_constant_bones(joints: FloatArray) -> FloatArray:
    """Poses (F, 17, 3) rebuilt along the same directions with bones of one length each.

    A length is a quantile over the frames, the mean of both sides. benchmarks/smoothing.py says what that does to poses
    of a subject the lifter never saw; the quantile was chosen with that subject in view, so it says a little too much.
    """
    lengths = np.quantile(bone_lengths(joints), _BONE_QUANTILE, axis=0)
    return with_lengths(joints, (0.5 * (lengths + lengths[list(H36M_MIRROR)])).astype(np.float32))


def _stature(joints: FloatArray) -> float:
    """Metres from sole to head top of somebody of these poses (F, 17, 3) who stands straight."""

    def length(a: H36M, b: H36M) -> float:
        return float(np.median(np.linalg.norm(joints[:, a] - joints[:, b], axis=-1)))

    legs = length(H36M.LEFT_HIP, H36M.LEFT_KNEE) + length(H36M.LEFT_KNEE, H36M.LEFT_ANKLE)
    trunk = length(H36M.PELVIS, H36M.SPINE) + length(H36M.SPINE, H36M.THORAX)
    return ANKLE_HEIGHT_M + legs + trunk + length(H36M.THORAX, H36M.HEAD_TOP)


def _sightings(track: Track, frames: Sequence[int], camera: Intrinsics) -> tuple[NDArray, NDArray]:
    """H36M joints as rays (F, 17, 2), x and y at depth 1, and scores (F, 17), 0 where nobody was seen."""
    rays, score = np.zeros((len(frames), 17, 2)), np.zeros((len(frames), 17))
    for i, f in enumerate(frames):
        if (person := track.people.get(f)) is not None:
            points, score[i] = coco17_to_h36m17(person.joints_px, person.score)
            rays[i] = camera.rays(points)
    return rays, score


def _path(rays: NDArray, score: NDArray, facing: FloatArray, time: NDArray) -> NDArray | None:
    """The pelvis in camera axes (F, 3), metres: where the whole pose, seen from there, falls on its 2D joints best.

    First each frame by itself (`_fit`), then smoothed over time, each frame by what it is worth, depth far more than
    the place across the picture; at last across the picture once more, at the smooth depth. None where no frame tells.
    """
    found = score > MIN_SCORE
    flat, body = np.where(found[..., None], rays - rays[:, :1], 0), np.where(found[..., None], facing[..., :2], 0)
    both, of_body = (flat * body).sum((1, 2)), (body * body).sum((1, 2))
    # metres to rays, the least-squares factor between the pose and its picture: exact for a far camera
    factor = both / np.maximum(of_body, 1e-6)
    seen = found[:, H36M.PELVIS] & (found.sum(1) >= 4)
    seen &= (factor > 0) & (both > _LEAST_LIKENESS * np.sqrt((flat * flat).sum((1, 2)) * of_body))
    if not seen.any():
        return None
    at = np.stack([rays[:, 0, 0], rays[:, 0, 1], -np.log(np.where(seen, factor, 1))], 1)
    trust = seen.astype(float)
    at = _calm(time, at, np.stack([trust, trust], 1))
    weight = np.where(found & seen[:, None], score, 0)
    for _ in range(2):  # where the pelvis is turns the pose a little, and the pose tells where the pelvis is
        turned = from_facing(facing, _point(at))
        own, information = _fit(at, turned, rays, weight)
        at = _calm(time, own, information)
    own, information = _fit(at, turned, rays, weight, free=2)
    at[:, :2] = _calm(time, own, information)[:, :2]
    return _point(at)


def _guess(rays: NDArray, score: NDArray, facing: FloatArray) -> NDArray:
    """The pelvis in camera axes (F, 3), metres, of somebody whose pose fits no frame: on its own ray, or in the middle
    of the picture, and as far away all the time as somebody of the pose's size looks as large as what was seen."""
    found = (score > MIN_SCORE)[..., None]
    count = np.maximum(found.sum(1, keepdims=True), 1)

    def size(points: NDArray) -> NDArray:  # (F,) of the joints found, from their middle
        middle = np.where(found, points, 0).sum(1, keepdims=True) / count
        return np.sqrt((np.where(found, points - middle, 0) ** 2).sum((1, 2)))

    looks, is_so = size(rays), size(facing[..., :2])
    tells = (found.sum((1, 2)) >= 4) & (looks > 0) & (is_so > 0)
    depth = np.median(is_so[tells] / looks[tells]) if tells.any() else UNKNOWN_DEPTH_M
    return np.concatenate([_across_of_pelvis(rays, score), np.ones((len(rays), 1))], 1) * depth


def _across_of_pelvis(rays: NDArray, score: NDArray) -> NDArray:
    """(F, 2) the pelvis's own ray, interpolated where it was not found; 0 where it never was."""
    seen, frame = np.flatnonzero(score[:, H36M.PELVIS] > 0), np.arange(len(rays))
    if not len(seen):
        return np.zeros((len(rays), 2))
    return np.stack([np.interp(frame, seen, rays[seen, H36M.PELVIS, k]) for k in range(2)], 1)


def _point(at: NDArray) -> NDArray:
    """(F, 3) camera axes of x and y at depth 1 and the logarithm of the depth."""
    return np.concatenate([at[:, :2], np.ones((len(at), 1))], 1) * np.exp(at[:, 2:])


def _calm(time: NDArray, at: NDArray, trust: NDArray) -> NDArray:
    """`at` (F, 3) smoothed over time, across and in depth; what is not to be trusted (F, 2) is bridged straight."""
    out = np.empty_like(at)
    for k, (sigma, of) in enumerate(((_ACROSS_S, 0), (_ACROSS_S, 0), (_DEPTH_S, 1))):
        weight = trust[:, of] / trust[:, of].max()
        known = weight > 1e-3
        filled = np.interp(time, time[known], at[known, k])
        out[:, k] = zero_phase(time, filled, sigma, degree=1, weights=np.maximum(weight, 1e-3))
    return out


def _fit(at: NDArray, joints: NDArray, rays: NDArray, weight: NDArray, free: int = 3) -> tuple[NDArray, NDArray]:
    """Moves every frame's pelvis so that the pose falls on its 2D joints: Gauss-Newton on a Cauchy loss.

    A joint at J from a pelvis at P = (u, v, 1)·exp(l) is seen at (J + P)xy / (J + P)z.

    Args:
        at: (F, 3) u, v, l to begin with. joints: (F, 17, 3) camera axes. rays: (F, 17, 2). weight: (F, 17), 0 for
        joints not found. free: 3, or 2 to keep l.

    Returns:
        at (F, 3), and how well each frame tells it, across and in depth (F, 2), in 1/variance.
    """
    at = at.copy()
    information = np.zeros((len(at), 2))
    for _ in range(5):
        pelvis = _point(at)
        P = joints + pelvis[:, None]
        depth = np.maximum(P[..., 2], 0.1)
        error = rays - P[..., :2] / depth[..., None]  # (F, 17, 2)
        # in metres at the person, so that near and far count alike
        metres = np.linalg.norm(error, axis=-1) * pelvis[:, 2:]
        w = weight / (1 + (metres / _USUAL_ERROR_M) ** 2) * (pelvis[:, 2:] / _USUAL_ERROR_M) ** 2
        J = np.zeros((*P.shape[:2], 2, 3))
        J[..., 0, 0] = J[..., 1, 1] = pelvis[:, None, 2] / depth
        J[..., 2] = (pelvis[:, None, :2] - P[..., :2] * (pelvis[:, 2:, None] / depth[..., None])) / depth[..., None]
        J = J[..., :free]
        H = np.einsum("fj,fjri,fjrk->fik", w, J, J)
        H += np.eye(free) * (1e-9 + 1e-6 * np.trace(H, axis1=1, axis2=2))[:, None, None]
        step = np.linalg.solve(H, np.einsum("fj,fjri,fjr->fi", w, J, error)[..., None])[..., 0]
        at[:, :free] += step.clip(-0.5, 0.5)
        variance = np.diagonal(np.linalg.inv(H), axis1=1, axis2=2)
        information[:, 0] = 1 / variance[:, :2].sum(1)
        information[:, 1] = 1 / variance[:, free - 1]
    return at, information


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
