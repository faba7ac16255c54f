"""A live run, minute by minute: `python benchmarks/live_delay.py VIDEO --minutes 10`.

Plays a clip to and fro at its own pace (scaled to 720 lines, 30 frames per second, without a jump at the ends) through
live mode with its default 2D stage, two people, picture served but nobody watching. Prints for every minute: pictures
shown per second, delay from capture to display (median, 95th percentile), the share of frames that were never shown,
the process's memory and its CPU time for each picture shown, and what the 2D stage did at the end (see
`app/live/governor.py`). On a machine with more cores, `taskset -c 0,1` in front leaves it two.
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
from sasmamba.common.machine import cores


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


def played_on(source: Path, folder: Path, seconds: float) -> Path:
    """A clip `to_and_fro` of that length, by a process of its own: the pictures it holds must not count as this one's.

    Raises:
        SystemExit: it failed, and has said why.
    """
    clip = folder / "to_and_fro.mp4"
    making = multiprocessing.get_context("spawn").Process(target=to_and_fro, args=(source, clip, seconds))
    making.start()
    making.join()
    if making.exitcode:
        sys.exit(1)
    return clip


def resident_mb() -> float:
    """Memory this process holds now; NaN where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return float("nan")


class Spans:
    """Figures of every so many seconds, printed as they end."""

    def __init__(self, seconds: float, quiet: bool) -> None:
        self.rows: list[dict[str, float | str]] = []
        self._seconds, self._quiet = seconds, quiet
        self._begin: float | None = None
        self._new()

    def _new(self) -> None:
        self._delays, self._shown, self._first, self._last = Delays(), 0, 0, 0
        self._cpu_s = time.process_time()

    def __call__(self, shown: Shown, delay_s: float) -> None:
        """Counts one picture."""
        now = time.monotonic()
        if self._begin is None:
            self._begin = now
        index = shown.live.frame.index
        self._first = self._first if self._shown else index
        self._shown, self._last = self._shown + 1, index
        self._delays.add(delay_s)
        if now - self._begin >= self._seconds:
            frames = self._last - self._first + 1
            self.rows.append(
                {
                    "fps": self._shown / (now - self._begin),
                    "delay_ms": self._delays.percentile(0.5),
                    "delay_95_ms": self._delays.percentile(0.95),
                    "not_shown_percent": 100 * (1 - self._shown / frames),
                    "memory_mb": resident_mb(),
                    "cpu_ms_per_picture": 1000 * (time.process_time() - self._cpu_s) / self._shown,
                    "level": str(shown.level),
                }
            )
            if not self._quiet:
                *figures, level = self.rows[-1].values()
                cells = "".join(f"{v:12.1f}" for v in figures)
                print(f"{len(self.rows):6}{cells}  {level}", flush=True)
            self._begin = now
            self._new()


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--every", type=float, default=60, metavar="SECONDS", help="a line for every so many")
    parser.add_argument("--lookahead", type=int, default=0)
    parser.add_argument("--max-people", type=int, default=2)
    parser.add_argument("--pose2d", default="auto", help="as the command's; auto is live mode's default")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    seconds = args.minutes * 60
    with tempfile.TemporaryDirectory() as folder:
        clip = played_on(args.video, Path(folder), seconds + 5)
        if not args.json:
            heads = ("fps", "delay ms", "95 % ms", "not shown %", "memory MB", "CPU ms")
            span = "minute" if args.every == 60 else "span"
            print(f"{span:6}" + "".join(f"{h:>12}" for h in heads) + "  2D")
        spans = Spans(args.every, args.json)
        settings = LiveSettings(
            window=False,
            serve=0,
            lookahead=args.lookahead,
            max_people=args.max_people,
            pose2d=args.pose2d,
            seconds=seconds + 4,
        )
        report = run_live(LiveJob(str(clip)), settings, lambda _: None, spans)
    about = machine() | {"cores used": cores(), "date": time.strftime("%Y-%m-%d"), "load": os.getloadavg()}
    if args.json:
        print(json.dumps({"about": about, "spans": spans.rows, "all": asdict(report) | {"fps": report.fps}}, indent=1))
        return
    stages = ", ".join(f"{k} {ms:.1f} ms" for k, ms in report.stage_ms.items())
    late = f"delay {report.delay_ms:.0f} ms, 95 % below {report.delay_95_ms:.0f} ms"
    lost = 100 * (report.dropped + report.undrawn) / max(1, report.captured)
    levels = ", ".join(f"{level} {s:.0f} s" for level, s in report.level_s.items())
    print(
        f"all: {report.fps:.1f} fps, {late}; {report.shown} shown of {report.captured}, {report.dropped} dropped and "
        f"{report.undrawn} overtaken before they were drawn ({lost:.1f} %); {stages}; 2D: {levels}"
    )
    print(f"{cores()} cores of {about['processor']}, load average {os.getloadavg()[0]:.1f}, {about['date']}")


if __name__ == "__main__":
    main()
