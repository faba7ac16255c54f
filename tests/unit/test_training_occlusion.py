"""What is hidden by the body, and what a detector makes of it, against a measured one."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_motion import walker
from torch import Tensor

from sasmamba.models.skeletons import COCO, COCO_MIRROR, H36M
from sasmamba.training.detector_profiles import HEATMAP, LIGHTNING, PROFILES, THUNDER
from sasmamba.training.motion import load_motion
from sasmamba.training.noise import Severity, detect, measured_movenet
from sasmamba.training.occlusion import hidden, obscure
from sasmamba.training.simulate import coco_points

#: World (x ahead of the walker, y to the left, z up) to a camera that looks at their right side: the left is far.
RIGHT_SIDE = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
FRONT = torch.tensor([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])
DISTANCE = torch.tensor([0.0, 0, 4])


def seen_from(R: Tensor, frames: int = 60) -> tuple[Tensor, Tensor]:
    """A walker's H36M-17 joints and COCO-17 points in camera axes, (1, T, 17, 3)."""
    joints = torch.from_numpy(walker(frames)[0]).float()[None]
    return joints @ R.T + DISTANCE, coco_points(joints) @ R.T + DISTANCE


def test_the_far_side_is_hidden_and_the_near_side_is_not() -> None:
    share = (hidden(*seen_from(RIGHT_SIDE)) > 0.3).float().mean((0, 1))
    for part in ("HIP", "SHOULDER", "ELBOW"):
        assert share[COCO[f"LEFT_{part}"]] > 0.6, part
        assert share[COCO[f"RIGHT_{part}"]] < 0.05, part
    assert share[COCO.RIGHT_WRIST] < 0.05 < share[COCO.LEFT_WRIST]


def test_little_is_hidden_from_the_front() -> None:
    """Legs and face never; an arm only while it swings behind the hips."""
    front, side = ((hidden(*seen_from(R)) > 0.3).float().mean((0, 1)) for R in (FRONT, RIGHT_SIDE))
    assert front[[COCO.LEFT_KNEE, COCO.LEFT_ANKLE, COCO.RIGHT_ANKLE, COCO.NOSE, COCO.LEFT_SHOULDER]].max() == 0
    assert 2 * front[COCO.LEFT_ELBOW] < side[COCO.LEFT_ELBOW]


def test_a_hand_behind_the_back_is_hidden() -> None:
    joints, points = seen_from(FRONT, 1)
    at = torch.tensor([0.0, -0.25, 4.25])  # behind the middle of the trunk
    points[:, :, COCO.LEFT_WRIST] = at
    assert hidden(joints, points)[0, 0, COCO.LEFT_WRIST] == 1
    points[:, :, COCO.LEFT_WRIST] = at - torch.tensor([0.0, 0, 0.6])  # before it
    assert hidden(joints, points)[0, 0, COCO.LEFT_WRIST] == 0


