"""A person's own body while they are filmed: what the windows so far tell of it, and the newest poses fitted to it."""

from __future__ import annotations

import math

import numpy as np

from sasmamba.app.lifting.lifter import Lifter
from sasmamba.common.arrays import FloatArray
from sasmamba.models.fitted_body import FittedBody

#: Windows that tell a body at most. A fit of them takes about as long as lifting two.
MOST_WINDOWS = 4
#: Frames before those that are asked for that are fitted with them; sixty give the same.
FITTED_BEFORE = 12
#: In so many seconds most of what is newly found of a body is taken on: bones that grow at once would be seen.
_TAKEN_ON_S = 0.5


class LiveBody:
    """One person's body, fitted anew whenever a window has come that shows nothing that those before it did.

    Windows are spread over all that was seen of the person: with `MOST_WINDOWS` there, every second is dropped, and
    the next ones are taken half as often.
    """

    def __init__(self) -> None:
        self._windows: list[FloatArray] = []
        self._lifted: list[FloatArray] = []
        self._spacing, self._next = 1, 0
        self._found: FittedBody | None = None
        self._now: FittedBody | None = None
        self._share, self._time_s = 0.0, -math.inf

    def wants(self, end: int) -> bool:
        """Whether it is time for another window, which ends before that frame."""
        return end >= self._next

    def learn(self, lifter: Lifter, window: FloatArray, lifted: FloatArray, end: int) -> None:
        """Takes a window that it `wants`.

        Args:
            lifter: who lifted it, neither averaged nor refined.
            window: (T, 17, 3) x px, y px, score.
            lifted: (T, 17, 3) what it made of it, metres.
            end: number of the frame after its last.
        """
        if len(self._windows) == MOST_WINDOWS:
            self._windows, self._lifted = self._windows[::2], self._lifted[::2]
            self._spacing *= 2
        self._windows.append(window)
        self._lifted.append(lifted)
        self._next = end + self._spacing * len(window)
        self._found = lifter.body(self._windows, self._lifted) or self._found

    def fitted(self, lifter: Lifter, window: FloatArray, lifted: FloatArray, asked: int, time_s: float) -> FloatArray:
        """Poses of a window from a little before those that are asked for, fitted to this body and to what was seen.

        Args:
            lifter, window: as of `learn`.
            lifted: (N, 17, 3) what it made of the window's last N frames.
            asked: poses at the end that will be asked for.
            time_s: of the last one; must not fall.

        Returns:
            (N, 17, 3); the poses before are as they were.
        """
        if self._found is None:
            return lifted
        since = time_s - self._time_s if self._now is not None else 0.0
        share = 1 - math.exp(-since / _TAKEN_ON_S)
        before = self._now or self._found
        self._now = FittedBody(
            before.proportions + share * (self._found.proportions - before.proportions),
            before.lengths + share * (self._found.lengths - before.lengths),
        )
        self._share += share * (1 - self._share)
        self._time_s = time_s
        end = slice(-min(asked + FITTED_BEFORE, len(lifted)), None)
        fitted = lifter.quickly_refined(window[end], lifted[end], self._now)
        return np.concatenate([lifted[: len(lifted) - len(fitted)], lifted[end] + self._share * (fitted - lifted[end])])
