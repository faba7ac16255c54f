"""How much of the machine this process may use: cores and memory, a container's limits included."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

#: Where Linux tells a container's limits: of cgroup v2, and of v1.
_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def cores(cgroup: Path = _CGROUP) -> int:
    """Cores this process may use, at least 1: those it is bound to, or fewer where its container has fewer."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = _words(cgroup / "cpu.max") or [
        *_words(cgroup / "cpu/cpu.cfs_quota_us"),
        *_words(cgroup / "cpu/cpu.cfs_period_us"),
    ]
    if len(share) == 2 and all(word.isdecimal() for word in share) and int(share[1]):  # "max", "-1": no limit
        bound = min(bound, max(1, int(share[0]) // int(share[1])))
    return bound


def free_memory_mb(cgroup: Path = _CGROUP, meminfo: Path = _MEMINFO) -> float | None:
    """Memory that can still be had, MB; None where the system does not tell."""
    free = []
    for line in _lines(meminfo):
        if line.startswith("MemAvailable:"):
            free.append(int(line.split()[1]) / 1000 * 1.024)
    for most, held in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        limit, used = _words(cgroup / most), _words(cgroup / held)
        if limit and used and limit[0].isdecimal() and used[0].isdecimal():
            free.append(max(0, int(limit[0]) - int(used[0])) / 1e6)
    if not free and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        # macOS tells how much there is, not how much is free
        free.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2 / 1e6)
    return min(free) if free else None


def give_memory_back() -> None:
    """Gives the system what was freed and glibc kept, at the end of a part of the work that needed much."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(ctypes.c_size_t(0))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()
