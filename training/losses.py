"""The papers' training losses: SasMamba's (Eq. 17) and PoseMamba's (Eq. 11), which adds a 2D re-projection term."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from sasmamba.models.geometry import bones_of
from sasmamba.models.skeletons import SEEN_JOINTS

#: The losses by the names that training files use.
Loss = Literal["sasmamba", "posemamba"]

#: WMPJPE's weight of each H36M-17 joint, as the MixSTE family uses them: the further out, the heavier.
JOINT_WEIGHTS = (1.0, 1.0, 2.5, 2.5, 1.0, 2.5, 2.5, 1.0, 1.0, 1.0, 1.5, 1.5, 4.0, 4.0, 1.5, 4.0, 4.0)

#: Mean square of the projected joints about their middle, m², below which a pose has no scale to be found: 1 cm.
_NO_SPREAD = 1e-4


def mpjpe(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean per-joint position error (PoseMamba Eq. 12); (B, T, 17, 3) in, a scalar in the same unit out."""
    return (predicted - target).norm(dim=-1).mean()


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


def bone_length_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean error of bones' mean lengths over each clip; (B, T, 17, 3) in, a scalar in the same unit out.

    Not the papers'. A body's proportions are a small part of joints' errors and slow to be learned from them alone.
    """
    own, true = (bones_of(j)[:, :, 1:].norm(dim=-1).mean(1) for j in (predicted, target))
    return (own - true).abs().mean()


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


def project(joints: Tensor, R_cam_facing: Tensor) -> Tensor:
    """Poses (B, T, 17, 3) in facing axes as an affine camera in the place of the real one sees them: (B, T, 17, 2).

    Perspective to first order about the pelvis: u = f Q_xy / Q_z of a joint at P + q, P the pelvis, is
    f / P_z · (q_xy - P_xy / P_z · q_z) + u(P). What is returned is the bracket, in metres: the direction P / |P| is
    known (third row of R_cam_facing); focal length and distance are not, and are one factor per frame.
    """
    d = R_cam_facing[..., 2, :]
    q = joints @ R_cam_facing  # rows times R: the transpose takes facing axes back to the camera's
    return q[..., :2] - (d[..., :2] / d[..., 2:])[..., None, :] * q[..., 2:]


def reprojection(predicted: Tensor, seen: Tensor, R_cam_facing: Tensor) -> Tensor:
    """2D re-projection loss (L_2D of PoseMamba Eq. 11, after MotionBERT): where predicted joints fall in the picture,
    against where the detector saw them.

    Camera. PoseMamba's data are poses in a camera's axes scaled to pixels, and their 2D is the first two coordinates.
    Here targets are metres in the axes of a camera that looks straight at the pelvis, and the input is centred and
    scaled by the person (`models/normalise.py`), so nobody knows focal length and distance. So the pose is projected
    with `project`, weak perspective along the true line of sight to the pelvis, and in every frame moved and scaled to
    the middle and the spread (root mean square) of what was seen, weighted as the error is. Neither how large the pose
    is nor where it stands can lower or raise the loss: overall size leaves no trace in the 2D, and a full perspective
    camera would demand one. A scale by least squares would be 0 for a pose that is upside down, and so its gradient.
    What is left out is perspective within the body, which falls with the person's distance.

    Joints. The twelve that detectors see; the pelvis, spine, thorax, nose and head top of the input are mostly derived
    and lie some centimetres beside H36M's, and to draw the prediction there would be wrong. Each counts by its score,
    missing ones not at all. Errors are not squared: the input has a detector's outliers in it.

    Args:
        predicted: (B, T, 17, 3) metres in facing axes, relative to anything.
        seen: (B, T, 17, 3) x, y and score of the input; in normalised units the loss is in halves of the person's size.
        R_cam_facing: (B, T, 3, 3), takes camera axes to those of `predicted`.

    Returns:
        The weighted mean distance, a scalar in the unit of `seen`; 0 where nothing was seen.
    """
    joints = list(SEEN_JOINTS)
    flat, xy = project(predicted, R_cam_facing)[:, :, joints], seen[:, :, joints, :2]
    weight = seen[:, :, joints, 2:]
    share = weight / weight.sum(2, keepdim=True).clamp(min=1e-6)
    flat = flat - (share * flat).sum(2, keepdim=True)
    xy = xy - (share * xy).sum(2, keepdim=True)
    spread, wanted = ((share * points.square()).sum((2, 3), keepdim=True) for points in (flat, xy))
    # a root has no slope at 0, where all that is seen lies in one place
    scale = (wanted.clamp(min=1e-8) / spread.clamp(min=_NO_SPREAD)).sqrt()
    error = (scale * flat - xy).norm(dim=-1, keepdim=True)
    return (weight * error).sum() / weight.sum().clamp(min=1e-6)


def posemamba_loss(
    predicted: Tensor,
    target: Tensor,
    stride: Tensor,
    seen: Tensor,
    R_cam_facing: Tensor,
    tcl_weight: float = 0.5,
    mpjve_weight: float = 20.0,
    reprojection_weight: float = 0.1,
) -> Tensor:
    """MPJPE + λ_t TCL + λ_m MPJVE + λ_2D re-projection (PoseMamba Eq. 11), with the arguments of those terms.

    The paper gives no weights. TCL and MPJVE are MixSTE's temporal loss, as the paper says, with MixSTE's 0.5 and 20.
    λ_2D is small enough for the truth to stay where the sum is lowest although the input is noisy: a step of a joint
    changes the first term by 1/17 of its length and this one, where all twelve are seen, by about 1/100.
    """
    loss = mpjpe(predicted, target)
    loss = loss + tcl_weight * tcl(predicted, stride) + mpjve_weight * mpjve(predicted, target, stride)
    return loss + reprojection_weight * reprojection(predicted, seen, R_cam_facing)
