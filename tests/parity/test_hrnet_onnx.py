"""HRNet in ONNX Runtime answers what it answers in PyTorch."""

from __future__ import annotations

import copy
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sasmamba.app.pose2d.hrnet_estimator import HRNetEstimator
from sasmamba.app.types import Frame
from sasmamba.models.hrnet import HRNET_W32, HRNET_W48, HRNet, HRNetConfig

onnx = pytest.importorskip("onnx", reason="needs the package onnx")
runtime = pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")

#: Of heatmaps whose highest peak is about 1, as in a trained network.
TOLERANCE = 1e-5
SMALL = HRNetConfig(width=8)


@cache
def network(config: HRNetConfig) -> HRNet:
    """Batch norms as after some training, none of whose numbers may be left out; peaks of about 1."""
    torch.manual_seed(0)
    net = HRNet(config).eval().requires_grad_(False)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    peak = net(torch.randn(1, 3, 128, 96)).abs().max()
    for parameter in net.final_layer.parameters():
        parameter.div_(peak)
    return net


@cache
def session(config: HRNetConfig) -> Any:
    from sasmamba.models.hrnet_onnx import onnx_model

    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    content = onnx_model(network(config)).SerializeToString()
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    ("config", "input_px", "count"),
    [
        (HRNET_W32, (192, 256), 1),
        (HRNET_W32, (192, 256), 3),
        (HRNET_W32, (288, 384), 1),
        (HRNET_W48, (192, 256), 1),
        (SMALL, (32, 96), 3),
    ],
    ids=["w32", "w32, three people", "w32, larger", "w48", "small"],
)
def test_heatmaps(config: HRNetConfig, input_px: tuple[int, int], count: int) -> None:
    images = torch.randn(count, 3, input_px[1], input_px[0], generator=torch.Generator().manual_seed(count))
    want = network(config)(images).numpy()
    (got,) = session(config).run(None, {"images": images.numpy()})
    assert got.dtype == np.float32
    assert got.shape == (count, 17, input_px[1] // 4, input_px[0] // 4)
    far = float(np.abs(got - want).max())
    print(f"at most {far:.1e} apart, of {np.abs(want).max():.1f}")
    assert 0.5 < np.abs(want).max() < 2
    assert want.std((2, 3)).min() > 1e-3, "the heatmaps tell places apart"
    assert far < TOLERANCE


def test_joints() -> None:
    """The estimator's own way, flip test and all, beside PyTorch's, which it takes for a network it does not know."""
    frame = Frame(0, Fraction(0), np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8))
    boxes = np.array([[20, 30, 120, 230], [150, 10, 310, 200]], np.float32)
    ours = HRNetEstimator(network(SMALL), flip=True)
    plain = nn.Sequential(copy.deepcopy(network(SMALL)))
    theirs = HRNetEstimator(plain, flip=True)
    assert (ours.runtime, theirs.runtime) == ("onnxruntime", "torch")
    for got, want in zip(ours(frame, boxes), theirs(frame, boxes), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-2)


def test_the_graph_is_sound() -> None:
    from sasmamba.models.hrnet_onnx import onnx_model

    model = onnx_model(network(SMALL))
    onnx.checker.check_model(model, full_check=True)
    assert {node.op_type for node in model.graph.node} == {"Conv", "Add", "Relu", "Resize"}  # batch norms are folded
    last = copy.deepcopy(network(SMALL)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert onnx_model(last) == model


def test_training_mode() -> None:
    from sasmamba.models.hrnet_onnx import onnx_model

    with pytest.raises(ValueError, match="evaluation mode"):
        onnx_model(HRNet(SMALL))
