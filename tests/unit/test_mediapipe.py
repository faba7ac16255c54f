"""The MediaPipe backend on real pictures, and what it does with pictures nobody should be found in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers_cli import left_in, start
from helpers_coco import Annotated, like
from helpers_video import write_video

from sasmamba.app import weights
from sasmamba.app.pose2d.mediapipe import MediaPipePose2D, _continues, _LandmarkFollower
from sasmamba.app.pose2d.overlap import box_iou, joint_similarity
from sasmamba.app.tracking import Tracker
from sasmamba.app.types import Frame, Person2D
from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import COCO


@pytest.fixture(scope="module")
def model() -> Path:
    try:
        return weights.ensure("pose-landmarker-full")
    except UserError as error:
        pytest.skip(f"the model cannot be had: {error}")


@pytest.fixture(scope="module")
def _backend(model: Path) -> Iterator[MediaPipePose2D]:
    with MediaPipePose2D(model, max_people=4) as backend:
        yield backend


@pytest.fixture
def backend(_backend: MediaPipePose2D) -> MediaPipePose2D:
    """One backend for all tests; a frame of another shape begins a new video."""
    _backend(frame(0, np.zeros((16, 16, 3), np.uint8)))
    return _backend


def frame(index: int, bgr: np.ndarray) -> Frame:
    return Frame(index, Fraction(index, 30), bgr)


@pytest.fixture(scope="module")
def walker(demo_clip: Path) -> np.ndarray:
    """The woman of the demo clip, about 350 px tall, alone, from head to feet: (443, 392, 3) BGR."""
    clip = cv2.VideoCapture(str(demo_clip))
    clip.set(cv2.CAP_PROP_POS_FRAMES, 130)
    return cv2.resize(clip.read()[1][440:, 470:960], (392, 443), interpolation=cv2.INTER_AREA)


class TestOnRealPictures:
    def test_finds_the_people_of_coco(self, backend: MediaPipePose2D, pictures: list[Annotated]) -> None:
        hits, total, strangers = 0, 0, 0
        for bgr, truths in pictures:
            found = backend(frame(0, bgr))
            hits += sum(max((like(f, t) for f in found), default=0.0) > 0.5 for t in truths)
            total += len(truths)
            strangers += sum(max(like(f, t) for t in truths) < 0.2 for f in found)
            for i, a in enumerate(found):
                assert all(joint_similarity(a, b) < 0.5 for b in found[i + 1 :]), "the same person twice"
        assert total == 12
        assert hits >= 8  # the others stand in a crowd, half hidden
        assert strangers <= 1

    def test_joints_are_where_coco_says(self, backend: MediaPipePose2D, pictures: list[Annotated]) -> None:
        skier, (truth, *_) = pictures[0]
        (found,) = backend(frame(0, skier))
        size = max(truth.box_px[2] - truth.box_px[0], truth.box_px[3] - truth.box_px[1])
        off = np.linalg.norm(found.joints_px - truth.joints_px, axis=-1)[truth.score > 0] / size
        assert (off < 0.1).mean() > 0.9
        assert np.median(off) < 0.03
        assert box_iou(found.box_px, truth.box_px) > 0.6
        assert found.track_id is None
        assert found.joints_px[COCO.NOSE, 1] < found.joints_px[COCO.LEFT_HIP, 1] < found.joints_px[COCO.LEFT_ANKLE, 1]

    @pytest.mark.parametrize(("dx", "dy"), [(160, 0), (0, 96), (200, 130)])
    def test_a_shifted_picture_gives_shifted_joints(
        self, backend: MediaPipePose2D, walker: np.ndarray, dx: int, dy: int
    ) -> None:
        canvas = np.full((walker.shape[0] + 130, walker.shape[1] + 200, 3), 114, np.uint8)
        found = []
        for x, y in ((0, 0), (dx, dy)):
            bgr = canvas.copy()
            bgr[y : y + walker.shape[0], x : x + walker.shape[1]] = walker
            (person,) = backend(frame(0, bgr))
            found.append(person)
        moved = found[1].joints_px - found[0].joints_px
        assert np.abs(np.median(moved, axis=0) - (dx, dy)).max() < 3
        assert np.abs(moved - (dx, dy)).max() < 25

    def test_follows_a_small_moving_person_without_jumps(self, backend: MediaPipePose2D, walker: np.ndarray) -> None:
        small = cv2.resize(walker, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
        height, width = small.shape[:2]
        hips = []
        for t in range(40):
            bgr = np.full((400, 800, 3), 200, np.uint8)
            x = 20 + 12 * t
            bgr[100 : 100 + height, x : x + width] = small
            people = backend(frame(t, bgr))
            assert len(people) == 1, f"frame {t}"
            hips.append(people[0].joints_px[[COCO.LEFT_HIP, COCO.RIGHT_HIP]].mean(0) - (x, 100))
        assert np.std(hips, axis=0).max() < 4  # px, of a person of about 140

    def test_half_a_person_at_the_edge(self, backend: MediaPipePose2D, walker: np.ndarray) -> None:
        """Cut below the knees: what is outside keeps a position there, with a score that says so."""
        (person,) = backend(frame(0, np.ascontiguousarray(walker[:300])))
        feet = [COCO.LEFT_ANKLE, COCO.RIGHT_ANKLE]
        assert (person.joints_px[feet, 1] > 290).all()
        outside = (person.joints_px < 0).any(-1) | (person.joints_px >= (walker.shape[1], 300)).any(-1)
        assert outside.any()
        assert (person.score[outside] <= 0.1).all()
        assert person.score[[COCO.LEFT_SHOULDER, COCO.RIGHT_SHOULDER]].min() > 0.5
        assert person.box_px[3] <= 300

    def test_people_come_and_go(self, backend: MediaPipePose2D, walker: np.ndarray) -> None:
        empty = np.full_like(walker, 120)
        counts = [len(backend(frame(t, walker if 3 <= t < 6 or t >= 30 else empty))) for t in range(33)]
        assert counts == [0] * 3 + [1] * 3 + [0] * 24 + [1] * 3

    def test_results_repeat(self, model: Path, walker: np.ndarray) -> None:
        runs = []
        for _ in range(2):
            with MediaPipePose2D(model, max_people=1) as backend:
                runs.append([backend(frame(t, walker))[0].joints_px for t in range(3)])
        np.testing.assert_array_equal(runs[0], runs[1])

    @pytest.mark.parametrize("every", [1, 3])
    def test_both_people_of_the_park(self, model: Path, demo_clip: Path, every: int) -> None:
        """The clip's first frames with both in view (46 on, she comes from behind a tree); every frame counts."""
        clip = cv2.VideoCapture(str(demo_clip))
        clip.set(cv2.CAP_PROP_POS_FRAMES, 60)
        pictures = [clip.read()[1] for _ in range(24)]
        with MediaPipePose2D(model) as backend:
            counts = [len(backend(frame(t, pictures[t]))) for t in range(0, 24, every)]
        assert counts == [2] * (24 // every)


@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 3), (16, 16), (1, 200), (200, 1), (48, 400), (480, 640)], ids=lambda s: f"{s[0]}x{s[1]}"
)
def test_nobody_in_flat_noisy_or_tiny_pictures(backend: MediaPipePose2D, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    for t, bgr in enumerate([np.zeros_like(noise), np.full_like(noise, 255), noise]):
        assert backend(frame(t, bgr)) == ()


def test_the_picture_is_left_as_it_was(backend: MediaPipePose2D) -> None:
    bgr = np.random.default_rng(1).integers(0, 256, (90, 160, 3)).astype(np.uint8)
    before = bgr.copy()
    bgr.flags.writeable = False
    backend(frame(0, bgr))
    np.testing.assert_array_equal(bgr, before)


def test_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "not.task").write_bytes(b"nothing of the kind")
    for path in (tmp_path / "not.task", tmp_path / "absent.task"):
        with pytest.raises(UserError, match="cannot be opened as a pose landmarker"):
            MediaPipePose2D(path)


