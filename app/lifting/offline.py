"""One window of a lifter's length per person: 2D poses go in frame by frame, 3D poses come out blended over windows.

Memory does not grow with the video: a person's buffer holds at most one window, and poses leave as soon as no later
window can change them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.types import Person2D, Pose3D
from sasmamba.common.arrays import FloatArray
from sasmamba.models.normalise import mask_missing
from sasmamba.models.skeletons import coco17_to_h36m17

_log = logging.getLogger(__name__)


def tracked_rows(people: Iterable[Person2D]) -> dict[int, FloatArray]:
    """What lifters take of one frame's people: H36M-17 x px, y px, score (17, 3) by track id.

    Raises:
        ValueError: somebody has no track id.
    """
    rows: dict[int, FloatArray] = {}
    for person in people:
        if person.track_id is None:
            raise ValueError("people: want tracked ones, got one without a track_id")
        joints, score = coco17_to_h36m17(person.joints_px, person.score)
        rows[person.track_id] = np.concatenate([joints, score[:, None]], 1)
    return rows


@dataclass(slots=True)
class _Segment:
    """A stretch of one person's life without a long gap, not yet fully emitted.

    rows hold x, y, score of frames first .. first + len(rows) - 1, past those of the frames just before, already
    emitted; tail is the last window's result for frames from first on, which the next one's will be blended with.
    """

    first: int
    rows: list[FloatArray] = field(default_factory=list)
    seen: list[bool] = field(default_factory=list)
    past: list[FloatArray] = field(default_factory=list)
    tail: FloatArray | None = None


class Lifting:
    """Streams tracked 2D people into 3D poses.

    Args:
        lifter: lifts one window.
        window: frames per window, at most what the lifter takes; None for as many. Windows advance by half their
            length, so that every frame away from the ends is seen with context on both sides.
        max_gap: a person unseen for more frames than this starts anew; shorter gaps are masked, and the poses there,
            carried by the frames around them, are marked `observed=False`.
    """

    def __init__(self, lifter: Lifter, window: int | None = None, max_gap: int = 30) -> None:
        window = lifter.frames if window is None else window
        if not 1 <= window <= lifter.frames:
            raise ValueError(f"window: want 1..{lifter.frames}, got {window}")
        self.lifter, self.window, self.max_gap = lifter, window, max_gap
        self.hop = max(1, window // 2)
        self._segments: dict[int, _Segment] = {}

    def push(self, frame: int, people: Iterable[Person2D]) -> list[Pose3D]:
        """Takes one frame's tracked people; returns the poses that became final, in order of time for each person."""
        return self.push_joints(frame, tracked_rows(people))

    def push_joints(self, frame: int, rows: Mapping[int, FloatArray]) -> list[Pose3D]:
        """As `push`, for people given as H36M-17 x px, y px, score (17, 3) by track id."""
        out: list[Pose3D] = []
        for track_id, segment in list(self._segments.items()):
            missed = frame - (segment.first + len(segment.rows)) + (track_id not in rows)
            if missed > self.max_gap:
                out += self._close(track_id)
        for track_id, row in rows.items():
            out += self._add(frame, track_id, row)
        return out

    def finish(self) -> list[Pose3D]:
        """The poses that were still waiting for later frames."""
        return [pose for track_id in list(self._segments) for pose in self._close(track_id)]

    def _add(self, frame: int, track_id: int, row: FloatArray) -> list[Pose3D]:
        segment = self._segments.get(track_id)
        out: list[Pose3D] = []
        if segment is None:
            segment = self._segments[track_id] = _Segment(frame)
        for missing in range(segment.first + len(segment.rows), frame + 1):
            here = missing == frame
            segment.rows.append(row if here else np.zeros((17, 3), np.float32))
            segment.seen.append(here)
            # one frame more than a window shows that there will be a next one
            if len(segment.rows) > self.window:
                out += self._advance(track_id, segment)
        return out

    def _advance(self, track_id: int, segment: _Segment) -> list[Pose3D]:
        """Lifts a full window and lets go of its first half."""
        joints = self._lift(segment, self.window)
        out = self._poses(track_id, segment, joints[: self.hop])
        segment.tail = joints[self.hop :]
        segment.past = segment.rows[: self.hop]
        del segment.rows[: self.hop], segment.seen[: self.hop]
        segment.first += self.hop
        return out

    def _close(self, track_id: int) -> list[Pose3D]:
        segment = self._segments.pop(track_id)
        return self._poses(track_id, segment, self._lift(segment, len(segment.rows)))

    def _lift(self, segment: _Segment, length: int) -> FloatArray:
        """Lifts the segment's first `length` frames and fades from the previous window's result to this one's.

        The last window of a long life is filled up with frames from before: it sees as much as the others did.
        """
        before = segment.past[len(segment.past) - min(self.window - length, len(segment.past)) :]
        joints = self.lifter(np.stack(before + segment.rows[:length]))[len(before) :]
        if segment.tail is not None:
            overlap = len(segment.tail)
            new = (np.arange(1, overlap + 1, dtype=np.float32) / (overlap + 1))[:, None, None]
            joints[:overlap] = (1 - new) * segment.tail + new * joints[:overlap]
        return joints

    @staticmethod
    def _poses(track_id: int, segment: _Segment, joints: FloatArray) -> list[Pose3D]:
        return [
            Pose3D(segment.first + i, track_id, pose.copy(), observed=segment.seen[i]) for i, pose in enumerate(joints)
        ]


def lift_sequence(
    lifter: Lifter,
    xyc: NDArray,
    max_gap: int = 30,
    window: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> FloatArray:
    """Lifts one person's whole H36M-17 sequence (F, 17, 3) x px, y px, score to (F, 17, 3) metres.

    Frames in which nothing was found and that lie outside the person's life or in a gap longer than `max_gap` frames
    come out as NaN: absence is a value. `progress` is told, now and then and at the end, how many frames are done.
    """
    if xyc.ndim != 3 or xyc.shape[1:] != (17, 3):
        raise ValueError(f"xyc: want (F, 17, 3), got {xyc.shape}")
    xyc = mask_missing(xyc)
    lifting = Lifting(lifter, window, max_gap)
    out = np.full(xyc.shape, np.nan, np.float32)

    for frame, row in enumerate(xyc):
        final = lifting.push_joints(frame, {0: row} if (row[:, 2] > 0).any() else {})
        for pose in final:
            out[pose.frame] = pose.joints
        if final and progress:
            progress(final[-1].frame + 1)
    for pose in lifting.finish():
        out[pose.frame] = pose.joints
    if progress:
        progress(len(xyc))
    return out
