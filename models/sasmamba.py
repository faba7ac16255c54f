"""SasMamba: Skeleton Structure-Aware Stride SSM for 2D-to-3D lifting.

Source: Cui et al., "SasMamba: A Lightweight Structure-Aware Stride State Space Model for 3D Human Pose Estimation"
(Sections 3.2, 3.3; Tables 1, 4, 5, 6). Written from the paper.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sasmamba.models.blocks import Block, BlockConfig, routes_of
from sasmamba.models.scan import Backend
from sasmamba.models.uncertainty_head import Calibration, UncertaintyHead


@dataclass(frozen=True, slots=True)
class SasMambaConfig:
    """A SasMamba.

    Attributes:
        block: the block, see `BlockConfig`.
        blocks: number of blocks, even: spatial and temporal norms alternate.
        frames: longest window; shorter ones interpolate the temporal embedding.
        joints: joints of the skeleton.
        in_channels: 2 (x, y as in the paper) or 3 (x, y and the detector's score).
        drop_path: rate of the last block; it rises linearly from 0.
        uncertainty: calibration of a head that says how sure the lifter is; None: there is no such head. Not of the
            paper.
    """

    block: BlockConfig = field(default_factory=BlockConfig)
    blocks: int = 10
    frames: int = 243
    joints: int = 17
    in_channels: int = 2
    drop_path: float = 0.2
    uncertainty: Calibration | None = None

    def __post_init__(self) -> None:
        if self.blocks < 2 or self.blocks % 2:
            raise ValueError(f"blocks: want an even number, got {self.blocks}")
        if self.in_channels not in (2, 3):
            raise ValueError(f"in_channels: want 2 or 3, got {self.in_channels}")


#: The paper's two models (Table 1) in the paper's own input.
SASMAMBA = SasMambaConfig()
SASMAMBA_L = SasMambaConfig(block=BlockConfig(width=128), blocks=20)


class SasMamba(nn.Module):
    """Lifts a window of 2D poses: (B, T, V, in_channels) normalised 2D to (B, T, V, 3), T ≤ frames.

    Attributes:
        recompute: in training, keep what enters each block and compute its inside again on the way back: the
            activations of one block at a time are held. Loss and gradients stay the same, drop path included.

    Raises:
        ValueError: a window longer than `frames` or of another shape.
    """

    def __init__(self, config: SasMambaConfig = SASMAMBA, backend: Backend = "auto") -> None:
        super().__init__()
        self.config = config
        self.recompute = False
        C = config.block.width
        self.embed = nn.Linear(config.in_channels, C)
        self.spatial_embedding = nn.Parameter(torch.zeros(1, 1, config.joints, C))
        self.temporal_embedding = nn.Parameter(torch.zeros(1, config.frames, 1, C))
        nn.init.trunc_normal_(self.spatial_embedding, std=0.02)
        nn.init.trunc_normal_(self.temporal_embedding, std=0.02)
        rates = torch.linspace(0, config.drop_path, config.blocks).tolist()
        self.blocks = nn.ModuleList(Block(config.block, rate, backend) for rate in rates)
        # Two norms for all depths, one after every spatial and one after every temporal block.
        self.norm_spatial = nn.LayerNorm(C)
        self.norm_temporal = nn.LayerNorm(C)
        self.head = nn.Sequential(nn.LayerNorm(C), nn.Linear(C, 3))
        if config.uncertainty is not None:
            self.uncertainty_head = UncertaintyHead(C)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def features(self, x: Tensor, newest: int | None = None) -> Tensor:
        """Features of every joint, which `head` and `uncertainty_head` read.

        Args:
            x: as `forward` takes it.
            newest: frames at the end that are asked for; None: all.

        Returns:
            (B, newest or T, V, C).
        """
        x = self.embedded(x)
        frames = x.shape[1]
        for depth, block in enumerate(self.blocks):
            # recomputing is deterministic: checkpoint gives the second pass the first one's random numbers
            again = self.recompute and self.training and torch.is_grad_enabled()
            x = self.norm_after(depth)(checkpoint(block, x, use_reentrant=False) if again else block(x))
            if depth == 0:
                x = x + self.positions(frames)
        return x if newest is None else x[:, max(0, frames - newest) :]

    def embedded(self, x: Tensor) -> Tensor:
        """What the first block reads, (B, T, V, C), of what `forward` takes."""
        c = self.config
        if x.dim() != 4 or x.shape[2:] != (c.joints, c.in_channels) or not 1 <= x.shape[1] <= c.frames:
            raise ValueError(f"window: want (B, 1..{c.frames}, {c.joints}, {c.in_channels}), got {tuple(x.shape)}")
        return self.embed(x) + self.spatial_embedding

    def norm_after(self, depth: int) -> nn.LayerNorm:
        """The norm that follows a block."""
        return self.norm_spatial if depth % 2 == 0 else self.norm_temporal

    def positions(self, frames: int) -> Tensor:
        """The temporal embedding of so many frames, (1, T, 1, C), which is added behind the first block's norm."""
        if self.config.frames == frames:
            return self.temporal_embedding
        whole = self.temporal_embedding[:, :, 0].transpose(1, 2)  # (1, C, frames)
        return F.interpolate(whole, size=frames, mode="linear", align_corners=True).transpose(1, 2)[:, :, None]

    def routes(self, frames: int) -> Tensor:
        """(K, T·V) in which order the blocks' scans visit the tokens of a window."""
        return routes_of(frames, self.config.joints, self.config.block.directions, self.embed.weight.device)


def with_uncertainty(model: SasMamba, calibration: Calibration) -> SasMamba:
    """A copy of a lifter with another calibration, and a new uncertainty head where it has none."""
    out = copy.deepcopy(model)
    out.config = replace(model.config, uncertainty=calibration)
    if model.config.uncertainty is None:
        out.uncertainty_head = UncertaintyHead(model.config.block.width).to(model.embed.weight)
    return out


def without_uncertainty(model: SasMamba) -> SasMamba:
    """A copy of a lifter without its uncertainty head."""
    out = copy.deepcopy(model)
    if model.config.uncertainty is not None:
        out.config = replace(model.config, uncertainty=None)
        del out.uncertainty_head
    return out


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """(as the papers count, every one).

    The papers' counter sums the parameters of the layers it knows; bare parameters (the scan's own projections, A, D,
    the embeddings, the deformable weights) were left out.
    """
    known = (nn.Linear, nn.Conv2d, nn.LayerNorm)
    counted = sum(p.numel() for m in model.modules() if isinstance(m, known) for p in m.parameters(recurse=False))
    return counted, sum(p.numel() for p in model.parameters())
