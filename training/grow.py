"""Gives a model trained without the structure-aware convolution that convolution, without changing what it computes.

Predicting and sampling offsets is half the cost of a lean block, and at their zero initialisation the deformable taps
are a second plain 3×3 convolution. So a model can learn most of what it will know as the cheap depthwise variant
(SasMamba Table 4's "without SA-conv") and grow.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from sasmamba.models.blocks import StateSpaceMixer
from sasmamba.models.sasmamba import SasMamba


def grow_structure_aware(model: SasMamba) -> SasMamba:
    """The same function as `model` (local mixing "depthwise") with local mixing "structure_aware", K = 3."""
    old = model.config
    if old.block.local != "depthwise":
        raise ValueError(f"grow: want a model with local mixing 'depthwise', got {old.block.local!r}")
    grown = SasMamba(replace(old, block=replace(old.block, local="structure_aware", taps_side=3)))
    missing, unexpected = grown.load_state_dict(model.state_dict(), strict=False)
    assert not unexpected
    assert all(".deform" in name or ".offset." in name for name in missing)
    with torch.no_grad():
        for module in grown.modules():
            if isinstance(module, StateSpaceMixer):
                # With zero offsets, taps and plain weights add up: give each half.
                half = module.conv.weight.flatten(1).T / 2
                module.deform.copy_(half)
                module.conv.weight.mul_(0.5)
    return grown
