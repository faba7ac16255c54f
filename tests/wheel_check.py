"""Proves the package that others would install: sdist → wheel → a folder away from the checkout → a lift.

Run by `make wheel-check`. Two wheels are built from the sdist: one with the native kernels, and one where no compiler
works, which must install and run all the same.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
OUT = ROOT / "build" / "wheel"
#: What a checkout holds besides sources; a stale build folder would slip old files into the wheel.
NOT_SOURCE = (
    ".git",
    ".venv*",
    "build",
    "dist",
    "runs",
    "demo_videos",
    "__pycache__",
    ".hypothesis",
    ".*_cache",
    "*.egg-info",
    "*.so",
    "*.pyd",
)

REQUIRED = (
    "sasmamba/__init__.py",
    "sasmamba/py.typed",
    "sasmamba/analysis.py",
    "sasmamba/stream.py",
    "sasmamba/app/py.typed",
    "sasmamba/models/py.typed",
    "sasmamba/app/cli/main.py",
    "sasmamba/app/io/mp4.py",
    "sasmamba/app/export/report/page.html",
    "sasmamba/app/export/report/page.css",
    "sasmamba/app/export/report/print.css",
    "sasmamba/app/export/report/view.js",
    "sasmamba/app/export/report/start.js",
    "sasmamba/app/live/page.html",
    "sasmamba/app/live/page.css",
    "sasmamba/app/live/page.js",
    "sasmamba/app/pose2d/mediapipe.py",
    "sasmamba/models/scan/__init__.py",
    "sasmamba/training/__init__.py",
    "sasmamba/weights/manifest.toml",
    "sasmamba/weights/sasmamba-lean.safetensors",
    "sasmamba/weights/sasmamba-lean-live.safetensors",
    "sasmamba/models/kernels/common.h",
    "sasmamba/models/kernels/module.cpp",
    "sasmamba/models/kernels/scan.cpp",
    "sasmamba/models/kernels/sampling.cpp",
)
REQUIRED_IN_SDIST = (
    "setup.py",
    "pyproject.toml",
    "LICENSE",
    "README.md",
    "models/kernels/common.h",
    "models/kernels/scan.cpp",
    "app/py.typed",
    "weights/manifest.toml",
    "weights/sasmamba-lean.safetensors",
    "weights/sasmamba-lean-live.safetensors",
)

#: Runs isolated (python -I), with the installed folder first on the path; argv: folder, whether there are kernels.
TRIAL = """
import sys
folder, kernels = sys.argv[1], sys.argv[2] == "kernels"
sys.path.insert(0, folder)
import numpy as np
import torch
torch.set_num_threads(1)
import sasmamba.app.cli.main, sasmamba.models.sasmamba, sasmamba.training
from sasmamba.app import lifting, weights
from sasmamba.models import kernels as native
for module in (sasmamba.app.cli.main, sasmamba.models.sasmamba, sasmamba.training, lifting, native):
    assert module.__file__.startswith(folder), f"{module.__name__} comes from {module.__file__}"
for name in sasmamba.__all__:
    assert getattr(sasmamba, name) is not None, name
for name in ("sasmamba-lean", "sasmamba-lean-live"):
    assert str(weights.verify(name).path).startswith(folder)
library, sentence = native.load()
assert (library is not None) == kernels, sentence
print("   ", sentence)
steps = np.random.default_rng(0).normal(size=(30, 17, 2))
keypoints = np.concatenate([200 + steps.cumsum(0), np.ones((30, 17, 1))], -1).astype(np.float32)
np.savez("in.npz", keypoints=keypoints, fps=25.0, width=640, height=480, skeleton="coco17")
for arguments in (["--version"], ["lift", "in.npz", "out.npz"]):
    sys.argv = ["sasmamba-demo", *arguments]
    try:
        sasmamba.app.cli.main.main()
    except SystemExit as end:
        assert not end.code, end.code
joints = np.load("out.npz")["joints3d"]
assert joints.shape == (30, 17, 3) and np.isfinite(joints).all()
"""


def run(*command: object, cwd: Path, **environment: str) -> None:
    """Runs a command; what it printed is shown only when it fails."""
    done = subprocess.run(
        [str(c) for c in command],
        cwd=cwd,
        env=os.environ | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\n{' '.join(map(str, command))[:200]}: exit code {done.returncode}")


def build_sdist(work: Path) -> Path:
    """The sdist of a clean copy of the checkout, unpacked; returns its folder."""
    copy = work / "copy"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_SOURCE))
    run(sys.executable, "-c", f"from setuptools import build_meta; build_meta.build_sdist({str(OUT)!r})", cwd=copy)
    (archive,) = OUT.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(work / "sdist", filter="data")
    (folder,) = (work / "sdist").iterdir()
    absent = [name for name in REQUIRED_IN_SDIST if not (folder / name).exists()]
    assert not absent, f"the sdist lacks {absent}"
    return folder


def build_wheel(source: Path, out: Path, **environment: str) -> Path:
    """A wheel of a source folder, with the build tools that are here."""
    tree = source.with_name(f"{source.name}-{out.name}")
    shutil.copytree(source, tree)
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-build-isolation",
        "--no-cache-dir",
        "--wheel-dir",
        out,
        ".",
        cwd=tree,
        **environment,
    )
    (wheel,) = out.glob("*.whl")
    return wheel


def check_content(wheel: Path, *, kernels: bool) -> None:
    """Only the package and its metadata, and all of that."""
    names = zipfile.ZipFile(wheel).namelist()
    strays = [n for n in names if not n.startswith("sasmamba/") and ".dist-info/" not in n.split("/")[0] + "/"]
    assert not strays, f"{wheel.name} would install {strays[:5]}"
    absent = [name for name in REQUIRED if name not in names]
    assert not absent, f"{wheel.name} lacks {absent}"
    extensions = [n for n in names if n.endswith((".so", ".pyd"))]
    assert len(extensions) == kernels, f"{wheel.name} holds extensions {extensions}"


def try_out(wheel: Path, work: Path, *, kernels: bool) -> None:
    """Installs a wheel into a folder of its own and lifts with it from another one."""
    work.mkdir()
    folder = work / "installed"
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--target",
        folder,
        wheel,
        cwd=work,
    )
    elsewhere = work / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(
        [sys.executable, "-I", "-c", TRIAL, str(folder), "kernels" if kernels else "none"], cwd=elsewhere, check=True
    )


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary).resolve()
        source = build_sdist(work)
        compiler = any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl"))
        cases = [("native", {}, compiler), ("plain", {"CC": "/bin/false", "CXX": "/bin/false"}, False)]
        for name, environment, kernels in cases[: 2 if os.name == "posix" else 1]:
            (OUT / name).mkdir()
            wheel = build_wheel(source, OUT / name, **environment)
            check_content(wheel, kernels=kernels)
            print(f"{name}: {wheel.relative_to(ROOT)}, {wheel.stat().st_size / 1e6:.1f} MB", flush=True)
            try_out(wheel, work / f"try-{name}", kernels=kernels)
        if compiler:
            lose_the_kernels(work / "try-native")
    print("wheel check: ok")


def lose_the_kernels(work: Path) -> None:
    """The installed package goes on without its extension."""
    (extension,) = (work / "installed").rglob("_kernels*.so" if os.name == "posix" else "_kernels*.pyd")
    extension.unlink()
    subprocess.run(
        [sys.executable, "-I", "-c", TRIAL, str(work / "installed"), "none"], cwd=work / "elsewhere", check=True
    )


if __name__ == "__main__":
    main()
