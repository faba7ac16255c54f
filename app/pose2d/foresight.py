"""Frames of the future for backends that see a sequence at once: they see them when they are read, and answer in time.

A backend with foresight has `ahead`, how many frames it wants to see beyond the one it is asked about, and
`foresee(frame)`, which is told of every frame as it is read. It is then called with a frame when those after it are
known already, so its answer is about that frame, as `protocol.Pose2D` wants it, and nothing behind it is any later.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from sasmamba.app.pose2d.protocol import Pose2D
from sasmamba.app.types import Frame

_log = logging.getLogger(__name__)


@runtime_checkable
class Foresight(Protocol):
    """What a backend with foresight has besides `protocol.Pose2D`."""

    ahead: int

    def foresee(self, frame: Frame) -> None: ...


def with_foresight(frames: Iterator[Frame], pose2d: Pose2D) -> Iterator[Frame]:
    """Passes frames on, each after the backend has been told of those that it wants to see before.

    At both ends of a video there is nothing beyond; the backend takes the first or the last frame instead. A video of
    fewer frames than a sequence gets a note.
    """
    if not isinstance(pose2d, Foresight) or not pose2d.ahead:
        yield from frames
        return
    waiting: deque[Frame] = deque()
    seen = 0
    for frame in frames:
        seen += 1
        pose2d.foresee(frame)
        waiting.append(frame)
        if len(waiting) > pose2d.ahead:
            yield waiting.popleft()
    if 0 < seen < 2 * pose2d.ahead + 1:
        _log.info(
            f"2D: the video has {seen} frame{'s' * (seen > 1)}, fewer than the {2 * pose2d.ahead + 1} that "
            f"{pose2d.name} sees together; its first and last stand in for those beyond its ends."
        )
    yield from waiting