def obscured(depth: Tensor, strength: float, wander: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    B, T, J = depth.shape
    xy = torch.rand(1, 1, J, 2, generator=torch.Generator().manual_seed(1)).expand(B, T, J, 2)
    noise = torch.full((B, T, J, 2), wander)
    g = torch.Generator().manual_seed(2)
    placed, score = obscure(xy, torch.ones(B, T, J), depth, noise, torch.ones(B), torch.full((B,), strength), g)
    return xy, placed, score


@pytest.mark.parametrize(("depth", "strength"), [(0.0, 1.0), (1.0, 0.0)])
def test_what_is_in_sight_stays_and_so_does_all_without_strength(depth: float, strength: float) -> None:
    xy, placed, score = obscured(torch.full((8, 20, 17), depth), strength, wander=1.0)
    torch.testing.assert_close(placed, xy)
    assert (score == 1).all()


def test_hidden_wrists_go_to_their_twins_or_astray_or_are_lost_for_the_whole_stretch() -> None:
    depth = torch.zeros(400, 30, 17)
    depth[:, 5:25, COCO.LEFT_WRIST] = 1
    xy, placed, score = obscured(depth, 1.0)
    wrist, twin = xy[:, :, COCO.LEFT_WRIST], xy[:, :, COCO.RIGHT_WRIST]
    at, told = placed[:, :, COCO.LEFT_WRIST], score[:, :, COCO.LEFT_WRIST]
    assert torch.equal(at[:, :5], wrist[:, :5])
    assert torch.equal(at[:, 25:], wrist[:, 25:])
    gone = (at - wrist).norm(dim=-1)[:, 5:25]
    assert (gone.std(1) < 1e-6).all(), "what becomes of a joint holds for as long as it is hidden"
    pulled = (at - twin).norm(dim=-1)[:, 10] < 0.35 * (wrist - twin).norm(dim=-1)[:, 10]
    assert 0.2 < pulled.float().mean() < 0.4
    assert 0.03 < (told[:, 10] == 0).float().mean() < 0.15
    wrong = gone[:, 5] > 0.06
    assert told[wrong, 10].median() < 0.5, "scores of wrong joints are low often"
    assert (told[wrong, 10] > 0.9).float().mean() > 0.1, "but not always"


def test_the_twin_does_not_draw_while_it_is_hidden_itself() -> None:
    depth = torch.zeros(300, 4, 17)
    depth[:, :, [COCO.LEFT_WRIST, COCO.RIGHT_WRIST]] = 1
    xy, placed, _ = obscured(depth, 1.0)
    near_twin = (placed - xy[:, :, list(COCO_MIRROR)]).norm(dim=-1)[:, :, COCO.LEFT_WRIST] < 0.05
    assert near_twin.float().mean() < 0.1


def fast_from_the_side(shared: Path, B: int, T: int) -> tuple[Tensor, Tensor]:
    """Runners, a punch and a kick from either side, 30 degrees to and fro: joints and points in camera axes."""
    motion = load_motion([shared / "data/mocap/adults.npz"])
    motion = motion.select(np.array([a.startswith(("run", "sprint", "punch", "kick")) for a in motion.action]))
    g = torch.Generator().manual_seed(0)
    clip = torch.randint(motion.clips, (B,), generator=g)
    start = torch.rand(B, generator=g) * (motion.length[clip] - T).clamp(min=0)
    joints, _ = motion.at(clip, start[:, None] + torch.arange(T))
    hips = joints[:, T // 2, H36M.LEFT_HIP] - joints[:, T // 2, H36M.RIGHT_HIP]
    along = torch.atan2(hips[:, 1], hips[:, 0]) + math.pi * torch.randint(2, (B,), generator=g)
    along = along + torch.empty(B).uniform_(-0.5, 0.5, generator=g)
    c, s, zero = along.cos(), along.sin(), torch.zeros(B)
    R = torch.stack([s, -c, zero, zero, zero, zero - 1, c, s, zero], -1).view(B, 3, 3)  # looks along the hips
    away = torch.tensor([0.0, 0, 6])
    return tuple(torch.einsum("bij,btkj->btki", R, p) + away for p in (joints, coco_points(joints)))  # type: ignore[return-value]


def test_far_arms_err_as_measured_from_the_side(shared: Path) -> None:
    """The share of frames in which a far arm's joints are more than 6 % of the stature off, within 0.1."""
    table = json.loads((shared / "data/pose2d_noise.json").read_text())["movenet"]["thunder_fast_side_view"]
    column = table["columns"].index("share_above_0.06")
    B, T = 200, 60
    joints, points = fast_from_the_side(shared, B, T)
    xy = points[..., :2] / points[..., 2:]
    box = (xy[..., 1].amax(2) - xy[..., 1].amin(2)).median(1).values
    severity = replace(measured_movenet(B), frames_lost=torch.zeros(B))
    time = (2.4 * torch.arange(T)).expand(B, T)  # 25 frames per second
    outside = torch.zeros(B, T, 17, dtype=torch.bool)
    out = detect(xy, time, box, outside, severity, torch.Generator().manual_seed(0), hidden(joints, points))
    off = (out[..., :2] - xy).norm(dim=-1) / (1.75 / 6)
    depth = points[..., 2]
    far = (depth > depth[:, :, list(COCO_MIRROR)] + 0.08) & (out[..., 2] > 0)
    for part in ("elbow", "wrist"):
        sides = [COCO[f"LEFT_{part.upper()}"], COCO[f"RIGHT_{part.upper()}"]]
        error, score = (x[:, :, sides][far[:, :, sides]] for x in (off, out[..., 2]))
        share = (error > 0.06).float().mean().item()
        assert share == pytest.approx(table["joints"][part]["far"][column], abs=0.1), part
        assert error.median().item() == pytest.approx(table["joints"][part]["far"][0], abs=0.02), part
        assert score[error > 0.06].median() < score[error < 0.06].median() - 0.08, "scores tell"


@pytest.mark.parametrize("index", [THUNDER, LIGHTNING])
def test_movenet_is_as_noisy_as_measured(shared: Path, index: int) -> None:
    table = json.loads((shared / "data/pose2d_noise.json").read_text())["movenet"][PROFILES[index].name]
    B, T = 150, 80
    zero = torch.zeros(B)
    s = Severity(zero + 1, zero, zero, zero, zero, zero + 1, torch.full((B,), index))
    xy = torch.rand(1, 1, 17, 2).expand(B, T, 17, 2)
    outside = torch.zeros(B, T, 17, dtype=torch.bool)
    out = detect(xy, torch.arange(T).expand(B, T) * 1.0, torch.ones(B), outside, s, torch.Generator().manual_seed(0))
    error = out[..., :2] - xy
    bias = error.mean(1)
    assert bias.norm(dim=-1).mean().item() == pytest.approx(table["constant_bias_per_joint_norm"], rel=0.25)
    varying = (error - bias[:, None])[:, :, 5:]
    # of parts, as far as they are told; all others are scaled alike
    assert varying.std().item() == pytest.approx(table["sigma_per_axis"], rel=0.25)
    lag = ((varying[:, 1:] * varying[:, :-1]).mean() / varying.square().mean()).item()
    assert lag == pytest.approx(table["autocorrelation_lag_1"], abs=0.1)
    score = table.get("score_mean", {}).get("knee")
    if score:
        knees = out[:, :, [COCO.LEFT_KNEE, COCO.RIGHT_KNEE], 2].mean().item()
        assert knees == pytest.approx(score, abs=0.06)


def test_profiles_order_by_quality() -> None:
    total = [np.mean(list(PROFILES[i].drift.values())) for i in (HEATMAP, THUNDER, LIGHTNING)]
    assert total == sorted(total)


def test_legs_may_be_missing_for_a_whole_clip() -> None:
    B, T = 60, 10
    zero = torch.zeros(B)
    s = Severity(zero, zero, zero, zero, zero, zero + 1, legless=torch.arange(B) % 2 == 0)
    outside = torch.zeros(B, T, 17, dtype=torch.bool)
    xy = torch.rand(B, T, 17, 2)
    time = torch.arange(T).expand(B, T) * 1.0
    out = detect(xy, time, torch.ones(B), outside, s, torch.Generator().manual_seed(0))
    ankles = out[:, :, [COCO.LEFT_ANKLE, COCO.RIGHT_ANKLE], 2]
    assert (ankles[1::2] > 0.4).all()
    assert (ankles[::2] < 0.31).all()
    assert (out[:, :, COCO.LEFT_WRIST, 2] > 0.4).all()
