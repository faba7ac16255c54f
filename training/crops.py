"""Crops of a person for 2D training: where they lie, random views of them, heatmaps to aim at.

Conventions are those of `app/pose2d/person_crops.py`, so that what is trained here is read there: a box's centre falls
on W / 2 of the crop, a heatmap's pixel i is the crop's pixel 4 · i, crops are sampled bilinearly and black beyond the
picture. The random views are those of Feng et al. (GLSMamba, Section 4.1) with the numbers that HRNet's training uses:
rotation, scale, truncation to half of the body, mirror image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.common.arrays import FloatArray
from sasmamba.models.heatmap_codec import PADDING

#: A heatmap has a quarter of the crop's sides.
STRIDE = 4
#: Half of a body is cut with this much room around its joints, as in HRNet's training.
_HALF_BODY_ROOM = 1.5


@dataclass(frozen=True)
class Augmentation:
    """How far random views go.

    Attributes:
        rotation_deg: up to this far to either side, in `rotation_share` of the views.
        scale: factor 1 ± this.
        half_body: share of the views that show only the upper or the lower body, among people with more than
            `half_body_joints` labelled joints.
        flip: share of mirror images.
    """

    rotation_deg: float = 45.0
    rotation_share: float = 0.6
    scale: float = 0.35
    half_body: float = 0.3
    half_body_joints: int = 8
    flip: float = 0.5

    def __post_init__(self) -> None:
        for name in ("rotation_share", "half_body", "flip"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: want 0 to 1, got {getattr(self, name)}")
        if not 0 <= self.scale < 1:
            raise ValueError(f"scale: want 0 up to 1, got {self.scale}")
        if not 0 <= self.rotation_deg <= 180:
            raise ValueError(f"rotation_deg: want 0 to 180, got {self.rotation_deg}")


@dataclass(frozen=True)
class CropTransform:
    """One view of a person.

    Attributes:
        matrix: (2, 3) from the picture's pixels to the crop's.
        input_px: width and height of the crop.
        flipped: a mirror image; joints of the left are then joints of the right.
    """

    matrix: NDArray[np.floating[Any]]
    input_px: tuple[int, int]
    flipped: bool = False

    def cut(self, bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(height, width, 3) uint8, bilinear, black beyond the picture."""
        return np.asarray(cv2.warpAffine(bgr, self.matrix, self.input_px), np.uint8)

    def points(self, picture_px: FloatArray) -> FloatArray:
        """Points (..., 2) of the picture in pixels of the crop."""
        return (picture_px @ self.matrix[:, :2].T + self.matrix[:, 2]).astype(np.float32)

    def to_picture(self, crop_px: FloatArray) -> FloatArray:
        """Points (..., 2) of the crop in pixels of the picture."""
        back = np.linalg.inv(self.matrix[:, :2].astype(np.float64))
        return ((crop_px - self.matrix[:, 2]) @ back.T).astype(np.float32)


def crop_transform(
    centre_px: FloatArray, width_px: float, input_px: tuple[int, int], angle_deg: float = 0.0, flipped: bool = False
) -> CropTransform:
    """The view of a region of the picture, `width_px` wide and of the crop's shape, turned about its centre.

    Args:
        angle_deg: the person is turned by this, clockwise as one sees it.
    """
    if not width_px > 0:
        raise ValueError(f"width_px: want above 0, got {width_px}")
    scale, angle = input_px[0] / width_px, math.radians(angle_deg)
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = np.concatenate([turn, (np.array(input_px) / 2 - turn @ np.asarray(centre_px, np.float64))[:, None]], 1)
    if flipped:  # the array read from its other end: x becomes W - 1 - x
        matrix[0] = -matrix[0]
        matrix[0, 2] += input_px[0] - 1
    return CropTransform(matrix, input_px, flipped)


