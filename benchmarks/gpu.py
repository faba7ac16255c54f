"""The GPU in one call of at most ten minutes, against what the hardware allows: `python benchmarks/gpu.py`.

Wants torch for CUDA with the Triton it brought; what else is missing is left out, with a sentence. First the
arithmetic: how many bytes a scan must move and how many exponentials it must take, over the rates measured on this very
GPU; the larger time is the limit. Then agreement of Triton's, mamba-ssm's and PyTorch's scans with the reference, then
times: of the scan and their share of the limit, of a lifter's window, of many windows, of HRNet by how many people are
in a batch, of the whole command on a clip, and, as far as there is time left, of training steps. `--rehearse` goes
through all of it with tiny sizes on the CPU, in Triton's interpreter; its times mean nothing.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import sys
import time
import types
from collections.abc import Callable
from itertools import product
from pathlib import Path

import torch
from gpu_timing import attempt, median_ms
from torch import Tensor

V = 17  # joints

if importlib.util.find_spec("sasmamba") is None:  # not installed: the tree this file lies in serves as the package
    sys.modules["sasmamba"] = types.ModuleType("sasmamba")
    sys.modules["sasmamba"].__path__ = [str(Path(__file__).resolve().parents[1])]


def sizes(small: bool) -> tuple[int, int, int, int, int]:
    """Frames, channels, routes, states and rank of the scan that is timed: the paper's, or next to nothing."""
    return (1, 6, 2, 2, 2) if small else (243, 128, 4, 16, 4)


