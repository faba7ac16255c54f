"""Small videos made on the spot, each frame recognisable by its grey level."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray


def grey_of(index: int) -> int:
    """Grey level of frame `index` of the videos made here."""
    return 30 + (index * 8) % 190


def write_video(
    path: Path,
    frames: int = 20,
    *,
    size: tuple[int, int] = (64, 48),
    fps: Fraction | int = 25,
    times: list[Fraction] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    gop: int = 5,
    aspect: Fraction | None = None,
    audio: str | None = None,
    container_options: dict[str, str] | None = None,
    corner: bool = False,
    title: str = "",
) -> Path:
    """Writes plain grey frames (`grey_of`), with a white top-left quarter if `corner`, and a 440 Hz tone if `audio`."""
    rate = Fraction(fps)
    ticks = 90000 if times else rate.numerator
    with av.open(str(path), "w", options=container_options or {}) as out:
        out.metadata["title"] = title
        stream: Any = out.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.codec_context.gop_size = gop
        if codec == "libx264":
            stream.options = {"crf": "10", "preset": "ultrafast"}
        if times:
            stream.codec_context.time_base = Fraction(1, ticks)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        sound: Any = out.add_stream(audio, rate=44100, layout="mono") if audio else None
        if sound is not None:
            add_tone(out, sound, seconds=frames / float(rate))
        for index in range(frames):
            rgb = np.full((size[1], size[0], 3), grey_of(index), np.uint8)
            if corner:
                rgb[: size[1] // 2, : size[0] // 2] = 255
            picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pix_fmt)
            if times:
                picture.pts, picture.time_base = round(times[index] * ticks), Fraction(1, ticks)
            else:
                picture.pts, picture.time_base = index, 1 / rate
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return path


def add_tone(out: Any, stream: Any, seconds: float, rate: int = 44100) -> None:
    """Encodes a 440 Hz tone into an audio stream; any sample format."""
    samples = np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    size = stream.codec_context.frame_size or 1024
    resampler = av.AudioResampler(stream.format, stream.layout, rate, frame_size=size)
    for start in range(0, len(samples), 4410):
        part = (samples[start : start + 4410] * 12000).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        for piece in resampler.resample(frame):
            out.mux(stream.encode(piece))
    for piece in resampler.resample(None):
        out.mux(stream.encode(piece))
    out.mux(stream.encode(None))


def write_sound_only(path: Path, codec: str = "aac", seconds: float = 0.5) -> Path:
    with av.open(str(path), "w") as out:
        add_tone(out, out.add_stream(codec, rate=44100, layout="mono"), seconds)
    return path


#: Display matrices (a, b, c, d) as phones write them: how the stored picture must be turned to stand upright.
MATRICES = {
    "upright": (1, 0, 0, 1),
    "quarter turn right": (0, 1, -1, 0),
    "half turn": (-1, 0, 0, -1),
    "quarter turn left": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
}


def set_display_matrix(path: Path, matrix: tuple[int, int, int, int], width: int, height: int) -> None:
    """Patches the track header of an mp4's first track, independently of any library."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    assert data[at] == 0, "want a version 0 track header"
    at += 4 + 20 + 8 + 8  # flags, times and ids, reserved, layer and volume
    a, b, c, d = matrix
    x, y = (height if c < 0 else width if a < 0 else 0), (width if b < 0 else height if d < 0 else 0)
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, x << 16, y << 16, 1 << 30)
    path.write_bytes(bytes(data))


def corner_of(bgr: NDArray[np.uint8]) -> str:
    """Which corner is white."""
    height, width = bgr.shape[:2]
    quarters = {
        "top left": bgr[: height // 2, : width // 2],
        "top right": bgr[: height // 2, width // 2 :],
        "bottom left": bgr[height // 2 :, : width // 2],
        "bottom right": bgr[height // 2 :, width // 2 :],
    }
    return max(quarters, key=lambda name: float(quarters[name].mean()))
