"""GLSMamba: its routes, its merging and its windows against slow spellings of their own, and the paper's counts."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from helpers_benchmarks import benchmark
from safetensors.torch import load_file, save_file
from torch import nn
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from sasmamba.models import vitpose
from sasmamba.models.glsmamba import (
    GLSMAMBA_B,
    GLSMAMBA_H,
    ChannelAttention,
    GLSMamba,
    GLSMambaConfig,
    SingleFrameHead,
    WindowScan,
    count_parameters,
    spatial_embedding,
)
from sasmamba.models.glsmamba_checkpoint import BackboneRecord, load_glsmamba, save_glsmamba
from sasmamba.models.spacetime import (
    ALL_ROUTES,
    Compensation,
    RouteScans,
    deform_depthwise,
    deform_depthwise_reference,
    scan_orders,
)
from sasmamba.models.tensorfile import CheckpointError

CPU = torch.device("cpu")
TINY = GLSMambaConfig(
    backbone_channels=6,
    width=8,
    frames=3,
    gsm_blocks=2,
    lrm_blocks=1,
    window=(4, 2),
    deconv_channels=(5, 6),
    states=3,
    ffn_ratio=2,
    attention_reduction=2,
    offset_channels=4,
)


def tiny(backend: Any = "auto", **changed: Any) -> GLSMamba:
    """A small model whose every part does something: nothing is left at the zeros it starts with."""
    torch.manual_seed(0)
    model = GLSMamba(replace(TINY, **changed), backend)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
        model.head.weight += torch.randn_like(model.head.weight)
    return model.eval()


def features(frames: int = 3, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, frames, 6, 2, 2, generator=torch.Generator().manual_seed(1))


class TestRoutes:
    @pytest.mark.parametrize("size", [(5, 4, 3), (1, 3, 4), (3, 1, 1)])
    def test_orders(self, size: tuple[int, int, int]) -> None:
        T, h, w = size
        for i in range(T * h * w):
            # the panorama of all frames side by side, T · w columns: by rows, by columns; then through time
            row, x = divmod(i, T * w)
            unified = (x // w, row, x % w)
            x, row = divmod(i, h)
            space = (x // w, row, x % w)
            pixel, frame = divmod(i, T)
            time = (frame, pixel // w, pixel % w)
            for route, (t, r, c) in (("unified", unified), ("space", space), ("time", time)):
                forward, backward = scan_orders(T, h, w, route, CPU)  # type: ignore[arg-type]
                assert forward[i] == (t * h + r) * w + c, route
                assert backward[T * h * w - 1 - i] == forward[i], route

    @pytest.mark.parametrize("route", ALL_ROUTES)
    def test_what_comes_before_is_seen(self, route: Any) -> None:
        """With the way back silenced, a token depends on exactly those that its route visits up to it."""
        torch.manual_seed(0)
        T, h, w = 3, 2, 4
        scans = RouteScans(4, 1, 2, (1e-1, 1.0))
        with torch.no_grad():
            scans.x_proj[1] = 0
            scans.D[1] = 0
        order = scan_orders(T, h, w, route, CPU)
        u = torch.randn(1, T * h * w, 4, requires_grad=True)
        (y,) = scans(u, [order])
        place = torch.argsort(order[0])
        for token in (0, 7, 23):
            (gradient,) = torch.autograd.grad(y[0, token].sum(), u, retain_graph=True)
            seen = gradient[0].abs().sum(-1) > 0
            assert torch.equal(seen, place <= place[token])

    def test_reverse_is_inverted(self) -> None:
        """Without states each way is D · u, which must come back to where it was."""
        scans = RouteScans(4, 3, 2, (1e-3, 1e-1))
        with torch.no_grad():
            scans.x_proj.zero_()
            scans.D.copy_(torch.randn(6, 4))
        u = torch.randn(2, 24, 4)
        got = scans(u, [scan_orders(3, 2, 4, route, CPU) for route in ALL_ROUTES])
        for route in range(3):
            assert_close(got[route], u * (scans.D[2 * route] + scans.D[2 * route + 1]))


def deform_in_loops(x: Any, offset: Any, modulation: Any, weight: Any) -> torch.Tensor:
    """DCNv2's Equation 1, one number after another."""
    n, h, w, E = x.shape
    out = torch.zeros_like(x)
    for i in range(n):
        for r in range(h):
            for c in range(w):
                for tap in range(9):
                    y, x_ = r + tap // 3 - 1 + float(offset[i, r, c, tap, 0]), 0.0
                    x_ = c + tap % 3 - 1 + float(offset[i, r, c, tap, 1])
                    for yy in (math.floor(y), math.floor(y) + 1):
                        for xx in (math.floor(x_), math.floor(x_) + 1):
                            if 0 <= yy < h and 0 <= xx < w:
                                share = (1 - abs(y - yy)) * (1 - abs(x_ - xx)) * float(modulation[i, r, c, tap])
                                for e in range(E):
                                    out[i, r, c, e] += share * float(weight[tap, e]) * float(x[i, yy, xx, e])
    return out


