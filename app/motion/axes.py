"""Axes of the camera and of the world."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sasmamba.common.arrays import FloatArray
from sasmamba.models.geometry import facing_rotation

#: Camera axes (x right, y down, z forward) to world axes, for a camera held level.
R_WORLD_CAM = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)


def camera_to_world(joints: NDArray, R_world_cam: NDArray = R_WORLD_CAM) -> FloatArray:
    """Turns (..., 3) camera axes into world axes; a level camera maps (x, y, z) to (x, z, -y)."""
    return np.asarray(joints @ R_world_cam.T, np.float32)


def level(up: NDArray) -> FloatArray:
    """(3, 3) from camera axes to world axes for a camera in whose axes `up` (3,) points up."""
    z = up / np.linalg.norm(up)
    x = np.array([1.0, 0, 0]) - z[0] * z
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z]).astype(np.float32)


def up_of(pitch: float, roll: float) -> NDArray:
    """Up (3,) in the axes of a camera of that pitch and roll, radians."""
    return np.array([math.sin(roll) * math.cos(pitch), -math.cos(roll) * math.cos(pitch), -math.sin(pitch)])


def pitch_and_roll(up: NDArray) -> NDArray:
    """(..., 2) radians of a camera in whose axes `up` (..., 3), of any length, points up."""
    across = np.hypot(up[..., 0], up[..., 1])
    return np.stack([np.arctan2(-up[..., 2], across), np.arctan2(up[..., 0], -up[..., 1])], -1)


def from_facing(joints: NDArray, pelvis: NDArray) -> FloatArray:
    """Joints (..., 17, 3) in the axes of a camera looking straight at the pelvis (..., 3), in the camera's own axes."""
    return (joints @ facing_rotation(pelvis)).astype(np.float32)


def to_camera_axes(joints: FloatArray, pelvis: FloatArray, size: tuple[int, int], fov_deg: float) -> FloatArray:
    """Lifted joints (F, 17, 3) turned from the axes of a camera looking straight at the person into the camera's own.

    Args:
        pelvis: (F, 3) x px, y px, score; where it was not found (score 0) its place is interpolated.
        size: width and height of the picture.
        fov_deg: field of view along its longer side.
    """
    focal_px = focal_length_px(*size, fov_deg)
    found, frame = pelvis[:, 2] > 0, np.arange(len(joints))
    if not found.any():
        return joints
    ray = np.ones((len(joints), 3), np.float32)
    for k in range(2):
        ray[:, k] = (np.interp(frame, frame[found], pelvis[found, k]) - size[k] / 2) / focal_px
    return np.stack([from_facing(pose, at) for pose, at in zip(joints, ray, strict=True)])


def focal_length_px(width: int, height: int, fov_deg: float) -> float:
    """Focal length of a pinhole camera whose view along the picture's longer side is `fov_deg`."""
    return 0.5 * max(width, height) / math.tan(math.radians(fov_deg) / 2)