def box_region(box_px: FloatArray, input_px: tuple[int, int], room: float = PADDING) -> tuple[FloatArray, float]:
    """Centre (2,) and width of the smallest region of the crop's shape that holds a box x0, y0, x1, y1 with room."""
    wide, high = float(box_px[2] - box_px[0]), float(box_px[3] - box_px[1])
    if not (wide > 0 and high > 0):
        raise ValueError(f"box_px: want x0 < x1 and y0 < y1, got {box_px}")
    centre = np.array([box_px[0] + box_px[2], box_px[1] + box_px[3]], np.float32) / np.float32(2)
    return centre, max(wide, high * input_px[0] / input_px[1]) * room


def plain_transform(box_px: FloatArray, input_px: tuple[int, int]) -> CropTransform:
    """The view that validation and use have: the box enlarged to 125 %, upright."""
    return crop_transform(*box_region(box_px, input_px), input_px)


def random_transform(
    box_px: FloatArray,
    joints_px: FloatArray,
    labelled: NDArray[np.bool_],
    upper: NDArray[np.bool_],
    input_px: tuple[int, int],
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> CropTransform:
    """A random view of a person.

    Args:
        box_px: (4,) x0, y0, x1, y1.
        joints_px: (J, 2) in the picture.
        labelled: (J,) which of them mean something.
        upper: (J,) which belong to the upper body.
    """
    a = augmentation
    region = box_region(box_px, input_px)
    if labelled.sum() > a.half_body_joints and rng.random() < a.half_body:
        half = labelled & (upper if rng.random() < 0.5 else ~upper)
        if half.sum() > 2:
            low, high = joints_px[half].min(0), joints_px[half].max(0)
            low, high = low - 1, np.maximum(high, low) + 1  # joints in a row make no box
            region = box_region(np.concatenate([low, high]), input_px, _HALF_BODY_ROOM)
    centre, width = region
    width *= 1 + a.scale * rng.uniform(-1, 1)
    turned = rng.random() < a.rotation_share
    angle = rng.uniform(-a.rotation_deg, a.rotation_deg) if turned else 0.0
    return crop_transform(centre, width, input_px, angle, bool(rng.random() < a.flip))


def mirrored(values: NDArray, order: tuple[int, ...]) -> NDArray:
    """Values (J, ...) per joint as a mirror image has them; `order` names each joint's mirror image."""
    return values[list(order)]


def heatmap_targets(
    joints_px: FloatArray, weight: FloatArray, input_px: tuple[int, int], sigma: float = 2.0
) -> tuple[FloatArray, FloatArray]:
    """Gaussians to aim at.

    Args:
        joints_px: (J, 2) in pixels of the crop.
        weight: (J,); joints of weight 0 get an empty heatmap.
        sigma: of the Gaussian in pixels of the heatmap; 2 for 64 × 48.

    Returns:
        heat (J, H / 4, W / 4), highest value 1 at the joint itself, which need not be a pixel's centre, and weight
        (J,), 0 also for joints outside of the crop: the network cannot be asked for what no heatmap can show.
    """
    if joints_px.ndim != 2 or joints_px.shape[1] != 2 or weight.shape != joints_px.shape[:1]:
        raise ValueError(f"joints_px and weight: want (J, 2) and (J,), got {joints_px.shape} and {weight.shape}")
    w, h = input_px[0] // STRIDE, input_px[1] // STRIDE
    inside = ((joints_px >= -0.5) & (joints_px < np.array(input_px) - 0.5)).all(1)  # NaN is not inside
    weight = np.where(inside, weight, 0).astype(np.float32)
    at = np.where((weight > 0)[:, None], joints_px / STRIDE, 0)
    along_x = np.exp(-((np.arange(w) - at[:, :1]) ** 2) / (2 * sigma**2))  # (J, w)
    along_y = np.exp(-((np.arange(h) - at[:, 1:]) ** 2) / (2 * sigma**2))
    heat = along_y[:, :, None] * along_x[:, None, :] * (weight > 0)[:, None, None]
    return heat.astype(np.float32), weight
