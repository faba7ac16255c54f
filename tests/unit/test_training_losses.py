"""The training loss against cases worked out by hand."""

from __future__ import annotations

import pytest
import torch

from sasmamba.models.skeletons import H36M
from sasmamba.training.losses import JOINT_WEIGHTS, mpjve, sasmamba_loss, tcl, wmpjpe

ONE = torch.ones(2)


def moving(frames: int, joint: int, speed: float) -> torch.Tensor:
    """(2, T, 17, 3) at rest but for one joint that moves along y."""
    out = torch.zeros(2, frames, 17, 3)
    out[:, :, joint, 1] = speed * torch.arange(frames)
    return out


@pytest.mark.parametrize(("joint", "weight"), [(H36M.LEFT_WRIST, 4.0), (H36M.RIGHT_ANKLE, 2.5), (H36M.SPINE, 1.0)])
def test_wmpjpe_weighs_joints(joint: int, weight: float) -> None:
    target = torch.zeros(2, 5, 17, 3)
    predicted = target.clone()
    predicted[:, :, joint, 0] = 0.17
    assert wmpjpe(predicted, target).item() == pytest.approx(0.01 * weight)
    assert JOINT_WEIGHTS[joint] == weight


@pytest.mark.parametrize("stride", [1.0, 4.0])
def test_velocities_are_per_video_frame(stride: float) -> None:
    """A steady motion costs the same however far apart its frames were sampled."""
    path = moving(6, H36M.LEFT_KNEE, 0.1 * stride)
    assert mpjve(path, torch.zeros_like(path), ONE * stride).item() == pytest.approx(0.1 / 17)
    assert tcl(path, ONE * stride).item() == pytest.approx(0.1**2 * 2.5 / 51)


def test_mpjve_ignores_constant_offsets() -> None:
    path = moving(6, H36M.LEFT_KNEE, 0.1)
    assert mpjve(path + 0.3, path, ONE).item() == pytest.approx(0, abs=1e-6)


def test_the_whole_is_the_sum() -> None:
    predicted, target = torch.randn(2, 7, 17, 3), torch.randn(2, 7, 17, 3)
    want = wmpjpe(predicted, target) + 0.5 * tcl(predicted, ONE) + 20 * mpjve(predicted, target, ONE)
    torch.testing.assert_close(sasmamba_loss(predicted, target, ONE), want)


def test_single_frames_have_no_velocity() -> None:
    predicted, target = torch.randn(2, 1, 17, 3), torch.randn(2, 1, 17, 3)
    torch.testing.assert_close(sasmamba_loss(predicted, target, ONE), wmpjpe(predicted, target))


def test_zero_only_where_it_should_be() -> None:
    """A perfect, still prediction costs nothing; its gradient is finite."""
    target = torch.randn(2, 1, 17, 3).expand(2, 5, 17, 3)
    predicted = target.clone().requires_grad_()
    loss = sasmamba_loss(predicted, target, ONE)
    loss.backward()
    assert loss.item() == 0
    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()
