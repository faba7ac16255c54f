"""From a detector's name to the detector, its model loaded."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from sasmamba.app.pose2d.choices import DetectorName
from sasmamba.app.pose2d.detectors import Detector, MediaPipeDetector, YoloxDetector, has_onnxruntime, load_onnxruntime

#: Of those that ONNX Runtime runs, the name in the weights manifest.
YOLOX_WEIGHTS = {"yolox": "yolox-s", "yolox-tiny": "yolox-tiny"}
#: Of MMDetection's, the name in its model index.
MMDET_MODELS = {"rtmdet": "rtmdet_s_8xb32-300e_coco", "faster-rcnn": "faster-rcnn_r50_fpn_1x_coco"}


def open_detector(
    name: DetectorName, *, max_people: int, device: str = "cpu", threads: int = 1
) -> tuple[Detector, str]:
    """The detector of that name, its model loaded (fetched first if it is not here), and what to call it.

    Args:
        name: auto: YOLOX-S where ONNX Runtime is installed and the file is here or can be had; else MoveNet MultiPose
            where its is; MediaPipe's otherwise.
        max_people: MediaPipe's finds at most so many.

    Raises:
        UserError: what it needs is not installed or cannot be had, with what to do.
        ValueError: an unknown name.
    """
    name, model = choose_detector(name)
    if model is not None:
        return YoloxDetector(model, device=device, threads=threads), YOLOX_WEIGHTS[name].upper()
    if name == "multipose":
        from sasmamba.app.pose2d.movenet_networks import open_multipose
        from sasmamba.app.pose2d.multipose import MultiPoseDetector

        return MultiPoseDetector(open_multipose(threads)), "MoveNet MultiPose"
    if name == "mediapipe":
        return MediaPipeDetector(max_people=max_people), "MediaPipe"
    if name in MMDET_MODELS:
        from sasmamba.app.pose2d.openmmlab import MmdetDetector

        return MmdetDetector(MMDET_MODELS[name], device=device), MMDET_MODELS[name]
    raise ValueError(f"detector: want one of {', '.join(get_args(DetectorName))}, got {name!r}")


def choose_detector(name: DetectorName) -> tuple[DetectorName, Path | None]:
    """Which detector runs, and YOLOX's model, fetched first if it is not here; the others open their own.

    Raises:
        UserError: as `open_detector`.
    """
    from sasmamba.app import weights

    if name == "auto":
        if not has_onnxruntime():
            return "mediapipe", None
        model = weights.obtain(YOLOX_WEIGHTS["yolox"])
        if model is not None:
            return "yolox", model
        return "mediapipe" if weights.obtain("movenet") is None else "multipose", None
    if name in YOLOX_WEIGHTS:
        load_onnxruntime()  # says what is missing before anything is fetched
        return name, weights.ensure(YOLOX_WEIGHTS[name], instead="--detector mediapipe")
    return name, None
