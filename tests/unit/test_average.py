"""The mean of lifters' weights."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sasmamba.common.errors import UserError
from sasmamba.models.blocks import BlockConfig
from sasmamba.models.checkpoint import load_lifter, save_lifter
from sasmamba.models.sasmamba import SasMamba, SasMambaConfig
from sasmamba.training.average import average_lifters

CONFIG = SasMambaConfig(block=BlockConfig(width=8, states=1, local="depthwise"), blocks=2, frames=27, in_channels=3)


def saved(path: Path, seed: int, config: SasMambaConfig = CONFIG) -> Path:
    torch.manual_seed(seed)
    save_lifter(SasMamba(config), path)
    return path


def test_every_weight_is_the_mean(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"{seed}.safetensors", seed) for seed in range(3)]
    average_lifters(paths, tmp_path / "mean.safetensors")
    mean, parts = load_file(tmp_path / "mean.safetensors"), [load_file(path) for path in paths]
    for name, value in mean.items():
        torch.testing.assert_close(value, (parts[0][name] + parts[1][name] + parts[2][name]) / 3)
    assert load_lifter(tmp_path / "mean.safetensors").config == CONFIG


def test_as_a_command(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", 1)
    command = [sys.executable, "-m", "sasmamba.training", "average", path, path, "--out", tmp_path / "b.safetensors"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "the mean of 2 lifters" in told
    for name, value in load_file(path).items():
        assert torch.equal(value, load_file(tmp_path / "b.safetensors")[name])


def test_what_cannot_be_averaged(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", 1)
    other = saved(tmp_path / "b.safetensors", 1, replace(CONFIG, blocks=4))
    junk = tmp_path / "junk.safetensors"
    junk.write_bytes(b"junk")
    for paths, sentence in (([path], "at least two"), ([path, other], "differ in config"), ([path, junk], "averaged")):
        with pytest.raises(UserError, match=sentence):
            average_lifters(paths, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
