"""A Ray cluster does the clips: the process that speaks with Ray.

Each clip is done by an actor, one process on some node that holds one CPU. Its messages come back as a stream. Ray
never starts anything again by itself (no restarts, no retries): whether a clip is tried again is the batch's business.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from sasmamba.app.batch.executor import ClipProgress, DoClip, ExecutorLost, Failed, Lost, Refused
from sasmamba.app.batch.ray_actor import Begun, ClipActor, cannot, node_of_failed_actor
from sasmamba.app.batch.spawn import ignore_interrupts
from sasmamba.app.config import Job, Settings

#: How often nodes are counted, seconds.
_COUNT_EVERY_S = 2.0
#: A cluster that has had no node for this long will not have one soon.
_NO_NODE_S = 60.0
#: An actor that cannot be reached may be there still, until Ray knows better or this long has passed.
_DOUBT_S = 60.0
#: So many actors in a row may end before they have begun anything, and so many of one node.
_FALSE_STARTS, _FALSE_STARTS_OF_A_NODE = 10, 3
#: Between killing the actors and telling that they are gone.
_DYING_S = 0.5


@dataclass(frozen=True, slots=True)
class DriverSettings:
    """What the driver's process is started with: see `RayExecutor`; environment variables and version that nodes must
    have."""

    address: str
    gpu: bool
    environment: dict[str, str]
    version: str
    do: DoClip


@dataclass(frozen=True, slots=True)
class Capacity:
    """The cluster has room for so many clips from now on; the first one says that it is joined."""

    slots: int


@dataclass(frozen=True, slots=True)
class NodeExcluded:
    """A node cannot do clips, and why; it gets no more."""

    sentence: str


@dataclass(frozen=True, slots=True)
class DriverFailed:
    """It cannot go on, and why. nobody_there: there is no cluster."""

    sentence: str
    nobody_there: bool = False


@dataclass(slots=True, eq=False)
class _Actor:
    """An actor, the node it is on, and the number of the clip it has.

    doubt: since when it cannot be reached; probe: the sign of life it was asked for.
    """

    handle: Any
    node: str = ""
    host: str = ""
    number: int = -1
    begun: bool = False
    doubt: float | None = None
    probe: Any = None


@dataclass(slots=True)
class _Nodes:
    """Nodes by id.

    Attributes:
        slots: of those that are there.
        unfit: those that are used no more, and why.
        false_starts: how many actors of a node ended before they began a clip, since one last did.
    """

    slots: dict[str, int] = field(default_factory=dict)
    unfit: dict[str, str] = field(default_factory=dict)
    false_starts: Counter[str] = field(default_factory=Counter)
    counted: float = 0.0
    none_since: float | None = None

    def free_slots(self) -> int:
        return sum(n for node, n in self.slots.items() if node not in self.unfit)


def run_driver(connection: Connection, settings: DriverSettings) -> None:
    """The driver's process: joins the cluster, then does as told until the pipe closes."""
    ignore_interrupts()
    silent = os.open(os.devnull, os.O_RDWR)
    for number in (1, 2):
        os.dup2(silent, number)
    try:
        import ray

        ray.init(address=settings.address, log_to_driver=False, logging_level=logging.ERROR)
        driver = _RayDriver(connection, settings)
        connection.send(Capacity(driver.count()))
    except ConnectionError as error:
        connection.send(DriverFailed(_last_line(error), nobody_there=settings.address == "auto"))
        return
    except Exception as error:
        connection.send(DriverFailed(" ".join(str(error).split())[:400] or type(error).__name__))
        return
    try:
        driver.work()
    except ExecutorLost as gone:
        connection.send(DriverFailed(str(gone)))
    except (EOFError, OSError):
        pass  # the batch has closed the pipe, or is no more
    finally:
        driver.shut_down()


def _last_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[-1].strip() if text else type(error).__name__


def _why(error: BaseException) -> str:
    """Why an actor ended, in a few words: what was raised there, or what Ray knows of a process that died."""
    detail = re.search(r"Worker exit detail: (.*?)\.?(?: Some common causes|\n|$)", str(error))
    return f"the process died: {detail[1]}" if detail else _last_line(error)


