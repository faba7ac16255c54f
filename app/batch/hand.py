"""A Ray cluster does the clips: the actor, a process on some node that does one at a time."""

from __future__ import annotations

import os
import platform
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sasmamba.app.batch.crew import Message
from sasmamba.app.config import RunConfig


@dataclass(frozen=True, slots=True)
class Begun:
    """An actor's first message of a clip; refusal: why it will not do it."""

    refusal: str


class Hand:
    """The actor: does one clip at a time."""

    def __init__(self, environment: dict[str, str], version: str) -> None:
        os.environ.update(environment)
        self._version = version

    def here(self) -> tuple[str, str, str]:
        """Where it is: the node's id and name; and why it can do nothing there, if so."""
        from importlib.metadata import version

        import ray

        there = version("sasmamba-demo")
        unfit = "" if there == self._version else f"has sasmamba-demo {there}: install {self._version} there"
        return ray.get_runtime_context().get_node_id(), platform.node(), unfit

    def do(
        self, config: RunConfig, do: Callable[[RunConfig, Callable[[Message], None]], None]
    ) -> Iterator[Begun | Message]:
        """Does a clip; the last message tells how that ended."""
        for path in (config.source, config.out.parent):  # both were there when the clip was handed out
            if not path.exists():
                yield Begun(
                    f"cannot see {path}: videos and renders must lie on storage that all nodes share, under the same "
                    "path"
                )
                return
        yield Begun("")
        told: queue.SimpleQueue[Message | None] = queue.SimpleQueue()

        def work() -> None:
            try:
                do(config, told.put)
            finally:
                told.put(None)

        threading.Thread(target=work, daemon=True).start()
        while (message := told.get()) is not None:
            yield message
