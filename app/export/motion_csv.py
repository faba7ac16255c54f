"""CSV: one row per person and frame, for spreadsheets and pandas."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.motion_table import FEET, JOINTS, PersonMotion
from sasmamba.app.export.options import Footage
from sasmamba.app.motion.certainty import NAMES
from sasmamba.common.files import atomic_path


def write_csv(path: Path, people: Sequence[PersonMotion], footage: Footage) -> None:
    """Writes everybody: frame, time_s, track_id, observed (1 seen, 0 carried by the frames around), then for each joint
    x, y, z in metres, x right, y away from the camera, z up, floor at z = 0, and the score of its 2D joint, 0..1; then
    x, y, z of heels and toes, and of each foot whether the 2D showed it and whether it rests, 1 or 0; then of each
    joint, heels and toes too, whether it was seen, inferred or unknown, see `certainty.joint_states`; and of each of
    them the half-widths of its 68 % interval across and along the line of sight, metres.

    Times are the video's own, exact at a variable rate too; frames without a pose have no row, and what is not known is
    an empty cell. Header names carry joint and unit: left_knee_x_m.

    Raises:
        UserError: the disk refuses.
    """
    columns = ["frame", "time_s", "track_id", "observed"]
    columns += [f"{joint}_{what}" for joint in JOINTS for what in ("x_m", "y_m", "z_m", "score")]
    columns += [f"{point}_{axis}_m" for point in FEET for axis in "xyz"]
    columns += [f"{side}_foot_{what}" for what in ("seen", "planted") for side in ("left", "right")]
    columns += [f"{point}_state" for point in (*JOINTS, *FEET)]
    columns += [f"{point}_half_width_{way}_m" for point in (*JOINTS, *FEET) for way in ("across", "along")]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        for person in people:
            points, widths = person.told(footage.options.keep_inferred), person.point_half_widths_m
            for f in np.flatnonzero(person.posed).tolist():
                joints = np.concatenate([points[f, : len(JOINTS)], person.score[f, :, None]], 1).ravel()
                head = person.frame[f], f"{person.times_s[f]:.6f}", person.track_id, int(person.observed[f])
                feet = *_cells(points[f, len(JOINTS) :]), *map(int, person.feet_seen[f]), *map(int, person.planted[f])
                known = *(NAMES[state] for state in person.states[f]), *_cells(widths[f])
                writer.writerow([*head, *_cells(joints), *feet, *known])


def _cells(values: NDArray) -> list[str]:
    return ["" if np.isnan(v) else f"{v:.4f}" for v in values.ravel().tolist()]
