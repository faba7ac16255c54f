"""When the pictures of a file are due that is played at its own pace."""

from __future__ import annotations

from fractions import Fraction

#: A file's next picture is waited for so long, or so many of its usual periods; longer holes in its clock are skipped.
_LONGEST_HOLE_S, _LONGEST_HOLE_PERIODS = 10.0, 4
#: A picture that comes later than this holds the file's clock up: what is behind for good must not fall further behind.
LATEST_S = 0.5


class Pace:
    """When each picture of a file is due, if the file is played at its own pace.

    Its clock may have holes, of hours or of centuries where a stamp is damaged, and may begin anew: neither is waited
    for, and what follows keeps its pace. Where pictures come too late again and again, since decoding them takes longer
    than they are shown, the file is played as fast as that goes.

    Attributes:
        held_up_s: seconds by which pictures that came too late have held up the clock, altogether.
    """

    def __init__(self, fps: Fraction) -> None:
        self._hole_s = max(_LONGEST_HOLE_S, _LONGEST_HOLE_PERIODS / float(fps))
        self._zero: float | None = None  # when the file's clock stood at zero
        self._last = float("-inf")
        self.held_up_s = 0.0

    def __call__(self, time_s: float, now: float) -> float:
        """The moment, on the clock of `now`, when the picture of `time_s` is due: not before `now` - LATEST_S."""
        hole = self._zero is None or self._zero + time_s - now > self._hole_s
        if hole or time_s < self._last:
            self._zero = now - time_s
        self._last = time_s
        assert self._zero is not None
        late_s = now - (self._zero + time_s)
        if late_s > LATEST_S:
            self.held_up_s += late_s
            self._zero += late_s
            return now
        return now if hole else self._zero + time_s
