"""Stretches of frames in which something holds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def runs(flags: NDArray) -> NDArray:
    """(n, 2) where the runs of True in (F,) bool begin and end (exclusive), in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return edges.reshape(-1, 2)


def stretches(frames: list[int]) -> list[list[int]]:
    """Frames (increasing) cut where one is missing."""
    return [frames[begin:end] for begin, end in unbroken(frames)]


def unbroken(frames: Sequence[int] | NDArray) -> list[tuple[int, int]]:
    """Where stretches of frames (increasing) of which none is missing begin and end (exclusive), as indices of them."""
    if not len(frames):
        return []
    return list(pairwise([0, *(np.flatnonzero(np.diff(frames) > 1) + 1).tolist(), len(frames)]))
