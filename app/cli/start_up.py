"""How long a run takes to its first picture, beside what importing torch alone takes.

Each is done in a process of its own, which ends at its first picture; in turns, several times over, and the least
counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from sasmamba.common.errors import UserError

#: What a process does that ends by `os._exit` when its first frame is out.
_IMPORT = "import torch, os; os._exit(0)"
_FILE = """
import os, sys
from sasmamba.app.config import Job, Settings
from sasmamba.app.pipeline import run
settings = Settings(pose2d=sys.argv[2])
run(Job(sys.argv[1], sys.argv[3] + "/render.mp4"), settings, lambda stage, done, total: os._exit(0))
"""
_LIVE = """
import os, sys
from sasmamba.app.config import LiveJob, LiveSettings
from sasmamba.app.live.run_live import run_live
settings = LiveSettings(window=False, serve=0, pose2d=sys.argv[2])
run_live(LiveJob(sys.argv[1]), settings, lambda sentence: None, lambda shown, delay_s: os._exit(0))
"""
#: The yardstick's name.
TORCH = "import torch"
#: What is compared; a file's first frame is out when its people are found.
KINDS = {TORCH: _IMPORT, "file": _FILE, "live": _LIVE}


def start_up(video: Path, pose2d: str, folder: Path, *, rounds: int = 3) -> dict[str, dict[str, float]]:
    """Seconds from the start of a process to its first picture, by `KINDS`.

    Args:
        video: with people.
        pose2d: the backend.
        folder: where a render may be begun.

    Returns:
        For each: "wall_s", and "cpu_s" of all its threads (NaN where the system does not tell).

    Raises:
        UserError: a run failed.
    """
    least: dict[str, dict[str, float]] = {kind: {"wall_s": float("inf"), "cpu_s": float("inf")} for kind in KINDS}
    for _ in range(rounds):
        for kind, code in KINDS.items():
            begin = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-c", code, str(video), pose2d, str(folder)], stderr=subprocess.DEVNULL
            )
            cpu_s = _cpu_s(process)
            wall_s = time.perf_counter() - begin
            if process.returncode:
                raise UserError(f"A run that was to be timed ended with exit code {process.returncode}: try {video}.")
            least[kind]["wall_s"] = min(least[kind]["wall_s"], wall_s)
            least[kind]["cpu_s"] = min(least[kind]["cpu_s"], cpu_s)
    return least


def _cpu_s(process: subprocess.Popen[bytes]) -> float:
    """Waits for a process; its CPU time, NaN on systems without wait4."""
    if not hasattr(os, "wait4"):
        process.wait()
        return float("nan")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime
