"""When feet rest: what the picture shows across the line of sight counts for more than the depth of a pose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sasmamba.app.motion.footing import ANKLES, Body, planted_feet, supported
from sasmamba.app.motion.placing import place
from sasmamba.models.skeletons import H36M
from tests.unit.test_placing import FOV, STANDING, scene

FPS = 30
TIME = np.arange(60) / FPS
#: From world axes, z up, to those of a camera that looks along y.
_CAMERA = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def seen(across_m_s: float, along_m_s: float, shown_m_s: float | None) -> Body:
    """Somebody 5 m before a camera whose pose goes so fast to the side and away, the 2D ankles to the side; None of
    somebody whose ankles are not found."""
    path = np.stack([across_m_s * TIME, 0 * TIME, 5 + along_m_s * TIME], 1)
    body = Body(TIME, np.tile(STANDING @ _CAMERA.T, (len(TIME), 1, 1)), path)
    still = body.joints[0, ANKLES] + [0, 0, 5]
    shown = still + np.array([1, 0, 0]) * ((shown_m_s or 0) * TIME)[:, None, None]
    sight = shown / np.linalg.norm(shown, axis=-1, keepdims=True)
    return replace(body, sight=sight * (shown_m_s is not None))


@pytest.mark.parametrize(
    ("body", "rests"),
    [
        (seen(0, 0, 0), True),
        (seen(0, 0.9, 0), True),
        (seen(0.6, 0, 0.1), True),
        (seen(0.1, 0, 0.6), True),
        (seen(0.6, 0, 0.6), False),
        (seen(0, 2.5, 0), False),
        (seen(0.1, 0.9, None), True),
        (seen(0.6, 0, None), False),
        (replace(seen(0, 0.9, 0), sight=None), False),
    ],
    ids=[
        "stands",
        "depth goes",
        "the pose errs",
        "the 2D errs",
        "goes to the side",
        "goes away",
        "ankles not found",
        "ankles not found, goes",
        "no camera",
    ],
)
def test_a_foot_rests_where_the_picture_shows_it_at_rest(body: Body, rests: bool) -> None:
    assert planted_feet(body).mean() == float(rests)


def test_a_body_that_is_moved_has_no_line_of_sight() -> None:
    body = seen(0, 0, 0)
    assert body.posed(body.joints).sized(1.1).sight is not None
    assert body.posed(body.joints, body.pelvis).sight is None
    assert body.turned(np.eye(3), np.zeros(3)).sight is None


@pytest.mark.parametrize(
    ("fps", "m_s", "stands_s"), [(30, 4.0, 0.3), (60, 6.0, 0.3), (10, 3.0, 0.3)], ids=["film", "sprints", "few frames"]
)
def test_short_stances_are_found_at_every_rate(fps: int, m_s: float, stands_s: float) -> None:
    time = np.arange(2 * fps) / fps
    beside, still = np.abs(time - 1), np.tile(STANDING, (2 * fps, 1, 1))
    way = m_s * np.sign(time - 1) * (beside - stands_s / 2).clip(min=0)
    joints = still.copy()
    joints[:, ANKLES, 0] += (way - m_s / 2 * (time - 1))[:, None]  # the pelvis goes on while the foot stands
    path = np.stack([m_s / 2 * (time - 1), 5 + 0 * time, 0.95 + 0 * time], 1)
    planted = planted_feet(Body(time, joints, path))
    assert planted[beside < stands_s / 4].all()
    assert not planted[beside > stands_s].any()


def test_the_lifters_depth_unplants_nobody() -> None:
    take, _ = scene({1: np.tile([0.3, 5, 0.95], (90, 1))}, 10.0)
    poses = take.tracks[1].poses
    for f, pose in poses.items():
        joints = pose.joints.copy()
        joints[[H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE], 2] += 0.1 * np.sin(8 * f / FPS)  # at up to 0.8 m/s
        poses[f] = replace(pose, joints=joints)
    placed = place(take, FOV)
    assert np.mean([*placed.planted[1].values()]) == 1
    _, world = placed.world(1)
    slide = np.linalg.norm(np.diff(world[:, ANKLES, :2], axis=0), axis=-1)
    assert np.median(slide) < 0.0005
    assert slide.max() < 0.002


@pytest.mark.parametrize(
    ("step_m", "levels"), [(0.08, [0] * 6), (-0.08, [0] * 6), (0.18, [0, 0.18, 0.36, 0.54, 0.72, 0.9])]
)
def test_a_floor_that_seems_to_rise_is_one_floor_and_stairs_are_not(step_m: float, levels: list[float]) -> None:
    time, stance = np.arange(180) / FPS, np.arange(180) // 30
    path = np.stack([0 * time, 5 + 0 * time, 0.95 + step_m * stance], 1)
    resting = np.zeros((180, 2), bool)
    resting[np.arange(180), stance % 2] = np.arange(180) % 30 > 2
    planted, level = supported(Body(time, np.tile(STANDING, (180, 1, 1)), path), resting)
    assert (planted == resting).all()
    np.testing.assert_allclose(level.max(1)[10::30], levels, atol=1e-6)
