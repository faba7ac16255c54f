"""2D on every k-th frame only: every frame gets its pose, and no pose claims to have been seen that was not."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers_cli import walker

from sasmamba.app.export.poses import save_poses
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.pipeline import analyse
from sasmamba.app.take import Take
from sasmamba.app.types import Frame, Person2D, VideoMeta
from sasmamba.common.interrupts import Stop
from sasmamba.common.timings import Timings

META = VideoMeta(320, 240, Fraction(30), None)


class Film(list[Frame]):
    """Black frames at 30 per second, or at the times given."""

    meta = META

    def __init__(self, frames: int, times: list[Fraction] | None = None) -> None:
        black = np.zeros((240, 320, 3), np.uint8)
        super().__init__(Frame(i, times[i] if times else Fraction(i, 30), black) for i in range(frames))


class Eyes:
    """A 2D stage that sees walkers where `there` says so, and remembers which frames it was shown."""

    name = "eyes"

    def __init__(self, there: Callable[[int], bool] = lambda frame: True, people: int = 1) -> None:
        self.detection_frames: list[int] = []
        self._there = there
        self._people = [walker(1000, centre_px=(80 + 150 * i, 120), height_px=150) for i in range(people)]

    def __call__(self, frame: Frame) -> tuple[Person2D, ...]:
        self.detection_frames.append(frame.index)
        if not self._there(frame.index):
            return ()
        rows = [points[frame.index] for points in self._people]
        return tuple(
            Person2D(None, np.array([*r[:, :2].min(0), *r[:, :2].max(0)], np.float32), r[:, :2], r[:, 2]) for r in rows
        )


@pytest.fixture(scope="module")
def lifter() -> Lifter:
    return Lifter.load()


def take_of(lifter: Lifter, film: Film, eyes: Eyes, every: int, stop_after: int | None = None) -> Take:
    stop = Stop()

    def progress(stage: str, done: int, total: int | None) -> None:
        stop.asked = done == stop_after

    return analyse(
        film,
        eyes,
        lifter,
        every=every,
        max_people=4,
        timings=Timings(),
        stop=stop,
        progress=progress,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("every", range(1, 11))
def test_every_frame_has_a_pose(lifter: Lifter, every: int) -> None:
    eyes = Eyes(people=2)
    take = take_of(lifter, Film(303), eyes, every)
    assert take.detection_frames == eyes.detection_frames == sorted({*range(0, 303, every), 302})
    assert list(take.tracks) == [1, 2]
    for track in take.tracks.values():
        assert sorted(track.people) == eyes.detection_frames
        assert sorted(track.poses) == list(range(303))
        assert all(pose.observed for pose in track.poses.values())  # nobody is drawn pale between two keyframes


def test_poses_hardly_change(lifter: Lifter) -> None:
    def joints(every: int) -> np.ndarray:
        poses = take_of(lifter, Film(120), Eyes(), every).tracks[1].poses
        return np.stack([poses[f].joints for f in range(120)])

    full, sparse = joints(1), joints(3)
    assert np.linalg.norm(sparse - full, axis=-1).mean() < 0.01
    shake = [np.linalg.norm(np.diff(j, 2, axis=0), axis=-1).mean() for j in (full, sparse)]
    assert shake[1] < 1.3 * shake[0]


@pytest.mark.parametrize("every", [1, 2, 5, 10])
@pytest.mark.parametrize("same", [True, False])
def test_a_gap_means_the_same_time(lifter: Lifter, every: int, same: bool) -> None:
    """A second between two sightings is bridged however often the 2D stage runs, more is not: they stay one person."""
    last = 40
    back = last + 31 // every * every + (0 if same else every)
    take = take_of(lifter, Film(100), Eyes(lambda f: f <= last or f >= back), every)
    assert (back - last - 1 <= 30) == same
    assert len(take.tracks) == 1
    assert take.people_at(last + 1) == ()
    between = [t.poses[f] for t in take.tracks.values() for f in range(last + 1, back) if f in t.poses]
    assert len(between) == (back - last - 1 if same else 0)
    assert not any(pose.observed for pose in between)


def test_stopping_detects_once_more(lifter: Lifter) -> None:
    take = take_of(lifter, Film(40), Eyes(), 5, stop_after=13)
    assert (take.frames, take.detection_frames, take.cut_short) == (13, [0, 5, 10, 12], True)
    assert sorted(take.tracks[1].poses) == list(range(13))


@pytest.mark.parametrize(
    ("every", "sightings", "kept"), [(1, 7, 0), (1, 8, 1), (3, 2, 0), (3, 3, 1), (10, 1, 0), (10, 2, 1)]
)
def test_spurious_tracks(lifter: Lifter, every: int, sightings: int, kept: int) -> None:
    """Seen for less than eight frames' time, or in one detection frame only."""
    there = Eyes(lambda frame: 30 <= frame < 30 + every * sightings)
    assert len(take_of(lifter, Film(90), there, every).tracks) == kept


def test_between_two_keyframes_people_move_straight() -> None:
    def person(x: float, score: float) -> Person2D:
        joints, scores = np.full((17, 2), x, np.float32), np.full(17, 0.8, np.float32)
        scores[3] = score
        return Person2D(1, np.full(4, x, np.float32), joints, scores)

    take = Take(META, "", pose2d_every=3, times_s=[Fraction(0), Fraction(1), Fraction(4), Fraction(10), Fraction(11)])
    take.add_people(0, [person(100, 0.0)])
    take.add_people(3, [person(200, 0.6)])
    take.add_people(4, [])
    (shown,) = take.people_at(2)
    assert shown.track_id == 1
    np.testing.assert_allclose(np.delete(shown.joints_px, 3, 0), 140)  # by time, not by frame
    np.testing.assert_allclose(shown.joints_px[3], 200)  # found in the second keyframe only
    assert shown.score[3] == pytest.approx(0.24)
    np.testing.assert_allclose(shown.box_px, 140)
    assert take.people_at(0)[0].joints_px[0, 0] == 100
    assert take.people_at(4) == take.people_at(7) == ()


def test_the_record_claims_no_sighting_between(lifter: Lifter, tmp_path: Path) -> None:
    take = take_of(lifter, Film(23), Eyes(), 4)
    save_poses(take, tmp_path / "poses.npz")
    saved = np.load(tmp_path / "poses.npz")
    detected = np.isin(np.arange(23), [0, 4, 8, 12, 16, 20, 22])
    assert saved["pose2d_every"] == 4
    np.testing.assert_array_equal(saved["observed"], detected[None])
    np.testing.assert_array_equal((saved["keypoints"] != 0).any((2, 3)), detected[None])
    assert np.isfinite(saved["joints3d"]).all()
