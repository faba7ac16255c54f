"""A lifter's file brings back exactly the lifter, and anything else is refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sasmamba.models.blocks import BlockConfig
from sasmamba.models.checkpoint import CheckpointError, load_lifter, read_metadata, save_lifter
from sasmamba.models.sasmamba import SasMamba, SasMambaConfig

CONFIG = SasMambaConfig(
    block=BlockConfig(width=16, states=2, directions=("spatial_forward", "temporal_backward"), dt_range=(0.01, 1.0)),
    blocks=2, frames=9, in_channels=3,
)  # fmt: skip


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
    "another model": ({"model": "posemamba"}, None, "not a 'sasmamba'"),
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


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\x00" * 100])
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lifter.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load_lifter(path)
