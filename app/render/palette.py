"""The colours of the picture, as BGR in 0..255, and what they are laid on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Color = tuple[float, float, float]  # BGR, 0..255
Canvas = NDArray[np.uint8]
#: Rows and columns of a canvas.
Area = tuple[slice, slice]


def rgb(value: int) -> Color:
    """0xRRGGBB as BGR."""
    return float(value & 255), float(value >> 8 & 255), float(value >> 16 & 255)


#: Left is warm and right is cool, in both panels.
SIDE_COLORS: dict[str, Color] = {"left": rgb(0xFF9550), "right": rgb(0x4FA3FF), "middle": rgb(0xD5DAE3)}
#: A track keeps its colour for the whole take; none of these is a side's colour.
TRACK_COLORS = tuple(
    rgb(c) for c in (0x7FDB8B, 0xF07FC0, 0xFFD75E, 0x5FDFE3, 0xB79CFF, 0xFF7A7A, 0xC5E36A, 0xE8B98A, 0x8FB8A8, 0xD0A8D8)
)
BACK_TOP, BACK_BOTTOM, GLOW = rgb(0x2B3038), rgb(0x14161A), rgb(0x474F5C)
INK, GRID, TEXT, DIM = rgb(0x0E1013), rgb(0x8E9AAC), rgb(0xE6EAF0), rgb(0x8B94A3)


def track_color(track_id: int) -> Color:
    """The colour of a track, the same in both panels and in every frame."""
    return TRACK_COLORS[(track_id - 1) % len(TRACK_COLORS)]


def mix(a: Color, b: Color, share: float) -> Color:
    return tuple(x + (y - x) * share for x, y in zip(a, b, strict=True))  # type: ignore[return-value]
