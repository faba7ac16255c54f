"""Shared by all tests: helpers on the path, one thread, and the folder of real clips and motion where there is one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(autouse=True)
def _threads() -> None:
    # two processes that fight for two cores are far slower than one thread each
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips, images and motion; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the folder of real test data, which is not here")
    return SHARED
