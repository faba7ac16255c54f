"""Live motion for whoever listens, in a thread of its own: nothing that listens can delay the picture.

Every queue is bounded. Where the thread or a listener is too slow the newest wins, and what it replaced is counted.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from types import TracebackType
from typing import Protocol, Self

from sasmamba.app.live.motion_message import MotionNow, about_json, motion_json, motion_now
from sasmamba.app.live.session import Shown
from sasmamba.app.types import VideoMeta

#: So many frames may wait for the thread, and so many messages for a client: about a quarter of a second.
_WAITING = 8


class Sender(Protocol):
    """Takes every frame's motion, in the feed's thread; it must not block."""

    def send(self, motion: MotionNow) -> None:
        """Takes one frame."""


class Listener:
    """A client's queue of messages.

    Attributes:
        dropped: messages that newer ones replaced before the client took them.
    """

    def __init__(self, first: str) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[str] = deque([first])
        self._closed = False
        self.dropped = 0

    def put(self, message: str) -> None:
        """Leaves a message; the oldest makes room."""
        with self._changed:
            if len(self._waiting) >= _WAITING:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(message)
            self._changed.notify_all()

    def close(self) -> None:
        """Says that nothing more will come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether nothing more will come."""
        with self._changed:
            return self._closed

    def get(self, timeout_s: float) -> str | None:
        """The next message; None when there is none within that time, or at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, timeout_s)
            return self._waiting.popleft() if self._waiting else None


class MotionFeed:
    """Turns results into messages and hands them on, as a context manager.

    Attributes:
        sent: frames that were handed on to anybody.
        dropped: frames that the thread was too slow for, or clients for whole messages.
    """

    def __init__(self, meta: VideoMeta, senders: tuple[Sender, ...] = ()) -> None:
        self._about, self._senders = about_json(meta), senders
        self._changed = threading.Condition()
        self._waiting: deque[Shown] = deque()
        self._listeners: list[Listener] = []
        self._closed = False
        self._number = 0
        self._dropped = 0
        self.sent = 0
        self._thread = threading.Thread(target=self._run, name="motion", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        for listener in tuple(self._listeners):
            listener.close()

    @property
    def dropped(self) -> int:
        """Frames that newer ones replaced before they were sent, and messages that clients were too slow for."""
        with self._changed:
            return self._dropped + sum(listener.dropped for listener in self._listeners)

    def put(self, shown: Shown) -> None:
        """Takes a result; costs nothing while nobody listens, and never waits."""
        with self._changed:
            if not self._senders and not self._listeners:
                return
            if len(self._waiting) >= _WAITING:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(shown)
            self._changed.notify_all()

    def join(self) -> Listener:
        """A new client's queue; its first message says what the others mean."""
        listener = Listener(self._about)
        with self._changed:
            self._listeners.append(listener)
            if self._closed:
                listener.close()
        return listener

    def leave(self, listener: Listener) -> None:
        """That client has gone."""
        with self._changed:
            self._listeners.remove(listener)
            self._dropped += listener.dropped

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                shown = self._waiting.popleft()
                listeners = tuple(self._listeners)
            motion = motion_now(shown, time.time() - time.monotonic())
            for sender in self._senders:
                sender.send(motion)
            if listeners:
                message = motion_json(motion, self._number, time.monotonic())
                for listener in listeners:
                    listener.put(message)
            self._number += 1
            self.sent += 1
