"""Live mode for hours: `python tests/fuzz/soak.py --minutes 120 [--log FILE] [--video CLIP] [--pose2d movenet]`.

A file is streamed in a loop, as MJPEG over HTTP, by a server that hangs up every minute; live mode follows it, comes
back after each cut, and serves its page, whose picture and motion a client watches for some seconds and leaves, again
and again. Every few seconds memory, threads and open files of the process are read while no client is there, and every
picture's delay is kept. Compared are a minute after the warm-up, when everything has been loaded and met, and the last:

* memory may have grown by 5 %, threads and open files not at all,
* the median delay may be half as long again, as other programs disturb it,
* the stream must have been taken up again after each cut, and the command must end by itself, with exit code 0.

Exit code 1 where one is not so.
"""

from __future__ import annotations

import argparse
import http.server
import itertools
import math
import os
import socketserver
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import cv2

sys.path[:0] = [str(Path(__file__).parents[1])]

from helpers_cli import start
from helpers_video import write_video

FPS, WIDTH = 15, 320
#: Seconds between two looks at the process, and of a client's visit and absence.
LOOK_S, VISIT_S, AWAY_S = 2.0, 6.0, 8.0
#: What is compared: so long a stretch after the warm-up, of a quarter of the run at most, and at the end. In three
#: minutes the stream has been lost and found again and the allocator has met every size; a leak goes on for longer.
WARM_UP_S, STRETCH_S = 180.0, 60.0
#: Growth that is allowed: of memory, and of the median delay.
MEMORY, DELAY = 1.05, 1.5

#: The command, every picture's delay appended to a file, and with a 2D stage that costs nothing if that is asked for.
CODE = f"""
import os, sys, time
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from sasmamba.app.live import run_live as run
from helpers_cli import walker_2d
log, add = open(os.environ["SOAK_LOG"], "a", buffering=1), run.Delays.add
def told(self, seconds):
    log.write(f"{{time.time()}} {{seconds}}\\n")
    add(self, seconds)
run.Delays.add = told
if os.environ.get("SOAK_WALKER"):
    run.open_pose2d = walker_2d
from sasmamba.app.cli.main import main; main()
"""


@dataclass(frozen=True, slots=True)
class Look:
    """The process at a time: memory in MB, threads, open files, seconds of CPU since it began."""

    time_s: float
    memory_mb: float
    threads: int
    files: int
    cpu_s: float = 0.0


@dataclass(slots=True)
class Outcome:
    """What came of it.

    Attributes:
        looks: while no client was there. delays: time and seconds of every picture shown.
        cuts, visits: how often the stream was cut and a client came.
        code, err: how the command ended.
    """

    looks: list[Look] = field(default_factory=list)
    delays: list[tuple[float, float]] = field(default_factory=list)
    cuts: int = 0
    visits: int = 0
    code: int = -1
    err: str = ""

    def faults(self) -> list[str]:
        """What is not as it must be."""
        begin, end = self.looks[0].time_s, self.looks[-1].time_s
        warm, stretch = (min(most, (end - begin) / 4) for most in (WARM_UP_S, STRETCH_S))
        early = self.between(begin + warm, begin + warm + stretch)
        late = self.between(end - stretch, math.inf)
        found = [f"exit code {self.code}: {self.err[-300:]}"] if self.code else []
        for name, allowed in (("memory_mb", MEMORY), ("threads", 1.0), ("files", 1.0)):
            before, after = (statistics.median(getattr(look, name) for look in part.looks) for part in (early, late))
            if after > allowed * before:
                found.append(f"{name} grew from {before:.0f} to {after:.0f}")
        first, last = (statistics.median([d for _, d in part.delays] or [math.nan]) for part in (early, late))
        if math.isnan(last):
            found.append("nothing was shown at the end")
        elif last > DELAY * first:
            found.append(f"the delay grew from {first:.3f} to {last:.3f} s")
        return found

    def between(self, begin_s: float, end_s: float) -> Outcome:
        """What was seen from one time until before another."""
        return replace(
            self,
            looks=[look for look in self.looks if begin_s <= look.time_s < end_s],
            delays=[(t, d) for t, d in self.delays if begin_s <= t < end_s],
        )

    def __str__(self) -> str:
        """A line: the medians of what was seen, and how much of a core the process took."""
        if not self.looks or not self.delays:
            return "nothing was shown"
        memory, threads, files = (
            statistics.median(getattr(look, name) for look in self.looks) for name in ("memory_mb", "threads", "files")
        )
        seconds = self.looks[-1].time_s - self.looks[0].time_s
        cpu = (self.looks[-1].cpu_s - self.looks[0].cpu_s) / seconds if seconds else math.nan
        return (
            f"{memory:.1f} MB, {threads:.0f} threads, {files:.0f} files, {len(self.delays)} pictures, delay "
            f"{1000 * statistics.median(d for _, d in self.delays):.0f} ms, CPU {100 * cpu:.0f} %, "
            f"{self.cuts} cuts, {self.visits} visits so far"
        )


