"""Live placing: people stand on the floor where the picture shows them, a jump is a jump, the view is steady."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from sasmamba.app.live.framing import Framing
from sasmamba.app.motion.axes import focal_length_px
from sasmamba.app.motion.online_placing import LivePlacing
from sasmamba.app.types import Person2D, Pose3D, VideoMeta
from sasmamba.models.skeletons import COCO, H36M

META = VideoMeta(1280, 720, Fraction(30), None)
FOCAL = focal_length_px(1280, 720, 60)


def body() -> np.ndarray:
    """(17, 3) a person standing upright, facing axes, metres from the pelvis, y down."""
    joints = np.zeros((17, 3), np.float32)
    for name, (x, y) in {
        "HIP": (0.13, 0.0),
        "KNEE": (0.13, 0.45),
        "ANKLE": (0.13, 0.87),
        "SHOULDER": (0.18, -0.45),
        "ELBOW": (0.3, -0.2),
        "WRIST": (0.35, 0.05),
    }.items():
        joints[H36M[f"LEFT_{name}"]] = x, y, 0
        joints[H36M[f"RIGHT_{name}"]] = -x, y, 0
    joints[H36M.SPINE, 1], joints[H36M.THORAX, 1], joints[H36M.NOSE, 1], joints[H36M.HEAD_TOP, 1] = (
        -0.2,
        -0.45,
        -0.6,
        -0.7,
    )
    return joints


def sighting(pelvis: tuple[float, float, float], frame: int = 0) -> tuple[Person2D, Pose3D]:
    """The person standing at `pelvis`, camera axes, and as the camera sees them."""
    joints = body()
    at = joints + np.array(pelvis, np.float32)
    px = at[:, :2] / at[:, 2:] * FOCAL + (640, 360)
    coco, score = np.zeros((17, 2), np.float32), np.zeros(17, np.float32)
    for joint in COCO:
        if joint.name in H36M.__members__ and joint != COCO.NOSE:
            coco[joint], score[joint] = px[H36M[joint.name]], 1
    box = np.array([*px.min(0), *px.max(0)], np.float32)
    return Person2D(1, box, coco, score), Pose3D(frame, 1, joints)


@pytest.mark.parametrize("x", [-0.6, 0.6])
def test_a_webcam_that_shows_no_hips_shows_where_somebody_is(x: float) -> None:
    """They were put in the middle of the picture, two people into each other."""
    placing = LivePlacing(META, 60)
    person, pose = sighting((x, 0.3, 2.0))
    score = person.score.copy()
    score[[COCO[f"{side}_{joint}"] for side in ("LEFT", "RIGHT") for joint in ("HIP", "KNEE", "ANKLE")]] = 0
    _, roots = placing(0.0, [replace(person, score=score)], [pose])
    assert roots[1][:2] == pytest.approx([x, 2.0], abs=0.4)


def test_a_person_stands_on_the_floor_where_the_picture_shows_them() -> None:
    placing = LivePlacing(META, 60)
    for i in range(30):
        person, pose = sighting((0.8, 0.3, 4.0))
        (placed,), roots = placing(i / 30, [person], [pose])
    assert placed.space == "camera_root_relative_m"
    x, y, z = roots[1]
    assert abs(x - 0.8) < 0.1
    assert abs(y - 4.0) < 0.4
    assert abs(z - (0.87 + 0.08)) < 0.05  # pelvis above the sole


def test_live_nobody_hangs_below_the_floor() -> None:
    placing = LivePlacing(META, 60)
    for i in range(30):
        person, pose = sighting((0.0, 0.3, 4.0))
        joints = pose.joints * np.float32([-1, -1, 1])
        middle = person.joints_px[[COCO.LEFT_HIP, COCO.RIGHT_HIP]].mean(0)
        person = replace(person, joints_px=2 * middle - person.joints_px)
        _, roots = placing(i / 30, [person], [replace(pose, joints=joints)])
    assert roots[1][2] - 0.7 == pytest.approx(0, abs=0.05)  # the head touches the floor


def test_a_jump_leaves_the_floor_and_a_walk_does_not() -> None:
    placing = LivePlacing(META, 60)
    heights = []
    for i in range(60):
        up = 0.3 if 30 <= i < 40 else 0.0
        person, pose = sighting((0.0, 0.3 - up, 4.0))
        heights.append(placing(i / 30, [person], [pose])[1][1][2])
    assert heights[38] - heights[28] > 0.2
    placing = LivePlacing(META, 60)
    for i in range(90):
        person, pose = sighting((-1 + i / 45, 0.3, 4.0))
        root = placing(i / 30, [person], [pose])[1][1]
    assert abs(root[2] - 0.95) < 0.08
    assert root[0] > 0.8


def test_nobody_seen_is_placed_where_they_were() -> None:
    placing = LivePlacing(META, 60)
    person, pose = sighting((0.5, 0.3, 5.0))
    before = placing(0.0, [person], [pose])[1][1]
    after = placing(1 / 30, [], [pose])[1][1]
    np.testing.assert_allclose(after, before, atol=1e-3)


def test_the_view_changes_only_when_somebody_leaves_it() -> None:
    stage = Framing()
    assert not stage.follow({})
    assert stage.follow({1: np.array([0.0, 4.0, 1.0])})
    assert not stage.follow({1: np.array([0.4, 4.3, 1.0])})
    assert stage.follow({1: np.array([0.0, 4.0, 1.0]), 2: np.array([3.0, 6.0, 1.0])})
    assert not stage.follow({2: np.array([3.0, 6.0, 1.0])})
    assert not stage.follow({1: np.array([np.nan, 0.0, 1.0])})
    assert not stage.follow({1: np.array([0.0, 4.0, 1.0]), 2: np.array([3.0, 6.0, 1.0]), 3: np.array([9.0, 50.0, 1.0])})
