"""HRNet as an ONNX graph in memory, for CPUs: ONNX Runtime computes it about twice as fast as PyTorch does.

The graph is written node by node, like a lifter's (`models/onnx_export.py`), and for the same reasons: no tracing, and
operators in the form that the runtime's optimiser knows. Batch norms are constants in evaluation and are folded into
the convolutions before them. What is written here is held against the network by tests/parity/test_hrnet_onnx.py.

Needs the package `onnx`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import cast

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sasmamba.models.hrnet import HRNet, _Basic, _Bottleneck, _Exchange
from sasmamba.models.onnx_graph import OnnxGraph

#: Resize has had its present form since 13; the oldest set that has it, so that old runtimes read the graph.
_OPSET, _IR = 13, 7

INPUT, OUTPUT = "images", "heatmaps"


@torch.inference_mode()
def onnx_model(network: HRNet) -> onnx.ModelProto:
    """`HRNet.forward` as an ONNX model of its own: `images` to `heatmaps`, float32, shaped as there, any n and size.

    The model holds the weights: 114 MB for W32, 254 MB for W48.

    Raises:
        ValueError: the network is in training mode, where its batch norms are no constants.
    """
    if network.training:
        raise ValueError("network: want it in evaluation mode")
    writer = _HRNetGraph()
    x = writer.chain(INPUT, network.conv1, network.bn1, network.relu, network.conv2, network.bn2, network.relu)
    branches = [functools.reduce(writer.bottleneck, cast(Iterable[_Bottleneck], network.layer1), x)]
    for transition, stage in (
        (network.transition1, network.stage2),
        (network.transition2, network.stage3),
        (network.transition3, network.stage4),
    ):
        coarsest = len(branches) - 1
        branches = [writer.chain(branches[min(i, coarsest)], t) for i, t in enumerate(transition)]
        branches = functools.reduce(writer.exchange, cast(Iterable[_Exchange], stage), branches)
    writer.conv(branches[0], network.final_layer, output=OUTPUT)
    graph = helper.make_graph(
        writer.nodes,
        "hrnet",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", 3, "height", "width"])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", network.config.joints, "h", "w"])],
        writer.constants,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR, producer_name="sasmamba-demo"
    )


class _HRNetGraph(OnnxGraph):
    """HRNet's graph in the making."""

    def conv(self, x: str, conv: nn.Conv2d, output: str = "") -> str:
        assert conv.bias is not None
        weight, bias = (self.const(t) for t in (conv.weight, conv.bias))
        return self.op(
            "Conv",
            x,
            weight,
            bias,
            output=output,
            kernel_shape=list(conv.kernel_size),
            strides=list(conv.stride),
            pads=2 * [int(p) for p in conv.padding],
        )

    def chain(self, x: str, *modules: nn.Module) -> str:
        """Convolutions with the batch norm that follows each, ReLUs and enlargements, one after the other."""
        layers = (layer for module in modules for layer in module.modules())
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                x = self.conv(x, fuse_conv_bn_eval(layer, cast(nn.BatchNorm2d, next(layers))))
            elif isinstance(layer, nn.ReLU):
                x = self.op("Relu", x)
            elif isinstance(layer, nn.Upsample):
                x = self.enlarged(x, int(cast(float, layer.scale_factor)))
            else:
                assert isinstance(layer, (nn.Identity, nn.Sequential))
        return x

    def enlarged(self, x: str, factor: int) -> str:
        """Every pixel `factor` times in each direction, in the terms that ONNX Runtime keeps its blocked layout for."""
        scales = self.const(np.array([1, 1, factor, factor], np.float32))
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.op("Resize", x, "", scales, **how)

    def bottleneck(self, x: str, block: _Bottleneck) -> str:
        y = self.chain(
            x, block.conv1, block.bn1, block.relu, block.conv2, block.bn2, block.relu, block.conv3, block.bn3
        )
        return self.op("Relu", self.op("Add", y, self.chain(x, block.downsample)))

    def basic(self, x: str, block: _Basic) -> str:
        y = self.chain(x, block.conv1, block.bn1, block.relu, block.conv2, block.bn2)
        return self.op("Relu", self.op("Add", y, x))

    def exchange(self, branches: list[str], exchange: _Exchange) -> list[str]:
        branches = [
            functools.reduce(self.basic, cast(Iterable[_Basic], blocks), x)
            for x, blocks in zip(branches, exchange.branches, strict=True)
        ]
        rows = (
            [self.chain(x, resample) for x, resample in zip(branches, cast(nn.ModuleList, row), strict=True)]
            for row in exchange.fuse_layers
        )
        return [self.op("Relu", functools.reduce(functools.partial(self.op, "Add"), row)) for row in rows]
