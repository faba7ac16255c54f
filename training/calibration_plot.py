"""A picture of whether a lifter is as sure as it says: half-widths that it states against those that would hold.

Shares within intervals tell of all joints together: a lifter that says the same of every joint can have them right. So
joints are put in groups here by what is stated of them, and each group is asked which half-width holds its errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sasmamba.common.errors import UserError
from sasmamba.common.files import atomic_path, check_writable, disk_errors_explained
from sasmamba.training.uncertainty import INTERVALS

#: The least errors of a group: a twentieth of them are to lie beyond a 95 % interval.
_GROUP, _MOST_GROUPS = 400, 12
_COLOURS = {"true": "0.6", "coco": "tab:green", "noisy": "tab:red", "movenet": "tab:blue", "detected": "tab:purple"}
_STYLES = ("-", "--")


def check_picture(path: Path) -> None:
    """To be called before the work.

    Raises:
        UserError: a name that does not end in .png, or a disk that refuses.
    """
    if path.suffix.lower() != ".png":
        raise UserError(f"{path}: the picture is a PNG; give a name that ends in .png.", exit_code=2)
    check_writable(path)


def by_stated_width(stated: NDArray, error: NDArray, share: float) -> tuple[NDArray, NDArray]:
    """What intervals say, and what they should have said, group by group.

    Args:
        stated: (N,) half-widths of the intervals that are to hold `share` of the errors.
        error: (N,) absolute errors, in the same unit.
        share: 0 to 1.

    Returns:
        (G,) medians of the stated half-widths of groups of equally many errors, narrow ones first, and (G,) the
        half-widths that hold that share of each group's errors.
    """
    groups = int(np.clip(len(error) // _GROUP, 1, _MOST_GROUPS))
    parts = np.array_split(np.argsort(stated, kind="stable"), groups)
    return np.array([np.median(stated[p]) for p in parts]), np.array([np.quantile(error[p], share) for p in parts])


def draw_calibration(found: dict[str, tuple[Tensor, Tensor]], wide: tuple[float, float], path: Path) -> None:
    """Draws `by_stated_width` of every kind of 2D, 68 % and 95 %, across and along the line of sight, as a PNG.

    Args:
        found: by kind of 2D, half-widths of 68 % intervals (N, 2) and errors (N, 3), metres, as
            `uncertainty.errors_of` gives them.
        wide: by how much 95 % intervals are wider, see `Calibration`.
        path: the picture, written whole or not at all.
    """
    from matplotlib.figure import Figure  # not pyplot: it would pick a window system

    figure = Figure((9, 4.6), layout="constrained")
    for column, (axes, name) in enumerate(zip(figure.subplots(1, 2), ("across", "along"), strict=True)):
        axes.set(title=f"{name} the line of sight", xscale="log", yscale="log", xlabel="half-width stated, mm")
        ends: list[float] = []
        for kind, (width, error) in found.items():
            ends += _curves(axes, kind, *_direction(width, error, column), wide[column])
        low, high = 0.8 * min(ends), 1.25 * max(ends)
        axes.plot([low, high], [low, high], color="0.3", linewidth=0.8, label="as stated")
        axes.set(xlim=(low, high), ylim=(low, high))
        axes.grid(alpha=0.3, which="both", linewidth=0.5)
        axes.legend(fontsize=8)
        if column == 0:
            axes.set_ylabel("half-width that holds 68 %, dashed 95 %, mm")
    with atomic_path(path) as partial, disk_errors_explained(path, partial):
        figure.savefig(partial, dpi=90)


def _direction(width: Tensor, error: Tensor, column: int) -> tuple[NDArray, NDArray]:
    """Flat half-widths and absolute errors across (x and y) or along the line of sight, mm."""
    coordinates = ([0, 1], [2])[column]
    stated = width[:, column, None].expand(-1, len(coordinates))
    return 1000 * stated.flatten().numpy(), 1000 * error[:, coordinates].abs().flatten().numpy()


def _curves(axes: Any, kind: str, stated: NDArray, error: NDArray, wide: float) -> list[float]:
    """Draws both curves of a kind of 2D; returns all that is drawn, for the picture's ends."""
    shares, drawn = [], []
    for share, factor, style in zip(INTERVALS, (1.0, wide), _STYLES, strict=True):
        x, y = by_stated_width(factor * stated, error, share)
        axes.plot(x, y, style, color=_COLOURS[kind], marker="o", markersize=2.5, linewidth=1.2)
        shares.append(100 * float(np.mean(error <= factor * stated)))
        drawn += [*x.tolist(), *y.tolist()]
    axes.plot([], [], color=_COLOURS[kind], label=f"{kind}: {shares[0]:.0f} %, {shares[1]:.0f} % within")
    return drawn
