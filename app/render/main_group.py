"""Whom the view is ruled by: people who are seen long and near, not somebody who passes far behind them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Who weighs so much of the heaviest rules the view; somebody weighs, in every frame, as much as they look tall.
_WEIGHTY = 0.25
#: The others do where they are within so many times the room that these take up, and where they are so near to it.
_WIDENED, _BESIDE_M = 1.5, 4.0
#: Nearer to the camera than this nobody looks any taller.
_NEAREST_M = 1.0


def main_group(paths: Sequence[NDArray]) -> NDArray:
    """The places that the view is to hold: all of whoever matters, and of the others those that are near these.

    Args:
        paths: (T, 3) of each person, world axes, metres; the camera stands at x = y = 0.

    Returns:
        (N, 3) places that are numbers; none where there are none.
    """
    sound = [path[np.isfinite(path).all(-1)] for path in paths]
    sound = [path for path in sound if len(path)]
    if not sound:
        return np.zeros((0, 3), np.float32)
    weights = np.array([(1 / np.maximum(np.hypot(path[:, 0], path[:, 1]), _NEAREST_M)).sum() for path in sound])
    matters = weights >= _WEIGHTY * weights.max()
    group = np.concatenate([path for path, does in zip(sound, matters, strict=True) if does])
    centre = (group[:, :2].min(0) + group[:, :2].max(0)) / 2
    room = np.linalg.norm(group[:, :2] - centre, axis=1).max()
    others = np.concatenate([group[:0], *(path for path, does in zip(sound, matters, strict=True) if not does)])
    near = np.linalg.norm(others[:, :2] - centre, axis=1) <= max(_WIDENED * room, room + _BESIDE_M)
    return np.concatenate([group, others[near]])
