"""Joint angles as files: one tidy table for statistics, and a motion file per person as OpenSim reads them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sasmamba.app.export.motion_table import PersonMotion, at_fixed_rate
from sasmamba.app.export.options import Footage
from sasmamba.common.files import atomic_path, printable
from sasmamba.models.angles import ANGLES

COLUMNS = ("time_s", "person", "side", "joint", "angle", "degrees", "seen")


def write_angles(table: Path, motions: Sequence[Path], people: Sequence[PersonMotion], footage: Footage) -> None:
    """Writes every angle of `models.angles.ANGLES`, which defines them.

    table: CSV, one row per frame, person and angle: time_s of the video, person, side (left, right, middle), joint
    (hip, knee, ankle, shank, shoulder, elbow, trunk), angle (flexion, ...), degrees, seen (1 where the person was seen
    in that frame; 0 where neighbours carried the pose). Frames and angles that are not known, those of unseen limbs
    too, have no row.

    motions: one OpenSim motion file (.mot) per person, degrees, by the names of `Angle.series`, NaN where unknown, at a
    constant rate. They are this program's angles for plots and comparison; a model's own coordinates come from its
    inverse kinematics on the TRC.

    Raises:
        UserError: the disk refuses.
    """
    with atomic_path(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for person in people:
            _write_rows(writer, person, footage.options.keep_inferred)
    for path, person in zip(motions, people, strict=True):
        _write_mot(path, person, footage)


def _write_rows(writer, person: PersonMotion, keep_inferred: bool) -> None:  # type: ignore[no-untyped-def] # csv has no public type for it
    angles = person.angles(keep_inferred)
    for f, time_s in enumerate(person.times_s):
        for angle in ANGLES:
            joint, _, what = angle.name.partition("_")
            for name in angle.series:
                degrees, side = angles[name][f], name.partition("_")[0] if angle.sides else "middle"
                if np.isfinite(degrees):
                    row = f"{time_s:.6f}", person.track_id, side, joint, what, f"{degrees:.2f}"
                    writer.writerow([*row, int(person.observed[f])])


def _write_mot(path: Path, person: PersonMotion, footage: Footage) -> None:
    person = at_fixed_rate(person, footage.fps)
    angles = person.angles(footage.options.keep_inferred)
    header = [
        printable(path.name),
        "version=1",
        f"nRows={len(person.times_s)}",
        f"nColumns={len(angles) + 1}",
        "inDegrees=yes",
    ]
    with atomic_path(path) as temporary, temporary.open("w", newline="\n", encoding="utf-8") as out:
        out.write("\n".join([*header, "endheader", "\t".join(["time", *angles])]) + "\n")
        np.savetxt(out, np.column_stack([person.times_s, *angles.values()]), "%.6f", "\t")
