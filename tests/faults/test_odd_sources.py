"""What is no plain file: standard input, pipes, numbered pictures, one that changes; and every rate in every export."""

from __future__ import annotations

import os
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers_cli import command, left_in, one_sentence, walker_2d
from helpers_video import write_video

from sasmamba.app.io.video_file import VideoFile
from sasmamba.common.errors import UserError


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (["-"], ["run", "-", "--out", "r.mp4"]):
        result = command(*arguments)
        says = "A video is read twice, and standard input only once: save it to a file and pass that."
        assert (result.code, one_sentence(result.err)) == (2, says)
    assert left_in(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such files here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    told: list[str] = []

    def ask() -> None:
        try:
            VideoFile(tmp_path / "pipe.mp4")
        except UserError as error:
            told.append(str(error))

    asked = threading.Thread(target=ask, daemon=True)
    asked.start()
    asked.join(120)
    says = f"{tmp_path / 'pipe.mp4'} is a pipe or a device, and a video is read twice: save it to a file and pass that."
    assert told == [says], "it waits for somebody who writes"


def test_a_device(tmp_path: Path) -> None:
    if not os.path.exists("/dev/zero"):
        pytest.skip("there is no such device here")
    result = command("/dev/zero", "--out", tmp_path / "r.mp4")
    assert one_sentence(result.err).startswith("/dev/zero is a pipe or a device")
    assert result.code == 2


def test_numbered_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    monkeypatch.chdir(tmp_path)
    for i in range(7, 15):
        cv2.imwrite(f"frame_{i:04d}.png", np.full((240, 320, 3), 10 * i, np.uint8))
    result = command("frame_%04d.png", "--quiet", "--out", "r.mp4")
    assert (result.code, result.err) == (0, "")
    assert [float(frame.time_s) for frame in VideoFile("r.mp4")] == [i / 25 for i in range(8)]


@pytest.mark.parametrize("name", ["none_%04d.png", "frame_%03d.png", "%d/a.png", "*.png"])
def test_numbered_pictures_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("frame_00001.png", np.zeros((24, 32, 3), np.uint8))
    result = command(name, "--out", "r.mp4")
    assert one_sentence(result.err).startswith(("There is no file", "There is no picture whose name fits"))
    assert result.code == 2
    assert left_in(tmp_path) == ["frame_00001.png"]


def test_a_file_that_changes_between_its_readings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another film takes its place while the first is analysed: said in the summary."""
    video = write_video(tmp_path / "clip.mp4", 12, size=(320, 240))
    other = write_video(tmp_path / "other.mp4", 9, size=(160, 120), fps=50)

    def exchanged(backend: str, **options: object) -> object:
        os.replace(other, video)
        return walker_2d(backend, **options)

    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", exchanged)
    result = command(video, "--out", tmp_path / "r.mp4")
    assert result.code == 0, result.err
    says = f"{video} changed while it was read, so what was seen and what was drawn may differ: run it again."
    assert f"Note: {says}" in result.err.splitlines()


@pytest.mark.parametrize("fps", [1, Fraction(24000, 1001), 60, 240, 1000, 2000], ids=str)
def test_the_rate_in_every_export(tmp_path: Path, fps: Fraction | int, monkeypatch: pytest.MonkeyPatch) -> None:
    ezc3d: Any = pytest.importorskip("ezc3d")
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    video = write_video(tmp_path / "clip.mp4", 20, size=(320, 240), fps=fps)
    result = command(video, "--out", tmp_path / "r.mp4", "--export", "bvh,trc,c3d,csv", "--quiet")
    assert result.code == 0
    # what walks at 30 frames a second is no person at 2000, and is said to be none
    assert all(line.startswith("Note: Person 1 moves") for line in result.err.splitlines())
    bvh = (tmp_path / "r_1.bvh").read_text().split("MOTION\n")[1].splitlines()
    trc = (tmp_path / "r_1.trc").read_text().splitlines()
    csv = (tmp_path / "r.csv").read_text().splitlines()
    c3d = ezc3d.c3d(str(tmp_path / "r_1.c3d"))
    rate = float(fps)
    assert (bvh[0], len(bvh)) == ("Frames: 20", 22)
    assert 1 / float(bvh[1].split(":")[1]) == pytest.approx(rate, rel=1e-6)
    assert [float(trc[2].split("\t")[i]) for i in (0, 1, 5)] == pytest.approx([rate] * 3, rel=1e-6)
    assert [float(row.split("\t")[1]) for row in trc[-20:]] == pytest.approx([i / rate for i in range(20)], abs=1e-6)
    assert [float(row.split(",")[1]) for row in csv[1:]] == pytest.approx([i / rate for i in range(20)], abs=1e-6)
    assert c3d["parameters"]["POINT"]["RATE"]["value"][0] == pytest.approx(rate, rel=1e-6)
    assert c3d["data"]["points"].shape[2] == 20
    assert VideoFile(tmp_path / "r.mp4").meta.fps == fps


def test_an_address_of_another_kind() -> None:
    result = command("s3://bucket/clip.mp4")
    assert one_sentence(result.err) == "s3:// is not read here: fetch clip.mp4 to a file and pass that."
    assert result.code == 2
