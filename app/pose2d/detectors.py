"""Person detectors: a picture to boxes around people, for the 2D backends that want to be told where people are."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from sasmamba.app.pose2d.overlap import box_iou
from sasmamba.app.types import Frame
from sasmamba.common.arrays import FloatArray, Picture
from sasmamba.common.errors import UserError

#: What is surer than this to be a person is one, and two boxes that overlap more (intersection over union) are of one
#: person: the thresholds of YOLOX's own demo.
PERSON_SCORE, SAME_BOX = 0.3, 0.45
#: COCO's first class.
PERSON = 0
#: Fills what is left of a square picture; the detectors were trained with it.
GREY = 114


class Detector(Protocol):
    """Finds people in a frame, by its picture alone.

    Answers float32 (n, 5): x0, y0, x1, y1 in pixels inside the picture and a score of 0..1, the surest first, everybody
    once. Nobody in the picture is (0, 5).
    """

    def __call__(self, frame: Frame) -> FloatArray: ...

    def close(self) -> None: ...


class YoloxDetector:
    """YOLOX (Ge et al. 2021, "YOLOX: Exceeding YOLO Series in 2021") on ONNX Runtime, people only.

    For graphs as the authors export them (their `tools/export_onnx.py`, the files of release 0.1.1rc0): one input
    (1, 3, H, W), BGR in 0..255, the picture in the upper left corner and grey beside it; one output (1, n, 5 + classes)
    with a row for every cell of three grids, of 8, 16 and 32 pixels a cell, row by row: centre (in cells, from the
    cell's corner), logarithm of the size (in cells), objectness, and a probability for each class.

    Args:
        model: the .onnx file.
        device: cpu, or cuda where ONNX Runtime can use it.
        threads: of the CPU.

    Raises:
        UserError: ONNX Runtime is not installed, or the file is not such a graph.
    """

    def __init__(self, model: Path, *, device: str = "cpu", threads: int = 1) -> None:
        self._session = _open_onnx(model, device, threads)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shape = inputs[0].shape
        if len(inputs) != 1 or len(outputs) != 1 or len(shape) != 4 or shape[1] != 3 or not _are_sides(shape[2:]):
            raise UserError(
                f"{model} is not a YOLOX as its authors export it: want one input (1, 3, height, width) and one "
                f"output, got {[list(i.shape) for i in inputs]} and {len(outputs)} outputs."
            )
        self._input = inputs[0].name
        self._height, self._width = int(shape[2]), int(shape[3])
        self._cells, self._strides = _cells(self._height, self._width)
        rows = outputs[0].shape
        if len(rows) != 3 or rows[1] not in (len(self._cells), None) or (isinstance(rows[2], int) and rows[2] < 6):
            raise UserError(
                f"{model} is not a YOLOX as its authors export it: for this input its output must be "
                f"(1, {len(self._cells)}, 5 + classes), not {list(rows)}."
            )

    def __call__(self, frame: Frame) -> FloatArray:
        """See `Detector`."""
        height, width = frame.bgr.shape[:2]
        if not frame.bgr.size:
            return np.zeros((0, 5), np.float32)
        image, scale = letterbox(frame.bgr, self._width, self._height)
        rows = self._session.run(None, {self._input: image.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
        likely = rows[:, 4] * rows[:, 5 + PERSON] >= PERSON_SCORE
        # What is more of a dog than a person is a dog, however sure it is to be something.
        likely &= rows[:, 5:].argmax(1) == PERSON
        rows, cells, strides = rows[likely], self._cells[likely], self._strides[likely]
        centre = (rows[:, :2] + cells) * strides
        half = np.exp(rows[:, 2:4]) * strides / 2
        score = rows[:, 4] * rows[:, 5 + PERSON]
        boxes = (np.concatenate([centre - half, centre + half], 1) / scale).astype(np.float32)
        return people_in(boxes, score, width, height)

    def close(self) -> None:
        """ONNX Runtime frees the model with the last reference to it."""


class MediaPipeDetector:
    """MediaPipe's pose landmarker as a detector: it finds people a picture at a time, those it is sure of the first.

    For where only MediaPipe's model is here. A box is that of the person's landmarks, a score the mean of their
    joints'.

    Args:
        model, max_people: as for `MediaPipePose2D`.

    Raises:
        UserError: as `MediaPipePose2D`.
    """

    def __init__(self, model: Path | None = None, *, max_people: int = 4) -> None:
        from sasmamba.app.pose2d.mediapipe import MediaPipePose2D

        self._finder = MediaPipePose2D(model, max_people=max_people)

    def __call__(self, frame: Frame) -> FloatArray:
        """See `Detector`."""
        if not frame.bgr.size:
            return np.zeros((0, 5), np.float32)
        # A frame that is not later than the one before it begins a new video: nobody is followed.
        people = self._finder(Frame(0, Fraction(0), frame.bgr))
        boxes = np.array([p.box_px for p in people], np.float32).reshape(-1, 4)
        score = np.array([p.score.mean() for p in people], np.float32)
        return people_in(boxes, score, frame.bgr.shape[1], frame.bgr.shape[0])

    def close(self) -> None:
        """Frees the model."""
        self._finder.close()


def letterbox(bgr: Picture, width: int, height: int) -> tuple[Picture, float]:
    """The picture scaled into the upper left corner of (height, width, 3), grey beside it; and by how much."""
    scale = min(width / bgr.shape[1], height / bgr.shape[0])
    w, h = (max(1, int(side * scale)) for side in (bgr.shape[1], bgr.shape[0]))
    out: Picture = np.full((height, width, 3), GREY, np.uint8)
    out[:h, :w] = cv2.resize(bgr, (w, h), interpolation=cv2.INTER_LINEAR)
    return out, scale


def people_in(boxes_px: FloatArray, score: FloatArray, width: int, height: int) -> FloatArray:
    """Raw boxes (n, 4) and scores (n,) as a `Detector` answers: (m, 5), cut at the picture's edge, without those beyond
    it, those that are not finite and, of the same person's, all but the surest."""
    boxes = np.concatenate([boxes_px, score[:, None]], 1).astype(np.float32)
    boxes = boxes[np.isfinite(boxes).all(1)]
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    boxes = boxes[nms(boxes[:, :4])]
    boxes[:, :4] = np.clip(boxes[:, :4], 0, [width, height, width, height])
    return boxes[((boxes[:, 2:4] - boxes[:, :2]) >= 1).all(1)]


def nms(boxes_px: FloatArray, most: float = SAME_BOX) -> list[int]:
    """Which of boxes (n, 4), the surest first, are no second detection of the same (non-maximum suppression)."""
    kept: list[int] = []
    for i, box in enumerate(boxes_px):
        if all(box_iou(box, boxes_px[k]) <= most for k in kept):
            kept.append(i)
    return kept


def has_onnxruntime() -> bool:
    """Whether ONNX Runtime is installed."""
    import importlib.util

    return importlib.util.find_spec("onnxruntime") is not None


def _cells(height: int, width: int) -> tuple[FloatArray, FloatArray]:
    """Corner (n, 2) x, y, in cells, and size in pixels (n, 1) of every cell of YOLOX's three grids."""
    corners, strides = [], []
    for stride in (8, 16, 32):
        y, x = np.mgrid[: height // stride, : width // stride]
        corners.append(np.stack([x.ravel(), y.ravel()], 1))
        strides.append(np.full((x.size, 1), stride))
    return np.concatenate(corners).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _are_sides(sides: Sequence[Any]) -> bool:
    return all(isinstance(s, int) and s >= 32 and s % 32 == 0 for s in sides)


def load_onnxruntime() -> Any:
    """ONNX Runtime.

    Raises:
        UserError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"YOLOX needs ONNX Runtime ({error}): pip install onnxruntime, or --detector mediapipe."
        ) from error
    return onnxruntime


def session_options(threads: int) -> Any:
    """How every network runs in ONNX Runtime here, on so many threads."""
    options = load_onnxruntime().SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin while they wait take cores from whatever else runs, such as the decoder and the renderer.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # its warnings are about graphs, which nobody here can change
    return options


def _open_onnx(model: Path, device: str, threads: int) -> Any:
    onnxruntime = load_onnxruntime()
    wanted = ["CUDAExecutionProvider"] * (device == "cuda") + ["CPUExecutionProvider"]
    providers = [p for p in wanted if p in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(str(model), session_options(threads), providers=providers)
    except Exception as error:  # its exceptions have no class of their own in common
        raise UserError(f"{model} cannot be opened by ONNX Runtime ({error}).") from error
