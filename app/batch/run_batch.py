"""A batch: clips are given to an executor, and the journal tells what is left to do.

A clip that failed is tried once more, unless another try must end the same.
"""

from __future__ import annotations

import logging
import secrets
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sasmamba.app.batch.clips import Clip, find_clips
from sasmamba.app.batch.executor import ClipProgress, Done, Executor, ExecutorLost, Failed, Lost, Message, Refused
from sasmamba.app.batch.finalize import finalize, finished_files
from sasmamba.app.batch.journal import BatchJournal, Record, fingerprint
from sasmamba.app.batch.local_pool import LocalPool
from sasmamba.app.batch.run_clip import failure, is_disk_full
from sasmamba.app.batch.settings import digest, local_jobs, same_everywhere
from sasmamba.app.config import Job, Settings
from sasmamba.app.pipeline import outputs
from sasmamba.app.pose2d import ensure_models
from sasmamba.common.errors import UserError
from sasmamba.common.files import check_writable, disk_errors_explained
from sasmamba.common.interrupts import Stop
from sasmamba.common.machine import cores, free_memory_mb

#: Times a clip is tried before it counts as failed.
_TRIES = 2
#: Times it may lose a whole node. That is not counted as a try, but a clip that brings nodes down must not go through
#: them all.
_LOSSES = 5
#: More clips at the same time than this are a slip of the finger, on a cluster, too.
_MOST_JOBS = 1000
#: With less room than this on the disk every clip would fail; the batch stops instead.
_LEAST_FREE_BYTES = 50_000_000

_log = logging.getLogger(__name__)

#: watch(clip, stage, frames done, frames in all or None); stage "done" or "failed" when the clip has ended
Watch = Callable[[Clip, str, int, int | None], None]


