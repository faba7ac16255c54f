"""The OpenMMLab backend against stand-ins for its packages: what it asks of them, and what it does with their weights.

That the real packages answer to these calls is tried in an environment that holds them (tools/install_openmmlab.sh).
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sasmamba.app.pose2d import openmmlab
from sasmamba.app.pose2d.openmmlab import MmdetDetector, MMPoseEstimator, zoo_model
from sasmamba.app.pose2d.topdown import TopDownPose2D
from sasmamba.app.types import Frame
from sasmamba.common.errors import UserError

POSE = """
Models:
- {Name: hrnet-tiny, Config: configs/hrnet_tiny.py, Weights: https://zoo/hrnet_tiny-0a1b2c3d_20220909.pth}
- {Name: untrained, Config: configs/untrained.py}
- {Name: unnamed, Config: configs/unnamed.py, Weights: https://zoo/unnamed.pth}
- {Name: hands, Config: configs/hands.py, Weights: https://zoo/hands-0a1b2c3d.pth}
"""


class TopdownPoseEstimator(nn.Module):
    """Stands for MMPose's class of that name; `dataset_meta` tells the joints."""

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)
        self.dataset_meta = {"keypoint_id2name": {i: str(i) for i in range(joints)}}


class Found(SimpleNamespace):
    """mmengine's InstanceData, as far as it is used."""

    def cpu(self) -> Found:
        return self

    def numpy(self) -> Found:
        return self


class Nobody:
    def __call__(self, frame: Frame) -> np.ndarray:
        return np.zeros((0, 5), np.float32)

    def close(self) -> None: ...


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stand-ins for mmpose, mmdet and mmengine; collects the boxes that each call of MMPose got."""
    calls: list[Any] = []

    def inference_topdown(model: nn.Module, bgr: np.ndarray, boxes: np.ndarray) -> list[SimpleNamespace]:
        calls.append(boxes)
        centre = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
        return [
            SimpleNamespace(
                pred_instances=SimpleNamespace(
                    keypoints=np.repeat(c[None], 17, 1), keypoint_scores=np.full((1, 17), 1.2, np.float32)
                )
            )
            for c in centre
        ]

    def inference_detector(model: nn.Module, bgr: np.ndarray) -> SimpleNamespace:
        boxes = np.array([[1, 2, 30, 40], [1, 2, 31, 41], [5, 5, 20, 20], [-9, 0, 60, 90]], np.float32)
        scores, labels = np.array([0.8, 0.9, 0.99, 0.5], np.float32), np.array([0, 0, 16, 0])
        return SimpleNamespace(pred_instances=Found(bboxes=boxes, scores=scores, labels=labels))

    def init(config: str, checkpoint: object, device: str) -> nn.Module:
        assert checkpoint is None  # it would unpickle it
        return TopdownPoseEstimator(21 if "hands" in config else 17)

    for name, apis in (
        ("mmpose", {"init_model": init, "inference_topdown": inference_topdown}),
        ("mmdet", {"init_detector": init, "inference_detector": inference_detector}),
    ):
        package = ModuleType(name)
        package.__file__ = str(tmp_path / name / "__init__.py")
        (tmp_path / name / ".mim/configs").mkdir(parents=True)
        (tmp_path / name / ".mim/model-index.yml").write_text("Import: [configs/a.yml, configs/b.yml]\n")
        (tmp_path / name / ".mim/configs/a.yml").write_text("Models: []\n")
        (tmp_path / name / ".mim/configs/b.yml").write_text(POSE)
        monkeypatch.setitem(sys.modules, name, package)
        monkeypatch.setitem(sys.modules, f"{name}.apis", SimpleNamespace(**apis))  # type: ignore[arg-type]
    scopes = SimpleNamespace(overwrite_default_scope=lambda package: nullcontext())
    monkeypatch.setitem(sys.modules, "mmengine", ModuleType("mmengine"))
    monkeypatch.setitem(sys.modules, "mmengine.registry", SimpleNamespace(DefaultScope=scopes))  # type: ignore[arg-type]
    monkeypatch.setenv("SASMAMBA_WEIGHTS", str(tmp_path / "cache"))
    monkeypatch.setenv("SASMAMBA_OFFLINE", "1")
    return calls


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "mine.pth"
    torch.save({"meta": {"epoch": 3}, "state_dict": TopdownPoseEstimator(17).state_dict()}, path)
    return path


def test_joints_of_every_box(asked: list[Any], checkpoint: Path) -> None:
    with MMPoseEstimator("hrnet-tiny", checkpoint) as estimator:
        corners = np.arange(30, dtype=np.float32)[:, None] * 10
        boxes = np.concatenate([corners, corners, corners + 8, corners + 20], 1)
        frame = Frame(0, Fraction(0), np.zeros((400, 400, 3), np.uint8))
        joints, score = estimator(frame, boxes)
        assert [len(b) for b in asked] == [16, 14]
        np.testing.assert_allclose(joints[:, 5], (boxes[:, :2] + boxes[:, 2:]) / 2)
        assert (score == 1).all()
        asked.clear()
        assert estimator(frame, boxes[:0])[0].shape == (0, 17, 2)
        assert TopDownPose2D(estimator, Nobody())(frame) == ()
        assert asked == []  # of no boxes MMPose would make one
    with pytest.raises(ValueError, match="closed"):
        estimator(frame, boxes)


@pytest.mark.usefixtures("asked")
class TestWeights:
    @pytest.mark.parametrize(
        ("model", "says"),
        [
            ("nothing", "mmpose has no published weights for a model called 'nothing'"),
            ("untrained", "no published weights for a model called 'untrained'"),
            ("unnamed", "https://zoo/unnamed.pth has no checksum in its name"),
            (
                "hrnet-tiny",
                r"Fetch https://zoo/hrnet_tiny-0a1b2c3d_20220909.pth where there .*, or pass --pose2d mediap",
            ),
        ],
    )
    def test_cannot_be_had(self, model: str, says: str) -> None:
        with pytest.raises(UserError, match=says):
            MMPoseEstimator(model)

    def test_those_of_the_manifest_come_from_there(self, monkeypatch: pytest.MonkeyPatch, checkpoint: Path) -> None:
        published = zoo_model("mmpose", "hrnet-tiny").weights_url
        source = openmmlab.manifest.Source(url=published, sha256_prefix="0a1b2c3d")
        entry = openmmlab.manifest.Entry("mine", "a test", "MIT", "mine.pth", (source,))
        monkeypatch.setattr(openmmlab.weights, "entries", lambda: (entry,))
        monkeypatch.setattr(openmmlab.weights, "ensure", lambda name, instead: {"mine": checkpoint}[name])
        MMPoseEstimator("hrnet-tiny").close()

    def test_of_another_model(self, tmp_path: Path) -> None:
        torch.save({"layer.weight": torch.zeros(9, 2), "layer.bias": torch.zeros(3)}, tmp_path / "other.pth")
        with pytest.raises(
            UserError, match=r"other.pth is not a checkpoint of hrnet-tiny: size mismatch for layer.wei"
        ):
            MMPoseEstimator("hrnet-tiny", tmp_path / "other.pth")

    def test_that_are_none(self, tmp_path: Path) -> None:
        (tmp_path / "bad.pth").write_bytes(b"nothing of the kind")
        with pytest.raises(UserError, match="is not a PyTorch checkpoint that can be read safely"):
            MMPoseEstimator("hrnet-tiny", tmp_path / "bad.pth")

    def test_for_other_joints(self, checkpoint: Path) -> None:
        with pytest.raises(UserError, match=r"hands is a TopdownPoseEstimator for 21 joints; .* COCO's 17"):
            MMPoseEstimator("hands", checkpoint)


@pytest.mark.usefixtures("asked")
def test_people_of_mmdet(checkpoint: Path) -> None:
    """No dog, everybody once, the surest first, inside the picture."""
    detector = MmdetDetector("hrnet-tiny", checkpoint)
    found = detector(Frame(0, Fraction(0), np.zeros((80, 50, 3), np.uint8)))
    np.testing.assert_allclose(found, [[1, 2, 31, 41, 0.9], [0, 0, 50, 80, 0.5]])


def test_versions_that_do_not_go_together(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> ModuleType:
        raise AssertionError("MMCV==2.2.0 is used but incompatible")

    monkeypatch.setattr(openmmlab, "import_module", refuse)
    with pytest.raises(UserError, match=r"needs mmpose \(MMCV==2.2.0 is used but incompatible\): tools/install_openmm"):
        openmmlab.load_mmpose()
