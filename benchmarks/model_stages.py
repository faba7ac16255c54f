"""Where a lifter's time goes: `python benchmarks/model_stages.py`.

Prints milliseconds per frame and share of the whole for every stage of the shipped lifter and of the paper's
configuration: forward (T = 243, batch 1) and forward + backward (T = 27, batch 32), then training frames per second of
the paper's configuration, native kernels against the plain PyTorch scan and sampling. float32 on the CPU.

Every call of a stage is timed where it happens, its nodes of the graph on the way back as well; the median of several
passes. "The rest" is the whole less the stages: residuals, gates' products, routes, gathering gradients.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from sasmamba.app.cli.measuring import median_ms
from sasmamba.app.weights import ensure
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.models import blocks, kernels, s6
from sasmamba.models.checkpoint import load_lifter
from sasmamba.models.sasmamba import SASMAMBA, SasMamba, SasMambaConfig
from sasmamba.models.scan import Backend

#: Part of a parameter's name, first match, to the stage of the function that reads it.
STAGES = {
    "embed.": "embedding",
    "head.1": "head",
    "mlp.": "MLP",
    "norm": "norms",
    "head.0": "norms",
    "in_proj": "in and out projections",
    "out_proj": "in and out projections",
    "x_proj": "scan: projections",
    "offset": "offset convolution",
}
#: Functions that are a stage as they stand, and the module that calls them.
WHOLE: dict[str, tuple[ModuleType, str]] = {
    "structure_aware_conv": (blocks, "deformable sampling"),
    "selective_scan": (s6, "scan"),
}
GATES, REST = "gates (SiLU)", "the rest"
#: The plain PyTorch scan keeps every token's state of every block: some 20 GB at batch 32.
REFERENCE_BATCH = 4


class Stopwatch(TorchFunctionMode):
    """Adds up the seconds of each stage while a model runs, forward and backward."""

    def __init__(self, model: SasMamba) -> None:
        super().__init__()
        self.seconds: dict[str, float] = defaultdict(float)
        self._owner = {p.untyped_storage().data_ptr(): name for name, p in model.named_parameters()}
        self._inside = False

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        stage = None if self._inside else self._stage(func, (*args, *(kwargs or {}).values()))
        if stage is None:
            return func(*args, **(kwargs or {}))
        return self._timed(stage, func, args, kwargs or {})

    def _stage(self, func: Any, args: tuple) -> str | None:
        name = getattr(func, "__name__", "")
        if name in ("silu", "gelu"):
            return GATES if name == "silu" else "MLP"
        if name not in ("linear", "layer_norm", "conv2d"):
            return None
        owners = [self._owner.get(a.untyped_storage().data_ptr(), "") for a in args[1:] if isinstance(a, Tensor)]
        return next((stage for part, stage in STAGES.items() for owner in owners if part in owner), None)

    def _timed(self, stage: str, func: Callable[..., Tensor], args: tuple, kwargs: dict[str, Any]) -> Tensor:
        self._inside = True
        begin = time.perf_counter()
        try:
            out = func(*args, **kwargs)
        finally:
            self._inside = False
        self.seconds[stage] += time.perf_counter() - begin
        before = {a.grad_fn for a in args if isinstance(a, Tensor)}  # where the way back leaves this call
        ahead = [out.grad_fn]
        while ahead:
            node = ahead.pop()
            if node is None or node in before or node.name().endswith("AccumulateGrad"):
                continue
            before.add(node)
            self._watch(stage, node)
            ahead += [following for following, _ in node.next_functions]
        return out

    def _watch(self, stage: str, node: Any) -> None:
        begin = 0.0

        def start(_: Any) -> None:
            nonlocal begin
            begin = time.perf_counter()

        def end(*_: Any) -> None:
            self.seconds[stage] += time.perf_counter() - begin

        node.register_prehook(start)
        node.register_hook(end)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Measures; what happens within a function of `WHOLE` counts as that function's."""
        with ExitStack() as stack:
            for name, (module, stage) in WHOLE.items():
                original = getattr(module, name)

                def timed(*args: Any, _stage: str = stage, _original: Any = original, **kwargs: Any) -> Tensor:
                    return self._timed(_stage, _original, args, kwargs)

                stack.enter_context(patch.object(module, name, timed))
            stack.enter_context(self)
            yield


