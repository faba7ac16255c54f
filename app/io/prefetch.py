"""Frames and pictures made ahead by a thread of their own."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from queue import Empty, Full, Queue
from typing import Any, TypeVar

T = TypeVar("T")


def prefetch(frames: Iterable[T], size: int = 4) -> Generator[T, None, None]:
    """Reads ahead in a thread, at most `size` items, so that making items and using them overlap; 0 is without thread.

    Beside the items queued one is being made and one is with the caller: `size` + 2 exist at most.

    Exceptions of `frames` come out where the failing item would have; leaving the generator early stops the thread
    and closes `frames` in it.
    """
    if size < 0:
        raise ValueError(f"size: want >= 0, got {size}")
    if size == 0:
        yield from frames
        return
    queue: Queue[tuple[str, Any]] = Queue(size)
    stop = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not stop.is_set():
            try:
                queue.put((kind, value), timeout=0.1)
                return True
            except Full:
                continue
        return False

    def read() -> None:
        items = iter(frames)
        try:
            for item in items:
                if not put("item", item):
                    return
            put("end", None)
        except BaseException as error:
            put("error", error)
        finally:
            if hasattr(items, "close"):
                items.close()

    thread = threading.Thread(target=read, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = queue.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stop.set()
        while True:  # a full queue would keep frames alive until the generator is collected
            try:
                queue.get_nowait()
            except Empty:
                break
        thread.join()
