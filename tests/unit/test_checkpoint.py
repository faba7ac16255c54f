"""A lifter's file brings back exactly the lifter, and anything else is refused with a reason."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sasmamba.app.weights.lifters import lifter_path
from sasmamba.common.errors import UserError
from sasmamba.common.shipped_weights import shipped_folder, shipped_weights
from sasmamba.models.blocks import BlockConfig
from sasmamba.models.checkpoint import config_from_dict, load_lifter, read_metadata, save_lifter
from sasmamba.models.posemamba import POSEMAMBA_L
from sasmamba.models.sasmamba import SASMAMBA, SasMamba, SasMambaConfig
from sasmamba.models.tensorfile import CheckpointError
from sasmamba.training.loop import find_weights

CONFIG = SasMambaConfig(
    block=BlockConfig(width=16, states=2, directions=("spatial_forward", "temporal_backward"), dt_range=(0.01, 1.0)),
    blocks=2,
    frames=9,
    in_channels=3,
)


def test_round_trip(tmp_path: Path) -> None:
    model = SasMamba(CONFIG).eval()
    path = tmp_path / "lifter.safetensors"
    save_lifter(model, path, {"data": "none"})
    again = load_lifter(path)
    assert again.config == CONFIG
    assert not again.training
    x = torch.randn(1, 9, 17, 3)
    assert torch.equal(again(x), model(x))
    assert json.loads(read_metadata(path)["notes"]) == {"data": "none"}
    assert [p.name for p in tmp_path.iterdir()] == ["lifter.safetensors"]


def _resave(path: Path, change: dict[str, str], drop: str | None = None) -> None:
    metadata, tensors = dict(read_metadata(path)), load_file(path)
    if drop:
        del tensors[drop]
    save_file(tensors, path, metadata | change)


CASES = {
    "another project's file": ({"format": "x"}, None, "not a lifter of this project"),
    "another skeleton": ({"skeleton": "coco17-to-h36m17/0"}, None, "joints derived by coco17-to-h36m17/0"),
    "another model": ({"model": "hrnet"}, None, "holds a 'hrnet', not one of sasmamba, posemamba"),
    "another's name": ({"model": "posemamba"}, None, "calls itself 'posemamba', but .* is that of a 'sasmamba'"),
    "no configuration": ({"config": "null"}, None, "cannot build"),
    "an unknown setting": ({"config": '{"nonsense": 1}'}, None, "cannot build"),
    "a tensor missing": ({}, "head.1.bias", "do not fit"),
    "another width": ({"config": json.dumps({"block": {"width": 8}, "blocks": 2})}, None, "do not fit"),
}


@pytest.mark.parametrize(("change", "drop", "words"), CASES.values(), ids=CASES.keys())
def test_other_files_are_refused(tmp_path: Path, change: dict[str, str], drop: str | None, words: str) -> None:
    path = tmp_path / "lifter.safetensors"
    save_lifter(SasMamba(CONFIG), path)
    _resave(path, change, drop)
    with pytest.raises(CheckpointError, match=words):
        load_lifter(path)


@pytest.mark.parametrize("number", [-1, 50_000, 2**31, 10**11, 1e300, float("nan")])
@pytest.mark.parametrize("where", ["width", "states", "expand", "mlp_ratio", "blocks", "frames", "joints"])
def test_a_file_of_a_few_bytes_that_describes_a_giant(tmp_path: Path, where: str, number: float) -> None:
    """Refused before anything is built: no memory holds some of these, and others would take minutes."""
    path = tmp_path / "lifter.safetensors"
    save_lifter(SasMamba(CONFIG), path)
    described = json.loads(read_metadata(path)["config"])
    inner = described["block"] if where in described["block"] else described
    inner[where] = number
    _resave(path, {"config": json.dumps(described)})
    with pytest.raises(CheckpointError, match=r"cannot build|do not fit"):
        load_lifter(path)


def test_a_posemamba_says_so_and_loads(tmp_path: Path) -> None:
    config = replace(CONFIG, block=replace(CONFIG.block, local="depthwise", scan_input="limb"))
    model, path = SasMamba(config).eval(), tmp_path / "lifter.safetensors"
    save_lifter(model, path)
    assert read_metadata(path)["model"] == "posemamba"
    again = load_lifter(path)
    assert again.config == config
    x = torch.randn(1, 9, 17, 3)
    assert torch.equal(again(x), model(x))
    _resave(path, {"model": "sasmamba"})
    with pytest.raises(CheckpointError, match=r"calls itself 'sasmamba', but .*'limb'\) is that of a 'posemamba'"):
        load_lifter(path)


@pytest.mark.parametrize("change", [{"local": "depthwise"}, {"local": "depthwise", "scan_input": "plain"}], ids=str)
def test_a_sasmamba_without_a_part_stays_one(tmp_path: Path, change: dict[str, str]) -> None:
    save_lifter(SasMamba(replace(CONFIG, block=replace(CONFIG.block, **change))), tmp_path / "a.safetensors")
    assert read_metadata(tmp_path / "a.safetensors")["model"] == "sasmamba"


def test_the_shipped_lifter_loads() -> None:
    path = shipped_weights("sasmamba-lean")
    assert read_metadata(path)["model"] == "sasmamba"
    assert load_lifter(path).config.block.width == 48


@pytest.mark.parametrize("state", ["is missing", "does not match its checksum"])
def test_a_shipped_lifter_that_is_not_itself_is_refused_everywhere(
    tmp_path: Path, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training and evaluation read it as the demo does."""
    shutil.copytree(shipped_folder(), tmp_path / "weights", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "weights" / "sasmamba-lean.safetensors"
    if state == "is missing":
        file.unlink()
    else:
        data = bytearray(file.read_bytes())
        data[-1000] ^= 1
        file.write_bytes(bytes(data))
    monkeypatch.setattr("sasmamba.common.shipped_weights.shipped_folder", lambda: tmp_path / "weights")
    monkeypatch.setattr("sasmamba.app.weights.shipped_folder", lambda: tmp_path / "weights")
    for find in (find_weights, lifter_path):
        with pytest.raises(UserError, match=f"^{re.escape(str(file))} {state}"):
            find("sasmamba-lean")


def test_a_name_that_is_not_shipped() -> None:
    with pytest.raises(UserError, match="no shipped weights 'sasmamba-fat'; there are sasmamba-lean"):
        find_weights("sasmamba-fat")


def test_configurations_start_from_a_variant() -> None:
    assert config_from_dict({"variant": "sasmamba"}) == SASMAMBA == config_from_dict({})
    lean = config_from_dict({"variant": "posemamba-l", "in_channels": 3, "block": {"states": 1, "dt_range": [0.1, 1]}})
    assert lean == replace(POSEMAMBA_L, in_channels=3, block=replace(POSEMAMBA_L.block, states=1, dt_range=(0.1, 1)))
    with pytest.raises(ValueError, match=r"variant: want one of sasmamba, .*, got 'posemamba-xl'"):
        config_from_dict({"variant": "posemamba-xl"})
    with pytest.raises(TypeError, match="nonsense"):
        config_from_dict({"variant": "posemamba-s", "nonsense": 1})


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\x00" * 100])
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lifter.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load_lifter(path)
