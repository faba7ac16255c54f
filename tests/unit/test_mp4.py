"""Files written are read again by two readers: pictures, times, colours, sound, and nothing left after a failure."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from helpers_video import add_tone, grey_of, write_sound_only, write_video
from PIL import Image

from sasmamba.app.io.gif import GifSink
from sasmamba.app.io.mp4 import Mp4Sink, ticks_per_second
from sasmamba.app.io.video_file import VideoFile
from sasmamba.common.errors import UserError
from sasmamba.common.files import atomic_path

NTSC = Fraction(30000, 1001)


def plain(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), grey_of(index), np.uint8)


def write_plain(path: Path, times: list[Fraction], fps: Fraction, **options: object) -> Mp4Sink:
    with Mp4Sink(path, 64, 48, fps, **options) as sink:  # type: ignore[arg-type]
        for i, time in enumerate(times):
            sink.write(plain(i), time)
    return sink


def even_times(frames: int, fps: Fraction) -> list[Fraction]:
    return [i / fps for i in range(frames)]


@pytest.mark.parametrize("fps", [Fraction(25), NTSC, Fraction(24000, 1001), Fraction(50), Fraction(2997, 100)], ids=str)
def test_constant_rate_is_exact_for_two_readers(tmp_path: Path, fps: Fraction) -> None:
    path = tmp_path / "out.mp4"
    write_plain(path, even_times(30, fps), fps)
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert stream.average_rate == fps
        assert stream.frames == 30
        assert stream.duration * stream.time_base == 30 / fps
        assert [f.pts * f.time_base for f in file.decode(stream)] == even_times(30, fps)
    reader = cv2.VideoCapture(str(path))
    assert reader.get(cv2.CAP_PROP_FPS) == pytest.approx(float(fps), rel=1e-9)
    greys = []
    while True:
        ok, bgr = reader.read()
        if not ok:
            break
        greys.append(bgr.mean())
    np.testing.assert_allclose(greys, [grey_of(i) for i in range(30)], atol=3)


def test_variable_rate_is_exact(tmp_path: Path) -> None:
    times = [Fraction(n, 900) for n in (0, 30, 61, 62, 240, 700, 730, 1500)]
    write_plain(tmp_path / "out.mp4", times, Fraction(8 * 900, 1530))
    assert [f.time_s for f in VideoFile(tmp_path / "out.mp4")] == times


def test_times_closer_than_a_tick_are_kept_apart(tmp_path: Path) -> None:
    """A microsecond is a tenth of a tick of the only clock that fits this rate."""
    fps = Fraction(1009000000, 33633267)
    times = [*(Fraction(i, 1_000_000) for i in range(6)), 1 / fps, 2 / fps]
    write_plain(tmp_path / "out.mp4", times, fps)
    read = [f.time_s for f in VideoFile(tmp_path / "out.mp4")]
    assert read == [*(Fraction(i, 90000) for i in range(6)), *(Fraction(round(t * 90000), 90000) for t in times[6:])]


@pytest.mark.parametrize(
    ("fps", "ticks"),
    [(Fraction(25), 90000), (NTSC, 90000), (Fraction(24000, 1001), 360000), (Fraction(1234567, 41113), 90000)],
    ids=str,
)
def test_clock(fps: Fraction, ticks: int) -> None:
    assert ticks_per_second(fps) == ticks


def test_colours_survive(tmp_path: Path) -> None:
    colours = [(0, 0, 255), (0, 255, 0), (255, 0, 0), (40, 160, 220), (128, 128, 128), (255, 255, 255), (0, 0, 0)]
    with Mp4Sink(tmp_path / "out.mp4", 64, 48, Fraction(25), crf=4) as sink:
        for i, colour in enumerate(colours):
            sink.write(np.full((48, 64, 3), colour, np.uint8), Fraction(i, 25))
    with av.open(str(tmp_path / "out.mp4")) as file:
        stream = file.streams.video[0]
        context = stream.codec_context
        assert context.pix_fmt == "yuv420p"
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        # The BT.709 equations by hand, so that a wrong matrix on both ways does not cancel out.
        for frame, (b, g, r) in zip(file.decode(stream), colours, strict=True):
            luma = 16 + 219 * (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255
            assert frame.to_ndarray()[:40, :40].mean() == pytest.approx(luma, abs=3)
    for frame, colour in zip(VideoFile(tmp_path / "out.mp4"), colours, strict=True):
        np.testing.assert_allclose(frame.bgr[24, 32].astype(float), colour, atol=6)


def test_index_stands_before_the_pictures(tmp_path: Path) -> None:
    write_plain(tmp_path / "out.mp4", even_times(5, Fraction(25)), Fraction(25))
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def loud_part(path: Path) -> tuple[float, float, str]:
    """First and last moment (s, on the file's clock) at which a tone is heard, and the codec."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        at, level = [], []
        for frame in file.decode(stream):
            wave = frame.to_ndarray().astype(float)
            wave = wave.reshape(-1, frame.samples) if frame.format.is_planar else wave.reshape(frame.samples, -1).T
            if frame.format.name.startswith("s"):
                wave = wave / 32768
            at.append(float(frame.time) + np.arange(frame.samples) / frame.sample_rate)
            level.append(np.abs(wave[0]))
        moments = np.concatenate(at)[np.concatenate(level) > 0.05]
        return float(moments[0]), float(moments[-1]), stream.codec_context.codec.canonical_name


@pytest.mark.parametrize(
    ("suffix", "codec", "becomes"),
    [
        (".mp4", "aac", "aac"),
        (".mkv", "libmp3lame", "mp3"),
        (".mkv", "ac3", "aac"),
        (".mov", "alac", "aac"),
        (".mkv", "libopus", "aac"),
        (".mov", "pcm_s16le", "aac"),
        (".mkv", "flac", "aac"),
        (".ts", "aac", "aac"),
    ],
)
def test_sound_comes_along(tmp_path: Path, suffix: str, codec: str, becomes: str) -> None:
    video_codec = "mpeg2video" if suffix == ".ts" else "libx264"
    if codec == "libopus":
        source = _opus_source(tmp_path)
    else:
        source = write_video(tmp_path / f"in{suffix}", 50, codec=video_codec, audio=codec)
    sink = write_plain(tmp_path / "out.mp4", even_times(50, Fraction(25)), Fraction(25), audio_from=source)
    assert sink.problems == []
    start, end, name = loud_part(tmp_path / "out.mp4")
    assert name == becomes
    assert start == pytest.approx(0, abs=0.06)
    assert end == pytest.approx(2, abs=0.08)
    frames = list(VideoFile(tmp_path / "out.mp4"))
    assert [f.time_s for f in frames] == even_times(50, Fraction(25))


def _opus_source(folder: Path) -> Path:
    """Opus knows only a few rates; the helper's 44100 Hz is none of them."""
    silent = write_video(folder / "silent.mkv", 50)
    path = folder / "in.mkv"
    with av.open(str(silent)) as source, av.open(str(path), "w") as out:
        video = out.add_stream_from_template(source.streams.video[0])
        sound = out.add_stream("libopus", rate=48000, layout="mono")
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
        add_tone(out, sound, 2.0, rate=48000)
    return path


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_sound_is_cut_with_the_picture(tmp_path: Path, codec: str) -> None:
    source = write_video(tmp_path / "in.mov", 100, audio=codec)
    fps = Fraction(25)
    write_plain(
        tmp_path / "out.mp4", even_times(25, fps), fps, audio_from=source, audio_start_s=1, audio_end_s=Fraction(3, 2)
    )
    start, end, _ = loud_part(tmp_path / "out.mp4")
    assert start == pytest.approx(0, abs=0.06)
    assert end == pytest.approx(0.5, abs=0.06)


def test_sound_stays_with_its_picture_after_a_cut(tmp_path: Path) -> None:
    """The tone begins at 1 s; cutting from 0.6 s must leave it beginning at 0.4 s."""
    source = tmp_path / "late.mov"
    with av.open(str(source), "w") as out:
        video = out.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = out.add_stream("pcm_s16le", rate=44100, layout="mono")
        for i in range(50):
            frame = av.VideoFrame.from_ndarray(plain(i), format="bgr24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        wave = np.zeros((1, 2 * 44100), np.int16)
        wave[0, 44100:] = 12000 * np.sin(np.arange(44100) / 16)
        for start in range(0, wave.shape[1], 4410):
            piece = av.AudioFrame.from_ndarray(wave[:, start : start + 4410], format="s16", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = 44100, start, Fraction(1, 44100)
            out.mux(sound.encode(piece))
    fps = Fraction(25)
    write_plain(tmp_path / "out.mp4", even_times(30, fps), fps, audio_from=source, audio_start_s=Fraction(3, 5))
    start, _, _ = loud_part(tmp_path / "out.mp4")
    assert start == pytest.approx(0.4, abs=0.03)


def test_ending_early_ends_the_sound(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", 100, audio="aac")
    write_plain(tmp_path / "out.mp4", even_times(10, Fraction(25)), Fraction(25), audio_from=source)
    assert loud_part(tmp_path / "out.mp4")[1] == pytest.approx(0.4, abs=0.06)


def test_silent_source_is_no_problem(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", 5)
    assert write_plain(tmp_path / "out.mp4", [Fraction(0)], Fraction(25), audio_from=source).problems == []


def test_broken_sound_does_not_stop_the_video(tmp_path: Path) -> None:
    source = tmp_path / "noise.mp3"
    source.write_bytes(b"no sound at all")
    sink = write_plain(tmp_path / "out.mp4", even_times(5, Fraction(25)), Fraction(25), audio_from=source)
    assert len(sink.problems) == 1
    assert "noise.mp3" in sink.problems[0]
    assert len(list(VideoFile(tmp_path / "out.mp4"))) == 5


def test_sound_that_ends_in_noise_is_told(tmp_path: Path) -> None:
    source = write_sound_only(tmp_path / "song.mkv", "flac", 2.0)
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2] + bytes(len(data) // 2))
    sink = write_plain(tmp_path / "out.mp4", even_times(50, Fraction(25)), Fraction(25), audio_from=source)
    assert len(sink.problems) == 1
    assert len(list(VideoFile(tmp_path / "out.mp4"))) == 50


def of_an_unknown_codec(path: Path) -> None:
    write_video(path, 20, audio="pcm_s16le")
    path.write_bytes(path.read_bytes().replace(b"sowt", b"z?zz"))


def announced_only(path: Path) -> None:
    """A transport stream whose table names sound of which no packet comes."""
    write_video(path, 20, codec="mpeg2video", audio="mp2")
    data = path.read_bytes()
    packets = [data[i : i + 188] for i in range(0, len(data), 188)]
    path.write_bytes(b"".join(p for p in packets if (p[1] & 31) << 8 | p[2] != 0x101))


@pytest.mark.parametrize(("suffix", "make"), [(".mov", of_an_unknown_codec), (".ts", announced_only)])
def test_sound_that_cannot_be_had_is_told(tmp_path: Path, suffix: str, make: Callable[[Path], None]) -> None:
    make(tmp_path / f"a{suffix}")
    assert VideoFile(tmp_path / f"a{suffix}").has_audio
    sink = write_plain(tmp_path / "out.mp4", even_times(20, NTSC), NTSC, audio_from=tmp_path / f"a{suffix}")
    assert len(sink.problems) == 1
    assert "could not be taken over in full" in sink.problems[0]
    assert len(list(VideoFile(tmp_path / "out.mp4"))) == 20


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_few_frames(tmp_path: Path, frames: int) -> None:
    write_plain(tmp_path / "out.mp4", even_times(frames, NTSC), NTSC)
    assert [f.time_s for f in VideoFile(tmp_path / "out.mp4")] == even_times(frames, NTSC)


def test_no_frame_no_file(tmp_path: Path) -> None:
    write_plain(tmp_path / "out.mp4", [], Fraction(25))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError("model failed"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_nothing_is_left_after_an_exception(tmp_path: Path, error: BaseException) -> None:
    def fail() -> None:
        with Mp4Sink(tmp_path / "out.mp4", 64, 48, Fraction(25)) as sink:
            for i in range(30):
                sink.write(plain(i), Fraction(i, 25))
            raise error

    with pytest.raises(type(error)) as caught:
        fail()
    assert caught.value is error
    assert list(tmp_path.iterdir()) == []


def test_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"old")
    with Mp4Sink(path, 64, 48, Fraction(25)) as sink:
        sink.write(plain(0), Fraction(0))
        assert path.read_bytes() == b"old"
    assert len(list(VideoFile(path))) == 1


@pytest.mark.parametrize(
    ("size", "picture", "times", "says"),
    [
        ((63, 48), None, [], "want even numbers, got 63×48"),
        ((64, 48), plain(0, 66, 48), [0], "want \\(48, 64, 3\\) uint8"),
        ((64, 48), plain(0).astype(np.float32), [0], "got \\(48, 64, 3\\) float32"),
        ((64, 48), plain(0), [0, 0], "want more than 0, got 0"),
        ((64, 48), plain(0), [1, 0], "want more than 1, got 0"),
        ((64, 48), plain(0), [-1], "want more than -1/90000, got -1"),
    ],
)
def test_misuse(tmp_path: Path, size: tuple[int, int], picture: np.ndarray, times: list[int], says: str) -> None:
    def use() -> None:
        with Mp4Sink(tmp_path / "out.mp4", *size, Fraction(25)) as sink:
            for time in times:
                sink.write(picture, Fraction(time))

    with pytest.raises(ValueError, match=says):
        use()


def test_disk_full(tmp_path: Path) -> None:
    """A limit on file size stands in for a full disk; the kernel refuses the write in the same place."""
    resource = pytest.importorskip("resource")  # not on Windows
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)

    def fill() -> None:
        with Mp4Sink(tmp_path / "out.mp4", 640, 480, Fraction(25)) as sink:
            for i in range(20):
                sink.write(np.roll(noise, i, axis=0), Fraction(i, 25))

    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(UserError, match="could not be written") as caught:
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "out.mp4" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def _below_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "out.mp4"


@pytest.mark.parametrize(
    ("place", "says", "code"),
    [
        (lambda folder: folder, "is a folder", 2),
        (_below_a_file, "is a file, not a folder", 1),
        (lambda folder: folder / ("x" * 300 + ".mp4"), "name is too long", 1),
    ],
)
@pytest.mark.parametrize("sink", [Mp4Sink, GifSink])
def test_places_that_cannot_be_written(tmp_path: Path, sink, place, says: str, code: int) -> None:  # type: ignore[no-untyped-def]
    def use() -> None:
        with sink(place(tmp_path), 64, 48, Fraction(25)) as out:
            out.write(plain(0), Fraction(0))

    with pytest.raises(UserError, match=says) as caught:
        use()
    assert caught.value.exit_code == code


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_plain(tmp_path / "a" / "b" / "out.mp4", [Fraction(0)], Fraction(25))
    assert (tmp_path / "a" / "b" / "out.mp4").exists()


@pytest.mark.parametrize(
    ("error", "becomes", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), UserError, "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/elsewhere/model"), PermissionError, "elsewhere"),
        (ValueError("bad"), ValueError, "bad"),
    ],
    ids=["disk full", "another file's error", "not a disk error"],
)
def test_atomic_path_on_failure(tmp_path: Path, error: Exception, becomes: type, says: str) -> None:
    def fail() -> None:
        with atomic_path(tmp_path / "out.npz") as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(becomes, match=says):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_atomic_path_on_success(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "out.npz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".npz"
        temporary.write_bytes(b"whole")
        assert not (tmp_path / "out.npz").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["out.npz"]


def test_gif(tmp_path: Path) -> None:
    times = even_times(60, Fraction(30))
    with GifSink(tmp_path / "out.gif", 1200, 90, Fraction(30)) as sink:
        for i, time in enumerate(times):
            sink.write(plain(i, 1200, 90), time)
    video = VideoFile(tmp_path / "out.gif")
    frames = list(video)
    assert (video.meta.width, video.meta.height) == (960, 72)
    assert len(frames) == 30  # every second one: 15 a second
    np.testing.assert_allclose([float(f.time_s) for f in frames], np.arange(30) / 15, atol=0.006)
    np.testing.assert_allclose([f.bgr.mean() for f in frames], [grey_of(2 * i) for i in range(30)], atol=4)


def test_gif_after_an_exception(tmp_path: Path) -> None:
    def fail() -> None:
        with GifSink(tmp_path / "out.gif", 64, 48, Fraction(25)) as sink:
            sink.write(plain(0), Fraction(0))
            raise RuntimeError("model failed")

    with pytest.raises(RuntimeError, match="model failed"):
        fail()
    assert list(tmp_path.iterdir()) == []
    with GifSink(tmp_path / "none.gif", 64, 48, Fraction(25)):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("times", [[0, 1, 7200, 7201], [0, 10**6]], ids=str)
def test_a_gif_counts_eleven_minutes(tmp_path: Path, times: list[int]) -> None:
    with GifSink(tmp_path / "a.gif", 32, 32, Fraction(25)) as sink:
        for i, time in enumerate(times):
            sink.write(np.full((32, 32, 3), 60 * i, np.uint8), Fraction(time))
    with Image.open(tmp_path / "a.gif") as gif:
        shown = []
        for i in range(gif.n_frames):
            gif.seek(i)
            shown.append(gif.info["duration"])
    waits = [(b - a) * 1000 for a, b in itertools.pairwise(times)]
    assert shown == [*(min(wait, 655350) for wait in waits), 70]


@pytest.mark.parametrize("jitter_ms", [0, 60, 400])
def test_sound_that_is_copied_bears_jitter(tmp_path: Path, jitter_ms: int) -> None:
    """Every fifth packet is stamped earlier than the one before it."""
    source, odd = write_video(tmp_path / "in.mkv", 50, audio="aac"), tmp_path / "odd.mkv"
    with av.open(str(source)) as file, av.open(str(odd), "w") as out:
        streams = {s.index: out.add_stream_from_template(s) for s in file.streams}
        sounds = 0
        for packet in file.demux():
            if packet.dts is None:
                continue
            packet.pts += 1000  # later than they are decoded, so that the muxer lets them jump
            if packet.stream.type == "audio":
                sounds += 1
                packet.pts -= jitter_ms * (sounds % 5 == 0)
            packet.stream = streams[packet.stream.index]
            out.mux(packet)
    with VideoFile(odd) as video:
        starts_s = video.clock_s
    times = even_times(50, Fraction(25))
    sink = write_plain(tmp_path / "out.mp4", times, Fraction(25), audio_from=odd, audio_start_s=starts_s)
    assert sink.problems == []
    start, end, name = loud_part(tmp_path / "out.mp4")
    assert name == "aac"
    assert start == pytest.approx(0, abs=0.06)
    assert end == pytest.approx(2, abs=0.08)
