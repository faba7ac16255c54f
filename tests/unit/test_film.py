"""The film among a file's streams, its rate as its times say, and the length that is no damage."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from helpers_video import write_video

from sasmamba.app.io.mp4 import Mp4Sink
from sasmamba.app.io.video_file import VideoFile
from sasmamba.common.errors import UserError


def write_at(path: Path, times_ms: list[int], *, codec: str = "mjpeg", rate: int = 1000, start_ms: int = 0) -> Path:
    """Pictures at these times in milliseconds, in a container that is told nothing of a rate but `rate`."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=rate)
        stream.width, stream.height = 32, 32
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for i, time in enumerate(times_ms):
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), i * 3 % 250, np.uint8), format="rgb24")
            picture.pts, picture.time_base = time, Fraction(1, 1000)
            for packet in stream.encode(picture):
                packet.pts = packet.dts = round(packet.pts * packet.time_base * 1000) + start_ms
                packet.time_base = Fraction(1, 1000)
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return path


def even(fps: float, frames: int = 90) -> list[int]:
    return [round(1000 * i / fps) for i in range(frames)]


def jittering(frames: int = 90) -> list[int]:
    noise = random.Random(0)
    return [round(1000 * i / 30 + noise.uniform(-12, 12)) + 20 for i in range(frames)]


@pytest.mark.parametrize(
    ("times", "fps", "within"),
    [
        pytest.param(even(30), 30, 0.02, id="browser, clock of 1000"),
        pytest.param(jittering(), 30, 0.02, id="browser, jittering"),
        pytest.param(even(7.5), 7.5, 0.02, id="slow"),
        pytest.param(even(240), 240, 0.02, id="fast"),
        pytest.param([*even(30, 20), *(7_200_000 + t for t in even(30, 20))], 30, 0.02, id="hole of two hours"),
        pytest.param([t for i, t in enumerate(even(30, 120)) if i % 17], 30, 0.08, id="frames dropped"),
        pytest.param([0, 20_000, 40_000, 60_000], 0.05, 0.01, id="time lapse"),
        pytest.param([0, 33], 30, 0.02, id="two frames"),
    ],
)
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_the_rate_is_what_the_times_say(
    tmp_path: Path, suffix: str, times: list[int], fps: float, within: float
) -> None:
    with VideoFile(write_at(tmp_path / f"a{suffix}", times)) as video:
        assert float(video.meta.fps) == pytest.approx(fps, rel=within)
        assert len(list(video)) == len(times)
        assert video.problems == []


@pytest.mark.parametrize("fps", [1, 12, Fraction(24000, 1001), Fraction(30000, 1001), 60, 240, 1000, 2000], ids=str)
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_rates_that_are_named_are_exact(tmp_path: Path, suffix: str, fps: Fraction | int) -> None:
    assert VideoFile(write_video(tmp_path / f"a{suffix}", 12, fps=fps)).meta.fps == fps


@pytest.mark.parametrize("start_ms", [0, 40, 3_600_000, 90_000_000])
def test_a_clock_may_start_at_any_time(tmp_path: Path, start_ms: int) -> None:
    with VideoFile(write_at(tmp_path / "a.mkv", even(25, 25), start_ms=start_ms)) as video:
        times = [frame.time_s for frame in video]
        assert video.problems == []
        assert video.clock_s == Fraction(start_ms, 1000)
    assert times == [Fraction(40 * i, 1000) for i in range(25)]


def test_a_file_cut_off_is_damaged_wherever_its_clock_starts(tmp_path: Path) -> None:
    path = write_at(tmp_path / "a.mkv", even(25, 100), start_ms=3_600_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with VideoFile(path) as video:
        frames = sum(1 for _ in video)
    assert video.problems == [
        f"a.mkv is damaged: it ends after {(frames - 1) / 25:.1f} of 4.0 s ({frames} frames could be read)."
    ]


@pytest.mark.parametrize("hours", [7, 23, 24 * 365 * 300], ids="{} h".format)
@pytest.mark.parametrize("fps", [Fraction(25), Fraction(24000, 1001), Fraction(2997, 100)], ids=str)
def test_holes_of_hours_can_be_written(tmp_path: Path, hours: int, fps: Fraction) -> None:
    """The format counts a picture's ticks in 32 bits; a clock that leaps for centuries is broken and shortened."""
    write_at(tmp_path / "a.mkv", [0, 40, 80, hours * 3_600_000, hours * 3_600_000 + 40])
    frames = list(VideoFile(tmp_path / "a.mkv"))
    hole = min(hours * 3600, 24 * 3600)
    assert float(frames[3].time_s) == pytest.approx(hole, abs=1)
    with Mp4Sink(tmp_path / "out.mp4", 32, 32, fps) as sink:
        for frame in frames:
            sink.write(frame.bgr, frame.time_s)
    with av.open(str(tmp_path / "out.mp4")) as file:
        times = [float(f.time) for f in file.decode(video=0)]
        assert float(file.duration) / 1e6 == pytest.approx(float(frames[-1].time_s + 1 / fps), abs=0.01)
    assert times[-1] == pytest.approx(float(frames[-1].time_s), abs=1e-3)
    assert all(a < b for a, b in itertools.pairwise(times))


def two_films(path: Path, *, thumbnail_frames: int = 20) -> Path:
    """A small stream before a larger one, which is white."""
    with av.open(str(path), "w") as out:
        streams: list[Any] = []
        for width, height in ((64, 48), (128, 96)):
            stream: Any = out.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            streams.append(stream)
        for i in range(20):
            for stream, grey in zip(streams, (40, 235), strict=True):
                if stream is streams[0] and i >= thumbnail_frames:
                    continue
                rgb = np.full((stream.height, stream.width, 3), grey, np.uint8)
                picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
                picture.pts, picture.time_base = i, Fraction(1, 25)
                out.mux(stream.encode(picture))
        for stream in streams:
            out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("stream", "size", "remarks"),
    [
        (None, (128, 96), 1),
        (0, (64, 48), 0),
        (1, (128, 96), 0),
    ],
)
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi"])
def test_which_stream_is_read(
    tmp_path: Path, suffix: str, stream: int | None, size: tuple[int, int], remarks: int
) -> None:
    with VideoFile(two_films(tmp_path / f"a{suffix}"), stream=stream) as video:
        assert (video.meta.width, video.meta.height) == size
        assert {f.bgr.shape[1::-1] for f in video} == {size}
        assert len(video.remarks) == remarks
    for sentence in video.remarks:
        assert sentence.startswith("a" + suffix + " holds 2 films; stream 1 (128×96) was read, --stream takes another")


