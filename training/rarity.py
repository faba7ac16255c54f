"""Which moments of motion capture are rare: poses in a thin part of pose space are drawn more often than walking."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sasmamba.models.skeletons import H36M
from sasmamba.training.motion import Motion

#: Seconds between moments, poses that density is measured against, and the neighbour whose distance tells it.
_EVERY_S, _AGAINST, _NEIGHBOUR = 0.5, 3000, 4
#: The rarest moments count at most this many times as much as the average one.
_AT_MOST = 6.0


@dataclass(frozen=True)
class Moments:
    """Moments of a `Motion`: clip (M,), frame (M,) from the clip's start, rarity (M,), 1 on average."""

    clip: Tensor
    frame: Tensor
    rarity: Tensor


def upright_poses(joints: Tensor) -> Tensor:
    """Poses (N, 17, 3), z up, turned about z so that the hips point one way, in units of their own size; (N, 51)."""
    across = joints[:, H36M.LEFT_HIP, :2] - joints[:, H36M.RIGHT_HIP, :2]
    c, s = torch.nn.functional.normalize(across, dim=-1).unbind(-1)
    x, y, z = joints.unbind(-1)
    turned = torch.stack([c[:, None] * x + s[:, None] * y, c[:, None] * y - s[:, None] * x, z], -1)
    size = joints.norm(dim=-1).mean(-1)[:, None, None].clamp(min=1e-6)
    return (turned / size).flatten(1)


def moments(motion: Motion, seed: int = 0) -> Moments:
    """Every half second of every clip and how rare its pose is among all of them.

    Rarity is the distance to the fifth nearest of a sample of all poses, over its mean.
    """
    clips, frames = [], []
    for number, (length, fps) in enumerate(zip(motion.length.tolist(), motion.fps.tolist(), strict=True)):
        at = torch.arange(0, length, max(1, round(_EVERY_S * fps)))
        clips.append(torch.full_like(at, number))
        frames.append(at)
    clip, frame = torch.cat(clips).to(motion.start.device), torch.cat(frames).to(motion.start.device)
    poses = upright_poses(motion.joints[motion.start[clip] + frame])
    g = torch.Generator().manual_seed(seed)
    sample = poses[torch.randperm(len(poses), generator=g)[:_AGAINST].to(poses.device)]
    nearest = min(_NEIGHBOUR + 1, len(sample))
    distance = torch.cat([torch.cdist(p, sample).kthvalue(nearest, dim=1).values for p in poses.split(2048)])
    rarity = (distance / distance.mean().clamp(min=1e-9)).clamp(min=0.05, max=_AT_MOST)
    return Moments(clip, frame, rarity / rarity.mean())
