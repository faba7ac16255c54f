"""What a training run depends on, all of it, read from a TOML file."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from sasmamba.common.errors import UserError
from sasmamba.training.losses import Loss

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Phase:
    """A stretch of training on clips of one shape: `share` of the time, `batch` clips of `frames` frames whose
    neighbours lie between stride[0] and stride[1] video frames apart."""

    share: float
    batch: int
    frames: int
    stride: tuple[float, float]


@dataclass(frozen=True)
class TrainConfig:
    """One leg of training.

    Attributes:
        data: motion files (schema in training/schema.py) and each one's share of the batches.
        cameras: JSON table of Human3.6M's cameras; empty: random cameras only.
        bodies: table of measured people's lengths to retarget motion to; empty: bones of the people in `data`.
        rare: share of the clips that are drawn by how rare their poses are, 0 to 1.
        varied: share of the clips whose trunk and limbs are turned to poses that nobody was captured in, 0 to 1.
        usual: share of the steps whose 2D errs as it usually does, as validation's does, instead of from clean to very
            bad, 0 to 1.
        hold_out: subject that is never trained on; validation uses it. Empty: nobody, and so no validation and no best
            weights.
        hold_out_clips: patterns of clip names, such as "spinkick", that are never trained on either.
        model: what `config_from_dict` takes: a paper's model as `variant`, and what to change about it, or all of a
            `SasMambaConfig`; ignored when training starts from weights.
        init: weights to start from: a .safetensors file or the name of a shipped lifter; empty: from nothing.
        phases: see `Phase`; the learning rate warms up once and decays (cosine) over all of them.
        lr, lr_end, warmup, weight_decay, clip: AdamW's peak and last rate, steps of warm-up, decay, and the bound on
            the gradient's norm.
        ema: decay per step of the averaged weights, the ones that are evaluated and shipped.
        loss: which paper's, see training/losses.py.
        tcl_weight, mpjve_weight: λ_t and λ_m of either.
        reprojection_weight: λ_2D, of PoseMamba's only.
        bone_weight: of bones' lengths, added to either loss.
        newest: if above 0, only a window's newest frames count in the loss, but for its bones' mean lengths: a number
            of them drawn anew for every step, from 2 to this. For a lifter of live runs, which give out nothing else
            of a window; validation then measures the last frame of windows of the longest phase's length.
        minutes: wall-clock budget of the leg.
        steps: if above 0, the budget in steps instead.
        eval_minutes, checkpoint_minutes: time between validations and between checkpoints; a kill loses at most one
            checkpoint interval.
        eval_windows: validation windows per clip.
        shards: a step's batch is `shards` times a phase's `batch`, split among the processes; 0: one each. What a step
            trains on depends on seed, step and shards, not on how many processes share the work.
        precision: "bfloat16" is for GPUs.
        compile: run the model through torch.compile.
        recompute: hold the activations of one block at a time and compute the others' again on the way back: a third
            more time, and memory that hardly grows with the number of blocks.
    """

    data: dict[str, float]
    cameras: str = ""
    bodies: str = ""
    rare: float = 0.0
    varied: float = 0.0
    usual: float = 0.0
    hold_out: str = "S8"
    hold_out_clips: tuple[str, ...] = ()
    model: dict = field(default_factory=dict)
    init: str = ""
    phases: tuple[Phase, ...] = (Phase(1.0, 16, 9, (1, 30)),)
    lr: float = 3e-3
    lr_end: float = 1e-5
    warmup: int = 300
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    loss: Loss = "sasmamba"
    tcl_weight: float = 0.5
    mpjve_weight: float = 20.0
    reprojection_weight: float = 0.1
    bone_weight: float = 0.0
    newest: int = 0
    minutes: float = 10.0
    steps: int = 0
    eval_minutes: float = 5.0
    checkpoint_minutes: float = 2.0
    eval_windows: int = 2
    shards: int = 0
    precision: Precision = "float32"
    compile: bool = False
    recompute: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("lr", "minutes", "warmup", "clip", "eval_minutes", "eval_windows"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: want above 0, got {getattr(self, name)}")
        if not self.data:
            raise ValueError('data: want at least one motion file and its share, such as "walk.npz" = 1.0')
        if not self.phases or any(min(p.share, p.batch, p.frames, *p.stride) <= 0 for p in self.phases):
            raise ValueError("phases: want at least one, with share, batch, frames and stride above 0")
        if any(p.stride[0] > p.stride[1] for p in self.phases):
            raise ValueError("phases: want strides [lowest, highest]")
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision: want one of {get_args(Precision)}, got {self.precision!r}")
        if self.loss not in get_args(Loss):
            raise ValueError(f"loss: want one of {get_args(Loss)}, got {self.loss!r}")
        for name in ("tcl_weight", "mpjve_weight", "reprojection_weight", "bone_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: want 0 or more, got {getattr(self, name)}")
        if self.newest < 0 or self.newest == 1:
            raise ValueError(f"newest: want 0 (all frames), or 2 or more, got {self.newest}")
        for name in ("rare", "varied", "usual"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: want 0 to 1, got {getattr(self, name)}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema: want 0 up to 1, got {self.ema}")


#: Of the package's own configurations, the one of `train-2d`; the others are of `train`.
OF_2D = "glsmamba"


def config_file(name: Path | str) -> Path:
    """A configuration's file: one of the user's, or the package's own by its name without a suffix."""
    path = Path(name)
    own = resources.files("sasmamba.training") / "configs" / f"{path.name}.toml"
    return Path(str(own)) if not path.exists() and not path.suffix and own.is_file() else path


