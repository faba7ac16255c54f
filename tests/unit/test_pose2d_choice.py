"""Which 2D backend runs, and what is said about it, with and without a network, weights, packages and a GPU."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from helpers_hrnet import tensors

from sasmamba.app import pose2d, weights
from sasmamba.app.pose2d import HRNET_INPUT_PX, choices, ensure_models, open_pose2d
from sasmamba.app.types import Frame
from sasmamba.app.weights import manifest
from sasmamba.common.errors import UserError
from sasmamba.models.hrnet import HRNET_W32


class Named:
    """Stands for a backend or a detector; remembers how it was opened."""

    def __init__(self, *args: object, **options: object) -> None:
        self.args, self.options = args, options

    def close(self) -> None: ...


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, and no network."""
    monkeypatch.setenv("SASMAMBA_WEIGHTS", str(tmp_path / "cache"))
    monkeypatch.setenv("SASMAMBA_OFFLINE", "1")
    monkeypatch.setattr("sasmamba.app.pose2d.mediapipe.MediaPipePose2D", Named)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "pose_hrnet_w32_384x288.pth"  # its name says nothing that counts
    torch.save(tensors(HRNET_W32), path)
    return path


def as_published(monkeypatch: pytest.MonkeyPatch, path: Path, name: str) -> None:
    """Makes a file that of a name in the weights manifest."""
    prefix = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    source = manifest.Source(url="https://example.org/hrnet.pth", sha256_prefix=prefix)
    entries = [replace(e, sources=(source,)) if e.name == name else e for e in weights.entries()]
    monkeypatch.setattr(weights, "entries", lambda: tuple(entries))


def opened(caplog: pytest.LogCaptureFixture, **options: object) -> tuple[Named, list[str]]:
    with caplog.at_level(logging.INFO, "sasmamba"):  # a command run before may have been told to be quiet
        backend = open_pose2d("auto", max_people=3, **options)  # type: ignore[arg-type]
    return backend, [r.getMessage() for r in caplog.records]  # type: ignore[return-value]


