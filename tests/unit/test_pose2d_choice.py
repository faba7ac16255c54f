"""Which 2D backend runs, and what is said about it, with and without a network, weights, packages and a GPU."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
import torch

from sasmamba.app import pose2d, weights
from sasmamba.app.pose2d import open_pose2d
from sasmamba.app.types import UserError
from sasmamba.models.hrnet import HRNET_W32, HRNet


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
    path = tmp_path / "pose_hrnet_w32_384x288.pth"
    torch.save(HRNet(HRNET_W32).state_dict(), path)
    return path


def opened(caplog: pytest.LogCaptureFixture, **options: object) -> tuple[Named, list[str]]:
    with caplog.at_level(logging.INFO, "sasmamba"):  # a command run before may have been told to be quiet
        backend = open_pose2d("auto", max_people=3, every=2, **options)  # type: ignore[arg-type]
    return backend, [r.getMessage() for r in caplog.records]  # type: ignore[return-value]


def test_auto_without_hrnets_weights(caplog: pytest.LogCaptureFixture) -> None:
    backend, said = opened(caplog)
    assert isinstance(backend, Named)
    assert backend.options == {"max_people": 3, "every": 2}
    assert said == [
        "2D: MediaPipe, because HRNet's weights are not here and cannot be fetched now; "
        "`sasmamba-demo weights fetch hrnet-w32` tries again."
    ]


def test_auto_with_hrnets_weights(
    caplog: pytest.LogCaptureFixture, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "obtain", {"hrnet-w32": checkpoint}.get)
    backend, said = opened(caplog)
    assert backend.name == "hrnet"
    assert said == [
        "2D: HRNet-W32, because its weights are here; MediaPipe finds people. --pose2d mediapipe is faster."
    ]


@pytest.mark.parametrize(("device", "asked"), [("cpu", []), ("cuda", ["hrnet-w32"])])
def test_auto_live(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, device: str, asked: list[str]
) -> None:
    names: list[str] = []
    monkeypatch.setattr(weights, "obtain", names.append)
    _, said = opened(caplog, live=True, device=device)
    assert names == asked
    assert len(said) == 1
    assert said[0].startswith("2D: MediaPipe")
    assert ("too slow for live without a GPU" in said[0]) == (device == "cpu")


class TestHRNet:
    def test_weights_of_your_own(self, checkpoint: Path) -> None:
        backend = open_pose2d("hrnet", max_people=1, detector="mediapipe", weights=str(checkpoint))
        assert backend.name == "hrnet"
        assert backend._input_px == (288, 384)  # type: ignore[attr-defined]

    def test_without_a_network(self) -> None:
        with pytest.raises(UserError, match=r"hrnet-w32 is not here.*weights fetch hrnet-w32.*Or pass --pose2d mediap"):
            open_pose2d("hrnet", max_people=1)

    def test_another_name(self) -> None:
        with pytest.raises(UserError, match=r"no weights called 'hrnet-w64'; there are: .*hrnet-w48-384x288") as caught:
            open_pose2d("hrnet", max_people=1, weights="hrnet-w64")
        assert caught.value.exit_code == 2

    def test_a_checkpoint_of_something_else(self, tmp_path: Path) -> None:
        torch.save({"layer4.weight": torch.zeros(1)}, tmp_path / "other.pth")
        with pytest.raises(
            UserError, match=r"a checkpoint of a ResNet, not of a pose HRNet.*or pass --pose2d mediapipe"
        ):
            open_pose2d("hrnet", max_people=1, weights=str(tmp_path / "other.pth"))


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
        with pytest.raises(ValueError, match="want one of auto, mediapipe"):
            open_pose2d("guess", max_people=1)  # type: ignore[arg-type]

    def test_every_default_is_in_the_manifest(self) -> None:
        from sasmamba.app.pose2d.detectors import YOLOX_WEIGHTS

        assert {pose2d.DEFAULT_HRNET, *YOLOX_WEIGHTS.values()} <= {e.name for e in weights.entries()}
