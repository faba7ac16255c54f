"""Where people stand: from poses relative to the pelvis to bodies on one floor, once per take.

Every shot has a world of its own: gravity and floor are settled in it once, for everybody. Assumptions, all told in
`Placement.assumptions`: the camera stands, or turns and zooms as `Take.camera_motion` says (what one that is carried
about does to the height of standing feet, see app/motion/camera_rise.py, is taken out), and has the given field of view
or intrinsics; people are as tall as said or, unsaid, of the size at which they stand on one floor with others
(app/motion/sizes.py), or of the size the lifter learned (an average adult); the floor is flat. Which way is up, see
app/motion/gravity.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.axes import from_facing
from sasmamba.app.motion.bones import BONE_QUANTILE, stature_of, with_constant_bones
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.camera_motion import CameraMotion
from sasmamba.app.motion.foot_lock import steadied
from sasmamba.app.motion.footing import ANKLES, Body, Footing, floor_below, measure_footing, planted_feet
from sasmamba.app.motion.gravity import KnownCamera
from sasmamba.app.motion.line_vote import LineVote, line_vote
from sasmamba.app.motion.locating import MIN_SCORE, guessed_path, pelvis_path, sightings
from sasmamba.app.motion.shot import Shot, ShotCamera, settle
from sasmamba.app.motion.sizes import OneFloor, find_one_floor
from sasmamba.app.take import Take, Track
from sasmamba.app.types import Pose3D
from sasmamba.common.arrays import FloatArray
from sasmamba.common.errors import UserError
from sasmamba.models.geometry import unit
from sasmamba.models.skeletons import COCO

#: Joints beyond the picture are often found at its edge: within so much of its width and height feet are not believed.
_EDGE = 0.03
#: Up is told by nothing but how cameras are held if it is so uncertain though people were seen for so long.
_GUESSED_DEG, _WATCHED_S = 15.0, 2
_ANKLES, _KNEES, _HIPS = ([COCO[f"LEFT_{joint}"], COCO[f"RIGHT_{joint}"]] for joint in ("ANKLE", "KNEE", "HIP"))
_LEGS = _KNEES + _ANKLES


@dataclass(frozen=True)
class Placement:
    """Poses and places of a whole take.

    Attributes:
        R_world_cam: (3, 3), axes of the camera, as it stood in the first frame, to world axes: x right, y away from
            the camera, z up.
        poses: track id to frame to pose, bones of constant length, joints in the axes that R_world_cam leads from: the
            camera's own where it stands still, those of the first frame where it turns or there are several shots.
        roots: track id to frame to pelvis (3,) in world axes, metres, floor at z = 0.
        fov_deg: the field of view along the picture's longer side that was assumed or follows from the intrinsics.
        assumptions: what was taken for granted, by name; goes into every export.
        before, after: feet before and after they were set right (equal where that was not asked for).
        problems: sentences about people whose place is a guess, heights of people who are not there, and an up that is
            a guess.
        planted: track id to frame to (2,) bool, whether the left and the right foot rest on what is under them.
        floor_m: track id to frame to the height of what they stand on, or stood on last or will stand on next.
        shots: the camera of each shot, in order of time; each shot has a world of its own.
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
    floor_m: dict[int, dict[int, float]] = field(default_factory=dict)
    shots: tuple[ShotCamera, ...] = ()

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
    one_floor: bool = True,
    known: KnownCamera | None = None,
) -> Placement:
    """Places everybody of a take; an empty take gives an empty placement seen by a level camera.

    Args:
        fov_deg: assumed field of view along the picture's longer side.
        intrinsics: the camera, if it is known; then fov_deg is not used.
        height_m: how tall people are, all of them or by track id; the others are as tall as the lifter makes them.
        steady_feet: keep planted feet where they stand and all feet out of the floor, see `foot_lock.steadied`.
        one_floor: people of whom nobody told how tall they are get the size at which they stand on one floor with the
            others, see app/motion/sizes.py; False: everybody is as tall as the lifter makes them.
        known: what is known of the camera's pitch and roll.

    What the user marked by hand, `Take.floor_marks` and `Take.upright_marks`, goes before all that is found or `known`.

    Who cannot be placed (no frame in which the pose looks like what was seen) is put where somebody of that size would
    be, has no say in where the floor is, and is named in `Placement.problems`.

    Raises:
        UserError: a height of nobody on earth (exit code 2).
    """
    camera = intrinsics or Intrinsics.assumed(take.meta, fov_deg)
    fov = fov_deg if intrinsics is None else intrinsics.fov_deg(take.meta)
    heights, problems = _heights(height_m, take)
    motion = take.camera_motion if take.camera_motion and take.camera_motion.kind != "still" else None
    statures: dict[str, dict[str, Any]] = {}
    facing: dict[int, FloatArray] = {}
    for i, track in take.tracks.items():
        if track.poses:
            poses = with_constant_bones(np.stack([track.poses[f].joints for f in sorted(track.poses)]))
            stature = stature_of(poses)
            facing[i] = poses * np.float32(heights.get(i, stature) / stature)
            statures[str(i)] = {"height_m": round(heights.get(i, stature), 3), "given": i in heights}
    spans = take.shots or [range(0)]
    located = [[_located(take, i, span, facing[i], camera, motion) for i in _who(take, facing, span)] for span in spans]
    knowns = [_known_here(take, span, known) for span in spans]
    votes = [line_vote(take.scene_lines.within(span), camera, take.meta, motion) for span in spans]
    times = [take.seconds(span) if motion is not None and motion.carried(span) else None for span in spans]
    grounds: list[OneFloor | None] = [None] * len(spans)
    if one_floor:
        located, grounds = _sized(located, statures, knowns, votes, times)
    shots: list[Shot] = []
    for span, found, known_here, ground, vote, time in zip(spans, located, knowns, grounds, votes, times, strict=True):
        for one in found:
            if not one.sure and "place" not in statures[str(one.track_id)]:
                statures[str(one.track_id)]["place"] = "guessed"
                problems.append(
                    f"Where person {one.track_id} stands is a guess: no frame shows enough of their body, or none fits "
                    "the pose."
                )
        on_floor = [
            (n, one.frames.index(mark.frame), 1 - mark.left)
            for mark in take.floor_marks
            for n, one in enumerate(found)
            if one.track_id == mark.track_id and mark.frame in one.frames
        ]
        sure = [one.sure for one in found]
        shots.append(settle([one.body for one in found], sure, span, known_here, on_floor, ground, vote, time))
    bodies, planted = [b for shot in shots for b in shot.bodies], [p for shot in shots for p in shot.planted]
    before = measure_footing(bodies, planted)
    levels = [level for shot in shots for level in shot.levels]
    floors = [floor_below(*one) for one in zip(bodies, planted, levels, strict=True)]
    if steady_feet:
        bodies = [steadied(*one) for one in zip(bodies, planted, levels, strict=True)]
    out = Placement(
        R_world_cam=shots[0].camera.R_world_cam,
        poses={i: {} for i in facing},
        roots={i: {} for i in facing},
        fov_deg=fov,
        before=before,
        after=measure_footing(bodies, planted),
        planted={i: {} for i in facing},
        floor_m={i: {} for i in facing},
        shots=tuple(shot.camera for shot in shots),
    )
    problems += _guessed(shots, located, take.meta.fps)
    whose = [one for found in located for one in found]
    for one, body, rest, below in zip(whose, bodies, planted, floors, strict=True):
        i = one.track_id
        joints, pelvis = (body.joints @ out.R_world_cam).astype(np.float32), body.pelvis.astype(np.float32)
        for f, pose, at, feet, under in zip(one.frames, joints, pelvis, rest, below.tolist(), strict=True):
            out.poses[i][f] = replace(take.tracks[i].poses[f], joints=pose, space="camera_root_relative_m")
            out.roots[i][f], out.planted[i][f], out.floor_m[i][f] = at, feet, under
    rises = any(shot.rise_m for shot in out.shots)
    assumptions = {
        "camera": {
            "fx_px": camera.fx,
            "fy_px": camera.fy,
            "cx_px": camera.cx,
            "cy_px": camera.cy,
            "fov_deg": fov,
            "given": intrinsics is not None,
            "moves": motion is not None,
        },
        "people": statures,
        "upright": _in_words(known, any(vote is not None for vote in votes))
        + ("; marked by hand in some shots" if take.upright_marks else ""),
        "shots": [shot.told() for shot in out.shots],
        "floor": "one flat floor for each shot; who stands on something else stands on a floor of their own"
        + ("; where the camera is carried, what all standing feet do is its own rise" if rises else "")
        + ("; marked by hand in some shots" if take.floor_marks else ""),
        "bones": "each of one length throughout, left as long as right: "
        f"as long as it seems or shorter in {BONE_QUANTILE:.0%} of the frames",
        "feet": "planted feet held still and above the floor" if steady_feet else "as they came",
    }
    return replace(out, assumptions=assumptions, problems=tuple(problems))


