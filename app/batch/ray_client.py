"""A Ray cluster does the clips: this end of it. Ray itself runs in a process of its own, see ray_driver.py.

Ray prints what it pleases, takes over signals, and ends its process when it cannot reach the cluster any more; there
none of that reaches the user.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from sasmamba.app import weights
from sasmamba.app.batch.executor import ClipProgress, DoClip, ExecutorLost, Message
from sasmamba.app.batch.ray_driver import Capacity, DriverFailed, DriverSettings, NodeExcluded, run_driver
from sasmamba.app.batch.run_clip import run_clip
from sasmamba.app.batch.spawn import spawn
from sasmamba.app.config import Job, Settings
from sasmamba.common.errors import UserError

#: A head node that does not answer a call within this is not there; Ray itself would try for two minutes.
_CALL_S = 3.0
#: Ray is imported and has joined the cluster within this.
_JOIN_S = 40.0
_NONE_HERE = (
    "--cluster auto: no Ray cluster runs on this machine. Start one with `ray start --head` (and `ray start "
    "--address=HEAD:6379` on the other nodes), or leave --cluster away: --jobs N uses this machine alone."
)


class RayExecutor:
    """The CPUs (or GPUs) of a Ray cluster, one clip each.

    Args:
        address: HOST:PORT of the head node, or auto for the cluster this machine is a node of.
        jobs: clips at the same time; None for as many as the cluster has CPUs (GPUs) for, also when nodes come and go.
        gpu: each clip wants a GPU.
        do: what does a clip, as `run_clip`; the nodes must be able to import it.
        stopped: whether the user does not want it any more; then nothing is joined, and there is room for nothing.

    Raises:
        UserError: Ray is not installed, or there is no such cluster.
    """

    def __init__(
        self,
        address: str,
        jobs: int | None,
        *,
        gpu: bool = False,
        do: DoClip = run_clip,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.problems: list[str] = []
        if find_spec("ray") is None:
            raise UserError("--cluster needs Ray: pip install 'sasmamba-demo[cluster]', here and on every node.")
        self._address, self._jobs, self._slots = _checked(address), jobs, 0
        self._busy: set[int] = set()
        settings = DriverSettings(self._address, gpu, _environment(), version("sasmamba-demo"), do)
        self._connection, self._process = spawn(run_driver, settings)
        try:
            self._join(stopped)
        except BaseException:
            self._process.kill()  # it has nobody to end yet, and may be stuck
            self.close()
            raise

    def _join(self, stopped: Callable[[], bool]) -> None:
        where = (
            "--cluster auto: the cluster this machine is a node of"
            if self._address == "auto"
            else (f"--cluster: the Ray cluster at {self._address}")
        )
        try:
            until = time.monotonic() + _JOIN_S
            while not (answered := self._connection.poll(0.2)) and time.monotonic() < until:
                if stopped():
                    self._process.kill()  # it may be stuck for long
                    return
            told = self._connection.recv() if answered else None
        except (EOFError, OSError):
            told = None
        if isinstance(told, DriverFailed) and told.nobody_there:
            raise UserError(_NONE_HERE)
        if isinstance(told, DriverFailed):
            raise UserError(f"{where} cannot be used: {told.sentence}")
        if not isinstance(told, Capacity):
            raise UserError(f"{where} does not answer: see with `ray status` whether it runs.")
        self._slots = told.slots

    def free_slots(self) -> int:
        """How many more clips it would begin now."""
        return (self._jobs or self._slots) - len(self._busy)

    def submit(self, number: int, job: Job, settings: Settings) -> None:
        """Has a clip done."""
        try:
            self._connection.send((number, job, settings))
        except OSError as error:
            raise self._lost() from error
        self._busy.add(number)

    def messages(self, timeout_s: float) -> Iterator[tuple[int, Message]]:
        """What was told since the last call; see `Executor.messages`."""
        until = time.monotonic() + timeout_s
        while self._connection.poll(max(0.0, until - time.monotonic())):
            try:
                told: Any = self._connection.recv()
            except (EOFError, OSError) as error:
                raise self._lost() from error
            if isinstance(told, Capacity):
                self._slots = told.slots
            elif isinstance(told, NodeExcluded):
                self.problems.append(told.sentence)
            elif isinstance(told, DriverFailed):
                raise ExecutorLost(told.sentence)
            else:
                number, message = told
                if not isinstance(message, ClipProgress):
                    self._busy.discard(number)
                yield number, message
                until = 0.0  # what else is there already, and then back

    def _lost(self) -> ExecutorLost:
        return ExecutorLost(
            f"The Ray cluster ({self._address}) cannot be reached any more: when it is back, run the command again; "
            "it goes on from here."
        )

    def close(self) -> None:
        """Leaves the cluster, which ends everybody's work there."""
        self._connection.close()  # the driver sees that, ends its actors and exits
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _environment() -> dict[str, str]:
    """This project's environment variables, for nodes that work in another folder and for another user."""
    found = {name: value for name, value in os.environ.items() if name.startswith("SASMAMBA_")}
    return found | {"SASMAMBA_WEIGHTS": str(weights.cache_dir())} if found.get("SASMAMBA_WEIGHTS") else found


def _checked(address: str) -> str:
    """An address that somebody answers at, or auto.

    Raises:
        UserError: it is no address (exit code 2), or nobody answers.
    """
    named = os.environ.get("RAY_ADDRESS", "auto") if address == "auto" else address
    if named == "auto":
        return named
    host, _, port = named.rpartition(":")
    if "//" in named or not host or not port.isdecimal() or int(port) > 65535:
        raise UserError(
            f"--cluster wants auto or the head node's HOST:PORT, such as 10.0.0.1:6379, not {named!r}; "
            "run the command on a node of the cluster.",
            exit_code=2,
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CALL_S).close()
    except OSError as error:
        raise UserError(
            f"--cluster: nobody answers at {named} ({error.strerror or error}). The address is that of the head node; "
            "`ray status` there tells whether it runs."
        ) from error
    return named
