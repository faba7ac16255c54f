"""Loads a lifter beside other work: torch alone takes longer to come than everything else that a run needs."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sasmamba.app.weights.lifters import lifter_path

if TYPE_CHECKING:
    from sasmamba.app.lifting.lifter import Lifter


@contextmanager
def no_collection() -> Iterator[None]:
    """Leaves garbage where it lies: importing torch makes so many objects that looking for some takes a
    seventh of that. They count as old then, lest the next two looks at what is young go through all of them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # what others froze stays so
            gc.freeze()
            gc.unfreeze()
        if was_on:
            gc.enable()


@contextmanager
def lifter_beside(
    name: str, device: str, *, flip: bool, refine: bool, threads: int | None = None
) -> Iterator[Future[Lifter]]:
    """As `Lifter.load` for a detector's joints, in a thread of its own where it is a shipped one, whose content is
    known to be good.

    Raises:
        UserError: there is no such lifter, or a file of one's own is no good. That no scan can run comes out of the
            future.
    """
    path = lifter_path(name)  # said at once, as is all that may be wrong with a file of one's own

    def load() -> Lifter:
        with no_collection():
            from sasmamba.app.lifting.lifter import Lifter

            return Lifter.load(name, device, flip, refine=refine, threads=threads, detected=True)

    pool = ThreadPoolExecutor(1, "lifter")
    try:
        loading = pool.submit(load)
        if Path(name) == path:
            loading.result()
        yield loading
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
