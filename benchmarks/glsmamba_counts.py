"""GLSMamba's parameters and operations beside the paper's, and its time: `python benchmarks/glsmamba_counts.py`.

Parameters as the paper's counter may have counted them, which is without the scans' own and the embedding (Table 6 (d)
has three routes and the count of (a), which has one), and all of them. Operations are multiply-adds, which the paper
calls FLOPs, of one person's sequence: those of layers, found by hooks, and all, with the scan by formula. --speed adds
the time of the head as a ratio to one forward of HRNet-W32 in PyTorch, in the same run.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from sasmamba.app.cli.measuring import median_ms
from sasmamba.models.glsmamba import GLSMAMBA_B, GLSMAMBA_H, GLSMamba, GLSMambaConfig, count_parameters
from sasmamba.models.hrnet import HRNet
from sasmamba.models.spacetime import DeformConv, RouteScans

#: Rows and columns of the backbone's features of a 256 × 192 crop, and its patches' sides.
GRID, PATCH = (16, 12), 16
#: Width and depth of the two backbones.
VIT = {768: 12, 1280: 32}

#: Table 6: routes and merging, millions of parameters, giga multiply-adds with ViT-B.
ABLATIONS: dict[str, tuple[dict[str, Any], float, float]] = {
    "(a) unified": ({"routes": ("unified",)}, 9.1, 137.4),
    "(b) unified, space": ({"routes": ("unified", "space")}, 9.4, 138.1),
    "(c) unified, space, time": ({}, 9.8, 138.9),
    "(d) all routes, summed": ({"merge": "sum"}, 9.1, 137.4),
}


@dataclass(frozen=True)
class Operations:
    """Multiply-adds of one sequence through a head.

    Attributes:
        layers: of Linear, Conv2d and ConvTranspose2d, by the module's name.
        deform: of the deformable convolutions.
        scan: of the scans and their projections; an exponential counts as one.
    """

    layers: dict[str, int]
    deform: int
    scan: int

    def of(self, *parts: str) -> int:
        """Of the layers whose names hold one of these."""
        return sum(n for name, n in self.layers.items() if any(part in name for part in parts))


def operations(config: GLSMambaConfig, grid: tuple[int, int] = GRID) -> Operations:
    """Counts on tensors without data: shapes alone matter."""
    layers: dict[str, int] = {}
    other = {"deform": 0, "scan": 0}

    def layer(name: str) -> Any:
        def count(module: nn.Module, inputs: tuple, out: torch.Tensor) -> None:
            weight: torch.Tensor = module.weight  # type: ignore[assignment]
            # every weight meets every position: of the output, of the input where the convolution is transposed
            where = inputs[0] if isinstance(module, nn.ConvTranspose2d) else out
            channel = where.shape[-1] if isinstance(module, nn.Linear) else where.shape[1]
            layers[name] = layers.get(name, 0) + where.numel() // channel * weight.numel()

        return count

    def deform(module: DeformConv, inputs: tuple, out: torch.Tensor) -> None:
        taps, width = module.depthwise.shape
        # four corners of a sample, its modulation and its weight; then the pointwise product
        other["deform"] += out.numel() * (taps * 6 + width)

    def scan(module: RouteScans, inputs: tuple, out: list[torch.Tensor]) -> None:
        K, _, E = module.x_proj.shape
        tokens, N, R = inputs[0].numel() // E, module.states, module.rank
        # projections to Δ, B, C; Δ's second half; then per state exp, decay, drive, read-out, and D
        other["scan"] += tokens * K * (E * (R + 2 * N) + E * R + E * (5 * N + 1))

    with torch.device("meta"):
        # scans and samplings are slow without data; what comes out of them has the shape of what goes in
        network, scans, deforms = GLSMamba(config).eval(), RouteScans.forward, DeformConv.forward
        for name, module in network.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                module.register_forward_hook(layer(name))
            elif isinstance(module, DeformConv):
                module.register_forward_hook(deform)
            elif isinstance(module, RouteScans):
                module.register_forward_hook(scan)
        try:
            RouteScans.forward = lambda self, u, orders: [u.clone() for _ in orders]  # type: ignore[method-assign]
            DeformConv.forward = lambda self, x, *steering, reference=False: x.clone()  # type: ignore[method-assign]
            network(torch.empty(1, config.frames, config.backbone_channels, *grid))
        finally:
            RouteScans.forward, DeformConv.forward = scans, deforms  # type: ignore[method-assign]
    return Operations(layers, other["deform"], other["scan"])


def backbone_operations(width: int, frames: int, grid: tuple[int, int] = GRID) -> tuple[int, int]:
    """Multiply-adds of a ViT of that width, on so many frames: (of its layers, of the attention's products)."""
    tokens, depth = grid[0] * grid[1], VIT[width]
    layers = tokens * (3 * PATCH**2 * width + depth * 12 * width**2)  # four projections, and an MLP four times as wide
    return frames * layers, frames * depth * 2 * tokens**2 * width


def rows() -> list[dict[str, Any]]:
    """One for each model: counts, and the paper's where it has them."""
    models: dict[str, tuple[GLSMambaConfig, float | None, float | None]] = {
        name: (replace(GLSMAMBA_B, **changed), params, giga) for name, (changed, params, giga) in ABLATIONS.items()
    }
    models["GLSMamba-H"] = (GLSMAMBA_H, None, None)
    models["GLSMamba-B, one frame"] = (replace(GLSMAMBA_B, frames=1), None, None)
    models["GLSMamba-B at 1/16 (Table 7)"] = (replace(GLSMAMBA_B, deconv_channels=(), window=(8, 6)), 9.8, 85.1)
    found = []
    for name, (config, params, giga) in models.items():
        with torch.device("meta"):
            counted, every = count_parameters(GLSMamba(config))
        work = operations(config)
        vit, attention = backbone_operations(config.backbone_channels, config.frames)
        main = vit + work.of("upsample", "ffn", "steer")
        layers = vit + sum(work.layers.values())
        found.append(
            {
                "model": name,
                "params_counted_m": counted / 1e6,
                "params_all_m": every / 1e6,
                "params_paper_m": params,
                "gmac_main": main / 1e9,
                "gmac_layers": layers / 1e9,
                "gmac_paper": giga,
                "gmac_all": (layers + attention + work.deform + work.scan) / 1e9,
            }
        )
    return found


def speed(runs: int) -> dict[str, float]:
    """Milliseconds of one sequence's head and of one HRNet-W32, both in PyTorch, and their ratio."""
    head, hrnet = GLSMamba(GLSMAMBA_B).eval(), HRNet().eval().to(memory_format=torch.channels_last)
    features, image = torch.randn(1, 5, 768, *GRID), torch.randn(1, 3, 256, 192)
    image = image.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        times = {"head": median_ms(lambda: head(features), runs), "HRNet-W32": median_ms(lambda: hrnet(image), runs)}
    return times | {"head / HRNet-W32": times["head"] / times["HRNet-W32"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", action="store_true", help="also measure the time, about a minute on one core")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    results: dict[str, Any] = {"counts": rows()} | ({"speed": speed(args.runs)} if args.speed else {})
    if args.json:
        print(json.dumps(results, indent=2))
        return
    print("Parameters (M): counted, all, paper.   Multiply-adds (G) with the backbone, 256 × 192:")
    print("  main: backbone, deconvolutions, FFNs, offsets; layers: all convolutions and linear layers; all; paper.\n")
    print(f"{'':30}{'counted':>9}{'all':>8}{'paper':>7}   {'main':>8}{'layers':>8}{'all':>8}{'paper':>8}")
    for r in results["counts"]:
        params, giga = (f"{v}" if v is not None else "–" for v in (r["params_paper_m"], r["gmac_paper"]))
        print(
            f"{r['model']:30}{r['params_counted_m']:9.3f}{r['params_all_m']:8.3f}{params:>7}   "
            f"{r['gmac_main']:8.2f}{r['gmac_layers']:8.2f}{r['gmac_all']:8.2f}{giga:>8}"
        )
    print(
        "\nTable 6's parameters are met to the digits it gives. Of the operations, those of the backbone's layers,\n"
        "the deconvolutions, the FFNs and the offsets' convolutions are within 0.12 G of it; the linear projection,\n"
        "the gates and the head, 1.3 G more, are layers, too: 1 % above the paper, whose counter seems not to have\n"
        "seen them. The variant at 1/16 has no deconvolutions here, and so fewer parameters than Table 7 gives for it."
    )
    if args.speed:
        s = results["speed"]
        print(
            f"\nhead of one person's sequence: {s['head / HRNet-W32']:.1f} × one forward of HRNet-W32 "
            f"({args.threads} thread{'s' * (args.threads > 1)}, PyTorch, no GPU; the backbone is not in it)"
        )


if __name__ == "__main__":
    main()
