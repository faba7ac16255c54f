"""What stands beside the code goes into the wheel: a file that is missing there is missed by users only."""

from __future__ import annotations

import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def package_of(path: Path) -> tuple[str, str]:
    """The package that a file of a room belongs to, and its name from there on."""
    folders = {Path(folder): name for name, folder in SETTINGS["package-dir"].items()}
    home = next(parent for parent in path.parents if parent in folders)
    inside = path.relative_to(home)
    for depth in range(len(inside.parts) - 1, 0, -1):  # packages that are not named one by one
        if (ROOT / home).joinpath(*inside.parts[:depth], "__init__.py").exists():
            return ".".join([folders[home], *inside.parts[:depth]]), "/".join(inside.parts[depth:])
    return folders[home], inside.as_posix()


def test_every_file_beside_the_code_is_in_the_wheel() -> None:
    rooms = [folder for folder in SETTINGS["package-dir"].values() if "/" not in folder]
    listed = subprocess.run(["git", "ls-files", *rooms], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode or not listed.stdout:
        pytest.skip("this is no checkout")
    beside = [Path(line) for line in listed.stdout.splitlines() if not line.endswith(".py")]
    assert len(beside) > 20
    left_out = []
    for path in beside:
        package, name = package_of(path)
        if not any(fnmatch(name, pattern) for pattern in SETTINGS["package-data"].get(package, [])):
            left_out.append(f"{path} of {package}")
    assert not left_out


def test_every_package_is_named() -> None:
    folders = {ROOT / folder: name for name, folder in SETTINGS["package-dir"].items()}
    found = {
        ".".join([name, *init.parent.relative_to(folder).parts])
        for folder, name in folders.items()
        for init in folder.rglob("__init__.py")
    }
    assert found == set(SETTINGS["packages"])
