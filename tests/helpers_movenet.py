"""Pictures that MoveNet is compared on, drawn by arithmetic alone, so that every program gets the same bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: A figure by its limbs: two ends in tenths of its height about its hips, half its width, colour.
_LIMBS = (
    ((-0.6, -4.3), (0.6, -4.3), 0.75, (224, 172, 140)),
    ((0, -3.4), (0, -0.2), 1.05, (40, 70, 160)),
    ((-1.1, -3.0), (-1.9, -1.6), 0.38, (40, 70, 160)),
    ((-1.9, -1.6), (-1.5, -0.1), 0.3, (224, 172, 140)),
    ((1.1, -3.0), (2.2, -2.2), 0.38, (40, 70, 160)),
    ((2.2, -2.2), (2.6, -3.7), 0.3, (224, 172, 140)),
    ((-0.5, 0.1), (-0.8, 2.2), 0.5, (50, 50, 50)),
    ((-0.8, 2.2), (-0.7, 4.3), 0.4, (50, 50, 50)),
    ((0.5, 0.1), (1.0, 2.1), 0.5, (50, 50, 50)),
    ((1.0, 2.1), (1.6, 4.1), 0.4, (50, 50, 50)),
)


def figures(height: int, width: int, people: list[tuple[float, float, float]], seed: int) -> NDArray[np.uint8]:
    """(height, width, 3) RGB: people (x, y of the hips and height, pixels) before a wall of grey patches."""
    rows, columns = np.mgrid[:height, :width].astype(np.int64)
    wall = 120 + ((rows // 16 * 37 + columns // 16 * 61 + 11 * seed) * 2654435761 % 2**32 >> 26)
    picture = np.stack([wall, wall, wall], -1)
    for x, y, tall in people:
        unit = tall / 10
        for (ax, ay), (bx, by), half, colour in _LIMBS:
            a, b = np.array([x + unit * ax, y + unit * ay]), np.array([x + unit * bx, y + unit * by])
            along = b - a
            at = np.stack([columns, rows], -1) - a
            share = np.clip((at @ along) / (along @ along), 0, 1)
            near = ((at - share[..., None] * along) ** 2).sum(-1) < (unit * half) ** 2
            picture[near] = colour
    return picture.astype(np.uint8)


#: The pictures by network: size and people.
CASES = {
    "thunder": [(256, 256, [(128, 128, 200)], 1), (256, 256, [(100, 150, 120)], 2)],
    "lightning": [(192, 192, [(96, 96, 150)], 1), (192, 192, [(110, 80, 100)], 2)],
    "multipose": [(288, 512, [(90, 150, 200), (230, 170, 150), (400, 140, 240)], 3), (384, 384, [(200, 200, 260)], 4)],
}
