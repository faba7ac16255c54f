"""PoseMamba's configurations against the paper's own counts."""

from __future__ import annotations

import pytest

from sasmamba.models.posemamba import POSEMAMBA_B, POSEMAMBA_L, POSEMAMBA_S, POSEMAMBA_X
from sasmamba.models.sasmamba import SasMamba, SasMambaConfig, count_parameters


@pytest.mark.parametrize(
    ("config", "millions"),
    [(POSEMAMBA_S, 0.860), (POSEMAMBA_B, 3.358), (POSEMAMBA_L, 6.714), (POSEMAMBA_X, 26.535)],
    ids=["S", "B", "L", "X"],
)
def test_parameters_as_the_paper_counts(config: SasMambaConfig, millions: float) -> None:
    assert round(count_parameters(SasMamba(config))[0] / 1e6, 3) == millions
