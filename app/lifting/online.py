"""Lifting while it happens: each person's newest frames, and a pose for the frame `lookahead` behind the newest.

A lifter that has seen what comes next knows better where a limb is now. So the look-ahead trades delay for accuracy:
0 answers at once; benchmarks/lookahead.py measures what each frame of waiting buys.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.live_body import FITTED_BEFORE, LiveBody
from sasmamba.app.lifting.offline import tracked_rows
from sasmamba.app.motion.smoothing import OneEuro
from sasmamba.app.types import Person2D, Pose3D
from sasmamba.common.arrays import FloatArray
from sasmamba.models.hidden_hips import with_trunk
from sasmamba.models.landmarks import as_captured, as_detected

#: Frames of a live window: by benchmarks/lookahead.py 81 are no more accurate, 41 cost 0.8 mm and 27 cost 2 mm.
LIVE_WINDOW = 61
#: Somebody unseen is carried for so many frames, then not shown until seen again.
CARRIED_FRAMES = 10
#: So many dropped frames in a row are bridged straight; a longer way is left to the lifter. Masked, they cost it more.
_BRIDGED_FRAMES = 9
#: No window is lifted in less, seconds.
_SHORTEST_S = 1e-6
#: What is left of a velocity, per frame, where a pose is carried beyond the last window.
_DAMPING = 0.8


def live_window(longest: int, lookahead: int) -> int:
    """Frames of a live window: as much past as future, LIVE_WINDOW at least, `longest` at most."""
    return min(longest, max(LIVE_WINDOW, 2 * lookahead + 1))


def live_lifting(lifter: Lifter, lookahead: int, fps: float) -> LiveLifting:
    """Lifting in live windows, with as much of that look-ahead as the lifter's longest window has room for."""
    lookahead = min(lookahead, lifter.frames - 2)
    return LiveLifting(lifter, lookahead=lookahead, window=live_window(lifter.frames, lookahead), fps=fps)


@dataclass(slots=True)
class _Life:
    """One person's frames, the last window's result for the newest of them, and the filter of the poses given out."""

    first: int
    rows: list[FloatArray] = field(default_factory=list)
    seen: list[bool] = field(default_factory=list)
    last_seen: int = 0
    estimate_first: int = 0
    estimate: FloatArray | None = None
    half_width_m: FloatArray | None = None
    calm: OneEuro = field(default_factory=OneEuro)
    body: LiveBody = field(default_factory=LiveBody)

    @property
    def estimate_end(self) -> int:
        """The frame after the last one that the last window saw."""
        return self.estimate_first + (0 if self.estimate is None else len(self.estimate))

    def at(self, frame: int) -> FloatArray | None:
        """The pose of a frame by the last window, carried on with a fading velocity beyond its end."""
        joints, i = self.estimate, frame - self.estimate_first
        if joints is None or i < 0:
            return None
        if i < len(joints):
            return joints[i]
        ahead = i - len(joints) + 1
        if ahead > CARRIED_FRAMES or len(joints) < 2:
            return joints[-1] if ahead <= CARRIED_FRAMES else None
        reach = _DAMPING * (1 - _DAMPING**ahead) / (1 - _DAMPING)
        return joints[-1] + np.float32(reach) * (joints[-1] - joints[-2])

    def sure_at(self, frame: int) -> FloatArray | None:
        """How sure the pose of `at` is, as far as the last window can tell."""
        widths = self.half_width_m
        return None if widths is None else widths[min(frame - self.estimate_first, len(widths) - 1)].copy()


def _between(a: FloatArray, b: FloatArray, share: np.float32) -> FloatArray:
    """Joints (17, 3) on the straight way from a to b; one that either lacks is missing."""
    row = a + share * (b - a)
    row[:, 2] = np.minimum(a[:, 2], b[:, 2])
    row[row[:, 2] <= 0] = 0
    return row