class TestDeform:
    @staticmethod
    def inputs(dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
        torch.manual_seed(0)
        shapes = (2, 3, 4, 5), (2, 3, 4, 9, 2), (2, 3, 4, 9), (9, 5)
        x, offset, modulation, weight = (torch.randn(s, dtype=dtype) for s in shapes)
        return [x, 1.5 * offset, modulation.sigmoid(), weight]

    @pytest.mark.parametrize("reference", [False, True])
    def test_against_loops(self, reference: bool) -> None:
        inputs = self.inputs()
        assert_close(deform_depthwise(*inputs, reference=reference), deform_in_loops(*inputs), atol=1e-5, rtol=1e-5)

    def test_gradients(self) -> None:
        found = []
        for function in (deform_depthwise, deform_depthwise_reference):
            inputs = [t.requires_grad_() for t in self.inputs()]
            function(*inputs).square().sum().backward()
            found.append([t.grad for t in inputs])
        for fast, slow in zip(*found, strict=True):
            assert_close(fast, slow, atol=1e-4, rtol=1e-4)

    def test_no_offset_is_a_convolution(self) -> None:
        x, offset, modulation, weight = self.inputs()
        plain = nn.functional.conv2d(x.permute(0, 3, 1, 2), weight.T.reshape(5, 1, 3, 3), padding=1, groups=5)
        got = deform_depthwise(x, 0 * offset, torch.ones_like(modulation), weight)
        assert_close(got, plain.permute(0, 2, 3, 1), atol=1e-5, rtol=1e-5)

    def test_a_stage_starts_as_half_a_convolution(self) -> None:
        """Offsets 0 and modulation 1/2 before training; then both streams steer, one is added to."""
        torch.manual_seed(0)
        stage = Compensation(4, 3)
        unified, other = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 5, 4)
        x = unified.permute(0, 3, 1, 2)
        plain = nn.functional.conv2d(x, stage.conv.depthwise.T.reshape(4, 1, 3, 3), padding=1, groups=4)
        half = nn.functional.linear(plain.permute(0, 2, 3, 1) / 2, stage.conv.pointwise, stage.conv.bias)
        assert_close(stage(unified, other), unified + half)
        assert_close(stage(unified, -other), unified + half)
        with torch.no_grad():
            stage.steer[-1].weight.normal_()
        assert (stage(unified, other) - stage(unified, -other)).abs().max() > 1e-2


