"""Files that once failed, each with what is right; they lie in the folder of real test data, under failing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers_cli import command, left_in, walker_2d

from sasmamba.app.io.video_file import VideoFile

#: Name, size as displayed, rate, frames, sentences about it.
TABLE: list[tuple[str, tuple[int, int], float, int, list[str]]] = [
    ("begins_inside_a_gop_flash_and_click_at_2s.mkv", (320, 180), 30, 45, []),
    ("browser_recorder_clock_1000.webm", (640, 360), 30, 90, []),
    ("browser_recorder_jitter.webm", (640, 360), 30, 90, []),
    ("clock_starts_at_3600_s.mkv", (640, 360), 30, 30, []),
    ("hole_of_two_hours.mkv", (640, 360), 30, 40, []),
    ("opus_stamps_jump_back_60ms.webm", (160, 90), 30, 60, []),
    ("phone_photo_exif_6.jpg", (640, 360), 25, 1, []),
    ("plain.tiff", (64, 48), 25, 1, []),
    ("rate_2000_fps.mp4", (320, 180), 2000, 40, []),
    ("thumbnail_stream_first.mkv", (640, 360), 30, 20, ["holds 2 films; stream 1 (640×360) was read"]),
    ("turned_by_180.mp4", (960, 540), 30, 60, []),
]


@pytest.fixture
def failing(shared: Path) -> Path:
    """The folder of these files."""
    if not (shared / "failing").is_dir():
        pytest.skip("these files are not in the folder of real test data")
    return shared / "failing"


@pytest.mark.parametrize(("name", "size", "fps", "frames", "says"), TABLE, ids=[row[0] for row in TABLE])
def test_read(failing: Path, name: str, size: tuple[int, int], fps: float, frames: int, says: list[str]) -> None:
    with VideoFile(failing / name) as video:
        seen = list(video)
        told = [*video.remarks, *video.problems]
    assert (video.meta.width, video.meta.height, len(seen)) == (*size, frames)
    assert float(video.meta.fps) == pytest.approx(fps, rel=0.02)
    assert len(told) == len(says)
    assert all(part in sentence for part, sentence in zip(says, told, strict=True))


def test_a_camera_that_writes_exif_into_every_picture(failing: Path) -> None:
    """Its header claims pictures of another size, so FFmpeg makes one of two; upright they are."""
    with VideoFile(failing / "camera_mjpeg_with_exif.avi") as video:
        seen = list(video)
    assert len(seen) >= 2
    assert all(frame.bgr.std() > 20 for frame in seen)


def first(path: Path) -> np.ndarray:
    """The first picture, in floating point."""
    return next(iter(VideoFile(path))).bgr.astype(float)


def test_patches_of_high_dynamic_range(failing: Path) -> None:
    """Neutral ones and dull colours are what they were; pure colours of BT.709 are drawn in a little, all alike."""
    hdr = first(failing / "hdr10_pq_patches.mp4")
    sdr = first(failing / "sdr_patches_what_it_should_look_like.mp4")
    neutral = np.ptp(sdr, axis=2) < 8
    assert np.median(np.abs(hdr - sdr)[neutral]) <= 4
    assert abs(hdr.mean() - sdr.mean()) <= 8


@pytest.mark.parametrize("name", ["hdr10_pq_bt2020_hevc.mp4", "phone_hlg_hevc.mov"])
def test_as_bright_as_the_usual_clip(failing: Path, name: str) -> None:
    hdr = first(failing / name)
    with av.open(str(failing / "turned_by_180.mp4")) as file:  # the same scene: the same light, if turned
        usual = next(file.decode(video=0)).to_ndarray(width=640, height=360, format="bgr24").astype(float)
    assert hdr.mean() == pytest.approx(usual.mean(), abs=4)
    assert hdr.std() == pytest.approx(usual.std(), abs=4)


@pytest.mark.parametrize(
    ("name", "rate"),
    [("rate_2000_fps.mp4", 2000), ("browser_recorder_clock_1000.webm", 30), ("browser_recorder_jitter.webm", 30)],
)
def test_the_rate_in_every_export(
    failing: Path, tmp_path: Path, name: str, rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    ezc3d: Any = pytest.importorskip("ezc3d")
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    result = command(failing / name, "--out", tmp_path / "r.mp4", "--export", "bvh,trc,c3d", "--quiet")
    assert result.code == 0
    # what walks at 30 frames a second is no person at 2000, and is said to be none
    assert all(line.startswith("Note: Person 1 moves") for line in result.err.splitlines())
    frames = sum(1 for _ in VideoFile(failing / name))
    bvh = (tmp_path / "r_1.bvh").read_text().split("MOTION\n")[1].splitlines()
    trc = (tmp_path / "r_1.trc").read_text().splitlines()
    c3d = ezc3d.c3d(str(tmp_path / "r_1.c3d"))
    assert 1 / float(bvh[1].split(":")[1]) == pytest.approx(rate, rel=0.02)
    assert float(trc[2].split("\t")[0]) == pytest.approx(rate, rel=0.02)
    assert c3d["parameters"]["POINT"]["RATE"]["value"][0] == pytest.approx(rate, rel=0.02)
    counts = [int(bvh[0].split(":")[1]), int(trc[2].split("\t")[2]), c3d["data"]["points"].shape[2]]
    assert counts == pytest.approx([frames] * 3, abs=2)
    assert float(VideoFile(tmp_path / "r.mp4").meta.fps) == pytest.approx(rate, rel=0.03)


def test_all_of_the_sound(failing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    result = command(failing / "opus_stamps_jump_back_60ms.webm", "--out", tmp_path / "r.mp4", "--quiet")
    assert (result.code, result.err) == (0, "")
    with av.open(str(tmp_path / "r.mp4")) as file:
        seconds = sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))
    assert seconds == pytest.approx(2, abs=0.06)


def test_sound_and_picture_of_what_begins_inside_a_gop(
    failing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    name = "begins_inside_a_gop_flash_and_click_at_2s.mkv"
    assert command(failing / name, "--out", tmp_path / "r.mp4", "--quiet").code == 0
    with av.open(str(tmp_path / "r.mp4")) as file:
        light = {float(f.time): f.to_ndarray(format="gray")[:, :320].mean() for f in file.decode(video=0)}
    with av.open(str(tmp_path / "r.mp4")) as file:
        loud = {float(f.time): np.abs(f.to_ndarray()).max() for f in file.decode(audio=0)}
    flash = next(time for time, level in light.items() if level > 128)
    click = next(time for time, level in loud.items() if level > 0.2)
    assert abs(flash - click) <= 0.025  # pieces of sound are 21 ms long
    assert left_in(tmp_path) == ["r.mp4"]


def test_a_hole_of_two_hours_ends_what_was_before_it(
    failing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two takes of 20 frames: whoever is in the second is somebody new, and no file bridges the hole."""
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    out = tmp_path / "r.mp4"
    result = command(failing / "hole_of_two_hours.mkv", "--out", out, "--export", "bvh,trc", "--quiet")
    assert result.code == 0
    assert left_in(tmp_path) == sorted(
        [f"r_{i}.{form}" for i in (1, 2) for form in ("bvh", "trc")] + ["r.mp4", "r_about.json"]
    )
    assert all(path.stat().st_size < 100_000 for path in tmp_path.glob("r_*"))
    times = [float(frame.time_s) for frame in VideoFile(out)]
    assert times[-1] == pytest.approx(7201.25, abs=0.1)
