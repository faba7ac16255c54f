"""A hip that the body hides, where it must be: without it there is no pelvis, from which all else is measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sasmamba.models.skeletons import COCO, H36M, coco17_to_h36m17

_SIDES = tuple((COCO[f"{side}_HIP"], COCO[f"{side}_SHOULDER"]) for side in ("LEFT", "RIGHT"))
#: Hips lie beside each other as shoulders do, nearer by this factor in the picture, and such a guess is worth so much
#: beside the joints it is made of. Of people of motion capture whose hip was hidden it is off by 3 % of their height at
#: the median, and their pelvis by half of that.
_NEARER, _WORTH = 0.85, 0.6
#: Hips are hardly ever found if they are in less than this share of the frames. A trunk is as long as so many widths of
#: the shoulders or lengths from the shoulders to the top of the head, whichever is more (motion capture, through a
#: camera: right at the median, 30 % off).
_HARDLY, _SHOULDERS_LONG, _NECKS_LONG = 0.2, 1.5, 1.26


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


def with_hips_below(xyc: NDArray) -> NDArray[np.float32]:
    """A window (T, 17, 3) of H36M-17 x, y, score, of somebody of whom head and shoulders are in the picture.

    Where hips are hardly ever found, they are put below the shoulders: without any a lifter lets the trunk lean to the
    side, which it never saw in training. How long a trunk looks is told by the shoulders' width and the neck.
    """
    out = np.array(xyc, np.float32)
    at, score = out[..., :2], out[..., 2]
    ends = score[:, [H36M.THORAX, H36M.LEFT_SHOULDER, H36M.RIGHT_SHOULDER]].min(1)
    found, shown = score[:, H36M.PELVIS] > 0, ends > 0
    if not shown.any() or found.sum() >= _HARDLY * shown.sum():
        return out
    across = at[:, H36M.LEFT_SHOULDER] - at[:, H36M.RIGHT_SHOULDER]
    neck = at[:, H36M.HEAD_TOP] - at[:, H36M.THORAX]
    with_head = shown & (score[:, H36M.HEAD_TOP] > 0)
    long = _SHOULDERS_LONG * float(np.median(np.linalg.norm(across[shown], axis=1)))
    down = np.array([0.0, 1.0])
    if with_head.any():
        usual = np.median(neck[with_head], 0)
        long = max(long, _NECKS_LONG * float(np.linalg.norm(usual)))
        if -usual[1] < abs(usual[0]):  # who lies has the hips on the far side of the shoulders
            down = -usual / np.linalg.norm(usual)
    pelvis = at[:, H36M.THORAX] + long * down
    for joint, place in (
        (H36M.PELVIS, pelvis),
        (H36M.SPINE, 0.5 * (pelvis + at[:, H36M.THORAX])),
        (H36M.LEFT_HIP, pelvis + 0.5 * _NEARER * across),
        (H36M.RIGHT_HIP, pelvis - 0.5 * _NEARER * across),
    ):
        guessed = shown & (score[:, joint] <= 0)
        out[guessed, joint, :2], out[guessed, joint, 2] = place[guessed], _WORTH * ends[guessed]
    return out
