"""Batches that are killed and whose disk is full, again and again: `python tests/fuzz/folder_campaign.py --seed 1`.

A clip is a text that says which it is and how long it takes; "drawing" copies it, through the same processes, journal,
locks and renames as a real render. The whole process group is killed at random moments (SIGKILL) and started again; the
disk of the renders, a small one of its own, is filled and freed. Where none can be mounted, every write fails as on a
full disk for a while (`--full` then says so). At the end no clip may be lost, done again after it was done, or hold
another's text, and nothing else may lie there. Exit code 1 if one does; real clips: benchmarks/batch_faults.py.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path[:0] = [str(Path(__file__).parents[1])]

from helpers_executor import copy_clip

from sasmamba.app.batch import local_pool
from sasmamba.app.batch.executor import Message
from sasmamba.app.batch.run_clip import failure
from sasmamba.app.config import Job, Settings
from sasmamba.common.errors import UserError

#: Megabytes of the disk (a batch wants fifty free), and how long it stays full at least, seconds.
DISK_MB, FULL_S = 64, 1.0
#: A batch that ends by itself, or gets on, within so long.
PATIENCE_S = 300.0
_SERVE = local_pool._serve


@dataclass(slots=True)
class Outcome:
    """What came of a campaign.

    Attributes:
        starts, killed, full: how often the batch was started, killed, and stopped by a full disk.
        lost, redone, mixed, other: names of clips that are not there, were done again after they were done, hold
            another's text; and of files that belong to nobody.
        code, err: how the last start ended.
    """

    starts: int = 0
    killed: int = 0
    full: int = 0
    lost: list[str] = field(default_factory=list)
    redone: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    code: int = -1
    err: str = ""

    @property
    def good(self) -> bool:
        return not (self.code or self.lost or self.redone or self.mixed or self.other)


def copy_and_tell(job: Job, settings: Settings, tell: Callable[[Message], None]) -> None:
    """`copy_clip`, its errors told as `run_clip` tells them; a file beside the clips says that the disk is full."""
    try:
        if (job.source.parent.parent / "full").exists():
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise UserError(f"{job.out} could not be written: the disk is full.") from full
        copy_clip(job, settings, tell)
    except UserError as error:
        tell(failure(error))


def serve(connection: Connection) -> None:
    """A process of the pool that copies."""
    local_pool.run_clip = copy_and_tell
    _SERVE(connection)


def batch() -> None:
    """`sasmamba-demo`, whose clips are copied."""
    from sasmamba.app.cli import main

    with patch.object(local_pool, "_serve", serve):
        main.main()


class Disk:
    """A small disk at a folder, which can be filled; where none can be mounted, the copying is told that it is full."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._flag = folder, folder.parent / "full"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", folder]
        try:
            self.mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        except OSError:
            self.mounted = False

    def fill(self) -> None:
        if not self.mounted:
            self._flag.touch()
            return
        with suppress(OSError), (self.folder / ".ballast").open("wb", buffering=0) as file:
            for piece in (1 << 20, 4096):
                with suppress(OSError):
                    while file.write(bytes(piece)) == piece:
                        pass

    def free(self) -> None:
        self._flag.unlink(missing_ok=True)
        (self.folder / ".ballast").unlink(missing_ok=True)

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", self.folder], check=True)


