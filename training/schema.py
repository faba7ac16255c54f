"""Motion on disk: one NPZ schema for all data, checks that say what is wrong, and the writer.

One file holds any number of clips on the H36M-17 skeleton:
    joints      int16 (N, 17, 3)   positions minus the pelvis in 0.1 mm; joint 0 is zero
    root        float32 (N, 3)     pelvis in metres
    clip_start  int32 (C,)         first frame of each clip; a clip ends where the next begins
    clip_fps    float32 (C,)
    clip_name, clip_subject, clip_action   str (C,)
    license, source                str
World axes: right-handed, z up, floor near z = 0.

A paired file also says what a camera saw of it:
    keypoints   float32 (N, 17, 3) x right, y down in picture heights from the picture's centre, score (0: not found)
    R_world_cam float32 (C, 3, 3)  rows are the camera's axes (x right, y down, z forward) in the world
    position    float32 (C, 3)     of the camera, metres
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sasmamba.common.archives import ArchiveError, read_npz
from sasmamba.common.errors import UserError
from sasmamba.common.files import atomic_path
from sasmamba.models.skeletons import H36M

#: Shortest and longest plausible stature (pelvis to head plus pelvis to ankle, metres): a wrong unit falls outside.
_STATURE_M = (0.5, 3.0)
#: Farthest plausible distance of a pelvis from the middle of the room, metres.
_ROOM_M = 500.0
#: Of one file: 30 hours at 60 fps, of every camera of a dozen.
_MOST_BYTES = 24 << 30
_PER_CLIP = ("clip_start", "clip_fps", "clip_name", "clip_subject", "clip_action")
_NEEDED = ("joints", "root", *_PER_CLIP)
_PAIRED = ("keypoints", "R_world_cam", "position")


def read_motion_file(path: Path) -> dict[str, NDArray]:
    """The arrays of a motion file, checked.

    Raises:
        UserError: a file that is missing, unreadable or breaks the schema; one sentence that says what to do.
    """
    try:
        arrays = read_npz(path, most_bytes=_MOST_BYTES)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; check the name and --data-root.") from error
    except (OSError, ArchiveError) as error:
        raise UserError(
            f"{path} is not a readable NPZ file of motion ({error}); convert it first "
            "(python -m sasmamba.training convert)."
        ) from error
    check_motion(arrays, str(path))
    return arrays


def check_motion(z: dict[str, NDArray], name: str) -> None:
    """Raises UserError with what is wrong with a motion file's arrays and what would be right."""

    def bad(what: str) -> UserError:
        return UserError(f"{name}: {what}.")

    if missing := [k for k in _NEEDED if k not in z]:
        raise bad(f"lacks {', '.join(missing)}; it must hold {', '.join(_NEEDED)}")
    joints, root = z["joints"], z["root"]
    N, C = len(np.atleast_1d(root)), np.size(z["clip_start"])
    if joints.shape != (N, 17, 3) or root.shape != (N, 3):
        raise bad(f"joints and root: want (N, 17, 3) and (N, 3), got {joints.shape} and {root.shape}")
    for key in _PER_CLIP:
        if z[key].shape != (C,):
            raise bad(f"{key}: want one entry for each of {C} clips, got shape {z[key].shape}")
    if np.issubdtype(joints.dtype, np.floating) and not np.isfinite(joints).all():
        raise bad("joints hold NaN or infinity; end the clip there and begin a new one after the gap")
    if joints.dtype != np.int16:
        raise bad(f"joints: want int16 in units of 0.1 mm (metres × 10000, rounded), got {joints.dtype}")
    if not np.isfinite(root).all():
        raise bad("root holds NaN or infinity; end the clip there and begin a new one after the gap")
    lengths = np.diff(np.append(z["clip_start"], N))
    if C == 0 or z["clip_start"][0] != 0:
        raise bad("clip_start: want ascending first frames that begin with 0")
    if lengths.min() < 2:
        i = int(lengths.argmin())
        raise bad(f"clip {z['clip_name'][i]} has {lengths[i]} frames: too few, want at least 2; leave it out")
    if not (z["clip_fps"] > 0).all():
        raise bad("clip_fps: want frame rates above 0")
    _check_bodies(joints[:: max(1, N // 2000)].astype(np.float32) / 1e4, bad)
    if np.abs(root).max() > _ROOM_M:
        raise bad(f"root is {np.abs(root).max():.0f} m away from the middle; it must be in metres")
    if any(k in z for k in _PAIRED):
        want = {"keypoints": (N, 17, 3), "R_world_cam": (C, 3, 3), "position": (C, 3)}
        for key, shape in want.items():
            if key not in z or z[key].shape != shape:
                raise bad(f"{key}: a paired file wants {shape}, got {z[key].shape if key in z else 'nothing'}")
        if not np.isfinite(z["keypoints"]).all():
            raise bad("keypoints hold NaN or infinity; write joints that were not found as 0, 0, 0")


def _check_bodies(joints: NDArray, bad: Callable[[str], UserError]) -> None:
    """Units, origin and handedness of joints (n, 17, 3) in metres."""
    norm = np.linalg.norm
    stature = np.median(norm(joints[:, H36M.HEAD_TOP], axis=-1) + norm(joints[:, H36M.LEFT_ANKLE], axis=-1))
    if not _STATURE_M[0] < stature < _STATURE_M[1]:
        raise bad(
            f"people are {stature:.3g} m from head to ankle: the unit is wrong; joints must be in 0.1 mm "
            "(metres × 10000, millimetres × 10)"
        )
    if np.abs(joints[:, 0]).max() > 0:
        raise bad("joint 0 is not zero; subtract the pelvis from all joints and keep its path in root")
    # Knees bend forwards: with left and right exchanged, hips × up points backwards from where the knees go.
    across = joints[:, H36M.LEFT_HIP] - joints[:, H36M.RIGHT_HIP]
    forward = np.cross(across, joints[:, H36M.THORAX])
    knees = joints[:, H36M.LEFT_KNEE] + joints[:, H36M.RIGHT_KNEE]
    ankles = joints[:, H36M.LEFT_ANKLE] + joints[:, H36M.RIGHT_ANKLE]
    if np.median(np.einsum("nd,nd->n", forward, knees - 0.5 * ankles)) < 0:
        raise bad("knees bend backwards: exchange left and right joints, or undo the mirrored axis")


@dataclass(frozen=True)
class MotionClip:
    """One take, to be written.

    Attributes:
        joints: (T, 17, 3) H36M-17, metres, world axes; absolute, or relative to the pelvis when `root` is given.
        root: (T, 3) pelvis, or None to take it out of `joints`.
        keypoints, R_world_cam, position: what a camera saw, see the module; all three or none.
    """

    name: str
    subject: str
    action: str
    fps: float
    joints: NDArray
    root: NDArray | None = None
    keypoints: NDArray | None = None
    R_world_cam: NDArray | None = None
    position: NDArray | None = None


def motion_arrays(clips: Sequence[MotionClip], license: str, source: str) -> dict[str, NDArray]:
    """The schema's arrays for clips; keypoints are kept when all clips have them."""
    if not clips:
        raise UserError(f"{source}: there is no clip of at least 2 frames in it.")
    roots = [c.joints[:, 0] if c.root is None else c.root for c in clips]
    local = [c.joints - c.joints[:, :1] for c in clips]
    if max(float(np.abs(p).max()) for p in local) * 1e4 >= 2**15:
        raise UserError(f"{source}: joints lie more than 3.2 m from the pelvis; give the unit they are in (--unit).")
    arrays: dict[str, NDArray] = {
        "joints": np.concatenate([np.round(p * 1e4).astype(np.int16) for p in local]),
        "root": np.concatenate(roots).astype(np.float32),
        "clip_start": np.cumsum([0, *(len(c.joints) for c in clips[:-1])]).astype(np.int32),
        "clip_fps": np.array([c.fps for c in clips], np.float32),
        "clip_name": np.array([c.name for c in clips]),
        "clip_subject": np.array([c.subject for c in clips]),
        "clip_action": np.array([c.action for c in clips]),
        "license": np.array(license),
        "source": np.array(source),
    }
    seen = [(c.keypoints, c.R_world_cam, c.position) for c in clips]
    if all(part is not None for parts in seen for part in parts):
        keypoints, R_world_cam, position = (list(column) for column in zip(*seen, strict=True))
        arrays["keypoints"] = np.concatenate(keypoints).astype(np.float32)  # type: ignore[arg-type]
        arrays["R_world_cam"] = np.stack(R_world_cam).astype(np.float32)  # type: ignore[arg-type]
        arrays["position"] = np.stack(position).astype(np.float32)  # type: ignore[arg-type]
    return arrays


def write_motion_file(path: Path, clips: Sequence[MotionClip], license: str, source: str) -> None:
    """Writes clips in the schema, checked, whole or not at all.

    Raises:
        UserError: clips that break the schema, or a disk that refuses.
    """
    arrays = motion_arrays(clips, license, source)
    check_motion(arrays, source)
    with atomic_path(path) as partial, partial.open("wb") as out:
        np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
