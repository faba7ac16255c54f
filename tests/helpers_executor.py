"""What stands in for the pipeline where a batch is tested on an executor: a clip's text becomes its render's."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sasmamba.app.batch.executor import ClipProgress, Done, Failed, Message
from sasmamba.app.config import Job, Settings
from sasmamba.common.files import atomic_path


def report(out: Path) -> dict[str, object]:
    """What a run reports of one render."""
    return {"files": [str(out)], "problems": [], "written": 1, "people": {}, "fps": 1.0}


def note(log: Path, *words: object) -> None:
    """Appends a line; several processes may do so at the same time."""
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, (" ".join(map(str, words)) + "\n").encode())
    os.close(handle)


def name_weights(job: Job, settings: Settings, tell: Callable[[Message], None]) -> None:
    """Fails with where weights are expected."""
    tell(Failed(os.environ["SASMAMBA_WEIGHTS"]))


def without_a_package(job: Job, settings: Settings, tell: Callable[[Message], None]) -> None:
    """Wants what is not installed."""
    raise ImportError("libdoes_not_exist.so: cannot open shared object file")


def with_a_bug(job: Job, settings: Settings, tell: Callable[[Message], None]) -> None:
    """Raises what nobody catches."""
    raise ZeroDivisionError("no people")


class _NotLoaded:
    """Does no clip: where a cluster's process loads it, something happens.

    Args:
        dies: the process is killed; otherwise an import fails.
    """

    def __init__(self, dies: bool) -> None:
        self.dies = dies

    def __call__(self, job: Job, settings: Settings, tell: Callable[[Message], None]) -> None:
        raise AssertionError("nobody can load this")

    def __reduce__(self) -> tuple[Callable[[bool], object], tuple[bool]]:
        return load_it, (self.dies,)


def load_it(dies: bool) -> object:
    """What unpickling does."""
    if "default_worker" not in sys.argv[0]:  # only an actor is hurt, not who passes it on
        return _NotLoaded(dies)
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)
    raise ImportError("cannot import name 'new' from 'sasmamba'")


DIES_AS_IT_IS_LOADED, CANNOT_BE_LOADED = _NotLoaded(dies=True), _NotLoaded(dies=False)


def copy_clip(job: Job, settings: Settings, tell: Callable[[Message], None]) -> None:
    """Copies a clip slowly; who begins and who ends it is noted in a log beside the folder of clips.

    The clip says for how long, "SECONDS", or what else is to happen: "crash" or "fail".
    """
    log = next(folder for folder in job.source.parents if folder.name == "clips").parent / "log"
    word = job.source.read_text().strip()
    note(log, "begun", job.source.name, os.getpid())
    if word == "crash":
        os._exit(3)
    if word == "fail":
        tell(Failed(f"{job.out} could not be made."))
        return
    with atomic_path(job.out) as temporary:
        temporary.write_text(word)
        for step in range(10):
            tell(ClipProgress("render", step, 10))
            time.sleep(float(word) / 10)
    note(log, "ended", job.source.name, os.getpid())
    tell(Done(report(job.out)))
