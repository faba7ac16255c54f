"""Euler angles that programs can draw curves through: one order for all joints, as few leaps as there can be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Orders, outermost rotation first. Each has a pose in which it breaks down (the middle angle at 90°): which pose a
#: clip does not have, only the clip can tell. The first one is taken where it does as well as any other.
ORDERS = ("YZX", "XZY", "ZXY", "YXZ", "ZYX", "XYZ")
#: A step of an angle that is more than this, where the rotation itself takes less, is a leap.
LEAP_DEG = 30.0


def best_order(rotations: Sequence[NDArray]) -> str:
    """The first order with the fewest leaps in all of these rotations, (F, N, 3, 3) each."""
    counts: dict[str, int] = {}
    for order in ORDERS:
        counts[order] = sum(int(leaps(R, order).sum()) for R in rotations)
        if not counts[order]:  # there is no better one
            return order
    return min(counts, key=lambda order: counts[order])


def leaps(R: NDArray, order: str) -> NDArray:
    """(F - 1, N) bool: where an angle steps by more than `LEAP_DEG` while the rotation (F, N, 3, 3) steps by less."""
    if len(R) < 2:
        return np.zeros((0, R.shape[1]), bool)
    steps = np.abs(np.diff(unwrapped(euler(R, order)), axis=0)).max(-1)
    return np.asarray((np.degrees(steps) > LEAP_DEG) & (turns(R) < LEAP_DEG))


def turns(R: NDArray) -> NDArray:
    """(F - 1, ...) degrees by which rotations (F, ..., 3, 3) turn from frame to frame."""
    trace = np.einsum("f...ij,f...ij->f...", R[1:], R[:-1])
    return np.degrees(np.arccos(((trace - 1) / 2).clip(-1, 1)))


def unwrapped(angles: NDArray) -> NDArray:
    """The same rotations by angles (F, N, 3), radians, that leap as little as can be from frame to frame: in a
    somersault the plain ones turn over by half a turn."""
    same_turn = angles * [1, -1, 1] + np.pi  # α + π, π - β, γ + π
    out = angles.copy()
    for f in range(1, len(out)):
        ways = np.stack([angles[f], same_turn[f]])
        ways += 2 * np.pi * np.round((out[f - 1] - ways) / (2 * np.pi))
        far = np.abs(ways - out[f - 1]).sum(-1)
        out[f] = np.where((far[0] <= far[1])[:, None], ways[0], ways[1])
    return out


def euler(R: NDArray, order: str) -> NDArray:
    """Angles (..., 3), radians, of R (..., 3, 3) = R_a(α) R_b(β) R_c(γ) for an order abc of three different axes."""
    i, j, k = ("XYZ".index(axis) for axis in order)
    sign = 1 if (j - i) % 3 == 1 else -1
    sine = (sign * R[..., i, k]).clip(-1, 1)
    locked = np.abs(sine) > 1 - 1e-9  # α and γ turn about one axis: all of it is given to α
    alpha = np.where(
        locked, np.arctan2(sign * R[..., k, j], R[..., j, j]), np.arctan2(-sign * R[..., j, k], R[..., k, k])
    )
    gamma = np.where(locked, 0, np.arctan2(-sign * R[..., i, j], R[..., i, i]))
    return np.stack([alpha, np.arcsin(sine), gamma], -1)
