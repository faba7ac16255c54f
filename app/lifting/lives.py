"""The poses of everybody in a take."""

from __future__ import annotations

from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.offline import lift_tracks, tracked_rows
from sasmamba.app.take import Take
from sasmamba.common.arrays import FloatArray
from sasmamba.common.progress import Progress


def lift_take(take: Take, lifter: Lifter, progress: Progress) -> None:
    """Everybody's poses, from the 2D of their whole life."""
    take.model = lifter.name
    take.wide = lifter.wide or take.wide
    seen: dict[int, dict[int, FloatArray]] = {}
    for index in range(take.detection_frames[-1] + 1 if take.detection_frames else 0):
        for track_id, row in tracked_rows(take.people_at(index)).items():
            seen.setdefault(track_id, {})[index] = row
    frames = sum(max(rows) + 1 - min(rows) for rows in seen.values())

    def tell(done: int) -> None:
        progress("lift", done, frames)

    take.add_poses(lift_tracks(lifter, seen, fps=float(take.meta.fps), progress=tell))
