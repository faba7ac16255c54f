"""Cores and memory: what the system says, cut to what a container may have."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from sasmamba.common.machine import cores, free_memory_mb

BOUND = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.mark.parametrize(
    ("files", "most"),
    [
        ({}, BOUND),
        ({"cpu.max": "max 100000\n"}, BOUND),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "150000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "99900000 100000\n"}, BOUND),
        ({"cpu.max": "nonsense"}, BOUND),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, BOUND),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
    ],
)
def test_cores(files: dict[str, str], most: int, tmp_path: Path) -> None:
    lay(tmp_path, files)
    assert cores(tmp_path) == min(most, BOUND)


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 2048.0),
        ({"memory.max": "max", "memory.current": "1000"}, 2048.0),
        ({"memory.max": "1500000000", "memory.current": "500000000"}, 1000.0),
        ({"memory.max": "9500000000", "memory.current": "500000000"}, 2048.0),
        ({"memory.max": "500000000", "memory.current": "600000000"}, 0.0),
        ({"memory/memory.limit_in_bytes": "1500000000", "memory/memory.usage_in_bytes": "500000000"}, 1000.0),
    ],
)
def test_memory(files: dict[str, str], free: float, tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  4000000 kB\nMemAvailable:    2000000 kB\n")
    lay(tmp_path, files)
    assert free_memory_mb(tmp_path, tmp_path / "meminfo") == pytest.approx(free)


def test_this_machine_has_some() -> None:
    assert cores() >= 1
    assert (free_memory_mb() or 1) > 0


def lay(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_given_back() -> None:
    """Blocks that the allocator keeps since the last one, above them all, is still in use."""
    code = """
import os, ctypes
from sasmamba.common.machine import give_memory_back
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def held():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
blocks = [libc.malloc(100_000) for _ in range(2000)]
for block in blocks:
    ctypes.memset(block, 1, 100_000)
for block in blocks[:-1]:
    libc.free(block)
before = held()
give_memory_back()
print(before - held())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 150_000_000
