"""The averaged copy of a model, the one that is evaluated and shipped."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)

#: Averaging touches every parameter; every fourth step is as good and four times cheaper.
EVERY = 4


class Ema(Generic[M]):
    """Exponential moving average of a model's parameters.

    Args:
        model: what is averaged; the average is a copy of it in evaluation mode.
        decay: per step of training; lower at the beginning, when the weights move fast.
    """

    def __init__(self, model: M, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.model: M = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Takes a step towards `model`; to be called every `EVERY` steps of training."""
        self.updates += 1
        decay = min(self.decay**EVERY, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), 1 - decay)
