"""Speed and memory of the whole command: `python benchmarks/pipeline_speed.py [VIDEO]`, the demo clip by default.

Runs the command in a process of its own, on the clip and on the same clip ten times over, and prints frames per second
(start-up excluded), milliseconds per stage and the peak of resident memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

from sasmamba.app.sinks.mp4 import Mp4Sink
from sasmamba.app.sources import VideoFile
from sasmamba.app.weights import ensure


def repeat(video: Path, times: int, out: Path) -> None:
    """Writes the clip several times in a row."""
    with VideoFile(video) as source:
        meta = source.meta
        width, height = meta.width // 2 * 2, meta.height // 2 * 2
        with Mp4Sink(out, width, height, meta.fps) as sink:
            for n in range(times):
                for frame in source:
                    at = Fraction(n * (meta.frames or 0)) / meta.fps + frame.time_s
                    sink.write(frame.bgr[:height, :width], at)


def run(video: Path, folder: Path) -> dict:
    """The command's own summary, with the peak of resident memory in MB."""
    command = [sys.executable, "-m", "sasmamba.app.cli", str(video), "--out", str(folder / "render.mp4"), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    summary = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the command failed with status {status}")
    return summary | {"peak_mb": usage.ru_maxrss / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--long", action="store_true", help="also the clip ten times over")
    args = parser.parse_args()
    video = args.video or ensure("demo-clip")
    print(f"{platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clips = {video.name: video}
        if args.long:
            clips["ten times over"] = folder / "long.mp4"
            repeat(video, 10, folder / "long.mp4")
        for name, clip in clips.items():
            result = run(clip, folder)
            stages = "  ".join(f"{k} {v:.1f}" for k, v in result["stage_ms"].items())
            print(
                f"{name}: {result['frames']} frames, {result['fps']:.1f} frames/s, peak {result['peak_mb']:.0f} MB; "
                f"ms per frame: {stages}"
            )


if __name__ == "__main__":
    main()
