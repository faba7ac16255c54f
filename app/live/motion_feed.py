"""Live motion for whoever listens, in a thread of its own: nothing that listens can delay the picture.

Every queue is bounded. Where the thread or a listener is too slow the newest wins, and what it replaced is counted.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Protocol, Self

from sasmamba.app.live.motion_message import MotionNow, about_json, motion_json, motion_now
from sasmamba.app.live.newest import Newest
from sasmamba.app.live.session import Shown
from sasmamba.app.types import VideoMeta

#: So many frames may wait for the thread, and so many messages for a client: about a quarter of a second.
_WAITING = 8


class Sender(Protocol):
    """Takes every frame's motion, in the feed's thread; it must not block."""

    def send(self, motion: MotionNow) -> None:
        """Takes one frame."""


class MotionFeed:
    """Turns results into messages and hands them on, as a context manager.

    Attributes:
        sent: frames that were handed on to anybody.
        dropped: frames that the thread was too slow for, or clients for whole messages.
    """

    def __init__(self, meta: VideoMeta, senders: tuple[Sender, ...] = ()) -> None:
        self._about, self._senders = about_json(meta), senders
        self._waiting: Newest[Shown] = Newest(_WAITING)
        self._lock = threading.Lock()  # of who listens
        self._listeners: list[Newest[str]] = []
        self._closed = False
        self._number = 0
        self._dropped = 0  # for clients who have left
        self.sent = 0
        self._thread = threading.Thread(target=self._run, name="motion", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.close()
        self._thread.join()
        with self._lock:
            self._closed = True
            for listener in self._listeners:
                listener.close()

    @property
    def dropped(self) -> int:
        """Frames that newer ones replaced before they were sent, and messages that clients were too slow for."""
        with self._lock:
            return self._waiting.dropped + self._dropped + sum(listener.dropped for listener in self._listeners)

    def put(self, shown: Shown) -> None:
        """Takes a result; costs nothing while nobody listens, and never waits."""
        if self._senders or self._listeners:
            self._waiting.put(shown)

    def join(self) -> Newest[str]:
        """A new client's queue; its first message says what the others mean."""
        listener: Newest[str] = Newest(_WAITING)
        listener.put(self._about)
        with self._lock:
            self._listeners.append(listener)
            if self._closed:
                listener.close()
        return listener

    def leave(self, listener: Newest[str]) -> None:
        """That client has gone."""
        with self._lock:
            self._listeners.remove(listener)
            self._dropped += listener.dropped

    def _run(self) -> None:
        while (shown := self._waiting.get()) is not None:
            motion = motion_now(shown, time.time() - time.monotonic())
            for sender in self._senders:
                sender.send(motion)
            with self._lock:
                listeners = tuple(self._listeners)
            if listeners:
                message = motion_json(motion, self._number, time.monotonic())
                for listener in listeners:
                    listener.put(message)
            self._number += 1
            self.sent += 1
