"""PoseMamba's configurations against the paper's counts, its recipe, its lean twin, what is said without weights."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from helpers_cli import command, left_in, one_sentence
from helpers_motion import write_motion, write_rig
from helpers_video import write_video

from sasmamba.common.errors import UserError
from sasmamba.models.checkpoint import config_from_dict, read_metadata
from sasmamba.models.posemamba import POSEMAMBA, POSEMAMBA_B, POSEMAMBA_L, POSEMAMBA_S, POSEMAMBA_X, is_posemamba
from sasmamba.models.sasmamba import SASMAMBA, SasMamba, SasMambaConfig, count_parameters
from sasmamba.training import loop, state
from sasmamba.training.train_config import Phase, TrainConfig, load_config

TINY = {
    "blocks": 2,
    "in_channels": 3,
    "frames": 27,
    "block": {"width": 16, "states": 1, "local": "depthwise", "scan_input": "limb"},
}


@pytest.mark.parametrize(
    ("config", "millions"),
    [(POSEMAMBA_S, 0.860), (POSEMAMBA_B, 3.358), (POSEMAMBA_L, 6.714), (POSEMAMBA_X, 26.535)],
    ids=["S", "B", "L", "X"],
)
def test_parameters_as_the_paper_counts(config: SasMambaConfig, millions: float) -> None:
    assert round(count_parameters(SasMamba(config))[0] / 1e6, 3) == millions
    assert is_posemamba(config)


def test_what_is_no_posemamba() -> None:
    assert not is_posemamba(SASMAMBA)
    assert not is_posemamba(replace(SASMAMBA, block=replace(SASMAMBA.block, scan_input="limb")))


def test_the_papers_recipe() -> None:
    config = load_config("posemamba")
    assert config_from_dict(config.model) == replace(POSEMAMBA_S, in_channels=3)
    assert (config.lr, config.weight_decay, config.loss) == (2e-4, 0.01, "posemamba")
    assert config.lr_end == pytest.approx(2e-4 * 0.99**120, rel=0.01)
    assert [(p.batch, p.frames) for p in config.phases] == [(4, 243)]


def test_the_lean_twin_differs_in_the_scan_and_the_budget_alone() -> None:
    lean, twin = asdict(load_config("lean")), asdict(load_config("posemamba-lean"))
    assert twin.pop("steps") > lean.pop("steps") == 0
    assert twin["model"]["block"].pop("scan_input") == "limb"
    assert lean == twin
    assert is_posemamba(config_from_dict(load_config("posemamba-lean").model))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"loss": "mixste"}, r"loss: want one of \('sasmamba', 'posemamba'\), got 'mixste'"),
        ({"reprojection_weight": -1.0}, "reprojection_weight: want 0 or more"),
        ({"tcl_weight": float("nan")}, "tcl_weight: want 0 or more"),
    ],
)
def test_settings_that_cannot_be(setting: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TrainConfig(data={"m.npz": 1.0}, **setting)


def test_an_unknown_loss_in_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text('loss = "l2"\n[data]\n"m.npz" = 1.0\n')
    with pytest.raises(UserError, match="not a usable training configuration: loss: want one of"):
        load_config(tmp_path / "t.toml")


def test_training_takes_the_loss_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PoseMamba's loss trains, is given the whole input with its scores, and each of its weights reaches the result."""
    write_motion(tmp_path / "m.npz", [("S1", "walk", 120), ("S8", "walk", 60)])
    write_rig(tmp_path / "c.json", ["S1", "S8"])
    base = TrainConfig(
        data={"m.npz": 1.0},
        cameras="c.json",
        model=TINY,
        steps=3,
        warmup=1,
        eval_windows=1,
        loss="posemamba",
        eval_minutes=10.0,
        phases=(Phase(1, 2, 9, (1, 4)),),
    )
    asked: list[torch.Size] = []
    true_loss = loop.posemamba_loss

    def watched(predicted, target, stride, seen, *more):  # type: ignore[no-untyped-def]
        asked.append(seen.shape)
        return true_loss(predicted, target, stride, seen, *more)

    monkeypatch.setattr(loop, "posemamba_loss", watched)
    ends = {}
    for name, change in {
        "own": {},
        "again": {},
        "no tcl": {"tcl_weight": 0.0},
        "no mpjve": {"mpjve_weight": 0.0},
        "no 2D": {"reprojection_weight": 0.0},
        "sasmamba": {"loss": "sasmamba"},
    }.items():
        out = tmp_path / name
        loop.train(replace(base, **change), out, root=tmp_path, say=lambda _: None)
        ends[name] = state.load_state(out / "state.pt")[1]["model"]["head.1.weight"]
    assert torch.equal(ends["own"], ends["again"])
    for name in ("no tcl", "no mpjve", "no 2D", "sasmamba"):
        assert not torch.equal(ends["own"], ends[name]), name
    assert asked == [(2, 9, 17, 3)] * 15
    assert read_metadata(tmp_path / "own/last.safetensors")["model"] == "posemamba"


@pytest.mark.parametrize("name", POSEMAMBA)
def test_a_lifter_without_weights_says_how_to_get_them(tmp_path: Path, name: str) -> None:
    result = command(write_video(tmp_path / "clip.mp4", 2), "--lifter", name, "--out", tmp_path / "r.mp4")
    sentence = one_sentence(result.err)
    assert sentence.startswith(f"No weights of PoseMamba-{name[-1].upper()} are shipped")
    for what in ("train --config", "posemamba", ".safetensors", name if name != "posemamba-s" else "--lifter"):
        assert what in sentence
    assert (result.code, result.out) == (2, "")
    assert left_in(tmp_path) == ["clip.mp4"]
