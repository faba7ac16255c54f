"""Writes the constraints files anew: the newest versions that pyproject.toml allows, once the suite passes on them.

Run by `make upgrade`, in a fresh environment that holds uv, which resolves for a Python without having it. The suite
runs on the Python at hand, installed under the file made for it; the other Pythons get the same versions wherever there
are any for them. torch stays at the version that the files name, because which build of it is right depends on the
machine: `make upgrade TORCH=torch==2.14.0` tries another.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: The first is resolved freely, the others under its versions; so the oldest stands first.
PYTHONS = ("3.11", "3.12")
#: What the usual build of torch brings for NVIDIA's GPUs: a CPU build has no use for it, and another CUDA has others.
OF_ONE_BUILD_OF_TORCH = re.compile(r"(nvidia|cuda)-")
PIN = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^\s;+]+)(\+\S+)?(\s*;.*)?", re.IGNORECASE)

HEADER = """\
# The versions that were tested together on Python {python} and Linux; written by `make upgrade`, not by hand.
# They bind whoever installs with --constraint (make, CI, the Dockerfile); pyproject.toml's ranges bind everybody.
# torch is named without its build: pip takes the CPU's or CUDA's, whichever its index offers under that version. The
# NVIDIA packages that the CUDA build brings are not here: that build names their versions itself.
"""


def parse(text: str) -> dict[str, str]:
    """Package → version of a constraints file, in the file's order.

    Raises:
        ValueError: a line is neither a comment nor `name==version`, or a package stands there twice.
    """
    pins: dict[str, str] = {}
    for line in text.splitlines():
        bare = line.split("#")[0].strip()
        if not bare:
            continue
        pin = PIN.fullmatch(bare)
        if pin is None:
            raise ValueError(f"`{bare}` is not `name==version`")
        name = canonical(pin["name"])
        if name in pins:
            raise ValueError(f"{name} stands there twice: {pins[name]} and {pin['version']}")
        pins[name] = pin["version"]
    return pins


def canonical(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def render(pins: Mapping[str, str], python: str) -> str:
    """A constraints file; `parse` reads it back, without what belongs to one build of torch."""
    kept = sorted(name for name in pins if not OF_ONE_BUILD_OF_TORCH.match(name))
    return HEADER.format(python=python) + "".join(f"{name}=={pins[name]}\n" for name in kept)


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """What an upgrade changes, a line for each package: `name: 1.0 → 1.1`, `name: new, 1.0`, `name: gone`."""
    lines = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            lines.append(f"{name}: new, {new[name]}")
        elif name not in new:
            lines.append(f"{name}: gone")
        elif old[name] != new[name]:
            lines.append(f"{name}: {old[name]} → {new[name]}")
    return lines


def file_of(python: str, folder: Path) -> Path:
    """Where the constraints for a Python ("3.11") are kept."""
    return folder / f"py{python.replace('.', '')}.txt"


def extras() -> list[str]:
    """The names of all extras in pyproject.toml."""
    return list(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])


def resolve(python: str, under: Iterable[str], work: Path) -> dict[str, str]:
    """The newest versions of everything, all extras included, for a Python on Linux.

    Args:
        under: constraints, such as `torch==2.13.0`.
        work: a folder for the file that hands them over.

    Raises:
        subprocess.CalledProcessError: they do not go together; uv has said which.
    """
    constraints = work / "under.txt"
    constraints.write_text("".join(f"{line}\n" for line in under))
    command = [
        *("uv", "pip", "compile", "pyproject.toml", "--quiet", "--no-header", "--no-annotate", "--all-extras"),
        *("--python-version", python, "--python-platform", "linux", "--constraints", str(constraints)),
    ]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return parse(done.stdout)


def suite(constraints: Path, python: str) -> bool:
    """Installs every extra under a constraints file into the environment `python` is of; whether `make test` passes."""
    venv = Path(python).parents[1]
    given = {"VENV": venv, "CONSTRAINTS": constraints, "EXTRAS": ",".join(extras()), "COVERAGE": "yes"}
    command = ["make", "test", *(f"{name}={value}" for name, value in given.items())]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def upgrade(
    torch: str,
    folder: Path,
    work: Path,
    *,
    resolve: Callable[[str, Iterable[str], Path], dict[str, str]] = resolve,
    passes: Callable[[Path], bool],
) -> int:
    """Resolves, tries, and only then replaces the files in `folder`.

    Args:
        torch: a requirement, `torch==2.13.0`; bare `torch` keeps the version that the files name.
        folder: where the constraints files are.
        work: where the new ones stand while they are tried.
        resolve: as `resolve` above.
        passes: whether the suite passes under a constraints file.

    Returns:
        The exit code: 0, or 1 when the suite failed; the files are then as before.
    """
    work.mkdir(parents=True, exist_ok=True)
    old = {p: parse(file.read_text()) if (file := file_of(p, folder)).exists() else {} for p in PYTHONS}
    if torch == "torch" and (known := old[PYTHONS[0]].get("torch")):
        torch = f"torch=={known}"
    new: dict[str, dict[str, str]] = {}
    for python in PYTHONS:
        under = [torch, *(f"{name}=={version}" for name, version in new.get(PYTHONS[0], {}).items() if name != "torch")]
        new[python] = resolve(python, under, work)
        file_of(python, work).write_text(render(new[python], python))
        new[python] = parse(file_of(python, work).read_text())
    for python in PYTHONS:
        found = changes(old[python], new[python])
        print(f"Python {python}:", *(found or ["nothing changes"]), sep="\n  ", flush=True)
    here = "{}.{}".format(*sys.version_info)
    if not passes(file_of(here if here in PYTHONS else PYTHONS[-1], work)):
        print("The suite fails on these versions: the constraints files stay as they were.", file=sys.stderr)
        return 1
    folder.mkdir(exist_ok=True)
    for python in PYTHONS:
        os.replace(file_of(python, work), file_of(python, folder))
    print(f"The suite passes on these versions: {folder}/ names them now.")
    return 0


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--torch", default="torch", help="a requirement; default: the version the files name")
    torch = options.parse_args().torch
    try:
        return upgrade(
            torch, ROOT / "constraints", ROOT / "build" / "upgrade", passes=lambda file: suite(file, sys.executable)
        )
    except subprocess.CalledProcessError as error:
        print("Nothing that pyproject.toml allows goes together; uv says above what is in the way.", file=sys.stderr)
        return error.returncode


if __name__ == "__main__":
    sys.exit(main())
