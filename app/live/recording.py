"""Recordings of a live session, whose failures are told and cost the session nothing."""

from __future__ import annotations

import itertools
import logging
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from numpy.typing import NDArray

from sasmamba.app.io.renders import Mp4Sink
from sasmamba.common.errors import UserError

#: What went wrong stands in the picture for so long, in lines of so many letters.
_NOTICE_S, _NOTICE_WIDTH = 10.0, 64

_log = logging.getLogger(__name__)


class Recorder:
    """Recordings, one at a time; each becomes a whole file when it ends, however the run ends.

    One that fails (no right to write there, the disk full) is told, in the log and in the picture, and costs the
    session nothing; it leaves no file.

    Args:
        fps: of the source.
        size: width and height of the pictures, even.
        alone: nobody sees anything but the recording, so that without it there is nothing to go on for: its failure is
            raised.

    Attributes:
        files: finished recordings.
        problems: a sentence for each that failed.
    """

    def __init__(self, fps: Fraction, size: tuple[int, int], *, alone: bool) -> None:
        self._fps, self._size, self._alone = fps, size, alone
        self._sink: Mp4Sink | None = None
        self._begin: Fraction | None = None
        self._notice_until = float("-inf")
        self.files: list[str] = []
        self.problems: list[str] = []

    @property
    def on(self) -> bool:
        """Whether a recording is under way."""
        return self._sink is not None

    @property
    def notice(self) -> str:
        """What the picture should say of a recording that failed just now, in lines, or nothing."""
        recent = time.monotonic() < self._notice_until
        return "\n".join(textwrap.wrap(self.problems[-1], _NOTICE_WIDTH)) if recent else ""

    def start(self, path: Path) -> None:
        with self._failure_told():
            self._sink = Mp4Sink(path, *self._size, self._fps).__enter__()
            self._begin = None

    def write(self, picture: NDArray, time_s: Fraction) -> None:
        """Adds a picture to the recording, if there is one."""
        if self._sink is None:
            return
        self._begin = time_s if self._begin is None else self._begin
        with self._failure_told():
            try:
                self._sink.write(picture, time_s - self._begin)
            except BaseException as error:
                sink, self._sink = self._sink, None
                sink.__exit__(type(error), error, error.__traceback__)
                raise

    def stop(self) -> None:
        """Ends the recording; one without a picture leaves no file."""
        if self._sink is None:
            return
        sink, self._sink = self._sink, None
        with self._failure_told():
            sink.__exit__(None, None, None)
            if sink.frames:
                self.files.append(str(sink.path))

    def toggle(self) -> None:
        """Begins a recording in the current folder, named after the time, or ends the one under way."""
        if self.on:
            self.stop()
        else:
            self.start(_unused(time.strftime("live_%Y%m%d-%H%M%S")))

    @contextmanager
    def _failure_told(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if self._alone:
                raise
            sentence = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}."
            # whatever it is, a bug included, it is told; what people watch goes on
            self.problems.append(f"Not recorded: {sentence}")
            self._notice_until = time.monotonic() + _NOTICE_S
            _log.warning("%s", self.problems[-1])


def _unused(stem: str) -> Path:
    """A name for a recording that no file has: two can begin within a second."""
    path = Path(f"{stem}.mp4")
    for number in itertools.count(2):
        if not path.exists():
            break
        path = Path(f"{stem}-{number}.mp4")
    return path
