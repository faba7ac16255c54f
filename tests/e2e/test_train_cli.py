"""`sasmamba-demo train` and `evaluate`, and `python -m sasmamba.training check` and `convert`, as people type them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers_motion import walker, write_motion, write_rig
from typer.testing import CliRunner

from sasmamba.app.cli.main import app as demo
from sasmamba.common.errors import UserError
from sasmamba.training.__main__ import app as training

TOML = """
cameras = "c.json"
steps = 6
warmup = 2
eval_windows = 1
model = { blocks = 2, in_channels = 3, frames = 27, block = { width = 16, states = 1, local = "depthwise" } }
phases = [{ share = 1, batch = 4, frames = 5, stride = [1, 8] }]
[data]
"m.npz" = 1.0
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, and a lifter that was trained on it."""
    path = tmp_path_factory.mktemp("train")
    write_motion(path / "m.npz", [("S1", "walk", 120), ("S8", "walk", 60), ("S8", "run", 60)])
    write_rig(path / "c.json", ["S1", "S8"])
    (path / "t.toml").write_text(TOML)
    result = train(path, "--out", str(path / "run"))
    assert result.exit_code == 0, result.output
    return path


def train(folder: Path, *more: str):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(
        demo, ["train", "--config", str(folder / "t.toml"), "--data-root", str(folder), "--device", "cpu", *more]
    )


def evaluate(folder: Path, *more: str):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(
        demo,
        [
            "evaluate",
            str(folder / "run/last.safetensors"),
            "--data",
            str(folder / "m.npz"),
            "--cameras",
            str(folder / "c.json"),
            "--device",
            "cpu",
            "--per-clip",
            "1",
            *more,
        ],
    )


def test_train_wrote_weights(folder: Path) -> None:
    assert (folder / "run/last.safetensors").exists()
    assert "step,frames" in (folder / "run/metrics.csv").read_text()


def test_settings_from_the_command_line(folder: Path) -> None:
    settings = ("--steps", "2", "--batch-scale", "2", "--lr", "1e-3", "--seed", "7")
    result = train(folder, "--out", str(folder / "b"), *settings)
    assert result.exit_code == 0, result.output
    assert "step 2" in result.output
    last = (folder / "b/metrics.csv").read_text().splitlines()[-1].split(",")
    assert last[1:3] == ["2", "80"]  # steps; frames: 2 steps of 8 clips of 5


def test_finetune(folder: Path) -> None:
    more = ("--out", str(folder / "f"), "--steps", "2", "--init", str(folder / "run/last.safetensors"), "-q")
    result = train(folder, *more)
    assert result.exit_code == 0, result.output
    assert not result.output


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--precision", "half"), "precision: want one of"),
        (("--minutes", "-1"), "--minutes must lie between"),
        (("--config", "nothing.toml"), "does not exist; give a TOML file or one of"),
        (("--resume", "--out", "nowhere"), "no run to resume"),
        (("--data-root", "/nowhere"), "does not exist; check the name and --data-root"),
    ],
)
def test_train_refuses(folder: Path, more: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    result = train(folder, "--out", str(tmp_path / "x"), *more)
    assert isinstance(result.exception, UserError)
    assert sentence in str(result.exception)
    assert not (tmp_path / "x").exists()


def test_evaluate_table(folder: Path) -> None:
    result = evaluate(folder, "--subject", "S8", "--per-joint", "--per-action", "--flip", "--explain")
    assert result.exit_code == 0, result.output
    for word in (
        "P1",
        "P2",
        "acceleration",
        "PCK150",
        "AUC",
        "true",
        "coco",
        "noisy",
        "left wrist",
        "run",
        "walk",
        "swap ratio",
        "missing cost",
        "gap jump",
        "keyframe cost",
        "moved",
        "knee MAE",
        "shoulder RMSE",
        "shuffled scores cost",
        "mean absolute error",
    ):
        assert word in result.output, word


def test_evaluate_json(folder: Path) -> None:
    result = evaluate(folder, "--subject", "S8", "--json")
    table = json.loads(result.output)
    assert table["about"]["windows"] == 2
    assert set(table["kinds"]) == {"true", "coco", "noisy", "movenet"}
    true = table["kinds"]["true"]
    joints = np.mean([v["P1"] for v in true["joints"].values()])
    assert true["all"]["P1"] == pytest.approx(joints, rel=1e-5)
    assert true["all"]["P1"] == pytest.approx(np.mean([a["P1"] for a in true["actions"].values()]), rel=1e-5)
    assert table["robustness"]["coco"]["moved"] < 0.1, "where the person stands must not matter"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--subject", "S9"), "No clip of subject S9 matches '*'; there are subjects S1, S8"),
        (("--clips", "fly*"), "No clip of subject any matches 'fly*'"),
        (("--frames", "5"), "frames: want at least 20"),
        (("--calibration", "sure.png"), "does not say how sure it is, so there is nothing to draw"),
    ],
)
def test_evaluate_refuses(folder: Path, more: tuple[str, ...], sentence: str) -> None:
    result = evaluate(folder, *more)
    assert isinstance(result.exception, UserError)
    assert sentence in str(result.exception)


def test_evaluate_refuses_other_files(folder: Path) -> None:
    result = CliRunner().invoke(demo, ["evaluate", str(folder / "x.safetensors"), "--data", str(folder / "m.npz")])
    assert isinstance(result.exception, UserError)
    assert "cannot be evaluated" in str(result.exception)


def test_check_and_convert(folder: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(training, ["check", str(folder / "m.npz")])
    assert "good, 3 clips, 240 frames" in result.output
    assert "S1, S8" in result.output
    joints, root = walker(40)
    table = {"S1": {"Walking": joints + root[:, None]}}
    np.savez(tmp_path / "v.npz", positions_3d=np.array(table, dtype=object))
    out = tmp_path / "out.npz"
    result = CliRunner().invoke(training, ["convert", "videopose3d", str(tmp_path / "v.npz"), "--out", str(out)])
    assert "1 clips, 40 frames" in result.output
    assert CliRunner().invoke(training, ["check", str(out)]).exit_code == 0
