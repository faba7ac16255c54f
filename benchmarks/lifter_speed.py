"""Speed of the lifter, all implementations of its scan in the same run: `python benchmarks/lifter_speed.py`.

Prints milliseconds per video frame (T = 243, batch 1, float32) and each one's ratio to the native scan, the scan alone
forward and backward, and the cost over window lengths. Times are the median of several runs. Run it on a quiet machine:
threads that wait for each other on busy cores measure the waiting.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from sasmamba.app.config import DEFAULT_LIFTER
from sasmamba.app.weights import ensure
from sasmamba.models import kernels
from sasmamba.models.checkpoint import load_lifter
from sasmamba.models.sasmamba import SASMAMBA, SASMAMBA_L, SasMamba
from sasmamba.models.scan import selective_scan


def median_ms(call: Callable[[], object], runs: int) -> float:
    """Milliseconds of one call: the median after one call to warm up."""
    call()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def lifter_ms_per_frame(model: SasMamba, runs: int) -> float:
    """Milliseconds per video frame of one 243-frame window."""
    x = torch.randn(1, 243, 17, model.config.in_channels)
    with torch.inference_mode():
        return median_ms(lambda: model(x), runs) / 243


def scan_ms(backend: str, L: int, backward: bool, runs: int) -> float:
    """Milliseconds of one scan of the paper's size: four routes, 128 channels, 16 states, L tokens."""
    E, K, N, R = 128, 4, 16, 4
    u = torch.randn(1, L, E, requires_grad=backward)
    wide = torch.randn(1, L, K, R + 2 * N)
    dt, B, C = wide.split([R, N, N], 3)
    A, D = -torch.rand(K, E, N), torch.ones(K, E)
    weight, bias = torch.randn(K, E, R) * 0.1, torch.full((K, E), -4.0)
    routes = torch.arange(L).expand(K, L).contiguous()

    def call() -> None:
        y = selective_scan(u, dt, B, C, A, D, weight, bias, routes, backend)  # type: ignore[arg-type]
        if backward:
            torch.autograd.grad(y.sum(), u)

    with torch.set_grad_enabled(backward):
        return median_ms(call, runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    lean = load_lifter(ensure(DEFAULT_LIFTER))
    models = {DEFAULT_LIFTER: lean.config, "SasMamba (paper)": SASMAMBA, "SasMamba-L (paper)": SASMAMBA_L}
    table: dict[str, dict[str, float]] = {}
    for name, config in models.items():
        row = {"native": lifter_ms_per_frame(SasMamba(config, "native").eval(), args.runs)}
        if config is not SASMAMBA_L:
            row["reference"] = lifter_ms_per_frame(SasMamba(config, "reference").eval(), 1)
            row["reference / native"] = row["reference"] / row["native"]
        table[f"{name}: ms per frame"] = row
    for backward in (False, True):
        row = {b: scan_ms(b, 4131, backward, 1 if b == "reference" else args.runs) for b in ("native", "reference")}
        row["reference / native"] = row["reference"] / row["native"]
        table[f"scan of 4131 tokens, {'forward + backward' if backward else 'forward'}: ms"] = row
    table["scan, native forward, µs per token by frames"] = {
        str(T): 1000 * scan_ms("native", T * 17, False, args.runs) / (T * 17) for T in (27, 81, 243, 729, 2187)
    }
    long = SasMamba(replace(SASMAMBA, frames=2187), "native").eval()
    with torch.inference_mode():
        table["SasMamba (paper), native, ms per frame by window"] = {
            str(T): median_ms(lambda T=T: long(torch.randn(1, T, 17, 2)), 3) / T for T in (27, 81, 243, 729, 2187)
        }
    machine = f"{platform.machine()}, {args.threads} threads, torch {torch.__version__}, {kernels.load()[1]}"
    if args.json:
        print(json.dumps({"machine": machine, "date": time.strftime("%Y-%m-%d"), "results": table}, indent=2))
        return
    print(machine, time.strftime("%Y-%m-%d"))
    for name, row in table.items():
        print(f"{name:58s} " + "  ".join(f"{k} {v:.3g}" for k, v in row.items()))


if __name__ == "__main__":
    main()
