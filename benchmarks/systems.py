"""All systems side by side: what they are made of, what a window costs, what their papers report.

    python benchmarks/systems.py                 # the tables of README.md and RESULTS.md, in seconds
    python benchmarks/systems.py --speed         # and the time per frame on this machine, one thread

Parameters. "As the papers count": those of Linear, Conv2d and LayerNorm layers (`count_parameters`); the scan's own are
bare. GLSMamba's: all but those of its scans, see models/glsmamba.py.

Multiply-accumulates (MACs) of one forward pass: 243 frames for a lifter, one clip of 5 crops for GLSMamba, whose
backbone is left out. "As the papers count": Linear and Conv2d, and 4 per element of a LayerNorm, the convention that
gives the PoseMamba paper's figures to their last digit; what the scan does is not in it. (SasMamba's Table 5 has the
linear and convolutional layers alone, its Table 1 half of that.) "In full" is the sum of three:

* what torch.utils.flop_counter sees, half its FLOPs: matrix products and convolutions of PyTorch, among them the
  projections to Δ, B and C that the papers leave out. Elementwise work, norms and activations it does not see;
* local mixing, which runs in a kernel of its own: 9 per channel for the depthwise convolution, 5 for each sampled tap
  (four corners and its weight), 6 where a tap is modulated;
* the scan: per token, route and channel R for Δ, 4 for each of N states (Δ · A, Δu · B, the state, y) and 2 (Δ · u,
  D · u). Its exponentials, one for each state and one for the softplus, stand in a column of their own.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sasmamba.models import blocks, s6, spacetime
from sasmamba.models.checkpoint import config_from_dict
from sasmamba.models.glsmamba import GLSMAMBA_B, GLSMAMBA_H, GLSMamba
from sasmamba.models.posemamba import POSEMAMBA
from sasmamba.models.sasmamba import SASMAMBA, SASMAMBA_L, SasMamba, SasMambaConfig, count_parameters
from sasmamba.training.train_config import load_config

FRAMES = 243
LEAN = "sasmamba-lean"


@dataclass(frozen=True)
class Published:
    """What a paper reports of its model, as it prints it; empty where it does not. P1 and P2 on Human3.6M, mm."""

    parameters: str = ""
    macs: str = ""
    detected: str = ""
    true: str = ""


@dataclass(frozen=True)
class System:
    """A model that can be built, and an input of it.

    Attributes:
        build: makes it, with weights of chance: nothing here depends on them.
        shape: of one input.
        frames: video frames that one pass answers for.
        lifter: its configuration, None for what is no lifter.
    """

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    frames: int = FRAMES
    lifter: SasMambaConfig | None = None
    published: Published = field(default_factory=Published)


@dataclass
class Macs:
    """Multiply-accumulates of one pass: seen by the tool, local mixing, scan; and exponentials of the scan."""

    tool: int = 0
    local: int = 0
    scan: int = 0
    exponentials: int = 0

    @property
    def full(self) -> int:
        return self.tool + self.local + self.scan


def lean_config(name: str) -> SasMambaConfig:
    """The lean lifters: sasmamba-lean as it is shipped, grown twice from its configuration (`grow`), and its twin."""
    config = config_from_dict(load_config("lean" if name == LEAN else name).model)
    if name == LEAN:
        config = replace(config, block=replace(config.block, local="structure_aware", mlp_ratio=6))
    return config


def systems() -> list[System]:
    """Every system there is, the papers' and the lean ones."""
    configs = {
        "SasMamba": (SASMAMBA, Published("0.64 M", "1.3 G, 2.60 G", "41.48 / 34.84", "21.44")),
        "SasMamba-L": (SASMAMBA_L, Published("4.1 M", "8.56 G", "39.77 / 33.61", "20.92")),
        LEAN: (lean_config(LEAN), Published()),
        "PoseMamba-S": (POSEMAMBA["posemamba-s"], Published("0.860 M", "3.587 G", "41.8 / 35.0", "20.0")),
        "PoseMamba-B": (POSEMAMBA["posemamba-b"], Published("3.358 M", "13.943 G", "40.8 / 34.3", "16.8")),
        "PoseMamba-L": (POSEMAMBA["posemamba-l"], Published("6.714 M", "27.881 G", "38.1 / 32.5", "15.6")),
        "PoseMamba-X": (POSEMAMBA["posemamba-x"], Published("26.535 M", "109.909 G", "37.1 / 31.5", "14.8")),
        "posemamba-lean": (lean_config("posemamba-lean"), Published()),
    }
    out = [
        System(name, lambda c=c: SasMamba(c), (1, FRAMES, c.joints, c.in_channels), lifter=c, published=p)  # type: ignore[misc]
        for name, (c, p) in configs.items()
    ]
    for name, g, p in (
        ("GLSMamba-B", GLSMAMBA_B, Published("9.8 M", "138.9 GFLOPs with ViT-B")),
        ("GLSMamba-H", GLSMAMBA_H, Published()),
    ):
        shape = (1, g.frames, g.backbone_channels, 16, 12)  # of crops of 256 × 192
        out.append(System(name, lambda g=g: GLSMamba(g), shape, frames=1, published=p))  # type: ignore[misc]
    return out


def parameters(system: System, model: nn.Module) -> tuple[int, int]:
    """(as the papers count, all)."""
    if system.lifter:
        return count_parameters(model)
    every = sum(p.numel() for p in model.parameters())
    scans = sum(p.numel() for m in model.modules() if isinstance(m, spacetime.RouteScans) for p in m.parameters())
    return every - scans, every


