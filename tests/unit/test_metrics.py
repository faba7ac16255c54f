"""Metrics against cases worked out by hand, and what must not change them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from helpers_motion import walker
from torch import Tensor

from sasmamba.models.skeletons import H36M
from sasmamba.training import metrics
from sasmamba.training.evaluation import COLUMNS, Windows, angle_errors, figures
from sasmamba.training.metrics import (
    acceleration_error,
    auc,
    joint_errors,
    mpjpe,
    mpjve,
    n_mpjpe,
    p_mpjpe,
    pck,
    procrustes,
)
from sasmamba.training.robustness import shuffled_scores


def pose(*shape: int) -> Tensor:
    out = torch.randn(*shape, 17, 3)
    return out - out[..., :1, :]


def shifted(target: Tensor, joint: int, by_m: float) -> Tensor:
    out = target.clone()
    out[..., joint, 0] += by_m
    return out


def rotation(seed: int) -> Tensor:
    q, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed)))
    return q * torch.linalg.det(q)


@pytest.mark.parametrize(
    ("metric", "joint", "by_m", "want"),
    [
        # one joint of the sixteen that count is 160 mm off
        pytest.param(mpjpe, H36M.LEFT_WRIST, 0.16, 10.0, id="mpjpe, one joint"),
        # the pelvis is the origin of both poses: moving it moves the other sixteen
        pytest.param(mpjpe, H36M.PELVIS, 0.05, 50.0, id="mpjpe, pelvis"),
        pytest.param(pck, H36M.LEFT_WRIST, 0.16, 15 / 16, id="pck, one joint beyond 150 mm"),
        pytest.param(pck, H36M.LEFT_WRIST, 0.14, 1.0, id="pck, all within 150 mm"),
        # 31 thresholds 0, 5, ..., 150; a joint 72.5 mm off is within the 16 from 75 up
        pytest.param(auc, H36M.LEFT_WRIST, 0.0725, (15 + 16 / 31) / 16, id="auc, one joint"),
        pytest.param(mpjve, H36M.LEFT_WRIST, 0.16, 0.0, id="velocity, constant offset"),
        pytest.param(acceleration_error, H36M.LEFT_WRIST, 0.16, 0.0, id="acceleration, constant offset"),
    ],
)
def test_hand_computed(metric: Callable[[Tensor, Tensor], float], joint: int, by_m: float, want: float) -> None:
    target = pose(2, 9)
    assert metric(shifted(target, joint, by_m), target) == pytest.approx(want, abs=1e-3)


@pytest.mark.parametrize(
    ("path", "velocity_mm", "acceleration_mm"),
    [
        pytest.param(lambda t: 0.003 * t, 3.0, 0.0, id="constant velocity"),
        # differences of t² / 1000 over 20 frames: 1, 3, ..., 37 mm, 19 on average
        pytest.param(lambda t: 0.001 * t**2, 19.0, 2.0, id="constant acceleration"),
    ],
)
def test_known_motion(path: Callable[[Tensor], Tensor], velocity_mm: float, acceleration_mm: float) -> None:
    """All joints but the pelvis move along x against a target at rest."""
    target = pose().expand(20, 17, 3)
    moving = target.clone()
    moving[:, 1:, 0] += path(torch.arange(20.0))[:, None]
    assert mpjve(moving, target) == pytest.approx(velocity_mm, rel=1e-3)
    assert acceleration_error(moving, target) == pytest.approx(acceleration_mm, rel=2e-3, abs=1e-3)


@pytest.mark.parametrize("scale", [1.0, 0.3, 2.5])
def test_p_mpjpe_ignores_similarities(scale: float) -> None:
    target = pose(4)
    moved = scale * target @ rotation(3).T + torch.tensor([0.4, -2.0, 1.0])
    assert p_mpjpe(moved, target) < 1e-2
    assert mpjpe(moved, target) > 50


def test_procrustes_does_not_mirror() -> None:
    target = pose(4)
    mirrored = target * torch.tensor([-1.0, 1, 1])
    assert p_mpjpe(mirrored, target) > 50


def test_procrustes_in_the_plane() -> None:
    """A quarter turn, three times the size, elsewhere; and no mirror image."""
    target = torch.tensor([[0.0, 0], [1, 0], [0, 2], [3, 1]])
    moved = 3 * target.flip(-1) * torch.tensor([-1.0, 1]) + torch.tensor([5.0, -2])
    assert (procrustes(moved, target) - target).abs().max() < 1e-5
    assert (procrustes(target * torch.tensor([-1.0, 1]), target) - target).norm(dim=-1).mean() > 0.3


def test_procrustes_is_the_best_similarity() -> None:
    """No small turn or scaling of the aligned pose comes nearer (least squares)."""
    target, other = pose(1).double(), pose(1).double()
    aligned = procrustes(other, target)
    best = (aligned - target).square().sum()
    centre = aligned.mean(-2, keepdim=True)
    for seed in range(5):
        skew = torch.randn(3, 3, generator=torch.Generator().manual_seed(seed)).double() * 1e-2
        turned = (aligned - centre) @ torch.linalg.matrix_exp(skew - skew.T) + centre
        assert (turned - target).square().sum() > best
    for scale in (0.99, 1.01):
        assert ((aligned - centre) * scale + centre - target).square().sum() > best


def test_n_mpjpe_ignores_scale_and_nothing_else() -> None:
    target = pose(4)
    assert n_mpjpe(0.6 * target, target) < 1e-2
    assert mpjpe(0.6 * target, target) > 50
    assert n_mpjpe(target @ rotation(1).T, target) > 50


def test_root_alignment() -> None:
    target = pose(3)
    moved = target + torch.tensor([1.0, 2.0, 3.0])
    for metric in (mpjpe, n_mpjpe, p_mpjpe):
        assert metric(moved, target) < 2e-2


def test_order_of_protocols() -> None:
    """Each protocol may align more than the one before, so on average it errs less."""
    target = pose(200)
    predicted = 1.2 * target + 0.1 * pose(200)
    assert p_mpjpe(predicted, target) < n_mpjpe(predicted, target) < mpjpe(predicted, target)


def test_joint_errors_name_the_joint() -> None:
    target = pose(2)
    errors = joint_errors(shifted(target, H36M.RIGHT_ANKLE, 0.1), target)
    assert errors[:, H36M.RIGHT_ANKLE].tolist() == pytest.approx([100, 100], rel=1e-4)
    assert errors.sum().item() == pytest.approx(200, rel=1e-4)


def test_per_joint_and_mean_agree() -> None:
    target, predicted = pose(6), pose(6)
    assert joint_errors(predicted, target)[..., 1:].mean().item() == pytest.approx(mpjpe(predicted, target))
    assert math.isclose(
        metrics.p_joint_errors(predicted, target)[..., 1:].mean().item(), p_mpjpe(predicted, target), rel_tol=1e-5
    )


def test_angle_errors_of_known_turns() -> None:
    """A shank turned by 10 degrees about the hips' line is a knee error of 10 degrees on one of two sides."""
    straight = torch.from_numpy(walker(1)[0]).float()
    turn = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # z up to a camera's y down
    target = (straight @ turn.T)[None]
    windows = Windows(torch.zeros(1, 1, 17, 3), target, torch.eye(3).expand(1, 1, 3, 3), ["walk"])
    assert max(angle_errors(target, windows).values()) < 1e-3
    axis = target[..., H36M.LEFT_HIP, :] - target[..., H36M.RIGHT_HIP, :]
    x, y, z = (axis / axis.norm(dim=-1, keepdim=True))[0, 0].tolist()
    skew = torch.tensor([[0.0, -z, y], [z, 0, -x], [-y, x, 0]])
    bent = target.clone()
    knee = target[..., H36M.LEFT_KNEE, :]
    shank = target[..., H36M.LEFT_ANKLE, :] - knee
    bent[..., H36M.LEFT_ANKLE, :] = knee + shank @ torch.linalg.matrix_exp(math.radians(10) * skew).T
    errors = angle_errors(bent, windows)
    assert errors["knee MAE"] == pytest.approx(5, abs=0.01)
    assert errors["knee RMSE"] == pytest.approx(10 / 2**0.5, abs=0.01)
    assert errors["hip MAE"] == errors["elbow MAE"] == errors["shoulder RMSE"] == pytest.approx(0, abs=1e-3)
    assert errors["all MAE"] == pytest.approx(1.25, abs=0.01)


