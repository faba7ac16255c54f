"""The joints of people whose boxes are known: what every network of the top-down stage offers to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from sasmamba.app.types import Frame
from sasmamba.common.arrays import FloatArray

#: Joints (n, 17, 2) x, y in pixels of the picture in COCO's order, and their scores (n, 17) of 0..1.
Joints = tuple[FloatArray, FloatArray]


class JointEstimator(Protocol):
    """Finds the joints of each person in a frame, told where they are.

    The constructor loads, calling infers. One that wants to see other frames as well has what `foresight.Foresight`
    asks for, too.

    Attributes:
        name: what a report calls it.
    """

    name: str

    def __call__(self, frame: Frame, boxes_px: FloatArray) -> Joints:
        """Joints of the people in boxes (n, 4) x0, y0, x1, y1 in pixels; n may be 0."""

    def close(self) -> None:
        """Frees the models; a second call does nothing."""


def in_batches(estimate: Callable[[FloatArray], Joints], boxes_px: FloatArray, size: int) -> Joints:
    """The joints of the people in boxes (n, 4), `size` of them at a time; nothing is asked about no boxes."""
    joints_px, score = np.zeros((len(boxes_px), 17, 2), np.float32), np.zeros((len(boxes_px), 17), np.float32)
    for start in range(0, len(boxes_px), size):
        part = slice(start, start + size)
        joints_px[part], score[part] = estimate(boxes_px[part])
    return joints_px, score
