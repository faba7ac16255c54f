"""Processes of this machine that do one clip after another, told through pipes.

A clip that takes its process down with it (a decoder that crashes, memory that runs out) costs that clip and nothing
else. A process whose parent is gone ends itself.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait

from sasmamba.app.batch.executor import ClipProgress, Lost, Message
from sasmamba.app.batch.run_clip import run_clip
from sasmamba.app.batch.spawn import ignore_interrupts, spawn
from sasmamba.app.config import Job, Settings


class LocalPool:
    """So many processes at most, started when there is work for them."""

    def __init__(self, jobs: int) -> None:
        self.problems: list[str] = []
        self._jobs = jobs
        self._busy: dict[_Worker, int] = {}
        self._idle: list[_Worker] = []

    def free_slots(self) -> int:
        """How many more clips it would begin now."""
        return self._jobs - len(self._busy)

    def submit(self, number: int, job: Job, settings: Settings) -> None:
        """Has a clip done."""
        worker = self._idle.pop() if self._idle else _Worker()
        try:
            worker.connection.send((job, settings))
        except OSError:  # it died while it had nothing to do
            worker.end()
            worker = _Worker()
            worker.connection.send((job, settings))
        self._busy[worker] = number

    def messages(self, timeout_s: float) -> Iterator[tuple[int, Message]]:
        """What the processes told; see `Executor.messages`."""
        if not self._busy:
            time.sleep(timeout_s)
            return
        workers = {worker.connection: worker for worker in self._busy}
        for ready in wait(list(workers), timeout=timeout_s):
            worker = workers[ready]  # type: ignore[index]
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                message = Lost(worker.last_words())
                worker.end()
                yield self._busy.pop(worker), message
                continue
            if isinstance(message, ClipProgress):
                yield self._busy[worker], message
                continue
            self._idle.append(worker)
            yield self._busy.pop(worker), message

    def close(self) -> None:
        """Ends all processes, busy or not."""
        for worker in (*self._busy, *self._idle):
            worker.end()
        self._busy.clear()
        self._idle.clear()


class _Worker:
    """One process; its end of the pipe gives messages, and EOFError when it has died."""

    def __init__(self) -> None:
        self.connection, self._process = spawn(_serve, daemon=True)

    def end(self) -> None:
        """Stops it, at once if it is busy."""
        self._process.terminate()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.connection.close()

    def last_words(self) -> str:
        """What to say of a process that died."""
        self._process.join(5)
        code = self._process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return f"The process that did it ended with {how}: the machine may be short of memory; try fewer --jobs."


def _serve(connection: Connection) -> None:
    """Does clips until the pipe closes. The work runs beside the main thread, which watches the parent."""
    ignore_interrupts()
    threading.Thread(target=_work, args=(connection,), daemon=True).start()
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(connection: Connection) -> None:
    while True:
        try:
            job, settings = connection.recv()
        except EOFError:
            os._exit(0)
        run_clip(job, settings, connection.send)