class _Stream(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Pictures in a loop for whoever comes, each time for so many seconds."""

    daemon_threads = True

    def __init__(self, jpegs: list[bytes], cut_s: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.jpegs, self.cut_s, self.cuts = jpegs, cut_s, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Stream

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        begin = time.monotonic()
        with suppress(OSError):
            for i, jpeg in enumerate(itertools.cycle(self.server.jpegs)):
                if time.monotonic() - begin > self.server.cut_s:
                    self.server.cuts += 1
                    return
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                time.sleep(max(0.0, begin + (i + 1) / FPS - time.monotonic()))

    def log_message(self, *_: Any) -> None: ...


def jpegs_of(video: Path, most: int = 120) -> list[bytes]:
    with av.open(str(video)) as file:
        pictures = [p.to_ndarray(format="bgr24") for p in itertools.islice(file.decode(video=0), most)]
    high = round(pictures[0].shape[0] * WIDTH / pictures[0].shape[1])
    return [cv2.imencode(".jpg", cv2.resize(p, (WIDTH, high)))[1].tobytes() for p in pictures]


def look_at(pid: int) -> Look:
    status = Path(f"/proc/{pid}/status").read_text()
    value = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if len(line.split()) > 1}
    files = len(os.listdir(f"/proc/{pid}/fd"))
    ticks = sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    cpu_s = ticks / os.sysconf("SC_CLK_TCK")
    return Look(time.time(), int(value["VmRSS"]) / 1024, int(value["Threads"]), files, cpu_s)


def visit(url: str, until: float) -> None:
    """Watches the page and its stream until then, and leaves in the middle of it."""
    with suppress(OSError):
        urllib.request.urlopen(url, timeout=10).read()
        with urllib.request.urlopen(f"{url}stream", timeout=10) as stream:
            while time.monotonic() < until:
                stream.readline()


def soak(
    work: Path,
    minutes: float,
    video: Path | None,
    pose2d: str | None,
    cut_s: float = 60.0,
    tell: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """One run; without a 2D backend its stage costs nothing.

    Args:
        tell: is told of every minute as it ends.
    """
    stream = _Stream(jpegs_of(video or write_video(work / "v.mp4", 60, size=(320, 240))), cut_s)
    source = f"http://127.0.0.1:{stream.server_address[1]}/s"
    options = ["--no-window", "--serve", 0, "--seconds", 60 * minutes, "--height", 240, "--patience", 30]
    options += ["--pose2d", pose2d] if pose2d else []
    log, outcome = work / "delays", Outcome()
    log.touch()
    walker = {} if pose2d else {"SOAK_WALKER": "1"}
    with start("live", source, *options, code=CODE, SOAK_LOG=str(log), **walker) as process:
        assert process.stderr is not None
        said = ""
        while not said.startswith("Watch at "):
            said = process.stderr.readline()
            if not said:
                raise RuntimeError("live mode did not begin")
        url, errors = said.split()[2], list[str]()
        threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True).start()
        away = time.monotonic() + AWAY_S
        begin, minute = time.time(), 0
        while process.poll() is None:
            time.sleep(LOOK_S)
            if time.time() > begin + 60 * (minute + 1):
                now = replace(outcome, delays=_delays(log), cuts=stream.cuts)
                minute += 1
                tell(f"minute {minute}: {now.between(begin + 60 * (minute - 1), begin + 60 * minute)}")
            with suppress(OSError, KeyError):  # it may have ended a moment ago
                # the server's thread of a client that left ends when it sends next
                if time.monotonic() < away and time.monotonic() > away - AWAY_S + LOOK_S:
                    outcome.looks.append(look_at(process.pid))
            if time.monotonic() > away:
                visit(url, time.monotonic() + VISIT_S)
                outcome.visits += 1
                away = time.monotonic() + AWAY_S
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        outcome.code, outcome.err = process.returncode, "".join(errors)
    stream.shutdown()
    outcome.cuts = stream.cuts
    outcome.delays = _delays(log)
    return outcome


def _delays(log: Path) -> list[tuple[float, float]]:
    whole, _, _ = log.read_text().rpartition("\n")
    return [(float(time_s), float(delay)) for time_s, delay in map(str.split, whole.splitlines())]


def main() -> int:
    """Prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--video", type=Path, help="what is streamed; without it a pattern")
    parser.add_argument("--pose2d", help="the 2D backend; without it a stand-in that costs nothing")
    parser.add_argument("--cut", type=float, default=60.0, metavar="SECONDS", help="the server hangs up so often")
    parser.add_argument("--log", type=Path, help="where a line a minute is written, as it ends; else they are printed")
    args = parser.parse_args()
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = stack.enter_context(args.log.open("w", buffering=1)) if args.log else sys.stdout
        outcome = soak(
            work, args.minutes, args.video, args.pose2d, args.cut, lambda line: print(line, file=log, flush=True)
        )
        print(f"all: {outcome}", file=log)
        for fault in outcome.faults():
            print(f"--- {fault}", file=log)
    return 1 if outcome.faults() else 0


if __name__ == "__main__":
    sys.exit(main())
