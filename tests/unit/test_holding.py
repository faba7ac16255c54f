"""Limbs that are held where a hand set them: they fall there, bones keep their lengths, nothing else moves."""

from __future__ import annotations

import numpy as np
import pytest
from helpers_fix import walkers, whose
from helpers_motion import walker

from sasmamba.app.fix.applying import corrected
from sasmamba.app.fix.corrections import DeletePerson, ExchangePeople, ExchangeSides, HideJoint, MoveJoint
from sasmamba.app.motion.holding import LIMBS, held_limbs, hold_joints
from sasmamba.app.types import HeldJoint, Person2D, Pose3D
from sasmamba.models.skeletons import COCO, H36M, H36M_PARENTS

PARENTS = np.array(H36M_PARENTS)
BOX = np.array([0, 0, 640, 480], np.float32)
PX_PER_M, MIDDLE, NEARNESS = 150.0, np.array([320.0, 240.0]), 0.2


def facing() -> np.ndarray:
    """A walker's pose, facing: x right, y down, z forward."""
    x, y, z = np.moveaxis(walker(30)[0][12], -1, 0)
    return np.stack([y, -z, x], -1).astype(np.float32)


def pixels(joints: np.ndarray) -> np.ndarray:
    return joints[..., :2] * (1 - NEARNESS * joints[..., 2:]) * PX_PER_M + MIDDLE


def as_seen(joints: np.ndarray) -> Person2D:
    """The pose in 2D; eyes and ears lie at the nose."""
    names = [joint.name if joint.name in H36M.__members__ else "NOSE" for joint in COCO]
    return Person2D(1, BOX, pixels(joints[[H36M[name] for name in names]]).astype(np.float32), np.ones(17, np.float32))


def lengths(joints: np.ndarray) -> np.ndarray:
    return np.linalg.norm(joints - joints[PARENTS], axis=-1)


def turned(joints: np.ndarray, joint: H36M, by_rad: float) -> np.ndarray:
    """The pose with one bone turned in the picture's plane, and what hangs on it moved along."""
    out, parent = joints.copy(), PARENTS[joint]
    c, s = np.cos(by_rad), np.sin(by_rad)
    bone = (joints[joint] - joints[parent]) @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    shift = joints[parent] + bone - joints[joint]
    for other in range(17):
        above = other
        while above not in (joint, 0):
            above = PARENTS[above]
        if above == joint:
            out[other] = joints[other] + shift
    return out.astype(np.float32)


@pytest.mark.parametrize("joint", LIMBS, ids=lambda joint: joint.name)
@pytest.mark.parametrize("by_rad", [-0.3, 0.5])
def test_a_limb_falls_where_it_was_set(joint: H36M, by_rad: float) -> None:
    lifted, true = facing(), turned(facing(), joint, by_rad)
    seen = as_seen(true)
    done = held_limbs(lifted, seen, {joint: 1.0})
    # the place in the picture follows from the other joints; head and derived joints lie a little off
    away_px = np.linalg.norm(pixels(done)[joint] - pixels(true)[joint])
    assert away_px < 0.03 * PX_PER_M
    assert away_px < 0.25 * np.linalg.norm(pixels(lifted)[joint] - pixels(true)[joint])
    np.testing.assert_allclose(lengths(done), lengths(lifted), atol=1e-5)
    same = [other for other in H36M if other != joint and PARENTS[other] != joint]
    np.testing.assert_allclose(done[same], lifted[same], atol=1e-6)


def test_a_part_of_the_way() -> None:
    lifted, joint = facing(), H36M.LEFT_WRIST
    seen = as_seen(turned(lifted, joint, 0.5))
    ways = [np.linalg.norm(held_limbs(lifted, seen, {joint: share})[joint] - lifted[joint]) for share in (0.25, 0.5, 1)]
    assert 0.15 * ways[2] < ways[0] < 0.4 * ways[2]
    assert 0.4 * ways[2] < ways[1] < 0.65 * ways[2]


def test_what_no_bone_reaches() -> None:
    lifted, joint = facing(), H36M.RIGHT_WRIST
    seen = as_seen(lifted)
    joints_px = seen.joints_px.copy()
    joints_px[COCO.RIGHT_WRIST] = (5000, 240)
    done = held_limbs(lifted, Person2D(1, BOX, joints_px, seen.score), {joint: 1.0})
    np.testing.assert_allclose(lengths(done), lengths(lifted), atol=1e-5)
    way = done[joint] - done[H36M.RIGHT_ELBOW]
    assert way[0] > 0.97 * np.linalg.norm(way)  # it points there


def test_too_little_to_compare_with() -> None:
    lifted, seen = facing(), as_seen(facing())
    few = np.zeros(17, np.float32)
    few[[COCO.LEFT_WRIST, COCO.LEFT_ELBOW]] = 1
    done = held_limbs(lifted, Person2D(1, BOX, seen.joints_px, few), {H36M.LEFT_WRIST: 1.0})
    np.testing.assert_array_equal(done, lifted)


def test_corrections_say_what_is_held() -> None:
    take = walkers(11)
    wrist, other = int(COCO.LEFT_WRIST), int(COCO.RIGHT_WRIST)
    move = MoveJoint(whose(take, 1, 5), "left_wrist", (100.0, 60.0), 0.08)
    one = [HeldJoint(4, 1, wrist, 0.5), HeldJoint(5, 1, wrist, 1.0), HeldJoint(6, 1, wrist, 0.5)]

    def held(*more: object) -> list[HeldJoint]:
        done = corrected(take, [move, *more])  # type: ignore[list-item]
        assert done.problems == ()
        return done.take.held

    assert held() == one
    at = whose(take, 1, 9)
    assert [h.joint for h in held(ExchangeSides(at, 0.2, 0.3))] == [wrist, other, other]
    people = held(ExchangePeople(at, whose(take, 2, 9), 0.2, 0.3))
    assert [(h.frame, h.track_id) for h in people] == [(4, 1), (5, 2), (6, 2)]
    assert held(HideJoint(at, "left_wrist", 0.2, 0.3)) == one[:1]
    assert held(DeletePerson(at, 0.2, 0.3)) == one[:1]


def test_only_frames_that_were_set_by_hand_change() -> None:
    take = walkers(5)
    lifted = facing()
    for f in range(5):
        take.tracks[1].poses[f] = Pose3D(f, 1, lifted)
        take.tracks[1].people[f] = as_seen(turned(lifted, H36M.LEFT_WRIST, 0.5))
    take.held = [
        HeldJoint(2, 1, COCO.LEFT_WRIST, 1.0),
        HeldJoint(3, 1, COCO.LEFT_HIP, 1.0),  # the trunk is the lifter's business
        HeldJoint(4, 7, COCO.LEFT_WRIST, 1.0),  # nobody
        HeldJoint(4, 2, COCO.LEFT_WRIST, 1.0),  # no pose
    ]
    hold_joints(take)
    changed = [f for f in range(5) if not np.array_equal(take.tracks[1].poses[f].joints, lifted)]
    assert changed == [2]


def test_what_cannot_be_held() -> None:
    with pytest.raises(ValueError, match="held joint: want"):
        HeldJoint(0, 1, 17, 1.0)
    with pytest.raises(ValueError, match="held joint: want"):
        HeldJoint(0, 1, 9, 0.0)
