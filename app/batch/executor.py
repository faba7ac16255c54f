"""What does the clips of a batch, as the batch sees it: processes of this machine, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from sasmamba.app.config import Job, Settings


@dataclass(frozen=True, slots=True)
class ClipProgress:
    """How far a clip is: frames done of all, None where the container does not say."""

    stage: str
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Done:
    """A clip is rendered: the fields of `run_report.Report`, and fps."""

    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """A clip could not be done.

    Attributes:
        sentence: why.
        disk_full: it was for want of room, which is not the clip's fault.
        final: another try would end the same.
    """

    sentence: str
    disk_full: bool = False
    final: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """The process that did the clip is gone.

    Attributes:
        sentence: how.
        node_failure: the clip cannot have been why, a whole node went away, say.
    """

    sentence: str
    node_failure: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Not begun: another node has to do it. The executor asks this one no more and keeps the reason."""


Message: TypeAlias = ClipProgress | Done | Failed | Lost | Refused
#: Does one clip and tells what happens, as `run_clip`
DoClip: TypeAlias = Callable[[Job, Settings, Callable[[Message], None]], None]


class ExecutorLost(Exception):
    """Nobody is left to do clips; the text is a sentence for the user."""


class Executor(Protocol):
    """Does clips, each told apart by a number of the caller's; one that has ended may be given again.

    Attributes:
        problems: sentences about nodes that could not be used.
    """

    problems: list[str]

    def free_slots(self) -> int:
        """How many more clips it would begin now; ExecutorLost where none ever will be."""
        ...

    def submit(self, number: int, job: Job, settings: Settings) -> None:
        """Has a clip done."""
        ...

    def messages(self, timeout_s: float) -> Iterable[tuple[int, Message]]:
        """What was told since the last call, waiting for it a while; every clip ends with anything but ClipProgress."""
        ...

    def close(self) -> None:
        """Stops everybody at once; what was being done is left as it lies."""
        ...
