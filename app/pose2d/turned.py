"""People who hang, lie or stand on their hands, in a picture or in one that is upside down itself.

Networks that find joints have hardly seen anybody who does not stand upright: in pictures turned upside down MoveNet
finds one person in ten of those it finds in the pictures as they are (benchmarks/turned_people.py). So whoever is seen
to point another way gets a crop that is turned by quarters until their head is above, and the joints are turned back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.pose2d.estimator import JointEstimator, Joints
from sasmamba.app.pose2d.multipose import Finder, find_people
from sasmamba.app.pose2d.overlap import box_iou
from sasmamba.app.pose2d.squares import turned_back
from sasmamba.app.types import Frame, Person2D
from sasmamba.common.arrays import FloatArray
from sasmamba.models.skeletons import COCO

#: Somebody is turned afresh when they lean more than this to how they are turned now.
LEANS_DEG = 60.0
#: Trunk and legs, as directions, add up to 2 in somebody straight; below this they point nowhere together.
FOLDED = 0.7
#: A trunk is seen from along itself where it is shorter than this share of the body's longer side.
END_ON = 0.12

#: Whoever is not seen better in a crop turned otherwise is looked at so again after this; and while nobody is followed,
#: so often a turned picture is searched.
TURN_AGAIN_S, FIND_TURNED_S = 1.0, 1.0
#: Of two answers for one person, from crops turned differently, the boxes share so much (intersection over union), and
#: the new one's joints are so much surer on the average.
ONE_PLACE, SURER = 0.3, 0.05
#: Joints that are less sure on the average are not believed to tell which way somebody points: in crops in which people
#: are upside down they often tell the opposite, and are no surer than this.
POOR = 0.35

_HEAD = [COCO.NOSE, COCO.LEFT_EYE, COCO.RIGHT_EYE, COCO.LEFT_EAR, COCO.RIGHT_EAR]
_SHOULDERS = [COCO.LEFT_SHOULDER, COCO.RIGHT_SHOULDER]
_HIPS = [COCO.LEFT_HIP, COCO.RIGHT_HIP]
_KNEES = [COCO.LEFT_KNEE, COCO.RIGHT_KNEE]
_ANKLES = [COCO.LEFT_ANKLE, COCO.RIGHT_ANKLE]


def upright_turns(person: Person2D, turns: int = 0) -> int:
    """By how many quarter turns, anticlockwise, the picture is to be turned for the person to be upright in it.

    Args:
        person: COCO joints in pixels of the picture, as it is.
        turns: so many are made now; they stay while the person leans less than `LEANS_DEG` in them, or points nowhere.

    Returns:
        0, 1, 2 or 3.
    """
    down = downwards(person)
    if down is None:
        return turns
    leans_deg = math.degrees(math.atan2(down[0], down[1]))
    now_deg = (leans_deg + 90 * turns + 180) % 360 - 180
    return turns if abs(now_deg) <= LEANS_DEG else round(-leans_deg / 90) % 4


def other_turns(person: Person2D, turns: int) -> int:
    """The turns that may show somebody better who was seen with those; the same where nothing speaks for others."""
    wanted = upright_turns(person, turns)
    if wanted == turns and sureness(person) < POOR:
        return (turns + 2) % 4
    return wanted


def sureness(person: Person2D) -> float:
    """The mean score of all joints."""
    return float(person.score.mean())


def is_better(seen: Person2D, before: Person2D, *, shared: float = ONE_PLACE) -> bool:
    """Whether another answer is of the same person, whose box shares so much with it, and surer."""
    return box_iou(seen.box_px, before.box_px) > shared and sureness(seen) > sureness(before) + SURER


def turned_frame(frame: Frame, turns: int) -> Frame:
    """The frame, its picture turned by so many quarters, anticlockwise."""
    return replace(frame, bgr=np.ascontiguousarray(np.rot90(frame.bgr, turns))) if turns % 4 else frame


def turned_points(points: FloatArray, frame: Frame, turns: int) -> FloatArray:
    """Points (..., 2) x, y in a frame's picture, in whole pixels from the centre of the top left one, as they lie in
    `turned_frame`; with -turns of that they lie in the frame again."""
    x, y = points[..., 0], points[..., 1]
    right, bottom = frame.bgr.shape[1] - 1, frame.bgr.shape[0] - 1
    ways = ((x, y), (y, right - x), (right - x, bottom - y), (bottom - y, x))
    return np.stack(ways[turns % 4], -1).astype(np.float32)


def turned_boxes(boxes_px: FloatArray, frame: Frame, turns: int) -> FloatArray:
    """The same of boxes (n, 4) x0, y0, x1, y1."""
    corners = turned_points(boxes_px.reshape(-1, 2, 2), frame, turns)
    return np.concatenate([corners.min(1), corners.max(1)], 1)


def estimate_turned(estimator: JointEstimator, frame: Frame, boxes_px: FloatArray, turns: int) -> Joints:
    """The joints of the people in boxes (n, 4) of the frame, shown to the estimator after so many quarter turns."""
    if turns % 4 == 0:
        return estimator(frame, boxes_px)
    shown = turned_frame(frame, turns)
    joints_px, score = estimator(shown, turned_boxes(boxes_px, frame, turns))
    return turned_points(joints_px, shown, -turns), score


def find_turned(network: Finder, bgr: NDArray[np.uint8], turns: int) -> list[tuple[Person2D, float]]:
    """`multipose.find_people` in a picture after that many quarter turns, anticlockwise, in pixels of the picture."""
    size = np.array([bgr.shape[1], bgr.shape[0]], np.float32)
    turned_size = size[::-1] if turns % 2 else size
    found = []
    for person, sure in find_people(network, np.ascontiguousarray(np.rot90(bgr, turns))):
        corners = turned_back(person.box_px.reshape(2, 2) / turned_size, turns) * size
        box = np.concatenate([corners.min(0), corners.max(0)]).astype(np.float32)
        joints = turned_back(person.joints_px / turned_size, turns) * size
        found.append((replace(person, box_px=box, joints_px=joints.astype(np.float32)), sure))
    return found


class OtherWays:
    """By how many quarters a picture is turned and searched once more, for as long as nobody is followed.

    All ways where a shot begins, then one a second.
    """

    def __init__(self) -> None:
        self._searched_s, self._ways = -np.inf, (2, 1, 3)

    @property
    def first(self) -> bool:
        """Whether nobody was followed, and nothing searched, since the shot began."""
        return self._searched_s == -np.inf

    def due(self, now_s: float, followed: Callable[[], bool]) -> Iterator[int]:
        """The turns that are due, in order; `followed` says whether anybody is by now."""
        first, early = self.first, now_s - self._searched_s < FIND_TURNED_S
        if followed() or early:
            self._searched_s = max(self._searched_s, now_s - FIND_TURNED_S)
            return
        self._searched_s = now_s
        for _ in range(3 if first else 1):
            self._ways = (*self._ways[1:], self._ways[0])
            if not followed():
                yield self._ways[-1]


def usual_turns(turns: Sequence[int]) -> int:
    """How most of those are turned who are turned so; 0 of nobody."""
    return max(range(4), key=turns.count)


def downwards(person: Person2D) -> FloatArray | None:
    """(2,) which way in the picture leads from the head to the feet; None where nothing tells."""

    def middle(joints: list[COCO]) -> FloatArray | None:
        seen = [j for j in joints if person.score[j] > 0]
        return person.joints_px[seen].mean(0) if seen else None

    above = middle(_SHOULDERS) if middle(_SHOULDERS) is not None else middle(_HEAD)
    hips, below = middle(_HIPS), middle(_ANKLES) if middle(_ANKLES) is not None else middle(_KNEES)
    if above is None or hips is None:
        return None
    trunk = hips - above
    long = float(np.linalg.norm(trunk))
    if long < END_ON * float((person.box_px[2:] - person.box_px[:2]).max()):
        return None
    down = trunk / long
    if below is not None:
        down = down + (below - hips) / max(float(np.linalg.norm(below - hips)), 1e-6)
    return down if np.linalg.norm(down) >= FOLDED else None
