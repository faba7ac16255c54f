"""Who is where, in pixels: one protocol, one file per backend, one function that chooses."""

from __future__ import annotations

from typing import Literal

from sasmamba.app.pose2d.protocol import Pose2D

Backend2D = Literal["mediapipe"]


def open_pose2d(backend: Backend2D, *, max_people: int, every: int = 1) -> Pose2D:
    """The backend of that name, its models loaded (fetched first if they are not here).

    Args:
        max_people: at most so many are found in one frame. every: it will be shown every so many frames of the video.

    Raises:
        UserError: the backend is not installed or its models cannot be had, with what to do.
        ValueError: an unknown name.
    """
    if backend == "mediapipe":
        from sasmamba.app.pose2d.mediapipe import MediaPipePose2D

        return MediaPipePose2D(max_people=max_people, every=every)
    raise ValueError(f"pose2d: want mediapipe, got {backend!r}")
