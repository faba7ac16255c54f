"""CSV: one row per person and frame, for spreadsheets and pandas."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sasmamba.app.export.motion_table import FEET, JOINTS, PersonMotion
from sasmamba.app.export.options import Footage
from sasmamba.common.files import atomic_path


def write_csv(path: Path, people: Sequence[PersonMotion], footage: Footage) -> None:
    """Writes everybody: frame, time_s, track_id, observed (1 seen, 0 carried by the frames around), then for each joint
    x, y, z in metres, x right, y away from the camera, z up, floor at z = 0, and the score of its 2D joint, 0..1; then
    x, y, z of heels and toes, and of each foot whether the 2D showed it and whether it rests, 1 or 0.

    Times are the video's own, exact at a variable rate too; frames without a pose have no row. Header names carry joint
    and unit: left_knee_x_m.

    Raises:
        UserError: the disk refuses.
    """
    columns = ["frame", "time_s", "track_id", "observed"]
    columns += [f"{joint}_{what}" for joint in JOINTS for what in ("x_m", "y_m", "z_m", "score")]
    columns += [f"{point}_{axis}_m" for point in FEET for axis in "xyz"]
    columns += [f"{side}_foot_{what}" for what in ("seen", "planted") for side in ("left", "right")]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        for person in people:
            for f in np.flatnonzero(np.isfinite(person.joints).all((1, 2))).tolist():
                joints = np.concatenate([person.joints[f], person.score[f, :, None]], 1).ravel()
                head = person.frame[f], f"{person.times_s[f]:.6f}", person.track_id, int(person.observed[f])
                feet = *(f"{v:.4f}" for v in person.feet[f].ravel()), *map(int, person.feet_seen[f])
                writer.writerow([*head, *(f"{v:.4f}" for v in joints), *feet, *map(int, person.planted[f])])
