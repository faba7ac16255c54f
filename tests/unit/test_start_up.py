"""A run begins without waiting for torch, and what is wrong with a lifter is said all the same."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

import pytest
import torch

from sasmamba.app.cli.start_up import start_up
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.loading import lifter_beside
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.common import device
from sasmamba.common.errors import UserError


@pytest.mark.parametrize("module", ["sasmamba.app.pipeline", "sasmamba.app.live.run_live", "sasmamba.app.cli.run"])
def test_torch_does_not_come_with(module: str) -> None:
    code = f"import {module}, sys; print(*sorted({{'torch', 'onnxruntime', 'mediapipe'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_movenet_needs_no_torch() -> None:
    code = """
import sys, numpy as np
from fractions import Fraction
from sasmamba.app.pose2d import open_pose2d
from sasmamba.app.types import Frame
from sasmamba.common.device import resolve_device
from sasmamba.app import weights
if weights.obtain("movenet") is None:
    print("not here")
else:
    with open_pose2d("movenet", max_people=2) as pose2d:
        pose2d(Frame(0, Fraction(0), np.zeros((240, 320, 3), np.uint8)))
    print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    if done.stdout.strip() == "not here":
        pytest.skip("MoveNet's weights cannot be had")
    assert done.stdout.strip() == "False"


class TestLoading:
    def test_a_shipped_lifter_comes_by_and_by(self) -> None:
        with lifter_beside(DEFAULT_LIFTER, "cpu", flip=False, refine=True) as loading:
            assert isinstance(loading, Future)
            lifter = loading.result(60)
        want = Lifter.load(DEFAULT_LIFTER, flip=False)
        assert (lifter.name, lifter.flip, lifter.refine) == (want.name, want.flip, want.refine)
        x = torch.randn(27, 17, 3).numpy()
        assert (lifter(x) == want(x)).all()

    def test_one_that_is_not_there_is_said_at_once(self) -> None:
        with (
            pytest.raises(UserError, match="no lifter called 'none'"),
            lifter_beside("none", "cpu", flip=True, refine=True),
        ):
            pass

    def test_a_file_of_ones_own_is_read_before_anything_begins(self, tmp_path: Path) -> None:
        file = tmp_path / "mine.safetensors"
        file.write_bytes(b"no tensors")
        with (
            pytest.raises(UserError, match="cannot be used"),
            lifter_beside(str(file), "cpu", flip=True, refine=True),
        ):
            pytest.fail("it was said too late")


@pytest.mark.parametrize(
    ("platform", "files", "asked"),
    [("linux", (), False), ("linux", ("/",), True), ("darwin", (), False), ("win32", (), True)],
)
def test_torch_is_asked_for_a_gpu_only_where_one_may_be(
    platform: str, files: tuple[str, ...], asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks: list[bool] = []
    monkeypatch.setattr(device.sys, "platform", platform)
    monkeypatch.setattr(device, "_GPU_FILES", files)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: asks.append(True) or True)
    assert device.resolve_device("auto") == ("cuda" if asked else "cpu")
    assert bool(asks) == asked
    assert device.resolve_device("cpu") == "cpu"
    assert device.resolve_device("cuda") == "cuda"


def test_a_run_that_fails_is_not_timed(tmp_path: Path) -> None:
    """That the first frame of each kind comes is seen in the tests of `bench`."""
    with pytest.raises(UserError, match="ended with exit code"):
        start_up(tmp_path / "none.mp4", "mediapipe", tmp_path, rounds=1)
