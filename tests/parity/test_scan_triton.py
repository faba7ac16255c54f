"""Runs the Triton kernels' cases in a process of their own, and has the kernels compiled for a GPU that is not here."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("triton", reason="needs triton: pip install triton (Linux)")

CASES = Path(__file__).with_name("scan_triton_cases.py")


def test_values_and_gradients() -> None:
    if tuple(map(int, version("triton").split(".")[:2])) < (3, 7) and np.lib.NumpyVersion(np.__version__) >= "2.4.0":
        pytest.skip("the interpreter of triton before 3.7 does not work with numpy from 2.4 on")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(CASES)]
    environment = os.environ if torch.cuda.is_available() else os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout or torch.cuda.is_available()


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("states", [1, 16])
def test_kernels_compile_for_hopper(dtype: str, states: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler refuses what the interpreter lets pass; it needs no GPU."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from sasmamba.models.scan import triton as kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    fixed = {"STATES": states, "RANK": 4, "WIDTH": 32, "CHUNK": 64, "GROUP": 2, "STAGES": 3, "BLOCK": 64}
    fixed |= {"PIECES": True, "KEEP": True}
    sequences = {"u", "x", "dt", "B", "C", "M", "dy"}
    buffers = {"A", "D", "weight", "bias", "ends", "total", "starts", "checkpoints", "y", "returns", "scratch"}
    buffers |= {"du", "d_dt", "dB", "dC", "dA", "dD", "d_weight", "d_bias"}
    for name in ("_ends_kernel", "_carry_kernel", "_forward_kernel", "_backward_kernel"):
        kernel = getattr(kernels, name)
        for reverse in (False, True) if "REVERSE" in kernel.arg_names else (False,):
            constants = {k: v for k, v in (fixed | {"REVERSE": reverse}).items() if k in kernel.arg_names}
            types = dict.fromkeys(sequences, f"*{dtype}") | dict.fromkeys(buffers, "*fp32") | {"routes": "*i64"}
            types |= dict.fromkeys(constants, "constexpr")
            source = ASTSource(kernel, {n: types.get(n, "i32") for n in kernel.arg_names}, constants)
            triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 1})
