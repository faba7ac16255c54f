"""The delay of a live run, minute by minute: `python benchmarks/live_delay.py VIDEO --minutes 10`.

Plays a clip to and fro at its own pace (scaled to 720 lines, without a jump at the ends) through live mode, one person,
picture served but nobody watching, and prints for every minute: pictures shown per second, delay from capture to
display (median, 95th percentile), frames overtaken by newer ones, and the memory of the process. On a machine with
more cores, `taskset -c 0,1` in front leaves it two.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av

from sasmamba.app.cli.measuring import machine
from sasmamba.app.config import LiveJob, LiveSettings
from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.live.run_live import Delays, run_live
from sasmamba.app.live.session import Shown


def to_and_fro(source: Path, path: Path, seconds: float, height: int = 720) -> None:
    """Writes the clip forwards and backwards, again and again, as H.264; only the first time is encoded."""
    video = VideoFile(source)
    pictures = [frame.bgr for frame in video]
    cycle = pictures + pictures[-2:0:-1]
    fps = video.meta.fps
    width = round(video.meta.width * height / video.meta.height / 2) * 2
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=fps, options={"preset": "veryfast", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        packets = []
        for i, bgr in enumerate(cycle):
            picture = av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(width, height, "yuv420p")
            picture.pts, picture.time_base = i, 1 / fps
            packets += stream.encode(picture)
        packets += stream.encode(None)
        contents = [(bytes(p), p.is_keyframe) for p in packets]
        for i in range(round(seconds * fps)):
            content, key = contents[i % len(contents)]
            packet = av.Packet(content)
            packet.stream, packet.time_base = stream, 1 / fps
            packet.pts = packet.dts = i
            packet.is_keyframe = key
            out.mux(packet)


def resident_mb() -> float:
    """Memory this process holds now; NaN where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return float("nan")


class Minutes:
    """Figures of every minute, printed as it ends."""

    def __init__(self, quiet: bool) -> None:
        self.rows: list[dict[str, float]] = []
        self._quiet = quiet
        self._begin: float | None = None
        self._new()

    def _new(self) -> None:
        self._delays, self._shown, self._first, self._last = Delays(), 0, 0, 0

    def __call__(self, shown: Shown, delay_s: float) -> None:
        """Counts one picture."""
        now = time.monotonic()
        if self._begin is None:
            self._begin = now
        index = shown.live.frame.index
        self._first = self._first if self._shown else index
        self._shown, self._last = self._shown + 1, index
        self._delays.add(delay_s)
        if now - self._begin >= 60:
            self.rows.append(
                {
                    "fps": self._shown / (now - self._begin),
                    "delay_ms": self._delays.percentile(0.5),
                    "delay_95_ms": self._delays.percentile(0.95),
                    "overtaken": self._last - self._first + 1 - self._shown,
                    "memory_mb": resident_mb(),
                }
            )
            if not self._quiet:
                cells = "".join(f"{v:12.1f}" for v in self.rows[-1].values())
                print(f"{len(self.rows):6}{cells}", flush=True)
            self._begin = now
            self._new()


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--lookahead", type=int, default=0)
    parser.add_argument("--max-people", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "to_and_fro.mp4"
        # in a process of its own: the pictures it holds must not count as live mode's memory
        making = multiprocessing.get_context("spawn").Process(
            target=to_and_fro, args=(args.video, clip, args.minutes * 60 + 5)
        )
        making.start()
        making.join()
        if making.exitcode:
            sys.exit(1)
        if not args.json:
            heads = ("fps", "delay ms", "95 % ms", "overtaken", "memory MB")
            print(f"{'minute':6}" + "".join(f"{h:>12}" for h in heads))
        minutes = Minutes(args.json)
        settings = LiveSettings(
            window=False,
            serve=0,
            lookahead=args.lookahead,
            max_people=args.max_people,
            seconds=args.minutes * 60 + 4,
        )
        report = run_live(LiveJob(str(clip)), settings, lambda _: None, minutes)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    about = machine() | {"cores used": cores, "date": time.strftime("%Y-%m-%d")}
    if args.json:
        print(
            json.dumps({"about": about, "minutes": minutes.rows, "all": asdict(report) | {"fps": report.fps}}, indent=1)
        )
    else:
        stages = ", ".join(f"{k} {ms:.1f} ms" for k, ms in report.stage_ms.items())
        late = f"delay {report.delay_ms:.0f} ms, 95 % below {report.delay_95_ms:.0f} ms"
        print(f"all: {report.fps:.1f} fps, {late}, {report.shown} shown of {report.captured}; {stages}")
        print(f"{cores} cores of {about['processor']}, {about['date']}")


if __name__ == "__main__":
    main()
