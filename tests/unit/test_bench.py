"""`bench` measures what it says, says what it leaves out, and its figures agree with each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers_cli import Result, command, one_sentence, walk_clip
from helpers_video import write_video

from sasmamba.app import weights
from sasmamba.app.cli import measuring
from sasmamba.app.cli.start_up import KINDS
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.common.errors import UserError


@pytest.fixture(scope="module")
def measured(demo_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command prints about a woman walking."""
    clip = walk_clip(demo_clip, tmp_path_factory.mktemp("bench") / "clip.mp4", frames=12)
    result = command("bench", clip, "--quick", "--json")
    assert (result.code, result.err) == (0, "")
    return json.loads(result.out)


def test_figures_are_there_and_positive(measured: dict[str, Any]) -> None:
    assert measured["left_out"] == []
    clip = measured["video"]
    assert clip["frames"] == 6
    assert 1 <= clip["people"] <= 6 * 4
    figures = [
        *measured["lifter"]["ms_per_frame"].values(),
        *measured["scan"]["ms"].values(),
        *measured["render"].values(),
        clip["2d_ms_per_person"],
        clip["fps"],
        clip["peak_mb"] or 1,
    ]
    figures += [*measured["stages"].values(), *clip["times_yardsticks"].values(), clip["cpu_percent"]]
    assert measured["first_frame"].keys() == KINDS.keys()
    figures += [seconds for kind in measured["first_frame"].values() for seconds in kind.values()]
    assert all(f > 0 for f in figures)
    assert {"decode", "2D", "lift", "draw", "encode", "whole", "bare MediaPipe", "re-encoded"} <= set(
        measured["stages"]
    )


def test_ratios_are_quotients(measured: dict[str, Any]) -> None:
    for part, unit in (("lifter", "ms_per_frame"), ("scan", "ms")):
        ms, times = measured[part][unit], measured[part]["times_as_fast"]
        assert times == pytest.approx({name: ms["reference"] / m for name, m in ms.items()})
        assert set(ms) == set(measuring.scans())
    render, clip = measured["render"], measured["video"]
    assert render["resizes"] == pytest.approx(render["ms_per_frame"] / render["resize_ms"])
    assert clip["2d_ms_per_person"] == pytest.approx(clip["stage_ms"]["2d"] * clip["frames"] / clip["people"])


def test_the_machine_is_described(measured: dict[str, Any]) -> None:
    about = measured["machine"]
    assert all(about[part] for part in ("system", "processor", "cores", "gpu", "kernels"))
    assert {"python", "torch", "mediapipe"} <= set(about["versions"])
    assert "none" not in about["versions"].values()


def test_the_table_shows_the_same(measured: dict[str, Any]) -> None:
    table = dict(measuring.rows(measured))
    lifter = measured["lifter"]
    assert table[f"{DEFAULT_LIFTER}, reference scan"] == f"{lifter['ms_per_frame']['reference']:.3g} ms per frame"
    assert table["2D"].startswith(f"{measured['video']['2d_ms_per_person']:.3g} ms")
    assert table["whole chain"].startswith(f"{measured['video']['fps']:.1f} frames/s")
    costs = measured["stages"]
    ratios = [f"{costs['draw'] / costs[y]:.2g} times {y}" for y in ("bare MediaPipe", "re-encoded")]
    assert table["CPU: draw"] == f"{costs['draw']:.3g} ms per frame; {'; '.join(ratios)}"
    assert table["first frame, live"].endswith("times what importing torch takes")


@pytest.fixture
def only_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lifter, scan and drawing are measured elsewhere."""
    some = {"reference": 1.0}
    monkeypatch.setattr(measuring, "_lifter", lambda runs: {"name": "l", "ms_per_frame": some, "times_as_fast": some})
    monkeypatch.setattr(measuring, "_scan", lambda tokens, runs: {"tokens": tokens, "ms": some, "times_as_fast": some})
    monkeypatch.setattr(measuring, "render_speed", lambda frames, rounds: {"ms_per_frame": 1.0, "resizes": 1.0})


@pytest.mark.usefixtures("only_the_chain")
def test_without_a_clip_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(name: str) -> Path:
        raise UserError(f"{name} is not here and cannot be fetched.")

    monkeypatch.setattr(weights, "ensure", nowhere)
    results = measuring.measure(quick=True)
    assert results["video"] is None
    (sentence,) = results["left_out"]
    assert (
        sentence == "2D, frames per second and peak memory were left out: demo-clip is not here and cannot be fetched."
    )
    result = command("bench", "--quick")
    assert (result.code, result.err) == (0, "")
    assert "left out" in result.out
    assert "frames/s" not in result.out


@pytest.mark.usefixtures("only_the_chain")
def test_a_clip_without_people(tmp_path: Path, demo_clip: Path) -> None:
    """`demo_clip` is asked for because where it can be had the 2D model can be had, too."""
    clip = write_video(tmp_path / "grey.mp4", 4)
    results = measuring.measure(clip, quick=True)
    assert results["video"]["2d_ms_per_person"] is None
    assert results["video"]["fps"] > 0
    assert results["left_out"] == [f"2D milliseconds per person were left out: nobody was found in {clip}."]


def test_no_such_clip(tmp_path: Path) -> None:
    result = command("bench", tmp_path / "none.mp4")
    assert result == Result(2, "", result.err)
    assert one_sentence(result.err.replace("\n", " ")).startswith("There is no file")


def test_what_the_command_says_about_its_failure_comes_out(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--height is the picture's, 64 to 4320 pixels, not 3\.$"):
        measuring.whole_run(write_video(tmp_path / "clip.mp4", 2), "--height", 3)