def replayed(call: Callable[[], object]) -> Callable[[], object]:
    """The call as a CUDA graph: what it costs without launching every kernel from Python."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def scan_inputs(
    batch: int, T: int, E: int, K: int, N: int, R: int, device: torch.device, dtype: torch.dtype
) -> list[Tensor]:
    """Inputs of a scan over the (T, V) grid, dt, B and C as slices of one projection, as the block makes them."""
    g = torch.Generator().manual_seed(0)
    tokens = torch.arange(T * V).view(T, V)
    orders = [tokens.flatten(), tokens.flatten().flip(0), tokens.T.flatten(), tokens.T.flatten().flip(0)]

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=g)

    L = T * V
    dt, B, C = normal(batch, L, K, R + 2 * N).to(device, dtype).split([R, N, N], 3)
    u = normal(batch, L, E).to(device, dtype)
    A = -torch.arange(1.0, N + 1).expand(K, E, N)
    parameters = [A, torch.ones(K, E), normal(K, E, R) * 0.3, normal(K, E) - 4]
    return [u, dt, B, C, *(x.to(device).contiguous() for x in parameters), torch.stack(orders[:K]).to(device)]


def rates(device: torch.device, small: bool) -> tuple[float, float]:
    """Bytes per second of a large copy (read and written), and exponentials per second, both measured."""
    import triton
    import triton.language as tl

    @triton.jit
    def many_exponentials(out, ROUNDS: tl.constexpr):  # type: ignore[no-untyped-def]
        at = tl.program_id(0) * 1024 + tl.arange(0, 1024)
        x = at * -1e-9
        for _ in tl.range(ROUNDS):
            x = tl.exp2(x) * -0.5
        tl.store(out + at, x)

    size = 1 << (16 if small else 28)
    source = torch.randn(size, device=device)
    target = torch.empty_like(source)
    copy = median_ms(lambda: target.copy_(source), device, 10)
    programs, rounds = (2, 4) if small else (132 * 64, 4096)
    out = torch.empty(programs * 1024, device=device)
    exponentials = median_ms(lambda: many_exponentials[(programs,)](out, ROUNDS=rounds), device, 5)
    return 2 * source.nbytes / copy * 1000, programs * 1024 * rounds / exponentials * 1000


def limits(inputs: list[Tensor], bandwidth: float, rate: float) -> dict[str, tuple[float, float, float, str]]:
    """Least milliseconds of a scan forward, and backward: (GB, 1e9 exponentials, ms, which of both binds)."""
    u, A = inputs[0], inputs[4]
    exponentials = u.shape[0] * u.shape[1] * A.numel()
    once = sum(x.untyped_storage().nbytes() if i in (0, 1) else 0 for i, x in enumerate(inputs))  # B, C share dt's
    result = {}
    # backward reads the inputs and the gradient of the output, writes gradients of the inputs, and needs every decay
    # again; that a kernel takes some twice, to cut a sequence or to spare memory, is its own affair
    for name, moved in (("forward", once + u.nbytes), ("backward", 2 * once + u.nbytes)):
        by_bytes, by_arithmetic = 1000 * moved / bandwidth, 1000 * exponentials / rate
        binds = "bytes" if by_bytes > by_arithmetic else "exponentials"
        result[name] = moved / 1e9, exponentials / 1e9, max(by_bytes, by_arithmetic), binds
    return result


def parity(device: torch.device, small: bool) -> None:
    """Relative errors ‖out − ref‖ / ‖ref‖ against the reference in float64 and the parallel scan in float32."""
    from sasmamba.models.scan import selective_scan

    names = ("y", "u", "dt", "B", "C", "A", "D", "dt_weight", "dt_bias")

    def results(inputs: list[Tensor], backend: str) -> list[Tensor]:
        leaves = [x.detach().requires_grad_() for x in inputs[:-1]]
        y = selective_scan(*leaves, inputs[-1], backend)  # type: ignore[call-arg,arg-type]
        probe = torch.cos(torch.arange(y.numel(), device=device)).bfloat16().to(y.dtype).view(y.shape)
        return [y.detach(), *torch.autograd.grad((y * probe).sum(), leaves)]

    wrong = 0
    shapes = [(1, 1, 6, 2, 2, 2)] if small else [(1, 81, 128, 4, 16, 4), (3, 27, 96, 4, 1, 3), (2, 31, 40, 3, 5, 2)]
    for (batch, T, *rest), dtype in product(shapes, (torch.float32, torch.bfloat16)):
        inputs = scan_inputs(batch, T, *rest, device, dtype)
        want = results([x.double() if x.is_floating_point() else x for x in inputs], "reference")
        backends = ["triton"] + ["parallel"] * (dtype == torch.float32) + ["mamba_ssm"] * has_mamba_ssm(device)
        for backend in backends:
            got = results(inputs, backend)
            errors = [((a.double() - b).norm() / b.norm()).item() for a, b in zip(got, want, strict=True)]
            worst = max(range(len(errors)), key=errors.__getitem__)
            allowed = 5e-6 if dtype == torch.float32 else 4e-3
            if backend == "mamba_ssm" and dtype == torch.bfloat16:
                allowed *= 4  # it rounds the step sizes, too, which every decay depends on
            mark = "ok" if all(e <= allowed for e in errors) else "WRONG"  # no number is never ≤
            shape = f"batch {batch}, {T} frames, E K N R {rest}"
            print(f"  {mark:5s} {backend:9s} {str(dtype)[6:]:8s} {shape}: worst {errors[worst]:.1e} ({names[worst]})")
            again = results(inputs, backend)
            wrong += mark != "ok"
            if backend == "triton" and not all(torch.equal(a, b) for a, b in zip(got, again, strict=True)):
                print("  WRONG triton gave another result the second time")
                wrong += 1
    if wrong:
        raise AssertionError(f"{wrong} results are WRONG")


def has_mamba_ssm(device: torch.device) -> bool:
    """Whether mamba-ssm's kernel can be compared, too."""
    return device.type == "cuda" and importlib.util.find_spec("mamba_ssm") is not None


def scan_times(
    inputs: list[Tensor], leaves: list[Tensor], backend: str, device: torch.device, runs: int
) -> tuple[float, float]:
    """Milliseconds of a scan forward, keeping nothing, and backward."""
    from sasmamba.models.scan import selective_scan

    y = selective_scan(*leaves, inputs[-1], backend)  # type: ignore[call-arg,arg-type]
    dy = torch.randn_like(y)
    backward = median_ms(lambda: torch.autograd.grad(y, leaves, dy, retain_graph=True), device, runs)
    with torch.no_grad():
        return median_ms(lambda: selective_scan(*inputs, backend), device, runs), backward  # type: ignore[call-arg,arg-type]


def scans(device: torch.device, runs: int, small: bool, bandwidth: float, rate: float) -> None:
    """Times of one scan of the paper's size, forward and backward, and their share of the limit."""
    from sasmamba.models.scan import selective_scan

    for batch, dtype in product((1,) if small else (1, 8, 64), (torch.float32, torch.bfloat16)):
        inputs = scan_inputs(batch, *sizes(small), device, dtype)
        leaves = [x.detach().requires_grad_() for x in inputs[:-1]]
        least = limits(inputs, bandwidth, rate)
        # the parallel scan holds every state several times over, and wants one dtype
        backends = ["triton"] + ["parallel"] * (batch == 1 and dtype == torch.float32)
        for backend in backends + ["mamba_ssm"] * has_mamba_ssm(device):
            times = dict(zip(("forward", "backward"), scan_times(inputs, leaves, backend, device, runs), strict=True))
            if device.type == "cuda" and backend == "triton":
                with torch.no_grad():
                    graph = replayed(lambda inputs=inputs: selective_scan(*inputs, "triton"))  # type: ignore[misc]
                times["forward, graph"] = median_ms(graph, device, runs)
            for name, ms in times.items():
                _, _, limit, binds = least[name.partition(",")[0]]
                print(
                    f"  batch {batch:3d} {str(dtype)[6:]:8s} {backend:9s} {name:14s} {ms:9.3f} ms, "
                    f"limit {limit:.3f} ms ({binds}), {limit / ms:.0%} of it",
                    flush=True,
                )


