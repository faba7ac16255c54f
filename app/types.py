"""The values that flow through the pipeline: small, immutable, checked when made."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sasmamba.common.arrays import FloatArray, check_shape

#: Metres from the pelvis, x right, y down, z forward: in the axes of a camera that looks straight at the person, as a
#: lifter answers, or in those of the camera that was there.
Space = Literal["facing_root_relative_m", "camera_root_relative_m"]


@dataclass(frozen=True, slots=True)
class VideoMeta:
    """What is known of a video before its frames are read.

    Attributes:
        width, height: pixels as displayed, that is after the container's rotation has been applied.
        fps: average frame rate, exact (29.97 is Fraction(30000, 1001)).
        frames: number of frames the container promises, or None when it does not say.
    """

    width: int
    height: int
    fps: Fraction
    frames: int | None

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"video size: want at least 1×1, got {self.width}×{self.height}")
        if self.fps <= 0:
            raise ValueError(f"fps: want > 0, got {self.fps}")


#: How a shot ends and the next begins: from one frame to the next, by a dissolve or through black (or another plain
#: colour), or at a hole in the timestamps.
CutKind = Literal["cut", "fade", "gap"]


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a new shot begins.

    Attributes:
        frame: the new shot's first frame, 1 or more.
        time_s: that frame's time, exact.
        kind: "cut", "fade" (a dissolve, or through black; the frame is its middle) or "gap" (a hole in the timestamps).
    """

    frame: int
    time_s: Fraction
    kind: CutKind = "cut"

    def __post_init__(self) -> None:
        if self.frame < 1:
            raise ValueError(f"cut: want a frame from 1 on, since a shot comes before it, got {self.frame}")
        if self.kind not in get_args(CutKind):
            raise ValueError(f"cut: want one of {', '.join(get_args(CutKind))}, got {self.kind!r}")


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture.

    Attributes:
        index: counts from 0 without gaps.
        time_s: exact.
        bgr: (height, width, 3) uint8.
        cut: in the first frame of a new shot, where cuts are looked for, what made it one: whoever remembers the frame
            before it forgets it here. A fade is known only when it is over, and is told by `Take.cuts` alone.
    """

    index: int
    time_s: Fraction
    bgr: NDArray[np.uint8]
    cut: Cut | None = None

    def __post_init__(self) -> None:
        check_shape("bgr", self.bgr, (None, None, 3))
        if self.bgr.dtype != np.uint8:
            raise ValueError(f"bgr: want uint8, got {self.bgr.dtype}")


@dataclass(frozen=True, slots=True)
class Person2D:
    """One person in one frame.

    Attributes:
        track_id: identity across frames, None until tracking has given one.
        box_px: (4,) x0, y0, x1, y1.
        joints_px: (17, 2) COCO-17 order, x right and y down, may lie outside the picture.
        score: (17,) 0..1; 0 means the joint was not found and its position means nothing.
        feet: (4, 3) heels and toes in the order of `FOOT`: x px, y px, score; None of a stage that does not see them.
    """

    track_id: int | None
    box_px: FloatArray
    joints_px: FloatArray
    score: FloatArray
    feet: FloatArray | None = None

    def __post_init__(self) -> None:
        check_shape("box_px", self.box_px, (4,))
        check_shape("joints_px", self.joints_px, (17, 2))
        check_shape("score", self.score, (17,))
        if self.feet is not None:
            check_shape("feet", self.feet, (4, 3))


@dataclass(frozen=True, slots=True)
class Pose3D:
    """One person's pose in one frame.

    Attributes:
        joints: (17, 3) float32, H36M-17 order, in `space`.
        observed: False where the person was not seen in this frame and the window's neighbours carried the pose.
        half_width_m: (17, 2) half-widths of intervals that hold each joint's true place relative to the pelvis, on each
            axis, in 68 of 100 cases: across the line of sight to the person and along it. None: not known.
    """

    frame: int
    track_id: int
    joints: FloatArray
    observed: bool = True
    space: Space = "facing_root_relative_m"
    half_width_m: FloatArray | None = None

    def __post_init__(self) -> None:
        check_shape("joints", self.joints, (17, 3))
        if self.half_width_m is not None:
            check_shape("half_width_m", self.half_width_m, (17, 2))


@dataclass(frozen=True, slots=True)
class FloorMark:
    """The user says that somebody's foot stands on the floor in a frame.

    Attributes:
        frame: of the video.
        track_id: whose foot.
        left: the left foot, or the right.
    """

    frame: int
    track_id: int
    left: bool


@dataclass(frozen=True, slots=True)
class UprightMark:
    """The user says how the camera stood in the shot that a frame belongs to.

    Attributes:
        frame: of the video.
        pitch_deg: by how much the camera looks down.
        roll_deg: by how much up leans to the right in the picture.
    """

    frame: int
    pitch_deg: float
    roll_deg: float


@dataclass(frozen=True, slots=True)
class HeldJoint:
    """A joint that was set by hand in the picture, or went along with one in a frame nearby.

    Attributes:
        frame: of the video.
        track_id: whose.
        joint: number of the COCO joint.
        share: 1 set by hand; less: went along, by that share.
    """

    frame: int
    track_id: int
    joint: int
    share: float

    def __post_init__(self) -> None:
        if not (0 <= self.joint < 17 and 0 < self.share <= 1):
            raise ValueError(f"held joint: want a joint 0..16 and a share in 0..1, got {self.joint} and {self.share}")


@dataclass(frozen=True, slots=True)
class SceneLines:
    """Line segments of some pictures of a take.

    Attributes:
        frame: (L,) int64, which picture each is of.
        ends_px: (L, 2, 2) float32, x and y of both ends in pixels of the video.
    """

    frame: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    ends_px: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 2, 2), np.float32))

    def __post_init__(self) -> None:
        check_shape("frame", self.frame, (len(self.ends_px),))
        check_shape("ends_px", self.ends_px, (len(self.frame), 2, 2))

    def within(self, frames: range) -> SceneLines:
        """Those of a shot."""
        here = (self.frame >= frames.start) & (self.frame < frames.stop)
        return SceneLines(self.frame[here], self.ends_px[here])
