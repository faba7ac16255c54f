"""What is not seen is not believed, and what can be a body stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers_crossings import FIGURE, figure

from sasmamba.app.pose2d.anatomy import believed
from sasmamba.models.skeletons import COCO

SIZE = 960, 540
FLOOR = 0.15
LEGS = [COCO.LEFT_KNEE, COCO.RIGHT_KNEE, COCO.LEFT_ANKLE, COCO.RIGHT_ANKLE]
HIPS = [COCO.LEFT_HIP, COCO.RIGHT_HIP]


def missing(joints: np.ndarray, score: np.ndarray) -> set[int]:
    kept = believed(joints.astype(np.float32), score.astype(np.float32), *SIZE, FLOOR)
    assert ((kept == 0) | (kept == score.astype(np.float32))).all()
    return set(np.flatnonzero(kept == 0).tolist())


@pytest.fixture
def joints() -> np.ndarray:
    return figure(480, 270, 300).joints_px.astype(float)


def test_a_whole_person_is_believed(joints: np.ndarray) -> None:
    assert missing(joints, np.full(17, 0.6)) == set()


def test_outside_the_picture(joints: np.ndarray) -> None:
    assert missing(joints + np.array([0, 220]), np.full(17, 0.9)) == {13, 14, 15, 16}
    assert missing(joints - np.array([2000, 0]), np.full(17, 0.9)) == {*range(17)}


def test_under_the_noise_floor(joints: np.ndarray) -> None:
    score = np.full(17, 0.6)
    score[COCO.LEFT_WRIST] = 0.14
    assert missing(joints, score) == {COCO.LEFT_WRIST}


def test_head_and_hands_above_a_table_have_no_body_on_it(joints: np.ndarray) -> None:
    """The network guesses hips and legs along the table's edge, a little above its noise."""
    score = np.full(17, 0.7)
    score[HIPS], score[LEGS] = 0.25, 0.2
    joints[HIPS] = joints[HIPS][:, [0]] * [[1, 0]] + [[60, 250], [80, 252]]
    joints[LEGS] = [[700, 255], [720, 250], [800, 255], [820, 250]]
    assert missing(joints, score) == {*HIPS, *LEGS}


@pytest.mark.parametrize("seen", [["SHOULDER", "EAR", "EYE"], ["EAR", "EYE"]])
def test_a_close_up_has_no_knee_at_the_shoulder(joints: np.ndarray, seen: list[str]) -> None:
    score = np.zeros(17)
    score[[COCO.NOSE, *(COCO[f"{side}_{part}"] for side in ("LEFT", "RIGHT") for part in seen)]] = 0.6
    score[COCO.LEFT_KNEE] = 0.5
    assert COCO.LEFT_KNEE not in missing(joints, score)  # somebody behind a counter
    joints[COCO.LEFT_KNEE] = joints[COCO.LEFT_EAR] + (5, 10)
    assert COCO.LEFT_KNEE in missing(joints, score)
    score[HIPS] = 0.6  # somebody who crouches
    assert COCO.LEFT_KNEE not in missing(joints, score)


@pytest.mark.parametrize("leave", [False, True])
def test_legs_that_leave_the_picture_are_not_at_its_edge(joints: np.ndarray, leave: bool) -> None:
    """Of somebody behind a lectern the network answers knees and ankles along the picture's lower edge, hardly sure."""
    score = np.full(17, 0.7)
    score[LEGS] = 0.25
    if leave:
        joints[:, 1] += SIZE[1] - 10 - joints[HIPS, 1].max()
        joints[LEGS, 1] = SIZE[1] - 4
    assert missing(joints, score) == (set(LEGS) if leave else set())
    score[LEGS] = 0.5  # feet on the lower edge that are seen
    assert missing(joints, score) == set()


def test_an_unsure_wrist_goes_with_its_elbow(joints: np.ndarray) -> None:
    score = np.full(17, 0.6)
    score[[COCO.RIGHT_ELBOW, COCO.RIGHT_WRIST]] = 0.1, 0.25
    assert missing(joints, score) == {COCO.RIGHT_ELBOW, COCO.RIGHT_WRIST}
    score[COCO.RIGHT_WRIST] = 0.5  # a hand that shows beside a post
    assert missing(joints, score) == {COCO.RIGHT_ELBOW}


def test_a_foot_on_somebody_else(joints: np.ndarray) -> None:
    joints[COCO.LEFT_ANKLE] += (320, 0)
    score = np.full(17, 0.6)
    score[COCO.LEFT_ANKLE] = 0.5
    assert missing(joints, score) == {COCO.LEFT_ANKLE}


def test_little_known_means_little_said() -> None:
    """Two forearms and nothing else: no proportions to go by."""
    score = np.zeros(17)
    score[[5, 7, 9]] = 0.6
    spread = FIGURE.astype(float) * 300 + (480, 270)
    spread[9] += (150, 0)
    assert missing(spread, score) == {*range(17)} - {5, 7, 9}


@pytest.mark.parametrize("file", ["adults", "deepmimic"])
def test_real_bodies_are_possible(shared: Path, file: str) -> None:
    """Motion capture from 1.8 to 6 m, from below to far above: acrobatics, punches, sitting."""
    with np.load(shared / f"data/mocap/{file}.npz") as z:
        every = z["joints"].astype(float) / 1e4
    rng = np.random.default_rng(5)
    h36m = [9, 9, 9, 9, 9, 11, 14, 12, 15, 13, 16, 4, 1, 5, 2, 6, 3]
    poses = every[rng.choice(len(every), 1500)][:, h36m]
    dropped = 0
    for pose in poses:
        around, up = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.8)
        forward = np.array([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), -np.sin(up)])
        right = np.cross(forward, [0, 0, 1])
        right /= np.linalg.norm(right)
        depth = pose @ forward + rng.uniform(1.8, 6)
        picture = np.stack([pose @ right, pose @ np.cross(forward, right)], 1) / depth[:, None]
        dropped += len(missing(200 * picture + (480, 270), np.full(17, 0.6)) - set(range(5)))
    assert dropped <= 0.001 * poses.shape[0] * 12
