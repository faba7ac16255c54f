"""A Ray cluster does the clips: the actor, a process on some node that does one at a time."""

from __future__ import annotations

import os
import platform
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from typing import Any

from sasmamba.app.batch.executor import DoClip, Failed, Message
from sasmamba.app.batch.settings import files_named
from sasmamba.app.config import Job, Settings
from sasmamba.common.errors import UserError


@dataclass(frozen=True, slots=True)
class Begun:
    """An actor's first message of a clip; refusal: why no clip can be done on its node, then the last one."""

    refusal: str


class ClipActor:
    """The actor: does one clip at a time."""

    def __init__(self, environment: dict[str, str], version: str) -> None:
        os.environ.update(environment)
        self._version = version

    def here(self) -> tuple[str, str, str]:
        """Where it is: the node's id and name; and why it can do nothing there, if so."""
        from importlib.metadata import version

        import ray

        try:
            there = version("sasmamba-demo")
        except PackageNotFoundError:
            there = "without a version"
        unfit = "" if there == self._version else f"has sasmamba-demo {there}: install {self._version} there"
        return ray.get_runtime_context().get_node_id(), platform.node(), unfit

    def do(self, job: Job, settings: Settings, do: DoClip) -> Iterator[Begun | Message]:
        """Does a clip; the last message tells how that ended."""
        refusal = _what_is_missing(job, settings)
        yield Begun(refusal)
        if refusal:
            return
        told: queue.SimpleQueue[Begun | Message | None] = queue.SimpleQueue()

        def work() -> None:
            try:
                do(job, settings, told.put)
            except ImportError as error:  # no clip's fault: the node lacks a package, or has a broken one
                told.put(Begun(cannot(f"{type(error).__name__}: {error}", self._version)))
            except BaseException as error:
                told.put(Failed(f"{type(error).__name__}: {error}. This is a bug; please report it with the clip."))
            finally:
                told.put(None)

        threading.Thread(target=work, daemon=True).start()
        while (message := told.get()) is not None:
            yield message


def cannot(why: str, version: str) -> str:
    """What is said of a node whose Python is the reason that no clip can be done there."""
    return f"cannot do clips ({why}): it needs sasmamba-demo {version} in the Python that runs its `ray start`"


def _what_is_missing(job: Job, settings: Settings) -> str:
    """Why no clip can be done here, or nothing: what the node does not have, every clip would fail by."""
    from sasmamba.app.export.formats import parse_formats

    for path in (job.source, job.out.parent, *files_named(settings)):  # all were there when the batch submitted it
        if not os.path.exists(path):
            return (
                f"cannot see {path}: videos, renders and weights must lie on storage that all nodes share, under the "
                "same path"
            )
    try:
        if settings.export:
            parse_formats(",".join(settings.export))
    except UserError as error:
        return f"lacks a package. {str(error).rstrip('.')} there"
    return ""


def node_of_failed_actor(error: Any) -> tuple[str, str]:
    """The id and name of the node on which an actor failed to begin; empty where Ray does not know."""
    import ray

    try:  # Ray's public way to ask wants its dashboard, which many clusters do not run
        from ray._private import state
    except ImportError:
        return "", ""
    node = state.actors(error.actor_id).get("Address", {}).get("NodeID", "") if error.actor_id else ""
    names = {n["NodeID"]: n["NodeManagerHostname"] for n in ray.nodes()}
    return (node, names[node]) if node in names else ("", "")