def test_a_cover_is_no_film_however_large(tmp_path: Path) -> None:
    """One picture, larger than the film, in a stream that nothing marks as a cover."""
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        cover: Any = out.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 400, 400, "yuvj420p"
        film: Any = out.add_stream("mpeg4", rate=25)
        film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        out.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((400, 400, 3), np.uint8), format="rgb24")))
        for i in range(20):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 9 * i, np.uint8), format="rgb24")
            picture.pts, picture.time_base = i, Fraction(1, 25)
            out.mux(film.encode(picture))
        out.mux([*film.encode(None), *cover.encode(None)])
    with VideoFile(tmp_path / "a.mkv") as video:
        assert (video.meta.width, video.meta.height, len(list(video))) == (64, 48, 20)
        assert video.remarks == ()


def test_a_stream_that_is_not_there(tmp_path: Path) -> None:
    path = two_films(tmp_path / "a.mkv")
    with pytest.raises(UserError, match="has no video stream 7; there is 0 \\(64×48\\), 1 \\(128×96\\)") as told:
        VideoFile(path, stream=7)
    assert told.value.exit_code == 2


def numbered(folder: Path) -> str:
    for i in (3, 4, 5, 6):
        cv2.imwrite(str(folder / f"frame_{i:04d}.png"), np.full((30, 40, 3), 10 * i, np.uint8))
    cv2.imwrite(str(folder / "frame_0001b.png"), np.zeros((30, 40, 3), np.uint8))
    return "frame_%04d.png"


def percent(folder: Path) -> str:
    cv2.imwrite(str(folder / "100%d.png"), np.full((30, 40, 3), 70, np.uint8))
    return "100%d.png"


@pytest.mark.parametrize(("make", "greys"), [(numbered, [30, 40, 50, 60]), (percent, [70])], ids=["pattern", "name"])
def test_numbered_pictures(tmp_path: Path, make: Callable[[Path], str], greys: list[int]) -> None:
    with VideoFile(tmp_path / make(tmp_path)) as video:
        assert [round(float(frame.bgr.mean())) for frame in video] == greys
        assert (video.meta.fps, video.has_audio) == (25, False)


@pytest.mark.parametrize("growing", [False, True], ids=["as it was", "grown"])
def test_a_file_that_changes_is_noticed(tmp_path: Path, growing: bool) -> None:
    path = write_video(tmp_path / "a.mkv", 5)
    with VideoFile(path) as video:
        list(video)
        if growing:
            with path.open("ab") as file:
                file.write(b"more")
        assert bool(video.changed()) == growing


@pytest.mark.parametrize("wait_s", [3600, 12 * 3600])
def test_a_picture_every_so_many_hours(tmp_path: Path, wait_s: int) -> None:
    with Mp4Sink(tmp_path / "out.mp4", 32, 32, Fraction(1, wait_s)) as sink:
        for i in range(4):
            sink.write(np.full((32, 32, 3), 60 * i, np.uint8), Fraction(i * wait_s))
    seen = {round(float(f.bgr.mean()), -1): float(f.time_s) for f in reversed(list(VideoFile(tmp_path / "out.mp4")))}
    assert seen == pytest.approx({60.0 * i: i * wait_s for i in range(4)})


@pytest.mark.parametrize(
    ("fps", "times_s"),
    [
        (Fraction(811, 4837771), [0, Fraction("5965.2")]),  # a clock of 72,990,000 ticks a second
        (Fraction(2000), [0, 1, Fraction("1.0001")]),
        (Fraction(4020381), [0]),
        (Fraction(10**7), [0, 6622]),
        (Fraction(30000), [0, 1420, 1420 + Fraction(1, 10**5)]),
    ],
    ids=str,
)
def test_every_picture_is_shown_whatever_the_rate(tmp_path: Path, fps: Fraction, times_s: list[Fraction]) -> None:
    with Mp4Sink(tmp_path / "out.mp4", 64, 48, fps) as sink:
        for time_s in times_s:
            sink.write(np.zeros((48, 64, 3), np.uint8), Fraction(time_s))
    with av.open(str(tmp_path / "out.mp4")) as played:  # which shows what it is told to show, not what there is
        shown = np.array([float(picture.time or 0) for picture in played.decode(video=0)])
    assert len(shown) >= len(times_s)  # more where there is a hole
    assert all(np.abs(shown - float(time_s)).min() < 2e-5 for time_s in times_s)
