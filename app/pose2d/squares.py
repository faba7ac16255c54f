"""Square crops around people, for networks that see one person in a square picture.

Where a crop lies follows MoveNet's own rule, published with the network (TensorFlow Hub's tutorial "MoveNet: Ultra fast
and accurate pose detection model"): around the hips, far enough for 1.9 times the reach of the torso and for 1.2 times
that of all joints. Where it takes the whole picture, since no hips are seen, a crop here is as wide as an upper body.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.app.io.resizing import halved
from sasmamba.common.arrays import FloatArray
from sasmamba.models.skeletons import COCO, COCO_MIRROR

#: Half a crop's side, in reaches of the torso's and of all joints from its centre.
TORSO_REACH, BODY_REACH = 1.9, 1.2
#: The side of a crop without hips, at least, as a share of the person's height: a face that fills the crop is not known
#: for one, and is taken for a body.
UPPER_SIDE = 0.6
#: No crop is smaller, in pixels of the picture: what is in it could not be told apart.
LEAST_SIDE_PX = 24.0
#: Around somebody's box nothing is hidden within this share of their size: hands and feet reach there.
ROOM = 0.1

_HIPS = [COCO.LEFT_HIP, COCO.RIGHT_HIP]
_TORSO = [COCO.LEFT_SHOULDER, COCO.RIGHT_SHOULDER, *_HIPS]
#: How far joints of head and shoulders are from each other, as shares of the body's height: 15 and 13 cm of the head of
#: somebody 1.73 m tall, whose eyes are 6.3 cm apart; of the shoulders as in `anatomy.BONES`. Perspective only shortens
#: them.
_UPPER = (
    (COCO.LEFT_EAR, COCO.RIGHT_EAR, 0.087),
    (COCO.NOSE, COCO.LEFT_EAR, 0.075),
    (COCO.NOSE, COCO.RIGHT_EAR, 0.075),
    (COCO.LEFT_SHOULDER, COCO.RIGHT_SHOULDER, 0.22),
)
#: The same of the eyes, where nothing else is found: a pixel's error makes much of so little.
_EYES, _BETWEEN_EYES = [COCO.LEFT_EYE, COCO.RIGHT_EYE], 0.036


@dataclass(frozen=True, slots=True)
class Square:
    """A square of the picture: its corner and side in pixels; it may reach beyond the picture's edges.

    Attributes:
        turns: its crop is turned by so many quarters, anticlockwise; see `turned`.
        hidden_px: boxes x0, y0, x1, y1 of the picture that are black in its crop; see `beside`.
    """

    x0: float
    y0: float
    side: float
    turns: int = 0
    hidden_px: tuple[tuple[float, float, float, float], ...] = ()

    @classmethod
    def centred(cls, centre_px: FloatArray, side: float) -> Square:
        """The square around a centre (2,) x, y."""
        side = max(side, LEAST_SIDE_PX)
        return cls(float(centre_px[0]) - side / 2, float(centre_px[1]) - side / 2, side)

    @classmethod
    def around(cls, joints_px: FloatArray, score: FloatArray) -> Square | None:
        """Around a person's joints (17, 2) whose score (17,) is above 0; None where fewer than two are.

        The centre is that of the hips, or of all joints' box where no hip was found.
        """
        found = score > 0
        if found.sum() < 2:
            return None
        low, high = joints_px[found].min(0), joints_px[found].max(0)
        hips = [j for j in _HIPS if found[j]]
        centre = joints_px[hips].mean(0) if len(hips) == 2 else (low + high) / 2
        torso = [j for j in _TORSO if found[j]]
        reach = BODY_REACH * np.abs(joints_px[found] - centre).max()
        if len(hips) == 2 and len(torso) > 2:
            reach = max(reach, TORSO_REACH * np.abs(joints_px[torso] - centre).max())
        if not hips:
            reach = max(reach, UPPER_SIDE / 2 * _tall(joints_px, found))
        return cls.centred(centre, 2 * float(reach))

    @property
    def centre_px(self) -> FloatArray:
        return np.array([self.x0 + self.side / 2, self.y0 + self.side / 2], np.float32)

    def cut(self, bgr: NDArray[np.uint8], out_px: int) -> NDArray[np.uint8]:
        """The square as (out_px, out_px, 3) uint8 RGB, turned, black beyond the picture; averaged where it shrinks."""
        height, width = bgr.shape[:2]
        x0, y0 = int(np.floor(self.x0)), int(np.floor(self.y0))
        x1, y1 = int(np.ceil(self.x0 + self.side)), int(np.ceil(self.y0 + self.side))
        scale = out_px / self.side
        out = np.zeros((out_px, out_px, 3), np.uint8)
        left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
        if right <= left or bottom <= top:
            return out
        part, shrink = bgr[top:bottom, left:right], 1
        while scale * shrink < 0.5:  # the bilinear warp below would skip pixels
            part, shrink = halved(part), 2 * shrink
        # Pixel centres lie half a pixel in, on both sides of the warp.
        f = scale * shrink
        dx, dy = (left - self.x0) * scale + f / 2 - 0.5, (top - self.y0) * scale + f / 2 - 0.5
        move = np.array([[f, 0, dx], [0, f, dy]])
        cv2.warpAffine(part, move, (out_px, out_px), dst=out, borderMode=cv2.BORDER_CONSTANT)
        for box in self.hidden_px:
            x0, x1 = (round(min(max((x - self.x0) * scale, 0), out_px)) for x in (box[0], box[2]))
            y0, y1 = (round(min(max((y - self.y0) * scale, 0), out_px)) for y in (box[1], box[3]))
            out[y0:y1, x0:x1] = 0
        turned = np.ascontiguousarray(np.rot90(out, self.turns))
        return np.asarray(cv2.cvtColor(turned, cv2.COLOR_BGR2RGB), np.uint8)

    def to_picture(self, points: FloatArray) -> FloatArray:
        """(..., 2) x, y in fractions of the crop to pixels of the picture."""
        return (turned_back(points, self.turns) * self.side + (self.x0, self.y0)).astype(np.float32)


def _tall(joints_px: FloatArray, found: NDArray[np.bool_]) -> float:
    """How tall somebody is, in pixels, as their head and shoulders tell; 0 where these were not found."""
    lengths = [
        float(np.linalg.norm(joints_px[a] - joints_px[b])) / share for a, b, share in _UPPER if found[a] and found[b]
    ]
    if not lengths and found[_EYES].all():
        return float(np.linalg.norm(np.subtract(*joints_px[_EYES]))) / _BETWEEN_EYES
    return max(lengths, default=0.0)


def beside(own_px: FloatArray, others_px: Iterable[FloatArray]) -> tuple[tuple[float, float, float, float], ...]:
    """What of others' boxes lies beside one's own, as boxes x0, y0, x1, y1.

    A network that sees one person in a crop takes whoever stands out, and of two who stand close the joints of both.

    Args:
        own_px: (4,) about the person.
        others_px: (4,) about each of the others.
    """
    room = ROOM * max(own_px[2] - own_px[0], own_px[3] - own_px[1])
    a, b, c, d = (float(x) for x in own_px + np.array([-room, -room, room, room]))
    pieces = []
    for x0, y0, x1, y1 in (box.tolist() for box in others_px):
        low, high = max(y0, b), min(y1, d)
        pieces += [(x0, y0, x1, min(y1, b)), (x0, max(y0, d), x1, y1), (x0, low, min(x1, a), high)]
        pieces += [(max(x0, c), low, x1, high)]
    return tuple(piece for piece in pieces if piece[2] > piece[0] and piece[3] > piece[1])


def turned_back(points: FloatArray, turns: int) -> FloatArray:
    """(..., 2) x, y in fractions of a picture that was turned anticlockwise by quarters, as those of it before."""
    x, y = points[..., 0], points[..., 1]
    ways = ((x, y), (1 - y, x), (1 - x, 1 - y), (y, 1 - x))
    return np.stack(ways[turns % 4], -1)


def unmirrored(joints: FloatArray) -> FloatArray:
    """(..., 17, 3) x, y in fractions of a mirrored crop, and score, as those of the crop: left joints become right."""
    back = joints[..., list(COCO_MIRROR), :].copy()
    back[..., 0] = 1 - back[..., 0]
    return back
