"""2D poses of a user's own: read, lifted, written, without a video."""

from __future__ import annotations

import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sasmamba.app.lifting import Lifter, lift_sequence
from sasmamba.app.placing import to_camera_axes
from sasmamba.app.runs import runs
from sasmamba.app.sinks.atomic import same_file
from sasmamba.app.smoothing import POSE_S, zero_phase
from sasmamba.app.take import write_npz
from sasmamba.app.types import FloatArray, UserError
from sasmamba.models.normalise import mask_missing
from sasmamba.models.skeletons import H36M, coco17_to_h36m17, mediapipe33_to_coco17

#: Input skeletons, and how many joints each has.
SKELETONS = {"h36m17": 17, "coco17": 17, "mediapipe33": 33}

#: What numpy raises for files that are no NPZ, cut off, altered, or that claim more than memory holds.
_UNREADABLE = (
    OSError, ValueError, TypeError, EOFError, AttributeError, MemoryError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Keypoints:
    """2D poses: xyc (P, F, 17, 3) H36M-17 x px, y px, score; fps; width, height in pixels; fov_deg, the field of view
    along the picture's longer side, where it is known; one_person where the file had no axis over people."""

    xyc: FloatArray
    fps: float
    width: int
    height: int
    fov_deg: float | None = None
    one_person: bool = True


def read_keypoints(path: Path) -> Keypoints:
    """Reads `lift`'s input: keypoints (F, J, 3) or (P, F, J, 3) x px, y px, score; fps, width, height, skeleton; and
    fov_deg if it is known.

    A score of 0 or NaN, or a NaN position, marks a missing joint.

    Raises:
        UserError: the file is missing or breaks the format, with what is expected.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist.", exit_code=2)
    try:
        with np.load(path, allow_pickle=False) as archive:
            z = {k: np.asarray(archive[k]) for k in archive.files}
    except _UNREADABLE as error:
        raise UserError(f"{path} is not a readable NPZ file; write one with numpy.savez.") from error
    wanted = ("keypoints", "fps", "width", "height", "skeleton")
    if missing := [k for k in wanted if k not in z]:
        raise UserError(f"{path} lacks {', '.join(missing)}; it must hold {', '.join(wanted)}.")
    skeleton = z["skeleton"].item() if z["skeleton"].size == 1 else z["skeleton"].tolist()
    if isinstance(skeleton, bytes):
        skeleton = skeleton.decode(errors="replace")
    if str(skeleton) not in SKELETONS:
        raise UserError(f"{path}: skeleton {str(skeleton)!r} is unknown; use one of {', '.join(SKELETONS)}.")
    points = z["keypoints"]
    if points.ndim not in (3, 4) or points.shape[-2:] != (SKELETONS[skeleton], 3) or points.shape[-3] < 1:
        raise UserError(
            f"{path}: keypoints for {skeleton} must have shape (frames, {SKELETONS[skeleton]}, 3), got {points.shape}."
        )
    if not np.issubdtype(points.dtype, np.floating) and not np.issubdtype(points.dtype, np.integer):
        raise UserError(f"{path}: keypoints must be numbers, got {points.dtype}.")
    try:
        fps, width, height = float(z["fps"].item()), int(z["width"].item()), int(z["height"].item())
        fov_deg = float(z["fov_deg"].item()) if "fov_deg" in z else None
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: fps, width, height and fov_deg must be single numbers.") from error
    if fov_deg is not None and not 10 <= fov_deg <= 150:
        raise UserError(f"{path}: fov_deg must lie between 10 and 150 degrees, got {fov_deg:g}.")
    if not (0 < fps < math.inf and width > 0 and height > 0):
        raise UserError(f"{path}: fps, width and height must be above 0, got {fps}, {width}, {height}.")
    points = mask_missing(points)
    xy, score = points[..., :2], points[..., 2]
    if skeleton == "mediapipe33":
        xy, score = mediapipe33_to_coco17(xy, score)
    if skeleton != "h36m17":
        xy, score = coco17_to_h36m17(xy, score)
    if not (score > 0).any():
        raise UserError(f"{path}: every joint is missing in every frame, there is nothing to lift.")
    xyc = np.concatenate([xy, score[..., None]], -1)
    return Keypoints(xyc if xyc.ndim == 4 else xyc[None], fps, width, height, fov_deg, one_person=xyc.ndim == 3)


def lift_file(source: Path, out: Path, lifter: Lifter, smooth: bool = True) -> int:
    """Lifts a file of 2D poses (see `read_keypoints`) and returns the number of frames.

    Writes joints3d float32 (F, 17, 3), or (P, F, 17, 3) where the input has people, metres relative to the pelvis, x
    right, y down, z forward, NaN where nothing was there to lift; fps; skeleton; model; axes: "facing", those of a
    camera that looks straight at the person, or "camera", the camera's own, where the input holds `fov_deg`.

    Args:
        smooth: take the jitter out, each stretch without a gap by itself (`smoothing.zero_phase`).

    Raises:
        UserError: the input breaks the format or the output cannot be written.
    """
    if out.suffix.lower() != ".npz":
        raise UserError(f"Poses are saved as .npz, not {out.name!r}.", exit_code=2)
    if same_file(source, out):
        raise UserError(f"The poses would overwrite {source}; choose another OUT.npz.", exit_code=2)
    given = read_keypoints(source)
    joints = np.stack([lift_sequence(lifter, person) for person in given.xyc])
    if smooth:
        for person in joints:
            for begin, end in runs(np.isfinite(person).all((1, 2))):
                person[begin:end] = zero_phase(np.arange(begin, end) / given.fps, person[begin:end], POSE_S)
    if given.fov_deg is not None:
        pelves = given.xyc[:, :, H36M.PELVIS]
        size = given.width, given.height
        joints = np.stack([to_camera_axes(j, p, size, given.fov_deg) for j, p in zip(joints, pelves, strict=True)])
    write_npz(
        out,
        {
            "joints3d": joints[0] if given.one_person else joints, "fps": np.array(given.fps),
            "skeleton": np.array("h36m17"), "axes": np.array("facing" if given.fov_deg is None else "camera"),
            "model": np.array(lifter.name),
        },
    )  # fmt: skip
    return joints.shape[1]
