"""TRC, the marker tables of Motion Analysis, as OpenSim reads them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from sasmamba.app.export.motion_table import JOINTS, R_YUP_WORLD, PersonMotion, at_fixed_rate
from sasmamba.common.files import atomic_path, printable


def write_trc(path: Path, motion: PersonMotion, fps: Fraction, notes: dict[str, Any]) -> None:
    """Writes one person's joints as markers: millimetres, x right, y up, z towards the camera, floor at y = 0.

    Time is the video's. Cells of frames without a pose are empty, as the format has it. The format has no room for
    notes; a variable frame rate is resampled to the average.

    Source: "Marker (.trc) Files", OpenSim documentation: five lines of header, an empty one, tabs between cells.

    Raises:
        UserError: the disk refuses.
    """
    motion = at_fixed_rate(motion, fps)
    rate, count = f"{float(fps):.6f}", len(motion.times_s)
    header = [
        f"PathFileType\t4\t(X/Y/Z)\t{printable(path.name)}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{count}\t{len(JOINTS)}\tmm\t{rate}\t1\t{count}",
        "Frame#\tTime\t" + "\t\t\t".join(JOINTS) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{i}" for i in range(1, len(JOINTS) + 1) for axis in "XYZ"),
        "",
    ]
    with atomic_path(path) as temporary, temporary.open("w", newline="\n", encoding="utf-8") as out:
        out.write("\n".join(header) + "\n")
        for number, (time, pose) in enumerate(zip(motion.times_s, motion.joints, strict=True), 1):
            values = (1000 * pose @ R_YUP_WORLD.T).ravel()
            cells = "\t".join(f"{v:.3f}" for v in values) if np.isfinite(values).all() else "\t" * (len(values) - 1)
            out.write(f"{number}\t{time:.6f}\t{cells}\n")
