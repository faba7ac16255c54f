"""What glsmamba_proof.py trains on and with: clips in memory, a small backbone, heads of the middle frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sasmamba.models.heatmap_codec import normalised
from sasmamba.training.articulated import ClipStyle, draw_clip
from sasmamba.training.crops import heatmap_targets
from sasmamba.training.motion import Motion
from sasmamba.training.video_pose import Batch


class SmallBackbone(nn.Module):
    """(B, 3, H, W) to (B, C, H / 16, W / 16): four halvings, each followed by a residual block or two."""

    def __init__(self, channels: int = 128) -> None:
        super().__init__()
        widths = (channels // 4, 3 * channels // 8, 3 * channels // 4, channels)
        layers: list[nn.Module] = []
        before = 3
        for width, blocks in zip(widths, (0, 1, 1, 2), strict=True):
            layers += [nn.Conv2d(before, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            layers += [_Residual(width) for _ in range(blocks)]
            before = width
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


class MiddleFrame(nn.Module):
    """A head that reads the middle frame of features (B, T, C, h, w) only; `keep` leaves it its axis of time."""

    def __init__(self, head: nn.Module, keep: bool) -> None:
        super().__init__()
        self.head, self.keep = head, keep

    def forward(self, features: Tensor) -> Tensor:
        middle = features.shape[1] // 2
        return self.head(features[:, middle : middle + 1] if self.keep else features[:, middle])


@dataclass(frozen=True)
class Pool:
    """Clips in memory: frames (N, T, H, W, 3) uint8, joints_px (N, T, 15, 2), inside and occluded (N, T, 15),
    head_px (N,)."""

    frames: NDArray[np.uint8]
    joints_px: NDArray[np.float32]
    inside: NDArray[np.bool_]
    occluded: NDArray[np.bool_]
    head_px: NDArray[np.float32]

    @classmethod
    def draw(cls, motion: Motion, pictures: list[NDArray[np.uint8]], kind: int, count: int, style: ClipStyle) -> Pool:
        clips = [draw_clip(motion, pictures, (kind, i), style) for i in range(count)]
        return cls(
            np.stack([c.frames for c in clips]),
            np.stack([c.joints_px for c in clips]),
            np.stack([c.inside for c in clips]),
            np.stack([c.occluded for c in clips]),
            np.array([c.head_px for c in clips], np.float32),
        )

    def targets(self, clips: list[int], frames: list[int], sigma: float) -> tuple[Tensor, Tensor]:
        """Heatmaps (B, 15, h, w) and weights (B, 15) of one frame of each clip; occluded joints count."""
        size = (self.frames.shape[3], self.frames.shape[2])
        made = [
            heatmap_targets(self.joints_px[i, t], self.inside[i, t].astype(np.float32), size, sigma)
            for i, t in zip(clips, frames, strict=True)
        ]
        return torch.from_numpy(np.stack([h for h, _ in made])), torch.from_numpy(np.stack([w for _, w in made]))


class SingleFrames:
    """What the backbone learns from: of each clip a random frame."""

    def __init__(self, pool: Pool, sigma: float) -> None:
        self.pool, self.sigma = pool, sigma

    def __len__(self) -> int:
        return len(self.pool.frames)

    def batch(self, indices: list[int], seed: tuple[int, ...]) -> Batch:
        frames = np.random.default_rng(seed).integers(self.pool.frames.shape[1], size=len(indices)).tolist()
        heat, weight = self.pool.targets(indices, frames, self.sigma)
        return Batch(normalised(self.pool.frames[indices, frames])[:, None], heat, weight)


class FeatureClips:
    """What the heads learn from: the frozen backbone's features (N, T, C, h, w), computed once."""

    def __init__(self, pool: Pool, features: Tensor, sigma: float) -> None:
        self.pool, self.features, self.sigma = pool, features, sigma

    def __len__(self) -> int:
        return len(self.features)

    def batch(self, indices: list[int], seed: tuple[int, ...]) -> Batch:
        del seed  # features are kept, so there is nothing random about a view
        heat, weight = self.pool.targets(indices, [self.features.shape[1] // 2] * len(indices), self.sigma)
        return Batch(self.features[indices].float(), heat, weight)


def features_of(backbone: nn.Module, pool: Pool) -> Tensor:
    """(N, T, C, h, w) in half precision."""
    backbone.eval()
    with torch.no_grad():
        return torch.stack([backbone(normalised(clip)).half() for clip in pool.frames])
