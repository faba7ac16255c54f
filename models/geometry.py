"""Geometry that every floor needs: facing axes and bones, on NumPy arrays and on tensors alike, and unit vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sasmamba.models.skeletons import H36M_PARENTS

if TYPE_CHECKING:
    from torch import Tensor

#: A NumPy array, or a tensor; what comes out is of the kind that went in.
Array = TypeVar("Array", NDArray[Any], "Tensor")


def facing_rotation(pelvis: Array) -> Array:
    """The rotation from a camera's axes to those of a camera at the same place that looks straight at a person.

    It is the shortest one that brings the direction to the pelvis onto the optical axis. What a lifter sees of a person
    does not tell where in the picture the person stood, so these are the axes in which its answer is defined; where the
    camera is known, the transpose takes a pose back to the camera's own.

    Args:
        pelvis: (..., 3) camera axes (x right, y down, z forward), any length, in front of the camera.

    Returns:
        (..., 3, 3), R with `facing = R @ camera`.
    """
    length = np.linalg.norm(pelvis, axis=-1, keepdims=True) if isinstance(pelvis, np.ndarray) else _norm(pelvis)
    unit = pelvis / length
    x, y, z = unit[..., 0], unit[..., 1], unit[..., 2]
    s = 1 / (1 + z)
    rows = [1 - x * x * s, -x * y * s, -x, -x * y * s, 1 - y * y * s, -y, x, y, z]
    return _stacked(rows, -1).reshape(*x.shape, 3, 3)


def unit(vectors: NDArray) -> NDArray:
    """Vectors (..., n) at length 1; one without length stays 0."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))


def bones_of(joints: Array) -> Array:
    """Vectors (..., 17, 3) from each H36M-17 joint's parent to it, of poses (..., 17, 3); the pelvis's is 0."""
    return joints - joints[..., list(H36M_PARENTS), :]


def joints_of(bones: Array) -> Array:
    """Poses (..., 17, 3) relative to the pelvis of bones (..., 17, 3), each from a joint's parent to it."""
    placed = [bones[..., 0, :] * 0]
    for joint in range(1, 17):  # parents come before their children in this order
        placed.append(placed[H36M_PARENTS[joint]] + bones[..., joint, :])
    return _stacked(placed, -2)


def _norm(v: Any) -> Any:
    return v.norm(dim=-1, keepdim=True)


def _stacked(parts: Sequence[Any], axis: int) -> Any:
    if isinstance(parts[0], np.ndarray | np.generic):
        return np.stack(parts, axis)
    import torch  # whoever has tensors has it

    return torch.stack(list(parts), axis)
