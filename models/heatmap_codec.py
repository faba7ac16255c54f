"""Heatmaps of top-down networks: normalised crops in, joints in the crop's pixels out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sasmamba.common.arrays import FloatArray, Picture
from sasmamba.models.skeletons import COCO_MIRROR

Decode = Literal["quarter", "dark"]
#: (n, 3, height, width) normalised RGB to (n, 17, height / 4, width / 4) heatmaps.
Network = Callable[[Tensor], Tensor]
#: Room around a box, as a factor of its sides.
PADDING = 1.25
#: Of ImageNet, RGB, in grey levels of 0..255.
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
#: DARK smooths with a kernel as wide as the Gaussians the network was trained on (2 px), cut at 5 px.
DARK_SIGMA, DARK_REACH = 2.0, 5


def normalised(crops: Picture, device: torch.device | str = "cpu") -> Tensor:
    """(n, height, width, 3) uint8 BGR to what the network reads, (n, 3, height, width) float32 RGB, channels last."""
    # Moved as bytes: a quarter of the traffic to a GPU. The permuted view of such an array is channels-last already.
    pixels = torch.from_numpy(crops)
    if torch.device(device).type == "cuda":  # a GPU fetches pinned memory by itself, while the CPU goes on
        pixels = pixels.pin_memory()
    rgb = pixels.to(device, non_blocking=True).permute(0, 3, 1, 2).flip(1).float()
    mean, deviation = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (MEAN, DEVIATION))
    return ((rgb - mean) / deviation).contiguous(memory_format=torch.channels_last)


def heatmaps(network: Network, images: Tensor, *, flip: bool = False, shift: bool = True) -> Tensor:
    """The network's heatmaps (n, 17, h, w).

    Args:
        images: (n, 3, height, width) from `normalised`.
        flip: average with those of the mirrored images; about half a point of AP for twice the time.
        shift: move the mirrored ones one pixel to the right first. Mirroring an image of even width moves a heatmap's
            pixel i to w - 1/4 - i rather than to w - 1 - i, and a whole pixel is what the published results were
            measured with.
    """
    straight = network(images)
    return (straight + unflipped(network(images.flip(-1)), shift=shift)) / 2 if flip else straight


def unflipped(mirrored: Tensor, *, shift: bool = True) -> Tensor:
    """Heatmaps (n, 17, h, w) of a mirrored image as those of the image: left joints become right ones, see `heatmaps`.

    With `shift` the first column keeps its place, for lack of another.
    """
    back = mirrored.flip(-1)[:, list(COCO_MIRROR)]
    return torch.cat([back[..., :1], back[..., :-1]], -1) if shift else back


def decode(heat: Tensor, how: Decode = "dark") -> tuple[FloatArray, FloatArray]:
    """Joints off heatmaps (n, joints, h, w), each at least 5 × 5.

    Args:
        how: "quarter", the highest pixel, moved a quarter of a pixel towards the higher neighbour (Sun et al. 2019);
            "dark", moved to the top of the Gaussian that fits there (Zhang et al., CVPR 2020, "Distribution-Aware
            Coordinate Representation for Human Pose Estimation", Section 3.2).

    Returns:
        points: (n, joints, 2) x, y in pixels of the heatmap. score: (n, joints) the highest value, cut to 0..1; where
        it is 0 the point means nothing.
    """
    peak, at = heat.flatten(2).max(-1)
    x, y = at % heat.shape[3], at // heat.shape[3]
    if how not in ("quarter", "dark"):
        raise ValueError(f"how: want quarter or dark, got {how!r}")
    points = torch.stack([x, y], -1) + (_dark if how == "dark" else _quarter)(heat, x, y)
    return points.cpu().numpy().astype(np.float32), peak.clamp(0, 1).cpu().numpy().astype(np.float32)


def _around(heat: Tensor, x: Tensor, y: Tensor, dx: int, dy: int) -> Tensor:
    """(n, joints) values beside x, y; beyond the rim the rim's, which callers mask."""
    n, joints, h, w = heat.shape
    index = (y + dy).clamp(0, h - 1) * w + (x + dx).clamp(0, w - 1)
    return heat.flatten(2).gather(-1, index.view(n, joints, 1)).view(n, joints)


def _quarter(heat: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(n, joints, 2); nothing at the rim, which is two pixels at the low end, as the authors have it."""
    h, w = heat.shape[2:]
    step_x = torch.sign(_around(heat, x, y, 1, 0) - _around(heat, x, y, -1, 0)) / 4
    step_y = torch.sign(_around(heat, x, y, 0, 1) - _around(heat, x, y, 0, -1)) / 4
    return torch.stack([step_x * ((x > 1) & (x < w - 1) & (y > 0)), step_y * ((y > 1) & (y < h - 1) & (x > 0))], -1)


def _dark(heat: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(n, joints, 2): one Newton step on the logarithm of the smoothed heatmap, whose differences span two pixels.

    A logarithm that is no hill at the peak (two people's joints in one crop) has no top to step to, and a step beyond
    the differences' reach would be a guess: there the quarter shift stands.
    """
    h, w = heat.shape[2:]
    log = _smoothed(heat).clamp(min=1e-10).log()

    def at(dx: int, dy: int) -> Tensor:
        return _around(log, x, y, dx, dy).double()

    gx, gy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    hxx = (at(2, 0) - 2 * at(0, 0) + at(-2, 0)) / 4
    hyy = (at(0, 2) - 2 * at(0, 0) + at(0, -2)) / 4
    hxy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
    determinant = hxx * hyy - hxy * hxy
    hill = (hxx < 0) & (determinant > 0)
    step = torch.stack([hxy * gy - hyy * gx, hxy * gx - hxx * gy], -1) / torch.where(hill, determinant, 1)[..., None]
    inside = (x > 1) & (x < w - 2) & (y > 1) & (y < h - 2)
    sound = hill & (step.abs() <= 2).all(-1)
    return torch.where(sound[..., None], step, _quarter(heat, x, y)).float() * inside[..., None]


def _smoothed(heat: Tensor) -> Tensor:
    """Smoothed by a Gaussian, zero beyond the rim, and scaled back to the old maximum (DARK's modulation)."""
    n, joints, h, w = heat.shape
    kernel = torch.exp(-(torch.arange(-DARK_REACH, DARK_REACH + 1, device=heat.device) ** 2) / (2 * DARK_SIGMA**2))
    kernel = kernel / kernel.sum()
    smooth = F.conv2d(heat.reshape(-1, 1, h, w), kernel.view(1, 1, 1, -1), padding=(0, DARK_REACH))
    smooth = F.conv2d(smooth, kernel.view(1, 1, -1, 1), padding=(DARK_REACH, 0)).view(n, joints, h, w)
    highest = smooth.amax((2, 3), keepdim=True)
    return smooth * heat.amax((2, 3), keepdim=True) / torch.where(highest == 0, 1, highest)
