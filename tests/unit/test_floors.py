"""The house stands on its floors: nothing imports what is above it or in circles, no two things have one name.

Every import counts, those inside functions and those for type checkers alone included: a circle is one whenever it
runs.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("api", "app", "common", "models", "training")
#: What each floor may use beside itself.
BELOW = {"common": set(), "models": {"common"}, "training": {"common", "models"}, "app": {"common", "models"}}
#: The one file that composes the application and the training.
COMPOSES = "sasmamba.app.cli.main"
#: What computes, and what it must not load, directly or by way of others: pictures come in and go out elsewhere. OpenCV
#: is for those that read pictures themselves: tracking at clothes, camera motion at the background, training at crops.
VIDEO = {"av", "imageio"}
NUMERICS = {
    "sasmamba.app.lifting": VIDEO | {"cv2"},
    "sasmamba.app.motion": VIDEO,
    "sasmamba.app.take": VIDEO | {"cv2"},
    "sasmamba.app.tracking": VIDEO,
    "sasmamba.models": VIDEO | {"cv2"},
    "sasmamba.training": VIDEO,
}


def name_of(path: Path) -> str:
    """The name a file is imported by; api/ is `sasmamba` itself."""
    parts = [part for part in path.relative_to(ROOT).with_suffix("").parts if part not in ("__init__", "api")]
    return ".".join(["sasmamba", *parts])


FILES = {name_of(path): path for room in ROOMS for path in (ROOT / room).rglob("*.py")}


def imports_of(module: str) -> set[str]:
    """Modules of ours, and packages of others, that a file imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports by a relative name"
            within = {f"{node.module}.{alias.name}" for alias in node.names} & FILES.keys()
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= within | ({node.module or ""} if names - within else set())
    return {name if name in FILES else name.partition(".")[0] for name in found} - {module}


@cache
def imports() -> dict[str, set[str]]:
    """Of every file; when a test first asks, since every process that runs some tests imports this file."""
    return {module: imports_of(module) for module in FILES}


def reached_from(module: str) -> dict[str, str]:
    """Everything that importing a module leads to, each with the module that imports it."""
    reached, waiting = {module: ""}, [module]
    while waiting:
        here = waiting.pop()
        for name in imports().get(here, ()):
            if name not in reached:
                reached[name] = here
                waiting.append(name)
    return reached


@pytest.mark.parametrize("floor", BELOW)
def test_no_arrow_upwards(floor: str) -> None:
    for module, names in imports().items():
        if module.split(".")[1:2] == [floor]:
            floors = {name.split(".")[1] for name in names if name.startswith("sasmamba.")} - {"weights"}
            allowed = BELOW[floor] | {floor} | ({"training"} if module == COMPOSES else set())
            assert floors <= allowed, f"{module} imports {sorted(floors - allowed)}"


def test_the_rooms_are_not_empty() -> None:
    assert {module.split(".")[1] for module in FILES if "." in module} >= set(BELOW)
    assert COMPOSES in FILES
    assert all(any(module.startswith(room) for module in FILES) for room in NUMERICS)


def test_no_circle() -> None:
    for module in FILES:
        reached = reached_from(module)
        circle = sorted(name for name in reached if module in imports().get(name, ()))
        assert not circle, f"{module} is imported by {circle[0]}, which it leads to by way of {reached[circle[0]]}"


def twice(named: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Names that more than one module gives, each with those modules, of pairs of name and module."""
    where: dict[str, list[str]] = {}
    for name, module in named:
        where.setdefault(name, []).append(module)
    return {name: modules for name, modules in where.items() if len(modules) > 1}


def test_a_name_means_one_thing() -> None:
    commands = "sasmamba.app.cli."  # a file there is named after its command, as what it runs may well be, too
    files = [(path.name, module) for module, path in FILES.items() if path.stem not in ("__init__", "__main__")]
    assert not twice([(name, module) for name, module in files if not module.startswith(commands)])
    assert not twice(
        [
            (node.name, module)
            for module, path in FILES.items()
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ClassDef)
        ]
    )


@pytest.mark.parametrize("room", NUMERICS)
def test_numerics_load_no_video_library(room: str) -> None:
    for module in FILES:
        if module == room or module.startswith(f"{room}."):
            reached = reached_from(module)
            loaded = NUMERICS[room] & reached.keys()
            assert not loaded, f"{module} leads to {sorted(loaded)} by way of {[reached[name] for name in loaded]}"
