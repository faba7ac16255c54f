"""HRNet's size and shapes, and what its loader reads and refuses."""

from __future__ import annotations

import builtins
import os
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from helpers_hrnet import shapes, tensors

from sasmamba.models.hrnet import HRNET_W32, HRNET_W48, HRNet, HRNetConfig, load_hrnet
from sasmamba.models.tensorfile import CheckpointError


def mmpose(original: OrderedDict[str, torch.Tensor], head: str) -> OrderedDict[str, torch.Tensor]:
    return OrderedDict((f"{head if k.startswith('final_layer') else 'backbone'}.{k}", v) for k, v in original.items())


class TestNetwork:
    @pytest.mark.parametrize(("config", "millions"), [(HRNET_W32, 28.5), (HRNET_W48, 63.6)])
    def test_as_many_parameters_as_in_the_paper(self, config: HRNetConfig, millions: float) -> None:
        with torch.device("meta"):
            count = sum(p.numel() for p in HRNet(config).parameters())
        assert round(count / 1e6, 1) == millions

    @pytest.mark.parametrize("input_px", [(192, 256), (288, 384)])
    def test_heatmaps_are_a_quarter(self, input_px: tuple[int, int]) -> None:
        with torch.device("meta"):
            heat = HRNet()(torch.zeros(2, 3, input_px[1], input_px[0]))
        assert heat.shape == (2, 17, input_px[1] // 4, input_px[0] // 4)

    def test_forward_and_backward(self) -> None:
        network = HRNet(HRNetConfig(width=8))
        heat = network(torch.randn(2, 3, 64, 32))
        assert heat.isfinite().all()
        heat.square().mean().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in network.parameters())

    @pytest.mark.parametrize("shape", [(1, 3, 256, 200), (1, 4, 256, 192), (3, 256, 192)])
    def test_wrong_shapes(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match="images: want"):
            HRNet(HRNetConfig(width=8))(torch.zeros(shape))

    def test_names_are_the_authors(self) -> None:
        """Some of the 1754 names in `pose_hrnet_w48_256x192.pth`, one of every kind."""
        got = dict(shapes(HRNET_W48))
        for name, shape in {
            "conv1.weight": (64, 3, 3, 3),
            "bn2.running_var": (64,),
            "layer1.0.downsample.1.num_batches_tracked": (),
            "layer1.3.conv1.weight": (64, 256, 1, 1),
            "transition1.0.0.weight": (48, 256, 3, 3),
            "transition1.1.0.0.weight": (96, 256, 3, 3),
            "stage2.0.branches.1.3.conv2.weight": (96, 96, 3, 3),
            "stage2.0.fuse_layers.0.1.0.weight": (48, 96, 1, 1),
            "transition2.2.0.1.bias": (192,),
            "stage3.3.fuse_layers.2.0.0.0.weight": (48, 48, 3, 3),
            "stage3.3.fuse_layers.2.0.1.0.weight": (192, 48, 3, 3),
            "transition3.3.0.0.weight": (384, 192, 3, 3),
            "stage4.1.fuse_layers.3.0.2.1.weight": (384,),
            "stage4.2.fuse_layers.0.3.1.running_mean": (48,),
            "final_layer.bias": (17,),
        }.items():
            assert got.pop(name) == shape, name
        assert len(got) == 1754 - 15
        assert not any(name.startswith(("stage4.2.fuse_layers.1", "transition2.0", "transition3.1")) for name in got)


