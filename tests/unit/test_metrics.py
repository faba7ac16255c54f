"""Metrics against cases worked out by hand, and what must not change them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sasmamba.models.skeletons import H36M
from sasmamba.training import metrics
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
)  # fmt: skip


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
    assert math.isclose(metrics.p_joint_errors(predicted, target)[..., 1:].mean().item(), p_mpjpe(predicted, target),
                        rel_tol=1e-5)  # fmt: skip
