"""`--person`: of everybody who was found, one is saved and drawn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers_cli import Walker2D, command, left_in, one_sentence, walker
from helpers_video import write_video

from sasmamba.app.batch.executor import Failed
from sasmamba.app.batch.run_clip import run_clip
from sasmamba.app.config import Job, Settings
from sasmamba.app.io.video_file import VideoFile
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


@pytest.mark.parametrize(
    ("options", "ids", "where"),
    [
        ([], [1, 2], (True, True)),
        (["--person", 1], [1], (True, False)),
        (["--person", 2], [2], (False, True)),
    ],
    ids=["everybody", "first", "second"],
)
def test_who_is_saved_and_drawn(video: Path, options: list[object], ids: list[int], where: tuple[bool, bool]) -> None:
    render, poses = video.with_name("render.mp4"), video.with_name("poses.npz")
    result = command(video, "--out", render, "--save-poses", poses, "--json", *options)
    assert result.code == 0, result.err
    assert [int(i) for i in json.loads(result.out)["people"]] == ids
    saved = np.load(poses)
    assert saved["track_id"].tolist() == ids
    assert saved["observed"].sum(1).tolist() == [{1: 30, 2: 20}[i] for i in ids]
    assert drawn(render, video) == where


NOBODY_3 = "--person 3: there is no such person; found are 1 in 30 frames, 2 in 20 frames. No render was made; "


def test_somebody_who_is_not_there_costs_the_render_and_no_data(video: Path) -> None:
    poses, csv = video.with_name("p.npz"), video.with_name("render.csv")
    about = video.with_name("render_about.json")
    result = command(
        video,
        "--out",
        video.with_name("render.mp4"),
        "--save-poses",
        poses,
        "--export",
        "csv",
        "--person",
        3,
        "--quiet",
    )
    assert result.code == 1
    kept = f"what was asked for of everybody is in {poses}, {csv}, {about}."
    assert one_sentence(result.err) == NOBODY_3 + kept
    assert left_in(video.parent) == ["clip.mp4", "p.npz", "render.csv", "render_about.json"]
    saved = np.load(poses)
    assert saved["track_id"].tolist() == [1, 2]
    assert np.isfinite(saved["joints3d"][0]).all()


def test_somebody_who_is_not_there_and_nothing_to_keep(video: Path) -> None:
    result = command(video, "--out", video.with_name("render.mp4"), "--person", 3, "--quiet")
    assert result.code == 1
    says = NOBODY_3 + "to keep the poses of a run whatever is drawn, add --save-poses."
    assert (one_sentence(result.err), left_in(video.parent)) == (says, ["clip.mp4"])


def test_in_a_folder_somebody_who_is_not_there_is_looked_for_once(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    job = Job(video, video.with_name("r.mp4"), video.with_name("p.npz"))
    # it is meant for a process of its own, and this one goes on
    monkeypatch.setattr("sasmamba.common.native_output.silence", lambda: None)
    run_clip(job, Settings(person=3), told.append)
    assert isinstance(told[-1], Failed)
    assert told[-1].final
    assert told[-1].sentence.startswith(NOBODY_3)


def test_the_height_of_somebody_who_is_not_there_is_told_and_costs_nothing(video: Path) -> None:
    result = command(video, "--out", video.with_name("render.mp4"), "--height-m", "1=1.9,7=1.6", "--quiet")
    assert result.code == 0
    assert result.err == "Note: A height is given for person 7, who is not there; found: 1, 2.\n"
    assert left_in(video.parent) == ["clip.mp4", "render.mp4"]


def test_nobody_at_all(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TwoWalkers, "__call__", lambda self, frame: ())
    result = command(video, "--out", video.with_name("render.mp4"), "--person", 1, "--quiet")
    assert (result.code, left_in(video.parent)) == (1, ["clip.mp4"])
    assert "nobody was found" in one_sentence(result.err)


class WithASpuriousTrack(TwoWalkers):
    """The second has its joints in disorder: whatever the lifter makes of it, no frame fits."""

    def __call__(self, frame: Frame) -> tuple[Person2D, ...]:
        first, *others = super().__call__(frame)
        order = np.random.default_rng(4).permutation(17)
        return (first, *(replace(p, joints_px=p.joints_px[order]) for p in others))


def test_a_false_track_costs_no_render(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", lambda backend, **options: WithASpuriousTrack())
    result = command(video, "--out", video.with_name("render.mp4"), "--quiet")
    assert result.code == 0
    assert "Note: Person 2 " in result.err
    assert sum(1 for _ in VideoFile(video.with_name("render.mp4"))) == 30
