"""Where detectors see joints and where Human3.6M's skeleton has them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.offline import lift_people
from sasmamba.app.lifting.online import LiveLifting
from sasmamba.models.blocks import BlockConfig
from sasmamba.models.landmarks import as_captured, as_detected
from sasmamba.models.sasmamba import SasMamba, SasMambaConfig
from sasmamba.models.seen_joints import derived
from sasmamba.models.skeletons import H36M, coco17_to_h36m17

SIDES = ("LEFT", "RIGHT")
HIPS = [H36M.PELVIS, H36M.LEFT_HIP, H36M.RIGHT_HIP]


def seen(frames: int = 6, seed: int = 0) -> np.ndarray:
    """(F, 17, 3) somebody's joints as they are derived from a detector's."""
    g = np.random.default_rng(seed)
    xy, score = coco17_to_h36m17(g.uniform(0, 400, (frames, 17, 2)), g.uniform(0.3, 1, (frames, 17)))
    return np.concatenate([xy, score[..., None]], -1).astype(np.float32)


def lengths(pose: np.ndarray) -> dict[str, float]:
    """Of trunk, leg, hips and shoulders."""

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm(a - b))

    at = {joint.name: pose[joint] for joint in H36M}
    legs = [apart(at[f"{s}_HIP"], at[f"{s}_KNEE"]) + apart(at[f"{s}_KNEE"], at[f"{s}_ANKLE"]) for s in SIDES]
    return {
        "trunk": apart(at["PELVIS"], at["THORAX"]),
        "leg": float(np.mean(legs)),
        "hips": apart(at["LEFT_HIP"], at["RIGHT_HIP"]),
        "shoulders": apart(at["LEFT_SHOULDER"], at["RIGHT_SHOULDER"]),
    }


def standing(trunk: float, thigh: float, shank: float, hips: float, shoulders: float) -> np.ndarray:
    """(17, 3) somebody upright, metres, y up, from the pelvis."""
    pose = np.zeros((17, 3))
    pose[H36M.SPINE, 1], pose[H36M.THORAX, 1] = trunk / 2, trunk
    pose[H36M.NOSE, 1], pose[H36M.HEAD_TOP, 1] = trunk + 0.1, trunk + 0.2
    for side, sign in zip(SIDES, (1, -1), strict=True):
        pose[H36M[f"{side}_HIP"]] = sign * hips / 2, 0, 0
        pose[H36M[f"{side}_KNEE"]] = sign * hips / 2, -thigh, 0
        pose[H36M[f"{side}_ANKLE"]] = sign * hips / 2, -thigh - shank, 0
        for joint, below in (("SHOULDER", 0.0), ("ELBOW", 0.28), ("WRIST", 0.53)):
            pose[H36M[f"{side}_{joint}"]] = sign * shoulders / 2, trunk - below, 0
    return pose


def test_each_joint_moves_along_the_way_to_another() -> None:
    before = standing(0.5, 0.42, 0.38, 0.2, 0.4)
    after = as_captured(np.concatenate([before[:, :2], np.ones((17, 1))], -1))[:, :2]
    moved = {joint.name: tuple(np.round(after[joint] - before[joint, :2], 4)) for joint in H36M}
    up, still = (0.0, 0.025), (0.0, 0.0)
    assert moved["PELVIS"] == moved["LEFT_HIP"] == moved["RIGHT_HIP"] == pytest.approx(up)
    assert moved["SPINE"] == pytest.approx((0.0, 0.0125))
    assert moved["LEFT_SHOULDER"] == pytest.approx((-0.014, 0.0))
    assert moved["RIGHT_SHOULDER"] == pytest.approx((0.014, 0.0))
    assert moved["LEFT_ANKLE"] == moved["RIGHT_ANKLE"] == pytest.approx((0.0, -0.038))
    for name in ("THORAX", "NOSE", "HEAD_TOP", "LEFT_KNEE", "RIGHT_ELBOW", "LEFT_WRIST"):
        assert moved[name] == pytest.approx(still), name


@pytest.mark.parametrize("people", [(0.527, 0.421, 0.378, 0.218, 0.380), (0.396, 0.346, 0.310, 0.218, 0.324)])
def test_people_measured_by_four_cameras_come_nearer_to_the_skeleton(people: tuple[float, ...]) -> None:
    # metres, MoveNet's joints of two people of Pose2Sim's demonstrations; Human3.6M's training subjects beside them
    skeleton = {"trunk": 0.488 / 0.891, "shoulders": 0.302 / 0.891}

    def off(pose: np.ndarray) -> dict[str, float]:
        found = lengths(pose)
        return {part: abs(found[part] / found["leg"] / share - 1) for part, share in skeleton.items()}

    before = standing(*people)
    flat = as_captured(np.concatenate([before[:, :2], np.ones((17, 1))], -1))
    after = np.concatenate([flat[:, :2], np.zeros((17, 1))], -1)
    for part, error in off(before).items():
        assert off(after)[part] < 0.85 * error, part


def test_poses_come_back_to_where_they_were_seen() -> None:
    pose = np.random.default_rng(1).normal(size=(5, 17, 3))
    pose -= pose[:, :1]
    one = np.ones((5, 17, 1))
    # the map is the same for any coordinate, so for depth as for what lies in the picture
    xy = as_captured(np.concatenate([pose[..., :2], one], -1))[..., :2]
    zz = as_captured(np.concatenate([pose[..., [2, 2]], one], -1))[..., :1]
    captured = np.concatenate([xy, zz], -1)
    back = as_detected(captured - captured[:, :1])
    np.testing.assert_allclose(back[..., :2], pose[..., :2], atol=1e-5)
    others = [joint for joint in H36M if joint not in (*HIPS, H36M.SPINE)]  # those have another depth, see below
    depth = [some[:, others, 2] - some[:, [H36M.THORAX], 2] for some in (back, pose)]
    np.testing.assert_allclose(*depth, atol=1e-5)


@pytest.mark.parametrize(("turned_deg", "farther"), [(0, 1), (180, -1), (90, 0), (60, 0.5)], ids=str)
def test_hips_lie_behind_where_a_lifter_has_them(turned_deg: float, farther: float) -> None:
    """As people face, and only along the line of sight: across it the picture shows where they are."""
    turn = np.radians(turned_deg)
    about_up = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    facing = standing(0.5, 0.44, 0.43, 0.26, 0.32) * [1, -1, 1]  # with the left hand at the picture's right
    pose = facing @ about_up.T
    out = as_detected(pose)
    moved = (out[HIPS] - out[H36M.THORAX])[:, 2] - (pose[HIPS] - pose[H36M.THORAX])[:, 2]
    trunk = np.linalg.norm(out[H36M.THORAX] - out[H36M.PELVIS])
    np.testing.assert_allclose(moved, np.full(3, farther) * 0.04 * trunk, atol=0.002)


def test_joints_that_are_missing_move_nobody() -> None:
    xyc = seen()
    xyc[:, H36M.LEFT_KNEE] = 0
    xyc[:, [H36M.THORAX, H36M.LEFT_SHOULDER]] = 0
    after = as_captured(xyc)
    for joint in ("LEFT_KNEE", "LEFT_ANKLE", "PELVIS", "LEFT_HIP", "RIGHT_HIP", "LEFT_SHOULDER", "RIGHT_SHOULDER"):
        np.testing.assert_array_equal(after[:, H36M[joint]], xyc[:, H36M[joint]], joint)
    assert not np.allclose(after[:, H36M.RIGHT_ANKLE], xyc[:, H36M.RIGHT_ANKLE])
    np.testing.assert_array_equal(after[..., 2], xyc[..., 2])


def test_joints_stay_derived_ones_for_refinement() -> None:
    assert derived(seen())
    assert derived(as_captured(seen()))


def small(detected: bool) -> Lifter:
    torch.manual_seed(3)
    model = SasMamba(SasMambaConfig(block=BlockConfig(width=16, states=2), blocks=2, frames=27)).eval()
    return Lifter(model, "small", threads=1, refine=False, detected=detected)


def test_whole_sequences_are_lifted_as_captured_and_given_out_as_detected() -> None:
    xyc = seen(20)
    plain = lift_people(small(False), [as_captured(xyc)], fps=30)[0].joints
    np.testing.assert_allclose(lift_people(small(True), [xyc], fps=30)[0].joints, as_detected(plain), atol=1e-5)


def test_so_are_live_ones() -> None:
    xyc = seen(30)
    found = {}
    for detected in (False, True):
        live = LiveLifting(small(detected), window=9, smooth=False, fit=False)
        for frame, row in enumerate(xyc):
            live.push_joints(frame, {1: row if detected else as_captured(row)})
            live.lift()
            found[detected] = live.poses(frame)[0].joints
    np.testing.assert_allclose(found[True], as_detected(found[False]), atol=1e-5)
