"""Motion for other programs: who is exported, on which frames, in which axes; and the one door to every format.

World axes are those of `Placement`: metres, x right, y away from the camera, z up, floor at z = 0. Programs in which y
is up get (x, z, -y): x right, y up, z towards the camera.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.placing import Placement
from sasmamba.app.take import Take
from sasmamba.common.arrays import FloatArray
from sasmamba.models.skeletons import H36M, coco17_to_h36m17

#: Joint names as files have them: left_knee.
JOINTS = tuple(joint.name.lower() for joint in H36M)
AXES = "x right, y away from the camera, z up, floor at z = 0"
AXES_Y_UP = "x right, y up, z towards the camera, floor at y = 0"
#: World axes to axes in which y is up.
R_YUP_WORLD = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float64)
#: A frame so far from where a constant rate would have it, as a share of a frame, makes a rate variable.
_UNEVEN = 0.1


@dataclass(frozen=True, slots=True)
class PersonMotion:
    """One person's motion.

    Attributes:
        times_s: (F,) seconds of the video.
        frame: (F,) int, of the video.
        joints: (F, 17, 3) world axes, metres; NaN where there is no pose.
        score: (F, 17) of the 2D joints, 0 where nobody was seen.
        observed: (F,) bool.
    """

    track_id: int
    frame: NDArray
    times_s: NDArray
    joints: FloatArray
    score: FloatArray
    observed: NDArray


def motions(take: Take, placement: Placement) -> list[PersonMotion]:
    """Everybody's motion, each from the first frame with a pose to the last."""
    out = []
    for i in sorted(placement.poses):
        frames, joints = placement.world(i)
        frame = np.arange(frames[0], frames[-1] + 1)
        at = np.array(frames) - frames[0]
        motion = PersonMotion(
            i,
            frame,
            np.array([float(take.times_s[f]) for f in frame]),
            np.full((len(frame), 17, 3), np.nan, np.float32),
            np.zeros((len(frame), 17), np.float32),
            np.zeros(len(frame), bool),
        )
        motion.joints[at] = joints
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
    """

    title: str
    render: Path | None = None
    written: int = 0
    pose2d: str = ""
    fps: float = 0.0
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    problems: Sequence[str] = ()


def is_even(motion: PersonMotion, fps: Fraction) -> bool:
    """Whether frames come at a constant rate."""
    expected = motion.times_s[0] + np.arange(len(motion.times_s)) / float(fps)
    return bool(np.abs(motion.times_s - expected).max() * float(fps) <= _UNEVEN)


def at_fixed_rate(motion: PersonMotion, fps: Fraction, fill: bool = False) -> PersonMotion:
    """The motion at a constant rate from its first frame on, for formats that know no other.

    A constant-rate video keeps its frames; others are resampled on straight lines between frames, and a frame beside a
    gap belongs to the gap.

    Args:
        fill: also bridge gaps on straight lines, for formats that need every frame.
    """
    if fill:
        known = np.isfinite(motion.joints).all((1, 2))
        motion = replace(motion, joints=_between(motion.times_s, motion.times_s[known], motion.joints[known]))
    if is_even(motion, fps):
        return motion
    count = int((motion.times_s[-1] - motion.times_s[0]) * float(fps) + _UNEVEN) + 1
    times = motion.times_s[0] + np.arange(count) / float(fps)
    after = np.searchsorted(motion.times_s, times).clip(1, len(motion.times_s) - 1)
    nearest = after - (times - motion.times_s[after - 1] < motion.times_s[after] - times)
    return PersonMotion(
        motion.track_id,
        motion.frame[nearest],
        times,
        _between(times, motion.times_s, motion.joints),
        motion.score[nearest],
        motion.observed[nearest],
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


def about(take: Take, placement: Placement) -> dict[str, Any]:
    """What every export is told by: video, cuts, axes, units, joints, assumptions, how well feet stand."""
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
        "model": take.model,
        "units": "metres",
        "axes": AXES,
        "joints": list(JOINTS),
        "assumptions": placement.assumptions,
        "feet": {"before": asdict(placement.before), "after": asdict(placement.after)},
    }
