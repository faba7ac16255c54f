"""The chain over a file of 2D poses: read, lifted, smoothed, written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from sasmamba.app.io.keypoints import read_keypoints
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.offline import lift_people
from sasmamba.app.motion.axes import to_camera_axes
from sasmamba.app.motion.smoothing import POSE_S, zero_phase
from sasmamba.common.errors import UserError
from sasmamba.common.files import check_writable, same_file, write_npz
from sasmamba.common.runs import runs
from sasmamba.models.skeletons import H36M


def lift_file(
    source: Path,
    out: Path,
    lifter: Lifter,
    smooth: bool = True,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> int:
    """Lifts a file of 2D poses (see `read_keypoints`) and returns the number of frames.

    Writes joints3d float32 (F, 17, 3), or (P, F, 17, 3) where the input has people, metres relative to the pelvis, x
    right, y down, z forward, NaN where nothing was there to lift; fps; skeleton; model; axes: "facing", those of a
    camera that looks straight at the person, or "camera", the camera's own, where the input holds `fov_deg`.

    Args:
        smooth: take the jitter out, each stretch without a gap by itself (`smoothing.zero_phase`).
        progress: told the stage, "lift", and of how many frames so many are done; each person has frames of their own.

    Raises:
        UserError: the input breaks the format or the output cannot be written.
    """
    if out.suffix.lower() != ".npz":
        raise UserError(f"Poses are saved as .npz, not {out.name!r}.", exit_code=2)
    if same_file(source, out):
        raise UserError(f"The poses would overwrite {source}; choose another OUT.npz.", exit_code=2)
    given = read_keypoints(source)
    check_writable(out)
    people, frames = given.xyc.shape[:2]

    def tell(done: int) -> None:
        if progress:
            progress("lift", done, people * frames)

    lifted = lift_people(lifter, [*given.xyc], fps=given.fps, detected=given.detected, progress=tell)
    joints = np.stack([one.joints for one in lifted])
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
            "joints3d": joints[0] if given.one_person else joints,
            "fps": np.array(given.fps),
            "skeleton": np.array("h36m17"),
            "axes": np.array("facing" if given.fov_deg is None else "camera"),
            "model": np.array(lifter.name),
        },
    )
    return joints.shape[1]
