"""TRC, the marker tables of Motion Analysis, as OpenSim reads them."""

from __future__ import annotations

from pathlib import Path

from sasmamba.app.export.markers import marker_positions, markers_named
from sasmamba.app.export.motion_table import R_YUP_WORLD, PersonMotion, at_fixed_rate
from sasmamba.app.export.options import Footage
from sasmamba.common.files import atomic_path, printable


def write_trc(path: Path, motion: PersonMotion, footage: Footage) -> None:
    """Writes one person's joints, heels and toes as markers: millimetres, x right, y up, z towards the camera, floor at
    y = 0, by the names that `ExportOptions.markers` says.

    Time is the video's. Cells of frames without a pose and of markers whose place is unknown are "nan": where they are
    empty, OpenSim misses a row's last one and refuses the file. The format has no room for notes; a variable frame rate
    is resampled to the average.

    Source: "Marker (.trc) Files", OpenSim documentation: five lines of header, an empty one, tabs between cells.

    Raises:
        UserError: the disk refuses.
    """
    markers = markers_named(footage.options.markers)
    motion = at_fixed_rate(motion, footage.fps)
    points = marker_positions(markers, motion.told(footage.options.keep_inferred))
    rate, count = f"{float(footage.fps):.6f}", len(motion.times_s)
    header = [
        f"PathFileType\t4\t(X/Y/Z)\t{printable(path.name)}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{count}\t{len(markers)}\tmm\t{rate}\t1\t{count}",
        "Frame#\tTime\t" + "\t\t\t".join(marker.name for marker in markers) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{i}" for i in range(1, len(markers) + 1) for axis in "XYZ"),
        "",
    ]
    with atomic_path(path) as temporary, temporary.open("w", newline="\n", encoding="utf-8") as out:
        out.write("\n".join(header) + "\n")
        for number, (time, pose) in enumerate(zip(motion.times_s, points, strict=True), 1):
            values = (1000 * pose @ R_YUP_WORLD.T).ravel()
            cells = "\t".join(f"{v:.3f}" for v in values)  # NaN is written nan
            out.write(f"{number}\t{time:.6f}\t{cells}\n")
