"""One clip of a batch, done in a process that serves the batch, with whatever happens turned into a message."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace

from sasmamba.app.batch.executor import ClipProgress, Done, Failed, Message
from sasmamba.app.config import Job, Settings
from sasmamba.common.errors import UserError, memory_error

#: Frames between two messages of progress.
_TELL_EVERY = 15


def run_clip(job: Job, settings: Settings, tell: Callable[[Message], None]) -> None:
    """Runs the pipeline, on one thread unless settings say more; tells progress, and at last Done or Failed."""
    import torch

    from sasmamba.app.pipeline import run
    from sasmamba.common import native_output

    native_output.silence()

    settings = replace(settings, threads=settings.threads or 1)
    torch.set_num_threads(settings.threads or 1)

    def progress(stage: str, done: int, total: int | None) -> None:
        if done % _TELL_EVERY == 0 or done == total:
            tell(ClipProgress(stage, done, total))

    ended: Message
    try:
        report = run(job, settings, progress)
        ended = Done(report.plain())
    except UserError as error:
        ended = failure(error)
    except Exception as error:
        # one clip's bug must not end the night's work; the journal keeps what it was
        bug = f"{type(error).__name__}: {error}. This is a bug; please report it with the clip."
        ended = Failed(str(memory_error(error) or bug))
    tell(ended)


def failure(error: UserError) -> Failed:
    """The message of an error: what a person has to mend does not mend itself, what the system refused may pass."""
    return Failed(str(error), is_disk_full(error), final=not isinstance(error.__cause__, OSError))


def is_disk_full(error: UserError) -> bool:
    """Whether it was a full disk, or a quota."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.ENOSPC, errno.EDQUOT)
