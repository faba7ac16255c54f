"""Lifters side by side on equal terms: same data, batches in the same order, schedule, steps or minutes, and seed.

    python benchmarks/compare_lifters.py --data-root DATA --minutes 10                # every lifter, ten minutes each
    python benchmarks/compare_lifters.py --data-root DATA --steps 3000 --only sasmamba,posemamba
    python benchmarks/compare_lifters.py --data-root DATA --scale paper --device cuda --minutes 60

SasMamba against PoseMamba and a temporal convolution, and SasMamba without its parts: the stride scan (plain, or summed
as in the authors' code), the structure-aware convolution (plain depthwise instead; K = 1), scan directions. Prints a
table and writes comparison.json and comparison.png. Validation is on the held-out subject and on the held-out clips
("acr": acrobatics, retargeted to that subject's body, true 2D), averaged weights; "angles" are mean absolute errors of
knees, hips, elbows and shoulders from noisy 2D, in degrees. Minutes are of CPU time per thread where a CPU trains, so
that what else runs on the machine favours nobody.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from temporal_convolution import TemporalConvolution, TemporalConvolutionConfig
from torch import nn

from sasmamba.models.blocks import BlockConfig
from sasmamba.models.normalise import normalise_window
from sasmamba.models.sasmamba import SasMamba, SasMambaConfig, count_parameters
from sasmamba.training import ema as averaging
from sasmamba.training.cameras import load_rig, surrounding_rig
from sasmamba.training.ema import Ema
from sasmamba.training.evaluation import Windows, angle_errors, figures, model_lift, windows
from sasmamba.training.loop import split
from sasmamba.training.losses import sasmamba_loss
from sasmamba.training.motion import load_motion
from sasmamba.training.simulate import Simulator, body_lengths, retargeted
from sasmamba.training.train_config import TrainConfig, load_config
from sasmamba.training.training_log import draw_curves

#: Width, blocks and states of SasMamba at each scale, and channels of the temporal convolution.
SCALES = {"tiny": (16, 2, 1, 64), "lean": (32, 6, 1, 256), "paper": (64, 10, 16, 1024)}

#: Frames of a window of the held-out clips, which are short: 1.6 s at 50 frames per second.
ACROBATICS_FRAMES = 81


def lifters(scale: str, dt_range: tuple[float, float]) -> dict[str, Callable[[], nn.Module]]:
    """Every lifter of the comparison by name; calling it builds it."""
    width, blocks, states, channels = SCALES[scale]
    block = BlockConfig(width=width, states=states, dt_range=dt_range)

    def sasmamba(block: BlockConfig = block, blocks: int = blocks) -> Callable[[], nn.Module]:
        return lambda: SasMamba(SasMambaConfig(block, blocks, in_channels=3, drop_path=0.0))

    return {
        "sasmamba": sasmamba(),
        # as in the papers: PoseMamba-S has twice SasMamba's blocks
        "posemamba": sasmamba(replace(block, local="depthwise", scan_input="limb"), 2 * blocks),
        "temporal convolution": lambda: TemporalConvolution(TemporalConvolutionConfig(channels)),
        "no stride scan": sasmamba(replace(block, scan_input="plain")),
        "stride scan summed": sasmamba(replace(block, scan_input="stride_sum")),
        "no structure-aware conv": sasmamba(replace(block, local="depthwise")),
        "K = 1": sasmamba(replace(block, taps_side=1)),
        "directions S-f": sasmamba(replace(block, directions=("spatial_forward",))),
        "directions S-fb": sasmamba(replace(block, directions=("spatial_forward", "spatial_backward"))),
        "directions T-fb": sasmamba(replace(block, directions=("temporal_forward", "temporal_backward"))),
        "directions ST-f": sasmamba(replace(block, directions=("spatial_forward", "temporal_forward"))),
    }


def train_one(
    model: nn.Module, config: TrainConfig, simulator: Simulator, validation: dict[str, Windows], device: torch.device
) -> dict[str, Any]:
    """Trains a lifter for the configuration's steps or minutes and measures its averaged weights."""
    model.to(device).train()
    averaged = Ema(model, config.ema)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    edges = np.cumsum([p.share for p in config.phases]) / sum(p.share for p in config.phases)
    g = torch.Generator(device)
    step = frames = 0
    share, running, rows = 0.0, math.nan, []

    def clock() -> float:
        """Seconds of work so far."""
        return time.monotonic() if device.type == "cuda" else time.process_time() / torch.get_num_threads()

    begin, next_row = clock(), 0.25
    paused = 0.0

    def measure() -> dict[str, float]:
        averaged.model.load_state_dict(dict(model.named_buffers()), strict=False)  # norms' statistics are not averaged
        found = {}
        for kind, w in validation.items():
            y = model_lift(averaged.model)(w.xyc)
            found |= {f"{kind} {k}": v for k, v in (figures(y, w) | angle_errors(y, w)).items()}
        return found

    while share < 1:
        phase = config.phases[int(min(int(np.searchsorted(edges, share, side="right")), len(edges) - 1))]
        rate = config.lr_end + (config.lr - config.lr_end) * 0.5 * (1 + math.cos(math.pi * share))
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / config.warmup)
        # the n-th batch is the same for every lifter
        g.manual_seed(int(np.random.SeedSequence([config.seed, step]).generate_state(1)[0]))
        sample = simulator.draw(phase.batch, phase.frames, phase.stride, g)
        predicted = model(normalise_window(sample.xyc))
        loss = sasmamba_loss(predicted, sample.target, sample.stride, config.tcl_weight, config.mpjve_weight)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimiser.step()
        step += 1
        frames += phase.batch * phase.frames
        if step % averaging.EVERY == 0:
            averaged.update(model)
        error = (predicted.detach() - sample.target).norm(dim=-1).mean().item() * 1000
        running = error if step == 1 else running + 0.01 * (error - running)
        seconds = clock() - begin - paused
        share = step / config.steps if config.steps else seconds / (60 * config.minutes)
        if share >= next_row:
            next_row += 0.25
            before = clock()
            rows.append({"minutes": seconds / 60, "step": step, "train": running} | measure())
            paused += clock() - before  # validation is not on anybody's clock
    seconds = clock() - begin - paused
    counted, every = count_parameters(model)
    return {
        "parameters": every,
        "parameters as the papers count": counted,
        "steps": step,
        "frames": frames,
        "minutes": seconds / 60,
        "frames per second": frames / seconds,
        "train": running,
        "curve": rows,
        **rows[-1],
    }


