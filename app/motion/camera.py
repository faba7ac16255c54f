"""The camera's intrinsics, known or assumed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from numpy.typing import NDArray

from sasmamba.app.motion.axes import focal_length_px
from sasmamba.app.types import VideoMeta
from sasmamba.common.errors import UserError

#: No camera of this tool's has more pixels than this between anything and anything else.
_MOST_PX = 1e6
#: Fields of view that pictures of people can have, from a telescope's to a fish-eye's that was made straight.
_LEAST_FOV_DEG, _MOST_FOV_DEG = 0.2, 170.0
#: A picture may be cut from a larger one, whose middle then lies so far from its own at most, in longer sides.
_MOST_BESIDE = 10


@dataclass(frozen=True, slots=True)
class Intrinsics:
    """A pinhole camera in pixels: focal lengths fx, fy and the principal point cx, cy from the picture's upper left."""

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        near = all(abs(px) <= _MOST_PX for px in (self.fx, self.fy, self.cx, self.cy))  # NaN is not
        if not (near and self.fx > 0 and self.fy > 0):
            raise UserError(
                f"Intrinsics are pixels: fx and fy above 0, cx and cy in or near the picture, none beyond "
                f"{_MOST_PX:,.0f}; not fx {self.fx:g}, fy {self.fy:g}, cx {self.cx:g}, cy {self.cy:g}.",
                exit_code=2,
            )

    @classmethod
    def assumed(cls, meta: VideoMeta, fov_deg: float) -> Intrinsics:
        """Square pixels, the axis through the picture's middle, `fov_deg` along its longer side."""
        focal_px = focal_length_px(meta.width, meta.height, fov_deg)
        return cls(focal_px, focal_px, meta.width / 2, meta.height / 2)

    def check(self, meta: VideoMeta) -> None:
        """Raises UserError (exit code 2) for what cannot be the camera of such pictures: of another size, perhaps."""
        fov, side = self.fov_deg(meta), max(meta.width, meta.height)
        beside = max(abs(self.cx - meta.width / 2), abs(self.cy - meta.height / 2)) > _MOST_BESIDE * side
        if beside or not _LEAST_FOV_DEG <= fov <= _MOST_FOV_DEG:
            why = "its axis would pass far beside it" if beside else f"it would show {fov:.3g}°"
            raise UserError(
                f"--intrinsics {self.fx:g},{self.fy:g},{self.cx:g},{self.cy:g} cannot be of a picture of "
                f"{meta.width}×{meta.height}, {why}: give fx,fy,cx,cy in pixels of this video.",
                exit_code=2,
            )

    def fov_deg(self, meta: VideoMeta) -> float:
        """The field of view along the picture's longer side, about its middle, degrees."""
        return math.degrees(2 * math.atan(max(meta.width / self.fx, meta.height / self.fy) / 2))

    def rays(self, points_px: NDArray) -> NDArray:
        """Points (..., 2) in pixels as x and y at depth 1."""
        return (points_px - [self.cx, self.cy]) / [self.fx, self.fy]
