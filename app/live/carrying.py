"""People in live frames that the 2D stage leaves out: they go on as they went between the last two that it saw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sasmamba.app.types import Person2D

#: Motion seen longer ago than this says nothing of now.
_STALE_S = 0.25


class Carrying:
    """Where everybody is a moment after the 2D stage saw them.

    Offline, people between two detection frames are on the straight way from one to the other; live, the second one is
    not known yet.
    """

    def __init__(self) -> None:
        self._last: tuple[float, dict[int, Person2D]] = float("-inf"), {}
        self._before = self._last

    def see(self, time_s: float, people: tuple[Person2D, ...]) -> None:
        """Takes the tracked people of a frame that the 2D stage saw."""
        self._before, self._last = self._last, (time_s, {p.track_id: p for p in people if p.track_id is not None})

    def at(self, time_s: float) -> tuple[Person2D, ...]:
        """Everybody of the last frame seen, moved on to a later time; nobody where that is long past."""
        last_s, people = self._last
        if time_s - last_s > _STALE_S:
            return ()
        before_s, before = self._before
        passed_s = last_s - before_s
        share = (time_s - last_s) / passed_s if 0 < passed_s <= _STALE_S else 0.0
        return tuple(_moved(person, before.get(track_id), share) for track_id, person in people.items())


def _moved(person: Person2D, before: Person2D | None, share: float) -> Person2D:
    """Somebody so much farther on the way that they have come; joints that were not found before stay."""
    if before is None or share == 0:
        return person
    known = ((person.score > 0) & (before.score > 0))[:, None]
    step = np.where(known, person.joints_px - before.joints_px, 0)
    joints = (person.joints_px + np.float32(share) * step).astype(np.float32)
    box = (person.box_px + np.float32(share) * (person.box_px - before.box_px)).astype(np.float32)
    return replace(person, joints_px=joints, box_px=box)
