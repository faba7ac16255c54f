"""Timing on a GPU and off it, for the scripts that measure there."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch


def median_ms(call: Callable[[], object], device: torch.device, runs: int) -> float:
    """Milliseconds of one call: the median of `runs`, after calls that compile and warm up; a single run has none."""
    for _ in range(3 if device.type == "cuda" else runs > 1):
        call()
    if device.type != "cuda":
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            call()
            times.append(1000 * (time.perf_counter() - start))
        return statistics.median(times)
    marks = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(runs)]
    for begin, end in marks:
        begin.record()
        call()
        end.record()
    torch.cuda.synchronize()
    return statistics.median(begin.elapsed_time(end) for begin, end in marks)


def attempt(what: str, measure: Callable[[], float], unit: str) -> None:
    """Prints a figure, or what kept it from being had: the rest is still worth the GPU's time."""
    try:
        print(f"{what}: {measure():.4g} {unit}", flush=True)
    except Exception as error:
        print(f"{what}: FAILED, {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}", flush=True)
