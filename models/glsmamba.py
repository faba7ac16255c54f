"""GLSMamba: global and local state-space models for 2D poses in video.

Source: Feng et al., "High-Resolution Spatiotemporal Modeling with Global-Local State Space Models for Video-Based
Human Pose Estimation" (Section 3, Tables 6 and 7). Written from the paper.

What the paper leaves open, and what decides it here (benchmarks/glsmamba_counts.py prints the counts):

* D = 256, an FFN of 4 D and no projections around the scans: Table 7's two resolutions lie 53.8 G multiply-adds apart;
  the deconvolutions are 7.0 of them, STMM's steering 1.4, six such FFNs 45.3.
* Two 4 × 4 deconvolutions of 256 channels with batch normalisation, as in ViTPose's own decoder, and trained: their
  4.2 M are needed for Table 6's 9.1 M. (Table 7 gives the same count without them; both cannot be.)
* The hidden width of the channel attention is T · D / 8; one MLP sees the descriptors of all frames together, so it
  models a frame's channels and those of the others at once.
* The scans' own parameters were not counted: Table 6 (d) has three routes and the count of (a), which has one.
* A stage of STMM has about 80 k parameters and 12 k counted multiply-adds per token (0.3 to 0.4 M and 0.7 to 0.8 G
  for a route in four blocks). A separable deformable convolution (68 k) that the counter of operations did not know,
  steered by a 1 × 1 convolution to D / 16 channels and a 3 × 3 one (12 k), is that. A dense one alone has 590 k.
* A residual connection around each block, and a LayerNorm before its FFN: not written, but products of six gates
  without either explode or pass no gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sasmamba.models.scan import Backend
from sasmamba.models.spacetime import ALL_ROUTES, Compensation, Route, RouteScans, scan_orders

Merge = Literal["modulated", "sum"]


@dataclass(frozen=True, slots=True)
class GLSMambaConfig:
    """A GLSMamba; defaults are the paper's model on a ViT-B.

    Attributes:
        backbone_channels: C of the backbone's features, 768 for ViT-B, 1280 for ViT-H.
        width: D, features of a token; a multiple of 4.
        frames: T, odd; the middle one's heatmaps are predicted. 1 is the variant that sees no other frame.
        joints: heatmaps.
        gsm_blocks, lrm_blocks: blocks of the global and of the local part.
        window: rows and columns of the local part's windows, each reaching over all frames.
        routes: the routes of the global scan, each walked both ways (Table 6 a-c); "unified" and any others.
        merge: "modulated" is the paper's STMM, "sum" adds the routes (Table 6 d).
        deconv_channels: channels after each deconvolution; each doubles the resolution.
        states: N, states per channel of the scans.
        ffn_ratio: hidden width of the FFN / D.
        attention_reduction: T · D / hidden width of the sequential channel attention.
        offset_channels: hidden width of the convolutions that predict offsets and modulation.
        dt_range: Δ is drawn log-uniformly from here at the start.
    """

    backbone_channels: int = 768
    width: int = 256
    frames: int = 5
    joints: int = 15
    gsm_blocks: int = 4
    lrm_blocks: int = 2
    window: tuple[int, int] = (8, 6)
    routes: tuple[Route, ...] = ALL_ROUTES
    merge: Merge = "modulated"
    deconv_channels: tuple[int, ...] = (256, 256)
    states: int = 16
    ffn_ratio: int = 4
    attention_reduction: int = 8
    offset_channels: int = 16
    dt_range: tuple[float, float] = (1e-3, 1e-1)

    def __post_init__(self) -> None:
        for name in (
            "backbone_channels",
            "width",
            "frames",
            "joints",
            "states",
            "ffn_ratio",
            "attention_reduction",
            "offset_channels",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: want 1 or more, got {getattr(self, name)}")
        if self.width % 4:
            raise ValueError(f"width: want a multiple of 4, got {self.width}")
        if self.frames % 2 == 0:
            raise ValueError(f"frames: want an odd number, got {self.frames}")
        if min(self.gsm_blocks, self.lrm_blocks) < 0:
            raise ValueError(f"gsm_blocks and lrm_blocks: want 0 or more, got {self.gsm_blocks} and {self.lrm_blocks}")
        if len(self.window) != 2 or min(self.window) < 1:
            raise ValueError(f"window: want rows and columns, 1 or more, got {self.window}")
        if "unified" not in self.routes or tuple(self.routes) != tuple(r for r in ALL_ROUTES if r in self.routes):
            raise ValueError(f"routes: want unified and others of {ALL_ROUTES} in that order, got {self.routes}")
        if self.merge not in get_args(Merge):
            raise ValueError(f"merge: want one of {get_args(Merge)}, got {self.merge!r}")
        if any(c < 1 for c in self.deconv_channels):
            raise ValueError(f"deconv_channels: want 1 or more each, got {self.deconv_channels}")

    @property
    def upsampling(self) -> int:
        """Heatmap pixels per feature pixel, along each side."""
        return 2 ** len(self.deconv_channels)

    def takes(self, rows: int, columns: int) -> bool:
        """Whether heatmaps from features (…, rows, columns) divide into the local part's windows."""
        height, width = rows * self.upsampling, columns * self.upsampling
        return not self.lrm_blocks or not (height % self.window[0] or width % self.window[1])


