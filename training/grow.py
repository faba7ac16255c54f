"""A lifter with wider MLPs that at first computes what it did: more to learn with, from where training had come to.

The new units read what chance gives them and their outputs count nothing, so the function stays until training changes
it (Chen et al. 2016, "Net2Net"; outputs of zero instead of copies, which would have to be told apart first). The MLPs
are what can be grown exactly: layer norms look at all features of a token, so that new features would change the old.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from sasmamba.common.errors import UserError
from sasmamba.models.checkpoint import load_lifter
from sasmamba.models.sasmamba import SasMamba, without_uncertainty
from sasmamba.models.tensorfile import CheckpointError
from sasmamba.training.state import save_weights


def with_wider_mlps(model: SasMamba, mlp_ratio: int, seed: int = 0) -> SasMamba:
    """A lifter of the same function whose MLPs have `mlp_ratio` times as many units as tokens have features.

    Raises:
        ValueError: the MLPs are as wide already.
    """
    if mlp_ratio <= model.config.block.mlp_ratio:
        raise ValueError(f"mlp_ratio: want above {model.config.block.mlp_ratio}, got {mlp_ratio}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        grown = SasMamba(replace(model.config, block=replace(model.config.block, mlp_ratio=mlp_ratio)))
    state = dict(model.state_dict())
    for name, layer in grown.named_modules():
        if name.endswith(".mlp") and isinstance(layer, nn.Sequential):
            first, second = layer[0], layer[2]
            assert isinstance(first, nn.Linear)
            assert isinstance(second, nn.Linear)
            old = len(state[f"{name}.0.bias"])
            weight, bias, out = (x.detach().clone() for x in (first.weight, first.bias, second.weight))
            weight[:old], bias[:old] = state[f"{name}.0.weight"], state[f"{name}.0.bias"]
            out[:, :old], out[:, old:] = state[f"{name}.2.weight"], 0
            state |= {f"{name}.0.weight": weight, f"{name}.0.bias": bias, f"{name}.2.weight": out}
    grown.load_state_dict(state)
    return grown.train(model.training)


def grow_lifter(weights: Path, mlp_ratio: int, out: Path) -> None:
    """Writes the lifter of `weights` with wider MLPs; how sure it is, is left out, it must be fitted after training.

    Raises:
        UserError: weights that are none, or as wide already, or a disk that refuses.
    """
    try:
        grown = with_wider_mlps(without_uncertainty(load_lifter(weights)), mlp_ratio)
    except CheckpointError as error:
        raise UserError(f"These weights cannot be grown: {error}.") from error
    except ValueError as error:
        raise UserError(f"These weights cannot be grown: {error}.", exit_code=2) from error
    save_weights(grown, out, {"grown from": weights.name, "mlp_ratio": str(mlp_ratio)})
