"""A plain lifter to compare with: dilated convolutions over time on all joints at once.

Source: the idea of Pavllo et al., "3D human pose estimation in video with temporal convolutions and semi-supervised
training" (CVPR 2019). Written from the paper, with padding, so that every frame of a window gets an answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class TemporalConvolutionConfig:
    """channels: of every layer; levels: blocks, each sees three times as far: 3^(levels + 1) frames in all (81)."""

    channels: int = 256
    levels: int = 3
    in_channels: int = 3
    frames: int = 243
    joints: int = 17


class TemporalConvolution(nn.Module):
    """(B, T, V, in_channels) normalised 2D to (B, T, V, 3)."""

    def __init__(self, config: TemporalConvolutionConfig) -> None:
        super().__init__()
        self.config = config
        C, V = config.channels, config.joints
        self.expand = nn.Conv1d(V * config.in_channels, C, 3)
        self.expand_norm = nn.BatchNorm1d(C)
        self.dilated = nn.ModuleList(nn.Conv1d(C, C, 3, dilation=3 ** (i + 1)) for i in range(config.levels))
        self.mixing = nn.ModuleList(nn.Conv1d(C, C, 1) for _ in range(config.levels))
        self.norms = nn.ModuleList(nn.BatchNorm1d(C) for _ in range(2 * config.levels))
        self.shrink = nn.Conv1d(C, 3 * V, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = x.flatten(2).transpose(1, 2)  # (B, V·in, T)
        h = torch.relu(self.expand_norm(self.expand(_held(h, 1))))
        for i, (far, near) in enumerate(zip(self.dilated, self.mixing, strict=True)):
            inner = torch.relu(self.norms[2 * i](far(_held(h, 3 ** (i + 1)))))
            h = h + torch.relu(self.norms[2 * i + 1](near(inner)))
        return self.shrink(h).transpose(1, 2).unflatten(2, (self.config.joints, 3))


def _held(x: Tensor, reach: int) -> Tensor:
    """x (B, C, T) with its first and last frame repeated `reach` times beyond the ends."""
    return F.pad(x, (reach, reach), mode="replicate")
