"""A first try: the command without a word, and `demo`."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import typer.main
from helpers_cli import command, left_in, walker_2d
from helpers_video import write_video

from sasmamba.app import weights
from sasmamba.app.cli.first_words import SIX
from sasmamba.app.cli.main import app
from sasmamba.app.cli.panels import PANELS
from sasmamba.app.export.formats import parse_formats
from sasmamba.app.export.rigs import rig_named


def test_without_a_word_six_commands_are_shown() -> None:
    told = command()
    assert told.code == 0
    assert all(want in told.out and line in told.out for want, line in SIX)


@pytest.mark.parametrize("line", [line for _, line in SIX])
def test_they_are_commands_that_there_are(line: str) -> None:
    program, _, *options = shlex.split(line)
    assert program == "sasmamba-demo"
    given = {name for p in typer.main.get_command(app).commands["run"].params for name in p.opts}  # type: ignore[attr-defined]
    assert {option for option in options if option.startswith("--")} <= given
    if "--export" in options:
        parse_formats(options[options.index("--export") + 1])
    if "--rig" in options:
        rig_named(options[options.index("--rig") + 1])


def test_every_option_under_a_heading_is_one_of_a_long_command() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    there = {p.name for name in ("run", "live", "train") for p in commands[name].params}
    named = [name for names in PANELS.values() for name in names]
    assert len(named) == len(set(named))
    assert set(named) <= there
    shown = command("run", "--help").out
    headings = [shown.index(f" {panel} ") for panel in PANELS if f" {panel} " in shown]
    assert len(headings) == len(PANELS) - 1  # nothing is shown and sent by `run`
    assert headings == sorted(headings)
    assert shown.index("--export") < headings[0] < shown.index("--rig") < shown.index("--cluster")


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        pytest.param("nothing.mp4", "There is no file nothing.mp4: check the name and the folder.", id="no file"),
        pytest.param("empty", "There is no video in empty: no file is in it.", id="an empty folder"),
        pytest.param("notes", "none of its files has the suffix of one, such as .mp4.", id="a folder of other files"),
        pytest.param("text.mp4", "text.mp4 is not a video this tool can read: convert it", id="a text named .mp4"),
        pytest.param("rnu", "did you mean `sasmamba-demo run`?", id="a slip"),
    ],
)
def test_a_first_run_that_fails_ends_with_the_sentence_that_helps(
    asked: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/todo.txt").write_text("film")
    (tmp_path / "text.mp4").write_text("hello")
    told = command(asked)
    assert told.code in (1, 2)
    assert sentence in told.err.strip().splitlines()[-1]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["empty", "notes", "text.mp4", "todo.txt"]


def test_the_readme_shows_the_same() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert all(line in readme for _, line in SIX)


def fetched(files: dict[str, Path], others: Callable[..., Path]) -> Callable[..., Path]:
    """`weights.ensure` as if these files had been fetched."""
    return lambda name, **more: files[name] if name in files else others(name, **more)


def test_the_demo_renders_what_it_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "clip.mp4")
    monkeypatch.setattr(weights, "ensure", fetched({"demo-clip": tmp_path / "clip.mp4"}, weights.ensure))
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    told = command("demo", "--out", tmp_path / "seen.mp4", "--quiet")
    assert told.code == 0, told.err
    assert left_in(tmp_path) == ["clip.mp4", "seen.mp4"]