def tune(device: torch.device, runs: int, small: bool) -> None:
    """Times of a scan over the constants of the kernels."""
    from sasmamba.models.scan import triton as kernels

    names = ("CHUNK", "GROUP", "WIDTH", "STAGES", "FEW", "ENOUGH")
    shipped = tuple(getattr(kernels, name) for name in names)
    others = [(*shape, *shipped[4:]) for shape in product((32, 64), (1, 2, 4), (16, 32), (1, 3))]
    others += [(*shipped[:4], *cut) for cut in ((4, 8), (4, 32), (8, 16), (16, 32))]
    for batch in (1,) if small else (1, 64):
        inputs = scan_inputs(batch, *sizes(small), device, torch.float32)
        leaves = [x.detach().requires_grad_() for x in inputs[:-1]]
        rows = []
        for values in [shipped, *(others[:1] if small else others)]:
            for name, value in zip(names, values, strict=True):
                setattr(kernels, name, value)
            rows.append((*scan_times(inputs, leaves, "triton", device, runs), values))
        for which, name in enumerate(("forward", "backward")):
            print(f"  batch {batch}, {name}, by {', '.join(names)}; as shipped, then the best:")
            for row in [rows[0], *sorted(rows, key=lambda r, which=which: r[which])[:5]]:  # type: ignore[misc]
                print(f"    {row[which]:9.3f} ms  {row[2]}")
        for name, value in zip(names, shipped, strict=True):
            setattr(kernels, name, value)