class TestLoading:
    @pytest.mark.parametrize("config", [HRNET_W32, HRNET_W48], ids=["w32", "w48"])
    @pytest.mark.parametrize("layout", ["authors", "authors, old format", "mmpose 0", "mmpose 1"])
    def test_published_layouts(self, config: HRNetConfig, layout: str, tmp_path: Path) -> None:
        path, original = tmp_path / "hrnet.pth", tensors(config)
        content: dict[str, Any] = {
            "authors": original,
            "authors, old format": original,
            "mmpose 0": {"meta": {"epoch": 210}, "state_dict": mmpose(original, "keypoint_head")},
            "mmpose 1": {"meta": {"cfg": "…"}, "state_dict": mmpose(original, "head"), "message_hub": {}},
        }[layout]
        torch.save(content, path, _use_new_zipfile_serialization="old" not in layout)
        before = path.read_bytes()
        network = load_hrnet(path)
        assert network.config == config
        assert not network.training
        for name, got in network.state_dict().items():
            assert torch.equal(got, original[name]), name
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    def test_foreign_objects_beside_the_tensors_are_left_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As MMEngine writes them; the package that knows their class is not here when they are read."""

        class HistoryBuffer:
            def __init__(self) -> None:
                self._log_history = np.arange(3.0)

        HistoryBuffer.__module__, HistoryBuffer.__qualname__ = "mmengine_of_another_day", "HistoryBuffer"
        module = ModuleType("mmengine_of_another_day")
        module.HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
        path, original = tmp_path / "hrnet.pth", tensors()
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module.__name__, module)
            hub = {"log_scalars": {"loss": HistoryBuffer()}, "sigmas": np.ones(17), "call": builtins.getattr}
            torch.save({"message_hub": hub, "state_dict": mmpose(original, "head")}, path)
        network = load_hrnet(path)
        assert torch.equal(network.conv1.weight, original["conv1.weight"])
        assert module.__name__ not in sys.modules

    @pytest.mark.parametrize("call", [os.system, eval], ids=["system", "eval"])
    def test_code_in_a_file_is_not_run(self, call: Any, tmp_path: Path) -> None:
        trace = tmp_path / "trace"

        class Trap:
            def __reduce__(self) -> tuple:
                return call, (f"touch {trace}" if call is os.system else f"open({str(trace)!r}, 'w')",)

        path = tmp_path / "hrnet.pth"
        torch.save({"state_dict": tensors(), "trap": Trap()}, path)
        if call is os.system:
            with pytest.raises(CheckpointError, match="not a PyTorch checkpoint that can be read safely"):
                load_hrnet(path)
        else:
            assert load_hrnet(path).config == HRNET_W32
        assert not trace.exists()

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (tensors(HRNetConfig(18)), "is a checkpoint of HRNet-W18; W32 and W48 are what runs here"),
            (tensors(HRNetConfig(32, joints=16)), "is an HRNet-W32 for 16 joints, not for COCO's 17"),
            ({"layer4.0.conv1.weight": torch.ones(1)}, "is a checkpoint of a ResNet, not of a pose HRNet"),
            (
                {"state_dict": {"backbone.layer4.0.bn1.bias": torch.ones(1), "bbox_head.conv.bias": torch.ones(1)}},
                "is a checkpoint of an object detector, not of a pose HRNet",
            ),
            (
                tensors() | {"incre_modules.0.0.conv1.weight": torch.ones(1)},
                "is a checkpoint of an HRNet that classifies pictures, not of a pose HRNet",
            ),
            ({"blocks.0.attn.qkv.weight": torch.ones(1)}, "is a checkpoint of a vision transformer, not of"),
            ({"lstm.weight": torch.ones(1)}, "is a checkpoint of a network with tensors such as 'lstm.weight', not of"),
            ({}, "is a checkpoint of a network with tensors such as 'none', not of"),
            ({"a": 1}, "holds a dict, not the tensors of a network"),
            (torch.ones(3), "holds a Tensor, not the tensors of a network"),
        ],
    )
    def test_mismatches_are_named(self, content: Any, sentence: str, tmp_path: Path) -> None:
        path = tmp_path / "other.pth"
        torch.save(content, path)
        with pytest.raises(CheckpointError) as caught:
            load_hrnet(path)
        assert str(caught.value).startswith(f"{path} {sentence}")

    @pytest.mark.parametrize("change", ["missing", "extra", "shape"])
    def test_strict(self, change: str, tmp_path: Path) -> None:
        content = tensors()
        if change == "missing":
            del content["stage3.1.branches.0.0.conv1.weight"]
        elif change == "extra":
            content["stage3.1.extra"] = torch.ones(1)
        else:
            content["bn1.weight"] = torch.ones(65)
        path = tmp_path / "hrnet.pth"
        torch.save(content, path)
        with pytest.raises(CheckpointError, match="looks like an HRNet-W32, but its tensors do not fit"):
            load_hrnet(path)

    @pytest.mark.parametrize("content", [b"", b"<html>Not found</html>", b"PK\x03\x04 cut off", None])
    def test_no_checkpoint(self, content: bytes | None, tmp_path: Path) -> None:
        path = tmp_path / "hrnet.pth"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"hrnet\.pth (cannot be read|is not a PyTorch checkpoint)"):
            load_hrnet(path)
