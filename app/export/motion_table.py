"""Motion for other programs: who is exported, on which frames, in which axes; and the one door to every format.

World axes are those of `Placement`: metres, x right, y away from the camera, z up, floor at z = 0. Programs in which y
is up get (x, z, -y): x right, y up, z towards the camera.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.angle_bands import angle_bands
from sasmamba.app.motion.body import left_out
from sasmamba.app.motion.camera_decision import in_words
from sasmamba.app.motion.certainty import (
    NAMES,
    NEAR_S,
    VAGUE_M,
    Certainty,
    foot_states,
    joint_states,
    point_half_widths,
)
from sasmamba.app.motion.checks import CheckFinding
from sasmamba.app.motion.feet import find_feet
from sasmamba.app.motion.looking import lines_of_sight
from sasmamba.app.motion.measure import Measure
from sasmamba.app.motion.measures import measures
from sasmamba.app.motion.performance import Performance, View
from sasmamba.app.motion.placing import Placement
from sasmamba.app.take import Take
from sasmamba.common.arrays import FloatArray
from sasmamba.models.angles import ANGLES, joint_angles
from sasmamba.models.skeletons import FOOT, H36M, coco17_to_h36m17

#: Joint names as files have them: left_knee. Heels and toes (balls of the feet) come after the joints.
JOINTS = tuple(joint.name.lower() for joint in H36M)
FEET = tuple(point.name.lower() for point in FOOT)
AXES = "x right, y away from the camera, z up, floor at z = 0"
#: World axes to axes in which y is up.
R_YUP_WORLD = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float64)
#: A frame so far from where a constant rate would have it, as a share of a frame, makes a rate variable.
_UNEVEN = 0.1
#: A recording that paused for longer, in seconds, is not held still in a file for all that time.
_HOLE_S = 60.0


@dataclass(frozen=True)
class PersonMotion:
    """One person's motion.

    Attributes:
        times_s: (F,) seconds of the video.
        frame: (F,) int, of the video.
        joints: (F, 17, 3) world axes, metres; NaN where there is no pose.
        score: (F, 17) of the 2D joints, 0 where nobody was seen.
        observed: (F,) bool.
        half_width_m: (F, 17, 2) as in `Pose3D`, NaN where there is no pose or it is not known.
        feet: (F, 4, 3) in the order of `FOOT`, as `joints`.
        feet_seen: (F, 2) bool, left and right, see `feet.Feet`.
        planted: (F, 2) bool, left and right; never of legs that are left out.
        states: (F, 21) uint8 `Certainty` of joints, heels and toes; unknown where there is no pose.
        sight: (F, 3) unit vectors of the line of sight to the person, world axes.
        up_sd_deg: (F,) how unsure it is which way is up, see `ShotCamera.sd_deg`; 0 of a placement without shots.
        wide: as in `Take`.
        upper: legs are left out, see `body`.
    """

    track_id: int
    frame: NDArray
    times_s: NDArray
    joints: FloatArray
    score: FloatArray
    observed: NDArray
    half_width_m: FloatArray
    feet: FloatArray
    feet_seen: NDArray
    planted: NDArray
    states: NDArray
    sight: NDArray
    up_sd_deg: NDArray
    wide: tuple[float, float]
    upper: bool = False

    @property
    def posed(self) -> NDArray:
        """(F,) bool: whether there is a pose."""
        return np.asarray(np.isfinite(self.joints).all((1, 2)))

    @property
    def points(self) -> FloatArray:
        """(F, 21, 3) joints, then heels and toes, by the names of `JOINTS` and `FEET`; the unknown ones too."""
        return np.concatenate([self.joints, self.feet], 1)

    @property
    def point_half_widths_m(self) -> FloatArray:
        """(F, 21, 2) of `points`, as `half_width_m` has those of joints, see `point_half_widths`."""
        return point_half_widths(self.joints, self.half_width_m)

    def told(self, keep_inferred: bool = False) -> FloatArray:
        """`points` as files have them: NaN where they are unknown, unless they are to be kept, and of legs left out."""
        return np.where(self.drawable(keep_inferred)[..., None], self.points, np.float32(np.nan))

    def drawable(self, keep_inferred: bool = False) -> NDArray:
        """(F, 21) bool: which points say how the bones of a rig turn."""
        return np.asarray((keep_inferred | (self.states != Certainty.UNKNOWN)) & ~left_out(self.upper))

    def angles(self, keep_inferred: bool = False) -> dict[str, NDArray[np.float64]]:
        """Every joint angle, see `joint_angles`, of the points `told`."""
        points = self.told(keep_inferred)
        return joint_angles(points[:, : len(JOINTS)], points[:, len(JOINTS) :], self.feet_seen)

    @cached_property
    def angle_bands(self) -> dict[str, NDArray[np.float64]]:
        """Half-widths (F,) of every angle's 95 % interval, degrees; NaN where not known, see `angle_bands`."""
        if not np.isfinite(self.half_width_m).any():
            return self._no_bands()
        joints = self.told()[:, : len(JOINTS)]
        return angle_bands(joints, self.half_width_m * np.array(self.wide), self.sight, self.up_sd_deg)

    def _no_bands(self) -> dict[str, NDArray[np.float64]]:
        return {series: np.full(len(self.frame), np.nan) for angle in ANGLES for series in angle.series}

    def measures(self, view: View) -> list[Measure]:
        """What people measure of it, see `measures`, and `performance`."""
        return measures(self.performance(view))

    def performance(self, view: View, *, banded: bool = True) -> Performance:
        """What measures are taken of, as far as points are `told`.

        Args:
            view: what the video leaves open, see `performance.view_of`.
            banded: find bands of angles, too, which takes longest by far; otherwise they are not known.
        """
        return Performance(
            self.track_id,
            self.times_s,
            self.told()[:, : len(JOINTS)].astype(np.float64),
            self.planted,
            self.angles(),
            self.angle_bands if banded else self._no_bands(),
            self.sight,
            view,
        )