class TestParts:
    def test_windows(self) -> None:
        """Each window by itself, its tokens picked by arithmetic: frame by frame, both ways, summed."""
        torch.manual_seed(0)
        scan = WindowScan(replace(TINY, window=(2, 3)), "auto")
        B, T, h, w, D = 2, 3, 4, 6, 8
        x = torch.randn(B, T, h, w, D)
        got = scan(x)
        for top in range(0, h, 2):
            for left in range(0, w, 3):
                places = [(t, top + i, left + j) for t in range(T) for i in range(2) for j in range(3)]
                inside = torch.stack([x[:, t, r, c] for t, r, c in places], 1)
                there = torch.arange(len(places))
                (want,) = scan.scans(inside, [torch.stack([there, there.flip(0)])])
                for i, (t, r, c) in enumerate(places):
                    assert_close(got[:, t, r, c], want[:, i])

    def test_channel_attention(self) -> None:
        """One factor per frame and channel, and every frame has a say in every factor."""
        torch.manual_seed(0)
        attention = ChannelAttention(4, 3, 2)
        x = torch.randn(1, 3, 2, 5, 4)
        factor = attention(x) / x
        assert_close(factor, factor[:, :, :1, :1].expand_as(factor))
        descriptors = torch.tensor([[[float(x[0, t, :, :, d].mean()) for d in range(4)] for t in range(3)]])
        assert_close(factor[:, :, 0, 0], attention.mlp(descriptors.reshape(1, 12)).sigmoid().view(1, 3, 4))
        changed = x.clone()
        changed[:, 2] += 1
        assert ((attention(changed) / changed - factor)[0, 0, 0, 0].abs() > 1e-4).all()

    def test_spatial_embedding(self) -> None:
        got = spatial_embedding(3, 5, 8)
        for r in range(3):
            for c in range(5):
                want = [f(p / 10000 ** (i / 4)) for p in (r, c) for i in (0, 2) for f in (math.sin, math.cos)]
                assert_close(got[r, c], torch.tensor(want))

    def test_merging(self) -> None:
        """Space compensates the unified stream first, and time what comes of it, each frame by itself (Eq. 7, 8)."""
        scan, x = tiny().blocks[0].scan, torch.randn(2, 3, 4, 5, 8)
        streams = scan.scans(x.reshape(2, 60, 8), [scan_orders(3, 4, 5, route, CPU) for route in ALL_ROUTES])
        unified, space, time = (y.view(2, 3, 4, 5, 8) for y in streams)
        got = scan(x)
        for b in range(2):
            for t in range(3):
                one = scan.merge[0](unified[b, t][None], space[b, t][None])
                assert_close(got[b, t], scan.merge[1](one, time[b, t][None])[0], atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize("local", [False, True])
    def test_block(self, local: bool) -> None:
        """The scan of what is attended to, times the gate, through the FFN, beside the input."""
        block, x = tiny().blocks[2 if local else 0], torch.randn(2, 3, 4, 4, 8)
        assert isinstance(block.scan, WindowScan) == local

        def norm(y: torch.Tensor, layer: Any) -> torch.Tensor:
            y = (y - y.mean(-1, keepdim=True)) / (y.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
            return y * layer.weight + layer.bias

        main = norm(x if local else block.attention(x), block.norm)
        main = block.scan(main * main.sigmoid())
        gate = torch.zeros_like(x)
        around = nn.functional.pad(x, (0, 0, 1, 1, 1, 1))
        for i in range(3):
            for j in range(3):
                gate += around[:, :, i : i + 4, j : j + 4] * block.gate.weight[:, 0, i, j]
        gate = norm(gate + block.gate.bias, block.gate_norm)
        want = x + block.ffn(norm(main * gate * gate.sigmoid(), block.ffn_norm))
        assert_close(block(x), want, atol=1e-4, rtol=1e-4)


class TestModel:
    def test_without_blocks(self) -> None:
        """Eq. 4 and the head: what is upsampled and projected, plus both embeddings, summed over frames."""
        model, x = tiny(gsm_blocks=0, lrm_blocks=0), features()
        total = 0
        for t in range(3):
            up = model.upsample(x[:, t]).permute(0, 2, 3, 1)
            total = total + model.embed(up) + spatial_embedding(8, 8, 8) + model.temporal_embedding[t]
        assert_close(model(x), model.head(total.permute(0, 3, 1, 2)), atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize("merge", ["modulated", "sum"])
    def test_against_the_reference(self, merge: Any) -> None:
        found = []
        for backend in ("auto", "reference"):
            model, x = tiny(backend, merge=merge), features().requires_grad_()
            heat = model(x)
            heat.square().mean().backward()
            found.append([heat, x.grad, *(p.grad for p in model.parameters())])
        for fast, slow in zip(*found, strict=True):
            assert_close(fast, slow, atol=1e-4 * float(slow.detach().abs().max()), rtol=1e-3)

    @pytest.mark.parametrize("head", ["auto", "frames 1", "single"])
    def test_gradients_reach_every_parameter(self, head: str) -> None:
        torch.manual_seed(0)
        model: nn.Module = {
            "auto": lambda: tiny().train(),
            "frames 1": lambda: tiny(frames=1).train(),
            "single": lambda: SingleFrameHead(TINY),
        }[head]()
        x = features()[:, 0] if head == "single" else features(1 if head == "frames 1" else 3)
        heat = model(x)
        assert heat.shape == (2, 15, 8, 8)
        heat.square().sum().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name

    def test_recomputing_changes_nothing(self) -> None:
        found = []
        for recompute in (False, True):
            model = tiny().train()
            model.recompute = recompute
            model(features()).square().sum().backward()
            found.append([p.grad for p in model.parameters()])
        for plain, again in zip(*found, strict=True):
            assert_close(plain, again)

    def test_other_frames_count_and_so_does_their_order(self) -> None:
        model, x = tiny(), features()
        with torch.no_grad():
            straight = model(x)
            other, swapped = x.clone(), x[:, [2, 1, 0]]
            other[:, 2] = torch.randn_like(other[:, 2])
            assert (model(other) - straight).abs().max() > 1e-2 * straight.abs().max()
            assert (model(swapped) - straight).abs().max() > 1e-3 * straight.abs().max()

    def test_one_frame_sees_no_other(self) -> None:
        with pytest.raises(ValueError, match=r"want \(B, 1, 6, h, w\), got \(2, 3, 6, 2, 2\)"):
            tiny(frames=1)(features())

    @pytest.mark.parametrize("routes", [("unified",), ("unified", "time"), ALL_ROUTES])
    def test_time_is_a_route_of_its_own(self, routes: Any) -> None:
        """A change of one pixel in the last frame reaches the same pixel of the first; by every choice of routes."""
        scan = tiny(routes=routes).blocks[0].scan
        x = torch.randn(1, 3, 8, 8, 8, requires_grad=True)
        (gradient,) = torch.autograd.grad(scan(x)[0, 0, 4, 4].sum(), x)
        assert gradient[0, 2, 4, 4].abs().max() > 0

    @pytest.mark.parametrize(
        ("shape", "sentence"),
        [
            ((2, 3, 5, 2, 2), r"want \(B, 3, 6, h, w\)"),
            ((3, 6, 2, 2), r"want \(B, 3, 6, h, w\)"),
            ((1, 3, 6, 2, 1), None),
            ((1, 3, 6, 3, 2), None),
        ],
    )
    def test_shapes(self, shape: tuple[int, ...], sentence: str | None) -> None:
        if sentence is None:
            assert tiny()(torch.zeros(shape)).shape == (1, 15, 4 * shape[3], 4 * shape[4])
            return
        with pytest.raises(ValueError, match=sentence):
            tiny()(torch.zeros(shape))

    def test_windows_must_fit(self) -> None:
        with pytest.raises(ValueError, match=r"heatmaps of 8 × 8 do not divide into windows of \(3, 2\)"):
            tiny(window=(3, 2))(features())

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"frames": 4}, "frames: want an odd number, got 4"),
            ({"width": 6}, "width: want a multiple of 4"),
            ({"routes": ("space", "time")}, "routes: want unified and others"),
            ({"routes": ("unified", "time", "space")}, "routes: want unified and others"),
            ({"merge": "max"}, "merge: want one of"),
            ({"window": (0, 6)}, "window: want rows and columns"),
            ({"lrm_blocks": -1}, "want 0 or more"),
            ({"joints": 0}, "joints: want 1 or more"),
            ({"deconv_channels": (0,)}, "deconv_channels: want 1 or more"),
        ],
    )
    def test_impossible_configurations(self, change: dict, sentence: str) -> None:
        with pytest.raises(ValueError, match=sentence):
            replace(TINY, **change)


