"""The commands of training: arguments become a TrainConfig or an evaluation, figures become tables. No logic.

`sasmamba-demo train`, `train-2d` and `evaluate`; those of 3D and `check` and `convert` also as
`python -m sasmamba.training`, which torchrun can start.
"""

from __future__ import annotations

import itertools
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sasmamba.common.numbers import VERY_MANY, check_between

#: All that random generators take; more threads than any machine has.
_LARGEST_SEED, _MOST_THREADS = 2**63 - 1, 4096

_out = Console()
_err = Console(stderr=True)


def train(
    config: Annotated[
        str, typer.Option(help="TOML file, or lean(-people, -varied, -live), paper, finetune, posemamba(-lean).")
    ],
    data_root: Annotated[Path, typer.Option(help="What data and camera paths are relative to.")] = Path(),
    init: Annotated[str, typer.Option(help="Start from these weights: a .safetensors file or a shipped name.")] = "",
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/train"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    minutes: Annotated[float | None, typer.Option(help="Wall-clock budget, instead of the configuration's.")] = None,
    steps: Annotated[int | None, typer.Option(help="Budget in steps instead.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    batch_scale: Annotated[float, typer.Option(help="Multiply all batch sizes.")] = 1.0,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate, instead of the configuration's.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, or bfloat16 on GPUs.")] = None,
    compile_model: Annotated[bool, typer.Option("--compile", help="Compile the model: pays on GPUs.")] = False,
    seed: Annotated[int | None, typer.Option(help="Seed, instead of the configuration's.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads of each process; 0: PyTorch's choice.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Train or fine-tune a lifter on motion capture."""
    import torch

    from sasmamba.common.device import resolve_device
    from sasmamba.training.loop import find_weights
    from sasmamba.training.loop import train as run
    from sasmamba.training.train_config import load_config, with_settings

    check_between("--minutes", minutes, 0, VERY_MANY)
    check_between("--steps", steps, 1, VERY_MANY)
    check_between("--batch-scale", batch_scale, 0.001, 1000)
    check_between("--lr", lr, 0, 1000)
    check_between("--seed", seed, 0, _LARGEST_SEED)
    check_between("--threads", threads, 0, _MOST_THREADS)
    if threads:
        torch.set_num_threads(threads)
    chosen = with_settings(
        load_config(config),
        batch_scale=batch_scale,
        minutes=minutes,
        steps=steps,
        lr=lr,
        precision=precision,
        seed=seed,
        compile=compile_model or None,
    )

    def say(line: str) -> None:
        if not quiet:
            sys.stderr.write("\r\033[K" if live else "")
            _out.print(line, highlight=False, soft_wrap=True)

    def status(line: str) -> None:
        sys.stderr.write(f"\r\033[K{line}")
        sys.stderr.flush()

    live = status if sys.stderr.isatty() and not quiet else None
    with _until_stopped() as stopped:
        run(
            chosen,
            out,
            find_weights(init, data_root) if init else None,
            resolve_device(device),
            data_root,
            say,
            resume=resume,
            live=live,
            stop=stopped,
        )
    if stopped():
        raise typer.Exit(130)


@contextmanager
def _until_stopped() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether somebody asked to stop (Ctrl-C or SIGTERM) in the meantime."""
    asked: list[int] = []
    before = {s: signal.signal(s, lambda number, _: asked.append(number)) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def train_2d(
    backbone: Annotated[Path, typer.Option(help="ViTPose: a folder as Hugging Face's transformers saves it.")],
    config: Annotated[str, typer.Option(help="TOML file, or glsmamba.")] = "glsmamba",
    data_root: Annotated[Path, typer.Option(help="What data paths are relative to: PoseTrack's folder.")] = Path(),
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/train_2d"),
    init: Annotated[Path | None, typer.Option(help="Start from these weights, a .safetensors file.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Instead of the configuration's.")] = None,
    steps: Annotated[int | None, typer.Option(help="End after so many steps instead.")] = None,
    batch: Annotated[int | None, typer.Option(help="Clips of a step, instead of the configuration's.")] = None,
    lr: Annotated[float | None, typer.Option(help="First learning rate, instead of the configuration's.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[int | None, typer.Option(help="Seed, instead of the configuration's.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads; 0: PyTorch's choice.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Train GLSMamba, 2D poses from video, on annotations of the PoseTrack format."""
    import torch

    from sasmamba.common.device import resolve_device
    from sasmamba.models.glsmamba_checkpoint import BackboneRecord
    from sasmamba.training.video_pose import load_video_config, with_settings
    from sasmamba.training.video_training import open_backbone
    from sasmamba.training.video_training import train_2d as run

    check_between("--epochs", epochs, 1, VERY_MANY)
    check_between("--steps", steps, 1, VERY_MANY)
    check_between("--batch", batch, 1, 100_000)
    check_between("--lr", lr, 0, 1000)
    check_between("--seed", seed, 0, _LARGEST_SEED)
    check_between("--threads", threads, 0, _MOST_THREADS)
    if threads:
        torch.set_num_threads(threads)
    chosen = with_settings(load_video_config(config), epochs=epochs, steps=steps, batch=batch, lr=lr, seed=seed)
    on = resolve_device(device)
    frozen = open_backbone(backbone, on)

    def say(line: str) -> None:
        if not quiet:
            _out.print(line, highlight=False, soft_wrap=True)

    with _until_stopped() as stopped:
        run(
            chosen,
            frozen,
            out,
            BackboneRecord(str(backbone.absolute()), frozen.sha256),
            on,
            data_root,
            say,
            init=init,
            resume=resume,
            stop=stopped,
        )
    if stopped():
        raise typer.Exit(130)


def evaluate(
    weights: Annotated[str, typer.Argument(help="A .safetensors file, or a shipped lifter's name.")],
    data: Annotated[list[Path], typer.Option(help="Motion file, may be given several times.")],
    cameras: Annotated[Path | None, typer.Option(help="Table of cameras; without it four ideal ones.")] = None,
    subject: Annotated[str, typer.Option(help="Only this subject; everybody when empty.")] = "",
    clips: Annotated[str, typer.Option(help="Only clips whose names match, such as 'spinkick'.")] = "*",
    bodies: Annotated[
        Path | None, typer.Option(help="Motion file whose people's mean bone lengths the clips' bodies get.")
    ] = None,
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored input.")] = False,
    refine: Annotated[bool, typer.Option("--refine", help="Fit the poses to the 2D, as offline runs do.")] = False,
    frames: Annotated[int, typer.Option(help="Frames per window, at most what the lifter takes.")] = 243,
    per_clip: Annotated[int, typer.Option(help="Windows per clip.")] = 4,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    per_joint: Annotated[bool, typer.Option("--per-joint", help="Also the error of each joint.")] = False,
    per_action: Annotated[bool, typer.Option("--per-action", help="Also the errors of each action.")] = False,
    robust: Annotated[bool, typer.Option("--robust/--no-robust", help="Also what damaged 2D costs.")] = True,
    calibration: Annotated[
        Path | None, typer.Option(help="Draw whether its intervals hold what they state, into this PNG.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Also what every column means.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Measure a lifter on motion capture: errors in mm and degrees, and what damaged 2D costs."""
    from sasmamba.common.device import resolve_device
    from sasmamba.training.evaluate import evaluate_file
    from sasmamba.training.evaluation import COLUMNS

    check_between("--frames", frames, 1, 1_000_000)
    check_between("--per-clip", per_clip, 1, 1_000_000)
    with _Lines("lifting windows") as watch:
        result = evaluate_file(
            weights,
            data,
            cameras,
            subject,
            clips,
            flip=flip,
            refine=refine,
            frames=frames,
            per_clip=per_clip,
            device=resolve_device(device),
            robust=robust,
            bodies=bodies,
            watch=watch,
            calibration=calibration,
        )
    if as_json:
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
        return
    about = result["about"]
    _out.print(
        f"{about['weights']}: {about['windows']} windows of {about['frames']} frames"
        + ", flip" * flip
        + ", refined" * refine,
        highlight=False,
        soft_wrap=True,
    )
    _print_table("2D", {kind: r["all"] for kind, r in result["kinds"].items()})
    _print_table("angles, degrees", {kind: r["angles"] for kind, r in result["kinds"].items()})
    for kind, r in result["kinds"].items():
        for wanted, key in ((per_joint, "joints"), (per_action, "actions")):
            if wanted:
                _print_table(f"{kind}, by {key.removesuffix('s')}", r[key])
    if result["coverage"]:
        _print_table("per cent within intervals", result["coverage"])
    for kind, row in result["robustness"].items():
        _print_table(f"damage to {kind} 2D", {name: {"": value} for name, value in row.items()})
    if explain:
        for name, meaning in COLUMNS.items():
            _out.print(f"{name}: {meaning}", highlight=False)


class _Lines:
    """Progress on standard error: a line that is written over on a terminal, else one at least every ten seconds.

    Call it with what is done and of how much.
    """

    def __init__(self, what: str) -> None:
        self._what, self._said, self._terminal = what, time.monotonic(), sys.stderr.isatty()

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._terminal:
            sys.stderr.write("\r\033[K")

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said < (0.2 if self._terminal else 8):
            return
        self._said = now
        line = f"{self._what}: {done} of {total}"
        sys.stderr.write(f"\r\033[K{line}" if self._terminal else f"{line}\n")
        sys.stderr.flush()


def _print_table(title: str, rows: dict[str, dict[str, float]]) -> None:
    names = list(next(iter(rows.values())))
    table = Table(title, *names, box=None, padding=(0, 2, 0, 0))
    for name, row in rows.items():
        cells = [f"{row[n]:.3f}" if n in ("PCK150", "AUC") else f"{row[n]:.2f}" for n in names]
        table.add_row(name, *cells)
    wide = Console(width=max(_out.width, 160))  # a pipe has no width; cut no column there
    wide.print(table, highlight=False)
    wide.print()


def average(
    files: Annotated[list[Path], typer.Argument(help="Lifters, .safetensors; legs of training from one start.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The lifter to write.")],
) -> None:
    """Average the weights of lifters that come from one another."""
    from sasmamba.training.average import average_lifters

    average_lifters(files, out)
    _out.print(f"{out}: the mean of {len(files)} lifters", highlight=False, soft_wrap=True)


def grow(
    weights: Annotated[str, typer.Argument(help="A .safetensors file, or a shipped lifter's name.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The lifter to write.")],
    mlp_ratio: Annotated[int, typer.Option(min=1, max=64, help="Hidden units of the MLPs per feature.")] = 4,
) -> None:
    """Widen a lifter's MLPs; it computes what it did, and has more to learn with."""
    from sasmamba.training.grow import grow_lifter
    from sasmamba.training.loop import find_weights

    grow_lifter(find_weights(weights), mlp_ratio, out)
    _out.print(f"{out}: MLPs of {mlp_ratio} units per feature", highlight=False, soft_wrap=True)


def uncertainty(
    weights: Annotated[str, typer.Argument(help="A .safetensors file, or a shipped lifter's name.")],
    config: Annotated[str, typer.Option(help="The configuration it was trained by.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The lifter to write.")],
    data_root: Annotated[Path, typer.Option(help="What data and camera paths are relative to.")] = Path(),
    windows: Annotated[int, typer.Option(min=4, help="Windows to learn from.")] = 400,
) -> None:
    """Fit and calibrate a lifter's uncertainty; the poses it gives stay what they are."""
    from sasmamba.training.loop import find_weights
    from sasmamba.training.train_config import load_config
    from sasmamba.training.uncertainty import fit_uncertainty

    def say(line: str) -> None:
        _out.print(line, highlight=False, soft_wrap=True)

    held = fit_uncertainty(find_weights(weights), load_config(config), out, data_root, windows, say)
    _print_table("per cent within intervals", held)


def check(files: Annotated[list[Path], typer.Argument(help="Motion files.")]) -> None:
    """Check motion files; says of the first bad one what is wrong."""
    from sasmamba.training.schema import read_motion_file

    for path in files:
        z = read_motion_file(path)
        hours = sum(n / f for n, f in zip(_lengths(z), z["clip_fps"], strict=True)) / 3600
        kind = "paired with 2D" if "keypoints" in z else "3D"
        who = ", ".join(sorted(set(z["clip_subject"].tolist())))
        line = f"{len(z['clip_start'])} clips, {len(z['root'])} frames, {hours:.2f} h, {kind}, subjects {who}"
        _out.print(f"{path}: good, {line}", highlight=False, soft_wrap=True)


def _lengths(z: dict[str, Any]) -> list[int]:
    edges = [*z["clip_start"].tolist(), len(z["root"])]
    return [b - a for a, b in itertools.pairwise(edges)]


def convert(
    kind: Annotated[str, typer.Argument(help="motionbert, videopose3d, 3dhp, bvh or poses.")],
    files: Annotated[list[Path], typer.Argument(help="What to convert; several only for bvh and poses.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The motion file to write.")],
    cameras: Annotated[Path | None, typer.Option(help="Human3.6M's cameras, for motionbert.")] = None,
    unit: Annotated[float | None, typer.Option(help="bvh: metres per unit; guessed from the stature without.")] = None,
    up: Annotated[str, typer.Option(help="bvh: the axis that points up, y or z.")] = "y",
    subject: Annotated[str, typer.Option(help="bvh and poses: who it is.")] = "subject1",
    licence: Annotated[str, typer.Option(help="Terms to note in the file.")] = "unknown",
) -> None:
    """Convert the field's files to the motion schema: Human3.6M, MPI-INF-3DHP, BVH, this tool's own poses."""
    from sasmamba.training.converters import convert_files

    clips = convert_files(kind, files, out, cameras=cameras, unit_m=unit, up=up, subject=subject, licence=licence)
    frames = sum(len(c.joints) for c in clips)
    _out.print(f"{out}: {len(clips)} clips, {frames} frames", highlight=False, soft_wrap=True)
