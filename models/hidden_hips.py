"""Hips that are hidden or out of the picture, where they must be: without them there is no pelvis, from which all else
is measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sasmamba.models.skeletons import COCO, H36M, HEAD_TOP_REACH, coco17_to_h36m17

_SIDES = tuple((COCO[f"{side}_HIP"], COCO[f"{side}_SHOULDER"]) for side in ("LEFT", "RIGHT"))
#: Hips lie beside each other as shoulders do, nearer by this factor in the picture, and such a guess is worth so much
#: beside the joints it is made of. Of people of motion capture whose hip was hidden it is off by 3 % of their height at
#: the median, and their pelvis by half of that.
_NEARER, _WORTH = 0.85, 0.6
#: A pelvis is hardly ever found if it is in less than this share of the frames. A trunk is as long as so many widths of
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


def with_trunk(xyc: NDArray) -> NDArray[np.float32]:
    """A window (T, 17, 3) of H36M-17 x, y, score, with a pelvis where hardly any is found in it.

    Of somebody seen from the side, or half out of the picture, the one hip that was found stands for the pelvis; of
    whom head and shoulders are in the picture, the hips are below them. Without a pelvis a window has no middle, and a
    lifter's answer no meaning.
    """
    out = np.array(xyc, np.float32)
    if _has_pelvis(out):
        return out
    _either(out, H36M.LEFT_HIP, H36M.RIGHT_HIP, H36M.PELVIS)
    if _has_pelvis(out):
        return out
    _either(out, H36M.LEFT_SHOULDER, H36M.RIGHT_SHOULDER, H36M.THORAX)
    _hips_below(out)
    ends = out[:, [H36M.PELVIS, H36M.THORAX]]
    spine = (out[:, H36M.SPINE, 2] <= 0) & (ends[..., 2].min(1) > 0)
    out[spine, H36M.SPINE] = np.concatenate([ends[..., :2].mean(1), ends[..., 2:].min(1)], 1)[spine]
    return out


def _has_pelvis(window: NDArray) -> bool:
    return bool((window[:, H36M.PELVIS, 2] > 0).sum() >= _HARDLY * (window[..., 2] > 0).any(1).sum())


def _either(out: NDArray, left: int, right: int, middle: int) -> None:
    """Where one joint of a pair is found, it stands for their middle."""
    found = out[:, [left, right], 2] > 0
    one = (found[:, 0] != found[:, 1]) & (out[:, middle, 2] <= 0)
    out[one, middle] = np.where(found[one, :1], out[one, left], out[one, right]) * np.array([1, 1, _WORTH])


def _hips_below(out: NDArray) -> None:
    """Hips that are not found, below the shoulders; how long a trunk looks is told by the shoulders' width and the
    head."""
    at, found = out[..., :2], out[..., 2] > 0
    down, lengths = np.array([0.0, 1.0]), []
    across = at[:, H36M.LEFT_SHOULDER] - at[:, H36M.RIGHT_SHOULDER]
    both = found[:, H36M.LEFT_SHOULDER] & found[:, H36M.RIGHT_SHOULDER]
    if both.any():
        lengths.append(_SHOULDERS_LONG * float(np.median(np.linalg.norm(across[both], axis=1))))
    for top, times in ((H36M.HEAD_TOP, _NECKS_LONG), (H36M.NOSE, _NECKS_LONG * HEAD_TOP_REACH)):
        with_head = found[:, top] & found[:, H36M.THORAX]
        if with_head.any():
            neck = np.median((at[:, top] - at[:, H36M.THORAX])[with_head], 0)
            lengths.append(times * float(np.linalg.norm(neck)))
            if -neck[1] < abs(neck[0]):  # who lies has the hips on the far side of the shoulders
                down = -neck / np.linalg.norm(neck)
            break
    if not lengths:
        return
    pelvis = at[:, H36M.THORAX] + max(lengths) * down
    shown = found[:, H36M.THORAX] & ~found[:, H36M.PELVIS]
    for joint, place, where in (
        (H36M.PELVIS, pelvis, shown),
        (H36M.LEFT_HIP, pelvis + 0.5 * _NEARER * across, shown & both),
        (H36M.RIGHT_HIP, pelvis - 0.5 * _NEARER * across, shown & both),
    ):
        out[where, joint, :2], out[where, joint, 2] = place[where], _WORTH * out[where, H36M.THORAX, 2]