@pytest.fixture(scope="module")
def counts() -> ModuleType:
    return benchmark("glsmamba_counts")


class TestCounts:
    @pytest.mark.parametrize(
        ("changed", "paper", "every"),
        [
            ({"routes": ("unified",)}, 9.1, 9_371_023),
            ({"routes": ("unified", "space")}, 9.4, 9_859_835),
            ({}, 9.8, 10_348_647),
            ({"merge": "sum"}, 9.1, 9_706_895),
        ],
    )
    def test_parameters_of_table_6(self, changed: dict, paper: float, every: int) -> None:
        with torch.device("meta"):
            counted = count_parameters(GLSMamba(replace(GLSMAMBA_B, **changed)))
        assert round(counted[0] / 1e6, 1) == paper
        assert counted[1] == every

    def test_operations_of_table_6(self, counts: ModuleType) -> None:
        """Of the main layers within 0.12 G; the steps from route to route to the digit; of all layers within 1 %."""
        rows = {r["model"]: r for r in counts.rows()}
        table = [rows[name] for name in counts.ABLATIONS]
        for row in table:
            assert row["gmac_main"] == pytest.approx(row["gmac_paper"], abs=0.12)
            assert row["gmac_layers"] == pytest.approx(row["gmac_paper"], rel=0.0105)
            assert row["gmac_all"] > row["gmac_layers"]
        steps = [round(row["gmac_layers"] - table[0]["gmac_layers"], 1) for row in table]
        assert steps == [0.0, 0.7, 1.5, 0.0]
        assert rows["GLSMamba-B at 1/16 (Table 7)"]["gmac_main"] == pytest.approx(85.1, abs=0.12)

    def test_hooks_against_torchs_counter(self, counts: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        """Torch counts products as they are dispatched: layers, and the pointwise half of the deformable ones."""
        config = replace(GLSMAMBA_B, frames=3)
        work = counts.operations(config, (4, 6))
        monkeypatch.setattr(RouteScans, "forward", lambda self, u, orders: [u.clone() for _ in orders])
        monkeypatch.setattr("sasmamba.models.spacetime.deform_depthwise", lambda x, *steering, reference: x.clone())
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            GLSMamba(config).eval()(torch.empty(1, 3, 768, 4, 6))
        tokens, stages = 3 * 16 * 24, 4 * 2
        assert counter.get_total_flops() == 2 * (sum(work.layers.values()) + tokens * stages * 256**2)
        assert work.deform == tokens * stages * 256 * (256 + 9 * 6)
        assert work.scan == tokens * 28 * 256 * ((16 + 32) + 16 + 5 * 16 + 1)

    def test_the_large_one(self) -> None:
        with torch.device("meta"):
            small, large = (count_parameters(GLSMamba(c))[0] for c in (GLSMAMBA_B, GLSMAMBA_H))
        assert large - small == (1280 - 768) * 256 * 16


class TestCheckpoint:
    def test_there_and_back(self, tmp_path: Path) -> None:
        model, path, record = tiny(), tmp_path / "a.safetensors", BackboneRecord("/b/vitpose", "12" * 32)
        save_glsmamba(model, path, record, {"data": "none"})
        loaded, found = load_glsmamba(path)
        assert (loaded.config, found, loaded.training) == (TINY, record, False)
        with torch.no_grad():
            assert torch.equal(loaded(features()), model(features()))
        assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]

    def test_the_baseline(self, tmp_path: Path) -> None:
        head, path = SingleFrameHead(TINY), tmp_path / "a.safetensors"
        save_glsmamba(head, path, BackboneRecord())
        loaded, _ = load_glsmamba(path, kind="single-frame")
        assert torch.equal(loaded(features()[:, 0]), head.eval()(features()[:, 0]))
        with pytest.raises(CheckpointError, match="holds a 'single-frame', not a 'glsmamba'"):
            load_glsmamba(path)

    @pytest.mark.parametrize(
        ("metadata", "sentence"),
        [
            ({"format": "sasmamba-lifter/1"}, r"not a 2D network of this project \(format 'sasmamba-lifter/1'\)"),
            ({"joints": "nose"}, "finds other joints than PoseTrack's 15"),
            ({"config": '{"depth": 3}'}, "describes a model that this version cannot build"),
            ({"config": '{"frames": 2}'}, "cannot build .frames: want an odd number"),
            ({"config": "null"}, "cannot build"),
            ({"backbone": '{"url": "x"}'}, "cannot build"),
            ({"config": "{}"}, "its tensors do not fit its own configuration"),
        ],
    )
    def test_others(self, metadata: dict[str, str], sentence: str, tmp_path: Path) -> None:
        from safetensors import safe_open

        path = tmp_path / "a.safetensors"
        save_glsmamba(tiny(), path, BackboneRecord())
        with safe_open(path, "pt") as f:
            before = f.metadata()
        save_file(load_file(path), path, before | metadata)
        with pytest.raises(CheckpointError, match=sentence):
            load_glsmamba(path)

    @pytest.mark.parametrize("change", ["missing", "extra"])
    def test_strict(self, change: str, tmp_path: Path) -> None:
        from safetensors import safe_open

        path = tmp_path / "a.safetensors"
        save_glsmamba(tiny(), path, BackboneRecord())
        with safe_open(path, "pt") as f:
            metadata = f.metadata()
        tensors = load_file(path)
        if change == "missing":
            del tensors["embed.bias"]
        else:
            tensors["more"] = torch.ones(1)
        save_file(tensors, path, metadata)
        with pytest.raises(CheckpointError, match="its tensors do not fit its own configuration"):
            load_glsmamba(path)

    def test_no_checkpoint(self, tmp_path: Path) -> None:
        (tmp_path / "a.safetensors").write_bytes(b"<html>")
        for name in ("a.safetensors", "none.safetensors"):
            with pytest.raises(CheckpointError, match="is not a readable safetensors file"):
                load_glsmamba(tmp_path / name)