def motions(take: Take, placement: Placement) -> list[PersonMotion]:
    """Everybody's motion, each from the first frame with a pose to the last."""
    out = []
    for i, feet in find_feet(take, placement).items():
        frames, joints = placement.world(i)
        frame = np.arange(frames[0], frames[-1] + 1)
        at = np.array(frames) - frames[0]
        motion = PersonMotion(
            i,
            frame,
            take.seconds(frame),
            np.full((len(frame), 17, 3), np.nan, np.float32),
            np.zeros((len(frame), 17), np.float32),
            np.zeros(len(frame), bool),
            np.full((len(frame), 17, 2), np.nan, np.float32),
            np.full((len(frame), len(FEET), 3), np.nan, np.float32),
            np.zeros((len(frame), 2), bool),
            np.zeros((len(frame), 2), bool),
            np.zeros((len(frame), len(JOINTS) + len(FEET)), np.uint8),
            np.full((len(frame), 3), np.nan),
            np.zeros(len(frame)),
            take.wide,
            i in take.upper,
        )
        motion.joints[at], motion.feet[at] = joints, feet.points
        motion.feet_seen[at], motion.planted[at] = feet.seen, feet.planted & (not motion.upper)
        of_frame = dict(zip(*joint_states(take, take.tracks[i]), strict=True))
        states = np.stack([of_frame[f] for f in frames])
        motion.states[at] = np.concatenate([states, foot_states(states, feet.seen)], 1)
        for shot in placement.shots:
            motion.up_sd_deg[np.isin(frame, np.array(shot.frames))] = shot.sd_deg
        motion.sight[at] = lines_of_sight(placement, frames, joints[:, H36M.PELVIS])
        for f, pose in take.tracks[i].poses.items():
            if pose.half_width_m is not None and frames[0] <= f <= frames[-1]:
                motion.half_width_m[f - frames[0]] = pose.half_width_m
        for f, person in take.tracks[i].people.items():
            if frames[0] <= f <= frames[-1]:
                motion.score[f - frames[0]] = coco17_to_h36m17(person.joints_px, person.score)[1]
                motion.observed[f - frames[0]] = True
        out.append(motion)
    return out


