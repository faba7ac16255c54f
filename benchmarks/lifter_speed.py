"""More on the lifter's speed than `sasmamba-demo bench` tells: `python benchmarks/lifter_speed.py`.

Prints milliseconds per video frame (T = 243, batch 1, float32) of the shipped lifter and the paper's models with the
native and the reference scan, the scan alone forward and backward, and the cost over window lengths. Times are the
median of several runs. Run it on a quiet machine: threads that wait for each other on busy cores measure the waiting.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace

import torch

from sasmamba.app.cli.measuring import FRAMES, JOINTS, lifter_ms_per_frame, machine, median_ms, scan_ms
from sasmamba.app.weights import ensure
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.models.checkpoint import load_lifter
from sasmamba.models.sasmamba import SASMAMBA, SASMAMBA_L, SasMamba


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
    tokens = FRAMES * JOINTS
    for backward in (False, True):
        row = {"native": scan_ms("native", tokens, backward, args.runs)}
        row["reference"] = scan_ms("reference", tokens, backward, 1)
        row["reference / native"] = row["reference"] / row["native"]
        table[f"scan of {tokens} tokens, {'forward + backward' if backward else 'forward'}: ms"] = row
    table["scan, native forward, µs per token by frames"] = {
        str(T): 1000 * scan_ms("native", T * JOINTS, False, args.runs) / (T * JOINTS) for T in (27, 81, 243, 729, 2187)
    }
    long = SasMamba(replace(SASMAMBA, frames=2187), "native").eval()
    with torch.inference_mode():
        table["SasMamba (paper), native, ms per frame by window"] = {
            str(T): median_ms(lambda T=T: long(torch.randn(1, T, JOINTS, 2)), 3) / T for T in (27, 81, 243, 729, 2187)
        }
    about, date = machine() | {"threads": args.threads}, time.strftime("%Y-%m-%d")
    if args.json:
        print(json.dumps({"machine": about, "date": date, "results": table}, indent=2))
        return
    torch_version = about["versions"]["torch"]
    print(f"{about['processor']}, {args.threads} threads, torch {torch_version}, {about['kernels']}, {date}")
    for name, row in table.items():
        print(f"{name:58s} " + "  ".join(f"{k} {v:.3g}" for k, v in row.items()))


if __name__ == "__main__":
    main()
