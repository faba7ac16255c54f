"""The live scene, framed anew when somebody comes near its edge."""

from __future__ import annotations

import numpy as np

from sasmamba.app.render.main_group import main_group
from sasmamba.app.render.scene import Scene
from sasmamba.common.arrays import FloatArray

#: The scene is framed anew when somebody comes within so much of its edge, with so much room around everybody.
_EDGE_M, _ROOM_M = 0.3, 0.7


class Framing:
    """The part of the floor that is shown: framed anew only when somebody leaves it, so that the view is steady."""

    def __init__(self) -> None:
        self.scene = Scene()
        self._empty = True

    def follow(self, roots: dict[int, FloatArray]) -> bool:
        """Whether the scene had to change for these pelvis positions (3,); who is far behind the others has no say."""
        places = main_group([root.reshape(1, 3) for root in roots.values()])[:, :2]
        if not len(places):
            return False
        away = np.linalg.norm(places - self.scene.centre, axis=1).max()
        if not self._empty and away < self.scene.radius_m - _EDGE_M:
            return False
        corners = [place + np.array(c) * _ROOM_M for place in places for c in ((-1, -1), (-1, 1), (1, -1), (1, 1))]
        self.scene = Scene(tuple((float(x), float(y)) for x, y in corners))
        self._empty = False
        return True
