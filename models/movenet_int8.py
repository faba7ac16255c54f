"""MoveNet in 8 bits: weights per channel, activations by ranges that were measured once, as ONNX Runtime's QDQ graphs.

Which values each layer's output takes is a fact about the published networks: `tools/movenet_ranges.py` measured it on
pictures that MoveNet was trained on, and `weights/movenet_ranges.json` keeps it: nobody needs pictures to convert.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

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


def quantised(model: Any, ranges: Ranges) -> Any:
    """The graph of `models.movenet_onnx.to_onnx` with 8-bit convolutions; the given one is left as it is.

    Args:
        model: an `onnx.ModelProto`.
        ranges: of every tensor of `activations`.

    Raises:
        ValueError: a tensor has no range.
    """
    import onnx
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    if missing := [name for name in activations(model) if name not in ranges]:
        raise ValueError(f"ranges: want one for {missing[0]} and {len(missing) - 1} more, got {len(ranges)}")
    ranges = dict(ranges)
    for node in model.graph.node:
        if node.op_type in _CUT:  # what saturates at the ends of a range need not be cut there again
            ranges[node.input[0]] = ranges[node.output[0]]
    quantizer = QDQQuantizer(
        copy.deepcopy(model),
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, {name: _pair(*span) for name, span in ranges.items()}),
        nodes_to_quantize=[],
        nodes_to_exclude=[],
        op_types_to_quantize=[*_QUANTISED, *_PASSED_ON],
        extra_options={},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    result = quantizer.model.model
    onnx.checker.check_model(result)
    return result


_QUANTISED = ("Conv", "Add")
#: Activations that cut values off.
_CUT = ("Clip", "Relu")
#: These only hand values on, so that what lies between two convolutions stays in 8 bits.
_PASSED_ON = (*_CUT, "Resize")


def _pair(low: float, high: float) -> tuple[Any, Any]:
    import numpy as np

    return np.float32(min(low, 0)), np.float32(max(high, 0))