class LiveLifting:
    """Poses of tracked people, frame by frame, while frames still arrive.

    Frames are numbered on the source's own clock. A number that was never pushed is a frame that was dropped: the
    window holds it all the same, people on the straight way between the frames around, so that time is not distorted.

    Args:
        lifter: lifts one window.
        lookahead: frames after the one asked for that the lifter gets to see first; they delay the answer.
        window: frames per window; a window's cost grows with it. At least lookahead + 2.
        fps: frames per second that the numbers of frames count.
        smooth: take out the jitter between one window and the next, with the 1-Euro filter.
        fit: fit poses to each person's own body, as far as it is known by then, and to what was seen.
        max_gap: a person unseen for more frames than this starts anew.
    """

    def __init__(
        self,
        lifter: Lifter,
        *,
        lookahead: int = 0,
        window: int = 81,
        fps: float = 30.0,
        smooth: bool = True,
        fit: bool = True,
        max_gap: int = 30,
    ) -> None:
        limit = lifter.model.config.frames
        if not 2 <= window <= limit:
            raise ValueError(f"window: want 2..{limit}, got {window}")
        if not 0 <= lookahead <= window - 2:
            raise ValueError(f"lookahead: want 0..{window - 2}, got {lookahead}")
        if not fps > 0:
            raise ValueError(f"fps: want above 0, got {fps}")
        self.lifter, self.lookahead, self.window = lifter, lookahead, window
        self.fps, self.smooth, self.fit, self.max_gap = fps, smooth, fit, max_gap
        self._lives: dict[int, _Life] = {}
        self._newest = self._asked = -1
        self._window_s = _SHORTEST_S  # what a window took the last time

    def start_anew(self) -> None:
        """Forgets everybody: a new shot begins with the next frame."""
        self._lives = {}

    def push(self, frame: int, people: Iterable[Person2D]) -> None:
        """Takes one frame's tracked people; frames must come in order."""
        self.push_joints(frame, tracked_rows(people))

    def push_joints(self, frame: int, rows: dict[int, FloatArray]) -> None:
        """As `push`, for people given as H36M-17 x px, y px, score (17, 3) by track id."""
        if frame <= self._newest:
            raise ValueError(f"frame: want one after {self._newest}, got {frame}")
        self._newest = frame
        for track_id, life in list(self._lives.items()):
            # coming back after more than max_gap frames is too late, too
            if frame - life.last_seen > self.max_gap + (track_id in rows):
                del self._lives[track_id]
        if self.lifter.detected:
            rows = {track_id: as_captured(row) for track_id, row in rows.items()}
        for track_id in rows.keys() - self._lives.keys():
            self._lives[track_id] = _Life(frame)
        nothing = np.zeros((17, 3), np.float32)
        for track_id, life in self._lives.items():
            row = rows.get(track_id)
            missing = frame - life.first - len(life.rows)
            if row is not None and 0 < missing <= _BRIDGED_FRAMES and life.seen[-1]:
                before, steps = life.rows[-1], np.linspace(0, 1, missing + 2, dtype=np.float32)[1:-1]
                life.rows += [_between(before, row, share) for share in steps]
            else:
                life.rows += [nothing] * missing
            life.rows.append(nothing if row is None else row)
            life.seen += [False] * missing + [row is not None]
            if row is not None:
                life.last_seen = frame
            surplus = len(life.rows) - self.window
            if surplus > 0:
                del life.rows[:surplus], life.seen[:surplus]
                life.first += surplus

    def lift(self, budget_s: float = float("inf")) -> None:
        """Runs the windows of as many people as the time is for, whose estimate is oldest first; of one at least.

        Windows of one length share a pass. Who had to wait is carried on by `poses` from the window before.
        """
        waiting = [life for life in self._lives.values() if life.estimate_end <= self._newest]
        waiting.sort(key=lambda life: life.estimate_end if life.estimate is not None else -1)
        if not waiting:
            return
        turn = waiting[: max(1, int(min(budget_s / self._window_s, len(waiting))))]
        begin = time.perf_counter()
        windows = [with_trunk(np.stack(life.rows)) for life in turn]
        # of frames that nobody will ask for any more, those that the fit wants; all of a window that a body is told by
        asked = max(self.lookahead + 1, self._newest - self._asked)
        telling = [self.fit and len(life.rows) == self.window and life.body.wants(self._newest + 1) for life in turn]
        newest = None if any(telling) else asked + FITTED_BEFORE
        # one thread: the others belong to the 2D stage, which works meanwhile
        results = self.lifter.many(windows, threads=1, newest=newest)
        for life, window, tells, (lifted, widths) in zip(turn, windows, telling, results, strict=True):
            life.estimate, life.half_width_m = lifted, widths
            life.estimate_first = life.first + len(window) - len(lifted)
            if self.fit:
                end_s = (life.first + len(window)) / self.fps
                life.estimate = life.body.fitted(self.lifter, window, lifted, asked, end_s)
                if tells:
                    life.body.learn(self.lifter, window, lifted, self._newest + 1)
            if self.lifter.detected:
                life.estimate = as_detected(life.estimate)
        self._window_s = max(_SHORTEST_S, (time.perf_counter() - begin) / len(turn))

    def poses(self, frame: int) -> tuple[Pose3D, ...]:
        """Everybody's pose in a frame, `lookahead` or more frames behind the newest for the accuracy that promises.

        Frames must be asked for in order, each once: answers are smoothed by those before.
        """
        out = []
        self._asked = max(self._asked, frame)
        for track_id, life in self._lives.items():
            if not life.first <= frame <= life.last_seen + CARRIED_FRAMES:
                continue
            joints = life.at(frame)
            if joints is None:
                continue
            if self.smooth:
                joints = life.calm(frame / self.fps, joints)
            i = frame - life.first
            observed = i < len(life.seen) and life.seen[i]
            out.append(Pose3D(frame, track_id, joints.copy(), observed, half_width_m=life.sure_at(frame)))
        return tuple(out)
