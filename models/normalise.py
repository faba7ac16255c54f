"""From pixels to what the lifter reads: relative to the person, in units of the person.

The papers scale pixels by the image width, which ties the result to where the person stands in the picture. Here every
frame is centred on its own pelvis and scaled by the person's size over the window, so that moving or scaling the
person, panning or zooming the camera leaves the input, and with it the pose, unchanged.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sasmamba.models.skeletons import H36M


def normalise_window(xyc: Tensor) -> Tensor:
    """Centres and scales a window of 2D poses.

    Args:
        xyc: (B, T, 17, 3) H36M-17 x, y in any unit and score; score 0 marks a joint that was not found. Windows in
            which no joint was found at all come out as zeros.

    Returns:
        (B, T, 17, 3): x, y relative to the frame's pelvis, in units of half the person's size, and the score.
        Joints that were not found are 0, 0, 0. Size is the median over frames of the larger side of the box around
        the joints found. In frames without a pelvis the centre is carried over from the nearest frames with one.
    """
    xy, score = xyc[..., :2], xyc[..., 2]
    found = score > 0
    centre = _carry(xy[:, :, H36M.PELVIS], found[:, :, H36M.PELVIS])
    high = torch.where(found[..., None], xy, -torch.inf).amax(2)
    low = torch.where(found[..., None], xy, torch.inf).amin(2)
    seen = found.sum(2) >= 2
    size = torch.where(seen, (high - low).amax(-1), torch.nan).nanmedian(1).values  # (B,)
    # one visible point has no size; any number does, since it is its own centre
    size = torch.where(torch.isfinite(size) & (size > 0), size, torch.ones_like(size))
    out = (xy - centre[:, :, None]) / (0.5 * size[:, None, None, None])
    # a joint a hundred sizes away is a wild outlier that would drown the rest
    out = torch.where(found[..., None], out.clamp(-4, 4), 0)
    return torch.cat([out, score[..., None]], -1)


#: Trunk and legs point upwards within this angle, and in the mean over a window they do so this consistently (1: all of
#: the time), in somebody who is upside down in it.
_DOWNWARDS_DEG, _CONSISTENT = 45.0, 0.7


def upside_down(xyc: Tensor) -> Tensor:
    """Who hangs head down through a window: lifters have been shown hardly anybody who does.

    Args:
        xyc: (B, T, 17, 3) as `normalise_window` takes it.

    Returns:
        (B,) bool; False where nothing tells.
    """
    xy, found = xyc[..., :2], xyc[..., 2] > 0

    def part(above: list[int], below: list[int]) -> Tensor:  # (B, T, 2) unit vectors, 0 where not found
        away = xy[:, :, below].mean(2) - xy[:, :, above].mean(2)
        known = found[:, :, above + below].all(2)
        return torch.where(known[..., None], torch.nn.functional.normalize(away, dim=-1), 0)

    trunk = part([H36M.LEFT_SHOULDER, H36M.RIGHT_SHOULDER], [H36M.PELVIS])
    legs = part([H36M.PELVIS], [H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE])
    told = (trunk != 0).any(-1).sum(1) + (legs != 0).any(-1).sum(1)
    mean = (trunk + legs).sum(1) / told.clamp(min=1)[:, None]
    length = mean.norm(dim=-1)
    return (length >= _CONSISTENT) & (-mean[:, 1] >= length * math.cos(math.radians(_DOWNWARDS_DEG)))


def _carry(x: Tensor, known: Tensor) -> Tensor:
    """x (B, T, 2) with frames where `known` (B, T) is False filled in on the line between their known neighbours."""
    B, T, _ = x.shape
    frame = torch.arange(T, device=x.device).expand(B, T)
    before = torch.where(known, frame, -1).cummax(1).values
    after = torch.where(known, frame, T).flip(1).cummin(1).values.flip(1)
    first, last = before.clamp(min=0), after.clamp(max=T - 1)
    # outside the first and last known frame there is one neighbour; with none at all everything is masked anyway
    first = torch.where(before < 0, last, first)
    last = torch.where(after >= T, first, last)
    a = x.gather(1, first[..., None].expand(-1, -1, 2))
    b = x.gather(1, last[..., None].expand(-1, -1, 2))
    weight = (frame - first).to(x.dtype) / (last - first).clamp(min=1).to(x.dtype)
    return a + weight[..., None] * (b - a)


def mask_missing(points: NDArray) -> NDArray[np.float32]:
    """Joints (..., 3) x, y, score as float32, those that are missing set to 0, 0, 0.

    Missing is a score of 0 or less, or anything that is not a finite number. Scores above 1 count as 1.
    """
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and so missing
        out = np.array(points, np.float32)
    out[~np.isfinite(out).all(-1) | (out[..., 2] <= 0)] = 0
    out[..., 2] = np.minimum(out[..., 2], 1)
    return out
