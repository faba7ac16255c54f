"""Training for live runs: a window's newest frames alone count, and validation measures the last one."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers_motion import write_motion, write_rig
from safetensors.torch import load_file

from sasmamba.models.checkpoint import load_lifter
from sasmamba.training.cameras import rig_from
from sasmamba.training.evaluation import model_lift, windows
from sasmamba.training.loop import train
from sasmamba.training.metrics import mpjpe
from sasmamba.training.motion import load_motion
from sasmamba.training.simulate import Simulator
from sasmamba.training.train_config import Phase, TrainConfig, load_config

FRAMES, NEWEST = 9, 4
MODEL = {"blocks": 2, "in_channels": 3, "frames": 27, "block": {"width": 16, "states": 1, "local": "depthwise"}}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_motion(tmp_path / "m.npz", [("S1", "walk", 120), ("S8", "walk", 60)])
    write_rig(tmp_path / "c.json", ["S1", "S8"])
    return tmp_path


def run(data: Path, name: str, **changes: object) -> dict[str, float]:
    phases = (Phase(1.0, 2, FRAMES, (1, 2)),)
    config = TrainConfig({"m.npz": 1.0}, "c.json", model=MODEL, steps=6, warmup=2, eval_windows=1, phases=phases)
    return train(replace(config, **changes), data / name, root=data, say=lambda _: None)  # type: ignore[arg-type]


def learned(data: Path, name: str) -> torch.Tensor:
    return load_file(data / name / "last.safetensors")["head.1.weight"]


@pytest.mark.parametrize("loss", ["sasmamba", "posemamba"])
@pytest.mark.parametrize(
    ("newest", "spoilt", "alike"),
    [
        pytest.param(0, 1, False, id="all count"),
        pytest.param(NEWEST, FRAMES - NEWEST, True, id="frames before the newest do not"),
        pytest.param(NEWEST, FRAMES - 1, False, id="more than the last does"),
        pytest.param(100, 1, False, id="more than there are: all"),
    ],
)
def test_which_frames_count(
    data: Path, monkeypatch: pytest.MonkeyPatch, loss: str, newest: int, spoilt: int, alike: bool
) -> None:
    """Wrong targets in a window's first frames change what is learned, or do not."""
    run(data, "right", newest=newest, loss=loss, hold_out="")
    draw = Simulator.draw

    def wrong(self: Simulator, *args: object) -> object:
        sample = draw(self, *args)  # type: ignore[arg-type]
        sample.target[:, :spoilt] += 0.5
        return sample

    monkeypatch.setattr(Simulator, "draw", wrong)
    run(data, "wrong", newest=newest, loss=loss, hold_out="")
    assert torch.equal(learned(data, "right"), learned(data, "wrong")) == alike


def test_validation_measures_the_last_frame(data: Path) -> None:
    found = run(data, "live", newest=NEWEST)
    motion = load_motion([data / "m.npz"])
    held = motion.select(motion.subject == "S8")
    # three windows of 9 frames where one of 27 is measured else
    w = windows(held, rig_from(data / "c.json"), "S8", FRAMES, 3, "noisy")
    y = model_lift(load_lifter(data / "live/last.safetensors"))(w.xyc)
    assert found["noisy P1"] == pytest.approx(mpjpe(y[:, -1], w.target[:, -1]), rel=1e-5)
    assert found["noisy P1"] != pytest.approx(mpjpe(y, w.target), rel=1e-4)
    with (data / "live/metrics.csv").open() as rows:
        row = list(csv.DictReader(rows))[-1]
    assert all(math.isfinite(float(cell)) for cell in row.values()), "one frame has no velocity, not one of nothing"
    assert "noisy velocity" not in row


@pytest.mark.parametrize("newest", [-1, 1])
def test_too_few_are_refused(newest: int) -> None:
    with pytest.raises(ValueError, match=f"newest: want 0 .*or 2 or more, got {newest}"):
        TrainConfig({"m.npz": 1.0}, newest=newest)


def test_own_configuration() -> None:
    """Windows as long as live ones, of the shipped lifter."""
    config = load_config("lean-live")
    assert config.newest > 0
    assert max(phase.frames for phase in config.phases) == 61
