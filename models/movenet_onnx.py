"""MoveNet as ONNX graphs, made from the published TensorFlow.js files: MobileNetV2, a feature pyramid and the heads.

MoveNet (Google, 2021; Apache-2.0): Votel and Li, "Next-Generation Pose Detection with MoveNet and TensorFlow.js",
blog.tensorflow.org. Like CenterNet (Zhou et al. 2019, "Objects as Points") it answers with maps at a quarter of the
picture's size, from which `models.movenet_decode` reads the people. TensorFlow.js stores the graph as JSON and the
weights as one run of float16 numbers; only the part up to the heads is taken over, since the rest is a search for
maxima, which needs neither weights nor the original's limits (MultiPose itself stops at six people).
"""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The maps in the order in which a session gives them, each (N, C, H/4, W/4). Only MultiPose has the last two.
HEADS = ("center", "kpt_heatmap", "kpt_regress", "kpt_offset", "box_scale", "box_offset")
#: Sides of the picture are multiples of this.
STRIDE = 32
#: Raised when the graph that is written changes, so that kept conversions are made anew.
CONVERSION = 3
_OPSET, _IR = 17, 9
#: Where the graph turns the picture's bytes into -1..1; from here on it is written, and so called.
_NORMALISED, NORMALISED = "sub_1", "image/normalised"


class GraphError(ValueError):
    """The files are not the MoveNet that this converter knows; its text says what is odd."""


def read_weights(document: dict[str, Any], blob: bytes) -> dict[str, NDArray]:
    """The tensors of a TensorFlow.js graph model by name, float16 widened to float32.

    Args:
        document: the model's JSON.
        blob: its weights, one array after the other in the order of `weightsManifest`.

    Raises:
        GraphError: the blob is shorter or longer than the JSON says.
    """
    tensors: dict[str, NDArray] = {}
    at = 0
    for spec in (spec for group in document["weightsManifest"] for spec in group["weights"]):
        half = spec.get("quantization", {}).get("dtype") == "float16"
        kind = np.dtype(np.float16 if half else spec["dtype"]).newbyteorder("<")
        count = int(np.prod(spec["shape"], dtype=np.int64))
        if at + count * kind.itemsize > len(blob):
            raise GraphError(f"weights: want more than {len(blob)} bytes, for {spec['name']}")
        array = np.frombuffer(blob, kind, count, at).reshape(spec["shape"])
        at += count * kind.itemsize
        tensors[spec["name"]] = array.astype(np.float32) if half else array
    if at != len(blob):
        raise GraphError(f"weights: want {at} bytes, got {len(blob)}")
    return tensors


def to_onnx(graph_json: bytes, blob: bytes) -> Any:
    """An `onnx.ModelProto`: image (N, H, W, 3) uint8 RGB, H and W multiples of 32, to the maps of `HEADS`.

    Args:
        graph_json: the model's JSON.
        blob: its weights.

    Raises:
        GraphError: something in the files is not as in the MoveNet that was published in 2021.
    """
    try:
        document = json.loads(graph_json)
        nodes = {node["name"]: node for node in document["modelTopology"]["node"]}
        tensors = read_weights(document, blob)
        return _MoveNetGraph(nodes, tensors).model()
    except (KeyError, TypeError, IndexError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise GraphError(f"not a MoveNet graph of TensorFlow.js: {type(error).__name__}: {error}") from error


class _MoveNetGraph:
    """Writes the nodes that lead to the heads, each once."""

    def __init__(self, nodes: dict[str, Any], tensors: dict[str, NDArray]) -> None:
        self._nodes, self._tensors = nodes, tensors
        self._written: dict[str, str] = {}
        self._graph: list[Any] = []
        self._initializers: list[Any] = []

    def model(self) -> Any:
        import onnx
        from onnx import TensorProto, helper

        self._zero, self._six = self._constant("zero", np.float32(0)), self._constant("six", np.float32(6))
        self._twice = self._constant("twice", np.array([1, 1, 2, 2], np.float32))
        self._picture()
        outputs = []
        for head in HEADS:
            for name in self._nodes:
                if f"/{head}_0/" in f"/{name}" and name.endswith("BiasAdd"):
                    self._add("Identity", [self._write(name)], head)
                    shape = ["batch", None, "height/4", "width/4"]
                    outputs.append(helper.make_tensor_value_info(head, TensorProto.FLOAT, shape))
        if len(outputs) not in {4, 6}:
            raise GraphError(f"heads: want 4 or 6 of {', '.join(HEADS)}, got {len(outputs)}")
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", "height", "width", 3])
        graph = helper.make_graph(self._graph, "movenet", [image], outputs, self._initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        onnx.checker.check_model(model)
        return model

    def _picture(self) -> None:
        """Bytes to -1..1, channels first."""
        from onnx import TensorProto

        scale, one = self._constant("1/127.5", np.float32(1 / 127.5)), self._constant("one", np.float32(1))
        floats = self._add("Cast", ["image"], "image/float", to=TensorProto.FLOAT)
        first = self._add("Transpose", [floats], "image/channels_first", perm=[0, 3, 1, 2])
        self._normalised = self._add("Sub", [self._add("Mul", [first, scale], "image/scaled"), one], NORMALISED)

    def _write(self, name: str) -> str:
        name = name.split(":", maxsplit=1)[0]
        if name not in self._written:
            self._written[name] = self._node(name, self._nodes[name])
        return self._written[name]

    def _node(self, name: str, node: dict[str, Any]) -> str:
        op, inputs = node["op"], node.get("input", [])
        if name.rpartition("/")[2] == _NORMALISED:
            return self._normalised
        if op in {"_FusedConv2D", "Conv2D", "FusedDepthwiseConv2dNative", "DepthwiseConv2dNative"}:
            return self._convolution(name, node)
        if op in {"AddV2", "Add"}:
            return self._add("Add", [self._write(i) for i in inputs], f"{name}:sum")
        if op == "ResizeBilinear":
            return self._add(
                "Resize",
                [self._write(inputs[0]), "", self._twice],
                f"{name}:twice",
                mode="linear",
                coordinate_transformation_mode="half_pixel",
            )
        raise GraphError(f"{name}: an operation {op!r} is not expected before the heads")

    def _convolution(self, name: str, node: dict[str, Any]) -> str:
        kernel = self._tensors[node["input"][1]]
        depthwise = "Depthwise" in node["op"]
        # TensorFlow: height, width, in, out; a depthwise kernel has the multiplier, 1, in the last place
        order = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
        inputs = [self._write(node["input"][0]), self._constant(f"{name}/kernel", kernel.transpose(order))]
        fused = [base64.b64decode(s).decode() for s in node["attr"].get("fused_ops", {}).get("list", {}).get("s", [])]
        if "BiasAdd" in fused:
            inputs.append(self._constant(f"{name}/bias", self._tensors[node["input"][2]]))
        strides = [int(i) for i in node["attr"]["strides"]["list"]["i"]][1:3]
        groups = kernel.shape[2] if depthwise else 1
        out = self._add("Conv", inputs, f"{name}:out", strides=strides, group=groups, auto_pad="SAME_UPPER")
        if "Relu6" in fused:
            return self._add("Clip", [out, self._zero, self._six], f"{name}:relu6")
        return self._add("Relu", [out], f"{name}:relu") if "Relu" in fused else out

    def _add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self._graph.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def _constant(self, name: str, value: NDArray | np.generic) -> str:
        from onnx import numpy_helper

        self._initializers.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=np.float32), name))
        return name
