"""Every option that is a number, of every command, at its odd values: a sentence and exit code 2 before the work."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from helpers_cli import command, left_in
from helpers_video import write_video

from sasmamba.app.cli.main import app

ODD = ("0", "-1", "1" + "0" * 30, "1e300", "nan", "inf", "-inf")
#: How each command is called so that only the number is wrong.
CALLS = {
    "run": ["clip.mp4"],
    "live": ["clip.mp4", "--no-window"],
    "fix": ["clip.mp4", "poses.npz"],
    "export-onnx": ["sasmamba-lean", "lifter.onnx"],
    "train": ["--config", "lean"],
    "train-2d": ["--backbone", "none"],
    "evaluate": ["sasmamba-lean", "--data", "none.npz"],
}
#: What means something after all: the beginning, the first stream, a camera turned so, any free port.
RIGHT = {
    ("run", "--start", "0"),
    ("run", "--stream", "0"),
    ("run", "--pitch", "0"),
    ("run", "--pitch", "-1"),
    ("run", "--roll", "0"),
    ("run", "--roll", "-1"),
    ("live", "--start", "0"),
    ("live", "--lookahead", "0"),
    ("live", "--serve", "0"),
    ("live", "--ws", "0"),
    ("live", "--patience", "0"),
    ("fix", "--port", "0"),
    ("train", "--seed", "0"),
    ("train", "--threads", "0"),
    ("train-2d", "--seed", "0"),
    ("train-2d", "--threads", "0"),
}
#: Options that are text for what numbers they hold.
IN_TEXT = [
    ("run", "--intrinsics", "{0},900,32,24"),
    ("run", "--intrinsics", "900,900,{0},24"),
    ("run", "--height-m", "{0}"),
    ("run", "--height-m", "1={0}"),
    ("run", "--height-m", "{0}=1.8"),
    ("run", "--pose2d-size", "{0}x192"),
    ("run", "--jobs", "{0}"),
]


def commands(found: typer.Typer, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Callable]]:
    """Every command's name, as it is typed, and its function."""
    for each in found.registered_commands:
        assert each.callback is not None
        yield " ".join((*path, each.name or each.callback.__name__.replace("_", "-"))), each.callback
    for group in found.registered_groups:
        assert group.typer_instance is not None
        yield from commands(group.typer_instance, (*path, group.name or ""))


def numeric_options() -> list[tuple[str, str]]:
    """Commands and their options that are numbers, by what their functions take."""
    found = []
    for name, function in commands(app):
        for option, kind in typing.get_type_hints(function).items():
            if {int, float} & set(typing.get_args(kind) or (kind,)):
                found.append((name, "--" + option.replace("_", "-")))
    return found


class WorkBegan(Exception):
    """What stands in for the work."""


@pytest.fixture
def idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a clip, in which no work is done."""

    def begin(*_: object, **__: object) -> None:
        raise WorkBegan

    for work in (
        "pipeline.analyse",
        "live.run_live.open_pose2d",
        "batch.run_batch._open_executor",
        "fix.run_fix.read_take",
    ):
        monkeypatch.setattr(f"sasmamba.app.{work}", begin)
    monkeypatch.setattr("sasmamba.training.loop.train", begin)
    monkeypatch.setattr("sasmamba.training.video_training.open_backbone", begin)
    monkeypatch.setattr("sasmamba.training.evaluate.evaluate_file", begin)
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "clip.mp4", 4)
    return tmp_path


def test_there_are_such_options() -> None:
    found = numeric_options()
    assert ("run", "--start") in found
    assert ("train", "--lr") in found
    assert len(found) > 30
    assert {(name, option) for name, option, _ in RIGHT} <= set(found)


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize(("name", "option"), numeric_options())
def test_odd_numbers(idle: Path, name: str, option: str, value: str) -> None:
    assert name in CALLS, f"say in CALLS how {name} is called"
    call = [name, *CALLS[name], f"{option}={value}"]
    before = left_in(idle)
    if (name, option, value) in RIGHT:
        with pytest.raises(WorkBegan):
            command(*call)
    else:
        result = command(*call)
        assert result.code == 2, result.err
        named = (option, option.strip("-").replace("-", "_") + ":", "The part to read", "At least one", "No video has")
        assert any(words in result.err for words in named)
        assert "Traceback" not in result.err
        assert result.out == ""
    assert left_in(idle) == before


@pytest.mark.parametrize("value", [*ODD, "1e12", "-0.0"])
@pytest.mark.parametrize(("name", "option", "text"), IN_TEXT)
def test_odd_numbers_in_text(idle: Path, name: str, option: str, text: str, value: str) -> None:
    if "{0},24" in text and value in ("0", "-1", "-0.0"):  # an axis that passes beside the picture's middle can be
        return
    more = ["--pose2d", "hrnet"] if option == "--pose2d-size" else []
    call = CALLS[name]
    if option == "--jobs":
        (idle / "clips").mkdir()
        (idle / "clip.mp4").rename(idle / "clips" / "clip.mp4")
        call = ["clips"]
    before = left_in(idle)
    result = command(name, *call, *more, f"{option}={text.format(value)}")
    assert result.code == 2, result.err
    assert result.err.strip().startswith("Error: ")
    assert len(result.err.strip().splitlines()) == 1
    assert left_in(idle) == before
