"""The state-space block that the lifters share: local mixing on the (T, V) grid, then a scan along several routes.

Sources: VMamba (Liu et al. 2024) for the gated block and its four scans; SasMamba Section 3.2 for the structure-aware
convolution and the stride scan; PoseMamba for the limb scan. A lifter picks its variants through `BlockConfig`.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sasmamba.models.fused import can_fuse, fused_block
from sasmamba.models.s6 import S6
from sasmamba.models.sampling import structure_aware_conv
from sasmamba.models.scan import Backend
from sasmamba.models.skeletons import LIMB_PARENTS

Direction = Literal["spatial_forward", "spatial_backward", "temporal_forward", "temporal_backward"]
ALL_DIRECTIONS: tuple[Direction, ...] = get_args(Direction)

LocalMixing = Literal["structure_aware", "depthwise"]
ScanInput = Literal["stride_concat", "stride_sum", "limb", "plain"]


@dataclass(frozen=True, slots=True)
class BlockConfig:
    """One block.

    Attributes:
        width: C, features of a token; the scan works on E = expand · C channels.
        states: N, states per channel.
        expand: E / C.
        mlp_ratio: hidden width of the MLP / C.
        local: structure-aware convolution (SasMamba) or a plain depthwise 3×3 (PoseMamba).
        taps_side: K of the structure-aware convolution, 1, 3 or 5; 1 has no offsets (SasMamba Table 5).
        scan_input: what the scan reads. "stride_concat" is SasMamba Eq. 12-14; "stride_sum" adds the three strides and
            feeds the spatial routes only, as the authors' code does; "limb" adds each joint's limb parent on the
            spatial routes (PoseMamba); "plain" reads the features as they are.
        directions: the routes to scan (SasMamba Table 6).
        dt_range: Δ is drawn log-uniformly from here at the start; 1 / Δ is how many tokens a state remembers.
    """

    width: int = 64
    states: int = 16
    expand: int = 2
    mlp_ratio: int = 2
    local: LocalMixing = "structure_aware"
    taps_side: int = 3
    scan_input: ScanInput = "stride_concat"
    directions: tuple[Direction, ...] = ALL_DIRECTIONS
    dt_range: tuple[float, float] = (1e-3, 1e-1)

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("local", self.local, get_args(LocalMixing)),
            ("taps_side", self.taps_side, (1, 3, 5)),
            ("scan_input", self.scan_input, get_args(ScanInput)),
        ):
            if value not in allowed:
                raise ValueError(f"{name}: want one of {allowed}, got {value!r}")
        in_order = tuple(d for d in ALL_DIRECTIONS if d in self.directions)
        if not in_order or tuple(self.directions) != in_order:
            raise ValueError(f"directions: want some of {ALL_DIRECTIONS} in that order, got {self.directions}")
        if self.width % 2 or self.width < 2:
            raise ValueError(f"width: want an even number, got {self.width}")

    @property
    def channels(self) -> int:
        """E, the channels of the scan."""
        return self.expand * self.width

    @property
    def rank(self) -> int:
        """R, the rank of Δ."""
        return math.ceil(self.width / 16)


@functools.lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept must also serve training, whoever asked for it first
def routes_of(T: int, V: int, directions: tuple[Direction, ...], device: torch.device) -> Tensor:
    """(K, T·V) order in which each direction visits the tokens; token t·V + v is joint v of frame t."""
    tokens = torch.arange(T * V, device=device).view(T, V)
    orders = {"spatial": tokens.flatten(), "temporal": tokens.T.flatten()}
    rows = []
    for direction in directions:
        axis, _, sense = direction.partition("_")
        rows.append(orders[axis] if sense == "forward" else orders[axis].flip(0))
    return torch.stack(rows)


def _hold(x: Tensor, stride: int) -> Tensor:
    """x (B, T, V, E) with joint v replaced by joint ⌊v / stride⌋ · stride (SasMamba Eq. 13)."""
    V = x.shape[2]
    kept = x[:, :, ::stride, None].expand(-1, -1, -1, stride, -1)
    return kept.flatten(2, 3)[:, :, :V]


class DropPath(nn.Module):
    """Drops a residual branch for whole samples in training, scaling the others up (Huang et al. 2016)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = torch.rand(x.shape[0], *(1,) * (x.dim() - 1), device=x.device, dtype=x.dtype) >= self.rate
        return x * keep / (1 - self.rate)


