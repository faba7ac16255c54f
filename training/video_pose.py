"""Training of 2D pose from video: heatmaps of a clip's middle frame, from features of a frozen backbone.

Source: Feng et al., "High-Resolution Spatiotemporal Modeling with Global-Local State Space Models for Video-Based
Human Pose Estimation", Section 3.4 (Equation 9) and 4.1: L2 between heatmaps, AdamW, rate 1e-4, 1e-5 from the sixth
epoch on and 1e-6 from the twelfth, twenty epochs.
"""

from __future__ import annotations

import math
import time
import tomllib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from sasmamba.common.errors import UserError
from sasmamba.training.crops import Augmentation
from sasmamba.training.train_config import config_file, named
from sasmamba.training.trainer import Trainer, refuse_another_run


@dataclass(frozen=True)
class VideoPoseConfig:
    """One run.

    Attributes:
        train, validate: annotation files of the PoseTrack format, or folders of them, relative to the data root.
        images: what the annotations' file names are relative to, itself relative to the data root.
        model: what `GLSMambaConfig` takes; the backbone's channels are the backbone's.
        input_px: width and height of crops.
        sigma: of the Gaussians to aim at, in pixels of the heatmap.
        batch, epochs: clips of a step; times that all clips are seen.
        steps: if above 0, the end in steps instead.
        lr: rate at the beginning.
        lr_drops: (epoch, rate) from that epoch on, counted from 0; parts of epochs count.
        weight_decay: AdamW's.
        clip: bound on the gradient's norm; 0: none, as in the paper.
        validate_epochs: epochs between validations, or part of one.
        checkpoint_minutes: a kill loses at most so much.
        augmentation: how far random views go; see `Augmentation`.
    """

    train: tuple[str, ...] = ()
    validate: tuple[str, ...] = ()
    images: str = ""
    model: dict = field(default_factory=dict)
    input_px: tuple[int, int] = (192, 256)
    sigma: float = 2.0
    batch: int = 16
    epochs: int = 20
    steps: int = 0
    lr: float = 1e-4
    lr_drops: tuple[tuple[float, float], ...] = ((6, 1e-5), (12, 1e-6))
    weight_decay: float = 0.01
    clip: float = 0.0
    validate_epochs: float = 1
    checkpoint_minutes: float = 5.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("sigma", "batch", "epochs", "lr", "validate_epochs", "checkpoint_minutes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: want above 0, got {getattr(self, name)}")
        if min(self.input_px) < 32 or any(side % 16 for side in self.input_px):
            raise ValueError(f"input_px: want multiples of 16, at least 32, got {list(self.input_px)}")
        begins, rates = [begin for begin, _ in self.lr_drops], [rate for _, rate in self.lr_drops]
        if begins != sorted(begins) or any(rate <= 0 for rate in rates):
            raise ValueError(f"lr_drops: want [epoch, rate] in order, rates above 0, got {self.lr_drops}")

    def rate(self, epoch: float) -> float:
        """The learning rate after so many epochs."""
        return next((rate for begin, rate in reversed(self.lr_drops) if epoch >= begin), self.lr)


def load_video_config(path: Path | str) -> VideoPoseConfig:
    """Reads a configuration from a TOML file, or the package's own by its name, "glsmamba".

    Raises:
        UserError: a file that is missing, or holds unknown names or values.
    """
    path = config_file(path)
    try:
        values = named(VideoPoseConfig, tomllib.loads(path.read_text(encoding="utf-8")))
        for name in ("train", "validate", "input_px"):
            if name in values:
                values[name] = tuple(values[name])
        if "lr_drops" in values:
            values["lr_drops"] = tuple((float(epoch), float(rate)) for epoch, rate in values["lr_drops"])
        values["augmentation"] = Augmentation(**named(Augmentation, values.get("augmentation", {})))
        return VideoPoseConfig(**values)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; give a TOML file, or glsmamba.", exit_code=2) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a usable configuration of 2D training: {error}.", exit_code=2) from error


@dataclass(frozen=True)
class Batch:
    """Clips to learn from.

    Attributes:
        frames: (B, T, 3, H, W) what the encoder reads, or its features (B, T, C, h, w) where they are kept.
        heat: (B, J, 4h, 4w) to aim at.
        weight: (B, J), 0 where nothing is known.
    """

    frames: Tensor
    heat: Tensor
    weight: Tensor


class Clips(Protocol):
    """What is trained on."""

    def __len__(self) -> int: ...

    def batch(self, indices: list[int], seed: tuple[int, ...]) -> Batch:
        """The clips of `indices`; random views depend on them and `seed` alone."""
        ...


#: Frames of a batch to heatmaps (B, J, h, w).
Predict = Callable[[Tensor], Tensor]
#: Measures a network; "error" among the figures decides which weights are best, lower is better.
Validate = Callable[[Predict], dict[str, float]]


def heatmap_loss(predicted: Tensor, heat: Tensor, weight: Tensor) -> Tensor:
    """Squared L2 between heatmaps (Equation 9), summed over pixels, averaged over the joints that count.

    Args:
        predicted, heat: (B, J, h, w).
        weight: (B, J).
    """
    if predicted.shape != heat.shape or weight.shape != heat.shape[:2]:
        raise ValueError(
            f"heatmaps: want {tuple(heat.shape)} and weight {tuple(heat.shape[:2])}, "
            f"got {tuple(predicted.shape)} and {tuple(weight.shape)}"
        )
    return ((predicted - heat).square().sum((2, 3)) * weight).sum() / weight.sum().clamp(min=1)