@dataclass(frozen=True, slots=True)
class Outcome:
    """What views tell of a run beside its motion.

    Attributes:
        title: the video's name.
        render: where it is, or None.
        written: frames in it.
        pose2d: the 2D stage's name.
        fps: frames per second of the chain.
        stage_ms: milliseconds per frame of every stage.
        problems: sentences about losses.
        findings: what the self-checks found.
        keep_inferred: show joints, too, whose place is unknown, where a view can.
    """

    title: str
    render: Path | None = None
    written: int = 0
    pose2d: str = ""
    fps: float = 0.0
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    problems: Sequence[str] = ()
    findings: Sequence[CheckFinding] = ()
    keep_inferred: bool = False


def rounded_rows(rows: NDArray) -> list[list[float] | None]:
    """Rows (N, K) in metres as JSON has them: to a tenth of a millimetre, None for one that is not known."""
    return [row if np.isfinite(row).all() else None for row in np.round(rows.astype(float), 4).tolist()]


def is_even(times_s: NDArray, fps: Fraction) -> bool:
    """Whether frames at these times (F,) come at a constant rate."""
    expected = times_s[0] + np.arange(len(times_s)) / float(fps)
    return bool(np.abs(times_s - expected).max() * float(fps) <= _UNEVEN)


def at_fixed_rate(motion: PersonMotion, fps: Fraction) -> PersonMotion:
    """The motion at a constant rate from its first frame on, for formats that know no other.

    A constant-rate video keeps its frames; others are resampled on straight lines between frames, and a frame beside a
    gap belongs to the gap.
    """
    if is_even(motion.times_s, fps):
        return motion
    return _resampled(motion, _even_times(motion.times_s, fps))


def held_throughout(motion: PersonMotion, times_s: NDArray, fps: Fraction) -> PersonMotion:
    """The motion over all of a clip's time, at a constant rate and without gaps: before the person is there the first
    pose is held, after they have gone the last, and gaps are bridged on straight lines. A hole of more than a minute in
    the clip's clock is not filled: the part before or after it is kept in which the person is.

    Args:
        times_s: (F,) of the clip's frames.
        fps: their average rate.
    """
    known = motion.posed
    times_s = _between_holes(times_s, motion.times_s)
    times = times_s if is_even(times_s, fps) else _even_times(times_s, fps)
    joints, feet = (_between(times, motion.times_s[known], x[known]) for x in (motion.joints, motion.feet))
    held = _resampled(motion, times)
    return replace(held, joints=joints, feet=feet)


def _between_holes(times_s: NDArray, there_s: NDArray) -> NDArray:
    """Of a clip's times (F,) those between the holes before and after somebody who is there at times (G,)."""
    after = np.flatnonzero(np.diff(times_s) > _HOLE_S) + 1
    begin = max((i for i in after if times_s[i] <= there_s[0]), default=0)
    end = min((i for i in after if times_s[i] > there_s[-1]), default=len(times_s))
    return times_s[begin:end]


def _even_times(times_s: NDArray, fps: Fraction) -> NDArray:
    count = int((times_s[-1] - times_s[0]) * float(fps) + _UNEVEN) + 1
    return np.asarray(times_s[0] + np.arange(count) / float(fps))


def _resampled(motion: PersonMotion, times: NDArray) -> PersonMotion:
    """The motion at other times (G,), on straight lines; beyond its ends it stays as it is there."""
    nearest = nearest_known(motion.times_s, times)
    return replace(
        motion,
        frame=motion.frame[nearest],
        times_s=times,
        joints=_between(times, motion.times_s, motion.joints),
        score=motion.score[nearest],
        observed=motion.observed[nearest],
        half_width_m=motion.half_width_m[nearest],
        feet=_between(times, motion.times_s, motion.feet),
        feet_seen=motion.feet_seen[nearest],
        planted=motion.planted[nearest],
        states=motion.states[nearest],
        sight=motion.sight[nearest],
        up_sd_deg=motion.up_sd_deg[nearest],
    )


