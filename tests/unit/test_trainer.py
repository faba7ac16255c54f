"""What lifters' and 2D's training share: which weights decay, what a resumed run gets back, what it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sasmamba.common.errors import UserError
from sasmamba.training.trainer import Trainer, refuse_another_run


@dataclass(frozen=True)
class Settings:
    lr: float = 0.1
    weight_decay: float = 0.5
    seed: int = 7


class Small(Trainer):
    def save_weights(self, path: Path, notes: dict[str, str]) -> None:
        save_file(self.model.state_dict(), path, notes)


def trainer(out: Path, width: int = 3) -> Small:
    torch.manual_seed(width)
    return Small(nn.Sequential(nn.Linear(2, width), nn.LayerNorm(width)), Settings(), out)


def step(of: Trainer) -> None:
    of.model(torch.ones(4, 2)).square().sum().backward()
    of.optimiser.step()
    of.optimiser.zero_grad()
    of.progress.step += 1


def test_matrices_decay_and_nothing_else(tmp_path: Path) -> None:
    decayed, plain = trainer(tmp_path).optimiser.param_groups
    assert ([tuple(p.shape) for p in decayed["params"]], decayed["weight_decay"]) == ([(3, 2)], 0.5)
    assert ([p.dim() for p in plain["params"]], plain["weight_decay"]) == ([1, 1, 1], 0)


def test_a_restored_run_takes_the_same_steps(tmp_path: Path) -> None:
    whole = trainer(tmp_path)
    step(whole)
    whole.save()
    parts = trainer(tmp_path)
    parts.restore()
    assert (parts.progress.step, parts.progress.seed) == (1, 7)
    for each in (whole, parts):
        step(each)
    for a, b in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    with pytest.raises(UserError, match="another model"):
        trainer(tmp_path, width=4).restore()


def test_the_lowest_error_is_the_best(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    for error in (5.0, 3.0, 4.0):
        step(run)
        run.save_if_best(error)
    run.save()
    best, last = (load_file(tmp_path / f"{name}.safetensors") for name in ("best", "last"))
    assert not torch.equal(best["0.weight"], last["0.weight"])
    again = trainer(tmp_path)
    again.restore()
    again.save_if_best(3.5)
    assert torch.equal(load_file(tmp_path / "best.safetensors")["0.weight"], best["0.weight"])


def test_what_is_no_number_is_not_saved(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    with torch.no_grad():
        next(run.model.parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match="no longer a number"):
        run.save()
    assert not list(tmp_path.iterdir())


def test_another_run_is_not_overwritten(tmp_path: Path) -> None:
    refuse_another_run(tmp_path, resume=False)
    trainer(tmp_path).save()
    refuse_another_run(tmp_path, resume=True)
    with pytest.raises(UserError, match="holds a run already"):
        refuse_another_run(tmp_path, resume=False)