def _guessed(shots: Sequence[Shot], located: Sequence[Sequence[_Located]], fps: Fraction) -> list[str]:
    """A sentence if people were seen for a while and nothing that they do tells which way is up."""
    watched = [
        shot.camera.sd_deg
        for shot, found in zip(shots, located, strict=True)
        if sum(len(one.frames) for one in found) >= _WATCHED_S * fps
    ]
    vague = sum(sd_deg > _GUESSED_DEG for sd_deg in watched)
    if not vague:
        return []
    where = f" in {vague} of {len(watched)} shots" if len(watched) > 1 else ""
    return [
        f"Which way is up is a guess{where}: nobody is seen to stand straight, or the camera looks down steeply; "
        "--pitch says by how many degrees it does."
    ]


def _in_words(known: KnownCamera | None, edges: bool) -> str:
    """Where up is from."""
    angles = {} if known is None else {"pitch": known.pitch_deg, "roll": known.roll_deg}
    given = [f"a {name} of {angle:g}°" for name, angle in angles.items() if angle is not None]
    told = f"the camera has {' and '.join(given)}, as was said"
    seen = "the floor under planted feet, edges of the scene," if edges else "the floor under planted feet,"
    evidence = f"by people who stand straight, {seen} and how cameras are held"
    return (evidence, f"{told}; the rest {evidence}", told)[len(given)]


