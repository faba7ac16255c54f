"""How far a download is, told every few seconds with the time left."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Seconds between two sentences.
TELL_EVERY_S = 5.0
#: No time left is told from less of a file than this: the first bytes come slowly.
LEAST_PART = 0.02


class Advance:
    """Tells of a download's megabytes; call it with the bytes that are here as often as they grow.

    Args:
        size: bytes of the whole file, None where nobody knows.
        have: bytes that were here before, which say nothing of the speed.
        tell: takes a sentence.
    """

    def __init__(self, size: int | None, have: int, tell: Callable[[str], None]) -> None:
        self._size, self._have, self._tell = size, have, tell
        self._begin = self._told = time.monotonic()
        self._whole = False

    def __call__(self, got: int) -> None:
        now = time.monotonic()
        if now - self._told < TELL_EVERY_S or self._whole:
            return
        self._told = now
        if self._size is None:
            self._tell(f"  {got / 1e6:.0f} MB")
            return
        got = min(got, self._size)
        left, self._whole = "", got == self._size
        if self._whole:
            left = ", nearly done"  # it is unpacked or checked, of which nobody knows how long it takes
        elif got - self._have > LEAST_PART * self._size:
            seconds = (self._size - got) * (now - self._begin) / (got - self._have)
            left = f", {seconds:.0f} s left" if seconds < 100 else f", {seconds / 60:.0f} min left"
        self._tell(f"  {got / 1e6:.0f} of {self._size / 1e6:.0f} MB{left}")
