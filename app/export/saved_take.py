"""A take read back from a file of poses: who was seen where, and what to lift and place it by again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.camera_motion import CameraKind, CameraMotion
from sasmamba.app.take import Take, Track
from sasmamba.app.types import Cut, FloorMark, HeldJoint, Person2D, SceneLines, UprightMark, VideoMeta
from sasmamba.common.archives import ArchiveError, read_npz
from sasmamba.common.errors import UserError

_SEEN = ("keypoints_coco17", "keypoints_feet", "box_px", "observed", "detection_frame", "settings", "marks")
_ALSO = ("track_id", "times_s", "fps", "width", "height", "pose2d_every", "cut_frame", "cut_kind", "model")
_LINES = ("line_frame", "line_ends_px")
_CAMERA = ("camera_kind", "camera_given", "camera_R_first_cam", "camera_zoom", "camera_confidence")
#: Times and rates were fractions before they were written: these are the simplest that they can have been.
_MOST_PARTS = 1_000_000

T = TypeVar("T")


def read_take(path: Path) -> Take:
    """The 2D side of a take that `save_poses` wrote: everybody as they were seen, cuts, camera, marks and settings, but
    no poses; `lift_take` makes them again.

    Raises:
        UserError: there is no such file (exit code 2), it was written by something else or before files of poses held
            what the 2D stage saw, or it contradicts itself.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist.", exit_code=2)
    try:
        arrays = read_npz(path, (*_SEEN, *_ALSO, *_CAMERA, *_LINES))
    except (ArchiveError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path} is not a readable file of poses ({reason}).") from error
    wanted = (*_SEEN, *_ALSO, *(_CAMERA if "camera_R_first_cam" in arrays else ()))
    if missing := [name for name in wanted if name not in arrays]:
        raise UserError(
            f"{path} lacks {', '.join(missing)}, as if another version or program had written it: make it again with "
            "`sasmamba-demo VIDEO --save-poses POSES.npz`."
        )
    try:
        return _take(arrays)
    except (TypeError, ValueError, KeyError, IndexError, OverflowError, AttributeError) as error:
        raise UserError(f"{path} is not a file of poses as this version writes them ({error}).") from error


def _take(arrays: Mapping[str, NDArray]) -> Take:
    """Raises ValueError, or what Python makes of values of other kinds, for arrays that do not belong together."""
    times = [_fraction(t) for t in _array(arrays, "times_s", (None,), "fiu")]
    F, ids = len(times), [int(i) for i in _array(arrays, "track_id", (None,), "iu")]
    P = len(ids)
    if not F or any(b <= a for a, b in pairwise(times)):
        raise ValueError("times_s: want times that increase")
    if len(set(ids)) != P or min(ids, default=1) < 1:
        raise ValueError(f"track_id: want numbers from 1 on, each once, got {ids[:8]}")
    joints, feet = _array(arrays, "keypoints_coco17", (P, F, 17, 3)), _array(arrays, "keypoints_feet", (P, F, 4, 3))
    boxes, observed = _array(arrays, "box_px", (P, F, 4)), _array(arrays, "observed", (P, F), "b")
    if not (np.isfinite(joints).all() and np.isfinite(boxes).all()):
        raise ValueError("keypoints_coco17 and box_px: want numbers")
    frames_ = [int(f) for f in _array(arrays, "detection_frame", (None,), "iu")]
    if frames_ != sorted(set(frames_)) or (frames_ and not 0 <= frames_[0] <= frames_[-1] < F):
        raise ValueError("detection_frame: want frames of the video, each once, in order")
    if not set(np.flatnonzero(observed.any(0)).tolist()) <= set(frames_):
        raise ValueError("observed: want nobody beside detection frames")
    meta = VideoMeta(_one(arrays, "width", int), _one(arrays, "height", int), _fraction(_one(arrays, "fps", float)), F)
    take = Take(meta, _one(arrays, "model", str), _one(arrays, "pose2d_every", int), times_s=times)
    take.detection_frames = frames_
    cuts = zip(_array(arrays, "cut_frame", (None,), "iu"), _array(arrays, "cut_kind", (None,), "U"), strict=True)
    take.cuts = [Cut(int(f), times[int(f)], str(kind)) for f, kind in cuts]  # type: ignore[arg-type]
    for p, i in enumerate(ids):
        take.tracks[i] = Track(i)
        for f in np.flatnonzero(observed[p]).tolist():
            toes = None if np.isnan(feet[p, f]).any() else feet[p, f]
            take.tracks[i].people[f] = Person2D(i, boxes[p, f], joints[p, f, :, :2], joints[p, f, :, 2], toes)
    take.camera_motion = _camera_motion(arrays, F)
    take.scene_lines = _scene_lines(arrays, F)
    take.settings = _json(arrays, "settings")
    take.cut_short = bool(take.settings.get("cut_short"))
    marks = _json(arrays, "marks")
    take.floor_marks = [FloorMark(int(m["frame"]), int(m["track_id"]), bool(m["left"])) for m in marks["floor"]]
    take.upright_marks = [
        UprightMark(int(m["frame"]), float(m["pitch_deg"]), float(m["roll_deg"])) for m in marks["upright"]
    ]
    take.held = [
        HeldJoint(int(m["frame"]), int(m["track_id"]), int(m["joint"]), float(m["share"])) for m in marks["held"]
    ]
    return take


def _camera_motion(arrays: Mapping[str, NDArray], frames: int) -> CameraMotion | None:
    if "camera_R_first_cam" not in arrays:
        return None
    kind = _one(arrays, "camera_kind", str)
    if kind not in get_args(CameraKind):
        raise ValueError(f"camera_kind: want one of {', '.join(get_args(CameraKind))}, got {kind!r:.40}")
    return CameraMotion(
        kind,  # type: ignore[arg-type]
        _array(arrays, "camera_R_first_cam", (frames, 3, 3)),
        _array(arrays, "camera_zoom", (frames,)),
        _array(arrays, "camera_confidence", (frames,)),
        _one(arrays, "camera_given", bool),
    )


def _scene_lines(arrays: Mapping[str, NDArray], frames: int) -> SceneLines:
    if not set(_LINES) <= arrays.keys():  # no edges were looked for
        return SceneLines()
    lines = SceneLines(_array(arrays, "line_frame", (None,), "i"), _array(arrays, "line_ends_px", (None, 2, 2)))
    if not np.isfinite(lines.ends_px).all() or ((lines.frame < 0) | (lines.frame >= frames)).any():
        raise ValueError("line_frame and line_ends_px: want ends of lines in frames of the video")
    return lines


def _array(arrays: Mapping[str, NDArray], name: str, shape: tuple[int | None, ...], kinds: str = "f") -> NDArray:
    array = arrays[name]
    fits = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
    if not fits or array.dtype.kind not in kinds:
        raise ValueError(f"{name}: want {shape}, got {array.shape} of {array.dtype}")
    return array.astype(np.float32) if kinds == "f" and not name.startswith("camera") else array


def _one(arrays: Mapping[str, NDArray], name: str, kind: Callable[[Any], T]) -> T:
    return kind(arrays[name].item())


def _json(arrays: Mapping[str, NDArray], name: str) -> dict[str, Any]:
    value = json.loads(_one(arrays, name, str))
    if not isinstance(value, dict):
        raise ValueError(f"{name}: want an object")
    return value


def _fraction(value: float) -> Fraction:
    return Fraction(float(value)).limit_denominator(_MOST_PARTS)