@dataclass(frozen=True, slots=True)
class Ended:
    """How one clip of a batch ended.

    Attributes:
        clip: which.
        state: "done", "kept" (it was done before) or "failed".
        report: the figures, as of `run_report.Report`; empty where it failed.
        error: the reason where it failed.
    """

    clip: Clip
    state: str
    report: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a batch did.

    Attributes:
        clips: all that ended, in the order of their names.
        untried: how many did not.
        problems: sentences about folders that could not be read, and nodes that could not be used.
        stopped: why it ended before the last clip; empty if it did not.
        interrupted: the user stopped it.
    """

    clips: list[Ended]
    untried: int
    problems: list[str]
    stopped: str = ""
    interrupted: bool = False

    def count(self, state: str) -> int:
        """How many clips ended so."""
        return sum(ended.state == state for ended in self.clips)


def run_batch(
    folder: Path,
    out: Path,
    settings: Settings,
    *,
    save_poses: bool = False,
    jobs: int | None = None,
    cluster: str | None = None,
    watch: Watch | None = None,
    told_total: Callable[[int], None] | None = None,
) -> BatchReport:
    """Renders every clip below a folder into another, keeping the tree.

    Args:
        folder, out: where clips are and where renders go; `out` may lie in `folder`.
        settings: those of every clip.
        save_poses: also save every clip's poses beside its render.
        jobs: clips at the same time; None for as many as suits this machine, see `settings.local_jobs`, and on a
            cluster for as many as it has room for.
        cluster: do them on this Ray cluster, see `RayExecutor`; None for processes of this machine.
        told_total: is called once, with the number of clips found.

    Raises:
        UserError: no such folder, no clip in it, `out` cannot be written, another batch is at work there, or there is
            no such cluster.
    """
    if jobs is not None and not 1 <= jobs <= _MOST_JOBS:
        raise UserError(f"--jobs must lie between 1 and {_MOST_JOBS}, not {jobs}.", exit_code=2)
    asked = settings
    if cluster is not None:
        folder, out, settings = folder.absolute(), out.absolute(), same_everywhere(settings)
    clips, problems = find_clips(folder, out)
    if told_total:
        told_total(len(clips))
    if cluster is None:  # once for all, and before the first clip
        ensure_models(settings.pose2d, settings.detector, settings.pose2d_weights, settings.pose2d_px)
    key = digest(asked, save_poses)  # what the user asked for: a cluster goes on where this machine left off
    check_writable(out / "probe")
    with _alone(out), Stop.on_interrupt() as stop:
        batch = _Batch(out, settings, key, save_poses, watch or (lambda *_: None))
        batch.sort_out(clips)
        stopped = ""
        if batch.waits:
            if cluster is None:
                jobs = jobs or _chosen_jobs(settings, batch.waits)
                batch.settings = replace(settings, threads=settings.threads or max(1, cores() // jobs))
            executor = _open_executor(jobs, cluster, settings.device, stop)
            stopped = batch.work(executor, stop)
            problems += executor.problems
        return BatchReport(batch.ended(), len(clips) - len(batch.ended()), problems, stopped, stop.asked)


def _chosen_jobs(settings: Settings, clips: int) -> int:
    jobs, why = local_jobs(settings, clips, cores(), free_memory_mb())
    _log.info(why)
    return jobs


def _open_executor(jobs: int | None, cluster: str | None, device: str, stop: Stop) -> Executor:
    if cluster is None:
        return LocalPool(jobs or 1)
    from sasmamba.app.batch.ray_client import RayExecutor

    return RayExecutor(cluster, jobs, gpu=device == "cuda", stopped=lambda: stop.asked)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    lock = FileLock(out / ".sasmamba-batch.lock")
    try:
        with lock.acquire(timeout=0):
            yield
    except Timeout as error:
        raise UserError(f"Another batch is writing to {out}: wait for it, or choose another --out.") from error


@dataclass(slots=True)
class _ClipState:
    """A clip that is not done yet.

    Attributes:
        content: see `fingerprint`; empty until it was first begun.
        place: the folder it is being made in, None while it waits.
        tries: how often that failed and the clip may have been why.
        lost: how often it cannot have been.
    """

    clip: Clip
    content: dict[str, Any] = field(default_factory=dict)
    tries: int = 0
    lost: int = 0
    place: Path | None = None


class _Batch:
    """Gives clips to the executor and takes in renders.

    Every try makes its files in a folder of its own, and only this process moves them to where they belong. So a
    process that is thought dead and is not (its node lost the network, say) cannot touch what another one has made, and
    what a killed batch left half-written lies in one place.
    """

    def __init__(self, out: Path, settings: Settings, key: str, save_poses: bool, watch: Watch) -> None:
        self._out, self.settings, self._save_poses, self._watch = out, settings, save_poses, watch
        self._journal, self._key = BatchJournal(out), key
        self._work = out / ".sasmamba-batch.work"
        self._clips: dict[int, _ClipState] = {}
        self._waiting: deque[int] = deque()
        self._ended: dict[int, Ended] = {}

    @property
    def waits(self) -> int:
        """How many clips there are to do."""
        return len(self._waiting)

    def ended(self) -> list[Ended]:
        """What has ended, in the order of the clips."""
        return [self._ended[number] for number in sorted(self._ended)]

    def sort_out(self, clips: list[Clip]) -> None:
        """Keeps what is done; the rest waits."""
        for number, clip in enumerate(clips):
            self._clips[number] = _ClipState(clip)
            record = self._journal.done(clip.name, clip.source, self._key)
            if record is None:
                self._waiting.append(number)
            else:
                files = {"files": [str(self._out / file) for file in record.files]}  # `out` may have moved since
                self._end(number, Ended(clip, "kept", record.report | files))

    def work(self, executor: Executor, stop: Stop) -> str:
        """Does what waits; returns why it ended before its time, or nothing."""
        busy: set[int] = set()
        stopped = ""
        self._sweep()  # nobody else is at work here: what lies there was left by a batch that was killed
        try:
            while busy or (self._waiting and not stopped):
                if stop.asked:
                    return "stopped by the user"
                while self._waiting and not stopped and executor.free_slots() > 0:
                    number = self._waiting.popleft()
                    try:
                        stopped = self._no_room() or self._begin(number, executor, busy)
                    except (UserError, OSError) as error:
                        stopped = _mend(str(error))
                    if stopped:
                        self._waiting.appendleft(number)
                for number, message in executor.messages(0.2):
                    if isinstance(message, ClipProgress):
                        self._watch(self._clips[number].clip, message.stage, message.done, message.total)
                        continue
                    busy.discard(number)
                    stopped = self._take(number, message) or stopped
            return stopped
        except ExecutorLost as gone:
            return str(gone)
        finally:
            executor.close()
            self._sweep()

    def _sweep(self) -> None:
        shutil.rmtree(self._work, ignore_errors=True)

    def _no_room(self) -> str:
        if shutil.disk_usage(self._out).free < _LEAST_FREE_BYTES:
            return f"The disk of {self._out} is full; free some space and run the command again."
        return ""

    def _begin(self, number: int, executor: Executor, busy: set[int]) -> str:
        """Gives a clip to somebody; returns why the batch has to stop instead, or nothing."""
        state = self._clips[number]
        clip = state.clip
        try:
            state.content = state.content or fingerprint(clip.source)
        except OSError as error:
            mend = "it was moved away, or is a link that leads nowhere"
            mend = mend if isinstance(error, FileNotFoundError) else "check its permissions"
            self._fail(number, f"{clip.source} cannot be read ({error.strerror}): {mend}.")
            return ""
        poses = clip.out.with_suffix(".npz") if self._save_poses else None
        try:
            for path in outputs(Job(clip.source, clip.out, poses), self.settings):
                check_writable(path)
        except UserError as error:
            if is_disk_full(error):
                return str(error)
            self._fail(number, str(error))
            return ""
        place = self._work / secrets.token_hex(4)
        with disk_errors_explained(place, *place.parents):
            place.mkdir(parents=True)
        state.place, render = place, place / clip.out.name
        poses = render.with_suffix(".npz") if self._save_poses else None
        executor.submit(number, Job(clip.source, render, poses), self.settings)
        busy.add(number)
        return ""

    def _take(self, number: int, message: Message) -> str:
        """Takes how a try ended; returns why the batch has to stop, or nothing."""
        state = self._clips[number]
        try:
            stopped = self._judge(number, message)
        except (UserError, OSError) as error:  # how it ended cannot be written down
            self._waiting.appendleft(number)
            stopped = _mend(self._with_final_paths(state, str(error)))
        if state.place is not None:
            shutil.rmtree(state.place, ignore_errors=True)
            state.place = None
        return stopped

    def _judge(self, number: int, message: Message) -> str:
        """What follows from how a try ended; returns why the batch has to stop, or nothing.

        Raises:
            UserError, OSError: the journal cannot be written.
        """
        state = self._clips[number]
        if isinstance(message, Done):
            try:
                files = self._finalize(state, [Path(file).name for file in message.report["files"]])
            except UserError as error:
                message = failure(error)
            else:
                self._keep(number, message.report, files)
        if isinstance(message, Refused):
            self._waiting.appendleft(number)
        elif isinstance(message, Lost) and message.node_failure:
            state.lost += 1
            if state.lost < _LOSSES:
                self._waiting.append(number)
            else:
                self._fail(number, f"{message.sentence} That happened {state.lost} times with this clip.")
        elif isinstance(message, Failed) and message.disk_full:
            self._waiting.appendleft(number)
            return _mend(self._with_final_paths(state, message.sentence))
        elif isinstance(message, Failed) and message.final:
            self._fail(number, self._with_final_paths(state, message.sentence))
        elif isinstance(message, Failed | Lost):
            self._again(number, self._with_final_paths(state, message.sentence))
        return ""

    def _with_final_paths(self, state: _ClipState, sentence: str) -> str:
        """A sentence that names files where the user will find them."""
        return sentence.replace(str(state.place), str(state.clip.out.parent))

    def _again(self, number: int, sentence: str) -> None:
        self._clips[number].tries += 1
        if self._clips[number].tries < _TRIES:
            self._waiting.append(number)
        else:
            self._fail(number, sentence)

    def _keep(self, number: int, report: dict[str, Any], files: dict[str, int]) -> None:
        """Writes down a clip whose files, by path under `out` with their sizes, are where they belong."""
        state = self._clips[number]
        report = report | {
            "files": [str(self._out / file) for file in files],
            "problems": [self._with_final_paths(state, problem) for problem in report["problems"]],
        }
        self._journal.add(Record(state.clip.name, state.content, self._key, files=files, report=report))
        self._end(number, Ended(state.clip, "done", report))

    def _finalize(self, state: _ClipState, names: Iterable[str]) -> dict[str, int]:
        """Moves what a try made to where it belongs; returns the size of each file by its path under `out`."""
        assert state.place is not None
        moved = finalize([state.place / name for name in dict.fromkeys(names)], state.clip.out.parent)
        return {str(path.relative_to(self._out)): path.stat().st_size for path in moved}

    def _fail(self, number: int, sentence: str) -> None:
        state = self._clips[number]
        if state.place is not None:  # whatever stopped it, poses that are whole are not lost
            try:
                self._finalize(state, [file.name for file in finished_files(state.place)])
            except UserError as error:
                if is_disk_full(error):
                    raise
                sentence += f" {error}" * (str(error) not in sentence)
        self._journal.add(Record(state.clip.name, state.content, self._key, error=sentence))
        self._end(number, Ended(state.clip, "failed", error=sentence))

    def _end(self, number: int, ended: Ended) -> None:
        self._ended[number] = ended
        self._watch(ended.clip, ended.state, 0, None)


def _mend(sentence: str) -> str:
    return f"{sentence} Then run the command again: it goes on from here."
