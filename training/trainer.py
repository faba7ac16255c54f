"""What all training has in common: the optimiser, checkpoints that survive a kill, and what is said when it fails."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sasmamba.common.errors import UserError
from sasmamba.common.files import disk_errors_explained
from sasmamba.training.state import RunState, load_state, save_state
from sasmamba.training.training_log import TrainingLog


class OptimiserSettings(Protocol):
    """What a trainer itself reads of a run's configuration, which is a dataclass."""

    @property
    def lr(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def seed(self) -> int: ...


class Trainer:
    """Trains a network: a subclass knows the data, the loss, the order of steps and what is validated.

    A run is a folder. state.pt holds all that a resumed run needs; last.safetensors are the newest weights and
    best.safetensors those with the lowest error of validation, if something is validated.

    Args:
        model: what is trained, where it is to be trained.
        config: the run's settings.
        out: the run's folder; see `refuse_another_run`.
        fused: AdamW in one kernel; None leaves the choice to PyTorch.

    Attributes:
        progress: how far the run has come.
        optimiser: AdamW, with weight decay on matrices alone.
    """

    def __init__(self, model: nn.Module, config: OptimiserSettings, out: Path, *, fused: bool | None = None) -> None:
        self.model, self.config, self.out = model, config, out
        self.progress = RunState(seed=config.seed)
        groups = parameter_groups(model.parameters(), config.weight_decay)
        self.optimiser = torch.optim.AdamW(groups, lr=config.lr, fused=fused)

    def save_weights(self, path: Path, notes: dict[str, str]) -> None:
        """Writes the weights that are evaluated and shipped, whole or not at all; of the subclass."""
        raise NotImplementedError

    def state(self) -> dict[str, dict[str, Any]]:
        """State dicts by name, all that a resumed run needs beside `progress`."""
        return {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state(self, parts: dict[str, dict[str, Any]]) -> None:
        """Takes what `state` gave."""
        self.model.load_state_dict(parts["model"])
        self.optimiser.load_state_dict(parts["optimiser"])

    def restore(self) -> None:
        """Goes on from the state in the run's folder.

        Raises:
            UserError: there is none, or it is of another model.
        """
        self.progress, parts = load_state(self.out / "state.pt")
        try:
            self.load_state(parts)
        except (KeyError, RuntimeError, ValueError) as error:
            raise UserError(
                f"{self.out} holds a run of another model; resume it with its own configuration, "
                "or start a new one in another --out."
            ) from error

    def save(self) -> None:
        """Writes the state that `restore` reads, and the last weights, each whole or not at all."""
        if not all(p.isfinite().all() for p in self.model.parameters()):
            raise self.diverged()
        save_state(self.out / "state.pt", self.progress, self.state())
        self.save_weights(self.out / "last.safetensors", self.notes())

    def save_if_best(self, error: float) -> None:
        """Writes the best weights if a validation's error is the lowest so far."""
        if error < self.progress.best:
            self.progress.best = error
            self.save_weights(self.out / "best.safetensors", self.notes())

    def notes(self) -> dict[str, str]:
        """What a file of weights says about where it comes from."""
        return {"step": str(self.progress.step), "config": str(asdict(self.config))}  # type: ignore[call-overload]

    def set_rate(self, rate: float) -> None:
        """Sets the learning rate of the next step."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def smoothing(self) -> float:
        """How much of the running error the next step keeps: a run's first steps tell more than their number."""
        return 0.99 if self.progress.step > 100 else 0.9

    def open_journal(self) -> TrainingLog:
        """The record of the run, in its folder, which is made."""
        with disk_errors_explained(self.out, *self.out.parents):
            self.out.mkdir(parents=True, exist_ok=True)
        return TrainingLog(self.out)

    def stopped(self) -> str:
        """What is said when somebody ends the run before its time."""
        return f"Stopped at step {self.progress.step}; --resume goes on from here."

    def diverged(self) -> UserError:
        """What is raised when the loss or a weight is no longer a number."""
        return UserError(
            f"The loss is no longer a number (step {self.progress.step}); lower lr, or bound the gradient with a lower "
            "clip, and go on from the last checkpoint with --resume."
        )


def parameter_groups(parameters: Iterable[Tensor], weight_decay: float) -> list[dict[str, Any]]:
    """Groups for an optimiser: matrices decay, biases and norms' gains do not."""
    every = list(parameters)
    return [
        {"params": [p for p in every if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in every if p.dim() <= 1], "weight_decay": 0.0},
    ]


def refuse_another_run(out: Path, resume: bool) -> None:
    """To be called before the work.

    Raises:
        UserError: the folder holds a run, and going on with it was not asked for.
    """
    if (out / "state.pt").exists() and not resume:
        raise UserError(f"{out} holds a run already; add --resume to go on with it, or choose another --out.")
