"""Processes that do one clip after another, told through pipes.

A clip that takes its process down with it (a decoder that crashes, memory that runs out) costs that clip and nothing
else. A process whose parent is gone ends itself.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any

from sasmamba.app.config import RunConfig

#: Frames between two messages of progress.
_TELL_EVERY = 15


class Worker:
    """One process.

    Attributes:
        connection: messages of the process: ("progress", stage, done, total), ("done", report) or ("failed", sentence).
            At its end (EOFError) the process has died.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # torch and MediaPipe have threads, which a fork would lose
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def give(self, config: RunConfig) -> None:
        """Has it do a clip."""
        self.connection.send(config)

    def end(self) -> int | None:
        """Stops it, at once if it is busy; returns its exit code, negative for a signal."""
        self._process.terminate()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.connection.close()
        return self._process.exitcode

    def last_words(self) -> str:
        """What to say of a process that died."""
        self._process.join(5)
        code = self._process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return f"The process that did it ended with {how}: the machine may be short of memory; try fewer --jobs."


def _serve(connection: Connection) -> None:
    """Does clips until the pipe closes. The work runs beside the main thread, which watches the parent."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    threading.Thread(target=_work, args=(connection,), daemon=True).start()
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(connection: Connection) -> None:
    import torch

    from sasmamba.app.pipeline import run
    from sasmamba.app.types import UserError

    torch.set_num_threads(1)
    while True:
        try:
            config = connection.recv()
        except EOFError:
            os._exit(0)

        def progress(stage: str, done: int, total: int | None) -> None:
            if done % _TELL_EVERY == 0 or done == total:
                connection.send(("progress", stage, done, total))

        message: tuple[Any, ...]
        try:
            report = run(config, progress)
            message = "done", asdict(report) | {"fps": report.fps}
        except UserError as error:
            message = "failed", str(error)
        except Exception as error:
            # one clip's bug must not end the night's work; the journal keeps what it was
            message = "failed", f"{type(error).__name__}: {error}. This is a bug; please report it with the clip."
        connection.send(message)
