"""An ONNX graph in the making: what exporting a network has to write down, whatever the network."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor


class OnnxGraph:
    """Nodes and constants. Methods take and return names of tensors; constants that are equal are stored once."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}  # by type, shape and SHA-256
        self._count = itertools.count()

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """One node with one output; returns the output's name."""
        return self.ops(kind, *inputs, outputs=[output or self.fresh(kind)], **attributes)[0]

    def ops(self, kind: str, *inputs: str, outputs: list[str], **attributes: Any) -> list[str]:
        """One node with several outputs."""
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, name=f"{outputs[0]}_node", **attributes))
        return outputs

    def fresh(self, kind: str) -> str:
        """A name that nothing has yet."""
        return f"{kind.lower()}_{next(self._count)}"

    def const(self, value: Tensor | NDArray | np.generic | Sequence[int] | float) -> str:
        """A constant: tensors and floats become float32, whole numbers int64."""
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
        if array.dtype != bool:
            array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64, order="C")
        key = (str(array.dtype), array.shape, hashlib.sha256(array.tobytes()).digest())
        if key not in self._known:
            self._known[key] = self.fresh("const")
            self.constants.append(numpy_helper.from_array(array, self._known[key]))
        return self._known[key]
