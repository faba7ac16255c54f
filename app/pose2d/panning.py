"""How far a picture moved since the last one because the camera turned, told from the two pictures alone.

The shift is the peak of the phase correlation (Kuglin and Hines 1975, "The phase correlation image alignment method";
OpenCV's) of two small pictures. Somebody who walks past close to a camera that stands still has one, too: so it counts
only where blocks all over the picture, people left out, are explained by it, and next to none stay where they were.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.common.arrays import FloatArray

#: About so many pixels has a small picture, 128×72; the side of its blocks; and so many places side by side make one of
#: its pixels: all of them would take five times as long.
_AREA_PX, _BLOCK_PX, _ACROSS = 9_216, 8, 4
#: Pictures nearer in time are not compared: at a high frame rate next to nothing moves from one to the next.
_APART_S = 0.03
#: A camera that moves the picture by less than this share of its width from one to the next stands still.
_STILL = 0.0075
#: Grey levels of contrast in a block that are noise: the block has no say. A block says which of two explanations is
#: better where the other leaves more than so many times as much unexplained.
_NOISE, _TIMES = 4.0, 1.5
#: So many of all blocks have a say at least; of these so many are for the shift; for so many of those one may be
#: against it.
_HEARD, _FOR, _FOR_EACH_AGAINST = 0.12, 0.55, 6.0
#: Of so many strips side by side so many are for it, by so many blocks and so large a share of those with a say: before
#: a bare wall only somebody who walks there has one.
_STRIPS, _STRIPS_FOR, _IN_STRIP, _FOR_IN_STRIP = 6, 4, 3, 0.35


class Panning:
    """Is shown a film's pictures one after another, and tells how the camera's turning moved each.

    It remembers one small picture.
    """

    def __init__(self) -> None:
        self.start_anew()

    def start_anew(self) -> None:
        """The next picture has nothing to do with the last."""
        self._grey: FloatArray | None = None
        self._seen_s = 0.0
        self._boxes: list[FloatArray] = []

    def shift_px(self, time_s: float, bgr: NDArray[np.uint8], boxes_px: Iterable[FloatArray]) -> FloatArray | None:
        """By how much everything that stands still in the world is farther right and down than in the last picture.

        Args:
            bgr: (height, width, 3).
            boxes_px: (4,) each, around people in it: they may walk.

        Returns:
            (2,) x, y; None where the camera stands still, or nothing is known.
        """
        if self._grey is not None and time_s - self._seen_s < _APART_S:
            return None
        before, boxes_before = self._grey, self._boxes
        grey = _small(bgr)
        size = np.array(grey.shape[::-1], np.float32)
        scale = np.array(bgr.shape[1::-1], np.float32) / size
        boxes = [np.asarray(box / np.tile(scale, 2), np.float32) for box in boxes_px]
        self._grey, self._seen_s, self._boxes = grey, time_s, boxes
        if before is None or before.shape != grey.shape:
            return None
        shift = np.array(cv2.phaseCorrelate(before, grey, _window(*grey.shape))[0], np.float32)
        turned = np.linalg.norm(shift) >= _STILL * size[0] and (np.abs(shift) < size / 2).all()
        return shift * scale if turned and _agreed(before, grey, shift, [*boxes_before, *boxes]) else None


def _small(bgr: NDArray[np.uint8]) -> FloatArray:
    """A picture (height, width, 3) as luminance (h, w), whole blocks."""
    height, width = bgr.shape[:2]
    scale = (_AREA_PX / (height * width)) ** 0.5 / _BLOCK_PX
    w, h = (max(1, round(side * scale)) * _BLOCK_PX for side in (width, height))
    grey = cv2.cvtColor(bgr[:: max(1, height // h)], cv2.COLOR_BGR2GRAY)
    fine = cv2.resize(grey, (_ACROSS * w, h), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.resize(fine, (w, h), interpolation=cv2.INTER_AREA), np.float32)


def _agreed(before: FloatArray, grey: FloatArray, shift: FloatArray, boxes: list[FloatArray]) -> bool:
    """Whether a shift (2,) is that of all the picture, people (boxes) left out."""
    height, width = grey.shape
    there = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    moved = np.asarray(cv2.warpAffine(before, there, (width, height), borderMode=cv2.BORDER_REPLICATE), np.float32)
    blocks = width // _BLOCK_PX, height // _BLOCK_PX

    def by_block(values: FloatArray) -> FloatArray:
        return np.asarray(cv2.resize(values, blocks, interpolation=cv2.INTER_AREA), np.float32)

    if_moved, if_still = by_block(np.abs(grey - moved)), by_block(np.abs(grey - before))
    counts = np.ones((height, width), np.float32)
    dx, dy = (int(np.ceil(abs(s))) * (1 if s > 0 else -1) for s in shift)  # what came into the picture has no say
    counts[:, : max(dx, 0)] = counts[: max(dy, 0)] = 0
    counts[:, width + min(dx, 0) :] = counts[height + min(dy, 0) :] = 0
    for x0, y0, x1, y1 in boxes:
        counts[max(0, int(y0)) : max(0, int(y1) + 1), max(0, int(x0)) : max(0, int(x1) + 1)] = 0
    mean = by_block(grey)
    contrast = np.sqrt(np.maximum(by_block(grey * grey) - mean * mean, 0))
    heard = (by_block(counts) > 0.75) & (contrast > _NOISE)
    for_it = heard & (if_still > _TIMES * if_moved)
    against = heard & (if_moved > _TIMES * if_still)
    all_heard, all_for = int(heard.sum()), int(for_it.sum())
    if all_heard < _HEARD * heard.size or all_for < max(_FOR * all_heard, _FOR_EACH_AGAINST * int(against.sum())):
        return False
    strips = zip(np.array_split(for_it, _STRIPS, 1), np.array_split(heard, _STRIPS, 1), strict=True)
    counted = [(int(f.sum()), int(h.sum())) for f, h in strips]
    return sum(f >= max(_IN_STRIP, _FOR_IN_STRIP * h) for f, h in counted) >= _STRIPS_FOR


@cache
def _window(height: int, width: int) -> FloatArray:
    return np.asarray(cv2.createHanningWindow((width, height), cv2.CV_32F), np.float32)
