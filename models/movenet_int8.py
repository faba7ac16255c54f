"""MoveNet in 8 bits: weights per channel, activations by ranges that were measured once, as ONNX Runtime's QDQ graphs.

Which values each layer's output takes is a fact about the published networks: `tools/movenet_ranges.py` measured it on
pictures that MoveNet was trained on, and `weights/movenet_ranges.json` keeps it: nobody needs pictures to convert.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np

from sasmamba.models.movenet_onnx import HEADS, NORMALISED

Ranges = dict[str, tuple[float, float]]


def read_ranges(path: Path) -> dict[str, Ranges]:
    """Lowest and highest value of every tensor between two layers, by network."""
    table = json.loads(path.read_text(encoding="utf-8"))["ranges"]
    return {name: {tensor: (low, high) for tensor, (low, high) in rows.items()} for name, rows in table.items()}


def activations(model: Any) -> list[str]:
    """The tensors that are quantised: what convolutions and sums read and give, in the graph's order."""
    names: dict[str, None] = {}
    constants = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in _QUANTISED or node.op_type in _PASSED_ON:
            names.update(dict.fromkeys([*node.input[:2], node.output[0]]))
    return [name for name in names if name and name not in constants]


def quantised(model: Any, ranges: Ranges, *, heads: bool = True, widen: bool = True) -> Any:
    """The graph of `models.movenet_onnx.to_onnx` with 8-bit convolutions; the given one is left as it is.

    Args:
        model: an `onnx.ModelProto`.
        ranges: of every tensor of `activations`.
        heads: quantise them, too; where they stay in float, neighbouring cells of a map are seldom equal.
        widen: see `widened`.

    Raises:
        ValueError: a tensor has no range.
    """
    import onnx
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    if missing := [name for name in activations(model) if name not in ranges]:
        raise ValueError(f"ranges: want one for {missing[0]} and {len(missing) - 1} more, got {len(ranges)}")
    model = widened(model) if widen else copy.deepcopy(model)
    ranges = dict(ranges)
    for node in model.graph.node:
        if node.op_type in _CUT:  # what saturates at the ends of a range need not be cut there again
            ranges[node.input[0]] = ranges[node.output[0]]
    quantizer = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, {name: _pair(*span) for name, span in ranges.items()}),
        nodes_to_quantize=[],
        nodes_to_exclude=[] if heads else [n.name for n in model.graph.node if _in_head(n.name)],
        op_types_to_quantize=[*_QUANTISED, *_PASSED_ON],
        extra_options={},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    result = quantizer.model.model
    onnx.checker.check_model(result)
    return result


def four_channelled(model: Any) -> Any:
    """The graph for pictures with a fourth channel, of which it sees nothing.

    ONNX Runtime has a way of its own for 8-bit convolutions of four channels, or a multiple: of three they take twice
    as long.
    """
    from onnx import numpy_helper

    model = copy.deepcopy(model)
    (image,) = model.graph.input
    image.type.tensor_type.shape.dim[-1].dim_value = 4
    first = {node.input[1] for node in model.graph.node if node.op_type == "Conv" and node.input[0] == NORMALISED}
    for tensor in model.graph.initializer:
        if tensor.name in first:
            kernel = np.pad(numpy_helper.to_array(tensor), [(0, 0), (0, 1), (0, 0), (0, 0)])
            tensor.CopyFrom(numpy_helper.from_array(kernel, tensor.name))
    return model


def widened(model: Any) -> Any:
    """The graph with channels of zeros where depthwise convolutions have no whole vectors of them; it answers the same.

    ONNX Runtime takes 16 channels of an 8-bit depthwise convolution at once and the rest one by one: 56 channels take
    three times as long as 64.
    """
    from onnx import numpy_helper

    model = copy.deepcopy(model)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    group_of = _equally_wide(model)
    kept = {group_of[name] for name in ["image", *(output.name for output in model.graph.output)] if name in group_of}
    width: dict[str, int] = {}  # of what has to be widened
    for node in convolutions:
        channels = constants[node.input[1]].dims[0]
        if _depthwise(node) and channels % _VECTOR and group_of[node.output[0]] not in kept:
            width[group_of[node.output[0]]] = -(-channels // _VECTOR) * _VECTOR

    def pad(name: str, axis: int, to: int) -> None:
        values = numpy_helper.to_array(constants[name])
        more = [(0, to - values.shape[i] if i == axis else 0) for i in range(values.ndim)]
        constants[name].CopyFrom(numpy_helper.from_array(np.pad(values, more), name))

    for node in convolutions:
        if (wide := width.get(group_of[node.output[0]])) is not None:
            for name in node.input[1:]:
                pad(name, 0, wide)
        if _depthwise(node):
            next(a for a in node.attribute if a.name == "group").i = constants[node.input[1]].dims[0]
        elif (wide := width.get(group_of.get(node.input[0], ""))) is not None:
            pad(node.input[1], 1, wide)
    return model


def _equally_wide(model: Any) -> dict[str, str]:
    """Tensors that have to have as many channels as others, by name: one that stands for all of these."""
    group_of: dict[str, str] = {}

    def join(names: list[str]) -> None:
        groups = {group_of.setdefault(name, name) for name in names}
        first = min(groups)
        group_of.update({name: first for name, group in group_of.items() if group in groups})

    for node in model.graph.node:
        if node.op_type == "Conv":
            join([node.output[0], *([node.input[0]] if _depthwise(node) else [])])
        elif node.op_type == "Add":
            join([*node.input, node.output[0]])
        elif node.op_type in (*_PASSED_ON, "Identity"):  # the latter gives heads the names of the graph's outputs
            join([node.input[0], node.output[0]])
    return group_of


def _in_head(name: str) -> bool:
    return any(f"/{head}_0/" in f"/{name}" for head in HEADS)


def _depthwise(node: Any) -> bool:
    return any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)


#: Channels that ONNX Runtime takes at once in a depthwise convolution of 8 bits.
_VECTOR = 16
_QUANTISED = ("Conv", "Add")
#: Activations that cut values off.
_CUT = ("Clip", "Relu")
#: These only hand values on, so that what lies between two convolutions stays in 8 bits.
_PASSED_ON = (*_CUT, "Resize")


def _pair(low: float, high: float) -> tuple[Any, Any]:
    return np.float32(min(low, 0)), np.float32(max(high, 0))
