"""Growing a lifter: the same function before training, more that learns after."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sasmamba.common.errors import UserError
from sasmamba.models.blocks import BlockConfig
from sasmamba.models.checkpoint import load_lifter, save_lifter
from sasmamba.models.sasmamba import SasMamba, SasMambaConfig
from sasmamba.training.grow import grow_lifter, with_wider_mlps


def _lifter() -> SasMamba:
    torch.manual_seed(0)
    block = BlockConfig(width=16, states=1)
    return SasMamba(SasMambaConfig(block=block, blocks=2, frames=27, in_channels=3)).eval()


def test_a_grown_lifter_computes_what_it_did_and_all_of_it_learns() -> None:
    plain = _lifter()
    grown = with_wider_mlps(plain, 5)
    x = torch.randn(2, 9, 17, 3, generator=torch.Generator().manual_seed(0))
    # sums in another order are all that differs
    assert torch.allclose(grown(x), plain(x), atol=1e-6)
    assert not grown.training
    grown(x).square().mean().backward()
    new = grown.blocks[0].mlp[2].weight.grad
    assert new.shape == (16, 80)
    assert (new[:, 32:].abs().amax(0) > 0).all()


def test_growing_a_file(tmp_path: Path) -> None:
    save_lifter(_lifter(), tmp_path / "a.safetensors")
    grow_lifter(tmp_path / "a.safetensors", 4, tmp_path / "b.safetensors")
    assert load_lifter(tmp_path / "b.safetensors").config.block.mlp_ratio == 4
    with pytest.raises(UserError, match="want above 2, got 2"):
        grow_lifter(tmp_path / "a.safetensors", 2, tmp_path / "c.safetensors")
    with pytest.raises(UserError, match="cannot be grown"):
        grow_lifter(tmp_path / "nothing.safetensors", 4, tmp_path / "c.safetensors")
    assert not (tmp_path / "c.safetensors").exists()
