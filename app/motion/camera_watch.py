"""A thread that watches the camera and the scene's edges while frames are read for other things."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from queue import Queue
from types import TracebackType

import numpy as np

from sasmamba.app.motion.background_motion import BackgroundMotion
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.camera_decision import SURE, decide, picture_moves
from sasmamba.app.motion.camera_motion import CameraMotion
from sasmamba.app.motion.camera_rest import RestingCamera
from sasmamba.app.motion.scene_lines import LineFinder
from sasmamba.app.types import Frame, Person2D, SceneLines, VideoMeta

#: A camera that is said to be still is looked at so often.
_GLIMPSE_S = Fraction(1, 5)
_NO_PICTURE = np.zeros((1, 1, 3), np.uint8)
#: Frames that wait for the thread at most; then whoever brings them waits.
_WAITING = 4


class CameraWatch:
    """Follows the background in a thread of its own; OpenCV lets others work meanwhile.

    Use it as a context manager: `see` every frame in order, then `motion`, once, and `lines`.
    """

    def __init__(self, meta: VideoMeta, camera: Intrinsics, rotating: bool = False, *, glimpses: bool = False) -> None:
        """
        Args:
            camera: of the first frame, known or assumed.
            rotating: the user says that it turns.
            glimpses: the user says that it is still: look at a frame now and then, to tell if it is not.
        """
        self._meta, self._camera, self._rotating = meta, camera, rotating
        # frames that are glimpses are rare enough
        self._background = BackgroundMotion(meta, camera) if glimpses else RestingCamera(meta, camera)
        self._line_finder = LineFinder()
        self.glimpses, self._glimpsed = glimpses, list[Frame]()
        self._frames: Queue[tuple[Frame, Sequence[Person2D]] | None] = Queue(_WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="camera", daemon=True)

    def __enter__(self) -> CameraWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def see(self, frame: Frame, people: Sequence[Person2D]) -> None:
        """Hands a frame over, with people, as last known."""
        if self.glimpses:
            last = self._glimpsed[-1] if self._glimpsed else None
            if last is not None and frame.cut is None and frame.time_s < last.time_s + _GLIMPSE_S:
                return
            self._glimpsed.append(replace(frame, bgr=_NO_PICTURE))
        self._frames.put((frame, people))

    def motion(self, shots: Sequence[range]) -> CameraMotion:
        """How the camera moved in these shots, which together are all frames seen."""
        self._end()
        if self._error is not None:
            raise self._error
        return decide(self._background.chained(), shots, self._meta, self._camera, self._rotating)

    def lines(self) -> SceneLines:
        """Straight edges of the pictures seen."""
        self._end()
        if self._error is not None:
            raise self._error
        return self._line_finder.lines

    def strayed(self, shots: Sequence[range]) -> dict[int, float]:
        """By frame of a glimpse by how much the picture had moved since its shot's first, as a share of its longer
        side."""
        self._end()
        if self._error is not None:
            raise self._error
        out: dict[int, float] = {}
        sightings = {f.index: s for f, s in zip(self._glimpsed, self._background.chained(), strict=True)}
        for shot in shots:
            own = [(f, s) for f, s in sightings.items() if f in shot]
            sure = [(f, s) for f, s in own if s.confidence >= SURE]
            if sure:
                R = np.stack([own[0][1].R_start_cam.T @ s.R_start_cam for _, s in sure])
                zoom = np.array([s.zoom / own[0][1].zoom for _, s in sure])
                moves = picture_moves(R, zoom, self._meta, self._camera).tolist()
                out |= dict(zip([f for f, _ in sure], moves, strict=True))
        return out

    def _end(self) -> None:
        if self._thread.is_alive():
            self._frames.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (item := self._frames.get()) is not None:
            if self._error is None:  # after one, frames are taken in all the same, lest whoever brings them waits
                try:
                    frame, people = item
                    self._background.see(frame, people)
                    self._line_finder.see(frame, [person.box_px for person in people])
                except Exception as error:
                    self._error = error