class VideoPoseTrainer(Trainer):
    """Trains a head on a frozen backbone.

    Args:
        head: what is trained; reads what `encode` gives.
        encode: the frozen backbone.
        clips: to train on.
        validate: see `Validate`; None: then there are no best weights.
        out: the run's folder: state.pt, last and, with validation, best weights, metrics.csv.
        save: writes weights, whole or not at all, given a path and notes.

    Raises:
        UserError: `out` holds a run already and `resume` was not asked for, or one that does not fit.
    """

    config: VideoPoseConfig

    def __init__(
        self,
        head: nn.Module,
        encode: Callable[[Tensor], Tensor],
        clips: Clips,
        validate: Validate | None,
        config: VideoPoseConfig,
        out: Path,
        save: Callable[[Path, dict[str, str]], None],
        *,
        resume: bool = False,
        device: str = "cpu",
    ) -> None:
        if not len(clips):
            raise UserError("There is no clip to train on: no labelled person in the annotations.")
        refuse_another_run(out, resume)
        super().__init__(head.to(device), config, out)
        self.encode, self.clips, self.validate, self.device, self._save = encode, clips, validate, device, save
        self.batch = min(config.batch, len(clips))
        self.steps_per_epoch = len(clips) // self.batch
        self.steps = config.steps or config.epochs * self.steps_per_epoch
        self._reader: ThreadPoolExecutor | None = None
        self._ahead: Future[Batch] | None = None
        if resume:
            self.restore()

    def save_weights(self, path: Path, notes: dict[str, str]) -> None:
        """The head's, as `save` writes them."""
        self._save(path, notes)

    def predict(self, frames: Tensor) -> Tensor:
        """Heatmaps of frames, in evaluation mode."""
        was = self.model.training
        self.model.eval()
        with torch.no_grad():
            heat = self.model(self.encode(frames.to(self.device)))
        self.model.train(was)
        return heat

    def _batch(self, step: int) -> Batch:
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self.progress.seed, epoch)).permutation(len(self.clips))
        chosen = order[place * self.batch : (place + 1) * self.batch].tolist()
        return self.clips.batch(chosen, (self.progress.seed, step))

    def step(self) -> float:
        """One step; which clips it sees, and how, depends on seed and step alone. Returns the loss."""
        progress, config = self.progress, self.config
        batch = self._ahead.result() if self._ahead else self._batch(progress.step)
        self._ahead = None
        if self._reader and progress.step + 1 < self.steps:  # pictures are read while the network computes
            self._ahead = self._reader.submit(self._batch, progress.step + 1)
        self.set_rate(config.rate(progress.step / self.steps_per_epoch))
        # dropout, too, must not depend on where a run was interrupted
        torch.manual_seed(int(np.random.SeedSequence((progress.seed, progress.step)).generate_state(1)[0]))
        with torch.no_grad():
            features = self.encode(batch.frames.to(self.device))
        loss = heatmap_loss(self.model(features), batch.heat.to(self.device), batch.weight.to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if config.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        self.optimiser.step()
        progress.step += 1
        progress.frames += len(batch.frames)
        value = loss.item()
        if not math.isfinite(value):
            raise self.diverged()
        keep = self.smoothing()
        progress.running = value if math.isnan(progress.running) else keep * progress.running + (1 - keep) * value
        return value

    def run(self, say: Callable[[str], None], stop: Callable[[], bool] = lambda: False) -> list[dict[str, float]]:
        """Trains to the end or until `stop` says so; returns the rows of metrics.csv."""
        progress = self.progress
        every = max(1, round(self.config.validate_epochs * self.steps_per_epoch))
        journal = self.open_journal()
        begin, before = time.monotonic(), progress.seconds
        saved = begin

        def checkpoint() -> None:
            nonlocal saved
            saved = time.monotonic()
            progress.seconds, progress.share = before + saved - begin, progress.step / self.steps
            self.save()

        self.model.train()
        self._reader = ThreadPoolExecutor(1)
        try:
            while progress.step < self.steps:
                if stop():
                    checkpoint()
                    say(self.stopped())
                    return journal.rows
                self.step()
                if progress.step % every == 0 or progress.step == self.steps:
                    epochs = progress.step / self.steps_per_epoch
                    minutes = (before + time.monotonic() - begin) / 60
                    figures: dict[str, float] = {
                        "minutes": minutes,
                        "step": progress.step,
                        "epoch": epochs,
                        "lr": self.config.rate(epochs),
                        "loss": progress.running,
                    }
                    measured = self.validate(self.predict) if self.validate else {}
                    journal.add(figures | measured)
                    if "error" in measured:
                        self.save_if_best(measured["error"])
                    checkpoint()
                    told = "  ".join(f"{k} {v:.2f}" for k, v in measured.items())
                    say(f"{minutes:.1f} min  step {progress.step}/{self.steps}  loss {progress.running:.3f}  {told}")
                elif time.monotonic() - saved > self.config.checkpoint_minutes * 60:
                    checkpoint()
        finally:
            self._reader.shutdown()
            self._reader = self._ahead = None
            journal.close()
        return journal.rows


def with_settings(config: VideoPoseConfig, **given: Any) -> VideoPoseConfig:
    """The configuration with some settings replaced; those that are None stay.

    Raises:
        UserError: a value that cannot be used.
    """
    try:
        return replace(config, **{k: v for k, v in given.items() if v is not None})
    except ValueError as error:
        raise UserError(f"Not a usable setting: {error}.", exit_code=2) from error
