"""Does GLSMamba use a person's neighbouring frames? The whole model against its parts, on generated clips.

    python benchmarks/glsmamba_proof.py --images DIR --motion NPZ --steps 800 --out DIR

Clips of moving figures behind moving occluders (`sasmamba.training.articulated`). A small convolutional backbone learns
2D pose from single frames together with a `SingleFrameHead`, and is frozen. Then three heads learn from its features,
the same clips in the same order, schedule and steps: a fresh single-frame head, GLSMamba that sees the middle frame
only (frames = 1), and GLSMamba that sees all five. They are measured on clips of motion and over a picture that nobody
trained on: error in pixels of the crop, and PCKh (within half a head's length), for visible and for occluded joints.
Prints a table, writes glsmamba_proof.json and glsmamba_proof.png.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from glsmamba_clips import FeatureClips, MiddleFrame, Pool, SingleFrames, SmallBackbone, features_of
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from sasmamba.common.files import atomic_path
from sasmamba.models.glsmamba import GLSMamba, GLSMambaConfig, SingleFrameHead
from sasmamba.models.heatmap_codec import decode, normalised
from sasmamba.training.articulated import ClipStyle
from sasmamba.training.crops import STRIDE
from sasmamba.training.motion import load_motion
from sasmamba.training.video_pose import Predict, VideoPoseConfig, VideoPoseTrainer

#: Seeds of clips to train on, and of clips to measure with.
_TRAIN, _HELD = 0, 1
_COLOURS = {"single-frame head": "0.5", "GLSMamba, one frame": "tab:orange", "GLSMamba, five frames": "tab:blue"}


def figures(pool: Pool, points_px: NDArray[np.float32]) -> dict[str, float]:
    """Of points (N, 15, 2) in the middle frames the error in crop pixels and PCKh in percent, by kind of joint."""
    middle = pool.frames.shape[1] // 2
    inside, occluded = pool.inside[:, middle], pool.occluded[:, middle]
    distance = np.linalg.norm(points_px - pool.joints_px[:, middle], axis=-1)
    near = distance <= 0.5 * pool.head_px[:, None]
    out = {"error": float(distance[inside].mean())}
    for kind, which in (("", inside), (" visible", inside & ~occluded), (" occluded", inside & occluded)):
        out[f"px{kind}"], out[f"pckh{kind}"] = float(distance[which].mean()), float(100 * near[which].mean())
    return out


def measure(pool: Pool, features: Tensor) -> Callable[[Predict], dict[str, float]]:
    """Measures heatmaps from features (or frames) of the pool's clips."""

    def measured(predict: Predict) -> dict[str, float]:
        points = [decode(predict(part.float()))[0] * STRIDE for part in features.split(32)]
        return figures(pool, np.concatenate(points))

    return measured


