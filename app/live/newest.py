"""A bounded queue between threads in which the newest wins, as all of live mode's are."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Newest(Generic[T]):
    """A mailbox with room for a few things: the oldest that nobody took makes room for the next, and is counted.

    Args:
        room: how many things may lie there.

    Attributes:
        dropped: things that made room for newer ones.
    """

    def __init__(self, room: int = 1) -> None:
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._room = room
        self._closed = False
        self.dropped = 0

    def put(self, item: T, wait_s: float = 0.0) -> None:
        """Leaves an item; where there is no room, first waits so long for one to be taken."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._items) < self._room, wait_s):
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()

    def close(self) -> None:
        """Says that nothing more will come; what lies there can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def over(self) -> bool:
        """Whether nothing lies there and nothing will come."""
        with self._changed:
            return self._closed and not self._items

    def get(self, timeout: float | None = None) -> T | None:
        """Takes the oldest item, waiting for one if need be; None when it is over or the time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout)
            item = self._items.popleft() if self._items else None
            self._changed.notify_all()
            return item