def campaign(
    work: Path,
    clips: int,
    kills: int,
    full: int,
    jobs: int,
    seed: int,
    seconds: float = 0.1,
    tell: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Has a folder of clips done, with that many blows, in an order and at moments that the seed chooses."""
    dice, outcome = random.Random(seed), Outcome()
    folder = work / "clips"
    folder.mkdir()
    words = {f"{i:04d}.mp4": f"{seconds + i * 1e-7:.7f}" for i in range(clips)}
    for name, word in words.items():
        (folder / name).write_text(word)
    disk = Disk(work / "out")
    blows = ["kill"] * kills + ["full"] * full
    dice.shuffle(blows)
    seen: dict[str, int] = {}  # when renders that the journal vouched for were written

    def look() -> None:
        for name, when in done(disk.folder).items():
            if seen.setdefault(name, when) != when:
                outcome.redone.append(name)

    try:
        while outcome.code:
            outcome.starts += 1
            process = start(folder, disk.folder, jobs)
            blow = blows.pop(0) if blows else ""
            had, begin = len(done(disk.folder)), time.monotonic()
            # a blow before it has done anything new would prove nothing
            some = had + (dice.randint(1, max(1, clips // (kills + full + 1))) if blow else clips)
            while process.poll() is None and len(done(disk.folder)) < some and time.monotonic() - begin < PATIENCE_S:
                time.sleep(0.02)
            if blow and process.poll() is None:
                time.sleep(dice.uniform(0, seconds))
                if blow == "kill":
                    os.killpg(process.pid, signal.SIGKILL)
                    outcome.killed += 1
                else:
                    disk.fill()
                    outcome.full += wait(process)
                    disk.free()
            _, outcome.err = process.communicate(timeout=PATIENCE_S)
            look()
            tell(f"start {outcome.starts}: {blow or 'left alone'}, {len(seen)} of {clips} done, {process.returncode}")
            outcome.code = process.returncode if not blows or process.returncode else 1
            if process.returncode == 0 or outcome.starts > kills + full + 3:
                break
        examine(disk.folder, words, outcome)
    finally:
        disk.close()
    return outcome


def start(folder: Path, out: Path, jobs: int) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--batch", folder, "--out", out, "--jobs", str(jobs), "--quiet"]
    command += ["--pose2d", "mediapipe"]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait(process: subprocess.Popen[str]) -> bool:
    """Whether a batch ends by itself, as it must on a full disk."""
    time.sleep(FULL_S)
    with suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE_S)
    return process.poll() is not None


def records(out: Path) -> list[dict[str, Any]]:
    """The journal's whole lines."""
    found = []
    with suppress(FileNotFoundError):
        for line in (out / ".sasmamba-batch.jsonl").read_bytes().splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
    return found


def done(out: Path) -> dict[str, int]:
    """Times of change of the renders that the journal says are done."""
    times = {}
    for record in records(out):
        for file in record["files"] if not record["error"] else ():
            with suppress(OSError):
                times[file] = (out / file).stat().st_mtime_ns
    return times


def examine(out: Path, words: dict[str, str], outcome: Outcome) -> None:
    """Whether every clip is there, once, as itself, and nothing else."""
    want = {name.replace(".mp4", "_3d.mp4"): word for name, word in words.items()}
    there = {p.name: p for p in out.iterdir() if p.name not in (".sasmamba-batch.jsonl", ".sasmamba-batch.lock")}
    outcome.lost += sorted(set(want) - set(there))
    outcome.other += sorted(set(there) - set(want))
    outcome.mixed += sorted(name for name in set(want) & set(there) if there[name].read_text() != want[name])
    entries = Counter(record["clip"] for record in records(out) if not record["error"])
    outcome.redone += sorted(name for name, count in entries.items() if count > 1)


def main() -> int:
    """Prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("clips", 200), ("kills", 10), ("full", 2), ("jobs", 2), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        told = campaign(
            Path(work),
            args.clips,
            args.kills,
            args.full,
            args.jobs,
            args.seed,
            tell=lambda line: print(f"{time.monotonic() - begin:5.0f} s  {line}", file=sys.stderr, flush=True),
        )
    print(
        f"{args.clips} clips, --jobs {args.jobs}, seed {args.seed}: started {told.starts} times, killed {told.killed}, "
        f"stopped by a full disk {told.full}; {len(told.lost)} lost, {len(told.redone)} redone, "
        f"{len(told.mixed)} mixed, {len(told.other)} other files; exit code {told.code}, "
        f"{time.monotonic() - begin:.0f} s"
    )
    if not told.good:
        print(told)
    return 0 if told.good else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--batch"]:
        del sys.argv[1]
        batch()
    sys.exit(main())
