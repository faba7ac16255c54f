"""What is known of a person's body beside what a lifter gives everybody: which bones are longer, and by how much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sasmamba.models.skeletons import H36M_MIRROR, H36M_PARENTS

PARENTS = np.array(H36M_PARENTS)
#: Which proportion each bone has, both sides alike. Bones are named by the joint they lead to, from 1.
PROPORTION_OF = np.unique(np.minimum(np.arange(17), H36M_MIRROR), return_inverse=True)[1][1:] - 1
#: (16, proportions) 1 where a bone has that proportion.
BELONGS = np.eye(int(PROPORTION_OF.max()) + 1)[PROPORTION_OF]


def _chains() -> NDArray:
    """What `CHAINS` says, joint by joint."""
    hangs = np.zeros((17, 16, BELONGS.shape[1]))
    for joint in range(1, 17):  # parents come before their children in this order
        hangs[joint] = hangs[PARENTS[joint]]
        hangs[joint, joint - 1] += BELONGS[joint - 1]
    return np.ascontiguousarray(hangs[1:].swapaxes(0, 1).reshape(16, -1))


#: (16, 16 · n): of each bone, what it adds to joints 1 to 16 for each share that its proportion grows by.
CHAINS = _chains()


@dataclass(frozen=True, slots=True)
class FittedBody:
    """A person as the refinement knows them, for each of ten bones or pairs of bones: `BELONGS` tells which.

    Attributes:
        proportions: (10,) p, the share by which each is longer than the lifter has it.
        lengths: (10,) L, metres.
    """

    proportions: NDArray
    lengths: NDArray


def proportioned(joints: NDArray, proportions: NDArray) -> NDArray[np.float32]:
    """Poses whose bones point where they did and are a share longer, or shorter; the pelvis stays where it is.

    Args:
        joints: (..., 17, 3).
        proportions: (10,) as of `FittedBody`.
    """
    bones = (joints[..., 1:, :] - joints[..., PARENTS[1:], :]) * (1 + BELONGS @ proportions)[:, None]
    out = np.array(joints, np.float32)
    for joint in range(1, 17):  # parents come before their children in this order
        out[..., joint, :] = out[..., PARENTS[joint], :] + bones[..., joint - 1, :]
    return out