def test_a_native_library_that_does_not_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise OSError("libEGL.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setattr("mediapipe.Image", broken)
    with pytest.raises(UserError, match=r"cannot be loaded \(libEGL.so.1.*install the system libraries libEGL"):
        MediaPipePose2D(tmp_path / "any.task")


class ScriptedLandmarker:
    """Finds somebody where the script says so; what of them is up to `_person`."""

    locked = False

    def __init__(self, script: list[Person2D | None]) -> None:
        self.script = iter(script)

    def __call__(self, rgb: np.ndarray, step_ms: int) -> tuple[Person2D] | None:
        person = next(self.script)
        return None if person is None else (person,)

    def forget(self) -> None:
        pass


def box(x: float, y: float, width: float = 100, height: float = 200) -> np.ndarray:
    return np.array([x, y, x + width, y + height], np.float32)


@pytest.mark.parametrize(
    ("seen", "continues"),
    [
        (box(200, 0), True),  # where they were expected
        (box(100, 0), True),  # they stopped half-way
        (box(0, 0), True),  # they did not move at all
        (box(-80, 0), False),  # the other way
        (box(280, 0), False),  # much too far
        (box(100, 80), False),  # beside the way
        (box(180, 0, 210, 420), False),  # twice the size
    ],
)
def test_where_a_followed_person_can_have_got_to(seen: np.ndarray, continues: bool) -> None:
    assert _continues(box(0, 0), box(200, 0), seen) == continues


def test_a_retracted_sighting_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody seen, missed, mistaken for another, and said so: as if they had been missed twice."""
    monkeypatch.setattr("sasmamba.app.pose2d.mediapipe._person", lambda view, found, bgr: found)
    monkeypatch.setattr("sasmamba.app.pose2d.mediapipe._plausible", lambda person, torso: True)

    def someone(x: float) -> Person2D:
        joints = np.random.default_rng(0).uniform((x, 50), (x + 60, 200), (17, 2)).astype(np.float32)
        return Person2D(None, np.array([x, 50, x + 60, 200], np.float32), joints, np.ones(17, np.float32))

    bgr = np.zeros((300, 400, 3), np.uint8)
    missed, mistaken = [
        _LandmarkFollower(
            ScriptedLandmarker([someone(110), None, last]),  # type: ignore[arg-type]
            someone(100),
            Fraction(0),
        )
        for last in (None, someone(140))
    ]
    for t in range(1, 4):
        missed.follow(frame(t, bgr), [])
        mistaken.follow(frame(t, bgr), [])
    assert not mistaken.lost
    mistaken.retract()
    assert mistaken.lost
    assert mistaken.seen_s == missed.seen_s == Fraction(1, 30)
    now_s = Fraction(4, 30)
    assert missed.predicted_box(now_s)[0] > missed.person.box_px[0]
    np.testing.assert_array_equal(mistaken.predicted_box(now_s), missed.predicted_box(now_s))


def test_counts_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="max_people: want 1 or more, got 0"):
        MediaPipePose2D(tmp_path / "any.task", max_people=0)


def test_closing_twice_is_fine(model: Path) -> None:
    backend = MediaPipePose2D(model)
    backend.close()
    backend.close()


HERE = (
    "import sys, threading; import numpy as np; from pathlib import Path; from fractions import Fraction\n"
    "from sasmamba.common.native_output import silence, silenced\n"
    "from sasmamba.app.pose2d.mediapipe import MediaPipePose2D; from sasmamba.app.types import Frame\n"
    "def opened(): return MediaPipePose2D(Path(sys.argv[1]))\n"
    "def use(b): b(Frame(0, Fraction(0), np.zeros((90, 90, 3), np.uint8))); return b\n"
)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("silence()\nwith opened() as b: use(b)", []),
        ("with silenced():\n with opened() as b: use(b)", []),
        ("silence(); b = use(opened())", []),  # nobody closes it
        ("silence(); t = threading.Thread(target=lambda: use(opened())); t.start(); t.join()", []),
        ("silence(); b = use(opened()); raise SystemExit('over')", ["over"]),
        ("silence(); b = use(opened()); import os; os.write(2, b'E0000 a real error\\n')", ["E0000 a real error"]),
    ],
    ids=["program", "meanwhile", "never closed", "a thread", "an exception", "an error"],
)
def test_a_run_says_nothing(model: Path, code: str, said: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HERE + code, str(model)], capture_output=True, text=True, timeout=240, check=False
    )
    assert (done.stdout, done.stderr.splitlines()) == ("", said)
    assert done.returncode == (1 if "SystemExit" in code else 0)


@pytest.mark.usefixtures("model")
def test_a_folder_in_two_processes_says_nothing(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, 4)
    running = start("run", tmp_path, "--pose2d", "mediapipe", "--jobs", 2, "-o", tmp_path / "out", "--quiet")
    assert running.communicate(timeout=240) == ("", "")
    assert running.returncode == 0
    assert {"a_3d.mp4", "b_3d.mp4"} <= set(left_in(tmp_path / "out"))


def test_never_closing_it_leaves_no_traceback(model: Path) -> None:
    """Nobody silences Python: MediaPipe's own clean-up, too late at the interpreter's end, must not be what closes."""
    done = subprocess.run(
        [sys.executable, "-c", f"{HERE}b = use(opened())", str(model)],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize("fps", [15, 30, 60, 240])
def test_the_same_identities_at_any_frame_rate(backend: MediaPipePose2D, walker: np.ndarray, fps: int) -> None:
    """Somebody slides to the right for a second and is behind a board for 0.3 s of it."""
    small = cv2.resize(walker, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    height, width = small.shape[:2]
    tracker, seen = Tracker(), []
    for t in range(fps):
        bgr = np.full((300, 640, 3), 200, np.uint8)
        x = 20 + 240 * t // fps
        bgr[30 : 30 + height, x : x + width] = small
        if 0.4 <= t / fps < 0.7:
            bgr[:] = 120
        moment = Frame(t, Fraction(t, fps), bgr)
        seen += [person.track_id for person in tracker.update(moment, backend(moment))]
    assert set(seen) == {1}
    assert len(seen) / fps == pytest.approx(0.7, abs=1.1 / fps + 0.02)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_newcomers_are_searched_for_whatever_the_numbers_of_the_frames(
    backend: MediaPipePose2D, walker: np.ndarray, first: int, step: int
) -> None:
    """Live, a 2D stage of two frames' time sees every other frame only, and those may all be odd."""
    height, width = walker.shape[:2]
    canvas = np.full((height, 2 * width, 3), 114, np.uint8)
    canvas[:, :width] = walker
    both = canvas.copy()
    both[:, width:] = walker
    counts = [len(backend(frame(first + step * t, both if t > 1 else canvas))) for t in range(16)]
    assert counts[1] == 1
    assert counts[-1] == 2
