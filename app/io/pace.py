"""When the pictures of a file are due that is played at its own pace."""

from __future__ import annotations

from fractions import Fraction

#: A file's next picture is waited for so long, or so many of its usual periods; longer holes in its clock are skipped.
_LONGEST_HOLE_S, _LONGEST_HOLE_PERIODS = 10.0, 4


class Pace:
    """When each picture of a file is due, if the file is played at its own pace.

    Its clock may have holes, of hours or of centuries where a stamp is damaged, and may begin anew: neither is waited
    for, and what follows keeps its pace.
    """

    def __init__(self, fps: Fraction) -> None:
        self._hole_s = max(_LONGEST_HOLE_S, _LONGEST_HOLE_PERIODS / float(fps))
        self._zero: float | None = None  # when the file's clock stood at zero
        self._last = float("-inf")

    def __call__(self, time_s: float, now: float) -> float:
        """The moment, on the clock of `now`, at which the picture of `time_s` is due; it may have passed."""
        hole = self._zero is None or self._zero + time_s - now > self._hole_s
        if hole or time_s < self._last:
            self._zero = now - time_s
        self._last = time_s
        assert self._zero is not None
        return now if hole else self._zero + time_s