class _RayDriver:
    def __init__(self, connection: Connection, settings: DriverSettings) -> None:
        self._pipe, self._settings = connection, settings
        self._kind = "GPU" if settings.gpu else "CPU"
        self._nodes = _Nodes()
        self._waiting: deque[tuple[int, Job, Settings]] = deque()
        self._starting: dict[Any, _Actor] = {}
        self._idle: deque[_Actor] = deque()
        self._streams: dict[Any, _Actor] = {}
        self._doubtful: list[_Actor] = []
        self._false_starts = 0

    def count(self) -> int:
        """Counts the nodes; returns how many clips they have room for."""
        import ray

        nodes = [node for node in ray.nodes() if node["Alive"]]
        self._nodes.slots = {n["NodeID"]: int(n["Resources"].get(self._kind, 0)) for n in nodes}
        self._nodes.counted = time.monotonic()
        free_slots = self._nodes.free_slots()
        if free_slots:
            self._nodes.none_since = None
        elif any(self._nodes.slots.get(node) for node in self._nodes.unfit):
            raise ExecutorLost(next(why for node, why in self._nodes.unfit.items() if self._nodes.slots.get(node)))
        else:
            self._nodes.none_since = self._nodes.none_since or time.monotonic()
            if time.monotonic() - self._nodes.none_since > _NO_NODE_S:
                raise ExecutorLost(
                    f"The cluster has no node with a {self._kind} left; run the command again when it has."
                )
        return free_slots

    def work(self) -> None:
        """Takes clips and passes on what becomes of them; ends by EOFError when the batch closes the pipe."""
        import ray

        free_slots = self._nodes.free_slots()
        while True:
            while self._pipe.poll(0 if self._streams or self._starting else 0.1):
                self._waiting.append(self._pipe.recv())
            if time.monotonic() - self._nodes.counted > _COUNT_EVERY_S and (now := self.count()) != free_slots:
                free_slots = now
                self._pipe.send(Capacity(free_slots))
            while self._waiting and self._idle:
                # who waits longest comes first: one that fails at once must not get clip after clip
                self._give(self._idle.popleft(), *self._waiting.popleft())
            while len(self._starting) < len(self._waiting):
                self._start()
            watched = [*self._streams, *self._starting]
            if watched and ray.wait(watched, num_returns=1, timeout=0.1)[0]:
                for ready in ray.wait(watched, num_returns=len(watched), timeout=0)[0]:
                    if ready in self._starting:
                        self._admit(ready)
                    else:
                        self._receive(ready)
            for actor in list(self._doubtful):
                self._probe(actor)

    def _start(self) -> None:
        """Asks for one more actor; Ray makes it when there is a free CPU."""
        import ray

        unfit = ",".join(self._nodes.unfit)
        handle: Any = (
            ray.remote(ClipActor)
            .options(
                num_cpus=1,
                num_gpus=int(self._settings.gpu),
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=2,  # it gives signs of life while it works
                scheduling_strategy="SPREAD",
                label_selector={"ray.io/node-id": f"!in({unfit})"} if unfit else None,
            )
            .remote(self._settings.environment, self._settings.version)
        )
        self._starting[handle.here.remote()] = _Actor(handle)

    def _admit(self, answer: Any) -> None:
        """Takes in an actor that was made, or was not."""
        import ray

        actor = self._starting.pop(answer)
        try:
            actor.node, actor.host, unfit = ray.get(answer)
        except ray.exceptions.RayError as error:
            actor.node, actor.host = node_of_failed_actor(error)
            self._note_false_start(actor, error)
            return
        self._false_starts = 0
        if unfit:
            self._exclude(actor, unfit)
        elif actor.node in self._nodes.unfit:
            ray.kill(actor.handle)
        else:
            self._idle.append(actor)

    def _note_false_start(self, actor: _Actor, error: Exception) -> None:
        """An actor ended before it began a clip: its node is used no more if its Python is why, or if that goes on."""
        import ray

        ray.kill(actor.handle)
        raised = isinstance(error, ray.exceptions.RayTaskError) or "creation task" in str(error)
        if actor.node and raised:
            self._exclude(actor, cannot(_why(error), self._settings.version))
        elif actor.node:
            self._nodes.false_starts[actor.node] += 1
            if self._nodes.false_starts[actor.node] >= _FALSE_STARTS_OF_A_NODE:
                self._exclude(
                    actor,
                    f"cannot do clips ({_why(error)}, {_FALSE_STARTS_OF_A_NODE} times before it began one): it may be "
                    "short of memory; `ray logs` there tells more",
                )
        else:
            self._false_starts += 1
            if self._false_starts > _FALSE_STARTS:
                raise ExecutorLost(
                    f"Processes on the cluster end as soon as they begin ({_why(error)}): every node needs "
                    f"sasmamba-demo {self._settings.version} in the Python that runs its `ray start`; `ray status` "
                    "tells how they are."
                ) from error

    def _exclude(self, actor: _Actor, reason: str) -> None:
        """Uses a node no more."""
        import ray

        ray.kill(actor.handle)
        for idle in [m for m in self._idle if m.node == actor.node]:
            self._idle.remove(idle)
            ray.kill(idle.handle)
        if actor.node not in self._nodes.unfit:
            self._nodes.unfit[actor.node] = f"Node {actor.host} {reason}."
            self._pipe.send(NodeExcluded(self._nodes.unfit[actor.node]))
        self._nodes.counted = 0.0

    def _give(self, actor: _Actor, number: int, job: Job, settings: Settings) -> None:
        actor.number, actor.begun = number, False
        do = actor.handle.do.options(num_returns="streaming")
        self._streams[do.remote(job, settings, self._settings.do)] = actor

    def _receive(self, stream: Any) -> None:
        """Takes one message of a stream."""
        import ray

        actor = self._streams[stream]
        try:
            message = ray.get(next(stream))
        except StopIteration:  # it ended, and never said how
            message = Failed("It ended without a word. This is a bug; please report it with the clip.")
        except ray.exceptions.RayTaskError as error:
            if not actor.begun:  # what a clip is done with could not be loaded there
                del self._streams[stream]
                self._refuse(actor, error)
                return
            message = Failed(f"{_last_line(error)}. This is a bug; please report it with the clip.")
        except ray.exceptions.RayError as error:
            del self._streams[stream]
            self._on_unreachable(actor, error)
            return
        if isinstance(message, Begun):
            actor.begun = True
            if message.refusal:
                del self._streams[stream]
                self._exclude(actor, message.refusal)
                self._pipe.send((actor.number, Refused()))
                return
            self._nodes.false_starts.pop(actor.node, None)
            return
        self._pipe.send((actor.number, message))
        if not isinstance(message, ClipProgress):
            del self._streams[stream]
            if actor.node in self._nodes.unfit:  # found so by another of that node, while this one was at work
                ray.kill(actor.handle)
                return
            if len(self._starting) > len(self._waiting):  # one is on its way that nobody waits for any more
                ray.kill(self._starting.popitem()[1].handle)
            self._idle.append(actor)

    def _on_unreachable(self, actor: _Actor, error: Exception) -> None:
        """An actor died or cannot be reached: tells, or waits until Ray knows which.

        A clip is not given to anybody else while its actor may still be at work.
        """
        import ray

        if not isinstance(error, ray.exceptions.ActorDiedError):
            actor.doubt = actor.doubt or time.monotonic()
            actor.probe = None
            if actor not in self._doubtful:
                self._doubtful.append(actor)
            return
        if actor in self._doubtful:
            self._doubtful.remove(actor)
        self.count()
        if actor.node in self._nodes.slots and not actor.begun:
            self._refuse(actor, error)
            return
        if actor.node in self._nodes.slots:
            lost = Lost(
                f"The process that did it on node {actor.host} died: that node may be short of memory; try fewer "
                "--jobs."
            )
        else:
            lost = Lost(f"The cluster lost node {actor.host} while that did it.", node_failure=True)
        self._pipe.send((actor.number, lost))

    def _refuse(self, actor: _Actor, error: Exception) -> None:
        """An actor that was given a clip ended before it began it: somebody else has to do it."""
        self._note_false_start(actor, error)
        self._pipe.send((actor.number, Refused()))

    def _probe(self, actor: _Actor) -> None:
        """Asks a doubtful actor for a sign of life, time and again, until it is certain what became of it."""
        import ray

        assert actor.doubt is not None
        patience_over = time.monotonic() - actor.doubt > _DOUBT_S
        if actor.probe is None:
            actor.probe = actor.handle.here.remote()
        if ray.wait([actor.probe], timeout=0.05)[0]:
            try:
                ray.get(actor.probe)
                patience_over = True  # it is there again, but the stream of its messages is not
            except ray.exceptions.RayError as error:
                if not patience_over:
                    self._on_unreachable(actor, error)
                    return
        if patience_over:
            ray.kill(actor.handle)
            self._doubtful.remove(actor)
            lost = Lost(f"The cluster lost touch with node {actor.host} while that did it.", node_failure=True)
            self._pipe.send((actor.number, lost))

    def shut_down(self) -> None:
        """Ends all actors and leaves the cluster."""
        import ray

        busy = [*self._streams.values(), *self._doubtful]
        for actor in (*busy, *self._idle, *self._starting.values()):
            ray.kill(actor.handle)
        if busy:
            time.sleep(_DYING_S)  # they may write until they are dead, and the batch is about to tidy up
        ray.shutdown()
