"""SasMamba's training loss (Eq. 17): weighted position error, smoothness, velocity error."""

from __future__ import annotations

from torch import Tensor

#: WMPJPE's weight of each H36M-17 joint, as the MixSTE family uses them: the further out, the heavier.
JOINT_WEIGHTS = (1.0, 1.0, 2.5, 2.5, 1.0, 2.5, 2.5, 1.0, 1.0, 1.0, 1.5, 1.5, 4.0, 4.0, 1.5, 4.0, 4.0)


def wmpjpe(predicted: Tensor, target: Tensor) -> Tensor:
    """Weighted mean per-joint position error; (B, T, 17, 3) in, a scalar in the same unit out."""
    weights = predicted.new_tensor(JOINT_WEIGHTS)
    return ((predicted - target).norm(dim=-1) * weights).mean()


def tcl(predicted: Tensor, stride: Tensor) -> Tensor:
    """Temporal consistency: weighted squared frame-to-frame change, per video frame; stride (B,) frames apart."""
    if predicted.shape[1] < 2:
        return predicted.new_zeros(())
    weights = predicted.new_tensor(JOINT_WEIGHTS)
    change = predicted.diff(dim=1) / stride.to(predicted.dtype).view(-1, 1, 1, 1)
    return (change.square() * weights[:, None]).mean()


def mpjve(predicted: Tensor, target: Tensor, stride: Tensor) -> Tensor:
    """Mean per-joint velocity error, per video frame; stride (B,) frames apart."""
    if predicted.shape[1] < 2:
        return predicted.new_zeros(())
    change = (predicted - target).diff(dim=1) / stride.to(predicted.dtype).view(-1, 1, 1, 1)
    return change.norm(dim=-1).mean()


def sasmamba_loss(
    predicted: Tensor, target: Tensor, stride: Tensor, tcl_weight: float = 0.5, mpjve_weight: float = 20.0
) -> Tensor:
    """WMPJPE + λ_t TCL + λ_m MPJVE.

    Args:
        predicted, target: (B, T, 17, 3) metres.
        stride: (B,) how many video frames lie between neighbouring samples; velocities are per video frame, so that
            clips sampled sparsely are not dominated by them.
    """
    loss = wmpjpe(predicted, target)
    return loss + tcl_weight * tcl(predicted, stride) + mpjve_weight * mpjve(predicted, target, stride)
