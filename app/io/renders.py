"""Where results go: each sink is a context manager that leaves a whole file or none."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from sasmamba.app.io.gif import GifSink
from sasmamba.app.io.mp4 import Mp4Sink


def open_render(
    path: Path, width: int, height: int, fps: Fraction, audio_from: Path | None, start_s: Fraction, end_s: Fraction
) -> Mp4Sink | GifSink:
    """The sink for a render, by suffix: .gif is a silent animation, anything else H.264 in mp4 with sound."""
    if path.suffix.lower() == ".gif":
        return GifSink(path, width, height, fps)
    return Mp4Sink(path, width, height, fps, audio_from, start_s, end_s)