class StateSpaceMixer(S6):
    """Mixes tokens: gate, local mixing, scan along the routes. (B, T, V, C) in and out."""

    def __init__(self, config: BlockConfig, backend: Backend = "auto") -> None:
        super().__init__(backend)
        self.config = config
        C, E = config.width, config.channels
        self.in_proj = nn.Linear(C, 2 * E, bias=False)
        self.conv = nn.Conv2d(E, E, 3, padding=1, groups=E)
        if config.local == "structure_aware":
            taps = config.taps_side**2
            self.deform = nn.Parameter(torch.empty(taps, E).uniform_(-1, 1) / config.taps_side)
            if taps > 1:
                self.offset = nn.Conv2d(E, 2 * taps, 3, padding=1)
                nn.init.zeros_(self.offset.weight)
                assert self.offset.bias is not None
                nn.init.zeros_(self.offset.bias)
        self.add_scans(len(config.directions), E, config.states, config.rank, config.dt_range)
        self.norm = nn.LayerNorm(E)
        self.out_proj = nn.Linear(E, C, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        E = self.config.channels
        # two products instead of one split: both halves come out contiguous
        gate = F.silu(F.linear(x, self.in_proj.weight[E:]))
        h = F.silu(self._local(F.linear(x, self.in_proj.weight[:E])))
        y = self._scan(h)
        return self.out_proj(self.norm(y) * gate)

    def _local(self, x: Tensor) -> Tensor:
        plain, bias = self.conv.weight.flatten(1).T, self.conv.bias
        assert bias is not None
        reference = self.backend == "reference"
        if self.config.local == "depthwise":
            none = x.new_zeros(0, x.shape[3])
            return structure_aware_conv(x, x.new_zeros(*x.shape[:3], 0, 2), none, plain, bias, reference=reference)
        taps = self.deform.shape[0]
        if taps == 1:
            offset = x.new_zeros(*x.shape[:3], 1, 2)
        else:
            offset = self.offset(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).unflatten(3, (taps, 2))
        return structure_aware_conv(x, offset, self.deform, plain, bias, reference=reference)

    def _scan(self, h: Tensor) -> Tensor:
        kind, E = self.config.scan_input, self.config.channels
        directions = self.config.directions
        if kind == "plain":
            return self._scan_routes(h, 0, directions)
        if kind == "stride_concat":
            one, two, three = h.split([E - 2 * (E // 4), E // 4, E // 4], -1)
            return self._scan_routes(torch.cat([one, _hold(two, 2), _hold(three, 3)], -1), 0, directions)
        spatial = tuple(d for d in directions if d.startswith("spatial"))
        temporal = directions[len(spatial) :]
        ahead = h + _hold(h, 2) + _hold(h, 3) if kind == "stride_sum" else h + h[:, :, list(LIMB_PARENTS)]
        parts = [
            self._scan_routes(u, first, some)
            for u, first, some in ((ahead, 0, spatial), (h, len(spatial), temporal))
            if some
        ]
        return sum(parts[1:], parts[0])

    def _scan_routes(self, u: Tensor, first: int, directions: tuple[Direction, ...]) -> Tensor:
        """Scans u (B, T, V, E) along `directions`, whose parameters start at index `first`."""
        _, T, V, _ = u.shape
        own = slice(first, first + len(directions))
        return self.scan(u.flatten(1, 2), own, routes_of(T, V, directions, u.device)).view_as(u)


class Block(nn.Module):
    """x + mixer(LN(x)), then x + MLP(LN(x)); (B, T, V, C) in and out (SasMamba Eq. 16)."""

    def __init__(self, config: BlockConfig, drop_path: float = 0.0, backend: Backend = "auto") -> None:
        super().__init__()
        C = config.width
        self.norm = nn.LayerNorm(C)
        self.mixer = StateSpaceMixer(config, backend)
        self.mlp_norm = nn.LayerNorm(C)
        self.mlp = nn.Sequential(nn.Linear(C, config.mlp_ratio * C), nn.GELU(), nn.Linear(config.mlp_ratio * C, C))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        if can_fuse(self, x):
            return fused_block(self, x, routes_of(*x.shape[1:3], self.mixer.config.directions, x.device))
        return self.layer_by_layer(x)

    def layer_by_layer(self, x: Tensor) -> Tensor:
        """`forward` out of PyTorch's layers: what trains, and what the kernel is held against."""
        x = x + self.drop_path(self.mixer(self.norm(x)))
        return x + self.drop_path(self.mlp(self.mlp_norm(x)))
