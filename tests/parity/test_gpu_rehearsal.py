"""The script for the day when there is a GPU goes through all of its parts without one."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from helpers_benchmarks import benchmark

pytest.importorskip("triton", reason="needs triton: pip install triton (Linux)")

SCRIPT = Path(__file__).parents[2] / "benchmarks/gpu.py"
PARTS = ("agreement", "one scan", "lifter", "HRNet-W32", "the whole command", "training steps")


@pytest.mark.usefixtures("demo_clip")
def test_every_part_runs_and_agrees() -> None:
    if tuple(map(int, version("triton").split(".")[:2])) < (3, 7) and np.lib.NumpyVersion(np.__version__) >= "2.4.0":
        pytest.skip("the interpreter of triton before 3.7 does not work with numpy from 2.4 on")
    done = subprocess.run([sys.executable, SCRIPT, "--rehearse"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    headings = [line for line in done.stdout.splitlines() if "s have passed" in line]
    assert [heading.startswith(part) for heading, part in zip(headings, PARTS, strict=True)] == [True] * len(PARTS)
    assert "WRONG" not in done.stdout
    assert "FAILED" not in done.stdout
    assert done.stdout.count(" ok ") >= 3
    assert "frames/s; ms per frame" in done.stdout


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    script = benchmark("gpu")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert script.main() == 1
    assert capsys.readouterr().err.startswith("There is no GPU that torch can use here; --rehearse")
