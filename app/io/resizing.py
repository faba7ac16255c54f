"""Pictures made smaller: OpenCV averages quickly by whole factors only, and so they are halved first."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def halved(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture (height, width, channels) of half its sides; of an odd one the last row or column is told by the one
    before it."""
    odd = len(picture) % 2, picture.shape[1] % 2
    if any(odd):
        picture = np.asarray(cv2.copyMakeBorder(picture, 0, odd[0], 0, odd[1], cv2.BORDER_REPLICATE), np.uint8)
    half = picture.shape[1] // 2, len(picture) // 2
    return np.asarray(cv2.resize(picture, half, interpolation=cv2.INTER_AREA), np.uint8)


def averaged(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture (height, width, channels) made smaller, every pixel of it averaged.

    Args:
        size: width and height.
    """
    width, height = size
    while (
        picture.shape[1] % 2 == len(picture) % 2 == 0 and picture.shape[1] >= 2 * width and len(picture) >= 2 * height
    ):
        picture = halved(picture)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
