"""PoseMamba: Monocular 3D Human Pose Estimation with Bidirectional Global-Local Spatio-Temporal State Space Model.

Source: Huang et al., AAAI 2025 (Section 3, Tables 1 and 2). Written from the paper. The network around the blocks is
SasMamba's; the blocks mix locally with a plain depthwise convolution, and their spatial routes read each joint together
with its limb parent. So a PoseMamba is a `SasMamba` of another configuration.

The authors' own checkpoints are not read. They may fit these tensors in number and size, but not in use: their models
read two channels, pixels scaled by the picture's width, in which the person's place is part of the input, and no score;
this project's lifters read poses relative to the person with a score (`models/normalise.py`) and answer in metres. The
names of their tensors are in no paper, and a converter that was never run on one of those files would be a guess.
Train one: training/configs/posemamba.toml.
"""

from __future__ import annotations

from sasmamba.models.blocks import BlockConfig
from sasmamba.models.sasmamba import SasMambaConfig


def _config(width: int, blocks: int) -> SasMambaConfig:
    return SasMambaConfig(block=BlockConfig(width=width, local="depthwise", scan_input="limb"), blocks=blocks)


#: The paper's four models; 0.860, 3.358, 6.714 and 26.535 M parameters as the paper counts them.
POSEMAMBA_S = _config(64, 20)
POSEMAMBA_B = _config(128, 20)
POSEMAMBA_L = _config(128, 40)
POSEMAMBA_X = _config(256, 40)

#: The same by the names that configurations and the command line use.
POSEMAMBA = {
    "posemamba-s": POSEMAMBA_S,
    "posemamba-b": POSEMAMBA_B,
    "posemamba-l": POSEMAMBA_L,
    "posemamba-x": POSEMAMBA_X,
}


def is_posemamba(config: SasMambaConfig) -> bool:
    """Whether a configuration has PoseMamba's block, of whatever size: depthwise local mixing and the limb scan."""
    return config.block.local == "depthwise" and config.block.scan_input == "limb"
