"""Top-down poses: cut each person out of the picture, read joints off heatmaps, take them back to the picture.

As the authors of HRNet (Sun et al., CVPR 2019) and MMPose do it, because the published weights were trained so. Two
conventions of theirs matter, both in whole pixels from the centre of the top left one:

* a crop is `crop = (picture - centre) · W / size + W / 2`, so a box's centre falls on W / 2 and not on (W - 1) / 2;
* a heatmap's pixel i is the crop's pixel 4 · i.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.common.arrays import FloatArray, Picture
from sasmamba.models.heatmap_codec import PADDING

#: Boxes with a shorter side hold nobody whose joints could be told apart.
MIN_SIDE_PX = 4.0


def usable(boxes_px: FloatArray, width: int, height: int) -> NDArray[np.bool_]:
    """(n,) which of the boxes (n, 4) x0, y0, x1, y1 are finite, at least 4 px a side, and touch the picture."""
    if boxes_px.ndim != 2 or boxes_px.shape[1] != 4:
        raise ValueError(f"boxes_px: want (n, 4), got {boxes_px.shape}")
    finite = np.asarray(np.isfinite(boxes_px).all(1))
    x0, y0, x1, y1 = np.where(finite[:, None], boxes_px, 0).T
    large = (x1 - x0 >= MIN_SIDE_PX) & (y1 - y0 >= MIN_SIDE_PX)
    return finite & large & (x0 < width) & (x1 > 0) & (y0 < height) & (y1 > 0)


@dataclass(frozen=True, slots=True)
class Crops:
    """Where in the picture each person's crop lies.

    Attributes:
        centre_px, size_px: (n, 2) x, y in pixels of the picture.
        input_px: width and height of every crop.
    """

    centre_px: FloatArray
    size_px: FloatArray
    input_px: tuple[int, int]

    @classmethod
    def around(cls, boxes_px: FloatArray, input_px: tuple[int, int]) -> Crops:
        """Around boxes (n, 4) x0, y0, x1, y1, with the shape of `input_px` and a quarter more than the box.

        Raises:
            ValueError: a box without a width or a height; see `usable`.
        """
        sides = boxes_px[:, 2:] - boxes_px[:, :2]
        if not (sides > 0).all():
            raise ValueError(f"boxes_px: want x0 < x1 and y0 < y1, got {boxes_px[~(sides > 0).all(1)][0]}")
        aspect = input_px[0] / input_px[1]
        wide = np.maximum(sides[:, 0], sides[:, 1] * aspect) * PADDING
        centre = (boxes_px[:, :2] + boxes_px[:, 2:]) / 2
        return cls(centre.astype(np.float32), np.stack([wide, wide / aspect], 1).astype(np.float32), input_px)

    def cut(self, bgr: Picture) -> Picture:
        """(n, height, width, 3) uint8 BGR, bilinear, black beyond the picture.

        OpenCV's warp, as in training: crops larger than `input_px` are sampled and not averaged.
        """
        width, height = self.input_px
        out = np.empty((len(self.centre_px), height, width, 3), np.uint8)
        for crop, centre, size in zip(out, self.centre_px, self.size_px, strict=True):
            scale = width / float(size[0])
            x, y = width / 2 - scale * float(centre[0]), height / 2 - scale * float(centre[1])
            cv2.warpAffine(bgr, np.array([[scale, 0, x], [0, scale, y]]), (width, height), dst=crop)
        return out

    def to_picture(self, points: FloatArray, heatmap_px: tuple[int, int]) -> FloatArray:
        """Points (n, 17, 2) x, y of heatmaps of that width and height to pixels of the picture."""
        part = points / np.array(heatmap_px, np.float32) - 0.5
        return (part * self.size_px[:, None] + self.centre_px[:, None]).astype(np.float32)