def test_every_column_is_explained() -> None:
    target = torch.from_numpy(walker(6)[0]).float()[None]
    w = Windows(torch.zeros(1, 6, 17, 3), target, torch.eye(3).expand(1, 6, 3, 3), ["walk"])
    explained = ", ".join(COLUMNS).split(", ")
    for name in [*figures(target, w), *(word for n in angle_errors(target, w) for word in n.split())]:
        assert name in explained, name


def test_shuffled_scores_cost_whoever_reads_them() -> None:
    """A lifter that drops what has a low score loses by the shuffle, one that does not read scores does not."""
    target = torch.from_numpy(walker(30)[0]).float()[None]
    g = torch.Generator().manual_seed(0)
    bad = torch.rand(1, 30, 17, generator=g) < 0.3
    bad[..., H36M.PELVIS] = False  # errors are relative to it
    shown = target + 0.2 * bad[..., None]
    w = Windows(
        torch.cat([shown[..., :2], (1 - 0.9 * bad.float())[..., None]], -1),
        target,
        torch.eye(3).expand(1, 30, 3, 3),
        ["walk"],
    )

    def reads(xyc: torch.Tensor) -> torch.Tensor:
        return torch.where(xyc[..., 2:] > 0.5, shown, target)

    def ignores(xyc: torch.Tensor) -> torch.Tensor:
        return shown

    # after it 0.3 · 0.7 of the joints are bad and believed: 0.2 · √3 m each
    assert shuffled_scores(reads, w, reads(w.xyc))["shuffled scores cost"] == pytest.approx(73, abs=12)
    assert shuffled_scores(ignores, w, ignores(w.xyc))["shuffled scores cost"] == pytest.approx(0, abs=1e-4)
