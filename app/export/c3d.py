"""C3D, the binary format of motion capture laboratories, written by ezc3d."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.markers import Marker, marker_positions, markers_named
from sasmamba.app.export.motion_table import AXES, PersonMotion, at_fixed_rate
from sasmamba.app.export.options import Footage
from sasmamba.app.motion.certainty import Certainty
from sasmamba.common.errors import UserError
from sasmamba.common.files import atomic_path

#: The header counts frames in 16 bits.
MOST_FRAMES = 65535
#: A residual has one byte, with a sign.
_MOST_RESIDUAL = 127
#: Strings of parameters are short.
_LINE = 120


def write_c3d(path: Path, motion: PersonMotion, footage: Footage) -> None:
    """Writes one person's joints, heels and toes as points, by the names that `ExportOptions.markers` says:
    millimetres, x right, y away from the camera, z up, floor at z = 0.

    Points without a pose, and those whose place is unknown, are marked missing (residual -1). The residual of others is
    what is known of them: 0, which the format has for points that were made up, where they are inferred, or the lifter
    cannot say how sure it is; otherwise the half-width of the 68 % interval, whole millimetres, the root mean square of
    the three axes, 127 at most. The group SASMAMBA holds the axes, the time of the first frame in the video, and the
    assumptions as JSON in lines. A variable frame rate is resampled to the average; the
    rate itself is stored in single precision, as the format has it.

    Raises:
        UserError: ezc3d is not installed, more frames than the format counts, or the disk refuses.
    """
    try:
        import ezc3d
    except ImportError as error:
        raise UserError("C3D needs the package ezc3d: pip install 'sasmamba-demo[export]'.") from error
    markers = markers_named(footage.options.markers)
    motion = at_fixed_rate(motion, footage.fps)
    count = len(motion.times_s)
    if count > MOST_FRAMES:
        raise UserError(
            f"{path}: C3D counts at most {MOST_FRAMES} frames, this person has {count}; cut with --start and --end, or "
            "export trc."
        )
    points = np.ones((4, len(markers), count))
    points[:3] = 1000 * marker_positions(markers, motion.told(footage.options.keep_inferred)).transpose(2, 1, 0)
    missing = ~np.isfinite(points[:3]).all(0)
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [float(footage.fps)]
    file["parameters"]["POINT"]["LABELS"]["value"] = [marker.name for marker in markers]
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file["data"]["points"] = points
    file["data"]["meta_points"]["residuals"] = np.where(missing, -1.0, _residuals(markers, motion))[None]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    text = json.dumps(footage.notes["assumptions"])
    file.add_parameter("SASMAMBA", "AXES", [AXES])
    file.add_parameter("SASMAMBA", "START_S", [float(motion.times_s[0])])
    file.add_parameter("SASMAMBA", "TRACK_ID", [motion.track_id])
    file.add_parameter("SASMAMBA", "ASSUMPTIONS", [text[i : i + _LINE] for i in range(0, len(text), _LINE)])
    # ezc3d takes names as UTF-8 and of no other bytes, and folders may be called anything
    with atomic_path(path) as temporary, TemporaryDirectory() as folder:
        plain = Path(folder) / "motion.c3d"
        file.write(str(plain))
        if plain.stat().st_size < 4 * points.size:  # it does not say when the disk was full
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        temporary.write_bytes(plain.read_bytes())


def _residuals(markers: tuple[Marker, ...], motion: PersonMotion) -> NDArray:
    """(markers, F) millimetres of points that are there."""
    across, along = np.moveaxis(motion.point_half_widths_m, -1, 0)
    own = np.nan_to_num(1000 * np.sqrt((2 * across**2 + along**2) / 3))
    own[motion.states != Certainty.SEEN] = 0
    return own[:, [marker.point for marker in markers]].T.clip(max=_MOST_RESIDUAL)
