"""Where people are in a picture, closely: a box around all of somebody with outstretched arms is mostly background."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.types import Person2D
from sasmamba.models.skeletons import COCO

#: Joints of this score show where a body is; nobody measures anything by them here.
_SEEN = 0.15
_HEAD = [COCO.NOSE, COCO.LEFT_EYE, COCO.RIGHT_EYE, COCO.LEFT_EAR, COCO.RIGHT_EAR]
_SHOULDERS, _HIPS = [COCO.LEFT_SHOULDER, COCO.RIGHT_SHOULDER], [COCO.LEFT_HIP, COCO.RIGHT_HIP]
_TRUNK = _SHOULDERS + _HIPS
#: Limbs, and how far flesh goes on beyond each one's end, as a share of its length: hands and feet.
_LIMBS = [
    (COCO[f"{side}_{a}"], COCO[f"{side}_{b}"], beyond)
    for side in ("LEFT", "RIGHT")
    for a, b, beyond in (
        ("SHOULDER", "ELBOW", 0.0),
        ("ELBOW", "WRIST", 0.35),
        ("HIP", "KNEE", 0.0),
        ("KNEE", "ANKLE", 0.3),
    )
]
_FROM, _TO = [a for a, _, _ in _LIMBS], [b for _, b, _ in _LIMBS]
#: (limbs, pieces + 1) where each is cut, as shares of its length: one box around a slanting limb is mostly background.
_CUTS = np.array([np.linspace(0, 1 + beyond, 5) for _, _, beyond in _LIMBS])
#: Flesh around joints, as shares of the trunk's length: of head, trunk and limbs.
_HEAD_SHARE, _TRUNK_SHARE, _LIMB_SHARE = 0.3, 0.175, 0.14
#: A trunk that is foreshortened is taken for so much of the body's longer side at least.
_SHORT_TRUNK = 0.25


def body_boxes(people: Sequence[Person2D]) -> NDArray:
    """(N, 4) x0, y0, x1, y1 that together cover people: of each several around head, trunk and pieces of limbs, or the
    one around all of somebody whose trunk was not found."""
    if not people:
        return np.zeros((0, 4))
    joints = np.stack([person.joints_px for person in people]).astype(float)
    seen = np.stack([person.score for person in people]) > _SEEN
    clear = seen[:, _TRUNK].sum(1) >= 3
    whole = np.stack([person.box_px for person in people])[~clear].astype(float)
    joints, seen = joints[clear], seen[clear]
    if not len(joints):
        return whole
    head, trunk, body = (_around(joints[:, part], seen[:, part]) for part in (_HEAD, _TRUNK, list(range(17))))
    size = np.linalg.norm(_middle(joints, seen, _SHOULDERS) - _middle(joints, seen, _HIPS), axis=1)
    size = np.maximum(size, _SHORT_TRUNK * (body[:, 2:] - body[:, :2]).max(1))[:, None]
    begin, end = joints[:, _FROM, None], joints[:, _TO, None]
    cuts = begin + (end - begin) * _CUTS[..., None]  # (P, limbs, pieces + 1, 2)
    low, high = np.minimum(cuts[:, :, 1:], cuts[:, :, :-1]), np.maximum(cuts[:, :, 1:], cuts[:, :, :-1])
    limbs = _grown(np.concatenate([low, high], -1), _LIMB_SHARE * size[:, None, None])
    found = seen[:, _FROM] & seen[:, _TO]
    return np.concatenate(
        [
            whole,
            _grown(head, _HEAD_SHARE * size)[seen[:, _HEAD].any(1)],
            _grown(trunk, _TRUNK_SHARE * size),
            limbs[found].reshape(-1, 4),
        ]
    )


def _around(points: NDArray, seen: NDArray) -> NDArray:
    """(P, 4) boxes around points (P, K, 2) that were seen (P, K); infinite where none was."""
    seen = seen[..., None]
    return np.concatenate([np.where(seen, points, np.inf).min(1), np.where(seen, points, -np.inf).max(1)], 1)


def _middle(joints: NDArray, seen: NDArray, pair: Sequence[int]) -> NDArray:
    """(P, 2) the middle of two joints, or the one of them that was seen."""
    weight = seen[:, list(pair), None].astype(float)
    return (joints[:, list(pair)] * weight).sum(1) / weight.sum(1)


def _grown(boxes: NDArray, by: NDArray) -> NDArray:
    """Boxes (..., 4), larger by as much on every side."""
    return boxes + np.concatenate([-by, -by, by, by], -1)