#: The paper's two models.
GLSMAMBA_B = GLSMambaConfig()
GLSMAMBA_H = GLSMambaConfig(backbone_channels=1280)


def _upsampler(config: GLSMambaConfig) -> nn.Sequential:
    """Features (n, C, h, w) to (n, deconv_channels[-1], 4h, 4w)."""
    layers: list[nn.Module] = []
    before = config.backbone_channels
    for channels in config.deconv_channels:
        layers += [
            nn.ConvTranspose2d(before, channels, 4, 2, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        ]
        before = channels
    return nn.Sequential(*layers)


def _upsampled(config: GLSMambaConfig) -> int:
    return config.deconv_channels[-1] if config.deconv_channels else config.backbone_channels


def _head(channels: int, joints: int) -> nn.Conv2d:
    """The detection head, near 0 at first as heatmaps are (Xiao et al. 2018)."""
    head = nn.Conv2d(channels, joints, 3, padding=1)
    nn.init.normal_(head.weight, std=1e-3)
    assert head.bias is not None
    nn.init.zeros_(head.bias)
    return head


def spatial_embedding(rows: int, columns: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """(rows, columns, width) sines and cosines: half the features tell the row, half the column (Vaswani et al. 2017).

    Feature 2i of a half is sin(p / 10000^(4i / width)) of its place p, feature 2i + 1 the cosine.
    """
    step = torch.arange(0, width // 2, 2, dtype=torch.float32, device=device) / (width // 2)

    def encoded(places: int) -> Tensor:
        angle = torch.arange(places, dtype=torch.float32, device=device)[:, None] / 10000**step
        return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)  # (places, width / 2)

    by_row, by_column = encoded(rows)[:, None], encoded(columns)[None]
    return torch.cat([by_row.expand(-1, columns, -1), by_column.expand(rows, -1, -1)], -1)


class ChannelAttention(nn.Module):
    """Sequential channel attention (Eq. 5): (B, T, h, w, D) rescaled by one factor per frame and channel."""

    def __init__(self, width: int, frames: int, reduction: int) -> None:
        super().__init__()
        hidden = max(1, frames * width // reduction)
        self.mlp = nn.Sequential(nn.Linear(frames * width, hidden), nn.GELU(), nn.Linear(hidden, frames * width))

    def forward(self, x: Tensor) -> Tensor:
        weights = self.mlp(x.mean((2, 3)).flatten(1)).sigmoid()
        return x * weights.view(x.shape[0], x.shape[1], 1, 1, x.shape[4])


class GlobalScan(nn.Module):
    """STS6D and STMM (Eq. 6-8): (B, T, h, w, D) in and out."""

    def __init__(self, config: GLSMambaConfig, backend: Backend) -> None:
        super().__init__()
        self.routes = config.routes
        self.scans = RouteScans(config.width, len(config.routes), config.states, config.dt_range, backend)
        stages = len(config.routes) - 1 if config.merge == "modulated" else 0
        self.merge = nn.ModuleList(Compensation(config.width, config.offset_channels, backend) for _ in range(stages))

    def forward(self, x: Tensor) -> Tensor:
        _, T, h, w, _ = x.shape
        orders = [scan_orders(T, h, w, route, x.device) for route in self.routes]
        streams = self.scans(x.flatten(1, 3), orders)
        if not self.merge:
            return sum(streams[1:], streams[0]).view_as(x)
        unified = streams[0].view(-1, *x.shape[2:])  # (B · T, h, w, D)
        for stage, other in zip(self.merge, streams[1:], strict=True):
            unified = stage(unified, other.view_as(unified))
        return unified.view_as(x)


class WindowScan(nn.Module):
    """WSTS (Section 3.3): scans within windows of all frames, frame by frame and both ways; (B, T, h, w, D)."""

    def __init__(self, config: GLSMambaConfig, backend: Backend) -> None:
        super().__init__()
        self.window = config.window
        self.scans = RouteScans(config.width, 1, config.states, config.dt_range, backend)

    def forward(self, x: Tensor) -> Tensor:
        (B, T, h, w, D), (rows, columns) = x.shape, self.window
        cut = x.view(B, T, h // rows, rows, w // columns, columns, D).permute(0, 2, 4, 1, 3, 5, 6)
        tokens = torch.arange(T * rows * columns, device=x.device)
        (y,) = self.scans(cut.reshape(-1, len(tokens), D), [torch.stack([tokens, tokens.flip(0)])])
        y = y.view(B, h // rows, w // columns, T, rows, columns, D).permute(0, 3, 1, 4, 2, 5, 6)
        return y.reshape(B, T, h, w, D)


class SpacetimeBlock(nn.Module):
    """A GSM block, or an LRM block where `local`: a scan, gated, and an FFN; (B, T, h, w, D) in and out."""

    def __init__(self, config: GLSMambaConfig, *, local: bool, backend: Backend = "auto") -> None:
        super().__init__()
        D = config.width
        self.attention = nn.Identity() if local else ChannelAttention(D, config.frames, config.attention_reduction)
        self.norm = nn.LayerNorm(D)
        self.scan = WindowScan(config, backend) if local else GlobalScan(config, backend)
        self.gate = nn.Conv2d(D, D, 3, padding=1, groups=D)
        self.gate_norm = nn.LayerNorm(D)
        self.ffn_norm = nn.LayerNorm(D)
        self.ffn = nn.Sequential(nn.Linear(D, config.ffn_ratio * D), nn.GELU(), nn.Linear(config.ffn_ratio * D, D))

    def forward(self, x: Tensor) -> Tensor:
        main = self.scan(F.silu(self.norm(self.attention(x))))
        gate = self.gate(x.flatten(0, 1).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.ffn(self.ffn_norm(main * F.silu(self.gate_norm(gate)).view_as(x)))


class GLSMamba(nn.Module):
    """Features of a sequence to the middle frame's heatmaps: (B, T, C, h, w) to (B, joints, 4h, 4w).

    Heatmaps are about 1 at a joint and 0 elsewhere, not limited to that range.

    Attributes:
        recompute: in training, keep what enters each block and compute its inside again on the way back.

    Raises:
        ValueError: features of another shape, or whose heatmaps do not divide into windows.
    """

    def __init__(self, config: GLSMambaConfig = GLSMAMBA_B, backend: Backend = "auto") -> None:
        super().__init__()
        self.config = config
        self.recompute = False
        self.upsample = _upsampler(config)
        self.embed = nn.Linear(_upsampled(config), config.width)
        self.temporal_embedding = nn.Parameter(torch.empty(config.frames, 1, 1, config.width))
        nn.init.trunc_normal_(self.temporal_embedding, std=0.02)
        kinds = [False] * config.gsm_blocks + [True] * config.lrm_blocks
        self.blocks = nn.ModuleList(SpacetimeBlock(config, local=local, backend=backend) for local in kinds)
        self.head = _head(config.width, config.joints)

    def forward(self, features: Tensor) -> Tensor:
        c = self.config
        if features.dim() != 5 or features.shape[1:3] != (c.frames, c.backbone_channels):
            want = f"(B, {c.frames}, {c.backbone_channels}, h, w)"
            raise ValueError(f"features: want {want}, got {tuple(features.shape)}")
        h, w = (side * c.upsampling for side in features.shape[3:])
        if not c.takes(*features.shape[3:]):
            raise ValueError(f"features: heatmaps of {h} × {w} do not divide into windows of {c.window}")
        x = self.upsample(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        x = self.embed(x.permute(0, 1, 3, 4, 2))  # (B, T, 4h, 4w, D)
        x = x + spatial_embedding(h, w, c.width, x.device).to(x.dtype) + self.temporal_embedding
        for block in self.blocks:
            again = self.recompute and self.training and torch.is_grad_enabled()
            x = checkpoint(block, x, use_reentrant=False) if again else block(x)
        return self.head(x.sum(1).permute(0, 3, 1, 2))


class SingleFrameHead(nn.Module):
    """The baseline without GSM and LRM (Table 5 a): (B, C, h, w) of one frame to (B, joints, 4h, 4w)."""

    def __init__(self, config: GLSMambaConfig = GLSMAMBA_B) -> None:
        super().__init__()
        self.config = config
        self.upsample = _upsampler(config)
        self.head = _head(_upsampled(config), config.joints)

    def forward(self, features: Tensor) -> Tensor:
        if features.dim() != 4 or features.shape[1] != self.config.backbone_channels:
            raise ValueError(f"features: want (B, {self.config.backbone_channels}, h, w), got {tuple(features.shape)}")
        return self.head(self.upsample(features))


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """(as the paper's counter may have counted, every one).

    The first leaves out the scans' own parameters and the temporal embedding, see the head of this file.
    """
    scans = sum(p.numel() for m in model.modules() if isinstance(m, RouteScans) for p in m.parameters())
    embedding = sum(p.numel() for name, p in model.named_parameters() if name == "temporal_embedding")
    every = sum(p.numel() for p in model.parameters())
    return every - scans - embedding, every
