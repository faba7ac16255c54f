"""The table of the systems counts what it says, and the copies of it in docs and results are what the code has."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from helpers_benchmarks import benchmark
from torch.utils.flop_counter import FlopCounterMode

from sasmamba.app import weights
from sasmamba.models.blocks import Block
from sasmamba.models.checkpoint import load_lifter
from sasmamba.models.posemamba import POSEMAMBA_S
from sasmamba.models.sasmamba import SASMAMBA, SasMamba, SasMambaConfig

ROOT = Path(__file__).parents[2]
TOKENS = 243 * 17


@pytest.fixture(scope="module")
def module() -> ModuleType:
    """benchmarks/systems.py, which is no package."""
    return benchmark("systems")


def lifters(module: ModuleType) -> dict:
    return {s.name: s for s in module.systems() if s.lifter}


@pytest.mark.parametrize("name", ["PoseMamba-S", "PoseMamba-B", "PoseMamba-L", "PoseMamba-X"])
def test_macs_as_the_paper_counts(module: ModuleType, name: str) -> None:
    system = lifters(module)[name]
    assert f"{module.layer_macs(system.lifter) / 1e9:.3f} G" == system.published.macs


def test_sasmambas_table_5(module: ModuleType) -> None:
    """K = 1 and K = 3: 1.74 G and 2.60 G; without the 4 per element of the norms, which that table leaves out."""
    for taps_side, published in ((1, 1.74e9), (3, 2.60e9)):
        config = replace(SASMAMBA, block=replace(SASMAMBA.block, taps_side=taps_side))
        norms = TOKENS * 4 * (config.blocks * (3 * 64 + 128) + 64)
        assert module.layer_macs(config) - norms == pytest.approx(published, rel=0.003)


def test_one_block_by_hand(module: ModuleType) -> None:
    """C = 64, E = 128, N = 16, R = 4, four routes; K = 3 in SasMamba's."""
    per_token = {"in": 64 * 256, "out": 128 * 64, "mlp": 2 * 64 * 128, "Δ, B, C": 4 * (4 + 32) * 128}
    for base, offset, local in ((POSEMAMBA_S, 0, 9), (SASMAMBA, 9 * 128 * 18, 9 + 5 * 9)):
        macs = module.count_macs(Block(base.block), (1, 243, 17, 64))
        assert macs.tool == TOKENS * (sum(per_token.values()) + offset)
        assert macs.local == TOKENS * 128 * local
        assert macs.scan == TOKENS * 4 * 128 * (4 + 4 * 16 + 2)
        assert macs.exponentials == TOKENS * 4 * 128 * 17
        assert macs.full == macs.tool + macs.local + macs.scan


def test_the_tool_sees_the_same_where_everything_runs(module: ModuleType) -> None:
    """Noting the kernels' shapes instead of running them changes nothing for what else the tool counts."""
    config = SasMambaConfig(block=replace(SASMAMBA.block, width=16, states=2), blocks=2, frames=9)
    model = SasMamba(config, "native").eval()
    with FlopCounterMode(display=False) as counter:  # with gradients: without them the kernel takes whole blocks
        model(torch.randn(1, 9, 17, 2))
    assert module.count_macs(SasMamba(config), (1, 9, 17, 2)).tool == counter.get_total_flops() // 2 > 0


def test_the_lean_lifter_is_the_shipped_one(module: ModuleType) -> None:
    """But for the uncertainty head, which is not part of the system."""
    shipped = replace(load_lifter(weights.ensure("sasmamba-lean")).config, uncertainty=None)
    assert module.lean_config("sasmamba-lean") == shipped
    twin = module.lean_config("posemamba-lean")
    assert (twin.block.width, twin.blocks, twin.block.scan_input) == (shipped.block.width, shipped.blocks, "limb")


@pytest.fixture(scope="module")
def short(module: ModuleType) -> str:
    return module.sizes()[0]


@pytest.mark.parametrize("file", ["docs/models.md", "benchmarks/RESULTS.md"])
def test_the_written_table_is_the_codes(module: ModuleType, short: str, file: str) -> None:
    """All of the table of sizes, and its counts of parameters once more by another way than the table's own."""
    text = (ROOT / file).read_text()
    assert short in text, f"{file}: paste what `python benchmarks/systems.py` prints"
    for system in module.systems():
        row = re.search(rf"^\| {re.escape(system.name)} \| ([\d.]+) M \| ([\d.]+) M \|", text, re.MULTILINE)
        assert row is not None, system.name
        every = sum(p.numel() for p in system.build().parameters())
        assert float(row[2]) == round(every / 1e6, 3) >= float(row[1])


def test_published_figures_are_near_the_counts(module: ModuleType) -> None:
    """A paper's parameters are those of the row they stand in."""
    for system in module.systems():
        if system.published.parameters:
            counted, _ = module.parameters(system, system.build())
            assert counted / 1e6 == pytest.approx(float(system.published.parameters.split()[0]), rel=0.025), system.name


def test_measured_accuracy_is_what_the_file_holds(module: ModuleType, tmp_path: Path) -> None:
    row = {"parameters": 1_250_000, "true P1": 50.04, "true P2": 40.0, "noisy P1": 60.0, "noisy P2": 45.55}
    content = {"about": {"steps": 7, "scale": "lean"}, "results": {"sasmamba": row, "K = 1": row}}
    (tmp_path / "c.json").write_text(json.dumps(content))
    shown = module.measured(tmp_path / "c.json")
    assert "7 steps" in shown
    assert shown.splitlines()[-1] == "| sasmamba | 1.250 M | 50.0 | 40.0 | 60.0 | 45.5 |"
    assert "K = 1" not in shown
    assert module.measured(tmp_path / "absent.json") == ""