def load_config(path: Path | str) -> TrainConfig:
    """Reads a training configuration from a TOML file, or one of the package's own by its name, such as "lean".

    Raises:
        UserError: a file that is missing, or holds unknown names or values.
    """
    path = config_file(path)
    try:
        values = named(TrainConfig, tomllib.loads(path.read_text(encoding="utf-8")))
        if "phases" in values:
            values["phases"] = tuple(_phase(p) for p in values["phases"])
        if "hold_out_clips" in values:
            values["hold_out_clips"] = tuple(values["hold_out_clips"])
        return TrainConfig(**values)
    except FileNotFoundError as error:
        own = (resources.files("sasmamba.training") / "configs").iterdir()
        names = sorted({f.name.removesuffix(".toml") for f in own} - {OF_2D})
        raise UserError(
            f"{path} does not exist; give a TOML file or one of {', '.join(names)}.", exit_code=2
        ) from error
    except KeyError as error:
        raise UserError(f"{path}: a phase lacks {error}.", exit_code=2) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a usable training configuration: {error}.", exit_code=2) from error


def _phase(values: dict[str, Any]) -> Phase:
    named(Phase, values)
    share, batch, frames, (low, high) = (values[name] for name in ("share", "batch", "frames", "stride"))
    return Phase(share, batch, frames, (low, high))


def named(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """The values, if all their names are settings of a dataclass.

    Raises:
        ValueError: one is not; names it, and the setting that it resembles.
    """
    settings = [setting.name for setting in fields(kind)]
    for name in values:
        if name not in settings:
            near = difflib.get_close_matches(name, settings, 1)
            raise ValueError(f"there is no setting {name!r}" + (f" (perhaps {near[0]})" if near else ""))
    return values


def with_settings(config: TrainConfig, *, batch_scale: float = 1.0, **given: Any) -> TrainConfig:
    """The configuration with some settings replaced; those that are None stay.

    Args:
        batch_scale: factor on the batches of all phases, which keep at least one clip.

    Raises:
        UserError: a value that cannot be used.
    """
    phases = tuple(replace(p, batch=max(1, round(p.batch * batch_scale))) for p in config.phases)
    try:
        return replace(config, phases=phases, **{k: v for k, v in given.items() if v is not None})
    except ValueError as error:
        raise UserError(f"Not a usable setting: {error}.", exit_code=2) from error
