"""OpenMMLab's own models as a 2D backend: MMPose for joints, MMDetection for people, through their Python interfaces.

For comparison with what runs here by default, and for every top-down model of MMPose's zoo. Networks, configurations,
test pipelines and decoding are the packages' own, as published; the weights alone are read here, because theirs are
pickles: they are fetched and checked like all others, and no code in them is run.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sasmamba.app import weights
from sasmamba.app.pose2d.detectors import PERSON, people_in
from sasmamba.app.pose2d.estimator import Joints, in_batches
from sasmamba.app.types import Frame
from sasmamba.app.weights import manifest
from sasmamba.app.weights import store as weights_store
from sasmamba.common.arrays import FloatArray, Picture
from sasmamba.common.closing import Closing
from sasmamba.common.errors import UserError
from sasmamba.models.hrnet import read_tensors
from sasmamba.models.skeletons import COCO
from sasmamba.models.tensorfile import CheckpointError

#: MMPose's name of the model that runs unless another is asked for.
DEFAULT_MODEL = "td-hm_hrnet-w32_8xb64-210e_coco-256x192"

#: Crops that go through a network together.
BATCH = 16
#: What does without either package.
_INSTEAD = {"mmpose": "--pose2d mediapipe", "mmdet": "--detector yolox or --detector mediapipe"}
#: OpenMMLab ends a checkpoint's name with the first 8 digits of its SHA-256, in MMPose followed by a date.
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8})(?:_\d{8})?\.pth$")


class MMPoseEstimator(Closing):
    """A top-down model of MMPose; see `estimator.JointEstimator`.

    Args:
        model: a name in MMPose's model index; top-down, for COCO's 17 joints.
        checkpoint: its weights; None for the ones the index names, fetched if they are not here.
        device: where it runs.

    Raises:
        UserError: MMPose is not installed, knows no such model, or its weights cannot be had or do not fit.
    """

    name = "openmmlab"

    def __init__(self, model: str = DEFAULT_MODEL, checkpoint: Path | None = None, *, device: str = "cpu") -> None:
        self._apis = load_mmpose()
        network = load_model(self._apis.init_model, zoo_model("mmpose", model), checkpoint, device)
        joints = len(network.dataset_meta["keypoint_id2name"])  # type: ignore[arg-type, index]
        if type(network).__name__ != "TopdownPoseEstimator" or joints != len(COCO):
            raise UserError(
                f"{model} is a {type(network).__name__} for {joints} joints; --pose2d openmmlab wants a top-down model "
                f"for COCO's {len(COCO)}, such as {DEFAULT_MODEL}."
            )
        # Channels last is what convolutions on a CPU and on tensor cores are fastest with.
        self._network: nn.Module | None = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, frame: Frame, boxes_px: FloatArray) -> Joints:
        """See `estimator.JointEstimator`."""
        if self._network is None:
            raise ValueError("the estimator is closed")
        # of no boxes MMPose would make one: the whole picture
        return in_batches(lambda some: self._estimate(frame.bgr, some), boxes_px, BATCH)

    def close(self) -> None:
        """Frees the model; a second call does nothing."""
        self._network = None

    def _estimate(self, bgr: Picture, boxes_px: FloatArray) -> Joints:
        with _scope("mmpose"):
            found = self._apis.inference_topdown(self._network, bgr, boxes_px)
        score = np.concatenate([f.pred_instances.keypoint_scores for f in found])
        return np.concatenate([f.pred_instances.keypoints for f in found]), np.clip(score, 0, 1)


class MmdetDetector:
    """A detector of MMDetection, RTMDet and Faster R-CNN among them; see `detectors.Detector`.

    Args:
        model: a name in MMDetection's model index, trained on COCO.
        checkpoint: as for `MMPoseEstimator`.

    Raises:
        UserError: MMDetection or MMCV's compiled operations are not installed, it knows no such model, or its weights
            cannot be had or do not fit.
    """

    def __init__(self, model: str, checkpoint: Path | None = None, *, device: str = "cpu") -> None:
        install = "tools/install_openmmlab.sh --with-mmdet (it compiles MMCV's operations, about half an hour)"
        self._apis = _load("mmdet", "This detector", install)
        self._network: Any = load_model(self._apis.init_detector, zoo_model("mmdet", model), checkpoint, device)

    def __call__(self, frame: Frame) -> FloatArray:
        """See `detectors.Detector`."""
        with _scope("mmdet"):
            found = self._apis.inference_detector(self._network, frame.bgr).pred_instances.cpu().numpy()
        people = found.labels == PERSON
        return people_in(found.bboxes[people], found.scores[people], frame.bgr.shape[1], frame.bgr.shape[0])

    def close(self) -> None:
        """Frees the model."""
        self._network = None


@dataclass(frozen=True, slots=True)
class ZooModel:
    """What a package's model index says of one model: its configuration and where its weights are."""

    package: str
    name: str
    config: Path
    weights_url: str


