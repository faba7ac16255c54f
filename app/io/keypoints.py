"""2D poses of a user's own: read, lifted, written, without a video."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sasmamba.common.archives import ArchiveError, read_npz
from sasmamba.common.arrays import FloatArray
from sasmamba.common.errors import UserError
from sasmamba.models.hidden_hips import seen_as_h36m
from sasmamba.models.normalise import mask_missing
from sasmamba.models.skeletons import mediapipe33_to_coco17

#: Input skeletons, and how many joints each has.
SKELETONS = {"h36m17": 17, "coco17": 17, "mediapipe33": 33}

_NEEDED = ("keypoints", "fps", "width", "height", "skeleton")
#: Beyond these something else was meant, and times and angles would overflow.
_MOST_FPS, _MOST_PX = 10_000, 1_000_000
#: Where nine in ten coordinates are smaller than this the picture's corner would have to hold everybody, and in no
#: picture but a tiny one could they be pixels; normalised ones, in whatever way, do not reach it.
_NORMALISED, _SMALLEST_PX = 2.5, 32


@dataclass(frozen=True, slots=True)
class Keypoints:
    """2D poses of a file.

    Attributes:
        xyc: (P, F, 17, 3) H36M-17 x px, y px, score.
        fps: Frames per second.
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        fov_deg: The field of view along the picture's longer side, where it is known.
        one_person: Whether the file had no axis over people.
        detected: Whether the joints are a detector's, which lie where people see them (`models.landmarks`).
    """

    xyc: FloatArray
    fps: float
    width: int
    height: int
    fov_deg: float | None = None
    one_person: bool = True
    detected: bool = False


def read_keypoints(path: Path) -> Keypoints:
    """Reads `lift`'s input: keypoints (F, J, 3) or (P, F, J, 3) x px, y px, score; fps, width, height, skeleton; and
    fov_deg if it is known.

    A score of 0 or NaN, or a NaN position, marks a missing joint. Other arrays of the file are not read.

    Raises:
        UserError: the file is missing or breaks the format, with what is expected.
    """
    if not os.path.exists(path):  # not Path.exists, which raises for a name too long for the disk
        raise UserError(f"{path} does not exist.", exit_code=2)
    fields = _read_fields(path)
    skeleton = _skeleton(path, fields["skeleton"])
    points = fields["keypoints"]
    if points.ndim not in (3, 4) or points.shape[-2:] != (SKELETONS[skeleton], 3) or 0 in points.shape:
        raise UserError(
            f"{path}: keypoints for {skeleton} must have shape (frames, {SKELETONS[skeleton]}, 3), got {points.shape}."
        )
    if points.dtype.kind not in "fiu":
        raise UserError(f"{path}: keypoints must be numbers, got {points.dtype}.")
    try:
        fps, width, height = float(fields["fps"].item()), int(fields["width"].item()), int(fields["height"].item())
        fov_deg = float(fields["fov_deg"].item()) if "fov_deg" in fields else None
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: fps, width, height and fov_deg must be single numbers.") from error
    if fov_deg is not None and not 10 <= fov_deg <= 150:
        raise UserError(f"{path}: fov_deg must lie between 10 and 150 degrees, got {fov_deg:g}.")
    if not (1 / _MOST_FPS <= fps <= _MOST_FPS and 1 <= width <= _MOST_PX and 1 <= height <= _MOST_PX):
        raise UserError(
            f"{path}: fps must lie between {1 / _MOST_FPS:g} and {_MOST_FPS}, width and height between 1 and "
            f"{_MOST_PX}, got {fps:g}, {width:.6g}, {height:.6g}."
        )
    points = mask_missing(points)
    _check_pixels(path, points, width, height)
    xyc = converted_to_h36m17(points, skeleton)
    if not (xyc[..., 2] > 0).any():
        raise UserError(f"{path}: every joint is missing in every frame, there is nothing to lift.")
    one, detected = xyc.ndim == 3, skeleton != "h36m17"
    return Keypoints(xyc[None] if one else xyc, fps, width, height, fov_deg, one_person=one, detected=detected)


def converted_to_h36m17(points: NDArray, skeleton: str) -> FloatArray:
    """2D poses (..., J, 3) x px, y px, score of one of `SKELETONS` as H36M-17 (..., 17, 3), missing joints 0, 0, 0."""
    points = mask_missing(points)
    xy, score = points[..., :2], points[..., 2]
    if skeleton == "mediapipe33":
        xy, score = mediapipe33_to_coco17(xy, score)
    if skeleton != "h36m17":
        xy, score = seen_as_h36m(xy, score)
    return np.concatenate([xy, score[..., None]], -1)


def _read_fields(path: Path) -> dict[str, NDArray]:
    """The arrays of the format, and none besides, which may be large or hold Python objects."""
    try:
        fields = read_npz(path, (*_NEEDED, "fov_deg"))
    except (ArchiveError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path} is not a readable NPZ file ({reason}); write one with numpy.savez.") from error
    if missing := [name for name in _NEEDED if name not in fields]:
        raise UserError(f"{path} lacks {', '.join(missing)}; it must hold {', '.join(_NEEDED)}.")
    return fields


def _skeleton(path: Path, given: NDArray) -> str:
    name = given.item() if given.size == 1 else given.tolist()
    name = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    if name not in SKELETONS:
        raise UserError(f"{path}: skeleton {name!r:.60} is unknown; use one of {', '.join(SKELETONS)}.")
    return name


def _check_pixels(path: Path, points: NDArray[np.float32], width: int, height: int) -> None:
    """Refuses positions that cannot be pixels, since all of them lie in the picture's corner: normalised ones.

    They are not scaled without asking: 0…1 of width and height is MediaPipe's convention, and there are others.
    """
    found = np.abs(points[points[..., 2] > 0, :2])
    if max(width, height) < _SMALLEST_PX or not found.size or np.quantile(found, 0.9) > _NORMALISED:
        return
    raise UserError(
        f"{path}: keypoints must be pixels of the {width} × {height} picture, and these look normalised. "
        f"Where they run from 0 to 1, as MediaPipe's do, multiply x by {width} and y by {height}."
    )