def layer_macs(config: SasMambaConfig, frames: int = FRAMES) -> int:
    """A lifter's MACs as the papers count, by hand: Linear, Conv2d, and 4 per element of a LayerNorm."""
    b = config.block
    C, E = b.width, b.channels
    linear = C * 2 * E + E * C + 2 * b.mlp_ratio * C * C
    conv = 9 * E
    if b.local == "structure_aware" and b.taps_side > 1:
        conv += 9 * E * 2 * b.taps_side**2
    norms = 4 * (C + C + E + C)  # before the mixer, before the MLP, after the scan, after the block
    token = config.blocks * (linear + conv + norms) + config.in_channels * C + 4 * C + 3 * C
    return token * frames * config.joints


@contextmanager
def _kernels_noted(macs: Macs) -> Iterator[None]:
    """Local mixing and scans are noted in `macs` by the shapes they are called with, and not run."""

    def scan(u: Tensor, dt: Tensor, B: Tensor, C: Tensor, A: Tensor, *_: Any) -> Tensor:
        (batch, L, E), (K, R), N = u.shape, dt.shape[2:], A.shape[-1]
        macs.scan += batch * L * K * E * (R + 4 * N + 2)
        macs.exponentials += batch * L * K * E * (N + 1)
        return torch.empty_like(u)

    def local(x: Tensor, _offset: Tensor, deform: Tensor, plain: Tensor, *_: Any, **__: Any) -> Tensor:
        macs.local += x.numel() * (len(plain) + 5 * len(deform))
        return torch.empty_like(x)

    def modulated(x: Tensor, _offset: Tensor, _modulation: Tensor, weight: Tensor, **_: Any) -> Tensor:
        macs.local += x.numel() * 6 * len(weight)
        return torch.empty_like(x)

    with (
        patch.object(s6, "selective_scan", scan),
        patch.object(blocks, "structure_aware_conv", local),
        patch.object(spacetime, "deform_depthwise", modulated),
    ):
        yield


def count_macs(model: nn.Module, shape: tuple[int, ...]) -> Macs:
    """The MACs of one pass over an input of `shape`; nothing is computed, so that large models take no time."""
    macs = Macs()
    model = model.to("meta").eval()
    with torch.no_grad(), _kernels_noted(macs), FlopCounterMode(display=False) as counter:
        model(torch.empty(shape, device="meta"))
    macs.tool = counter.get_total_flops() // 2
    return macs


def table(head: list[str], rows: list[list[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def sizes() -> tuple[str, str]:
    """The table of sizes, and where the MACs in full come from."""
    short: list[list[str]] = []
    parts: list[list[str]] = []
    for system in systems():
        model, p = system.build(), system.published
        counted, every = parameters(system, model)
        macs = count_macs(model, system.shape)
        papers = f"{layer_macs(system.lifter) / 1e9:.3f} G" if system.lifter else ""
        short.append(
            [
                system.name,
                f"{counted / 1e6:.3f} M",
                f"{every / 1e6:.3f} M",
                p.parameters,
                papers,
                p.macs,
                f"{macs.full / 1e9:.2f} G",
                p.detected,
                p.true,
            ]
        )
        parts.append(
            [
                system.name,
                *(f"{n / 1e9:.3f} G" for n in (macs.tool, macs.local, macs.scan, macs.full, macs.exponentials)),
            ]
        )
    head = [
        "system",
        "parameters as the papers count",
        "all",
        "published",
        "MACs as the papers count",
        "published",
        "in full",
        "P1 / P2, detected 2D",
        "P1, true 2D",
    ]
    return table(head, short), table(["system", "tool", "local mixing", "scan", "in full", "exponentials"], parts)


def speed(runs: int) -> str:
    """Milliseconds of one thread's CPU time per frame, each system in turn with the lean lifter; the fastest of `runs`.

    CPU time and not the clock's: what else the machine does in the meantime is not the model's.
    """

    def runner(system: System) -> Callable[[], float]:
        model, x = system.build().eval(), torch.randn(system.shape)

        def run() -> float:
            start = time.process_time()
            with torch.inference_mode():
                model(x)
            return 1000 * (time.process_time() - start) / system.frames

        return run

    torch.set_num_threads(1)
    every = systems()
    lean = runner(next(system for system in every if system.name == LEAN))
    rows = []
    for system in every:
        own = runner(system)
        both = [(lean(), own()) for _ in range(runs + 1)][1:]  # the first pass of each warms up
        beside, mine = (min(times) for times in zip(*both, strict=True))
        rows.append([system.name, f"{mine:.3g}", f"{mine / beside:.3g}"])
    return table(["system", "ms of CPU per frame", f"times {LEAN}'s"], rows)


def measured(path: Path) -> str:
    """What `compare_lifters.py` measured of the families on equal terms; nothing where it has not been run."""
    if not path.is_file():
        return ""
    content = json.loads(path.read_text())
    about, results = content["about"], content["results"]
    shown = ("true P1", "true P2", "noisy P1", "noisy P2")
    rows = [
        [name, f"{r['parameters'] / 1e6:.3f} M", *(f"{r[k]:.1f}" for k in shown)]
        for name, r in results.items()
        if name in ("sasmamba", "posemamba")
    ]
    title = f"On equal terms, {about['steps']} steps each at scale {about['scale']!r}, S8, mm ({path.name}):\n\n"
    return title + table(["family", "parameters", "true P1", "P2", "noisy P1", "P2"], rows)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", action="store_true", help="also the CPU time per frame, one thread")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--comparison", type=Path, default=Path(__file__).with_name("comparison.json"))
    args = parser.parse_args()
    short, parts = sizes()
    print(f"{short}\n\n{parts}")
    if equal := measured(args.comparison):
        print(f"\n{equal}")
    if args.speed:
        print(f"\n{speed(args.runs)}")


if __name__ == "__main__":
    main()