def zoo_model(package: str, name: str) -> ZooModel:
    """The model of that name in the index that mmpose and mmdet carry with them.

    Raises:
        UserError: there is none, or it has no weights.
    """
    import yaml

    folder = Path(str(import_module(package).__file__)).parent / ".mim"
    for part in yaml.safe_load((folder / "model-index.yml").read_text(encoding="utf-8"))["Import"]:
        text = (folder / part).read_text(encoding="utf-8")
        if name not in text:  # reading YAML is slow, and there are a hundred of these
            continue
        content = yaml.safe_load(text)
        for model in content["Models"] if isinstance(content, dict) else content:
            if model["Name"] == name and "Weights" in model:
                return ZooModel(package, name, folder / model["Config"], model["Weights"])
    raise UserError(f"{package} has no published weights for a model called {name!r}; {folder} lists what it has.")


def load_model(init: Any, model: ZooModel, checkpoint: Path | None, device: str) -> nn.Module:
    """A model of the zoo with its weights, made by its package.

    Args:
        init: mmpose's `init_model` or mmdet's `init_detector`.
        checkpoint: the weights, None for the published ones.

    Raises:
        UserError: the weights cannot be had, cannot be read safely, or are of another model.
    """
    path = checkpoint or _published(model)
    try:
        tensors = read_tensors(path)
    except CheckpointError as error:
        raise UserError(f"{error}.") from error
    # Without a checkpoint of its own it warns that it takes COCO's classes, whatever filter is set.
    with warnings.catch_warnings(record=True):
        network: nn.Module = init(str(model.config), None, device=device)
    try:
        network.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise UserError(f"{path} is not a checkpoint of {model.name}: {str(error).splitlines()[1].strip()}") from error
    return network.requires_grad_(False).eval()


def _published(model: ZooModel) -> Path:
    """The published weights: those of the manifest where they are among them, else from the address in the index."""
    url = model.weights_url
    for entry in weights.entries():
        if entry.sources[0].url == url:
            return weights.ensure(entry.name, instead=_INSTEAD[model.package])
    file = url.rsplit("/", 1)[-1]
    digits = _HASH_IN_NAME.search(file)
    if digits is None:
        raise UserError(f"{url} has no checksum in its name, so it is not fetched: fetch it and name the file instead.")
    source = manifest.Source(url=url, sha256_prefix=digits[1])
    entry = manifest.Entry(model.name, "a model of OpenMMLab's zoo", "Apache-2.0", file, (source,))
    store = weights.default_store()
    try:
        return weights_store.Store((entry,), store.cache, store.shipped, store.offline).ensure(model.name)
    except UserError as error:
        raise UserError(
            f"{model.name} is not here and could not be fetched. Fetch {url} where there is a network and copy it to "
            f"{store.cache / file}, or pass {_INSTEAD[model.package]}."
        ) from error


def load_mmpose() -> Any:
    """MMPose's `apis`.

    Raises:
        UserError: it is not installed.
    """
    return _load("mmpose", "--pose2d openmmlab", "tools/install_openmmlab.sh")


def _load(package: str, what: str, install: str) -> Any:
    """The package's `apis`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(f"{package}.apis")
    except (ImportError, AssertionError) as error:  # the latter: a version that does not go with MMCV's
        raise UserError(
            f"{what} needs {package} ({error}): {install} installs it, or pass {_INSTEAD[package]}."
        ) from error


def _scope(package: str) -> Any:
    """Both packages name their parts in one registry; inside this block a plain name means this package's."""
    from mmengine.registry import DefaultScope

    return DefaultScope.overwrite_default_scope(package)