BACKBONE = {
    "model_type": "vitpose_backbone",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": [64, 48],
}


class TestViTPose:
    """The adapter beside transformers' own pose network; skipped where transformers is not installed."""

    @pytest.fixture
    def published(self, tmp_path: Path) -> tuple[Any, Path]:
        """A pose network with random weights, and where its own package has saved it."""
        transformers = pytest.importorskip("transformers")
        torch.manual_seed(0)
        backbone = transformers.VitPoseBackboneConfig(**BACKBONE, out_indices=[2])
        network = transformers.VitPoseForPoseEstimation(
            transformers.VitPoseConfig(backbone_config=backbone, use_simple_decoder=True)
        ).eval()
        network.save_pretrained(tmp_path / "vitpose")
        return network, tmp_path / "vitpose"

    def test_features(self, published: tuple[Any, Path]) -> None:
        network, folder = published
        images = torch.randn(6, 3, 64, 48)
        for path in (folder, folder / "model.safetensors"):
            backbone = vitpose.load_backbone(path)
            assert (backbone.channels, backbone.input_px, len(backbone.sha256)) == (16, (48, 64), 64)
            got = backbone.train()(images, 3)
            assert got.shape == (2, 3, 16, 4, 3)
            assert not any(p.requires_grad for p in backbone.parameters())
            assert not backbone.backbone.training
            heat = network.head(got.flatten(0, 1))
            assert_close(heat, network(images).heatmaps)

    def test_wrong_pictures(self, published: tuple[Any, Path]) -> None:
        with pytest.raises(ValueError, match=r"images: want \(B · 3, 3, 64, 48\), got \(4, 3, 64, 48\)"):
            vitpose.load_backbone(published[1])(torch.zeros(4, 3, 64, 48), 3)

    @pytest.mark.parametrize("change", ["missing", "extra", "shape", "cut off"])
    def test_strict(self, change: str, published: tuple[Any, Path]) -> None:
        weights = published[1] / "model.safetensors"
        tensors = load_file(weights)
        if change == "missing":
            del tensors["backbone.layernorm.bias"]
        elif change == "extra":
            tensors["backbone.more"] = torch.ones(1)
        else:
            tensors["backbone.layernorm.bias"] = torch.ones(3)
        save_file(tensors, weights)
        if change == "cut off":
            weights.write_bytes(weights.read_bytes()[:1000])
        with pytest.raises(CheckpointError, match=r"model\.safetensors (does not fit|is not a readable)"):
            vitpose.load_backbone(published[1])

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"model_type": "vit"}, "want a vitpose or vitpose_backbone, got model type 'vit'"),
            ({"model_type": "vitpose_backbone", "num_experts": 6}, "a mixture of experts"),
        ],
    )
    def test_other_models(self, change: dict, sentence: str, published: tuple[Any, Path]) -> None:
        (published[1] / "config.json").write_text(json.dumps(BACKBONE | change))
        with pytest.raises(CheckpointError, match=sentence):
            vitpose.load_backbone(published[1])

    def test_operations(self, counts: ModuleType) -> None:
        transformers = pytest.importorskip("transformers")
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            backbone = transformers.VitPoseBackbone(transformers.VitPoseBackboneConfig(out_indices=[12]))
            backbone(torch.empty(5, 3, 256, 192))
        assert counter.get_total_flops() == 2 * sum(counts.backbone_operations(768, 5))


class TestViTPoseAbsent:
    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"there is no .*model\.safetensors; want a folder with config\.json"):
            vitpose.load_backbone(tmp_path)

    def test_no_transformers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "transformers", None)
        with pytest.raises(ImportError, match=r"pip install 'sasmamba-demo\[vitpose\]'"):
            vitpose.build_backbone(BACKBONE)
