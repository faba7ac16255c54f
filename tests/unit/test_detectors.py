"""Person detectors: boxes by hand out of graphs laid out as YOLOX's authors export theirs, and MediaPipe's finder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from fractions import Fraction
from math import log
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from sasmamba.app.pose2d import detectors
from sasmamba.app.pose2d.detector_choice import open_detector
from sasmamba.app.pose2d.detectors import MediaPipeDetector, YoloxDetector, letterbox, nms, people_in
from sasmamba.app.types import Frame
from sasmamba.common.errors import UserError

#: Of the graphs: height and width of the input. Three grids of 8 × 12, 4 × 6 and 2 × 3 cells make 126 rows.
HEIGHT, WIDTH, ROWS = 64, 96, 126
DOG = 16


def row(centre: tuple[float, float], size: tuple[float, float], objectness: float, **classes: float) -> np.ndarray:
    """Centre and size in cells, probabilities by class number (`c0`: person)."""
    out = np.zeros(85, np.float32)
    out[:5] = *centre, log(size[0]), log(size[1]), objectness
    for name, probability in classes.items():
        out[5 + int(name[1:])] = probability
    return out


def graph(
    path: Path,
    rows: dict[int, np.ndarray],
    pixels: Sequence[tuple[int, int, int]] = (),
    shape: Sequence[object] = (1, 3, HEIGHT, WIDTH),
    layout: tuple[int, int] = (ROWS, 85),
) -> Path:
    """A YOLOX of constants: input `images`, output `output`. Objectness of the first rows is what the input has at
    `pixels` (channel, y, x), as a fraction of 255: it shows what the detector feeds in."""
    values = np.zeros((1, *layout), np.float32)
    for i, one in rows.items():
        values[0, i] = one
    picked = np.zeros((1, len(pixels), layout[1]), np.float32)
    picked[0, :, 4] = 1 / 255
    flat = np.array([(c * HEIGHT + y) * WIDTH + x for c, y, x in pixels], np.int64)
    constants = {
        "values": values[:, len(pixels) :],
        "picked": picked,
        "here": flat,
        "all": np.array([-1], np.int64),
        "column": np.array([1, -1, 1], np.int64),
        "rest": values[:, : len(pixels)] * (np.arange(layout[1]) != 4),
    }
    make = onnx.helper.make_node
    nodes = [
        make("Reshape", ["images", "all"], ["flat"]),
        make("Gather", ["flat", "here"], ["seen"]),
        make("Reshape", ["seen", "column"], ["seen3"]),
        make("Mul", ["seen3", "picked"], ["objectness"]),
        make("Add", ["objectness", "rest"], ["first"]),
        make("Concat", ["first", "values"], ["output"], axis=1),
    ]
    value = onnx.helper.make_tensor_value_info
    body = onnx.helper.make_graph(
        nodes,
        "yolox",
        [value("images", onnx.TensorProto.FLOAT, shape)],
        [value("output", onnx.TensorProto.FLOAT, (1, *layout))],
        [onnx.numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    onnx.save(onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def frame(height: int, width: int) -> Frame:
    return Frame(0, Fraction(0), np.full((height, width, 3), 90, np.uint8))


# Cells of 8 px: (3, 2) is row 2 · 12 + 3; of 16 px: (5, 3) is row 96 + 3 · 6 + 5; of 32 px: (1, 1) is 120 + 1 · 3 + 1.
NEAR = {27: row((0.5, 0.25), (2, 2), 0.9, c0=0.9)}  # centre (28, 18), 16 × 16
MIDDLE = {119: row((0.5, 0.5), (1, 2), 0.8, c0=0.9)}  # centre (88, 56), 16 × 32, reaches below the picture
FAR = {124: row((0.0, 0.0), (1.5, 1), 0.7, c0=1.0)}  # centre (32, 32), 48 × 32


@pytest.mark.parametrize(
    ("rows", "size", "want"),
    [
        (NEAR, (64, 96), [(20, 10, 36, 26, 0.81)]),
        (NEAR, (128, 192), [(40, 20, 72, 52, 0.81)]),
        (NEAR, (32, 24), [(10, 5, 18, 13, 0.81)]),  # enlarged to 64 × 48: half of it
        (MIDDLE, (64, 96), [(80, 40, 96, 64, 0.72)]),
        (FAR, (64, 96), [(8, 16, 56, 48, 0.7)]),
        (NEAR | MIDDLE | FAR, (64, 96), [(20, 10, 36, 26, 0.81), (80, 40, 96, 64, 0.72), (8, 16, 56, 48, 0.7)]),
        ({}, (64, 96), []),
        ({27: row((0.5, 0.25), (2, 2), 0.9, c0=0.2)}, (64, 96), []),
        ({27: row((0.5, 0.25), (2, 2), 0.2, c0=0.9)}, (64, 96), []),
        ({27: row((0.5, 0.25), (2, 2), 0.95, c0=0.4, c16=0.9)}, (64, 96), []),
        ({27: row((-20, 0), (2, 2), 0.9, c0=0.9)}, (64, 96), []),
        ({27: row((0, 0), (np.inf, 2), 0.9, c0=0.9)}, (64, 96), []),
        (
            {27: row((0.5, 0.25), (2, 2), 0.9, c0=0.8), 28: row((-0.5, 0.25), (2, 2), 0.9, c0=0.9)},
            (64, 96),
            [(20, 10, 36, 26, 0.81)],
        ),
    ],
    ids=[
        "eight-px",
        "half-size",
        "double-size",
        "sixteen-px-at-the-edge",
        "thirty-two-px",
        "best-first",
        "nobody",
        "hardly-a-person",
        "hardly-anything",
        "a-dog",
        "beyond-the-picture",
        "endless",
        "the-same-person-twice",
    ],
)
def test_boxes(
    tmp_path: Path, rows: dict[int, np.ndarray], size: tuple[int, int], want: list[tuple[float, ...]]
) -> None:
    found = YoloxDetector(graph(tmp_path / "yolox.onnx", rows))(frame(*size))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.array(want, np.float32).reshape(-1, 5), atol=1e-4)


def test_the_network_sees_blue_green_red_of_0_to_255_in_the_upper_left_corner(tmp_path: Path) -> None:
    seen = [(0, 0, 0), (1, 63, 47), (2, 30, 20), (2, 30, 48), (0, 63, 95)]  # the last two beside the picture
    people = {i: row((0, 0), (2, 2), 0, c0=1.0) for i in range(0, 5)}
    bgr = np.empty((64, 48, 3), np.uint8)
    bgr[:] = 255, 204, 153
    boxes = YoloxDetector(graph(tmp_path / "yolox.onnx", people, seen))(Frame(0, Fraction(0), bgr))
    # Boxes around cells in a row overlap by half: of neighbours the surer one stays.
    np.testing.assert_allclose(boxes[:, 4], [1, 204 / 255, 153 / 255, 114 / 255, 114 / 255], atol=1e-6)
    np.testing.assert_allclose(boxes[:, 0], [0, 0, 8, 16, 24], atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (700, 2), (0, 40)], ids=str)
def test_pictures_of_any_shape(tmp_path: Path, size: tuple[int, int]) -> None:
    found = YoloxDetector(graph(tmp_path / "yolox.onnx", NEAR | FAR))(frame(*size))
    assert found.shape[1] == 5
    assert (found[:, :4] >= 0).all()
    assert (found[:, [2, 3]] <= (size[1], size[0])).all()


def test_thirty_people(tmp_path: Path) -> None:
    rows = {y * 12 + x: row((0.5, 0.5), (1, 1), 0.9, c0=0.5 + y / 100 + x / 1000) for y in range(5) for x in range(6)}
    found = YoloxDetector(graph(tmp_path / "yolox.onnx", rows))(frame(64, 96))
    assert len(found) == 30
    assert (np.diff(found[:, 4]) <= 0).all()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"shape": (1, 3, "height", "width")}, "want one input"),
        ({"shape": (1, 1, HEIGHT, WIDTH)}, "want one input"),
        ({"layout": (ROWS, 5)}, r"must be \(1, 126, 5 \+ classes\), not \[1, 126, 5\]"),
        ({"layout": (77, 85)}, "must be"),
    ],
    ids=["free-size", "grey", "boxes-only", "other-grids"],
)
def test_another_graph_is_named(tmp_path: Path, changes: dict[str, Sequence[object]], says: str) -> None:
    with pytest.raises(UserError, match=says):
        YoloxDetector(graph(tmp_path / "other.onnx", {}, **changes))


def test_a_file_that_is_no_graph(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="cannot be opened by ONNX Runtime"):
        YoloxDetector(tmp_path / "bad.onnx")


def test_letterbox() -> None:
    bgr = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    out, scale = letterbox(bgr, 8, 8)
    assert (out.shape, scale) == ((8, 8, 3), 2)
    np.testing.assert_array_equal(out[:4], cv2.resize(bgr, (8, 4)))
    assert (out[4:] == detectors.GREY).all()


def test_second_looks_go() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 11], [5, 0, 15, 10], [30, 30, 40, 40], [5, 5, 5, 5]], np.float32)
    assert nms(boxes) == [0, 2, 3, 4]  # 110 of 100 shared, then a third, then nothing
    score = np.array([0.5, 0.6, 0.7, 0.8, 0.9], np.float32)
    people = people_in(boxes, score, 12, 100)
    np.testing.assert_allclose(people, [[5, 0, 12, 10, 0.7], [0, 0, 10, 11, 0.6]])


def test_frames_are_colour_of_8_bits() -> None:
    """Grey and 16-bit pictures never reach a detector."""
    for bgr in (np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.uint16)):
        with pytest.raises(ValueError, match="bgr: want"):
            Frame(0, Fraction(0), bgr)


class TestMediaPipe:
    def test_finds_the_people_of_a_picture(self, demo_clip: Path) -> None:
        finder = MediaPipeDetector(max_people=3)
        clip = cv2.VideoCapture(str(demo_clip))
        clip.set(cv2.CAP_PROP_POS_FRAMES, 70)
        bgr = clip.read()[1]
        first, empty, again = (finder(Frame(0, Fraction(0), p)) for p in (bgr, np.zeros_like(bgr), bgr))
        finder.close()
        assert len(first) == 2
        assert ((first[:, 4] > 0.5) & (first[:, 4] <= 1)).all()
        assert empty.shape == (0, 5)
        by_place = [boxes[np.argsort(boxes[:, 0])] for boxes in (first, again)]
        np.testing.assert_allclose(*[boxes[:, :4] for boxes in by_place], atol=0.5)  # it remembers nobody

    @pytest.mark.usefixtures("demo_clip")  # where that is, the detector's model can be had
    @pytest.mark.parametrize("size", [(1, 1), (3, 600), (0, 5)], ids=str)
    def test_pictures_of_any_shape(self, size: tuple[int, int]) -> None:
        finder = MediaPipeDetector()
        assert finder(frame(*size)).shape == (0, 5)
        finder.close()


class TestChoice:
    def test_without_onnxruntime(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(UserError, match=r"pip install onnxruntime, or --detector mediapipe"):
            open_detector("yolox", max_people=1)

    @pytest.mark.parametrize(("here", "want"), [(True, "YOLOX-S"), (False, "MediaPipe")])
    def test_auto(self, here: bool, want: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = graph(tmp_path / "yolox.onnx", NEAR)
        monkeypatch.setattr("sasmamba.app.weights.obtain", lambda name: path if here and name == "yolox-s" else None)
        detector, name = open_detector("auto", max_people=1)
        detector.close()
        assert name == want

    @pytest.mark.parametrize("asked", ["auto", "multipose"])
    def test_multipose_where_yolox_is_not_here(self, asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        networks = ModuleType("movenet_networks")
        networks.open_multipose = lambda threads: lambda bgr: []  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "sasmamba.app.pose2d.movenet_networks", networks)
        monkeypatch.setattr("sasmamba.app.weights.obtain", {"movenet": Path("movenet.zip")}.get)
        detector, name = open_detector(asked, max_people=1)
        assert name == "MoveNet MultiPose"
        assert detector(frame(64, 48)).shape == (0, 5)
        detector.close()

    def test_mmdet_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "mmdet", None)
        with pytest.raises(UserError, match=r"needs mmdet .*tools/install_openmmlab.sh --with-mmdet"):
            open_detector("rtmdet", max_people=1)

    def test_an_unknown_name(self) -> None:
        with pytest.raises(ValueError, match="want one of auto, yolox"):
            open_detector("hog", max_people=1)  # type: ignore[arg-type]
