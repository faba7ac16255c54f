"""Benchmarks, tools, campaigns and examples find what they use of the package, and say how they are called."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from helpers_benchmarks import FOLDER, benchmark

ROOT = FOLDER.parent
PROGRAMS = sorted(
    path for room in ("benchmarks", "tools", "examples", "tests/fuzz") for path in ROOT.glob(f"{room}/*.py")
)
BENCHMARKS = [path.stem for path in PROGRAMS if path.parent == FOLDER and "ArgumentParser(" in path.read_text()]


def imported(tree: ast.Module) -> Iterator[tuple[str, str, object]]:
    """What is imported of this package anywhere in a file, within functions too: its name there, where it is from, and
    what it is, None where it is not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sasmamba":
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                found = getattr(module, alias.name, None)
                if found is None and importlib.util.find_spec(f"{node.module}.{alias.name}"):
                    found = importlib.import_module(f"{node.module}.{alias.name}")
                yield alias.asname or alias.name, f"{node.module}.{alias.name}", found


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_it_uses_is_there(path: Path) -> None:
    tree = ast.parse(path.read_text())
    modules: dict[str, ModuleType] = {}
    for name, where, found in imported(tree):
        assert found is not None, f"there is no {where}"
        if isinstance(found, ModuleType):
            modules[name] = found
    used = [
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
    ]
    assert [f"{name}.{attribute}" for name, attribute in used if not hasattr(modules[name], attribute)] == []


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_says_how_it_is_called(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as end:
        benchmark(name).main()
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {name}.py")
