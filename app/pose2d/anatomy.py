"""Which of a network's joints are to be believed: those that were seen, and that a human body can have there.

A network answers seventeen joints, whatever it is shown. Of somebody behind a table it sees the head and the hands, and
the rest is a guess, often a body that lies on the table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sasmamba.common.arrays import FloatArray
from sasmamba.models.skeletons import COCO

#: A joint whose score is at least this was seen, whatever stands beside it.
SURE = 0.3
#: Bones and their lengths as shares of the body's height (Drillis and Contini 1966, "Body Segment Parameters"; the
#: torso's sides from shoulder to hip).
BONES = (
    (COCO.LEFT_SHOULDER, COCO.LEFT_ELBOW, 0.186),
    (COCO.RIGHT_SHOULDER, COCO.RIGHT_ELBOW, 0.186),
    (COCO.LEFT_ELBOW, COCO.LEFT_WRIST, 0.15),
    (COCO.RIGHT_ELBOW, COCO.RIGHT_WRIST, 0.15),
    (COCO.LEFT_HIP, COCO.LEFT_KNEE, 0.245),
    (COCO.RIGHT_HIP, COCO.RIGHT_KNEE, 0.245),
    (COCO.LEFT_KNEE, COCO.LEFT_ANKLE, 0.246),
    (COCO.RIGHT_KNEE, COCO.RIGHT_ANKLE, 0.246),
    (COCO.LEFT_SHOULDER, COCO.RIGHT_SHOULDER, 0.22),
    (COCO.LEFT_HIP, COCO.RIGHT_HIP, 0.13),
    (COCO.LEFT_SHOULDER, COCO.LEFT_HIP, 0.29),
    (COCO.RIGHT_SHOULDER, COCO.RIGHT_HIP, 0.29),
)
#: A bone tells how tall the body must at least be, as perspective only shortens it, but for what is near the camera. No
#: bone may make it this many times as tall as the second tallest of the others say: over 40,000 projections of motion
#: capture, from 1.8 to 6 m and up to 45° above, none does; so many others must be known.
TOO_LONG, FEWEST_OTHERS = 2.0, 3

#: Each joint of a limb, from the body outwards, with the one before it.
_OUTWARDS = (
    (COCO.LEFT_ELBOW, COCO.LEFT_SHOULDER),
    (COCO.RIGHT_ELBOW, COCO.RIGHT_SHOULDER),
    (COCO.LEFT_WRIST, COCO.LEFT_ELBOW),
    (COCO.RIGHT_WRIST, COCO.RIGHT_ELBOW),
    (COCO.LEFT_KNEE, COCO.LEFT_HIP),
    (COCO.RIGHT_KNEE, COCO.RIGHT_HIP),
    (COCO.LEFT_ANKLE, COCO.LEFT_KNEE),
    (COCO.RIGHT_ANKLE, COCO.RIGHT_KNEE),
)
_HIPS = [COCO.LEFT_HIP, COCO.RIGHT_HIP]
_LEGS = [COCO.LEFT_KNEE, COCO.RIGHT_KNEE, COCO.LEFT_ANKLE, COCO.RIGHT_ANKLE]
_EARS, _SHOULDERS = [COCO.LEFT_EAR, COCO.RIGHT_EAR], [COCO.LEFT_SHOULDER, COCO.RIGHT_SHOULDER]
_TOP = [COCO.NOSE, *_EARS, *_SHOULDERS]
_LIMBS = [joint for joint, _ in _OUTWARDS]
#: The picture's edge is this share of its shorter side wide: a limb that leaves the picture is answered there.
_EDGE = 0.06
#: Between the shoulders there is at least this many times what is between the ears.
_SHOULDERS_TO_EARS = 2.0
_FROM = np.array([a for a, _, _ in BONES])
_TO = np.array([b for _, b, _ in BONES])
_SHARE = np.array([share for _, _, share in BONES])


def believed(joints_px: FloatArray, score: FloatArray, width: int, height: int, floor: float) -> FloatArray:
    """(17,) the scores of the joints to be believed, 0 for the others.

    Not believed are joints beyond the picture's edge; below the network's noise floor; of which only a guess is left:
    unsure ones at the end of a limb that was not found, unsure ones of limbs at the picture's edge, and hips neither of
    which is sure; knees and ankles at the head or the shoulders of somebody whose hips were not found; and those at the
    end of a bone that is too long for the rest of the body.

    Args:
        joints_px: (17, 2) COCO joints in pixels of the picture.
        score: (17,) 0..1.
        width, height: of the picture.
        floor: scores below it say nothing.
    """
    inside = ((joints_px >= 0) & (joints_px <= (width, height))).all(-1)
    kept = np.where(inside & (score >= floor), score, 0).astype(np.float32)
    if kept[_HIPS].max() < SURE:
        kept[_HIPS] = 0
        kept[_LEGS] *= ~_at_the_top(joints_px, kept)
    edge = _EDGE * min(width, height)
    away = np.minimum(joints_px[_LIMBS], (width, height) - joints_px[_LIMBS]).min(-1)
    kept[_LIMBS] *= (away >= edge) | (kept[_LIMBS] >= SURE)
    for joint, before in _OUTWARDS:
        if kept[before] == 0 and kept[joint] < SURE:
            kept[joint] = 0
    while (stray := _too_far_away(joints_px, kept)) is not None:
        kept[stray] = 0
    return kept


def _at_the_top(joints_px: FloatArray, score: FloatArray) -> NDArray[np.bool_]:
    """(4,) which of the knees and ankles lie within a shoulder's width of the head or of a shoulder.

    In a close-up there is no leg to be found, and a collar or a pocket is taken for a knee.
    """

    def between(pair: list[COCO]) -> float:
        return float(np.linalg.norm(np.subtract(*joints_px[pair]))) if score[pair].all() else 0.0

    width = max(between(_SHOULDERS), _SHOULDERS_TO_EARS * between(_EARS))
    top = joints_px[_TOP][score[_TOP] > 0]
    return (np.linalg.norm(joints_px[_LEGS][:, None] - top, axis=-1) < width).any(1)


def _too_far_away(joints_px: FloatArray, score: FloatArray) -> int | None:
    """The less sure end of the bone that is most too long, None where every bone may be."""
    known = (score[_FROM] > 0) & (score[_TO] > 0)
    if known.sum() <= FEWEST_OTHERS:
        return None
    tall = np.where(known, np.linalg.norm(joints_px[_FROM] - joints_px[_TO], axis=-1) / _SHARE, 0)
    order = np.argsort(-tall)
    longest, third = order[0], order[2]
    if tall[longest] <= TOO_LONG * tall[third]:
        return None
    ends = _FROM[longest], _TO[longest]
    return int(min(ends, key=lambda joint: score[joint]))
