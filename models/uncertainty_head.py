"""How far off a lifter's joints may be: a head beside the one for poses, and what its answers are multiplied by."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Frames between the three points that tell how much a joint jumps: noise is of every pace.
_LAGS = (1, 3, 9)
#: What is said of joints that nothing tells about, and the least that is told, in halves of the person's size.
_UNKNOWN, _LEAST = 0.3, 1e-5
#: What a lifter is usually off, metres: where training begins.
_USUAL_M = 0.03


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns the raw answer of a lifter's uncertainty head into intervals, measured on people it never saw.

    Attributes:
        wide: by how much the half-width of a 95 % interval exceeds that of a 68 % one; a normal distribution has 1.97,
            errors of poses have heavier tails. (across, along the line of sight), as all pairs here.
        plain: by how much intervals are wider where a window is lifted plainly, neither averaged with the mirrored
            input's result nor refined.
    """

    wide: tuple[float, float] = (1.97, 1.97)
    plain: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        for name in ("wide", "plain"):
            pair = tuple(float(factor) for factor in getattr(self, name))
            object.__setattr__(self, name, pair)  # as JSON gives it, and as numpy does
            if len(pair) != 2 or not all(0 < factor < 100 for factor in pair):
                raise ValueError(f"{name}: want two factors above 0 and below 100, got {pair}")


class UncertaintyHead(nn.Module):
    """Reads the features of each joint and how its 2D behaves; says two half-widths of 68 % intervals.

    Features of the last layer know the pose better than they know the noise of what it was made from, so the latter is
    told again, see `evidence`.

    Args:
        width: C, of the features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width + EVIDENCE, width)
        self.last = nn.Linear(width + EVIDENCE, 2)
        nn.init.zeros_(self.last.weight)
        nn.init.constant_(self.last.bias, math.log(_USUAL_M))

    def forward(self, features: Tensor, about: Tensor) -> Tensor:
        """Logarithms of the half-widths, metres.

        Args:
            features: (..., C).
            about: (..., EVIDENCE), see `evidence`.

        Returns:
            (..., 2): across the line of sight (the same for x and y), and along it, of poses that are averaged with the
            mirrored input's result and refined; `Calibration` has what others need.
        """
        known = F.gelu(self.inner(torch.cat([self.norm(features), about], -1)))
        return self.last(torch.cat([known, about], -1))


#: Numbers of `evidence`, and the places of those that tell of the whole window.
EVIDENCE = 2 * len(_LAGS) + 2
OF_WINDOW = (1, 3, 5, 7)


def evidence(seen: Tensor, newest: int | None = None) -> Tensor:
    """How the 2D of each joint behaves.

    Args:
        seen: (B, T, V, 3) as `normalise_window` gives it, x, y and score; score 0 is missing.
        newest: frames at the end that are asked for; None: all.

    Returns:
        (B, newest or T, V, EVIDENCE): for each lag the logarithm of how far the joint lies off the line between where
        it was and where it will be, averaged nearby; the same of all joints in the whole window; the score; the mean
        score of the window's joints that were found, by which kinds of detectors differ.
    """
    T = seen.shape[1]
    xy, score = seen[..., :2], seen[..., 2]
    found = (score > 0).to(xy)
    asked = slice(0 if newest is None else max(0, T - newest), T)
    out = []
    for lag in _LAGS:
        if 2 * lag >= T:
            out += [torch.full_like(score[:, asked], _UNKNOWN)] * 2
            continue
        here, before, after = slice(lag, T - lag), slice(0, T - 2 * lag), slice(2 * lag, T)
        known = found[:, here] * found[:, before] * found[:, after]
        off = torch.linalg.vector_norm(xy[:, here] - 0.5 * (xy[:, before] + xy[:, after]), dim=-1) * known
        # sums from the first frame on, of how far and of how many: both of any stretch are differences
        sums = F.pad(torch.stack([off, known]).cumsum(2), (0, 0, 1, 0))
        first, end = _nearby(T, lag, seen.device)
        near, count = sums[:, :, end[asked]] - sums[:, :, first[asked]]
        total, frames = sums[:, :, -1].sum(-1)
        local = torch.where(count > 0, near / count.clamp(min=1), _UNKNOWN)
        all_of_it = torch.where(frames > 0, total / frames.clamp(min=1), _UNKNOWN)
        out += [local, all_of_it[:, None, None].expand_as(local)]
    logs = torch.stack(out, -1).clamp(min=_LEAST).log()
    usual = (score.sum((1, 2)) / found.sum((1, 2)).clamp(min=1))[:, None, None].expand_as(score[:, asked])
    # about 0 and of order 1, as features are
    return torch.cat([logs / 2 + 2.5, torch.stack([score[:, asked], usual], -1)], -1)


@functools.lru_cache(maxsize=32)
@torch.inference_mode(False)  # what is kept must also serve training, whoever asked for it first
def _nearby(T: int, lag: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(T,) where what is near each frame begins and ends, among the frames that have one `lag` before and after."""
    reach, frame = 2 * lag + 3, torch.arange(T, device=device)
    first, end = frame - reach - lag, frame + reach + 1 - lag
    return first.clamp(0, T - 2 * lag), end.clamp(0, T - 2 * lag)
