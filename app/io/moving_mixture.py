"""Tells mixtures of two pictures that both move on: what a dissolve shows while the camera pans or zooms.

The picture before and the one after are moved as a whole, at the speed at which the frames around them move, to where
they are in a frame between. By how little they are off then, for a hand is never steady, is taken up by their gradients
(Lucas and Kanade, IJCAI 1981).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.common.arrays import FloatArray

#: Of a map of motion, every so many blocks each way are looked at.
EVERY = 2
#: Rounds of weighing down what moves by itself, and how far off the whole's motion, small pixels, is close in any case.
ROUNDS, CLOSE_PX = 3, 0.05
#: Variance, grey levels squared, that is noise.
NOISE = 4.0
#: Steep gradients are bent to a picture's liking by this much less.
STIFF = 3.0


class WholeMotion(NamedTuple):
    """How a picture moves as a whole: a point at (x, y) from its middle was at (x, y) * exp(zoom) + (dx, dy) before.

    Attributes:
        dx: shares of its width a frame.
        dy: shares of its height a frame.
        zoom: logarithm, a frame.
    """

    dx: float
    dy: float
    zoom: float


class Mixture(NamedTuple):
    """How a picture is made of two others, where all three are known.

    Attributes:
        old: the share of the one before.
        new: that of the one after.
        unexplained: the share of its variance that neither explains.
        alike: correlation of the two, both moved to where they are in it.
        known: the share of it that shows what both pictures show.
    """

    old: float
    new: float
    unexplained: float
    alike: float
    known: float


def whole_motion(motions: Sequence[FloatArray], width: int, height: int) -> WholeMotion:
    """The motion of a whole picture, mean of some frames; people who move by themselves count little.

    Args:
        motions: (h, w, 2) each, the way back to where blocks were, pixels of a picture of `width` by `height`.
    """
    motion = np.mean([m[::EVERY, ::EVERY] for m in motions], 0).reshape(-1, 2)
    places = _block_places(*motions[0].shape[:2], width, height)
    weights = np.full(len(motion), 1 / len(motion), np.float32)
    for _ in range(ROUNDS):
        weights /= weights.sum()
        middle, shift = weights @ places, weights @ motion
        out, off = places - middle, motion - shift
        slope = (weights @ (out * off)).sum() / ((weights @ (out * out)).sum() + 1e-6)
        left = np.square(off - slope * out).sum(-1)
        usual = np.partition(left, len(left) // 2)[len(left) // 2]
        weights = 1 / (1 + left / (2 * usual + CLOSE_PX**2))
    dx, dy = shift - slope * middle
    return WholeMotion(float(dx) / width, float(dy) / height, float(np.log1p(max(slope, -0.5))))


def mixture(
    thumb: FloatArray,
    before: FloatArray,
    since: tuple[WholeMotion, int],
    after: FloatArray,
    until: tuple[WholeMotion, int],
) -> Mixture:
    """How a picture is made of one some frames before it and one some frames after.

    Args:
        thumb: (h, w) grey levels, as are the others.
        since: how the picture before moves on, and for how many frames.
        until: how the picture after had moved, and for how many frames.
    """
    old, old_known = _moved(before, *since)
    new, new_known = _moved(after, until[0], -until[1])
    known = old_known & new_known
    if known.sum() < known.size / 8:
        return Mixture(0.0, 0.0, 1.0, 1.0, float(known.mean()))
    fields = [old, new, *_gradients(old), *_gradients(new)]
    columns = np.stack([field[known] for field in fields], 1).astype(np.float64)
    columns -= columns.mean(0)
    wanted = thumb[known].astype(np.float64)
    wanted -= wanted.mean()
    gram = columns.T @ columns / len(wanted)
    (a, b), c = np.diag(gram)[:2], gram[0, 1]
    gram[np.diag_indices(len(gram))] += [1e-3] * 2 + [STIFF] * (len(gram) - 2)
    shares = np.linalg.solve(gram, columns.T @ wanted / len(wanted))
    left = float(np.square(wanted - columns @ shares).mean())
    unexplained = left / (float(np.square(wanted).mean()) + NOISE)
    alike = float(c / np.sqrt(a * b + 1e-6))
    return Mixture(float(shares[0]), float(shares[1]), unexplained, alike, float(known.mean()))


def _moved(thumb: FloatArray, motion: WholeMotion, frames: int) -> tuple[FloatArray, NDArray[np.bool_]]:
    """What it looks like so many frames later, and where that is known."""
    height, width = thumb.shape
    scale = float(np.exp(motion.zoom * frames))
    back = np.array(
        [
            [scale, 0, (1 - scale) * (width - 1) / 2 + motion.dx * width * frames],
            [0, scale, (1 - scale) * (height - 1) / 2 + motion.dy * height * frames],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(thumb, back, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    inner = _inner(height, width)
    known = cv2.warpAffine(inner, back, (width, height), flags=flags, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(moved, np.float32), (known > 0.99) & (inner > 0)


def _gradients(thumb: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """How it changes if it moves right, down, or towards the middle."""
    right, down = (cv2.Sobel(thumb, cv2.CV_32F, x, 1 - x, ksize=3, scale=1 / 8) for x in (1, 0))
    x, y = _places(*thumb.shape)
    return np.asarray(right, np.float32), np.asarray(down, np.float32), np.asarray(right * x + down * y, np.float32)


@cache
def _inner(height: int, width: int) -> FloatArray:
    """1 but at the border, where gradients are not known."""
    inner = np.zeros((height, width), np.float32)
    inner[1:-1, 1:-1] = 1
    return inner


@cache
def _places(height: int, width: int) -> tuple[FloatArray, FloatArray]:
    """x and y from the middle, in quarters of the width."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return (x - (width - 1) / 2) * 4 / width, (y - (height - 1) / 2) * 4 / width


@cache
def _block_places(blocks_down: int, blocks_across: int, width: int, height: int) -> FloatArray:
    """(n, 2) where the blocks that are looked at lie, pixels from the middle."""
    y, x = np.mgrid[:blocks_down:EVERY, :blocks_across:EVERY].astype(np.float32)
    across, down = (x + 0.5) / blocks_across - 0.5, (y + 0.5) / blocks_down - 0.5
    return np.stack([across.ravel() * width, down.ravel() * height], -1)
