"""The field's metrics on root-relative poses: (..., 17, 3) metres in, millimetres (or shares) out.

The pelvis, zero by definition, is not counted as a joint.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: All joints but the pelvis.
_COUNTED = slice(1, None)


def joint_errors(predicted: Tensor, target: Tensor) -> Tensor:
    """Distance of every joint from the truth, (..., 17), mm, with both poses' pelvis at the origin."""
    predicted, target = (p - p[..., :1, :] for p in (predicted, target))
    return (predicted - target).norm(dim=-1) * 1000


def mpjpe(predicted: Tensor, target: Tensor) -> float:
    """Mean per-joint position error after root alignment (protocol 1)."""
    return joint_errors(predicted, target)[..., _COUNTED].mean().item()


def procrustes(predicted: Tensor, target: Tensor) -> Tensor:
    """`predicted` (..., N, D) after the similarity (rotation, scale, translation) that brings it nearest to `target`.

    Source: Umeyama 1991; reflections are not allowed.
    """
    mu_p, mu_t = predicted.mean(-2, keepdim=True), target.mean(-2, keepdim=True)
    p, t = (predicted - mu_p).double(), (target - mu_t).double()
    U, S, Vh = torch.linalg.svd(p.transpose(-1, -2) @ t)
    sign = torch.ones_like(S)
    sign[..., -1] = torch.linalg.det(U @ Vh).sign()
    R = (U * sign[..., None, :]) @ Vh
    scale = (S * sign).sum(-1) / p.square().sum((-1, -2)).clamp(min=1e-12)
    return (scale[..., None, None] * (p @ R)).to(predicted.dtype) + mu_t


def p_joint_errors(predicted: Tensor, target: Tensor) -> Tensor:
    """Distance of every joint from the truth after a similarity alignment of each pose, (..., 17), mm."""
    return (procrustes(predicted, target) - target).norm(dim=-1) * 1000


def p_mpjpe(predicted: Tensor, target: Tensor) -> float:
    """Mean error after a similarity alignment of each pose (protocol 2).

    The alignment is over all 17 joints, the mean over all but the pelvis.
    """
    return p_joint_errors(predicted, target)[..., _COUNTED].mean().item()


def n_mpjpe(predicted: Tensor, target: Tensor) -> float:
    """Mean error after root alignment and the best scale of each pose."""
    predicted, target = (p - p[..., :1, :] for p in (predicted, target))
    scale = (predicted * target).sum((-1, -2)) / predicted.square().sum((-1, -2)).clamp(min=1e-12)
    return mpjpe(predicted * scale[..., None, None], target)


def mpjve(predicted: Tensor, target: Tensor) -> float:
    """Mean velocity error, mm per frame; (..., T, 17, 3) in."""
    error = (predicted - target).diff(dim=-3)
    return (error.norm(dim=-1)[..., _COUNTED].mean() * 1000).item()


def acceleration_error(predicted: Tensor, target: Tensor) -> float:
    """Mean difference of second differences, mm per frame²; (..., T, 17, 3) in."""
    error = (predicted - target).diff(dim=-3).diff(dim=-3)
    return (error.norm(dim=-1)[..., _COUNTED].mean() * 1000).item()


def pck(predicted: Tensor, target: Tensor, threshold_mm: float = 150.0) -> float:
    """Share of joints within the threshold, 0..1 (PCK@150 of MPI-INF-3DHP)."""
    return (joint_errors(predicted, target)[..., _COUNTED] <= threshold_mm).float().mean().item()


def auc(predicted: Tensor, target: Tensor) -> float:
    """Mean PCK over thresholds 0, 5, …, 150 mm, 0..1."""
    return sum(pck(predicted, target, float(t)) for t in range(0, 151, 5)) / 31
