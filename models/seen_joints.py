"""What kind of 2D a window of joints is: derived from a detector's points or not, seen in a frame or filled in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sasmamba.models.skeletons import H36M

#: What single precision leaves of a straight line in a large picture, as a share of the person.
_ROUNDING = 1e-5
#: A spine so near the middle of the trunk, as a share of it, was put there; whole pixels may have moved it.
_HALF_WAY = 0.01


def derived(seen: NDArray) -> bool:
    """Whether `skeletons.coco17_to_h36m17` derived the joints, of which five are not where H36M has them.

    Args:
        seen: (T, 17, 3) H36M-17 x, y in any unit, and score.
    """
    ends = seen[:, [H36M.PELVIS, H36M.THORAX]]
    there = (ends[..., 2] > 0).all(1) & (seen[:, H36M.SPINE, 2] > 0)
    if not there.any():
        return True
    trunk = np.linalg.norm(ends[there, 0, :2] - ends[there, 1, :2], axis=-1)
    aside = np.linalg.norm(seen[there, H36M.SPINE, :2] - ends[there, :, :2].mean(1), axis=-1)
    return bool(np.median(aside) <= _HALF_WAY * np.median(trunk))


def bridged(unit: NDArray, weight: NDArray) -> NDArray:
    """Which frames had no detection and were filled in: all joints lie on the line between those before and after.

    Args:
        unit: (T, m, 2) joints, none farther than 1 from the origin.
        weight: (T, m) 0 where a joint was not found.

    Returns:
        (T,) bool.
    """
    there = weight > 0
    known = there[:-2] & there[1:-1] & there[2:]
    aside = np.abs(unit[1:-1] - 0.5 * (unit[:-2] + unit[2:])).max(-1)
    filled = np.zeros(len(unit), bool)
    filled[1:-1] = known.any(1) & (np.where(known, aside, 0).max(1) <= _ROUNDING)
    return filled
