"""MediaPipe's pose landmarker: one person's landmarks in a square view, opened, asked and closed.

Its native side is talkative; `native_output` keeps that off the terminal.
"""

from __future__ import annotations

import atexit
import functools
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.common.arrays import FloatArray
from sasmamba.common.errors import UserError

Picture = NDArray[np.uint8]

#: Paint over what must not be found; the mid-grey is nobody's outline.
GREY = 114


class Landmarker:
    """One MediaPipe pose landmarker: a square RGB view in, the most prominent person's landmarks out.

    In video mode it locks on to that person (`locked`) until they are lost or `forget` is called.
    """

    def __init__(self, model: Path, *, video: bool) -> None:
        self.locked = False
        self._video = video
        self._clock_ms = 0
        self._mp, self._task = _open_landmarker(model, video)
        _close_at_exit(self)

    def __call__(self, rgb: Picture, step_ms: int = 1) -> tuple[FloatArray, FloatArray] | None:
        """Landmarks (33, 2) in fractions of the view and score (33,), or None where nobody is found."""
        image = self._mp.Image(image_format=self._mp.ImageFormat.SRGB, data=rgb)
        self._clock_ms += step_ms
        people = self._detect(image)
        self.locked = self._video and bool(people)
        if not people:
            return None
        points = np.array([(p.x, p.y) for p in people[0]], np.float32)
        score = np.array([min(p.visibility, p.presence) for p in people[0]], np.float32)
        return points, np.clip(score, 0, 1)

    def forget(self) -> None:
        """Drops the person a video landmarker is locked on to, by showing it an empty view."""
        while self.locked:
            self(np.full((64, 64, 3), GREY, np.uint8))

    def close(self) -> None:
        self._task.close()

    def _detect(self, image: Any) -> list[Any]:
        result = self._task.detect_for_video(image, self._clock_ms) if self._video else self._task.detect(image)
        return result.pose_landmarks


_open: weakref.WeakSet[Landmarker] = weakref.WeakSet()


def _close_at_exit(landmarker: Landmarker) -> None:
    """Sees to it that a landmarker which nobody closes is closed when the interpreter ends.

    MediaPipe closes its own objects too late, when the modules that it needs for that are gone, and prints tracebacks.
    It also leaves the closing to a thread pool, and those stop before `atexit` begins: the hook that they themselves
    stop by is the one before which it must happen.
    """
    _register()
    _open.add(landmarker)


@functools.cache
def _register() -> None:
    getattr(threading, "_register_atexit", atexit.register)(_close_all)


def _close_all() -> None:
    for landmarker in list(_open):
        landmarker.close()


def load_mediapipe() -> tuple[Any, Any]:
    """MediaPipe and its tasks, with the native library loaded.

    Raises:
        UserError: MediaPipe is not installed, or its native library does not load.
    """
    try:
        import mediapipe as mp
        from mediapipe.tasks import python as tasks

        # The native library is loaded for the first object that lives in it.
        mp.Image(image_format=mp.ImageFormat.SRGB, data=np.zeros((1, 1, 3), np.uint8))
    except ModuleNotFoundError as error:
        raise UserError(f"--pose2d mediapipe needs MediaPipe ({error}): pip install 'mediapipe>=1.2'.") from error
    except (ImportError, OSError) as error:
        raise UserError(
            f"MediaPipe's native library cannot be loaded ({error}): install the system libraries libEGL, libGLESv2 "
            "and libGL (Debian, Ubuntu: apt-get install libegl1 libgles2 libgl1)."
        ) from error
    return mp, tasks


def _open_landmarker(model: Path, video: bool) -> tuple[Any, Any]:
    mp, tasks = load_mediapipe()
    vision = tasks.vision
    mode = vision.RunningMode.VIDEO if video else vision.RunningMode.IMAGE
    base = tasks.BaseOptions(model_asset_path=str(model))
    options = vision.PoseLandmarkerOptions(base_options=base, running_mode=mode)
    try:
        return mp, vision.PoseLandmarker.create_from_options(options)
    except (RuntimeError, ValueError, OSError) as error:
        raise UserError(
            f"{model} cannot be opened as a pose landmarker ({error}). Run `sasmamba-demo weights verify`, "
            "or name another .task file."
        ) from error
