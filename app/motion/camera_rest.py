"""A camera that stands still is looked at now and then, and in every frame again as soon as it moves.

While nothing has moved for a while, frames are held back until the next that is looked at. Where that shows the picture
as it was, those held back lie between the two; where it does not, each is looked at after all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sasmamba.app.motion.background_motion import WORK_PX, BackgroundMotion, Sighting
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.turn_fit import rotation, rotation_vector
from sasmamba.app.types import Frame, Person2D, VideoMeta

#: A camera rests when for so long its picture has moved by no more than this, in pixels of those that are compared.
REST_S, REST_PX = 1.0, 0.3
#: Then it is looked at so often. What begins and ends between two looks is not seen; no hand shakes so fast.
LOOK_S = 0.1
#: A look counts if it is so sure.
_SURE = 0.3


class RestingCamera:
    """`BackgroundMotion` with less to do where nothing moves; `see` every frame in order, then read `chained`.

    Args:
        meta, camera: as of `BackgroundMotion`.
    """

    def __init__(self, meta: VideoMeta, camera: Intrinsics) -> None:
        self._background = BackgroundMotion(meta, camera)
        self._enough, self._most_held = max(2, round(REST_S * meta.fps)), round(LOOK_S * meta.fps) - 1
        self._held: list[tuple[Frame, Sequence[Person2D]]] = []
        self._came: Sighting | None = None  # when the picture came to where it is
        self._rested = 0  # frames since then

    def see(self, frame: Frame, people: Sequence[Person2D]) -> None:
        """As `BackgroundMotion.see`."""
        if self._rested >= self._enough and len(self._held) < self._most_held and frame.cut is None:
            self._held.append((frame, people))
            return
        if self._held and self._still_there(frame, people):
            return
        self._look_at_held()
        self._look(frame, people)

    def chained(self) -> list[Sighting]:
        """As `BackgroundMotion.chained`."""
        self._look_at_held()
        return self._background.chained()

    def _still_there(self, frame: Frame, people: Sequence[Person2D]) -> bool:
        """Whether the picture is where it was before the frames that are held back; then they are done, too."""
        before, last = self._background.state, self._background.sightings[-1]
        self._background.see(frame, people)
        now = self._background.sightings.pop()
        if now.confidence < _SURE or self._moved_px(now) > REST_PX or self._background.state[:2] != before[:2]:
            self._background.state = before
            return False
        self._background.sightings += [*_between(last, now, len(self._held)), now]
        self._held.clear()
        return True

    def _look_at_held(self) -> None:
        held, self._held = self._held, []
        for frame, people in held:
            self._look(frame, people)

    def _look(self, frame: Frame, people: Sequence[Person2D]) -> None:
        self._background.see(frame, people)
        now = self._background.sightings[-1]
        if now.confidence >= _SURE and self._moved_px(now) <= REST_PX:
            self._rested += 1
        else:
            self._came, self._rested = now, 0

    def _moved_px(self, now: Sighting) -> float:
        """By how much the picture has moved at most since it came to where it is."""
        if self._came is None:
            return np.inf
        turn = rotation_vector(self._came.R_start_cam.T @ now.R_start_cam)
        zoom = abs(np.log(now.zoom / self._came.zoom)) * WORK_PX / 2
        return float(np.abs(turn).max() * self._background.focal_px * now.zoom + zoom)


def _between(last: Sighting, now: Sighting, count: int) -> list[Sighting]:
    """Sightings of so many frames that nobody looked at, spread evenly over what little lies between two."""
    turn, zoom = rotation_vector(last.R_start_cam.T @ now.R_start_cam), np.log(now.zoom / last.zoom)
    shares = np.arange(1, count + 1) / (count + 1)
    confidence = min(last.confidence, now.confidence)
    return [
        Sighting(last.R_start_cam @ rotation(s * turn), last.zoom * float(np.exp(s * zoom)), confidence, now.parallax)
        for s in shares.tolist()
    ]
