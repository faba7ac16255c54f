"""A batch: clips are handed to workers, a failed one is tried once more, and the journal tells what is left to do."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sasmamba.app import weights
from sasmamba.app.batch.clips import Clip, find_clips
from sasmamba.app.batch.journal import Journal, Record, fingerprint
from sasmamba.app.batch.workers import Worker
from sasmamba.app.config import RunConfig
from sasmamba.app.pipeline import Stop
from sasmamba.app.sinks.atomic import check_writable
from sasmamba.app.types import UserError

#: Times a clip is tried before it counts as failed.
_TRIES = 2
#: With less room than this on the disk every clip would fail; the batch stops instead.
_LEAST_FREE_BYTES = 50_000_000
#: Settings that say where, not how.
_PLACES = ("source", "out", "poses")

#: watch(clip, stage, frames done, frames in all or None); stage "done" or "failed" when the clip has ended
Watch = Callable[[Clip, str, int, int | None], None]


@dataclass(frozen=True, slots=True)
class Ended:
    """How one clip of a batch ended: "done", "kept" (it was done before) or "failed", and the figures or the reason."""

    clip: Clip
    state: str
    report: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a batch did.

    Attributes:
        clips: all that ended, in the order of their names. untried: how many were not begun. problems: sentences about
            folders that could not be read. stopped: why it ended before the last clip; empty if it did not.
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
    folder: Path, out: Path, template: RunConfig, *, save_poses: bool = False, jobs: int = 1, watch: Watch | None = None
) -> BatchReport:
    """Renders every clip below a folder into another, keeping the tree.

    Args:
        folder, out: where clips are and where renders go; `out` may lie in `folder`.
        template: the settings of every clip; its source, out and poses are replaced.
        save_poses: also save every clip's poses beside its render.
        jobs: clips at the same time.

    Raises:
        UserError: no such folder, no clip in it, `out` cannot be written, or another batch is at work there.
    """
    if jobs < 1:
        raise UserError(f"--jobs must be at least 1, not {jobs}.", exit_code=2)
    clips, problems = find_clips(folder, out)
    check_writable(out / "probe")
    with _alone(out), Stop.on_interrupt() as stop:
        _sweep(out)
        batch = _Batch(out, template, save_poses, watch or (lambda *_: None))
        batch.sort_out(clips)
        stopped = batch.work(jobs, stop)
        ended = sorted(batch.ended, key=lambda e: clips.index(e.clip))
        return BatchReport(ended, len(clips) - len(ended), problems, stopped, stop.asked)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    lock = FileLock(out / ".sasmamba-batch.lock")
    try:
        with lock.acquire(timeout=0):
            yield
    except Timeout as error:
        raise UserError(f"Another batch is writing to {out}: wait for it, or choose another --out.") from error


def _sweep(out: Path) -> None:
    """Removes what a killed batch left half-written; nobody else is at work here."""
    for leftover in out.rglob(".*.part.*"):
        leftover.unlink(missing_ok=True)


class _Batch:
    def __init__(self, out: Path, template: RunConfig, save_poses: bool, watch: Watch) -> None:
        self._out, self._template, self._save_poses, self._watch = out, template, save_poses, watch
        self._journal = Journal(out)
        self._settings = _settings(template, save_poses)
        self._waiting: deque[tuple[Clip, int]] = deque()  # and how often it was tried
        self.ended: list[Ended] = []

    def sort_out(self, clips: list[Clip]) -> None:
        """Keeps what is done; the rest waits."""
        for clip in clips:
            record = self._journal.done(clip.name, clip.source, self._settings)
            if record is None:
                self._waiting.append((clip, 0))
            else:
                self._end(Ended(clip, "kept", record.report))

    def work(self, jobs: int, stop: Stop) -> str:
        """Does what waits; returns why it ended before its time, or nothing."""
        busy: dict[Worker, tuple[Clip, int, dict[str, Any]]] = {}
        idle: list[Worker] = []
        stopped = ""
        try:
            while busy or (self._waiting and not stopped):
                if stop.asked:
                    return "stopped by the user"
                while self._waiting and len(busy) < jobs and not stopped:
                    if shutil.disk_usage(self._out).free < _LEAST_FREE_BYTES:
                        stopped = f"The disk of {self._out} is full; free some space and run the command again."
                        break
                    clip, tried = self._waiting.popleft()
                    try:
                        content = fingerprint(clip.source)
                    except OSError as error:
                        self._fail(clip, {}, f"{clip.source} cannot be read ({error.strerror}): check its permissions.")
                        continue
                    worker = idle.pop() if idle else Worker()
                    worker.give(self._config(clip))
                    busy[worker] = clip, tried, content
                for ready in wait([w.connection for w in busy], timeout=0.2):
                    worker = next(w for w in busy if w.connection is ready)
                    if self._hear(worker, *busy[worker]):
                        del busy[worker]
                        if worker.connection.closed:
                            continue
                        idle.append(worker)
            return stopped
        finally:
            for worker in (*busy, *idle):
                worker.end()
            _sweep(self._out)

    def _config(self, clip: Clip) -> RunConfig:
        poses = clip.out.with_suffix(".npz") if self._save_poses else None
        return replace(self._template, source=clip.source, out=clip.out, poses=poses)

    def _hear(self, worker: Worker, clip: Clip, tried: int, content: dict[str, Any]) -> bool:
        """Takes one message; True when the worker's clip has ended."""
        try:
            kind, *rest = worker.connection.recv()
        except (EOFError, OSError):
            sentence = worker.last_words()
            worker.end()
            self._again(clip, tried, content, sentence)
            return True
        if kind == "progress":
            self._watch(clip, *rest)
            return False
        if kind == "failed":
            self._again(clip, tried, content, rest[0])
            return True
        report = rest[0]
        files = {str(Path(f).relative_to(self._out)): Path(f).stat().st_size for f in report["files"]}
        self._journal.add(Record(clip.name, content, self._settings, files=files, report=report))
        self._end(Ended(clip, "done", report))
        return True

    def _again(self, clip: Clip, tried: int, content: dict[str, Any], sentence: str) -> None:
        if tried + 1 < _TRIES:
            self._waiting.append((clip, tried + 1))
        else:
            self._fail(clip, content, sentence)

    def _fail(self, clip: Clip, content: dict[str, Any], sentence: str) -> None:
        self._journal.add(Record(clip.name, content, self._settings, error=sentence))
        self._end(Ended(clip, "failed", error=sentence))

    def _end(self, ended: Ended) -> None:
        self.ended.append(ended)
        self._watch(ended.clip, ended.state, 0, None)


def _settings(template: RunConfig, save_poses: bool) -> str:
    """What results depend on beside the clip: every setting, the version, and the lifter's weights."""
    settings = {k: str(v) for k, v in asdict(template).items() if k not in _PLACES}
    path = Path(template.lifter)
    lifter = path if template.lifter.endswith(".safetensors") else weights.ensure(template.lifter)
    settings |= {
        "poses": str(save_poses),
        "version": version("sasmamba-demo"),
        "weights": fingerprint(lifter)["sha256"],
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