def main() -> None:
    """Trains and measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="lean", help="data, phases and schedule: a TOML file, or lean or paper")
    parser.add_argument("--data-root", type=Path, default=Path())
    parser.add_argument("--scale", choices=SCALES, default="lean", help="size of the lifters")
    parser.add_argument(
        "--dt-range",
        type=float,
        nargs=2,
        default=(0.01, 1.0),
        metavar=("LOW", "HIGH"),
        help="where Δ starts, as in sasmamba-lean; VMamba's own is 0.001 0.1",
    )
    parser.add_argument("--minutes", type=float, help="of work per lifter, validation not counted")
    parser.add_argument("--steps", type=int, default=0, help="per lifter, instead of minutes")
    parser.add_argument("--lr", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="names, separated by commas")
    parser.add_argument("--frames", type=int, default=243, help="frames of a validation window")
    parser.add_argument("--per-clip", type=int, default=1, help="validation windows per clip")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/comparison"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    config = load_config(args.config)
    given = {"minutes": args.minutes, "lr": args.lr}
    config = replace(config, steps=args.steps, seed=args.seed, **{k: v for k, v in given.items() if v is not None})
    everything = load_motion([args.data_root / name for name in config.data])
    kept, held = split(everything, config)
    rig = load_rig(args.data_root / config.cameras) if config.cameras else None
    moving_rig = load_rig(args.data_root / config.cameras, device) if config.cameras else None
    kept = kept.to(device)
    shares = torch.tensor(list(config.data.values()), device=device)
    simulator = Simulator(kept, shares, body_lengths(kept).to(device), moving_rig)
    validation = {
        kind: windows(held, rig or surrounding_rig(), config.hold_out, args.frames, args.per_clip, kind)
        for kind in ("true", "noisy")
    }
    named = np.isin(everything.name, config.hold_out_clips)
    if named.any():  # motion of a kind that nobody trained on, by the held-out subject's body
        acrobatics = retargeted(everything.select(named), held.bones.mean(0))
        T = min(args.frames, ACROBATICS_FRAMES)
        validation["acrobatics"] = windows(acrobatics, rig or surrounding_rig(), config.hold_out, T, 4, "true")
    builders = lifters(args.scale, tuple(args.dt_range))
    names = [n.strip() for n in args.only.split(",")] if args.only else list(builders)
    if unknown := set(names) - set(builders):
        parser.error(f"no lifter {', '.join(sorted(unknown))}; there are {', '.join(builders)}")
    args.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    shown = ["true P1", "true P2", "noisy P1", "noisy P2", "noisy acceleration", "noisy all MAE"]
    shown += ["acrobatics P1"] if named.any() else []
    columns = [h.replace("eleration", "").replace("obatics", "").replace("noisy all MAE", "angles") for h in shown]
    head = ["params", "steps", "frames/s", "train", *columns]
    print(f"{'':26}" + "".join(f"{h:>10}" for h in head), flush=True)
    for name in names:
        torch.manual_seed(args.seed)
        r = results[name] = train_one(builders[name](), config, simulator, validation, device)
        size, speed = f"{r['parameters'] / 1e6:.3f} M", f"{r['frames per second']:.0f}"
        cells = [size, str(r["steps"]), speed, *(f"{r[k]:.1f}" for k in ["train", *shown])]
        print(f"{name:26}" + "".join(f"{c:>10}" for c in cells), flush=True)
        about = {
            "scale": args.scale,
            "dt range": list(args.dt_range),
            "config": args.config,
            "steps": config.steps,
            "minutes": config.minutes,
            "lr": config.lr,
            "seed": args.seed,
            "threads": args.threads,
            "device": args.device,
            "machine": platform.processor() or platform.machine(),
            "torch": torch.__version__,
        }
        (args.out / "comparison.json").write_text(json.dumps({"about": about, "results": results}, indent=1))
        draw_comparison(results, args.out / "comparison.png")
        draw_curves(r["curve"], args.out / f"{name.replace(' ', '_').replace('=', '')}.png", name)


def draw_comparison(results: dict[str, Any], path: Path) -> None:
    """P1 of every lifter, from true and from noisy 2D, as bars."""
    from matplotlib.figure import Figure

    figure = Figure((8, 1.2 + 0.45 * len(results)), layout="constrained")
    axes = figure.subplots()
    place = np.arange(len(results))
    for shift, kind, colour in ((-0.2, "true", "tab:green"), (0.2, "noisy", "tab:red")):
        values = [r[f"{kind} P1"] for r in results.values()]
        bars = axes.barh(place + shift, values, 0.38, color=colour, label=f"{kind} 2D")
        axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.set_yticks(place, list(results))
    axes.invert_yaxis()
    axes.set(xlabel="P1 on the held-out subject, mm")
    axes.margins(x=0.12)
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
