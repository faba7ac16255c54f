"""Gaps, windows and people without end: `lift_people` beside a slow, obvious reading of its promise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sasmamba.app.lifting.offline import lift_people

#: Frames in which somebody was seen.
Life = list[int]


class Summing:
    """Stands in for a lifter: every frame's answer depends on the frame, its place in the window, and all others."""

    name, frames, refine, unsure, wide, detected = "summing", 40, False, False, None, False

    def __init__(self) -> None:
        self.longest = 0

    def many(self, windows: Iterable[np.ndarray], later: bool) -> Iterator[tuple[np.ndarray, None]]:
        yield from ((self(xyc), None) for xyc in windows)

    def __call__(self, xyc: np.ndarray) -> np.ndarray:
        assert 1 <= len(xyc) <= self.frames
        self.longest = max(self.longest, len(xyc))
        out = xyc.copy()
        out[..., 1] = np.arange(len(xyc))[:, None]
        out[..., 2] = (xyc[..., 0] * np.linspace(0.5, 1.5, len(xyc))[:, None]).mean()
        return out


def row(track_id: int, frame: int) -> np.ndarray:
    """H36M-17 x, y, score (17, 3) that no other frame of anybody has."""
    return np.broadcast_to(np.array([1 + frame + 1000 * track_id, 7, 1], np.float32), (17, 3)).copy()


@st.composite
def lives(draw: st.DrawFn) -> dict[int, Life]:
    """When each of a few people was seen: runs with gaps between, some of them too long to bridge."""
    out: dict[int, Life] = {}
    for track_id in draw(st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True)):
        frame, seen = 0, []
        for gap, run in draw(st.lists(st.tuples(st.integers(0, 14), st.integers(1, 50)), min_size=1, max_size=5)):
            seen += range(frame + gap, frame + gap + run)
            frame += gap + run
        out[track_id] = seen
    return out


def stretches(seen: Life, max_gap: int) -> Iterator[range]:
    """From the first to the last frame of each stretch without more than `max_gap` frames unseen."""
    begin = 0
    for i in range(1, len(seen) + 1):
        if i == len(seen) or seen[i] - seen[i - 1] - 1 > max_gap:
            yield range(seen[begin], seen[i - 1] + 1)
            begin = i


def weights(frames: int, window: int) -> list[tuple[int, np.ndarray]]:
    """Where each window of a stretch of so many frames begins, and what it counts in every frame.

    Windows advance by half a window while more than a window is left; the last one ends with the stretch. Each fades in
    evenly over the frames that had an answer before.
    """
    hop = max(1, window // 2)
    steps = 0
    while frames - steps * hop > window:
        steps += 1
    count = np.zeros((steps + 1, frames))
    starts = []
    for k in range(steps + 1):
        begin = k * hop
        end = min(begin + window, frames)
        starts.append(begin if k < steps else max(0, frames - window))
        answered = int((count[:, begin:].sum(0) > 0).sum())
        for f in range(begin, end):
            share = (f - begin + 1) / (answered + 1) if f - begin < answered else 1.0
            count[:, f] *= 1 - share
            count[k, f] += share
    return list(zip(starts, count, strict=True))


def expected(track_id: int, seen: Life, window: int, max_gap: int) -> dict[int, np.ndarray]:
    """Joints by frame, from whole arrays."""
    out: dict[int, np.ndarray] = {}
    lifter = Summing()
    for stretch in stretches(seen, max_gap):
        rows = np.stack([row(track_id, f) if f in set(seen) else np.zeros((17, 3), np.float32) for f in stretch])
        joints = np.zeros(rows.shape)
        for begin, count in weights(len(rows), window):
            lifted = lifter(rows[begin : begin + window])
            joints[begin : begin + window] += count[begin : begin + window, None, None] * lifted
        out |= dict(zip(stretch, joints, strict=True))
    return out


@given(st.integers(1, 200), st.integers(1, 40))
def test_what_windows_count_adds_up(frames: int, window: int) -> None:
    """Of the reading itself: in every frame one in all, nothing below 0, nothing outside a window."""
    count = np.stack([count for _, count in weights(frames, window)])
    np.testing.assert_allclose(count.sum(0), 1)
    assert (count >= 0).all()
    for begin, of_window in weights(frames, window):
        assert not of_window[:begin].any()
        assert not of_window[begin + window :].any()
    assert len(count) == 1 or (count.max(1) > 0).all()


@settings(max_examples=150)
@given(lives(), st.integers(1, 40), st.integers(0, 12))
def test_lifting_is_what_it_promises(people: dict[int, Life], window: int, max_gap: int) -> None:
    """One pose per frame of a stretch, blended as said; NaN where somebody was not there."""
    lifter = Summing()
    sequences = []
    for track_id, seen in people.items():
        sequences.append(np.full((seen[-1] + 5, 17, 3), np.nan, np.float32))
        for frame in seen:
            sequences[-1][frame] = row(track_id, frame)
    told: list[int] = []
    lifted = lift_people(
        lifter,  # type: ignore[arg-type]
        sequences,
        fps=10,
        max_gap_s=max_gap / 10,
        window=window,
        progress=told.append,
    )
    assert lifter.longest <= window
    assert told == sorted(told)
    assert told[-1] == sum(map(len, sequences))
    for one, (track_id, seen) in zip(lifted, people.items(), strict=True):
        joints = one.joints
        want = expected(track_id, seen, window, max_gap)
        assert np.flatnonzero(np.isfinite(joints).all((1, 2))).tolist() == list(want)
        np.testing.assert_allclose(joints[list(want)], np.stack(list(want.values())), rtol=1e-4)
