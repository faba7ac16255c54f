"""Stretches of frames in which something holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def runs(flags: NDArray) -> NDArray:
    """(n, 2) where the runs of True in (F,) bool begin and end (exclusive), in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return edges.reshape(-1, 2)


def stretches(frames: list[int]) -> list[list[int]]:
    """Frames (increasing) cut where one is missing."""
    out: list[list[int]] = []
    for f in frames:
        if out and f == out[-1][-1] + 1:
            out[-1].append(f)
        else:
            out.append([f])
    return out
