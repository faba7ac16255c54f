"""What somebody wears: a colour histogram of the torso, and how alike two of them are."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.app.types import Person2D
from sasmamba.common.arrays import FloatArray
from sasmamba.models.skeletons import COCO

#: The torso is sampled on a grid of so many points a side; fewer than a quarter of them in the picture tell nothing.
GRID = 16
#: A torso seen from the side is taken to be at least this wide, as a share of its length.
LEAST_WIDTH = 0.3
#: Shoulders and hips count from this score on.
MIN_SCORE = 0.3
#: Bins: hues of coloured points, in two degrees of saturation, and greys of the others.
HUES, GREYS = 12, 6
#: Saturation times brightness (0..1) below which a point has no colour to speak of, and above which it is vivid.
PALE, VIVID = 0.12, 0.4
#: Bhattacharyya distances up to which two histograms are surely of one person's clothes, and from which surely not.
#: One person's, some seconds apart and turned, lie around 0.25; those of two in different clothes, 0.7.
SAME, OTHER = 0.35, 0.65

#: (GRID, GRID, 1) where the points lie, from the shoulders to the hips and from side to side.
_ALONG, _SIDE = (at[..., None] for at in np.meshgrid(np.linspace(0.1, 0.9, GRID), np.linspace(-0.7, 0.7, GRID)))


def torso_histogram(bgr: NDArray[np.uint8], person: Person2D) -> FloatArray | None:
    """(30,) the colours of a person's torso, summing to 1; None where the torso is not seen.

    Coloured points are counted by hue and not by brightness, so that a shadow changes little, and neighbouring bins
    share, so that a hue between two of them does not jump.

    Args:
        bgr: (height, width, 3) the picture the person was seen in.
    """
    shoulders = [COCO.LEFT_SHOULDER, COCO.RIGHT_SHOULDER]
    hips = [COCO.LEFT_HIP, COCO.RIGHT_HIP]
    if min(person.score[shoulders].max(), person.score[hips].max()) < MIN_SCORE:
        return None
    points = _torso_points(_seen(person, shoulders), _seen(person, hips))
    height, width = bgr.shape[:2]
    inside = ((points >= 0) & (points < (width, height))).all(-1)
    if inside.sum() < GRID * GRID // 4:
        return None
    x, y = points[inside].astype(int).T
    hue, saturation, value = cv2.cvtColor(bgr[y, x][None], cv2.COLOR_BGR2HSV)[0].T.astype(np.float32)
    colour = saturation * value / 255**2
    vivid = np.bincount(_bins(hue, 180, HUES), colour >= VIVID, HUES)
    pale = np.bincount(_bins(hue, 180, HUES), (colour >= PALE) & (colour < VIVID), HUES)
    grey = np.bincount(_bins(value, 256, GREYS), colour < PALE, GREYS)
    counts = np.concatenate([_shared(vivid, around=True), _shared(pale, around=True), _shared(grey, around=False)])
    return (counts / counts.sum()).astype(np.float32)


def clothes_alike(a: FloatArray, b: FloatArray) -> float:
    """1 where two histograms are surely of the same clothes, 0 where surely not.

    By the Bhattacharyya distance (as in Comaniciu et al., PAMI 2003, "Kernel-Based Object Tracking", equation 17).
    """
    distance = float(np.sqrt(max(0.0, 1 - float(np.sqrt(a * b).sum()))))
    return float(np.clip((OTHER - distance) / (OTHER - SAME), 0, 1))


def _seen(person: Person2D, joints: list[COCO]) -> FloatArray:
    """(2, 2) two joints, one in the place of the other where that was not found."""
    first, second = joints
    if person.score[second] < MIN_SCORE:
        second = first
    elif person.score[first] < MIN_SCORE:
        first = second
    return person.joints_px[[first, second]]


def _torso_points(shoulders: FloatArray, hips: FloatArray) -> FloatArray:
    """(GRID · GRID, 2) points between shoulders (2, 2) and hips (2, 2), a little inside."""
    top, bottom = shoulders.mean(0), hips.mean(0)
    down = bottom - top
    length = max(float(np.linalg.norm(down)), 1e-6)
    across = np.array([down[1], -down[0]]) / length  # to the left of somebody who is upright and faces away
    half = 0.5 * max(
        abs(float((shoulders[0] - shoulders[1]) @ across)),
        abs(float((hips[0] - hips[1]) @ across)),
        LEAST_WIDTH * length,
    )
    points = top + _ALONG * down + _SIDE * half * across
    return points.reshape(-1, 2).astype(np.float32)


def _bins(values: FloatArray, span: int, count: int) -> NDArray[np.intp]:
    return np.minimum((values * count / span).astype(np.intp), count - 1)


def _shared(counts: NDArray, *, around: bool) -> NDArray:
    """Every bin with a quarter of each neighbour; around: the first and the last are neighbours."""
    ends = (-1, 0) if around else (0, -1)
    padded = np.concatenate([counts[ends[0], None], counts, counts[ends[1], None]])
    return 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
