"""Poses while they happen, for a program that has frames of its own: a robot's loop, a game's, a camera's."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.config import LiveSettings
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.online import live_lifting
from sasmamba.app.motion.axes import camera_to_world
from sasmamba.app.motion.online_placing import LivePlacing
from sasmamba.app.pose2d import open_pose2d
from sasmamba.app.tracking import Tracker
from sasmamba.app.types import Frame, Person2D, VideoMeta
from sasmamba.common.arrays import FloatArray
from sasmamba.common.closing import Closing
from sasmamba.common.device import resolve_device
from sasmamba.keyword_settings import ModelSettings


@dataclass(frozen=True, slots=True, eq=False)
class StreamPose:
    """One person's pose in one frame of a stream.

    Attributes:
        track_id: Their number, the same from frame to frame.
        time_s: The time of the frame that the pose belongs to; with a look-ahead that frame came some pushes ago.
        age_s: How old what the pose rests on is: seconds from the last frame in which the person was seen, up to
            `time_s`, to the frame just pushed. 0 for who is seen in it, without a look-ahead.
        world_m: (17, 3) float32, H36M-17 in the world's axes: metres, x right, y away from the camera, z up, the floor
            under the person at z = 0.
        joints3d: (17, 3) float32, H36M-17 relative to the pelvis in the axes of a camera that looks straight at the
            person: metres, x right, y down, z forward.
        keypoints: (17, 2) float32, COCO-17 in pixels of the frame; NaN where the person was not seen in it.
        score: (17,) float32, 0 to 1, of `keypoints`; 0 marks a joint that was not found.
    """

    track_id: int
    time_s: float
    age_s: float
    world_m: FloatArray
    joints3d: FloatArray
    keypoints: FloatArray
    score: FloatArray

    @property
    def observed(self) -> bool:
        """Whether the person was seen in the pose's own frame; else the frames before carry it."""
        return bool((self.score > 0).any())


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A frame whose people were found, and which waits for those that the lifter is to see after it."""

    index: int
    time_s: float
    people: tuple[Person2D, ...]


class PoseStream(Closing):
    """Takes frames one by one and answers with poses, in the caller's thread.

    It does what live mode does at live mode's cost: nothing is mirrored or refined, and people are placed as they go.
    Close it, or use it as a context manager, to free the models.

        with sasmamba.PoseStream(fps=30) as stream:
            for pose in stream.push(bgr, time_s):
                ...

    Args:
        fps: Frames per second that will come, roughly. Frames may be left out: their times tell.
        lookahead: Frames of the future that the lifter gets to see before it answers: more exact, and later by as many.
        **settings: See `ModelSettings`; by default two people at most, and a 2D backend that keeps up.

    Raises:
        UserError: Anything a person can mend, in one sentence that says what to do.
        ValueError: A frame rate that cannot be.
    """

    def __init__(self, fps: float = 30.0, *, lookahead: int = 0, **settings: Unpack[ModelSettings]) -> None:
        if not 0 < fps < math.inf:
            raise ValueError(f"fps: want above 0, got {fps}")
        config = LiveSettings(lookahead=lookahead, **settings)
        device = resolve_device(config.device)
        self._fps, self._fov_deg = float(fps), config.fov_deg
        lifter = Lifter.load(config.lifter, device, False, refine=False, detected=True)
        self._lifting = live_lifting(lifter, lookahead, self._fps)
        self._tracker = Tracker(max_people=config.max_people)
        self._placing: LivePlacing | None = None  # made for the first frame's size
        self._size: tuple[int, int] | None = None
        self._waiting: deque[_Waiting] = deque()
        self._seen_s: dict[int, float] = {}
        self._begin_s = self._newest_s = 0.0
        self._newest = -1
        self._closed = False
        self._pose2d = open_pose2d(
            config.pose2d,
            max_people=config.max_people,
            detector=config.detector,
            weights=config.pose2d_weights,
            input_px=config.pose2d_px,
            device=device,
            live=True,
        )

    def push(self, bgr: NDArray[np.uint8], time_s: float) -> tuple[StreamPose, ...]:
        """Takes the next frame and answers with everybody's newest poses.

        Args:
            bgr: (height, width, 3) uint8, blue first as OpenCV has it; all frames of one size.
            time_s: When it was taken, seconds on any clock that only goes forward.

        Returns:
            One pose per person of the frame `lookahead` frames ago; after frames that were left out, of several frames,
            in order of time. Empty where nobody is there, and until the look-ahead is filled.

        Raises:
            ValueError: Another shape or size, a time that is not after the last one, or a stream that is closed.
        """
        placing = self._checked(bgr, time_s)
        index = max(self._newest + 1, round((time_s - self._begin_s) * self._fps))
        frame = Frame(index, Fraction(time_s - self._begin_s), np.ascontiguousarray(bgr))
        people = self._tracker.update(frame, self._pose2d(frame))
        self._newest, self._newest_s = index, time_s
        self._lifting.push(index, people)
        self._lifting.lift()
        self._waiting.append(_Waiting(index, time_s, people))
        poses: list[StreamPose] = []
        while self._waiting and self._waiting[0].index <= index - self._lifting.lookahead:
            poses += self._answer(self._waiting.popleft(), placing)
        return tuple(poses)

    def close(self) -> None:
        """Frees the models; closing twice does no harm."""
        if not self._closed:
            self._closed = True
            self._pose2d.__exit__(None, None, None)

    def _checked(self, bgr: NDArray[np.uint8], time_s: float) -> LivePlacing:
        """Refuses a frame that cannot follow the last one; returns what places people in frames of this size."""
        if self._closed:
            raise ValueError("this stream is closed; open another PoseStream")
        if bgr.ndim != 3 or bgr.shape[2] != 3 or bgr.dtype != np.uint8 or 0 in bgr.shape:
            raise ValueError(f"bgr: want (height, width, 3) uint8, got {bgr.shape} {bgr.dtype}")
        if not math.isfinite(time_s):
            raise ValueError(f"time_s: want a finite number of seconds, got {time_s}")
        size = bgr.shape[1], bgr.shape[0]
        if self._placing is None or self._size is None:
            meta = VideoMeta(*size, Fraction(self._fps), None)
            self._placing, self._size, self._begin_s = LivePlacing(meta, self._fov_deg), size, time_s
        elif size != self._size:
            want, got = (f"{width}x{height}" for width, height in (self._size, size))
            raise ValueError(f"bgr: want {want} pixels as before, got {got}; open another PoseStream for another size")
        elif time_s <= self._newest_s:
            raise ValueError(f"time_s: want one after {self._newest_s}, got {time_s}")
        return self._placing

    def _answer(self, frame: _Waiting, placing: LivePlacing) -> Iterable[StreamPose]:
        """Everybody's pose in a frame that waits no longer."""
        lifted = self._lifting.poses(frame.index)
        placed, roots = placing(frame.time_s - self._begin_s, frame.people, lifted)
        seen = {person.track_id: person for person in frame.people}
        for pose, turned in zip(lifted, placed, strict=True):
            person = seen.get(pose.track_id)
            if person is not None:
                self._seen_s[pose.track_id] = frame.time_s
            yield StreamPose(
                track_id=pose.track_id,
                time_s=frame.time_s,
                age_s=self._newest_s - self._seen_s.get(pose.track_id, frame.time_s),
                world_m=camera_to_world(turned.joints) + roots[pose.track_id],
                joints3d=pose.joints,
                keypoints=np.full((17, 2), np.nan, np.float32) if person is None else person.joints_px,
                score=np.zeros(17, np.float32) if person is None else person.score,
            )
