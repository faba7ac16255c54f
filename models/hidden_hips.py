"""A hip that the body hides, where it must be: without it there is no pelvis, from which all else is measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sasmamba.models.skeletons import COCO, coco17_to_h36m17

_SIDES = tuple((COCO[f"{side}_HIP"], COCO[f"{side}_SHOULDER"]) for side in ("LEFT", "RIGHT"))
#: Hips lie beside each other as shoulders do, nearer by this factor in the picture, and such a guess is worth so much
#: beside the joints it is made of. Of people of motion capture whose hip was hidden it is off by 3 % of their height at
#: the median, and their pelvis by half of that.
_NEARER, _WORTH = 0.85, 0.6


def seen_as_h36m(joints: NDArray, score: NDArray) -> tuple[NDArray, NDArray]:
    """`coco17_to_h36m17` of somebody seen. A hip that was not found, the other one and both shoulders being there, lies
    beside the other as the shoulders lie beside each other.

    Args:
        joints: (..., 17, 2) pixels, COCO.
        score: (..., 17) 0 where a joint was not found.

    Returns:
        joints (..., 17, 2) and score (..., 17), H36M.
    """
    joints, score = joints.copy(), score.copy()
    for (hidden, beside), (hip, shoulder) in (_SIDES, _SIDES[::-1]):
        known = score[..., [hip, shoulder, beside]].min(-1)
        guessed = (score[..., hidden] <= 0) & (known > 0)
        guess = joints[..., hip, :] + _NEARER * (joints[..., beside, :] - joints[..., shoulder, :])
        joints[..., hidden, :] = np.where(guessed[..., None], guess, joints[..., hidden, :])
        score[..., hidden] = np.where(guessed, _WORTH * known, score[..., hidden])
    return coco17_to_h36m17(joints, score)
