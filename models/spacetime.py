"""Scans and merging over space and time: the routes, their S6 and the modulated merging of GLSMamba.

Source: Feng et al., "High-Resolution Spatiotemporal Modeling with Global-Local State Space Models for Video-Based
Human Pose Estimation" (Section 3.2, Eq. 6-8; Section 3.3 for the windows). Written from the paper.

Tokens are stored frame by frame and row by row: pixel (row, column) of frame t is token (t · h + row) · w + column.
"""

from __future__ import annotations

import functools
import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sasmamba.models import kernels
from sasmamba.models.s6 import S6
from sasmamba.models.sampling import structure_aware_conv
from sasmamba.models.scan import Backend

Route = Literal["unified", "space", "time"]
ALL_ROUTES: tuple[Route, ...] = get_args(Route)

#: Taps of the deformable convolution, 3 × 3.
SIDE = 3
TAPS = SIDE**2


@functools.lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept must also serve training, whoever asked for it first
def scan_orders(frames: int, rows: int, columns: int, route: Route, device: torch.device) -> Tensor:
    """(2, frames · rows · columns) tokens in the order of a route, and in the reverse order (STS6D, Section 3.2).

    The frames stand side by side in one panorama. "unified" reads it row by row, through all frames in turn; "space"
    column by column, which is one frame after another; "time" follows each pixel through the frames.
    """
    tokens = torch.arange(frames * rows * columns, device=device).view(frames, rows, columns)
    axes = {"unified": (1, 0, 2), "space": (0, 2, 1), "time": (1, 2, 0)}[route]
    order = tokens.permute(axes).flatten()
    return torch.stack([order, order.flip(0)])


class RouteScans(S6):
    """One S6 for each of several routes, with Mamba's projections (Eq. 6); every route is walked both ways.

    The parameters are bare, as in VMamba: 2 · routes sets of them. A starts at random, as the paper has it, within the
    range in which Mamba's own start lies. Eq. 3 leaves the skip D out, Eq. 1 and Mamba have it; so has this.

    Args:
        width: E, channels.
        routes: how many.
        states: N.
        dt_range: Δ is drawn log-uniformly from here at the start.
    """

    def __init__(
        self, width: int, routes: int, states: int, dt_range: tuple[float, float], backend: Backend = "auto"
    ) -> None:
        super().__init__(backend)
        self.add_scans(2 * routes, width, states, math.ceil(width / 16), dt_range)
        nn.init.uniform_(self.A_log, 1, states + 1).data.log_()

    def forward(self, u: Tensor, orders: list[Tensor]) -> list[Tensor]:
        """Scans u (B, L, E) along `orders`, each (2, L) from `scan_orders`.

        Returns:
            One (B, L, E) for each route, in storage order: both ways are inverted and added (Eq. 7).
        """
        return [self.scan(u, slice(2 * route, 2 * route + 2), order) for route, order in enumerate(orders)]


def deform_depthwise_reference(x: Tensor, offset: Tensor, modulation: Tensor, weight: Tensor) -> Tensor:
    """Same function as `deform_depthwise`, tap by tap through `grid_sample`."""
    _, h, w, _ = x.shape
    image, out = x.permute(0, 3, 1, 2), torch.zeros_like(x)
    for tap in range(TAPS):
        row = torch.arange(h, dtype=x.dtype, device=x.device)[:, None] + tap // SIDE - SIDE // 2 + offset[..., tap, 0]
        column = torch.arange(w, dtype=x.dtype, device=x.device) + tap % SIDE - SIDE // 2 + offset[..., tap, 1]
        # grid_sample wants x before y, in -1..1 between the outer edges of the outer cells
        grid = torch.stack([(2 * column + 1) / w - 1, (2 * row + 1) / h - 1], -1)
        sample = F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        out = out + sample.permute(0, 2, 3, 1) * modulation[..., tap, None] * weight[tap]
    return out


def deform_depthwise(
    x: Tensor, offset: Tensor, modulation: Tensor, weight: Tensor, *, reference: bool = False
) -> Tensor:
    """Depthwise modulated deformable 3 × 3 convolution (DCNv2, Eq. 1).

    Args:
        x: (n, h, w, E), channels last.
        offset: (n, h, w, 9, 2) rows and columns added to each tap's own place; taps run row by row.
        modulation: (n, h, w, 9) factor of each tap.
        weight: (9, E).
        reference: take the plain PyTorch form even where the compiled kernel could run.

    Returns:
        (n, h, w, E). Outside the picture everything is zero.
    """
    native = x.device.type == "cpu" and x.dtype == torch.float32 and kernels.load()[0] is not None
    if reference or not native:
        return deform_depthwise_reference(x, offset, modulation, weight)
    # The kernel has no modulation, so each tap is sampled by itself, as a 1 × 1 kernel with its place in the offset.
    nothing, zero = x.new_zeros(9, x.shape[3]), x.new_zeros(x.shape[3])
    out = torch.zeros_like(x)
    for tap in range(TAPS):
        place = x.new_tensor([tap // SIDE - SIDE // 2, tap % SIDE - SIDE // 2])
        at = (offset[..., tap, :] + place)[..., None, :]
        out = out + modulation[..., tap, None] * structure_aware_conv(x, at, weight[tap : tap + 1], nothing, zero)
    return out


class DeformConv(nn.Module):
    """Modulated deformable convolution: a depthwise 3 × 3 one, see `deform_depthwise`, and then a pointwise one.

    The paper cites DCNv2 (Zhu et al. 2019), whose kernel is dense; the parameters that its Table 6 counts leave room
    for a separable one alone, see `glsmamba`.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Parameter(torch.empty(TAPS, width).uniform_(-1, 1) / SIDE)
        self.pointwise = nn.Parameter(torch.empty(width, width).uniform_(-1, 1) / math.sqrt(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, offset: Tensor, modulation: Tensor, *, reference: bool = False) -> Tensor:
        """Arguments as for `deform_depthwise`; (n, h, w, E)."""
        sampled = deform_depthwise(x, offset, modulation, self.depthwise, reference=reference)
        return F.linear(sampled, self.pointwise, self.bias)


class Compensation(nn.Module):
    """One stage of STMM (Eq. 8): a stream plus its own deformable convolution, which another stream steers."""

    def __init__(self, width: int, hidden: int, backend: Backend = "auto") -> None:
        super().__init__()
        self.reference = backend == "reference"
        self.steer = nn.Sequential(
            nn.Conv2d(2 * width, hidden, 1), nn.SiLU(), nn.Conv2d(hidden, 3 * TAPS, SIDE, padding=SIDE // 2)
        )
        last = self.steer[-1]  # no offset and half the weight at first, as in DCNv2
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.conv = DeformConv(width)

    def forward(self, unified: Tensor, other: Tensor) -> Tensor:
        """Both (n, h, w, E), every frame by itself; the same shape."""
        both = torch.cat([unified, other], -1).permute(0, 3, 1, 2)
        steered = self.steer(both).permute(0, 2, 3, 1)  # (n, h, w, 3 · taps)
        offset, modulation = steered[..., : 2 * TAPS].unflatten(-1, (TAPS, 2)), steered[..., 2 * TAPS :].sigmoid()
        return unified + self.conv(unified, offset, modulation, reference=self.reference)
