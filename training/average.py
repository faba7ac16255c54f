"""The mean of the weights of several lifters that come from one another.

Legs of training that start from the same weights and differ in what they see end in one valley of the loss, not in one
place; half-way between them the error is often lower than at either (Wortsman et al. 2022, "Model soups").
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from sasmamba.common.errors import UserError
from sasmamba.models.checkpoint import load_lifter
from sasmamba.models.tensorfile import CheckpointError
from sasmamba.training.state import save_weights


def average_lifters(paths: Sequence[Path], out: Path) -> None:
    """Writes the lifter whose every weight is the mean of that of the lifters in `paths`.

    Raises:
        UserError: fewer than two lifters, files that are none, lifters of different configurations, or a disk that
            refuses.
    """
    if len(paths) < 2:
        raise UserError("Name at least two lifters to average.", exit_code=2)
    try:
        models = [load_lifter(path) for path in paths]
    except CheckpointError as error:
        raise UserError(f"These weights cannot be averaged: {error}.") from error
    for path, model in zip(paths, models, strict=True):
        if model.config != models[0].config:
            raise UserError(f"{path} and {paths[0]} differ in configuration; only weights of one kind can be averaged.")
    mean = models[0]
    states = [model.state_dict() for model in models]
    mean.load_state_dict(
        {name: torch.stack([s[name].double() for s in states]).mean(0).to(value) for name, value in states[0].items()}
    )
    save_weights(mean, out, {"mean of": ", ".join(path.name for path in paths)})