def chance(pool: Pool, held: Pool) -> dict[str, float]:
    """What the mean of the pool's poses scores on the held-out clips: knowing nothing of the picture."""
    mean = pool.joints_px[:, pool.frames.shape[1] // 2].mean(0)
    return figures(held, np.broadcast_to(mean, held.joints_px[:, 0].shape).astype(np.float32))


def _saver(module: nn.Module) -> Callable[[Path, dict[str, str]], None]:
    def save(path: Path, notes: dict[str, str]) -> None:
        with atomic_path(path) as partial:
            save_file({k: v.contiguous() for k, v in module.state_dict().items()}, partial, notes)

    return save


def schedule(steps: int, batch: int, clips: int, lr: float, sigma: float, seed: int, rows: int) -> VideoPoseConfig:
    """`steps` steps; the rate drops to a tenth after two thirds of them and again after nine tenths."""
    epochs = steps / max(1, clips // min(batch, clips))
    return VideoPoseConfig(
        batch=batch,
        steps=steps,
        lr=lr,
        lr_drops=((epochs * 2 / 3, lr / 10), (epochs * 0.9, lr / 100)),
        sigma=sigma,
        clip=1.0,
        seed=seed,
        validate_epochs=epochs / rows,
        checkpoint_minutes=60,
    )


def heads(config: GLSMambaConfig) -> dict[str, Callable[[], nn.Module]]:
    """The heads of the comparison; calling one builds it."""
    return {
        "single-frame head": lambda: MiddleFrame(SingleFrameHead(config), keep=False),
        "GLSMamba, one frame": lambda: MiddleFrame(GLSMamba(replace(config, frames=1)), keep=True),
        "GLSMamba, five frames": lambda: GLSMamba(config),
    }


def main(argv: list[str] | None = None) -> None:
    """Trains and measures what the command line (or `argv`) asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder of at least two JPEG or PNG pictures")
    parser.add_argument("--motion", type=Path, required=True, help="motion file (schema in training/schema.py)")
    parser.add_argument("--hold-out", default="", help="subject to measure with; without it the last one of the file")
    parser.add_argument("--hold-out-image", default="", help="picture to measure over; without it the last by name")
    parser.add_argument("--steps", type=int, default=800, help="of every head")
    parser.add_argument("--backbone-steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=8, help="clips of a head's step")
    parser.add_argument("--clips", type=int, default=6000, help="to train on")
    parser.add_argument("--held-clips", type=int, default=400, help="to measure with")
    parser.add_argument("--size", type=int, nargs=2, default=(64, 96), metavar=("W", "H"), help="of crops, pixels")
    parser.add_argument("--channels", type=int, default=128, help="of the backbone's features")
    parser.add_argument("--width", type=int, default=32, help="of GLSMamba")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the heads' initial weights and order")
    parser.add_argument("--only", default="", help="names of heads, separated by semicolons")
    parser.add_argument("--rows", type=int, default=6, help="measurements during training")
    parser.add_argument("--jobs", type=int, default=1, help="heads to train at a time, each in a process of its own")
    parser.add_argument("--resume", action="store_true", help="go on with what an interrupted run left in --out")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/glsmamba_proof"))
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    names = sorted(p for p in args.images.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    pictures = {p.name: cv2.imread(str(p)) for p in names}
    if len(pictures) < 2 or any(p is None for p in pictures.values()):
        parser.error(f"{args.images}: want at least two readable pictures, one of them to measure over")
    motion = load_motion([args.motion])
    subjects = sorted(set(motion.subject.tolist()))
    subject, picture = args.hold_out or subjects[-1], args.hold_out_image or names[-1].name
    if subject not in subjects or len(subjects) < 2 or picture not in pictures:
        parser.error(f"--hold-out: one of at least two in {subjects}; --hold-out-image: one of {list(pictures)}")
    style, sigma = ClipStyle(input_px=tuple(args.size)), 2.0 * args.size[1] / 256 + 0.5
    begin = time.monotonic()
    rest = [p for name, p in pictures.items() if name != picture]
    pool = Pool.draw(motion.select(motion.subject != subject), rest, _TRAIN, args.clips, style)
    held = Pool.draw(motion.select(motion.subject == subject), [pictures[picture]], _HELD, args.held_clips, style)
    middle = style.frames // 2
    print(
        f"{args.clips} clips to train on, {args.held_clips} of {subject} over {picture} to measure with, "
        f"{100 * held.occluded[:, middle].mean():.0f} % of whose joints are occluded "
        f"({time.monotonic() - begin:.0f} s)",
        flush=True,
    )

    config = GLSMambaConfig(
        backbone_channels=args.channels,
        width=args.width,
        frames=style.frames,
        window=(8, 4),
        states=4,
        ffn_ratio=2,
        deconv_channels=(args.width, args.width),
        offset_channels=8,
    )
    results: dict[str, Any] = {"mean pose": {"curve": [{"step": 0, **chance(pool, held)}], "parameters": 0}}
    torch.manual_seed(0)
    backbone = SmallBackbone(args.channels)
    whole, folder = nn.Sequential(backbone, SingleFrameHead(config)), args.out / "backbone"
    plan = schedule(args.backbone_steps, 32, len(pool.frames), 2e-3, sigma, 0, 6)
    run = VideoPoseTrainer(
        whole,
        lambda frames: frames[:, frames.shape[1] // 2],
        SingleFrames(pool, sigma),
        measure(held, torch.stack([normalised(c[middle : middle + 1]) for c in held.frames])),
        plan,
        folder,
        _saver(whole),
        resume=args.resume and (folder / "state.pt").exists(),
    )
    results["backbone and its head"] = {"curve": _without_time(run.run(print)), "parameters": _count(whole)}
    seen, kept = features_of(backbone, pool), features_of(backbone, held)
    print(f"features {tuple(seen.shape)} ({time.monotonic() - begin:.0f} s)", flush=True)
    builders = heads(config)
    chosen = args.only.split(";") if args.only else list(builders)
    if unknown := set(chosen) - set(builders):
        parser.error(f"--only: no head {', '.join(sorted(unknown))}; there are {'; '.join(builders)}")

    def train(task: tuple[int, str]) -> dict[str, Any]:
        seed, name = task
        torch.manual_seed(seed)
        head = builders[name]()
        plan = schedule(args.steps, args.batch, len(pool.frames), args.lr, sigma, seed, args.rows)
        folder = args.out / f"{name.replace(' ', '_').replace(',', '')}_{seed}"
        run = VideoPoseTrainer(
            head,
            lambda features: features,
            FeatureClips(pool, seen, sigma),
            measure(held, kept),
            plan,
            folder,
            _saver(head),
            resume=args.resume and (folder / "state.pt").exists(),
        )
        rows = run.run(lambda line: print(f"{name}, seed {seed}: {line}", flush=True))
        return {"curve": _without_time(rows), "parameters": _count(head)}

    about = {
        "steps": args.steps,
        "backbone_steps": args.backbone_steps,
        "batch": args.batch,
        "clips": args.clips,
        "held_clips": args.held_clips,
        "held_subject": subject,
        "held_image": picture,
        "lr": args.lr,
        "occluded": float(held.occluded[:, middle].mean()),
        "style": asdict(style),
        "config": asdict(config),
        "sigma": sigma,
        "threads": args.threads,
        "machine": platform.machine(),
        "torch": torch.__version__,
    }
    # the slowest first, so that several processes end at about the same time
    tasks = [(seed, name) for seed in args.seeds for name in reversed(chosen)]
    for (seed, name), result in zip(tasks, _each(train, tasks, args.jobs), strict=True):
        results[f"{name}, seed {seed}"] = result
        with atomic_path(args.out / "glsmamba_proof.json") as partial:
            partial.write_text(json.dumps({"about": about, "results": results}, indent=1) + "\n")
    draw_curves(results, args.out / "glsmamba_proof.png")
    print("\n" + table(results))


def _each(work: Callable[[Any], Any], tasks: list[Any], jobs: int) -> Iterator[Any]:
    """Results of work on the tasks in their order; in `jobs` processes, which share what is in memory already."""
    if jobs == 1:
        yield from map(work, tasks)
        return
    _Child.work = work
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("fork")) as pool:
        yield from pool.map(_Child.run, tasks)


class _Child:
    """What a forked process finds in its memory; functions within functions do not go through a pipe."""

    work: Callable[[Any], Any]

    @classmethod
    def run(cls, task: Any) -> Any:
        return cls.work(task)


def _without_time(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """Minutes tell nothing where heads share the processors."""
    return [{k: v for k, v in row.items() if k != "minutes"} for row in rows]


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def table(results: dict[str, Any]) -> str:
    """The last row of every curve, as Markdown."""
    columns = ("px", "px visible", "px occluded", "pckh", "pckh visible", "pckh occluded")
    lines = ["| head | parameters | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 2) + "|"]
    for name, result in results.items():
        last = result["curve"][-1]
        cells = " | ".join(f"{last[c]:.2f}" if c.startswith("px") else f"{last[c]:.1f}" for c in columns)
        lines.append(f"| {name} | {result['parameters'] / 1e6:.3f} M | {cells} |")
    return "\n".join(lines)


def draw_curves(results: dict[str, Any], path: Path) -> None:
    """Error of visible and of occluded joints against steps, one line per head and seed."""
    from matplotlib.figure import Figure

    figure = Figure((10, 4.2), layout="constrained")
    for axes, kind in zip(figure.subplots(1, 2), ("visible", "occluded"), strict=True):
        told: set[str] = set()
        for full, result in results.items():
            name = full.rsplit(", seed", 1)[0]
            if name not in _COLOURS:
                continue
            points = [(row["step"], row[f"px {kind}"]) for row in result["curve"]]
            label = None if name in told else name
            axes.plot(*zip(*points, strict=True), color=_COLOURS[name], label=label, marker="o", markersize=3)
            told.add(name)
        axes.set(xlabel="steps", ylabel="error, pixels of the crop", title=f"{kind} joints of held-out clips")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()
    with atomic_path(path) as partial:
        figure.savefig(partial, dpi=120)


if __name__ == "__main__":
    main()
