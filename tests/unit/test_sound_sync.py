"""Sound and picture stay together in the render, wherever each of them begins and whatever their stamps do."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sasmamba.app.io.mp4 import Mp4Sink
from sasmamba.app.io.sound import steadied
from sasmamba.app.io.video_file import VideoFile

FPS, FRAMES, FLASH_S, RATE = 25, 75, 2.0, 48000
#: No ear notices less, and one frame is longer.
IN_SYNC_S = 0.02


def write_flash_and_click(
    path: Path,
    codec: str,
    *,
    starts_s: Fraction = Fraction(0),
    picture_from_s: float = 0.0,
    sound_from_s: float = 0.0,
    rate: int = RATE,
) -> None:
    """Black pictures with a white one at 2 s and silence with a click there; each may begin later than the other.

    starts_s: what the clock says at the beginning. Pictures before picture_from_s are left out, key frame and all.
    """
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.gop_size = 13
        sound: Any = out.add_stream(codec, rate=rate, layout="mono")
        packets: list[Any] = []
        for i in range(FRAMES):
            white = i == round(FLASH_S * FPS)
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 255 * white, np.uint8), format="rgb24")
            picture.pts, picture.time_base = i, Fraction(1, FPS)
            packets += video.encode(picture)
        packets += video.encode(None)
        packets = [p for p in packets if p.pts * p.time_base >= picture_from_s]
        wave = np.zeros(rate * FRAMES // FPS, np.float32)
        click = round(FLASH_S * rate)
        wave[click : click + 960] = 0.8 * np.sin(np.arange(960) * 0.3)
        resampler = av.AudioResampler(
            sound.format, sound.layout, rate, frame_size=sound.codec_context.frame_size or 960
        )
        pieces: list[Any] = []
        for start in range(round(sound_from_s * rate), len(wave), 960):
            piece = av.AudioFrame.from_ndarray(wave[None, start : start + 960], format="flt", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = rate, start, Fraction(1, rate)
            pieces += resampler.resample(piece)
        for piece in [*pieces, *resampler.resample(None)]:
            packets += sound.encode(piece)
        packets += sound.encode(None)
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            packet.pts += round(starts_s / packet.time_base)
            packet.dts += round(starts_s / packet.time_base)
            out.mux(packet)


def rendered(source: Path, out: Path, **part: float) -> tuple[float, float]:
    """When the flash is seen and the click heard in the render of a file, seconds."""
    with VideoFile(source, **part) as video:
        frames = list(video)
        end_s = frames[-1].time_s + 1 / video.meta.fps + video.clock_s
        size = video.meta.width, video.meta.height
        with Mp4Sink(out, *size, video.meta.fps, source, video.clock_s, end_s) as sink:
            for frame in frames:
                sink.write(frame.bgr, frame.time_s)
        assert sink.problems == []
    return flash_and_click(out)


def flash_and_click(path: Path) -> tuple[float, float]:
    with av.open(str(path)) as file:
        flash = next(float(f.time) for f in file.decode(video=0) if f.to_ndarray(format="gray").mean() > 128)
    with av.open(str(path)) as file:
        for frame in file.decode(audio=0):
            loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.2)
            if len(loud):
                return flash, float(frame.time) + float(loud[0]) / frame.sample_rate
    raise AssertionError("no click in the sound")


KINDS: dict[str, dict[str, Any]] = {
    "together from 0": {},
    "clock starts at 3600 s": {"starts_s": Fraction(3600)},
    "clock starts at a third of a second": {"starts_s": Fraction(1, 3)},
    "begins inside a GOP": {"picture_from_s": 0.2, "starts_s": Fraction(1, 3)},
    "picture later": {"picture_from_s": 1.0},
    "sound later": {"sound_from_s": 0.7},
    "sound later, clock starts at 3600 s": {"sound_from_s": 0.7, "starts_s": Fraction(3600)},
}


@pytest.mark.parametrize("part", [{}, {"start_s": 0.6}], ids=["whole", "part"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mkv", "aac"), (".mp4", "aac"), (".mov", "pcm_s16le"), (".mkv", "libopus"), (".ts", "aac")]
)
def test_flash_and_click(tmp_path: Path, suffix: str, codec: str, kind: str, part: dict[str, float]) -> None:
    source = tmp_path / f"in{suffix}"
    write_flash_and_click(source, codec, **KINDS[kind])
    flash, click = rendered(source, tmp_path / "out.mp4", **part)
    assert abs(click - flash) <= IN_SYNC_S


class Piece:
    """What `steadied` needs of decoded sound: 20 ms of it."""

    samples, sample_rate, time_base = 960, 48000, Fraction(1, 1000)

    def __init__(self, pts: int | None) -> None:
        self.pts = pts


@pytest.mark.parametrize("rate", [4000, 12345, 44099, 47999, 96000])
def test_rates_that_aac_does_not_have(tmp_path: Path, rate: int) -> None:
    """The encoder refused them after all the work: "Invalid argument"."""
    write_flash_and_click(tmp_path / "v.mkv", "pcm_s16le", rate=rate)
    flash, click = rendered(tmp_path / "v.mkv", tmp_path / "r.mp4")
    assert abs(flash - click) <= IN_SYNC_S


def times_ms(stamps: list[int | None]) -> list[float]:
    return [round(float(1000 * time), 3) for _, time in steadied(map(Piece, stamps))]


@pytest.mark.parametrize(
    ("stamps", "heard"),
    [
        pytest.param([0, 20, 40, 60], [0, 20, 40, 60], id="right"),
        pytest.param([0, 21, 39, 61, 80], [0, 20, 40, 60, 80], id="rounded"),
        pytest.param([14, 74, 94, 54, 94, *range(114, 300, 20)], [*range(14, 300, 20)], id="back and forth"),
        pytest.param([0, 20, 999_040, 60, 80, 100], [0, 20, 40, 60, 80, 100], id="one that is wild"),
        pytest.param(
            [*range(0, 200, 20), *range(5000, 5200, 20)],
            [*range(0, 200, 20), *range(5000, 5200, 20)],
            id="seconds not recorded",
        ),
        pytest.param([*range(9000, 9200, 20), *range(0, 200, 20)], [*range(9000, 9400, 20)], id="set back"),
        pytest.param([None, None, 40, 60], [0, 20, 40, 60], id="some without"),
    ],
)
def test_stamps_that_are_not_right(stamps: list[int | None], heard: list[float]) -> None:
    assert times_ms(stamps) == heard


@given(st.lists(st.none() | st.integers(-(2**40), 2**40), max_size=60))
@example([0, 0, 0, 0])
def test_sound_goes_on_whatever_its_stamps_say(stamps: list[int | None]) -> None:
    times = times_ms(stamps)
    assert all(b - a >= 19.99 for a, b in itertools.pairwise(times))
    assert len(times) <= len(stamps)


@given(st.integers(0, 10**7), st.lists(st.integers(-19, 19), min_size=1, max_size=80))
@example(0, [8, 8, 8, 8, 0, 8, -13, -13, -13])
def test_jitter_moves_nothing(first: int, jitter: list[int]) -> None:
    """As far as no ear notices, the sound lies where most of its stamps say; none of it is left out."""
    times = times_ms([first + 20 * i + off for i, off in enumerate(jitter)])
    assert len(times) == len(jitter)
    assert all(abs(time - first - 20 * i) <= 40 for i, time in enumerate(times))
