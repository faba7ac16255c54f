"""No part takes much more CPU time than was accepted, beside yardsticks of the same run; never milliseconds."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest
from helpers_benchmarks import benchmark

from sasmamba.app.cli.yardsticks import MEDIAPIPE, REENCODED, Costs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def module() -> ModuleType:
    """benchmarks/speed_ratios.py, which is no package."""
    return benchmark("speed_ratios")


@pytest.mark.timing
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="the system does not tell a process's CPU time")
def test_nothing_became_slower(module: ModuleType, demo_clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What seems too slow is measured again: only what is slow every time is."""
    from sasmamba.app import weights

    monkeypatch.setattr(weights, "obtain", weights.default_store().obtain)
    if weights.obtain("movenet") is None:
        pytest.skip("MoveNet's weights cannot be had")
    most = module.allowed(module.accepted(), module.kind())
    assert most.keys() == module.AGAINST.keys()
    costs: Costs | None = None
    for rounds in (2, 2, 3):
        costs = module.measure(demo_clip, costs, rounds=rounds)
        slow = module.too_slow(module.ratios(costs), most)
        if not slow:
            break
    assert slow == [], "see benchmarks/speed_ratios.py for how to accept this"


def test_the_least_of_all_rounds_counts() -> None:
    costs = Costs()
    for seconds, name in ((2.0, "draw"), (1.0, "draw"), (3.0, "draw"), (4.0, MEDIAPIPE), (0.5, REENCODED)):
        costs.note(name, seconds, 100)
    assert costs.ms == pytest.approx({"draw": 10, MEDIAPIPE: 40, REENCODED: 5})
    assert costs.against(MEDIAPIPE) == pytest.approx({"draw": 0.25})


def test_a_fifth_more_is_too_much_and_elsewhere_twice_as_much(module: ModuleType) -> None:
    known = {"this": {"draw": 1.0, "lift": 2.0}, "that": {"draw": 3.0}}
    here = module.allowed(known, "this")
    assert module.too_slow({"draw": 1.19, "lift": 0.1}, here) == []
    assert module.too_slow({"draw": 1.21, "lift": 2.5}, here) == [
        "draw takes 1.21 times its yardstick, 1.2 at most are accepted",
        "lift takes 2.5 times its yardstick, 2.4 at most are accepted",
    ]
    assert len(module.too_slow({"draw": float("nan")}, here)) == 1
    elsewhere = module.allowed(known, "other")
    assert elsewhere == {"draw": 6.0, "lift": 4.0}


def test_what_is_accepted_is_found_again(module: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "accepted.toml"
    assert module.accepted(file) == {}
    module.accept({"draw": 0.25, "lift, live, per person": 1.5}, "one", file)
    module.accept({"draw": 0.5}, "other", file)
    module.accept({"draw": 0.125}, "one", file)
    assert module.accepted(file) == {"one": {"draw": 0.125}, "other": {"draw": 0.5}}


def test_a_change_that_doubles_the_drawing_is_noticed(
    module: ModuleType, demo_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measuring itself: drawing every picture twice shows in the ratio, by more than the slack."""
    from sasmamba.app.cli import yardsticks
    from sasmamba.app.config import Settings
    from sasmamba.app.render.renderer import Renderer

    def ratio() -> float:
        costs = yardsticks.stage_costs(demo_clip, frames=12, rounds=2, settings=Settings(pose2d="mediapipe"))
        return costs.ms["draw"] / costs.ms[REENCODED]

    before = ratio()
    draw = Renderer.draw
    monkeypatch.setattr(Renderer, "draw", lambda *args: [draw(*args) for _ in range(2)][-1])
    assert ratio() > (1 + module.SLACK) * before
