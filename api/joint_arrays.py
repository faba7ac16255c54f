"""Joints as arrays, for programs that have a 2D stage of their own."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from sasmamba.app.io.keypoints import SKELETONS, converted_to_h36m17
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.offline import lift_sequence
from sasmamba.common.arrays import FloatArray

#: Skeletons that 2D poses may come in.
Skeleton = Literal["h36m17", "coco17", "mediapipe33"]


def to_h36m17(xyc: ArrayLike, skeleton: Skeleton) -> FloatArray:
    """Turns 2D poses of another skeleton into H36M-17, in the way the lifters were trained on.

    Args:
        xyc: (..., J, 3) x px, y px, score 0 to 1; J = 17, of MediaPipe 33. A score of 0 or anything that is not a
            finite number marks a joint that was not found.
        skeleton: Which joints these are.

    Returns:
        (..., 17, 3) float32 x px, y px, score; joints that were not found are 0, 0, 0.

    Raises:
        ValueError: An unknown skeleton, or another shape than its.
    """
    if skeleton not in SKELETONS:
        raise ValueError(f"skeleton: want one of {', '.join(SKELETONS)}, got {skeleton!r}")
    points = np.asarray(xyc, np.float32)
    if points.shape[-2:] != (SKELETONS[skeleton], 3):
        raise ValueError(f"xyc: want (..., {SKELETONS[skeleton]}, 3) for {skeleton}, got {points.shape}")
    return converted_to_h36m17(points, skeleton)


def lift(lifter: Lifter, xyc: ArrayLike, *, skeleton: Skeleton = "h36m17", fps: float = 30.0) -> FloatArray:
    """Lifts one person's whole 2D sequence to 3D: windows, overlap and gaps are taken care of.

    Args:
        lifter: From `Lifter.load()`; it says whether the result is mirrored and averaged, and refined.
        xyc: (F, J, 3), F of any length: x px, y px, score 0 to 1; see `to_h36m17`.
        skeleton: Which joints these are.
        fps: Frames per second: who is unseen for a second starts anew.

    Returns:
        (F, 17, 3) float32, H36M-17 relative to the pelvis in the axes of a camera that looks straight at the person:
        metres, x right, y down, z forward; of a detector's skeleton hips, shoulders and ankles are where it sees them,
        see `sasmamba.models.landmarks`. NaN in frames where nobody was there, and in long gaps.

    Raises:
        ValueError: An unknown skeleton, another shape, or a frame rate that cannot be.
    """
    points = to_h36m17(xyc, skeleton)
    if points.ndim != 3:
        raise ValueError(f"xyc: want (frames, joints, 3), got {points.shape}; lift each person by themselves")
    return lift_sequence(lifter, points, fps=fps, detected=skeleton != "h36m17")
