"""`--person`: of everybody who was found, one is saved and drawn."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers_cli import Walker2D, command, left_in, one_sentence, walker
from helpers_video import write_video

from sasmamba.app.sources import VideoFile
from sasmamba.app.types import Frame, Person2D

LEFT, RIGHT = (80.0, 120.0), (240.0, 120.0)


class TwoWalkers(Walker2D):
    """Two people side by side; the second comes in the tenth frame."""

    def __call__(self, frame: Frame) -> tuple[Person2D, ...]:
        people = []
        for place in [LEFT, RIGHT][: 1 + (frame.index >= 10)]:
            points = walker(30, place, 160)[frame.index % 30]
            box = np.array([*points[:, :2].min(0), *points[:, :2].max(0)], np.float32)
            people.append(Person2D(None, box, points[:, :2], points[:, 2]))
        return tuple(people)


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", lambda backend, **options: TwoWalkers())
    return write_video(tmp_path / "clip.mp4", 30, size=(320, 240))


def drawn(render: Path, plain: Path) -> tuple[bool, bool]:
    """Whether somebody is drawn over the left and the right half of the video's own picture."""
    with_people, without = (list(VideoFile(p))[20].bgr for p in (render, plain))
    scale = with_people.shape[0] / without.shape[0]
    video = cv2.resize(without, None, fx=scale, fy=scale)
    changed = np.abs(with_people[:, : video.shape[1]].astype(int) - video) > 60
    half = video.shape[1] // 2
    return tuple(bool(side.mean() > 0.002) for side in (changed[:, :half], changed[:, half:]))  # type: ignore[return-value]


@pytest.mark.parametrize(("options", "ids", "where"), [
    ([], [1, 2], (True, True)), (["--person", 1], [1], (True, False)), (["--person", 2], [2], (False, True)),
], ids=["everybody", "first", "second"])  # fmt: skip
def test_who_is_saved_and_drawn(video: Path, options: list[object], ids: list[int], where: tuple[bool, bool]) -> None:
    render, poses = video.with_name("render.mp4"), video.with_name("poses.npz")
    result = command(video, "--out", render, "--save-poses", poses, "--json", *options)
    assert result.code == 0, result.err
    assert [int(i) for i in json.loads(result.out)["people"]] == ids
    saved = np.load(poses)
    assert saved["track_id"].tolist() == ids
    assert saved["observed"].sum(1).tolist() == [{1: 30, 2: 20}[i] for i in ids]
    assert drawn(render, video) == where


def test_somebody_who_is_not_there(video: Path) -> None:
    result = command(video, "--out", video.with_name("render.mp4"), "--save-poses", video.with_name("p.npz"),
                     "--person", 3, "--quiet")  # fmt: skip
    assert result.code == 1
    said = "--person 3: there is no such person; found are 1 in 30 frames, 2 in 20 frames. Nothing was written."
    assert one_sentence(result.err) == said
    assert left_in(video.parent) == ["clip.mp4"]


def test_nobody_at_all(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TwoWalkers, "__call__", lambda self, frame: ())
    result = command(video, "--out", video.with_name("render.mp4"), "--person", 1, "--quiet")
    assert (result.code, left_in(video.parent)) == (1, ["clip.mp4"])
    assert "nobody was found" in one_sentence(result.err)
