"""A small moving picture for a web page or a message."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from math import floor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.common.files import atomic_path, disk_errors_explained

MAX_FPS = 15
MAX_WIDTH = 960
#: Times in a gif are whole hundredths of a second, and 16 bits count them: about eleven minutes.
_TICKS, _LONGEST_TICKS = 100, 65535


class GifSink:
    """Writes pictures as a looping gif: 256 colours, at most 15 pictures a second, at most 960 pixels wide.

    No picture is shown for longer than eleven minutes, which is as far as the format counts.

    Same door as `Mp4Sink`; sound is not possible and `audio_from` is ignored. All pictures are held in memory
    (about 0.3 MB each) until the end, so this is for clips of seconds, not of hours.

    Raises:
        ValueError: a picture of another size or type, or times that do not increase.
        UserError: the file cannot be written.
    """

    def __init__(
        self,
        path: Path | str,
        width: int,
        height: int,
        fps: Fraction,
        audio_from: Path | str | None = None,
        audio_start_s: Fraction | float = 0,
        audio_end_s: Fraction | float | None = None,
    ) -> None:
        if width < 1 or height < 1 or fps <= 0:
            raise ValueError(f"gif: want a size and a rate above 0, got {width}×{height} at {fps}")
        self.path = Path(path)
        self.problems: list[str] = []
        self.frames = 0
        self._size = (height, width, 3)
        scale = min(1.0, MAX_WIDTH / width)
        self._shape = (max(1, round(width * scale)), max(1, round(height * scale)))
        self._fps = Fraction(fps)
        self._durations_ms: list[int] = []
        self._last_time, self._last_slot, self._last_tick = Fraction(-1), -1, 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        import imageio.v3 as iio

        with ExitStack() as stack:
            self._temporary = stack.enter_context(atomic_path(self.path))
            with disk_errors_explained(self.path, self._temporary):
                self._writer: Any = iio.imopen(self._temporary, "w", plugin="pillow", extension=".gif")
            stack.callback(self._drop_writer)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack, disk_errors_explained(self.path, self._temporary):
            if not self.frames:
                return
            end = self._last_tick + max(2, round(_TICKS / min(self._fps, Fraction(MAX_FPS))))
            self._show_until(end)
            if self.frames == 1:  # Pillow takes a list of durations for moving pictures only
                self._writer.save_args["duration"] = self._durations_ms[0]
            self._writer.close()

    def write(self, bgr: NDArray[np.uint8], time_s: Fraction) -> None:
        """Appends a picture (height, width, 3) uint8 BGR shown from time_s on, or passes over it to keep the rate."""
        if bgr.shape != self._size or bgr.dtype != np.uint8:
            raise ValueError(f"picture: want {self._size} uint8, got {bgr.shape} {bgr.dtype}")
        if time_s <= self._last_time:
            raise ValueError(f"time_s: want more than {self._last_time}, got {time_s}")
        self._last_time = Fraction(time_s)
        slot = floor(self._last_time * MAX_FPS)
        if slot == self._last_slot:
            return
        tick = round(self._last_time * _TICKS)
        if self.frames:
            self._show_until(tick)
        rgb = cv2.cvtColor(cv2.resize(bgr, self._shape, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
        # The writer keeps the list of durations by reference and reads it when closed, by then complete.
        self._writer.write(rgb, is_batch=False, bits=8, duration=self._durations_ms, loop=0)
        self._last_slot, self._last_tick = slot, tick
        self.frames += 1

    def _show_until(self, tick: int) -> None:
        """How long the last picture is shown: till the next, if the format can say so."""
        self._durations_ms.append(min(tick - self._last_tick, _LONGEST_TICKS) * 1000 // _TICKS)

    def _drop_writer(self) -> None:
        """Closes the writer without writing what it holds; after a clean close this does nothing."""
        self._writer.images_to_write.clear()
        self._writer.close()
