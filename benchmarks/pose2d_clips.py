"""What a 2D backend finds in a clip of which nothing is annotated; `pose2d_quality.py` runs it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.pose2d.protocol import Pose2D
from sasmamba.app.tracking import Tracker
from sasmamba.app.types import Person2D

#: Joints of the left and of the right: torso, arms, legs.
SIDES = (([5, 11], [6, 12]), ([7, 9], [8, 10]), ([13, 15], [14, 16]))
#: Identities that live for fewer frames, or half the clip's, are passed over, as the pipeline drops them.
LEAST_FRAMES = 8


@dataclass(frozen=True, slots=True)
class ClipRow:
    """What a backend found in a clip: people a frame, identities, turns in a thousand people seen, ms a frame."""

    clip: str
    backend: str
    frames: int
    people: float
    identities: int
    turns: float
    ms: float


def clip_row(name: str, open_it: Callable[[], Pose2D], path: Path) -> ClipRow:
    tracker, seconds, frames, seen, turns = Tracker(max_people=20), 0.0, 0, 0, 0
    lives: Counter[int | None] = Counter()
    before: dict[int | None, Person2D] = {}
    with open_it() as backend, VideoFile(path) as video:
        for frame in video:
            start = time.perf_counter()
            people = backend(frame)
            seconds += time.perf_counter() - start
            now = {p.track_id: p for p in tracker.update(frame, people)}
            turns += sum(turned(before[i], p) for i, p in now.items() if i in before)
            lives.update(list(now))
            frames, seen, before = frames + 1, seen + len(now), now
    least = min(LEAST_FRAMES, frames // 2)
    return ClipRow(
        path.name,
        name,
        frames,
        seen / frames,
        sum(count >= least for count in lives.values()),
        1000 * turns / max(seen, 1),
        1000 * seconds / frames,
    )


def turned(before: Person2D, now: Person2D) -> int:
    """How many of arms, legs and torso have their sides where the other sides were in the frame before."""
    count = 0
    size = float((now.box_px[2:] - now.box_px[:2]).max())
    for left, right in SIDES:
        if min(before.score[left + right].min(), now.score[left + right].min()) <= 0:
            continue
        apart = np.linalg.norm(now.joints_px[left] - now.joints_px[right], axis=-1).max()
        kept = np.linalg.norm(now.joints_px[left + right] - before.joints_px[left + right], axis=-1).sum()
        exchanged = np.linalg.norm(now.joints_px[left + right] - before.joints_px[right + left], axis=-1).sum()
        count += bool(apart > 0.08 * size and exchanged < 0.5 * kept)
    return count
