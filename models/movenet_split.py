"""MoveNet's graph in parts: maps of the whole picture, and the heads of which only a few cells are read.

All cells of the map of centres and of the joints' heat are compared. What the other heads say is read at the centre of
each person, or at the cell of each joint: there it is computed from the 3 × 3 cells of features around, nowhere else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.models.movenet_decode import Floats, Reader
from sasmamba.models.movenet_onnx import GraphError

#: The parts, and the heads that each answers with, as far as the graph has them.
PARTS: dict[str, tuple[str, ...]] = {
    "maps": ("center", "kpt_heatmap"),
    "centres": ("kpt_regress", "box_scale", "box_offset"),
    "joints": ("kpt_offset",),
}
#: A head has so many convolutions, of which the first sees so many cells along each side and the others one.
_CONVOLUTIONS, _SEEN = 3, 3


def split(model: Any) -> dict[str, Any]:
    """The parts of a graph of `movenet_onnx.to_onnx` or `movenet_int8.quantised`, by the names of `PARTS`.

    "maps" takes the picture and gives the features (N, C, H/4, W/4) that all heads begin with, last; the others take
    features (cells, C, 3, 3) and give, of each head, what its map holds in the middle one: (cells, channels, 1, 1).

    Raises:
        GraphError: the heads do not all begin so.
    """
    from onnx import TensorProto, helper

    made_by = {output: node for node in model.graph.node for output in node.output}
    sizes = {tensor.name: tuple(tensor.dims[2:]) for tensor in model.graph.initializer}
    begins = set[str]()
    features: dict[str, int] = {}
    for head in model.graph.output:
        node, convolutions = made_by[head.name], 0
        while (convolutions := convolutions + (node.op_type == "Conv")) < _CONVOLUTIONS:
            if node.input[0] not in made_by:
                raise GraphError(f"{head.name}: want a head of {_CONVOLUTIONS} convolutions, got {convolutions}")
            node = made_by[node.input[0]]
        if (seen := _kernel(node, made_by, sizes)) != (_SEEN, _SEEN):
            raise GraphError(f"{head.name}: want it to see {_SEEN} × {_SEEN} cells, got {seen}")
        begins.add(node.name)
        source = made_by.get(node.input[0])
        if source is not None and source.op_type == "DequantizeLinear":
            features[source.input[0]] = TensorProto.UINT8
        else:
            features[node.input[0]] = TensorProto.FLOAT
    if len(features) != 1:
        raise GraphError(f"heads: want all to begin with the same features, got {', '.join(features)}")
    (name, kind), *_ = features.items()
    parts = {}
    for part, heads in PARTS.items():
        outputs = [output for output in model.graph.output if output.name in heads]
        if part == "maps":
            inputs = list(model.graph.input)
            outputs.append(helper.make_tensor_value_info(name, kind, ["batch", None, "height/4", "width/4"]))
        else:
            inputs = [helper.make_tensor_value_info(name, kind, ["cells", None, _SEEN, _SEEN])]
        parts[part] = _part(model, inputs, outputs)
        if part != "maps":
            for node in parts[part].graph.node:
                if node.name in begins:
                    next(a for a in node.attribute if a.name == "auto_pad").s = b"VALID"
    return parts


def _kernel(node: Any, made_by: dict[str, Any], sizes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """How many rows and columns a convolution sees; its weights may be coded."""
    maker = made_by.get(node.input[1])
    return sizes[node.input[1] if maker is None else maker.input[0]]


def _part(model: Any, inputs: list[Any], outputs: list[Any]) -> Any:
    """What of a graph leads from inputs to outputs."""
    from onnx import helper

    made_by = {output: node for node in model.graph.node for output in node.output}
    known, wanted, kept = {value.name for value in inputs}, [value.name for value in outputs], set[str]()
    while wanted:
        name = wanted.pop()
        node = made_by.get(name)
        if name not in known and node is not None and node.name not in kept:
            kept.add(node.name)
            wanted += node.input
    nodes = [node for node in model.graph.node if node.name in kept]
    read = {name for node in nodes for name in node.input}
    constants = [tensor for tensor in model.graph.initializer if tensor.name in read]
    graph = helper.make_graph(nodes, model.graph.name, inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def padded(features: NDArray) -> NDArray:
    """Features (C, h, w) of one picture, and beyond its edges 0, as (C, h + 2, w + 2)."""
    channels, height, width = features.shape
    out = np.zeros((channels, height + 2, width + 2), features.dtype)
    out[:, 1:-1, 1:-1] = features
    return out


def reader(session: Any, features: NDArray) -> Reader:
    """What a session of "centres" or "joints" says of cells, from features that are `padded`."""
    name = session.get_inputs()[0].name

    def read(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Floats:
        around = features[:, rows[:, None, None] + _STEPS[:, None], columns[:, None, None] + _STEPS]
        answers = session.run(None, {name: np.ascontiguousarray(around.swapaxes(0, 1))})
        return np.concatenate(answers, 1)[:, :, 0, 0]

    return read


_STEPS = np.arange(_SEEN)
