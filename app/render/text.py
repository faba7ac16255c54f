"""Text in the picture: letters and pills drawn once, kept, and laid over it."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.render.palette import Area, Canvas, Color
from sasmamba.common.arrays import FloatArray

#: What is laid over a canvas, (H, W, 1) and (H, W, 3) float32: what it keeps of the ground, and what it adds, rounded.
_Layer = tuple[FloatArray, FloatArray]


@lru_cache(maxsize=1)
def font_folder() -> Path:
    """DejaVu, which comes with matplotlib: OpenCV's own letters are made of strokes and look it."""
    package = find_spec("matplotlib")  # importing it takes longer than drawing the first pictures
    if package is None or package.origin is None:
        raise ModuleNotFoundError("matplotlib, whose letters are drawn")
    return Path(package.origin).with_name("mpl-data") / "fonts" / "ttf"


def _font_file(mono: bool) -> Path:
    return font_folder() / ("DejaVuSansMono.ttf" if mono else "DejaVuSans-Bold.ttf")


@lru_cache(maxsize=16)
def _font(size: int, mono: bool) -> Any:
    from PIL import ImageFont

    return ImageFont.truetype(str(_font_file(mono)), size)


def _letters(text: str, size: int, mono: bool) -> NDArray[np.float32]:
    """Text as coverage 0..1, cut to the height of the letters."""
    from PIL import Image, ImageDraw

    font = _font(size, mono)
    left, top, right, bottom = font.getbbox(text or " ")
    picture = Image.new("L", (max(1, int(right - left)) + 1, max(1, int(bottom - top)) + 1))
    ImageDraw.Draw(picture).text((-left, -top), text, fill=255, font=font)
    return np.asarray(np.asarray(picture) / 255, np.float32)


def _pill_shape(width: int, height: int) -> NDArray[np.float32]:
    """A rounded rectangle, a little transparent, as coverage 0..1."""
    v, u = np.mgrid[0:height, 0:width] + 0.5
    radius = min(height, width) / 2 * 0.72
    x = np.maximum(np.abs(u - width / 2) - (width / 2 - radius), 0)
    y = np.maximum(np.abs(v - height / 2) - (height / 2 - radius), 0)
    return (np.clip(radius - np.hypot(x, y) + 0.5, 0, 1) * 0.92).astype(np.float32)


@lru_cache(maxsize=64)
def _text_layer(text: str, size: int, mono: bool, color: Color) -> _Layer:
    share = _letters(text, size, mono)[..., None]
    return 1 - share, share * np.array(color, np.float32) + 0.5


@lru_cache(maxsize=256)
def _pill_layer(text: str, unit: float, back: Color, front: Color) -> _Layer:
    letters = _letters(text, max(8, round(14 * unit)), False)
    ground = _pill_shape(letters.shape[1] + round(14 * unit), letters.shape[0] + round(8 * unit))[..., None]
    top, left = (ground.shape[0] - letters.shape[0]) // 2, (ground.shape[1] - letters.shape[1]) // 2
    ink = np.zeros_like(ground)
    ink[top : top + letters.shape[0], left : left + letters.shape[1], 0] = letters
    paint = np.array(back, np.float32) * ground * (1 - ink) + np.array(front, np.float32) * ink + 0.5
    return np.asarray((1 - ground) * (1 - ink), np.float32), np.asarray(paint, np.float32)


def _lay(canvas: Canvas, layer: _Layer, x: int, y: int) -> Area | None:
    """Lays a layer over the canvas; what lies outside is cut off. Returns what it covers, None if that is nothing."""
    keep, paint = layer
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + paint.shape[1], canvas.shape[1]), min(y + paint.shape[0], canvas.shape[0])
    if x0 >= x1 or y0 >= y1:
        return None
    inside = np.s_[y0 - y : y1 - y, x0 - x : x1 - x]
    ground = canvas[y0:y1, x0:x1]
    ground[:] = ground * keep[inside] + paint[inside]
    return slice(y0, y1), slice(x0, x1)


def draw_text(
    canvas: Canvas,
    text: str,
    at: tuple[float, float],
    size: float,
    color: Color,
    anchor: tuple[float, float] = (0, 0),
    mono: bool = False,
) -> Area | None:
    """Text of a height in pixels; `anchor` says which part of it stands at `at`: (0, 0) its upper left corner.

    Returns:
        What it covers of the canvas, None if that is nothing.
    """
    layer = _text_layer(text, max(8, round(size)), mono, color)
    height, width, _ = layer[0].shape
    return _lay(canvas, layer, round(at[0] - anchor[0] * width), round(at[1] - anchor[1] * height))


def draw_pill(
    canvas: Canvas,
    text: str,
    at: tuple[float, float],
    back: Color,
    front: Color,
    anchor: tuple[float, float],
    unit: float,
) -> Area | None:
    """Text on a rounded ground, moved inside the picture where it would stick out; returns what it covers."""
    layer = _pill_layer(text, unit, back, front)
    height, width, _ = layer[0].shape
    x = round(min(max(at[0] - anchor[0] * width, 2), canvas.shape[1] - width - 2))
    y = round(min(max(at[1] - anchor[1] * height, 2), canvas.shape[0] - height - 2))
    return _lay(canvas, layer, x, y)
