"""Files of benchmarks/, which is no package, for tests of what they compute."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def benchmark(name: str) -> ModuleType:
    """benchmarks/NAME.py as a module; skips the test where only the package is there."""
    if not FOLDER.is_dir():
        pytest.skip("needs the repository's benchmarks, which are not installed")
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))
