"""A lifter as one ONNX file: raw 2D joints in, metres out, for any language with an ONNX runtime.

The graph is written node by node, not traced: torch.onnx.export spells the scan and the sampling out into thousands of
small operators, takes minutes, and its graph runs several times slower. What is written here is held against the model
by tests/parity/test_onnx.py, for every variant of the block.

The scan of L = S · P tokens runs as P chunks of S tokens side by side: once to learn what each chunk makes of an empty
state, then a short scan over the chunks for the state each one starts from, then once more from there. That is
S + P + S sequential steps instead of L, the arithmetic of the plain recurrence, and no tensor of all tokens' states.

Needs the package `onnx`.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import nn

from sasmamba.models.blocks import Block, Direction, StateSpaceMixer, routes_of
from sasmamba.models.lift import SHORTEST, held_frames
from sasmamba.models.onnx_graph import OnnxGraph
from sasmamba.models.sasmamba import SasMamba
from sasmamba.models.skeletons import CONVERSION_ID, H36M, LIMB_PARENTS

_FORMAT = "sasmamba-lifter-onnx/1"
#: GridSample came with 16, LayerNormalization with 17: the oldest set that has both, so that old runtimes read it.
_OPSET, _IR = 17, 8

INPUT, OUTPUT = "joints_2d", "joints_3d"
_INPUT_IS = (
    "(batch, {frames}, {joints}, 3) float32: x px right, y px down, score 0..1 of each joint of H36M-17. A score of 0, "
    "or anything that is not a finite number, marks a joint that was not found. Pixels of any picture size: the graph "
    "normalises them."
)
_OUTPUT_IS = (
    "(batch, {frames}, {joints}, 3) float32: metres relative to the pelvis, x right, y down, z forward, in the axes of "
    "a camera that looks straight at the person."
)


@torch.inference_mode()
def onnx_model(model: SasMamba, frames: int, notes: dict[str, str] | None = None) -> onnx.ModelProto:
    """A lifter as an ONNX model of its own, to be written with `SerializeToString`.

    `mask_missing`, `normalise_window` and the subtraction of the pelvis are part of the graph: a lifter is only as good
    as its input is the one it was trained on, and nobody should have to write that again. The metadata tell the format,
    skeleton, configuration, frames, input and output, and `notes`.

    Args:
        model: the lifter; float32, on any device.
        frames: T, the window's length, fixed; the batch is free.
        notes: more metadata, such as the licence and where the weights came from.

    Raises:
        ValueError: frames that the model does not take.
    """
    config = model.config
    if not 1 <= frames <= config.frames:
        raise ValueError(f"frames: want 1..{config.frames}, got {frames}")
    writer = _LifterGraph(frames, config.joints)
    op, const = writer.op, writer.const

    x, whole = writer.normalised(INPUT, config.in_channels), max(frames, min(SHORTEST, config.frames))
    held, own = held_frames(frames, whole)
    if whole > frames:  # as models/lift.py does
        x, writer.T = op("Gather", x, const(held), axis=1), whole
    x = op("Add", writer.linear(x, model.embed), const(model.spatial_embedding))
    for depth, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        x = writer.layer_norm(writer.block(x, block), model.norm_spatial if depth % 2 == 0 else model.norm_temporal)
        if depth == 0:
            x = op("Add", x, const(model.positions(whole)))
    norm, head = model.head
    assert isinstance(norm, nn.LayerNorm)
    assert isinstance(head, nn.Linear)
    x = writer.linear(writer.layer_norm(x, norm), head)
    if whole > frames:
        x = op("Gather", x, const(np.arange(own.start, own.stop)), axis=1)
    writer.op("Sub", x, op("Gather", x, const([int(H36M.PELVIS)]), axis=2), output=OUTPUT)

    window: list[str | int | None] = ["batch", frames, config.joints, 3]
    graph = helper.make_graph(
        writer.nodes,
        "sasmamba_lifter",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, window)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, window)],
        writer.constants,
    )
    sizes = {"frames": frames, "joints": config.joints}
    about = {
        "format": _FORMAT,
        "skeleton": CONVERSION_ID,
        "joints": json.dumps([joint.name.lower() for joint in H36M]),
        "config": json.dumps(asdict(config)),
        "frames": str(frames),
        "input": _INPUT_IS.format(**sizes),
        "output": _OUTPUT_IS.format(**sizes),
        **(notes or {}),
    }
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    proto.producer_name = "sasmamba-demo"
    proto.doc_string = f"Lifts a window of 2D joints to 3D. {INPUT}: {about['input']} {OUTPUT}: {about['output']}"
    helper.set_model_props(proto, about)
    onnx.checker.check_model(proto)
    return proto


class _LifterGraph(OnnxGraph):
    """A lifter's graph in the making; B is the free batch, T and V are fixed."""

    def __init__(self, T: int, V: int) -> None:
        super().__init__()
        self.T, self.V = T, V

    def transpose(self, x: str, *order: int) -> str:
        return self.op("Transpose", x, perm=list(order))

    def reshape(self, x: str, *shape: int) -> str:
        """`shape` may hold one -1 (what is left)."""
        return self.op("Reshape", x, self.const(shape))

    def unsqueeze(self, x: str, *axes: int) -> str:
        return self.op("Unsqueeze", x, self.const(axes))

    def total(self, x: str, axis: int, keepdims: bool = False) -> str:
        return self.op("ReduceSum", x, self.const([axis]), keepdims=int(keepdims))

    def linear(self, x: str, layer: nn.Linear) -> str:
        x = self.op("MatMul", x, self.const(layer.weight.T))
        return x if layer.bias is None else self.op("Add", x, self.const(layer.bias))

    def layer_norm(self, x: str, norm: nn.LayerNorm) -> str:
        return self.op(
            "LayerNormalization", x, self.const(norm.weight), self.const(norm.bias), axis=-1, epsilon=norm.eps
        )

    def silu(self, x: str) -> str:
        return self.op("Mul", x, self.op("Sigmoid", x))

    def softplus(self, x: str) -> str:
        """max(x, 0) + log(1 + exp(-|x|)): three times as fast as runtimes' own operator, which is not vectorised."""
        op = self.op
        tail = op("Log", op("Add", op("Exp", op("Neg", op("Abs", x))), self.const(1.0)))
        return op("Add", op("Relu", x), tail)

    def normalised(self, xyc: str, channels: int) -> str:
        """`mask_missing`, then `normalise_window`, then the first `channels` of x, y, score."""
        op, const, T = self.op, self.const, self.T
        finite = op("Not", op("Or", op("IsNaN", xyc), op("IsInf", xyc)))
        finite = op("ReduceMin", op("Cast", finite, to=TensorProto.FLOAT), axes=[3], keepdims=1)
        raw_xy, raw_score = self.ops(
            "Split", xyc, const([2, 1]), outputs=[self.fresh("xy"), self.fresh("score")], axis=3
        )
        found = op("And", op("Greater", finite, const(0.5)), op("Greater", raw_score, const(0.0)))  # (B, T, V, 1)
        xy = op("Where", found, raw_xy, const(0.0))
        score = op("Min", op("Where", found, raw_score, const(0.0)), const(1.0))

        # the pelvis, carried over frames without one: `_carry` with a maximum over a T × T table for the running one
        known = op("Gather", found, const(np.int64(H36M.PELVIS)), axis=2)  # (B, T, 1)
        known_row = self.transpose(known, 0, 2, 1)
        frame = np.arange(T)
        until, since = frame[None] <= frame[:, None], frame[None] >= frame[:, None]  # (T now, T other)
        numbers = const(frame[None].astype(np.float32))
        before = op("Where", op("And", known_row, const(until)), numbers, const(-1.0))
        after = op("Where", op("And", known_row, const(since)), numbers, const(float(T)))
        before = op("ReduceMax", before, axes=[2], keepdims=1)  # (B, T, 1)
        after = op("ReduceMin", after, axes=[2], keepdims=1)
        first = op("Where", op("Less", before, const(0.0)), op("Min", after, const(T - 1.0)), before)
        last = op("Where", op("Greater", after, const(T - 0.5)), op("Max", before, const(0.0)), after)
        pelvis = op("Gather", xy, const(np.int64(H36M.PELVIS)), axis=2)  # (B, T, 2)
        a, b = (
            op("GatherND", pelvis, op("Cast", index, to=TensorProto.INT64), batch_dims=1) for index in (first, last)
        )
        weight = op(
            "Div",
            op("Sub", const(frame[:, None].astype(np.float32)), first),
            op("Max", op("Sub", last, first), const(1.0)),
        )
        centre = op("Add", a, op("Mul", weight, op("Sub", b, a)))

        # the size: the lower median over the frames that show two joints or more, found by sorting
        high = op("ReduceMax", op("Where", found, xy, const(-math.inf)), axes=[2], keepdims=0)
        low = op("ReduceMin", op("Where", found, xy, const(math.inf)), axes=[2], keepdims=0)
        count = self.total(op("Cast", found, to=TensorProto.INT64), 2)  # (B, T, 1)
        seen = op("GreaterOrEqual", count, const(np.int64(2)))
        side = op("ReduceMax", op("Sub", high, low), axes=[2], keepdims=1)
        side = op("Where", seen, side, const(math.inf))
        rising, _ = self.ops(
            "TopK", side, const([T]), outputs=[self.fresh("rising"), self.fresh("order")], axis=1, largest=0
        )
        middle = op("Sub", self.total(op("Cast", seen, to=TensorProto.INT64), 1), const(np.int64(1)))  # (B, 1)
        middle = op("Max", op("Div", middle, const(np.int64(2))), const(np.int64(0)))
        size = op("GatherND", rising, middle, batch_dims=1)  # (B, 1)
        usable = op("And", op("Greater", size, const(0.0)), op("Not", op("IsInf", size)))
        size = self.unsqueeze(op("Where", usable, size, const(1.0)), 2, 3)

        out = op("Div", op("Sub", xy, self.unsqueeze(centre, 2)), op("Mul", size, const(0.5)))
        out = op("Where", found, op("Clip", out, const(-4.0), const(4.0)), const(0.0))
        return out if channels == 2 else op("Concat", out, score, axis=3)

    def block(self, x: str, block: Block) -> str:
        """`Block` without drop path; (B, T, V, C)."""
        wide, _, narrow = block.mlp
        assert isinstance(wide, nn.Linear)
        assert isinstance(narrow, nn.Linear)
        x = self.op("Add", x, self.mixer(self.layer_norm(x, block.norm), block.mixer))
        h = self.linear(self.layer_norm(x, block.mlp_norm), wide)
        # Gelu, spelled out: an operator of its own only since opset 20, and runtimes know this pattern
        erf = self.op("Add", self.op("Erf", self.op("Div", h, self.const(math.sqrt(2)))), self.const(1.0))
        h = self.op("Mul", self.op("Mul", h, erf), self.const(0.5))
        return self.op("Add", x, self.linear(h, narrow))

    def mixer(self, x: str, mixer: StateSpaceMixer) -> str:
        """`StateSpaceMixer`; (B, T, V, C)."""
        E = mixer.config.channels
        gate = self.silu(self.op("MatMul", x, self.const(mixer.in_proj.weight[E:].T)))
        h = self.silu(self.local(self.op("MatMul", x, self.const(mixer.in_proj.weight[:E].T)), mixer))
        y = self.layer_norm(self.scan(h, mixer), mixer.norm)
        return self.linear(self.op("Mul", y, gate), mixer.out_proj)

    def local(self, x: str, mixer: StateSpaceMixer) -> str:
        """`StateSpaceMixer._local`: the plain 3 × 3 convolution, and all taps in one GridSample; (B, T, V, E)."""
        op, const, T, V = self.op, self.const, self.T, self.V
        E, taps = mixer.config.channels, 0 if mixer.config.local == "depthwise" else mixer.config.taps_side**2
        image = self.transpose(x, 0, 3, 1, 2)
        assert mixer.conv.bias is not None
        out = op(
            "Conv", image, const(mixer.conv.weight), const(mixer.conv.bias), group=E, kernel_shape=[3, 3], pads=[1] * 4
        )
        if taps:
            # GridSample wants x before y, in -1..1 between the outer edges of the outer cells
            side = mixer.config.taps_side
            tap = np.arange(taps)
            v = np.arange(V)[None, :, None] + tap % side - side // 2
            t = np.arange(T)[:, None, None] + tap // side - side // 2
            here = np.broadcast_arrays((2 * v + 1) / V - 1, (2 * t + 1) / T - 1)
            grid = const(np.stack(here, -1).reshape(1, T, V * taps, 2))
            if taps > 1:
                assert mixer.offset.bias is not None
                scale = mixer.offset.bias.new_tensor([2 / T, 2 / V])
                weight = (mixer.offset.weight.unflatten(0, (taps, 2)) * scale[:, None, None, None]).flip(1)
                bias = (mixer.offset.bias.unflatten(0, (taps, 2)) * scale).flip(1)
                offset = op(
                    "Conv", image, const(weight.flatten(0, 1)), const(bias.flatten()), kernel_shape=[3, 3], pads=[1] * 4
                )
                offset = self.reshape(self.transpose(offset, 0, 2, 3, 1), -1, T, V * taps, 2)
                grid = op("Add", offset, grid)
            else:
                like = op("Slice", image, const([0]), const([1]), const([1]))  # (B, 1, T, V), for the batch alone
                shape = op("Concat", op("Shape", like, start=0, end=1), const([T, V, 2]), axis=0)
                grid = op("Expand", grid, shape)
            sampled = op("GridSample", image, grid, mode="bilinear", padding_mode="zeros", align_corners=0)
            # weighting and adding up the taps of each cell, which lie beside each other, is a convolution
            weight = mixer.deform.T[:, None, None]
            out = op("Add", out, op("Conv", sampled, const(weight), group=E, kernel_shape=[1, taps], strides=[1, taps]))
        return self.transpose(out, 0, 2, 3, 1)

    def scan(self, h: str, mixer: StateSpaceMixer) -> str:
        """`StateSpaceMixer._scan`: what the routes read; (B, T, V, E)."""
        kind, E, directions = mixer.config.scan_input, mixer.config.channels, mixer.config.directions
        if kind == "plain":
            return self.scan_routes(h, mixer, 0, directions)
        if kind == "stride_concat":
            one, two, three = self.ops(
                "Split",
                h,
                self.const([E - 2 * (E // 4), E // 4, E // 4]),
                outputs=[self.fresh("stride") for _ in range(3)],
                axis=3,
            )
            u = self.op("Concat", one, self.hold(two, 2), self.hold(three, 3), axis=3)
            return self.scan_routes(u, mixer, 0, directions)
        spatial = tuple(d for d in directions if d.startswith("spatial"))
        temporal = directions[len(spatial) :]
        if kind == "stride_sum":
            ahead = self.op("Sum", h, self.hold(h, 2), self.hold(h, 3))
        else:
            ahead = self.op("Add", h, self.op("Gather", h, self.const(LIMB_PARENTS), axis=2))
        parts = [
            self.scan_routes(u, mixer, first, some)
            for u, first, some in ((ahead, 0, spatial), (h, len(spatial), temporal))
            if some
        ]
        return parts[0] if len(parts) == 1 else self.op("Add", *parts)

    def hold(self, x: str, stride: int) -> str:
        """`_hold`."""
        return self.op("Gather", x, self.const([v // stride * stride for v in range(self.V)]), axis=2)

    def scan_routes(self, u: str, mixer: StateSpaceMixer, first: int, directions: tuple[Direction, ...]) -> str:
        """`StateSpaceMixer._scan_routes`, in chunks: see the module; (B, T, V, E)."""
        op, const, T, V = self.op, self.const, self.T, self.V
        E, N, R, K, L = mixer.config.channels, mixer.config.states, mixer.config.rank, len(directions), self.T * self.V
        own = slice(first, first + K)
        S = min((s for s in range(1, L + 1) if L % s == 0), key=lambda s: 2 * s + L // s)
        P = L // S
        routes = routes_of(T, V, directions, torch.device("cpu")).numpy()  # (K, L): what is visited when
        visits = routes.reshape(K, P, S).transpose(2, 0, 1)  # (S, K, P)
        rows = visits + L * np.arange(K)[:, None]  # in a table (K · L, …)
        steps = np.arange(S * K * P).reshape(S, K, P).transpose(1, 2, 0).reshape(K, L)  # of route k's i-th visit
        back = np.take_along_axis(steps, np.argsort(routes, 1), 1)  # (K, L): where token l is in a table (S · K · P, …)

        tokens = self.transpose(self.reshape(u, -1, L, E), 1, 0, 2)  # (L, B, E)
        maps = op("MatMul", tokens, const(mixer.x_proj[own].flatten(0, 1).T))  # (L, B, K (R + 2 N))
        maps = self.transpose(self.reshape(maps, L, -1, K, R + 2 * N), 2, 0, 1, 3)  # (K, L, B, R + 2 N)
        dt, B, C = self.ops("Split", maps, const([R, N, N]), outputs=[self.fresh(n) for n in ("dt", "B", "C")], axis=3)
        delta = op("MatMul", self.reshape(dt, K, -1, R), const(mixer.dt_weight[own].transpose(1, 2)))
        delta = self.softplus(op("Add", delta, const(mixer.dt_bias[own][:, None])))  # (K, L B, E)
        delta = op("Gather", self.reshape(delta, K * L, -1, E), const(rows), axis=0)  # (S, K, P, B, E)
        step = op("Mul", delta, op("Gather", tokens, const(visits), axis=0))
        B, C = (op("Gather", self.reshape(m, K * L, -1, N), const(rows), axis=0) for m in (B, C))
        # channels last, so that what is repeated is repeated over long rows
        A = const(-torch.exp(mixer.A_log[own]).transpose(1, 2)[:, None, None])  # (K, 1, 1, N, E)
        decay, step = self.unsqueeze(delta, 4), self.unsqueeze(step, 4)  # (S, K, P, B, 1, E)
        B, C = self.unsqueeze(B, 5), self.unsqueeze(C, 5)  # (S, K, P, B, N, 1)

        batch = op("Shape", tokens, start=1, end=2)
        shape = op("Concat", const([K, P]), batch, const([N, E]), axis=0)
        empty = op("Expand", const(0.0), shape)  # (K, P, B, N, E)
        chunk, last = self.loop("chunk", {"h": empty, "d": decay, "s": step, "B": B}, A)
        assert last is None
        whole = op("Exp", op("Mul", self.total(decay, 0), A))  # (K, P, B, N, E), a chunk's decay from end to end
        start = op("Expand", const(0.0), op("Concat", const([K]), batch, const([N, E]), axis=0))
        by_chunk = {n: self.transpose(x, 1, 0, 2, 3, 4) for n, x in (("a", whole), ("e", chunk))}
        _, starts = self.loop("between", {"h": start, **by_chunk}, A)
        assert starts is not None
        given = self.transpose(starts, 1, 0, 2, 3, 4)
        _, y = self.loop("whole", {"h": given, "d": decay, "s": step, "B": B, "C": C}, A)
        assert y is not None  # (S, K, P, B, E)

        y = op("Gather", self.reshape(y, S * K * P, -1, E), const(back), axis=0)  # (K, L, B, E)
        y = op("Add", self.total(y, 0), op("Mul", tokens, const(mixer.D[own].sum(0))))
        return self.reshape(self.transpose(y, 1, 0, 2), -1, T, V, E)

    def loop(self, kind: str, inputs: dict[str, str], A: str) -> tuple[str, str | None]:
        """One Scan over the first axis of every input but the state "h"; A is seen from within.

        Args:
            kind: "chunk": h ← exp(d A) h + s B. "whole": the same, and out comes Σ C h over the states.
                "between": h ← a h + e, and out comes h as it was before.

        Returns:
            The last state, and what came out stacked along the first axis.
        """
        mark = self.fresh(kind)
        nodes: list[onnx.NodeProto] = []

        def node(op: str, a: str, b: str, out: str) -> str:
            nodes.append(helper.make_node(op, [a, b] if b else [a], [f"{mark}_{out}"]))
            return f"{mark}_{out}"

        name = {n: f"{mark}_in_{n}" for n in inputs}
        if kind == "between":
            decay, gain = name["a"], name["e"]
        else:
            decay = node("Exp", node("Mul", name["d"], A, "dA"), "", "a")
            gain = node("Mul", name["s"], name["B"], "b")
        state = node("Add", node("Mul", decay, name["h"], "ah"), gain, "h")
        out = []
        if kind == "between":
            out = [node("Identity", name["h"], "", "before")]
        elif kind == "whole":
            read = node("Mul", state, name["C"], "hC")
            out = [f"{mark}_y"]
            nodes.append(helper.make_node("ReduceSum", [read, self.const([-2])], out, keepdims=0))

        def info(n: str) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(n, TensorProto.FLOAT, None)

        body = helper.make_graph(nodes, mark, [info(n) for n in name.values()], [info(n) for n in (state, *out)])
        outputs = [f"{mark}_last", *(f"{mark}_all" for _ in out)]
        self.ops("Scan", *inputs.values(), outputs=outputs, body=body, num_scan_inputs=len(inputs) - 1)
        return outputs[0], outputs[1] if out else None
