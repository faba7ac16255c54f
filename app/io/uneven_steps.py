"""Tells in which frames all that moves does so farther than around them: where pictures of a film were left out.

A film of 30 pictures a second is made one of 25 or 24 by leaving out every sixth or fifth. Between the two beside a
left-out one everything moves twice as far, and more of each picture is new, which looks like a cut; but it moves the
way that it does in the frames around, and after a cut it does not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from fractions import Fraction
from statistics import median

import numpy as np

from sasmamba.common.arrays import FloatArray

#: A frame is compared with so many before it, and so many after.
AROUND = 2
#: Of these, frames of which less than this changes are the same picture once more.
SAME = 4e-4
#: Pixels of a small picture: what moves by less does not count.
MOVED_PX = 0.1
#: An amount that is always there, by noise and coding.
ALWAYS = 3e-4
#: Where a picture was left out so many times as much changes as around.
LEAST_TIMES, MOST_TIMES = 1.5, 4.0
#: And motion is as much the same: surely, or where it is known that pictures of this film were left out.
SURELY_ALIKE, LIKELY_ALIKE = 0.5, 0.3
#: It is known by two that are sure within so many seconds.
KNOWN_BY, KNOWN_S = 2, 3.0


class FilmStep:
    """How a frame goes on from the one before, compared with the frames around it that are known yet.

    Args:
        amount: how much of it is new.
        motion: (h, w, 2) what moved where, pixels of a small picture.

    Attributes:
        times: the amount as a multiple of theirs.
    """

    def __init__(self, amount: float, motion: FloatArray) -> None:
        self.amount = amount
        self.times = 1.0
        self._motion = motion
        self._before: list[FloatArray] = []
        self._after: list[FloatArray] = []
        self._alike: float | None = 0.0

    def compare(self, before: Iterable[FilmStep], after: Iterable[FilmStep]) -> None:
        """Takes the frames around it anew."""
        changed = [[step for step in side if step.amount > SAME] for side in (before, after)]
        if any(changed):
            self.times = self.amount / (median(step.amount for side in changed for step in side) + ALWAYS)
            self._before, self._after = ([step._motion for step in side] for side in changed)
            self._alike = None

    @property
    def alike(self) -> float:
        """Mean cosine between where things move and where they do around, -1 to 1; 0 where nothing moves."""
        if self._alike is None:  # asked for of few frames
            self._alike = self._alike_to([*self._before, *self._after])
        return self._alike

    @property
    def alike_to_a_side(self) -> float:
        """The same, with the frames before or those after, whichever it goes on with."""
        return max(self._alike_to(side) for side in (self._before, self._after))

    def _alike_to(self, motions: list[FloatArray]) -> float:
        if not motions:
            return 0.0
        usual = np.median(motions, axis=0)
        speed, usual_speed = (np.sqrt((m * m).sum(-1)) for m in (self._motion, usual))
        faster = np.maximum(speed, usual_speed)
        weights = np.sqrt(np.where(faster > MOVED_PX, faster, 0))
        cosine = (self._motion * usual).sum(-1) / (speed * usual_speed + 1e-6)
        return float((weights * cosine).sum() / (weights.sum() + 1e-6))

    def is_longer(self, alike: float) -> bool:
        """Whether a picture may have been left out before it, for motion that is as much the same as told."""
        return LEAST_TIMES < self.times < MOST_TIMES and self.alike > alike


class StepWatch:
    """Is told of every frame, and knows whether pictures of the film are left out now and then."""

    def __init__(self) -> None:
        self._last: deque[FilmStep] = deque(maxlen=2 * AROUND + 1)
        self._sure_s: deque[Fraction] = deque()  # when a step was surely longer

    def watch(self, time_s: Fraction, amount: float, motion: FloatArray) -> FilmStep:
        """Takes the next frame; the step that is returned is compared once more as the next AROUND frames come."""
        step = FilmStep(amount, motion)
        self._last.append(step)
        last = list(self._last)
        for at in range(max(0, len(last) - 1 - AROUND), len(last)):
            last[at].compare(last[max(0, at - AROUND) : at], last[at + 1 : at + 1 + AROUND])
        if len(last) > AROUND and last[-1 - AROUND].is_longer(SURELY_ALIKE):
            self._sure_s.append(time_s)
        while self._sure_s and time_s - self._sure_s[0] > KNOWN_S:
            self._sure_s.popleft()
        return step

    @property
    def alike(self) -> float:
        """How much the same as around motion must be for a picture to have been left out."""
        newest = list(self._last)[-AROUND:]
        sure = len(self._sure_s) + sum(step.is_longer(SURELY_ALIKE) for step in newest)
        return LIKELY_ALIKE if sure >= KNOWN_BY else SURELY_ALIKE
