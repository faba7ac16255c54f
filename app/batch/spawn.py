"""A process of our own at the other end of a pipe, which Ctrl-C does not reach."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any


def spawn(target: Callable[..., None], *arguments: Any, daemon: bool = False) -> tuple[Connection, BaseProcess]:
    """Starts target(connection, *arguments) in a new process; returns our end of its pipe, and the process."""
    context = multiprocessing.get_context("spawn")  # torch and MediaPipe have threads, which a fork would lose
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs, *arguments), daemon=daemon)
    with _interrupts_ignored():
        process.start()
    theirs.close()
    return ours, process


def ignore_interrupts() -> None:
    """For the process itself: it is the parent's business. Where `spawn` could not see to that, it is late."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A process that is started meanwhile ignores Ctrl-C from its first moment on, while it still imports.

    The parent ignores it as well, for the few milliseconds. Only the main thread may change that; elsewhere nothing is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
