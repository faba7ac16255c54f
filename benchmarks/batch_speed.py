"""Clips at the same time: throughput of --jobs N against --jobs 1, same clips, same run.

    taskset -c 0,1 python benchmarks/batch_speed.py CLIP [--clips 8] [--frames 60] [--jobs 2] [--rounds 3]

The two take turns, so that whoever else uses the machine disturbs both alike; the ratio is that of the medians.
Starting processes and loading models counts.
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


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=60, help="of each clip")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
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
                Path(sys.executable).with_name("sasmamba-demo"),
                folder,
                "--out",
                work / f"{round_} {jobs}",
                "--jobs",
                jobs,
                "--pose2d",
                "mediapipe",
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
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"{given.clips} clips of {given.frames} frames, {cores} cores: --jobs {given.jobs} has {one / many:.2f} times "
        f"the throughput of --jobs 1 (rounds: {', '.join(f'{r:.2f}' for r in ratios)}); load average "
        + ", ".join(f"{x:.1f}" for x in os.getloadavg())
    )


if __name__ == "__main__":
    main()
