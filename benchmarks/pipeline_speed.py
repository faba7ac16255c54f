"""Whether speed and memory hold over a long video: `python benchmarks/pipeline_speed.py [VIDEO]`, or the demo clip.

Runs the command in a process of its own, on the clip and on the same clip ten times over, and prints frames per second
(start-up excluded), milliseconds per stage and the peak of resident memory.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from fractions import Fraction
from pathlib import Path

from sasmamba.app.cli.measuring import machine, whole_run
from sasmamba.app.io.mp4 import Mp4Sink
from sasmamba.app.io.video_file import VideoFile
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path, nargs="?")
    args = parser.parse_args()
    video = args.video or ensure("demo-clip")
    about = machine()
    print(f"{about['processor']}, {about['cores']} cores, {time.strftime('%Y-%m-%d')}")
    with tempfile.TemporaryDirectory() as temporary:
        long = Path(temporary) / "long.mp4"
        repeat(video, 10, long)
        for name, clip in {video.name: video, "ten times over": long}.items():
            result = whole_run(clip)
            stages = "  ".join(f"{k} {v:.1f}" for k, v in result["stage_ms"].items())
            peak = "" if result["peak_mb"] is None else f", peak {result['peak_mb']:.0f} MB"
            print(f"{name}: {result['frames']} frames, {result['fps']:.1f} frames/s{peak}; ms per frame: {stages}")


if __name__ == "__main__":
    main()