@pytest.fixture
def movenet(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """MoveNet's weights are here; what of it was opened, the stand-ins being as fast as nothing."""
    names: list[str] = []

    def opens(name: str) -> Callable[..., Named]:
        def open_it(threads: int = 1, precision: str = "auto") -> Named:
            names.append(name)
            return Named(name)

        return open_it

    networks = ModuleType("movenet_networks")
    for name in ("thunder", "lightning", "multipose"):
        setattr(networks, f"open_{name}", opens(name))
    monkeypatch.setitem(sys.modules, "sasmamba.app.pose2d.movenet_networks", networks)
    monkeypatch.setattr(weights, "obtain", {"movenet": Path("movenet.zip")}.get)
    monkeypatch.setattr("sasmamba.app.pose2d.crop_network.crop_ms", lambda network: 10.0)
    return names


class TestAuto:
    def test_nothing_but_mediapipe_can_be_had(self, caplog: pytest.LogCaptureFixture) -> None:
        backend, said = opened(caplog)
        assert isinstance(backend, Named)
        assert backend.options == {"max_people": 3}
        assert said == [
            "2D: MediaPipe, because HRNet's weights are not here and cannot be fetched now (`sasmamba-demo weights "
            "fetch hrnet-w32` tries again), and MoveNet's weights are not here either; `sasmamba-demo weights fetch "
            "movenet` tells what is in the way."
        ]

    def test_hrnet_can_be_had(
        self, caplog: pytest.LogCaptureFixture, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, movenet: list[str]
    ) -> None:
        monkeypatch.setattr(weights, "obtain", {"hrnet-w32": checkpoint, "movenet": checkpoint}.get)
        backend, said = opened(caplog)
        assert backend.name == "hrnet"
        assert movenet == ["multipose"]
        assert said == [
            "2D: HRNet-W32, because its weights are here; MoveNet MultiPose finds people. --pose2d movenet is faster."
        ]

    def test_movenet_can_be_had(self, caplog: pytest.LogCaptureFixture, movenet: list[str]) -> None:
        backend, said = opened(caplog)
        assert backend.name == "movenet"
        assert movenet == ["thunder", "multipose"]
        assert said == [
            "2D: MoveNet Thunder, because HRNet's weights are not here and cannot be fetched now (`sasmamba-demo "
            "weights fetch hrnet-w32` tries again)."
        ]

    @pytest.mark.parametrize(("device", "asked"), [("cpu", ["movenet"]), ("cuda", ["hrnet-w32", "movenet"])])
    def test_live(
        self,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
        movenet: list[str],
        device: str,
        asked: list[str],
    ) -> None:
        names: list[str] = []

        def obtain(name: str) -> Path | None:
            names.append(name)
            return Path("movenet.zip") if name == "movenet" else None

        monkeypatch.setattr(weights, "obtain", obtain)
        _, said = opened(caplog, live=True, device=device)
        assert names == asked
        assert len(said) == 1
        assert said[0].startswith("2D: MoveNet Thunder")
        assert ("too slow for live without a GPU" in said[0]) == (device == "cpu")

    def test_live_on_a_slow_machine(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, movenet: list[str]
    ) -> None:
        monkeypatch.setattr("sasmamba.app.pose2d.crop_network.crop_ms", lambda network: 60.0)
        backend, said = opened(caplog, live=True)
        assert backend.name == "movenet-lightning"
        assert movenet == ["thunder", "lightning", "multipose"]
        assert said[0].startswith("2D: MoveNet Lightning")


class TestMoveNet:
    @pytest.mark.parametrize(("name", "opened"), [("movenet", "thunder"), ("movenet-lightning", "lightning")])
    def test_by_name(self, movenet: list[str], name: str, opened: str) -> None:
        assert open_pose2d(name, max_people=1).name == name  # type: ignore[arg-type]
        assert movenet == [opened, "multipose"]

    def test_weights_of_your_own(self) -> None:
        with pytest.raises(UserError, match="movenet has weights of its own; leave --pose2d-weights out") as caught:
            open_pose2d("movenet", max_people=1, weights="other.onnx")
        assert caught.value.exit_code == 2


def cut_by(backend: Any) -> tuple[int, int]:
    """Width and height of the crops that a backend shows its network."""
    shown: list[torch.Size] = []

    def network(images: torch.Tensor) -> torch.Tensor:
        shown.append(images.shape)
        return torch.zeros(len(images), 17, images.shape[2] // 4, images.shape[3] // 4)

    estimator = backend._estimator
    estimator._network = network
    estimator(Frame(0, Fraction(0), np.zeros((480, 640, 3), np.uint8)), np.array([[100, 50, 300, 400]], np.float32))
    return shown[0][3], shown[0][2]


class TestHRNet:
    @pytest.mark.parametrize("size", [(192, 256), (288, 384)])
    def test_weights_of_your_own(self, checkpoint: Path, size: tuple[int, int]) -> None:
        backend = open_pose2d("hrnet", max_people=1, detector="mediapipe", weights=str(checkpoint), input_px=size)
        assert backend.name == "hrnet"
        assert cut_by(backend) == size

    def test_weights_of_your_own_whose_size_nobody_says(self, checkpoint: Path) -> None:
        with pytest.raises(UserError, match=r"does not say which size .* --pose2d-size, height first, 256x192 or") as e:
            open_pose2d("hrnet", max_people=1, detector="mediapipe", weights=str(checkpoint))
        assert e.value.exit_code == 2

    @pytest.mark.parametrize("name", ["hrnet-w32", "hrnet-w32-384x288"])
    def test_a_published_file_is_known_whatever_it_is_called(
        self, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        as_published(monkeypatch, checkpoint, name)
        path = str(checkpoint.rename(checkpoint.with_name("mine.pth")))
        want = HRNET_INPUT_PX[name]
        assert cut_by(open_pose2d("hrnet", max_people=1, detector="mediapipe", weights=path)) == want
        assert cut_by(open_pose2d("hrnet", max_people=1, detector="mediapipe", weights=path, input_px=want)) == want
        other = (96, 128)
        with pytest.raises(UserError, match=rf"was trained on crops of {want[1]}x{want[0]}: leave --pose2d-size out"):
            open_pose2d("hrnet", max_people=1, detector="mediapipe", weights=path, input_px=other)

    def test_every_hrnet_of_the_manifest_has_a_size(self) -> None:
        published = {e.name: e for e in weights.entries() if e.name.startswith("hrnet")}
        assert set(published) == set(HRNET_INPUT_PX)
        for name, (width, height) in HRNET_INPUT_PX.items():
            assert all(f"{height}x{width}" in str(source.url) for source in published[name].sources)

    def test_without_a_network(self) -> None:
        with pytest.raises(UserError, match=r"hrnet-w32 is not here.*weights fetch hrnet-w32.*Or pass --pose2d mediap"):
            open_pose2d("hrnet", max_people=1)

    def test_another_name(self) -> None:
        with pytest.raises(UserError, match=r"HRNet called 'hrnet-w64'; there are: .*hrnet-w48-384x288") as caught:
            open_pose2d("hrnet", max_people=1, weights="hrnet-w64")
        assert "yolox" not in str(caught.value)
        assert caught.value.exit_code == 2

    def test_a_checkpoint_of_something_else(self, tmp_path: Path) -> None:
        torch.save({"layer4.weight": torch.zeros(1)}, tmp_path / "other.pth")
        size = (192, 256)
        with pytest.raises(
            UserError, match=r"a checkpoint of a ResNet, not of a pose HRNet.*or pass --pose2d mediapipe"
        ):
            open_pose2d("hrnet", max_people=1, weights=str(tmp_path / "other.pth"), input_px=size)


class TestOthers:
    def test_mediapipes_model_of_your_own(self, tmp_path: Path) -> None:
        (tmp_path / "lite.task").touch()
        backend = open_pose2d("mediapipe", max_people=2, weights=str(tmp_path / "lite.task"))
        assert backend.args == (tmp_path / "lite.task",)  # type: ignore[attr-defined]
        with pytest.raises(UserError, match=r"--pose2d-weights: there is no file none\.task"):
            open_pose2d("mediapipe", max_people=2, weights="none.task")

    def test_openmmlab_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "mmpose", None)
        with pytest.raises(UserError, match=r"needs mmpose .*tools/install_openmmlab.sh installs it, or pass --pose2d"):
            open_pose2d("openmmlab", max_people=1)

    def test_an_unknown_name(self) -> None:
        with pytest.raises(ValueError, match="want one of auto, movenet"):
            open_pose2d("guess", max_people=1)  # type: ignore[arg-type]

    def test_what_is_to_be_fetched_for_whom(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[str] = []
        monkeypatch.setattr(weights, "ensure", lambda name, **_: asked.append(name) or Path(name))
        monkeypatch.setattr("sasmamba.app.pose2d.detectors.has_onnxruntime", lambda: True)
        for backend, detector, here, want in (
            ("mediapipe", "auto", (), ["pose-landmarker-full"]),
            ("auto", "auto", (), ["pose-landmarker-full"]),
            ("auto", "auto", ("hrnet-w32", "yolox-s"), []),
            ("auto", "auto", ("hrnet-w32",), ["pose-landmarker-full"]),
            ("auto", "auto", ("movenet",), ["movenet"]),
            ("auto", "auto", ("hrnet-w32", "movenet"), ["movenet"]),
            ("movenet-lightning", "auto", (), ["movenet"]),
            ("hrnet", "multipose", (), ["hrnet-w32", "movenet"]),
            ("hrnet", "yolox-tiny", (), ["hrnet-w32", "yolox-tiny"]),
            ("hrnet", "mediapipe", (), ["hrnet-w32", "pose-landmarker-full"]),
            ("openmmlab", "rtmdet", (), []),
        ):
            monkeypatch.setattr(weights, "obtain", lambda name, here=here: Path(name) if name in here else None)
            ensure_models(backend, detector)  # type: ignore[arg-type]
            assert asked == want, (backend, detector, here)
            asked.clear()

    def test_every_default_is_in_the_manifest(self) -> None:
        from sasmamba.app.pose2d.detector_choice import YOLOX_WEIGHTS

        assert {choices.DEFAULT_HRNET, pose2d.MOVENET, *YOLOX_WEIGHTS.values()} <= {e.name for e in weights.entries()}
