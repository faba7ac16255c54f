"""Clips at the same time: throughput of --jobs N against --jobs 1, same clips, same run.

    taskset -c 0,1 python benchmarks/batch_speed.py CLIP [--clips 8] [--frames 60] [--jobs 2] [--rounds 3]

The two take turns; the ratio is that of the medians. Starting processes and loading models counts. It wants a quiet
machine: two processes get more of a busy one than one does. Where the ratio is below 1.15, one clip at a time is right
for this backend (`_CORES_A_CLIP` in app/batch/settings.py).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from sasmamba.common.machine import cores


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=60, help="of each clip")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pose2d", default="movenet")
    given = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="batch_speed_"))
    folder = work / "clips"
    folder.mkdir()
    for i in range(given.clips):
        shutil.copy(given.clip, folder / f"{i}{given.clip.suffix}")
    seconds: dict[int, list[float]] = {1: [], given.jobs: []}
    for round_ in range(given.rounds):
        for jobs, taken in seconds.items():
            command = [
                sys.executable,
                "-m",
                "sasmamba.app.cli.main",
                folder,
                "--out",
                work / f"{round_} {jobs}",
                "--jobs",
                jobs,
                "--pose2d",
                given.pose2d,
                "--max-frames",
                given.frames,
                "--quiet",
            ]
            begin = time.perf_counter()
            subprocess.run(list(map(str, command)), check=True)
            taken.append(time.perf_counter() - begin)
            print(f"--jobs {jobs}: {taken[-1]:.1f} s", flush=True)
    shutil.rmtree(work)
    one, many = median(seconds[1]), median(seconds[given.jobs])
    ratios = [a / b for a, b in zip(seconds[1], seconds[given.jobs], strict=True)]
    each = ", ".join(f"{r:.2f}" for r in ratios)
    print(
        f"{given.clips} clips of {given.frames} frames, {given.pose2d}, {cores()} cores: --jobs {given.jobs} "
        f"has {one / many:.2f} times the throughput of --jobs 1 (rounds: {each}); load average "
        + ", ".join(f"{x:.1f}" for x in os.getloadavg())
    )


if __name__ == "__main__":
    main()