def lifters(device: torch.device, runs: int, small: bool) -> None:
    """A lifter's window at batch 1 in three ways, and frames per second at large batches."""
    from sasmamba.models.blocks import BlockConfig
    from sasmamba.models.sasmamba import SASMAMBA, SasMamba, SasMambaConfig

    lean = BlockConfig(width=48, states=1, local="depthwise", dt_range=(0.01, 1.0))
    models = {"paper": SASMAMBA, "lean": SasMambaConfig(block=lean, blocks=6, in_channels=3)}
    T = 243
    if small:
        models, T = {"tiny": SasMambaConfig(block=BlockConfig(width=8, states=2), blocks=2)}, 1
    for name, config in models.items():
        model = SasMamba(config, "triton").eval().to(device)
        x = torch.randn(1, T, V, config.in_channels, device=device)
        ways: dict[str, Callable[[], Callable[[], object]]] = {"eager": lambda m=model, x=x: lambda: m(x)}  # type: ignore[misc]
        if device.type == "cuda":
            ways["CUDA graph"] = lambda m=model, x=x: replayed(lambda: m(x))  # type: ignore[misc]
            ways["torch.compile"] = lambda m=model, x=x: functools.partial(torch.compile(m), x)  # type: ignore[misc]
        with torch.no_grad():  # a graph captured in inference mode cannot be compiled again outside
            for way, prepare in ways.items():
                attempt(
                    f"  {name}, one window, {way}", lambda prepare=prepare: median_ms(prepare(), device, runs), "ms"
                )  # type: ignore[misc]
            for batch, bf16 in product((1,) if small else (16, 64, 256), (False, True)):
                windows = x.expand(batch, -1, -1, -1).contiguous()

                def many(m: SasMamba = model, x: Tensor = windows, bf16: bool = bf16) -> float:
                    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                        return x.shape[0] * T / median_ms(lambda: m(x), device, max(runs // 4, 1)) * 1000

                attempt(f"  {name}, batch {batch}, {'bfloat16' if bf16 else 'float32'}", many, "frames/s")


def training(device: torch.device, runs: int, small: bool) -> None:
    """Clips per second of training steps: forward, loss, backward, AdamW."""
    from sasmamba.models.blocks import BlockConfig
    from sasmamba.models.sasmamba import SASMAMBA, SasMamba, SasMambaConfig
    from sasmamba.training.losses import sasmamba_loss

    config = SasMambaConfig(block=BlockConfig(width=8, states=2), blocks=2) if small else SASMAMBA
    batch, T = (1, 1) if small else (64, 243)
    for bf16, compiled in ((True, False),) if small else product((False, True), (False, True)):
        model = SasMamba(config, "triton").train().to(device)
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
        run = torch.compile(model) if compiled else model
        x, target = torch.randn(batch, T, V, config.in_channels, device=device), torch.randn(batch, T, V, 3).to(device)
        stride = torch.ones(batch, device=device)

        def step(run: Callable = run, optimiser: torch.optim.Optimizer = optimiser, bf16: bool = bf16) -> None:
            optimiser.zero_grad(set_to_none=True)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                predicted = run(x)  # noqa: B023 (called within this round)
            sasmamba_loss(predicted.float(), target, stride).backward()  # noqa: B023
            optimiser.step()

        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        what = f"  {'bfloat16' if bf16 else 'float32'}, {'compiled' if compiled else 'eager'}"
        attempt(what, lambda: batch / median_ms(step, device, max(runs // 4, 1)) * 1000, "clips/s")
        if device.type == "cuda":
            print(f"    at most {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")


def chain() -> types.ModuleType:
    """What wants video libraries, too."""
    import gpu_chain

    return gpu_chain


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rehearse", action="store_true", help="tiny sizes on the CPU, in Triton's interpreter")
    parser.add_argument("--tune", action="store_true", help="also time the kernels over their constants")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=9.0, help="no part is begun after so many")
    parser.add_argument("--video", type=Path, help="for the whole command; by default the demo clip, if it is here")
    args = parser.parse_args()
    if args.rehearse:
        os.environ["TRITON_INTERPRET"] = "1"  # before triton is imported
        args.runs = 1
    elif not torch.cuda.is_available():
        print("There is no GPU that torch can use here; --rehearse tries the script without one.", file=sys.stderr)
        return 1
    import triton

    begin = time.monotonic()
    device, small = torch.device("cpu" if args.rehearse else "cuda"), args.rehearse
    if small:  # chunks as short as the sequences
        from sasmamba.models.scan import triton as kernels

        kernels.CHUNK = 8
    name = "no GPU, interpreted" if small else torch.cuda.get_device_name()
    print(f"{name}, torch {torch.__version__}, triton {triton.__version__}, {time.strftime('%Y-%m-%d')}")
    parts: dict[str, Callable[[], None]] = {
        "agreement with the reference (relative error of the norm)": lambda: parity(device, small),
        "one scan (243 frames, 128 channels, 4 routes, 16 states)": lambda: limits_and_scans(device, args.runs, small),
        "lifter, 243 frames": lambda: lifters(device, args.runs, small),
        "HRNet-W32, crops of 256x192": lambda: chain().hrnet(device, args.runs, small),
        "the whole command": lambda: chain().command(device, small, args.video),
        "training steps, 64 clips of 243 frames": lambda: training(device, args.runs, small),
    }
    if args.tune:
        parts["constants of the kernels"] = lambda: tune(device, args.runs, small)
    failed = False
    for what, part in parts.items():
        passed = time.monotonic() - begin
        if passed > 60 * args.minutes:
            print(f"{what}: left out, {passed:.0f} s have passed")
            continue
        print(f"{what} ({passed:.0f} s have passed):", flush=True)
        try:
            part()
        except ModuleNotFoundError as error:
            print(f"  left out: {error}", flush=True)
        except Exception as error:  # the rest is still worth the GPU's time
            failed = True
            print(f"  FAILED, {type(error).__name__}: {error}", flush=True)
    return int(failed)


def limits_and_scans(device: torch.device, runs: int, small: bool) -> None:
    """What the hardware allows, and how near to it the scans come."""
    bandwidth, rate = rates(device, small)
    print(f"limits: {bandwidth / 1e12:.3g} TB/s, {rate / 1e12:.3g}e12 exponentials/s, as measured here")
    for batch in (1,) if small else (1, 64):
        inputs = scan_inputs(batch, *sizes(small), device, torch.float32)
        for way, (gigabytes, exponentials, ms, binds) in limits(inputs, bandwidth, rate).items():
            print(
                f"  scan, batch {batch:2d}, {way:8s} {gigabytes:.4g} GB, {exponentials:.4g}e9 exponentials: "
                f"at least {ms:.3g} ms ({binds})"
            )
    scans(device, runs, small, bandwidth, rate)


if __name__ == "__main__":
    sys.exit(main())
