"""Decoded pictures as displayed: square pixels, rotated and mirrored as the container says."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class _Upright:
    """How coded pictures become displayed ones: scale to square pixels, then transpose, then mirror."""

    width: int  # of the coded picture scaled to square pixels
    height: int
    transpose: bool
    flip_x: bool
    flip_y: bool

    @property
    def displayed(self) -> tuple[int, int]:
        """Width and height as displayed."""
        return (self.height, self.width) if self.transpose else (self.width, self.height)

    @classmethod
    def of(cls, picture: av.VideoFrame, pixel_aspect: Fraction | None) -> _Upright:
        """Reads the display matrix of a decoded picture; pixel_aspect is pixel width over height."""
        width, height = picture.width, picture.height
        # Nonsense aspects are common in old files; never throw pixels away, so stretch the shorter axis.
        if pixel_aspect and pixel_aspect != 1 and Fraction(1, 4) <= pixel_aspect <= 4:
            if pixel_aspect > 1:
                width = round(width * pixel_aspect)
            else:
                height = round(height / pixel_aspect)
        side_data: Any = picture.side_data
        data = side_data.get(SideDataType.DISPLAYMATRIX)
        if data is None:
            return cls(width, height, False, False, False)
        # (x', y') = (a x + c y, b x + d y); 16.16 fixed point, rows (a, b, u), (c, d, v), (x, y, w).
        a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
        transpose = abs(b) + abs(c) > abs(a) + abs(d)
        return cls(width, height, transpose, (c if transpose else a) < 0, (b if transpose else d) < 0)

    def __call__(self, picture: av.VideoFrame) -> NDArray[np.uint8]:
        """Decoded picture of any size and format to (height, width, 3) uint8 BGR as displayed."""
        bgr: Any = picture.reformat(width=self.width, height=self.height, format="bgr24").to_ndarray()
        if self.transpose:
            bgr = cv2.transpose(bgr)
        if self.flip_x or self.flip_y:
            bgr = cv2.flip(bgr, -1 if self.flip_x and self.flip_y else int(self.flip_x))
        return np.ascontiguousarray(bgr, np.uint8)


def upright(picture: av.VideoFrame, pixel_aspect: Fraction | None) -> NDArray[np.uint8]:
    """A decoded picture as displayed: (height, width, 3) uint8 BGR, rotated and with square pixels."""
    return _Upright.of(picture, pixel_aspect)(picture)
