"""2D skeletons over the video's picture, and each person's number above their head."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.app.render.bodies import fixed_point
from sasmamba.app.render.palette import INK, SIDE_COLORS, TEXT, Canvas, mix, track_color
from sasmamba.app.render.text import draw_pill
from sasmamba.app.types import Person2D
from sasmamba.models.skeletons import COCO, COCO_EDGES

_LINES = np.array([[e.a, e.b] for e in COCO_EDGES])
_LINE_COLORS = [SIDE_COLORS[e.side] for e in COCO_EDGES]
_DOT_RADII = [2.4 if joint <= COCO.RIGHT_EAR else 3.8 for joint in COCO]
_DOT_COLORS = [mix(SIDE_COLORS.get(joint.name.partition("_")[0].lower(), TEXT), TEXT, 0.6) for joint in COCO]


def draw_skeletons(
    shown: Canvas, people2d: tuple[Person2D, ...], *, scale: float, min_score: float, unit: float
) -> None:
    """COCO joints over the video, dark below bright so that it reads on any ground.

    Args:
        shown: the video's picture, scaled.
        scale: its pixels per pixel of the video.
        min_score: joints below are not drawn.
        unit: what one pixel of a picture 720 pixels high has become.
    """
    joints, score = np.stack([p.joints_px for p in people2d]), np.stack([p.score for p in people2d])
    seen = (score >= min_score) & np.isfinite(joints).all(-1)
    # A joint far outside the picture would overflow OpenCV's fixed-point coordinates.
    pixels = np.where(seen[..., None], np.clip((joints + 0.5) * scale - 0.5, -2000, 6000), 0)
    drawn = np.all(seen[:, _LINES], axis=-1)
    half = max(1, round(2.6 * unit)) / 2
    # Lines need no round ends: dots stand on all of them.
    dark, bright = (fixed_point(bars(pixels[:, _LINES], h)) for h in (half + 1, half))
    at = fixed_point(pixels).tolist()
    rim = round(16 * unit)
    for i, person in enumerate(people2d):
        lines = np.flatnonzero(drawn[i]).tolist()
        for line in lines:
            cv2.fillConvexPoly(shown, dark[i, line], INK, cv2.LINE_AA, 4)
        for line in lines:
            cv2.fillConvexPoly(shown, bright[i, line], _LINE_COLORS[line], cv2.LINE_AA, 4)
        for joint in np.flatnonzero(seen[i]).tolist():
            radius = round(_DOT_RADII[joint] * unit * 16)
            cv2.circle(shown, at[i][joint], radius + rim, INK, -1, cv2.LINE_AA, 4)
            cv2.circle(shown, at[i][joint], radius, _DOT_COLORS[joint], -1, cv2.LINE_AA, 4)
        _draw_tag(shown, person, pixels[i], seen[i], scale, unit)


def _draw_tag(shown: Canvas, person: Person2D, pixels: NDArray, seen: NDArray, scale: float, unit: float) -> None:
    """A person's number above their head."""
    if person.track_id is None:
        return
    if seen.any():
        x, y = float(pixels[seen, 0].mean()), float(pixels[seen, 1].min())
        head = [j for j in range(COCO.RIGHT_EAR + 1) if seen[j]]
        if head:  # the ears stand half-way up the head
            x, y = float(pixels[head, 0].mean()), float(pixels[head, 1].min())
            y -= 0.12 * float(np.ptp(pixels[seen, 1]))
    else:
        x, y = float(person.box_px[[0, 2]].mean()) * scale, float(person.box_px[1]) * scale
    colour = track_color(person.track_id)
    draw_pill(shown, f"#{person.track_id}", (x, y - 4 * unit), colour, INK, (0.5, 1), unit)


def bars(ends: NDArray, half: float) -> NDArray:
    """Outlines (..., 4, 2) of straight bars of half a width, between ends (..., 2, 2)."""
    along = ends[..., 1, :] - ends[..., 0, :]
    length = np.maximum(np.hypot(along[..., 0], along[..., 1]), 1e-9)
    side = along[..., ::-1] * (-half, half) / length[..., None]
    a, b = ends[..., 0, :], ends[..., 1, :]
    return np.stack((a + side, b + side, b - side, a - side), -2)
