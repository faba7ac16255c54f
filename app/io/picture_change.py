"""How much of a picture the one before it does not explain: what moved is followed, what got brighter does not count.

Pictures are compared small, as luminance about its local mean in units of its local contrast, so that exposure, flashes
and fog drop out. The earlier one is warped onto the later by dense optical flow (Kroeger et al., ECCV 2016, "Fast
Optical Flow using Dense Inverse Search", OpenCV's); what then still differs was not there before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.common.arrays import FloatArray

#: Pixels of a small picture: 160×90.
AREA_PX = 14_400
#: Side of the neighbourhood in which mean and contrast are taken, and how many grey levels of contrast are noise.
_NEAR_PX, _NOISE = 9, 5.0
#: Side of the blocks of a change map.
_BLOCK_PX = 4
#: Grey levels from which on a camera has lost the picture in shadow or light.
_BLACK, _WHITE = 6, 249
#: Width and height of the thumbnails that mixtures are told by.
_THUMB_PX = 32, 18
#: A picture whose grey levels spread less than this shows nothing: black, white, or a cover.
_PLAIN = 5.0


class Change(NamedTuple):
    """What of a picture an earlier one does not explain.

    Attributes:
        where: (h / 4, w / 4), 0 where it is explained, flat, or comes from outside the picture before, up to 1 where
            detail is another.
        share: of all detail that is so, 0..1.
        motion: (h / 4, w / 4, 2) the way back to where it was, x and y, pixels of the small picture.
    """

    where: FloatArray
    share: float
    motion: FloatArray


class SmallPicture:
    """One frame as it is compared.

    Attributes:
        detail: (h, w) float32, local mean taken away, in units of local contrast: about -2 to 2, 0 where it is flat.
        lost: (h, w) float32, 1 where the picture is black or burnt out, and its detail is gone.
        thumb: (18, 32) float32 grey levels.
        burnt: the share of it that is lost.
        plain: whether nothing is to be seen in it.
    """

    __slots__ = ("_coded", "burnt", "detail", "lost", "plain", "thumb")

    def __init__(self, bgr: NDArray[np.uint8]) -> None:
        grey = _small_luma(bgr)
        fine = grey.astype(np.float32)
        mean = _near(fine)
        self.detail = (fine - mean) / np.sqrt(np.maximum(_near(fine * fine) - mean * mean, 0) + _NOISE**2)
        self.lost = ((grey <= _BLACK) | (grey >= _WHITE)).astype(np.float32)
        self.burnt = float(self.lost.mean())
        self.thumb = np.asarray(cv2.resize(fine, _THUMB_PX, interpolation=cv2.INTER_AREA), np.float32)
        self.plain = float(fine.std()) < _PLAIN
        self._coded = cv2.convertScaleAbs(self.detail * 48 + 128)

    def unchanged(self) -> Change:
        """The answer of `change_from` where nothing has changed."""
        width, height = self._blocks()
        return Change(np.zeros((height, width), np.float32), 0.0, np.zeros((height, width, 2), np.float32))

    def change_from(
        self, before: SmallPicture, *, reach: float = 0.0, start: tuple[float, float] | None = None
    ) -> Change:
        """What of this picture the one before does not explain.

        Args:
            reach: where the whole picture moved by less than this share of its width, the search for what moved begins
                there; slower.
            start: or at this way back to where it was, x and y, pixels of the small picture.
        """
        begin: Any = None
        if start is not None:
            begin = self._everywhere(start)
        elif reach > 0:
            window = cv2.createHanningWindow(self.detail.shape[::-1], cv2.CV_32F)
            shift, _ = cv2.phaseCorrelate(self.detail, before.detail, window)
            if math.hypot(*shift) < reach * self.detail.shape[1]:
                begin = self._everywhere(shift)
        flow: FloatArray = np.asarray(_flow_finder().calc(self._coded, before._coded, begin), np.float32)
        at = flow + _pixels(*self.detail.shape)
        replicate, outside = cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT
        warped: FloatArray = np.asarray(
            cv2.remap(before.detail, at, None, cv2.INTER_LINEAR, borderMode=replicate), np.float32
        )
        lost = cv2.remap(before.lost, at, None, cv2.INTER_NEAREST, borderMode=outside, borderValue=(1.0,))
        kept = 1 - _near(np.maximum(lost, self.lost))
        there = kept * _near(np.square(self.detail) + np.square(warped))
        off = np.minimum(kept * _near(np.square(warped - self.detail)), there) / 2
        share = float(off.sum() / (there.sum() / 2 + 1e-3 * there.size))
        return Change(self._by_block(off), share, self._by_block(flow))

    def _everywhere(self, shift: Sequence[float]) -> FloatArray:
        return np.broadcast_to(np.array(shift, np.float32), (*self.detail.shape, 2)).copy()

    def _by_block(self, values: FloatArray) -> FloatArray:
        return np.asarray(cv2.resize(values, self._blocks(), interpolation=cv2.INTER_AREA), np.float32)

    def _blocks(self) -> tuple[int, int]:
        height, width = self.detail.shape
        return max(1, width // _BLOCK_PX), max(1, height // _BLOCK_PX)


def _small_luma(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = bgr.shape[:2]
    scale = min(1.0, (AREA_PX / (height * width)) ** 0.5)
    size = max(_NEAR_PX, round(width * scale)), max(_NEAR_PX, round(height * scale))
    # rows are passed over, where there are many: averaging over all of them takes eight times as long
    rows = bgr[:: max(1, height // (2 * size[1]))]
    grey = cv2.cvtColor(rows, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def _near(values: FloatArray) -> FloatArray:
    return np.asarray(cv2.blur(values, (_NEAR_PX, _NEAR_PX), borderType=cv2.BORDER_REFLECT), np.float32)


@cache
def _pixels(height: int, width: int) -> FloatArray:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([x, y], -1)


def _flow_finder() -> cv2.DISOpticalFlow:
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    finder.setFinestScale(0)
    return finder
