"""Everybody's poses from the 2D of their whole lives: windows of the lifter's length that fade into each other.

A person unseen for long starts anew; shorter gaps are masked, and the frames around them carry the poses there. Windows
advance by half their length, so that every frame away from the ends is seen with context on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.types import Person2D, Pose3D
from sasmamba.common.arrays import FloatArray
from sasmamba.models.hidden_hips import seen_as_h36m, with_trunk
from sasmamba.models.landmarks import as_captured, as_detected
from sasmamba.models.normalise import mask_missing

#: Somebody unseen for longer than this starts anew, seconds.
MAX_GAP_S = 1.0


def tracked_rows(people: Iterable[Person2D]) -> dict[int, FloatArray]:
    """What lifters take of one frame's people: H36M-17 x px, y px, score (17, 3) by track id.

    Raises:
        ValueError: somebody has no track id.
    """
    rows: dict[int, FloatArray] = {}
    for person in people:
        if person.track_id is None:
            raise ValueError("people: want tracked ones, got one without a track_id")
        joints, score = seen_as_h36m(person.joints_px, person.score)
        rows[person.track_id] = np.concatenate([joints, score[:, None]], 1)
    return rows


@dataclass(frozen=True, slots=True)
class _Window:
    """Frames start..end - 1 of a person are lifted together, and answer for those from `begin` on."""

    person: int
    start: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Lifted:
    """One person's poses.

    Attributes:
        joints: (F, 17, 3) metres, as `Lifter` gives them.
        half_width_m: (F, 17, 2) how sure they are, as in `Pose3D`; None from a lifter that cannot say.
    """

    joints: FloatArray
    half_width_m: FloatArray | None


def lift_people(
    lifter: Lifter,
    people: Sequence[FloatArray],
    *,
    fps: float,
    max_gap_s: float = MAX_GAP_S,
    window: int | None = None,
    detected: bool | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Lifted]:
    """Lifts several people's whole sequences; the windows of all are lifted side by side.

    Where the lifter refines, a person's bones are as long in all windows, whatever gaps lie between.

    Args:
        lifter: lifts windows.
        people: of each (F, 17, 3) H36M-17 x px, y px, score, F of any length; a score of 0 or anything that is not a
            number marks a joint that was not found.
        fps: frames per second.
        max_gap_s: who is unseen for longer starts anew.
        window: frames per window, at most what the lifter takes; None for as many.
        detected: these are a detector's joints, see `Lifter`, which says so itself where this is None.
        progress: told, now and then and at the end, how many frames of all people are done.

    Returns:
        Everybody's poses. Frames in which nothing was found and that lie outside the person's life or in a longer gap
        come out as NaN: absence is a value.

    Raises:
        ValueError: another shape, a frame rate that cannot be, or a window that the lifter does not take.
    """
    window = lifter.frames if window is None else window
    if not 1 <= window <= lifter.frames:
        raise ValueError(f"window: want 1..{lifter.frames}, got {window}")
    if not fps > 0 or not max_gap_s >= 0:
        raise ValueError(f"fps and max_gap_s: want above 0 and at least 0, got {fps} and {max_gap_s}")
    for xyc in people:
        if xyc.ndim != 3 or xyc.shape[1:] != (17, 3):
            raise ValueError(f"xyc: want (F, 17, 3), got {xyc.shape}")
    masked = [mask_missing(xyc) for xyc in people]
    detected = lifter.detected if detected is None else detected
    if detected:
        masked = [as_captured(xyc) for xyc in masked]
    plan = [
        part
        for person, xyc in enumerate(masked)
        for first, end in _stretches(xyc, round(max_gap_s * fps))
        for part in _windows(person, first, end, window)
    ]
    windows = [with_trunk(masked[part.person][part.start : part.end]) for part in plan]
    frames = np.cumsum([0, *map(len, masked)])
    # one piece of memory, since many small ones would lie scattered among what the network needs and frees
    rows = [slice(end - len(own), end) for own, end in zip(windows, np.cumsum([*map(len, windows)]), strict=True)]
    whole = np.empty((sum(map(len, windows)), 17, 3), np.float32)
    unsure = np.empty((*whole.shape[:2], 2), np.float32) if lifter.unsure else None
    with closing(lifter.many(windows, later=True)) as lifted:
        for part, row, (joints, widths) in zip(plan, rows, lifted, strict=True):
            whole[row] = joints
            if unsure is not None and widths is not None:
                unsure[row] = widths
            if progress:
                progress(int(frames[part.person]) + part.begin)
    out = [
        Lifted(
            np.full(xyc.shape, np.nan, np.float32),
            np.full((*xyc.shape[:2], 2), np.nan, np.float32) if lifter.unsure else None,
        )
        for xyc in masked
    ]
    poses: Iterable[FloatArray] = [whole[row] for row in rows]
    if lifter.refine:
        poses = lifter.refined(windows, [*poses], [part.person for part in plan])
    if detected:
        poses = map(as_detected, poses)
    for part, row, joints in zip(plan, rows, poses, strict=True):
        own, now, since = out[part.person], slice(part.begin, part.end), part.begin - part.start
        _fade_in(own.joints[now], joints[since:])
        if own.half_width_m is not None and unsure is not None:
            _fade_in(own.half_width_m[now], unsure[row][since:])
    if progress:
        progress(int(frames[-1]))
    return out


def lift_tracks(
    lifter: Lifter,
    tracks: Mapping[int, Mapping[int, FloatArray]],
    *,
    fps: float,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Pose3D]:
    """`lift_people` of people given as H36M-17 x px, y px, score (17, 3) by track id and frame, none without a frame.

    Poses in frames that are not given, carried by those around, are marked `observed=False`.
    """
    begins, lives = [min(rows) for rows in tracks.values()], []
    for first, rows in zip(begins, tracks.values(), strict=True):
        lives.append(np.zeros((max(rows) + 1 - first, 17, 3), np.float32))
        lives[-1][[frame - first for frame in rows]] = list(rows.values())
    lifted = lift_people(lifter, lives, fps=fps, progress=progress)
    for (track_id, rows), first, own in zip(tracks.items(), begins, lifted, strict=True):
        for i, joints in enumerate(own.joints):
            if np.isfinite(joints).all():
                frame, width = first + i, None if own.half_width_m is None else own.half_width_m[i].copy()
                yield Pose3D(frame, track_id, joints.copy(), observed=frame in rows, half_width_m=width)


def lift_sequence(
    lifter: Lifter,
    xyc: NDArray,
    *,
    fps: float = 30.0,
    max_gap_s: float = MAX_GAP_S,
    window: int | None = None,
    detected: bool | None = None,
    progress: Callable[[int], None] | None = None,
) -> FloatArray:
    """`lift_people` of one person: (F, 17, 3) x px, y px, score to (F, 17, 3) metres."""
    lifted = lift_people(
        lifter, [xyc], fps=fps, max_gap_s=max_gap_s, window=window, detected=detected, progress=progress
    )
    return lifted[0].joints


def _stretches(xyc: NDArray, max_gap: int) -> Iterator[tuple[int, int]]:
    """First and last frame + 1 of every stretch of (F, 17, 3) without more than `max_gap` frames unseen."""
    frames = np.flatnonzero((xyc[..., 2] > 0).any(1))
    if len(frames):
        for stretch in np.split(frames, np.flatnonzero(np.diff(frames) > max_gap + 1) + 1):
            yield int(stretch[0]), int(stretch[-1]) + 1


def _windows(person: int, first: int, end: int, window: int) -> Iterator[_Window]:
    """The windows of a stretch. The last one is filled up with frames from before: it sees as much as the others."""
    begin = first
    while end - begin > window:
        yield _Window(person, begin, begin, begin + window)
        begin += max(1, window // 2)
    yield _Window(person, max(first, end - window), begin, end)


def _fade_in(out: NDArray, answer: NDArray) -> None:
    """Writes a window's answer (T, 17, 3) over what the one before left in `out`, evenly from that to this."""
    overlap = int(np.isfinite(out[:, 0, 0]).sum())
    new = (np.arange(1, overlap + 1, dtype=np.float32) / (overlap + 1))[:, None, None]
    out[:overlap] = (1 - new) * out[:overlap] + new * answer[:overlap]
    out[overlap:] = answer[overlap:]
