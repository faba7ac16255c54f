"""Which lifter a run takes: live runs one of their own, unless they look ahead far, and whoever names one gets it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers_cli import command

import sasmamba
from sasmamba.app.config import LiveSettings, Settings
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.online import LIVE_WINDOW
from sasmamba.app.weights.lifters import DEFAULT_LIFTER, LIVE_LIFTER, lifters, live_lifter
from sasmamba.training.train_config import load_config


@pytest.mark.parametrize(
    ("settings", "lifter"),
    [
        pytest.param({}, LIVE_LIFTER, id="live"),
        pytest.param({"lookahead": 2}, LIVE_LIFTER, id="short look-ahead"),
        pytest.param({"lookahead": 121}, DEFAULT_LIFTER, id="the longest look-ahead"),
        pytest.param({"lifter": DEFAULT_LIFTER}, DEFAULT_LIFTER, id="named"),
        pytest.param({"lifter": LIVE_LIFTER, "lookahead": 60}, LIVE_LIFTER, id="named, looks far ahead"),
        pytest.param({"lifter": "mine.safetensors"}, "mine.safetensors", id="one's own"),
    ],
)
def test_live(settings: dict, lifter: str) -> None:
    assert LiveSettings(**settings).lifter == lifter
    assert replace(LiveSettings(**settings), max_people=1).lifter == lifter


def test_files_and_what_they_are_lifted_by_are_as_they_were() -> None:
    assert Settings().lifter == DEFAULT_LIFTER == "sasmamba-lean"


def test_a_stream_takes_what_live_runs_take(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    load = Lifter.load

    def noted(name: str, *args: object, **more: object) -> Lifter:
        asked.append(name)
        return load(name, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Lifter, "load", noted)
    for lookahead in (0, 60):
        with sasmamba.PoseStream(lookahead=lookahead, pose2d="mediapipe"):
            pass
    assert asked == [LIVE_LIFTER, DEFAULT_LIFTER]


def test_it_costs_what_the_other_costs() -> None:
    """One architecture; only what intervals are multiplied by may differ. Its windows are those of live runs."""
    both = [Lifter.load(name).model.config for name in (DEFAULT_LIFTER, LIVE_LIFTER)]
    assert all(config.uncertainty is not None for config in both)
    assert replace(both[0], uncertainty=None) == replace(both[1], uncertainty=None)
    assert max(phase.frames for phase in load_config("lean-live").phases) == LIVE_WINDOW


def test_it_is_listed_and_can_be_exported(tmp_path: Path) -> None:
    assert set(lifters()) == {DEFAULT_LIFTER, live_lifter(0)}
    assert LIVE_LIFTER in command("weights", "list").out
    assert command("export-onnx", LIVE_LIFTER, tmp_path / "live.onnx", "--frames", LIVE_WINDOW).code == 0
