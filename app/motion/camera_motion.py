"""How the camera turns and zooms while it films, frame by frame, and the way back to the first frame's axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sasmamba.common.arrays import check_shape

#: What a camera does: stands still; turns or zooms where it stands; is carried about.
CameraKind = Literal["still", "rotating", "moving"]
#: What the user can say of it; auto: the background decides.
CameraChoice = Literal["auto", "still", "rotating"]


@dataclass(frozen=True, slots=True)
class CameraMotion:
    """Rotation and zoom of a camera in every frame of a take, beginning anew in the first frame of each shot.

    Translation is not in it: one camera's background tells of a step only up to a scale, and of nothing far away.

    Attributes:
        kind: what the camera does; where shots differ, the most that it does in any of them.
        R_first_cam: (F, 3, 3) turns camera axes of a frame (x right, y down, z forward) into those of its shot's first.
        zoom: (F,) focal length as a multiple of that in the shot's first frame.
        confidence: (F,) 0 (the background told nothing, the motion is carried on) to 1.
        given: the user said that it turns; otherwise the background decided.
    """

    kind: CameraKind
    R_first_cam: NDArray
    zoom: NDArray
    confidence: NDArray
    given: bool = False

    def __post_init__(self) -> None:
        frames = len(self.R_first_cam)
        check_shape("R_first_cam", self.R_first_cam, (frames, 3, 3))
        check_shape("zoom", self.zoom, (frames,))
        check_shape("confidence", self.confidence, (frames,))

    def carried(self, shot: range) -> bool:
        """Whether the camera is carried about in a shot: where it is, it turns, as a still one does not, and no zoom is
        told, as of one that turns where it stands."""
        here = slice(shot.start, shot.stop)
        turns = bool((self.R_first_cam[here] != np.eye(3)).any())
        return self.kind == "moving" and turns and bool((self.zoom[here] == 1).all())

    def unzoomed(self, frames: NDArray, rays: NDArray) -> NDArray:
        """Rays at depth 1 in each frame's own camera axes.

        Args:
            frames: (N,) int.
            rays: (N, ..., 2) x and y at depth 1, as `Intrinsics.rays` gives them for the focal length of the first
                frame.
        """
        return rays / self.zoom[frames].reshape(-1, *(1,) * (rays.ndim - 1))

    def to_first(self, frames: NDArray, vectors: NDArray) -> NDArray:
        """Vectors (N, ..., 3) in the camera axes of frames (N,) in those of the first frame of their shot.

        Places, directions and whole poses alike: the camera turns about its own centre, which stays the origin.
        """
        return np.einsum("nij,n...j->n...i", self.R_first_cam[frames], vectors)