def _between(times: NDArray, known_s: NDArray, joints: NDArray) -> FloatArray:
    """Joints (F, 17, 3) known at known_s (F,) on straight lines at times (G,)."""
    if len(known_s) == 1:
        return np.repeat(joints, len(times), 0).astype(np.float32)
    after = np.searchsorted(known_s, times).clip(1, len(known_s) - 1)
    share = ((times - known_s[after - 1]) / (known_s[after] - known_s[after - 1])).clip(0, 1)[:, None, None]
    a, b = joints[after - 1], joints[after]
    # written so that a frame met exactly does not inherit its neighbour's gap
    mixed = np.where(share == 0, a, np.where(share == 1, b, (1 - share) * a + share * b))
    return mixed.astype(np.float32)


def nearest_known(known_s: NDArray, times: NDArray) -> NDArray:
    """(G,) index of the known time (F,) that is nearest to each time (G,), the later of two as near."""
    if len(known_s) == 1:
        return np.zeros(len(times), int)
    after = np.searchsorted(known_s, times).clip(1, len(known_s) - 1)
    return np.asarray(after - (times - known_s[after - 1] < known_s[after] - times))


def _never_known(take: Take, track_id: int) -> list[str]:
    """Joints of somebody that are unknown throughout."""
    known = (joint_states(take, take.tracks[track_id])[1] != Certainty.UNKNOWN).any(0)
    return [name for name, ever in zip(JOINTS, known, strict=True) if not ever]


def about(take: Take, placement: Placement) -> dict[str, Any]:
    """What every export is told by: video, cuts, camera, axes, units, joints, assumptions, how well feet stand."""
    fps = take.meta.fps
    return {
        "video": {
            "width": take.meta.width,
            "height": take.meta.height,
            "frames": take.frames,
            "fps": float(fps),
            "fps_exact": f"{fps.numerator}/{fps.denominator}",
        },
        "cuts": [{"frame": c.frame, "time_s": round(float(c.time_s), 6), "kind": c.kind} for c in take.cuts],
        "camera_motion": {
            "kind": "still" if take.camera_motion is None else take.camera_motion.kind,
            "told": in_words(take.camera_motion),
        },
        "model": take.model,
        "units": "metres",
        "axes": AXES,
        "joints": list(JOINTS),
        "foot_points": list(FEET),
        "foot_points_from": "2D heels and toes where feet_seen says so, else the shank, the plane of the knee, contact "
        "and floor; toe means the ball of the foot, heel the back of the heel bone, 2.5 cm above the floor at rest",
        "present": {
            str(i): {
                "first_frame": min(poses),
                "last_frame": max(poses),
                "from_s": round(float(take.times_s[min(poses)]), 6),
                "to_s": round(float(take.times_s[max(poses)]), 6),
                "never_known": _never_known(take, i),
            }
            for i, poses in sorted(placement.poses.items())
            if poses
        },
        "certainty": {
            "states": list(NAMES),
            "seen": "found in 2D in that frame, within the picture",
            "inferred": f"not seen there, but within {NEAR_S:g} s, or its 95 % interval reaches farther than "
            f"{VAGUE_M:g} m along the line of sight",
            "unknown": f"neither, or its 95 % interval reaches farther than {VAGUE_M:g} m across it: left out, unless "
            "--keep-inferred is given; BVH, GLB and USD, whose bones need a place, hold the pose from before and "
            "after, and the rest pose where there is none",
            "half_width_m": "of intervals that hold the place relative to the pelvis in 68 of 100 cases, across and "
            "along the line of sight",
            "half_width_95_as_multiple": list(take.wide),
        },
        "legs_left_out": sorted(take.upper),
        "assumptions": placement.assumptions,
        "feet": {"before": asdict(placement.before), "after": asdict(placement.after)},
    }
