"""Damaged files without end, each tried in a process that may hang or crash: `python tests/fuzz/campaign.py --seed 1`.

A finding is a traceback, a crash of the process, ten seconds of work (or a minute without an end), two gigabytes of
memory, or half a file.
Its input is kept (--keep) and can be made again from seed, kind and number.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import mutations
import seeds
from targets import TARGETS

#: Seconds of work, which a busy machine does not lengthen; seconds to wait for the end of it; megabytes.
LONGEST_S, PATIENCE_S, MOST_MB = 10.0, 60.0, 2048
#: Beyond this a process is not given more, so that a finding does not take the machine with it.
_LIMIT_MB = 6000


@dataclass(slots=True)
class Outcome:
    """What came of a campaign.

    Attributes:
        counts: how many inputs ended how: "read", "refused", or as a kind of finding.
        findings: kind of finding, number of the input, and what is known.
        peak_mb: the most memory that a process held. longest_s: the most work that an input was. slowest: its number.
    """

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[str, int, str]] = field(default_factory=list)
    peak_mb: float = 0.0
    longest_s: float = 0.0
    slowest: int = 0


def _serve(connection: Connection, kind: str) -> None:
    """Tries files until the pipe closes; tells how each ended, and the memory held so far."""
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    import av.logging

    from sasmamba.common.errors import UserError

    av.logging.set_level(None)
    resource.setrlimit(resource.RLIMIT_AS, (_LIMIT_MB << 20, _LIMIT_MB << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection.send(None)
    while True:
        try:
            path = connection.recv()
        except EOFError:
            return
        begin = time.process_time()
        try:
            how, told = "read", TARGETS[kind](path)
        except UserError as error:
            how, told = "refused", str(error)
            if "\n" in told or len(told) > 1000:
                how, told = "no sentence", repr(told)
        except BaseException:
            how, told = "traceback", traceback.format_exc()
        work_s, peak_mb = time.process_time() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        connection.send((how, told, work_s, peak_mb))


class _Worker:
    """A process that tries files."""

    def __init__(self, kind: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, kind), daemon=True)
        self.process.start()
        theirs.close()
        self.connection.recv()

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def campaign(kind: str, count: int, seed: int, keep: Path | None = None, tell: bool = False) -> Outcome:
    """Tries `count` damaged files of a kind of `TARGETS`; the same seed makes the same files."""
    outcome, worker = Outcome(), None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made_by = {
            "videos": seeds.video_seeds,
            "keypoints": seeds.keypoint_seeds,
            "weights": seeds.weight_seeds,
            "takes": seeds.take_seeds,
        }
        whole = made_by[kind](folder)
        try:
            for number in range(count):
                rng = random.Random(f"{seed} {kind} {number}")
                (folder / "try").mkdir()
                path = mutations.make(whole, folder / "try" / f"{kind}{number}", rng, video=kind == "videos")
                worker = worker or _Worker(kind)
                how, told, work_s, peak_mb = _try(worker, path)
                outcome.counts[how] += 1
                outcome.peak_mb = max(outcome.peak_mb, peak_mb)
                if work_s > outcome.longest_s:
                    outcome.longest_s, outcome.slowest = work_s, number
                if how not in ("read", "refused"):
                    outcome.findings.append((how, number, told))
                    if keep is not None:
                        keep.mkdir(parents=True, exist_ok=True)
                        shutil.copy(path, keep / f"{how.replace(' ', '_')}_{seed}_{path.name}")
                    worker.end()
                    worker = None
                shutil.rmtree(folder / "try")
                if tell and number % 50 == 49:
                    print(f"{kind}: {number + 1} of {count}, {dict(outcome.counts)}", file=sys.stderr, flush=True)
        finally:
            if worker is not None:
                worker.end()
    return outcome


def _try(worker: _Worker, path: Path) -> tuple[str, str, float, float]:
    """How one file ended, what was told, seconds of work, and megabytes held."""
    worker.connection.send(path)
    if not worker.connection.poll(PATIENCE_S):
        return "hang", f"no end after {PATIENCE_S:g} s", PATIENCE_S, 0.0
    try:
        how, told, work_s, peak_mb = worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join(5)
        return "crash", f"exit code {worker.process.exitcode}", 0.0, 0.0
    half = [each for each in path.parent.rglob("*") if ".part" in each.name or each.suffix == ".lock"]
    if how in ("read", "refused"):
        if half:
            how, told = "half a file", f"{half}"
        elif peak_mb > MOST_MB:
            how, told = "memory", f"{peak_mb:.0f} MB"
        elif work_s > LONGEST_S:
            how, told = "hang", f"{work_s:.0f} s of work"
    return how, told, work_s, peak_mb


def main() -> int:
    """Runs campaigns and prints a table; exit code 1 where there are findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    for kind, count in (("videos", 1000), ("keypoints", 1000), ("weights", 300), ("takes", 1000)):
        parser.add_argument(f"--{kind}", type=int, default=count)
    parser.add_argument("--keep", type=Path, help="folder for the inputs of findings")
    args = parser.parse_args()
    found = 0
    for kind in TARGETS:
        if not (count := getattr(args, kind)):
            continue
        begin = time.monotonic()
        outcome = campaign(kind, count, args.seed, args.keep, tell=True)
        counts = ", ".join(f"{n} {how}" for how, n in sorted(outcome.counts.items()))
        print(
            f"{kind}, seed {args.seed}: {counts}; peak {outcome.peak_mb:.0f} MB, longest {outcome.longest_s:.1f} s of "
            f"work (number {outcome.slowest}), {time.monotonic() - begin:.0f} s in all",
            flush=True,
        )
        for how, number, told in outcome.findings:
            print(f"--- {how}: {kind} {number}\n{told}", flush=True)
        found += len(outcome.findings)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
