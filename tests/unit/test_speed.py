"""No part takes much more CPU time than was accepted, beside yardsticks of the same run; never milliseconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from helpers_benchmarks import benchmark

from sasmamba.app.cli.start_up import TORCH
from sasmamba.app.cli.yardsticks import MEDIAPIPE, REENCODED, Costs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def module() -> ModuleType:
    """benchmarks/speed_ratios.py, which is no package."""
    return benchmark("speed_ratios")


@pytest.mark.timing
@pytest.mark.timeout(900)
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="the system does not tell a process's CPU time")
@pytest.mark.usefixtures("demo_clip")
def test_nothing_became_slower(module: ModuleType) -> None:
    """In a process of its own, as ratios are accepted: this one has run other tests, and counts which lines they reach.
    See there for what is done about other machines and busy ones, and for how to accept what is slower."""
    from sasmamba.app import weights

    if weights.default_store().obtain("movenet") is None:
        pytest.skip("MoveNet's weights cannot be had")
    known = module.accepted()
    assert all(entry.keys() == {*module.AGAINST, *module.YARDSTICKS} for entry in known.values())
    done = subprocess.run([sys.executable, module.__file__, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_least_of_all_rounds_counts() -> None:
    costs = Costs()
    for seconds, name in ((2.0, "draw"), (1.0, "draw"), (3.0, "draw"), (4.0, MEDIAPIPE), (0.5, REENCODED)):
        costs.note(name, seconds, 100)
    assert costs.ms == pytest.approx({"draw": 10, MEDIAPIPE: 40, REENCODED: 5})
    assert costs.against(MEDIAPIPE) == pytest.approx({"draw": 0.25})


KNOWN = {MEDIAPIPE: 1.0, REENCODED: 2.0, TORCH: 100.0, "draw": 1.0, "lift": 2.0}


@pytest.mark.parametrize(
    ("now", "slow"),
    [
        pytest.param({"draw": 1.19, "lift": 0.1}, [], id="within a fifth"),
        pytest.param({"draw": 1.21}, ["draw takes 1.21 times"], id="slower"),
        pytest.param({name: 1.5 * ms for name, ms in KNOWN.items()}, [], id="everything is: another clock"),
        pytest.param({REENCODED: 3.0, TORCH: 150.0}, [], id="floats are faster here"),
        pytest.param({"draw": 1.5, REENCODED: 3.0}, [], id="integers are slower here, which drawing is"),
        pytest.param({"draw": 2.0, REENCODED: 3.0}, ["draw takes 1.33 times"], id="and drawing is slower still"),
        pytest.param({"draw": float("nan")}, ["draw takes nan times"], id="not measured"),
    ],
)
def test_what_is_slower_against_every_yardstick_has_become_slower(
    module: ModuleType, now: dict[str, float], slow: list[str]
) -> None:
    told = module.too_slow(KNOWN | now, {"this": KNOWN, "that": {**KNOWN, "draw": 9.0}}, "this")
    assert [sentence.partition(" what was accepted, 1.2 at most")[0] for sentence in told] == slow


def test_elsewhere_twice_as_much_as_on_any_machine_is_too_much(module: ModuleType) -> None:
    known = {"this": KNOWN, "that": {**KNOWN, "draw": 3.0}}
    assert module.too_slow(KNOWN | {"draw": 5.9, "lift": 3.9}, known, "other") == []
    assert module.too_slow(KNOWN | {"draw": 6.1, "lift": 4.1}, known, "other") == [
        "lift takes 2.05 times what was accepted, 2 at most are allowed",
        "draw takes 2.03 times what was accepted, 2 at most are allowed",
    ]


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
        costs = yardsticks.stage_costs(demo_clip, frames=8, rounds=1, settings=Settings(pose2d="mediapipe"))
        return costs.ms["draw"] / costs.ms[REENCODED]

    before = ratio()
    draw = Renderer.draw
    monkeypatch.setattr(Renderer, "draw", lambda *args: [draw(*args) for _ in range(2)][-1])
    assert ratio() > (1 + module.SLACK) * before
