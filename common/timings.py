"""Seconds spent per stage."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Timings:
    """Seconds spent per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start

    def waiting(self, stage: str, items: Iterator[Any]) -> Iterator[Any]:
        """Passes items on and books the time spent waiting for them."""
        while True:
            with self(stage):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item

    def per_frame_ms(self, analysed: int, written: int) -> dict[str, float]:
        """Milliseconds per frame of every stage; "read" is what was spent waiting for frames, in both readings."""
        frames = {"draw": written, "encode": written}
        return {stage: 1000 * s / max(frames.get(stage, analysed), 1) for stage, s in self.seconds.copy().items()}