def step(model: SasMamba, x: Tensor) -> None:
    """One step of training but for the loss and the optimiser."""
    model.zero_grad()
    y = model(x)
    y.backward(y.detach())


def stages_ms(model: SasMamba, frames: int, batch: int, backward: bool, runs: int) -> dict[str, float]:
    """Milliseconds per frame of the whole, of each stage, and of the rest."""
    model.train(backward)
    x = torch.randn(batch, frames, 17, model.config.in_channels)
    passes: list[dict[str, float]] = []
    with torch.set_grad_enabled(backward):
        for _ in range(runs + 1):  # the first one warms up
            watch = Stopwatch(model)
            with watch.watching():
                begin = time.perf_counter()
                if backward:
                    step(model, x)
                else:
                    model(x)
                whole = time.perf_counter() - begin
            passes.append({"whole": whole, **watch.seconds, REST: whole - sum(watch.seconds.values())})
    scale = 1000 / (batch * frames)
    row = {stage: scale * statistics.median(p[stage] for p in passes[1:]) for stage in passes[0]}
    return dict(sorted(row.items(), key=lambda item: (item[0] == REST, -item[1])))


def frames_per_second(config: SasMambaConfig, backend: Backend, batch: int, runs: int) -> float:
    """Frames that a step of training goes through in a second, T = 27."""
    model = SasMamba(config, backend).train()
    x = torch.randn(batch, 27, 17, config.in_channels)
    return 1000 * batch * 27 / median_ms(lambda: step(model, x), runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32, help="of forward + backward")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    paper = replace(SASMAMBA, drop_path=0.0)
    models = {DEFAULT_LIFTER: load_lifter(ensure(DEFAULT_LIFTER)), "SasMamba (paper)": SasMamba(paper)}
    tables: dict[str, dict[str, float]] = {}
    for name, model in models.items():
        tables[f"{name}, forward, T = 243, batch 1"] = stages_ms(model, 243, 1, False, args.runs)
        title = f"{name}, forward + backward, T = 27, batch {args.batch}"
        tables[title] = stages_ms(model, 27, args.batch, True, args.runs)
    native = 1000 / tables[title]["whole"]
    few = min(REFERENCE_BATCH, args.batch)
    speeds = {
        f"native, batch {args.batch}": native,
        f"native, batch {few}": frames_per_second(paper, "auto", few, args.runs),
        f"reference, batch {few}": frames_per_second(paper, "reference", few, 1),
    }
    ratio = speeds[f"native, batch {few}"] / speeds[f"reference, batch {few}"]

    machine = f"{platform.machine()}, {args.threads} threads, torch {torch.__version__}, {kernels.load()[1]}"
    if args.json:
        results = {"ms per frame": tables, "training frames per second": speeds, "native / reference": ratio}
        print(json.dumps({"machine": machine, "date": time.strftime("%Y-%m-%d"), "results": results}, indent=2))
        return
    print(machine, time.strftime("%Y-%m-%d"))
    for title, row in tables.items():
        print(f"\n{title:55s} ms per frame   share")
        for stage, ms in row.items():
            print(f"  {stage:53s} {ms:12.4f}  {100 * ms / row['whole']:5.1f} %")
    print("\nTraining, SasMamba (paper), T = 27: frames per second")
    for name, speed in speeds.items():
        print(f"  {name:53s} {speed:12.1f}")
    print(f"  {f'native / reference, batch {few}':53s} {ratio:12.2f}")


if __name__ == "__main__":
    main()
