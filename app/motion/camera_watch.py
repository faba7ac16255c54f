"""A thread that watches the camera while frames are read for other things."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from queue import Queue
from types import TracebackType

from numpy.typing import NDArray

from sasmamba.app.motion.background_motion import BackgroundMotion
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.camera_decision import decide
from sasmamba.app.motion.camera_motion import CameraMotion
from sasmamba.app.types import Frame, VideoMeta

#: Frames that wait for the thread at most; then whoever brings them waits.
_WAITING = 4


class CameraWatch:
    """Follows the background in a thread of its own; OpenCV lets others work meanwhile.

    Use it as a context manager: `see` every frame in order, then `motion`, once.
    """

    def __init__(self, meta: VideoMeta, camera: Intrinsics, rotating: bool = False) -> None:
        """
        Args:
            camera: of the first frame, known or assumed.
            rotating: the user says that it turns.
        """
        self._meta, self._camera, self._rotating = meta, camera, rotating
        self._background = BackgroundMotion(meta, camera)
        self._frames: Queue[tuple[Frame, Sequence[NDArray]] | None] = Queue(_WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="camera", daemon=True)

    def __enter__(self) -> CameraWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def see(self, frame: Frame, boxes_px: Sequence[NDArray]) -> None:
        """Hands a frame over, with boxes (4,) x0, y0, x1, y1 around people, as last known."""
        self._frames.put((frame, boxes_px))

    def motion(self, shots: Sequence[range]) -> CameraMotion:
        """How the camera moved in these shots, which together are all frames seen."""
        self._end()
        if self._error is not None:
            raise self._error
        return decide(self._background.chained(), shots, self._meta, self._camera, self._rotating)

    def _end(self) -> None:
        if self._thread.is_alive():
            self._frames.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (item := self._frames.get()) is not None:
            if self._error is None:  # after one, frames are taken in all the same, lest whoever brings them waits
                try:
                    self._background.see(*item)
                except Exception as error:
                    self._error = error
