"""The poses of everybody in a take."""

from __future__ import annotations

import numpy as np

from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.offline import lift_people, tracked_rows
from sasmamba.app.take import Take
from sasmamba.app.types import Pose3D
from sasmamba.common.arrays import FloatArray
from sasmamba.common.progress import Progress


def lift_take(take: Take, lifter: Lifter, progress: Progress) -> None:
    """Everybody's poses, from the 2D of their whole life."""
    seen: dict[int, dict[int, FloatArray]] = {}
    for index in range(take.detection_frames[-1] + 1 if take.detection_frames else 0):
        for track_id, row in tracked_rows(take.people_at(index)).items():
            seen.setdefault(track_id, {})[index] = row
    lives = []
    for rows in seen.values():
        first, last = min(rows), max(rows)
        lives.append(np.zeros((last + 1 - first, 17, 3), np.float32))
        lives[-1][[index - first for index in rows]] = list(rows.values())
    frames = sum(map(len, lives))
    lifted = lift_people(lifter, lives, fps=float(take.meta.fps), progress=lambda done: progress("lift", done, frames))
    for (track_id, rows), own in zip(seen.items(), lifted, strict=True):
        for i, joints in enumerate(own.joints):
            if np.isfinite(joints).all():
                index, width = min(rows) + i, None if own.half_width_m is None else own.half_width_m[i].copy()
                take.tracks[track_id].poses[index] = Pose3D(
                    index, track_id, joints.copy(), observed=index in rows, half_width_m=width
                )
