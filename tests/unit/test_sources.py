"""Video files of all kinds come in upright, complete, and at their exact times."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers_video import MATRICES, corner_of, grey_of, set_display_matrix, write_sound_only, write_video

from sasmamba.app.io.prefetch import prefetch
from sasmamba.app.io.video_file import VideoFile
from sasmamba.common.errors import UserError


def greys(frames: list) -> list[int]:
    return [round(float(f.bgr.mean())) for f in frames]


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(120)], ids=str)
def test_constant_rate_is_exact(tmp_path: Path, fps: Fraction) -> None:
    path = write_video(tmp_path / "clip.mp4", 20, fps=fps)
    with VideoFile(path) as video:
        frames = list(video)
        assert video.meta.fps == fps
        assert (video.meta.width, video.meta.height, video.meta.frames) == (64, 48, 20)
        assert video.problems == []
        assert not video.has_audio
    assert [f.index for f in frames] == list(range(20))
    assert [f.time_s for f in frames] == [i / fps for i in range(20)]
    np.testing.assert_allclose(greys(frames), [grey_of(i) for i in range(20)], atol=3)


def test_variable_rate_is_kept(tmp_path: Path) -> None:
    gaps = [Fraction(n, 900) for n in (0, 30, 31, 90, 30, 7, 300, 30, 30)]
    times = [sum(gaps[: i + 1], Fraction(0)) for i in range(len(gaps))]
    path = write_video(tmp_path / "phone.mp4", len(times), times=times, fps=30)
    assert [f.time_s for f in VideoFile(path)] == times


@pytest.mark.parametrize(
    ("name", "corner", "size"),
    [
        ("upright", "top left", (64, 48)),
        ("quarter turn right", "top right", (48, 64)),
        ("half turn", "bottom right", (64, 48)),
        ("quarter turn left", "bottom left", (48, 64)),
        ("mirrored", "top right", (64, 48)),
    ],
)
def test_rotation_is_applied(tmp_path: Path, name: str, corner: str, size: tuple[int, int]) -> None:
    path = write_video(tmp_path / "turned.mp4", 2, corner=True)
    set_display_matrix(path, MATRICES[name], 64, 48)
    video = VideoFile(path)
    frame = next(iter(video))
    assert (video.meta.width, video.meta.height) == size
    assert frame.bgr.shape == (size[1], size[0], 3)
    assert corner_of(frame.bgr) == corner


@pytest.mark.parametrize("name", [n for n in MATRICES if n != "mirrored"])
def test_rotation_agrees_with_opencv(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / "turned.mp4", 2, corner=True)
    set_display_matrix(path, MATRICES[name], 64, 48)
    reader = cv2.VideoCapture(str(path))
    ok, expected = reader.read()
    assert ok
    got = next(iter(VideoFile(path))).bgr
    assert got.shape == expected.shape
    np.testing.assert_allclose(got.astype(float), expected.astype(float), atol=6)


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt", "size"),
    [
        (".mkv", "ffv1", "gray", (64, 48)),
        (".mkv", "ffv1", "yuv420p10le", (64, 48)),
        (".mkv", "ffv1", "yuva420p", (64, 48)),
        (".mkv", "ffv1", "bgra", (65, 47)),
        (".mp4", "libx264", "yuv444p", (65, 47)),
        (".avi", "mpeg4", "yuv420p", (64, 48)),
        (".mov", "mjpeg", "yuvj420p", (62, 46)),
        (".ts", "mpeg2video", "yuv420p", (64, 48)),
        (".gif", "gif", "rgb8", (64, 48)),
    ],
)
def test_formats(tmp_path: Path, suffix: str, codec: str, pix_fmt: str, size: tuple[int, int]) -> None:
    path = write_video(tmp_path / f"clip{suffix}", 6, size=size, codec=codec, pix_fmt=pix_fmt)
    with VideoFile(path) as video:
        frames = list(video)
        assert (video.meta.width, video.meta.height) == size
        assert video.problems == []
    assert len(frames) == 6
    times = [f.time_s for f in frames]
    assert times[0] == 0
    np.testing.assert_allclose([float(t) for t in times], np.arange(6) / 25, atol=0.006)
    assert all(f.bgr.shape == (size[1], size[0], 3) for f in frames)
    tolerance = 20 if codec == "gif" else 6
    np.testing.assert_allclose(greys(frames), [grey_of(i) for i in range(6)], atol=tolerance)


@pytest.mark.parametrize(
    ("aspect", "size"), [(Fraction(4, 3), (85, 48)), (Fraction(1, 2), (64, 96)), (Fraction(1), (64, 48))], ids=str
)
def test_pixels_become_square(tmp_path: Path, aspect: Fraction, size: tuple[int, int]) -> None:
    path = write_video(tmp_path / "anamorphic.mp4", 2, aspect=aspect)
    video = VideoFile(path)
    assert (video.meta.width, video.meta.height) == size
    assert next(iter(video)).bgr.shape == (size[1], size[0], 3)


def test_size_that_changes_midway(tmp_path: Path) -> None:
    small = write_video(tmp_path / "a.ts", 5, size=(64, 48), codec="mpeg2video")
    large = write_video(tmp_path / "b.ts", 5, size=(128, 96), codec="mpeg2video")
    path = tmp_path / "joined.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    frames = list(VideoFile(path))
    assert len(frames) >= 8
    assert {f.bgr.shape for f in frames} == {(48, 64, 3)}
    times = [f.time_s for f in frames]
    assert all(a < b for a, b in itertools.pairwise(times))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"start_s": 0.28}, range(7, 20)),
        ({"start_s": 0.29}, range(8, 20)),
        ({"start_s": 0.2, "end_s": 0.4}, range(5, 10)),
        ({"end_s": 0.4}, range(10)),
        ({"max_frames": 3}, range(3)),
        ({"start_s": 0.4, "max_frames": 4}, range(10, 14)),
    ],
    ids=str,
)
def test_part_of_a_video(tmp_path: Path, suffix: str, options: dict, expected: range) -> None:
    codec = "mpeg2video" if suffix == ".ts" else "libx264"
    path = write_video(tmp_path / f"clip{suffix}", 20, codec=codec)
    video = VideoFile(path, **options)
    frames = list(video)
    np.testing.assert_allclose(greys(frames), [grey_of(i) for i in expected], atol=4)
    assert [f.index for f in frames] == list(range(len(expected)))
    assert frames[0].time_s == 0
    assert float(video.start_s) == pytest.approx(expected[0] / 25, abs=1e-3)
    assert float(frames[-1].time_s) == pytest.approx((len(expected) - 1) / 25, abs=2e-3)
    assert video.problems == []
    if suffix == ".mp4" and options != {"start_s": 0.29}:
        assert video.meta.frames == len(expected)


def test_reading_twice_gives_the_same(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", 12, corner=True)
    video = VideoFile(path)
    for a, b in zip(video, VideoFile(path), strict=True):
        assert (a.index, a.time_s) == (b.index, b.time_s)
        np.testing.assert_array_equal(a.bgr, b.bgr)
    assert len(list(video)) == 12


def noisy(path: Path, frames: int = 30, **options: object) -> Path:
    """A video whose packets are big enough to be cut or spoilt one by one."""
    return write_video(path, frames, size=(320, 240), codec="mjpeg", pix_fmt="yuvj420p", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("keep", [0.5, 0.8])
def test_cut_off_file(tmp_path: Path, keep: float) -> None:
    path = noisy(tmp_path / "clip.mov", container_options={"movflags": "+faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    video = VideoFile(path)
    frames = list(video)
    assert 0 < len(frames) < 30
    assert video.problems == [f"clip.mov is damaged: {len(frames)} of 30 frames could be read."]
    np.testing.assert_allclose(greys(frames[:-1]), [grey_of(i) for i in range(len(frames) - 1)], atol=4)
    again = list(video)
    assert len(again) == len(frames)
    assert len(video.problems) == 1


def test_cut_off_h264_reads_the_same_twice(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", 60, corner=True, container_options={"movflags": "+faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - (len(data) - data.index(b"mdat")) // 3])
    first, second = list(VideoFile(path)), list(VideoFile(path))
    assert 0 < len(first) < 60
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.bgr, b.bgr)


def test_spoilt_in_the_middle(tmp_path: Path) -> None:
    path = noisy(tmp_path / "clip.avi")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = b"\x00" * 3000
    path.write_bytes(bytes(data))
    video = VideoFile(path)
    frames = list(video)
    assert len(frames) > 15
    assert len(video.problems) == 1
    assert "clip.avi is damaged" in video.problems[0]


def test_short_part_of_whole_file_is_no_damage(tmp_path: Path) -> None:
    video = VideoFile(write_video(tmp_path / "clip.mp4", 20))
    for frame in video:
        if frame.index == 3:
            break
    assert video.problems == []


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_single_picture(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    picture = np.zeros((30, 40, 3), np.uint8)
    picture[:, :, 2] = 200
    cv2.imwrite(str(path), picture)
    (frame,) = VideoFile(path)
    np.testing.assert_allclose(frame.bgr.astype(float), picture.astype(float), atol=4)


def test_title_that_is_not_text(tmp_path: Path) -> None:
    """Recorders write titles in whatever letters they have; nothing here reads them."""
    path = write_video(tmp_path / "a.mkv", frames=3, title="Muenchen, im Park")
    path.write_bytes(path.read_bytes().replace(b"Muenchen", b"M\xfc\xfe\xffchen"))
    assert b"Muenchen" not in path.read_bytes()
    assert len(list(VideoFile(path))) == 3


def test_colon_in_the_name(tmp_path: Path) -> None:
    assert len(list(VideoFile(write_video(tmp_path / "10:30 clip.mp4", 3)))) == 3


def _missing(folder: Path) -> Path:
    return folder / "nowhere.mp4"


def _text(folder: Path) -> Path:
    path = folder / "notes.txt"
    path.write_text("not a film\n" * 50)
    return path


def _noise(folder: Path) -> Path:
    path = folder / "noise.mp4"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    return path


def _empty(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def _sound(folder: Path) -> Path:
    return write_sound_only(folder / "song.m4a")


def _headless(folder: Path) -> Path:
    """The index of an mp4 stands at its end; without it the pictures cannot be found."""
    path = write_video(folder / "cut.mp4", 10)
    path.write_bytes(path.read_bytes()[: path.read_bytes().index(b"moov") - 4])
    return path


def _frameless(folder: Path) -> Path:
    path = write_video(folder / "none.mp4", 10, container_options={"movflags": "+faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 4])
    return path


@pytest.mark.parametrize(
    ("make", "says", "code"),
    [
        (_missing, "There is no file", 2),
        (lambda folder: folder, "is a folder", 2),
        (_text, "is not a video this tool can read", 1),
        (_noise, "is not a video this tool can read", 1),
        (_empty, "is empty", 1),
        (_sound, "has no video in it", 1),
        (_headless, "was cut off before its index was written", 1),
        (_frameless, "holds no frame", 1),
    ],
)
def test_what_is_no_video(tmp_path: Path, make, says: str, code: int) -> None:  # type: ignore[no-untyped-def]
    path = make(tmp_path)
    with pytest.raises(UserError, match=says) as caught:
        VideoFile(path)
    assert caught.value.exit_code == code
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"start_s": 5}, "no frame after 5 s"),
        ({"start_s": 0.4, "end_s": 0.2}, "not be 0.4 s to 0.2 s"),
        ({"start_s": -1}, "not be -1 s to the end"),
        ({"start_s": float("nan")}, "not be nan s"),
        ({"end_s": float("inf")}, "to inf s"),
        ({"max_frames": 0}, "At least one frame"),
    ],
)
def test_ranges_that_hold_nothing(tmp_path: Path, options: dict, says: str) -> None:
    path = write_video(tmp_path / "clip.mp4", 10)
    with pytest.raises(UserError, match=says) as caught:
        VideoFile(path, **options)
    assert caught.value.exit_code == 2


def test_sound_is_noticed(tmp_path: Path) -> None:
    assert VideoFile(write_video(tmp_path / "clip.mp4", 5, audio="aac")).has_audio


def test_leaving_the_context_ends_iteration(tmp_path: Path) -> None:
    with VideoFile(write_video(tmp_path / "clip.mp4", 20)) as video:
        frames = iter(video)
        next(frames)
    assert list(frames) == []


def reading_threads() -> int:
    return sum(t.name == "prefetch" for t in threading.enumerate())


def test_prefetch_keeps_order_and_ends() -> None:
    assert list(prefetch(range(50), size=3)) == list(range(50))
    assert list(prefetch([])) == []
    assert reading_threads() == 0


def test_prefetch_reads_ahead_but_not_without_bound() -> None:
    read: list[int] = []

    def source() -> Iterator[int]:
        for i in range(100):
            read.append(i)
            yield i

    items = prefetch(source(), size=4)
    assert next(items) == 0
    deadline = time.monotonic() + 60
    while len(read) < 6 and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    assert len(read) == 6  # one given out, four queued, one in hand
    items.close()  # type: ignore[attr-defined]


def test_prefetch_passes_errors_on_in_place() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise UserError("broken")

    items = prefetch(source())
    assert next(items) == 1
    with pytest.raises(UserError, match="broken"):
        next(items)
    assert reading_threads() == 0


def test_prefetch_stops_its_thread_when_left_early() -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield from range(10_000)
        finally:
            closed.set()

    items = prefetch(source(), size=2)
    assert next(items) == 0
    items.close()  # type: ignore[attr-defined]
    assert closed.is_set()
    assert reading_threads() == 0


def test_prefetch_of_nothing_ahead_needs_no_thread() -> None:
    read: list[int] = []

    def source() -> Iterator[int]:
        try:
            for i in range(3):
                read.append(threading.get_ident())
                yield i
        finally:
            read.append(-1)

    items = prefetch(source(), size=0)
    assert [next(items), next(items)] == [0, 1]
    items.close()
    assert read == [threading.get_ident()] * 2 + [-1]
    with pytest.raises(ValueError, match="size"):
        next(prefetch([], size=-1))