def _who(take: Take, facing: Mapping[int, FloatArray], span: range) -> list[int]:
    """The track ids of those who have poses in a shot."""
    return [i for i in facing if any(f in span for f in take.tracks[i].poses)]


def _known_here(take: Take, span: range, known: KnownCamera | None) -> KnownCamera | None:
    """What is known of the camera in a shot: the last mark by hand in it, or what is known of all."""
    marked = [KnownCamera(m.pitch_deg, m.roll_deg) for m in take.upright_marks if m.frame in span]
    return marked[-1] if marked else known


@dataclass(frozen=True, slots=True)
class _Located:
    """Somebody in one shot.

    Attributes:
        track_id: who.
        frames: with a pose.
        body: in the axes of the camera as it stood in the first frame of the shot.
        sure: whether its place was seen, or is a guess.
    """

    track_id: int
    frames: list[int]
    body: Body
    sure: bool


def _located(
    take: Take, track_id: int, span: range, facing: FloatArray, camera: Intrinsics, motion: CameraMotion | None
) -> _Located:
    track = take.tracks[track_id]
    every = sorted(track.poses)
    frames = [f for f in every if f in span]
    poses = facing[np.isin(every, frames)]
    time = take.seconds(frames)
    rays, score = sightings(track, frames, camera)
    turned = None
    if motion is not None:
        rays, turned = motion.unzoomed(np.array(frames), rays), motion.R_first_cam[frames]
    path = pelvis_path(rays, score, poses, time, turned)
    pelvis = guessed_path(rays, score, poses) if path is None else path
    joints = from_facing(poses, pelvis)
    legs, hips = (np.asarray(_found(track, frames, points).any(1)) for points in (_LEGS, _HIPS))
    feet = _found(track, frames, _ANKLES, np.array([take.meta.width, take.meta.height]))
    sight = feet[..., None] * unit(np.concatenate([rays[:, ANKLES], np.ones((len(frames), 2, 1))], -1))
    if motion is not None:
        joints, pelvis, sight = (motion.to_first(np.array(frames), of) for of in (joints, pelvis, sight))
    sure = path is not None and bool(hips.any())
    return _Located(track_id, frames, Body(time, joints, pelvis, feet, legs, hips, sight), sure)


def _found(track: Track, frames: list[int], points: list[COCO], within: NDArray | None = None) -> NDArray:
    """(F, points) bool, whether they were found, and within a picture of that size (2,), if given, not at its edge."""
    out = np.zeros((len(frames), len(points)), bool)
    for row, f in enumerate(frames):
        if (person := track.people.get(f)) is not None:
            at = person.joints_px[points]
            out[row] = person.score[points] > MIN_SCORE
            if within is not None:
                out[row] &= ((at > _EDGE * within) & (at < (1 - _EDGE) * within)).all(1)
    return out


def _sized(
    located: list[list[_Located]],
    statures: dict[str, dict[str, Any]],
    knowns: list[KnownCamera | None],
    votes: list[LineVote | None],
    times: list[NDArray | None],
) -> tuple[list[list[_Located]], list[OneFloor | None]]:
    """Everybody at the size that the floor tells, where it does, which is entered into `statures`; and each shot's
    floor.

    Args:
        times: of the frames of each shot whose camera is carried about.
    """
    factors: dict[int, list[float]] = {}
    grounds = list[OneFloor | None]()
    for people, known, vote, time in zip(located, knowns, votes, times, strict=True):
        sure = [one for one in people if one.sure]
        own = [statures[str(one.track_id)] for one in sure]
        ground = find_one_floor(
            [one.body for one in sure],
            [planted_feet(one.body) for one in sure],
            [told["height_m"] for told in own],
            [told["given"] for told in own],
            known,
            vote,
            time,
        )
        grounds.append(ground)
        for one, size, told in zip(sure, [] if ground is None else ground.sizes.tolist(), own, strict=False):
            if size != 1 and not told["given"]:
                factors.setdefault(one.track_id, []).append(size)
    size_of = {i: float(np.mean(some)) for i, some in factors.items()}
    for i, size in size_of.items():
        told = statures[str(i)]
        told["height_m"], told["by_floor"] = round(told["height_m"] * size, 3), True
    sized = [
        [replace(one, body=one.body.sized(size_of[i])) if (i := one.track_id) in size_of else one for one in people]
        for people in located
    ]
    return sized, grounds


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
