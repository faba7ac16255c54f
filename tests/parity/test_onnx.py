"""A lifter exported to ONNX answers, in ONNX Runtime, what it answers in PyTorch, and the file says what it wants."""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_cli import walker
from numpy.typing import NDArray

from sasmamba.app.lifting.export_onnx import export_lifter
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.common.errors import UserError
from sasmamba.models.blocks import BlockConfig
from sasmamba.models.checkpoint import save_lifter
from sasmamba.models.normalise import mask_missing, normalise_window
from sasmamba.models.sasmamba import SasMamba, SasMambaConfig
from sasmamba.models.skeletons import CONVERSION_ID, H36M, coco17_to_h36m17

onnx = pytest.importorskip("onnx", reason="needs the package onnx")
runtime = pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")

#: Metres; what float32 leaves over is a few micrometres.
TOLERANCE_M = 1e-4


def people(count: int, frames: int) -> NDArray[np.float32]:
    """Walkers (count, frames, 17, 3) as a detector sees them: noise, doubtful joints, and every kind of missing one."""
    rng = np.random.default_rng(frames)
    seen = []
    for i in range(count):
        coco = walker(frames, (300 + 200 * i, 400), 250 + 150 * i)
        joints, score = coco17_to_h36m17(coco[..., :2], rng.uniform(0.3, 1, coco.shape[:2]).astype(np.float32))
        seen.append(np.concatenate([joints, score[..., None]], -1))
    x = np.stack(seen)
    x[..., :2] += rng.normal(0, 2, (*x.shape[:3], 2))
    x[..., 2][rng.random(x.shape[:3]) < 0.1] = 0
    x[0, : frames // 5, H36M.PELVIS, 2] = 0  # no pelvis at the beginning, and none for a while
    x[0, frames // 2 : frames // 2 + 4, H36M.PELVIS, 2] = 0
    x[-1, frames // 3] = 0  # nobody
    x[-1, frames - 1, 1:, 2] = 0  # the pelvis alone
    x[0, 1, 3, 0], x[0, 2, 4, 1], x[0, 2, 5, 2] = np.nan, np.inf, -1
    x[0, 3, 6, 2], x[0, 4, 16, 0] = 1.5, 1e6  # a score above 1, a wild outlier
    return x.astype(np.float32)


def session(path: Path) -> object:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def lifted(path: Path, x: NDArray[np.float32]) -> NDArray[np.float32]:
    (y,) = session(path).run(None, {"joints_2d": x})  # type: ignore[attr-defined]
    return y


def difference(path: Path, lifter: Lifter, x: NDArray[np.float32]) -> float:
    """Metres at most between the file's answer and the lifter's."""
    y = lifted(path, x)
    assert y.shape == x.shape
    assert y.dtype == np.float32
    return float(np.abs(y - np.stack([lifter(window) for window in x])).max())


@pytest.mark.parametrize("frames", [1, 27, 243])
def test_shipped_lifter(tmp_path: Path, frames: int) -> None:
    lifter = Lifter.load(DEFAULT_LIFTER, flip=False, refine=False)  # the graph does neither
    path = export_lifter(DEFAULT_LIFTER, tmp_path / "new" / "lifter.onnx", frames)
    for count in (1, 3):
        x = people(count, max(frames, 5))[:, :frames]
        far = difference(path, lifter, x)
        print(f"{DEFAULT_LIFTER}, {frames} frames, batch {count}: at most {1e6 * far:.1f} µm apart")
        assert far < TOLERANCE_M
    if frames == 243:
        run = session(path).run  # type: ignore[attr-defined]
        took = {}
        for name, call in (
            ("ONNX Runtime", lambda: run(None, {"joints_2d": x[:1]})),
            ("PyTorch", lambda: lifter(x[0])),
        ):
            begin = time.perf_counter()
            call()
            took[name] = (time.perf_counter() - begin) / frames
        told = ", ".join(f"{name} {1000 * s:.2f}" for name, s in took.items())
        print(f"ms per frame, one thread: {told}, ratio {took['ONNX Runtime'] / took['PyTorch']:.1f}")


VARIANTS = {
    "paper's block": {},
    "K=1": {"taps_side": 1},
    "K=5": {"taps_side": 5},
    "no SA-conv": {"local": "depthwise"},
    "no stride": {"scan_input": "plain"},
    "summed strides": {"scan_input": "stride_sum"},
    "limb scan": {"scan_input": "limb"},
    "temporal": {"directions": ("temporal_forward", "temporal_backward")},
    "summed strides, temporal": {"scan_input": "stride_sum", "directions": ("temporal_forward",)},
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
def test_every_variant(tmp_path: Path, variant: dict) -> None:
    """Blocks that no shipped lifter has; weights large enough that every part is heard; frames that interpolate."""
    config = SasMambaConfig(BlockConfig(width=16, states=3), blocks=2, frames=27, in_channels=2)
    model = SasMamba(replace(config, block=replace(config.block, **variant)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "A_log" not in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    save_lifter(model, tmp_path / "own.safetensors")
    path = export_lifter(str(tmp_path / "own.safetensors"), tmp_path / "own.onnx", 11)
    assert (
        difference(path, Lifter.load(str(tmp_path / "own.safetensors"), flip=False, refine=False), people(2, 11))
        < TOLERANCE_M
    )


def test_normalisation_alone(tmp_path: Path) -> None:
    """What is not found, from nobody in a whole window to one point of no size, is normalised alike."""
    from sasmamba.models.onnx_export import INPUT, _LifterGraph

    x = people(5, 27)
    x[0, ..., 2] = 0
    x[1, :, 1:, 2] = 0
    x[2, :, H36M.PELVIS, 2] = 0
    x[3, :, :, :2] = 7
    writer = _LifterGraph(27, 17)
    writer.op("Identity", writer.normalised(INPUT, 3), output="out")
    window = ["batch", 27, 17, 3]
    info = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, window) for n in (INPUT, "out")]
    graph = onnx.helper.make_graph(writer.nodes, "normalise", info[:1], info[1:], writer.constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "n.onnx"))
    want = normalise_window(torch.from_numpy(mask_missing(x))).numpy()
    np.testing.assert_allclose(lifted(tmp_path / "n.onnx", x), want, atol=1e-5, rtol=1e-5)


def test_the_file_says_what_it_wants(tmp_path: Path) -> None:
    model = onnx.load(str(export_lifter(DEFAULT_LIFTER, tmp_path / "l.onnx", 27)))
    onnx.checker.check_model(model, full_check=True)
    about = {p.key: p.value for p in model.metadata_props}
    assert about["skeleton"] == CONVERSION_ID
    assert about["frames"] == "27"
    assert about["source"] == DEFAULT_LIFTER
    assert "research only" in about["licence"]
    assert json.loads(about["config"])["frames"] == 243
    assert json.loads(about["joints"])[:2] == ["pelvis", "right_hip"]
    assert "px" in about["input"]
    assert "metres" in about["output"]
    for value, name in ((model.graph.input[0], "joints_2d"), (model.graph.output[0], "joints_3d")):
        assert value.name == name
        sizes = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        assert sizes == ["batch", 27, 17, 3]
    assert not any(t.external_data for t in model.graph.initializer), "one file holds all"


@pytest.mark.parametrize(
    ("lifter", "out", "frames", "sentence", "code"),
    [
        (DEFAULT_LIFTER, "l.pt", 27, "must end in .onnx, not 'l.pt'", 2),
        (DEFAULT_LIFTER, "l.onnx", 0, "--frames must lie between 1 and 243", 2),
        (DEFAULT_LIFTER, "l.onnx", 244, "--frames must lie between 1 and 243", 2),
        (DEFAULT_LIFTER, "folder.onnx", 27, "is a folder", 2),
        (DEFAULT_LIFTER, "file/l.onnx", 27, "part of that path is a file", 1),
        ("none.safetensors", "l.onnx", 27, "There is no file none.safetensors", 2),
        ("nobody", "l.onnx", 27, "nobody", 2),
    ],
)
def test_bad_input(tmp_path: Path, lifter: str, out: str, frames: int, sentence: str, code: int) -> None:
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=sentence) as caught:
        export_lifter(lifter, tmp_path / out, frames)
    assert caught.value.exit_code == code
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.onnx"]


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sasmamba.models.onnx_export", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match=r"needs the package onnx .*pip install"):
        export_lifter(DEFAULT_LIFTER, tmp_path / "l.onnx", 27)
    assert not list(tmp_path.iterdir())


def test_full_disk(tmp_path: Path) -> None:
    """Nothing half-written, the old file untouched."""
    path = tmp_path / "l.onnx"
    path.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"l\.onnx could not be written"):
            export_lifter(DEFAULT_LIFTER, path, 27)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["l.onnx"]
