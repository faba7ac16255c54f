"""Ctrl-C as a request that work asks about, not as an exception."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether the user has asked to stop; a first Ctrl-C asks, a second one does not ask."""

    def __init__(self) -> None:
        self.asked = False

    @classmethod
    @contextmanager
    def on_interrupt(cls) -> Iterator[Stop]:
        """Listens for Ctrl-C while the block runs (in the main thread; elsewhere it only passes a Stop on)."""
        stop = cls()
        if threading.current_thread() is not threading.main_thread():
            yield stop
            return

        def ask(number: int, frame: FrameType | None) -> None:
            if stop.asked:
                raise KeyboardInterrupt
            stop.asked = True

        before = signal.signal(signal.SIGINT, ask)
        try:
            yield stop
        finally:
            signal.signal(signal.SIGINT, before)
