"""Poses that motion capture does not hold: trunk, thighs and arms of some clips bent further, smoothly in time.

Who is captured mostly walks and sits. Lifted by what was learned of that alone, people on video who balance, stretch or
bow come out too upright and too flat along the line of sight. Turning parts of a body about their joints keeps every
bone's length and the motion's rhythm, and makes poses that follow from the picture rather than from habit.

Source: the idea of Gong et al., PoseAug (CVPR 2021), with angles drawn in ranges of motion instead of learned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sasmamba.models.geometry import bones_of, joints_of
from sasmamba.models.skeletons import H36M

_RIGHT_LEG, _LEFT_LEG = [H36M.RIGHT_KNEE, H36M.RIGHT_ANKLE], [H36M.LEFT_KNEE, H36M.LEFT_ANKLE]
_LEFT_ARM, _RIGHT_ARM = [H36M.LEFT_ELBOW, H36M.LEFT_WRIST], [H36M.RIGHT_ELBOW, H36M.RIGHT_WRIST]
_TRUNK = [
    *(H36M.SPINE, H36M.THORAX, H36M.NOSE, H36M.HEAD_TOP, H36M.LEFT_SHOULDER, H36M.RIGHT_SHOULDER),
    *(*_LEFT_ARM, *_RIGHT_ARM),
]
_WHOLE = [int(j) for j in H36M if j != H36M.PELVIS]
#: Which bones turn together, and by how much (standard deviation, degrees) about the body's left, front and up; what is
#: added to the first is a bow forward. In order: a part's own turn comes before that of what it hangs on.
_PARTS: tuple[tuple[Sequence[int], tuple[float, float, float], float], ...] = (
    (_LEFT_ARM, (45, 35, 30), 0),
    (_RIGHT_ARM, (45, 35, 30), 0),
    ([H36M.NOSE, H36M.HEAD_TOP], (12, 10, 15), 0),
    (_TRUNK, (28, 14, 18), 20),
    (_LEFT_LEG, (28, 14, 12), 0),
    (_RIGHT_LEG, (28, 14, 12), 0),
    (_WHOLE, (22, 18, 0), 0),
)
#: Seconds in which a clip goes to its new pose and back, where it does not keep it.
_PERIOD_S = (1.5, 6.0)
_KEEPS = 0.3


def varied_poses(joints: Tensor, seconds: Tensor, share: float, g: torch.Generator) -> Tensor:
    """The clips, parts of the body of some of them turned further.

    Args:
        joints: (B, T, 17, 3) relative to the pelvis, z up.
        seconds: (B, T).
        share: of the clips that are changed.
    """
    B, dev = len(joints), joints.device

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(B, 1, device=dev).uniform_(low, high, generator=g)

    chosen = uniform(0, 1) < share
    bones, axes = bones_of(joints), body_axes(joints)
    for part, spread, bow in _PARTS:
        angles = torch.empty(B, 3, device=dev).normal_(generator=g) * torch.tensor(spread, device=dev)
        angles[:, 0] += bow
        phase = 2 * math.pi * (seconds / uniform(*_PERIOD_S) + uniform(0, 1))
        gain = torch.where(uniform(0, 1) < _KEEPS, 1.0, (1 - phase.cos()) / 2)
        by = torch.where(chosen, gain, 0)[..., None] * torch.deg2rad(angles)[:, None]  # (B, T, 3)
        turn = torch.matrix_exp(_cross_matrix(torch.einsum("btij,btj->bti", axes, by)))
        bones[:, :, part] = torch.einsum("btij,btkj->btki", turn, bones[:, :, part])
    return joints_of(bones)


def body_axes(joints: Tensor) -> Tensor:
    """(B, T, 3, 3), columns: the pelvis's left, front and up; a positive turn about the first bows forward."""
    unit = torch.nn.functional.normalize
    left = unit(joints[..., H36M.LEFT_HIP, :] - joints[..., H36M.RIGHT_HIP, :], dim=-1)
    front = unit(torch.linalg.cross(left, joints[..., H36M.SPINE, :]), dim=-1)
    return torch.stack([left, front, torch.linalg.cross(front, left)], -1)


def _cross_matrix(v: Tensor) -> Tensor:
    """(..., 3, 3) M with M w = v × w."""
    x, y, z = v.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*v.shape[:-1], 3, 3)
