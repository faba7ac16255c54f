"""How alike two people in a picture are: boxes by intersection over union, joints by object keypoint similarity."""

from __future__ import annotations

import numpy as np

from sasmamba.app.types import Person2D
from sasmamba.common.arrays import FloatArray

#: Spread of human annotators per COCO joint, as a fraction of the square root of the person's area; from the
#: COCO keypoint evaluation (https://cocodataset.org/#keypoints-eval).
COCO_SIGMAS = np.array(
    [
        0.026,
        0.025,
        0.025,
        0.035,
        0.035,
        0.079,
        0.079,
        0.072,
        0.072,
        0.062,
        0.062,
        0.107,
        0.107,
        0.087,
        0.087,
        0.089,
        0.089,
    ],
    np.float32,
)


def box_area(box_px: FloatArray) -> float:
    """Area in px² of a box (4,) x0, y0, x1, y1; an inside-out box has none."""
    return float(max(0.0, box_px[2] - box_px[0]) * max(0.0, box_px[3] - box_px[1]))


def box_shared(a: FloatArray, b: FloatArray) -> float:
    """Area in px² that two boxes (4,) have in common."""
    return box_area(np.concatenate([np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])]))


def box_iou(a: FloatArray, b: FloatArray) -> float:
    """Intersection over union of two boxes (4,), 0..1."""
    shared = box_shared(a, b)
    union = box_area(a) + box_area(b) - shared
    return shared / union if union > 0 else 0.0


def joint_similarity(
    a: Person2D, b: Person2D, *, shift_px: FloatArray | None = None, slack: float = 1.0, min_score: float = 0.3
) -> float:
    """Object keypoint similarity of two people, 0 (far apart) to 1 (the same joints), symmetric in both.

    The COCO measure with the mean of the two box areas as scale, over the joints both people show.

    Args:
        shift_px: (2,) moves `a` before comparing, for a predicted position.
        slack: widens every joint's tolerance; 1 is the COCO measure.
        min_score: a joint counts when both scores reach it.

    Returns:
        The mean over shared joints; 0 when fewer than four joints are shared.
    """
    shared = np.minimum(a.score, b.score) >= min_score
    area = 0.5 * (box_area(a.box_px) + box_area(b.box_px))
    if shared.sum() < 4 or area <= 0:
        return 0.0
    offset = a.joints_px - b.joints_px if shift_px is None else a.joints_px + shift_px - b.joints_px
    d2 = np.square(offset[shared]).sum(-1)
    tolerance2 = area * np.square(2 * slack * COCO_SIGMAS[shared])
    return float(np.exp(-d2 / (2 * tolerance2)).mean())
