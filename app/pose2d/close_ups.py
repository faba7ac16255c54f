"""People who fill the picture: MultiPose hardly knows them, and finds them where there is room around the picture.

Of 23 close-ups of head and shoulders, cut out of COCO's pictures, it leads to 10 in the picture as it is, and to 18
with half as much again around it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.app.pose2d.multipose import Finder, find_people
from sasmamba.app.types import Person2D
from sasmamba.common.arrays import FloatArray

#: The black room on each side, as a share of the picture's side.
ROOM = 0.25
#: Whoever is smaller, as a share of the picture's shorter side, is found without it, if they are a person.
SMALLEST = 0.4
#: While nobody is followed, such a search is due after so many seconds.
FIND_CLOSE_S = 0.3


def find_close_up(network: Finder, bgr: NDArray[np.uint8]) -> list[tuple[Person2D, float]]:
    """`multipose.find_people` in a picture with room around it: who fills it, in pixels of the picture."""
    if not bgr.size:
        return []
    height, width = bgr.shape[:2]
    x, y = round(ROOM * width), round(ROOM * height)
    with_room = np.asarray(cv2.copyMakeBorder(bgr, y, y, x, x, cv2.BORDER_CONSTANT), np.uint8)
    found = []
    for person, sure in find_people(network, with_room):
        box = np.clip(person.box_px - (x, y, x, y), 0, (width, height, width, height)).astype(np.float32)
        if (box[2:] - box[:2]).min() < 1 or (box[2:] - box[:2]).max() < SMALLEST * min(width, height):
            continue
        joints: FloatArray = (person.joints_px - (x, y)).astype(np.float32)
        found.append((Person2D(None, box, joints, person.score), sure))
    return found


class CloseUps:
    """When the picture is searched with room around it: where a shot begins, and while nobody is followed."""

    def __init__(self) -> None:
        self._searched_s = -np.inf

    def due(self, now_s: float) -> bool:
        """Whether it is time, for somebody who follows nobody."""
        if now_s - self._searched_s < FIND_CLOSE_S - 1e-6:
            return False
        self._searched_s = now_s
        return True
