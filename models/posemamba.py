"""PoseMamba: Monocular 3D Human Pose Estimation with Bidirectional Global-Local Spatio-Temporal State Space Model.

Source: Huang et al., AAAI 2025 (Section 3, Table 1). Written from the paper. The network around the blocks is
SasMamba's; the blocks mix locally with a plain depthwise convolution, and their spatial routes read each joint together
with its limb parent. So a PoseMamba is a `SasMamba` of another configuration.
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
