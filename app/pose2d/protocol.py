"""The door of the 2D stage: what every backend offers to the pipeline."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from sasmamba.app.types import Frame, Person2D


def begins_anew(frame: Frame, last: Frame) -> bool:
    """Whether what is remembered of the last frame tells nothing of this one: a new shot, or another video."""
    return frame.cut is not None or frame.time_s <= last.time_s or frame.bgr.shape != last.bgr.shape


class Pose2D(Protocol):
    """Finds people and their joints in one frame at a time.

    The constructor loads, calling infers. Frames arrive in order of time. The result has one `Person2D` per
    person, COCO-17 joints in pixels of the frame, `track_id` None (identities are given by tracking); nobody in
    the picture is an empty tuple. Where a new shot begins, everybody is looked for afresh (`begins_anew`). Backends are
    context managers and free their models on exit.
    """

    name: str

    def __call__(self, frame: Frame) -> tuple[Person2D, ...]: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class Sized(Protocol):
    """What a backend has besides that tells how small people may be."""

    def smallest_px(self, width: int, height: int) -> int:
        """The height of the smallest people who are found in pictures of that size, most of them."""
        ...


def nobody_found(pose2d: Pose2D, width: int, height: int) -> str:
    """How large people would have to be in pictures of that size, as a sentence; "" where it is not known."""
    if not isinstance(pose2d, Sized):
        return ""
    return (
        f" {pose2d.name} finds people of about {pose2d.smallest_px(width, height)} pixels of height and more in "
        f"pictures of {width} × {height}."
    )


@runtime_checkable
class Stepping(Protocol):
    """What a backend has besides that can do the same with networks of different cost, while frames come.

    Attributes:
        networks: their names, the most exact and dearest first.
        using: that of the one that is asked for.
    """

    networks: tuple[str, ...]
    using: str

    def use(self, name: str) -> None: ...
