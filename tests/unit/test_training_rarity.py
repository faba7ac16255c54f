"""Rare poses are found and drawn more often."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from helpers_motion import motion_arrays, walker, write_rig

from sasmamba.models.skeletons import H36M
from sasmamba.training.cameras import load_rig
from sasmamba.training.motion import Motion, load_motion
from sasmamba.training.rarity import moments, upright_poses
from sasmamba.training.simulate import Simulator, body_lengths


def with_raised_arms(path: Path) -> Motion:
    """Twenty seconds of walking, of which two have the hands above the head."""
    arrays = motion_arrays([("S1", "walk", 1000)])
    joints = arrays["joints"]
    for side in ("LEFT", "RIGHT"):
        shoulder = joints[:, H36M[f"{side}_SHOULDER"]]
        for joint, above in (("ELBOW", 2800), ("WRIST", 5300)):
            joints[600:700, H36M[f"{side}_{joint}"]] = shoulder[600:700] + np.array([0, 0, above], np.int16)
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return load_motion([path])


def test_pose_space_ignores_heading_and_size() -> None:
    joints = torch.from_numpy(walker(5)[0]).float()
    turn = torch.tensor([[0.6, -0.8, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(upright_poses(1.3 * joints @ turn.T), upright_poses(joints), atol=1e-4, rtol=0)
    lying = joints @ torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    assert (upright_poses(lying) - upright_poses(joints)).abs().max() > 0.3


def test_raised_arms_are_rarer_than_walking(tmp_path: Path) -> None:
    found = moments(with_raised_arms(tmp_path / "m.npz"))
    raised = (found.frame >= 600) & (found.frame < 700)
    assert raised.sum() == 4
    assert found.rarity[raised].mean() > 2 * found.rarity[~raised].mean()
    torch.testing.assert_close(found.rarity.mean(), torch.tensor(1.0))


def test_rare_moments_are_drawn_more_often(tmp_path: Path) -> None:
    motion = with_raised_arms(tmp_path / "m.npz")
    rig = load_rig(write_rig(tmp_path / "c.json", ["S1"]))

    def raised(rare: float) -> float:
        simulator = Simulator(motion, torch.ones(1), body_lengths(motion), rig, rare=rare)
        target = simulator.draw(600, 5, (1, 2), torch.Generator().manual_seed(0)).target
        trunk = target[:, 2, H36M.THORAX]
        arm = target[:, 2, H36M.LEFT_WRIST] - target[:, 2, H36M.LEFT_SHOULDER]
        return ((arm * trunk).sum(-1) > 0).float().mean().item()

    assert raised(1.0) > 1.8 * raised(0.0) > 0
