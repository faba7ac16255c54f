"""The top-down stage and HRNet, with a network and a detector known exactly: people are dots in seventeen colours."""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from typing import Any

import cv2
import helpers_dots
import numpy as np
import pytest
import torch
from helpers_dots import SIZE
from torch import nn

from sasmamba.app.pose2d.hrnet_estimator import HRNetEstimator
from sasmamba.app.pose2d.topdown import DETECT_EVERY_S, TopDownPose2D
from sasmamba.app.tracking import Tracker
from sasmamba.app.types import Frame, Person2D
from sasmamba.models import heatmap_codec
from sasmamba.models.hrnet import HRNet, HRNetConfig

#: Where the dots are, as fractions of a box 90 × 180 px around all of them, in COCO's order.
FIGURE = np.array(
    [
        (0.5, 0.1),
        (0.6, 0.05),
        (0.4, 0.05),
        (0.7, 0.1),
        (0.3, 0.1),
        (0.8, 0.25),
        (0.2, 0.25),
        (0.95, 0.4),
        (0.05, 0.4),
        (0.95, 0.55),
        (0.05, 0.55),
        (0.65, 0.55),
        (0.35, 0.55),
        (0.7, 0.75),
        (0.3, 0.75),
        (0.75, 0.95),
        (0.25, 0.95),
    ],
    np.float32,
)
#: What the upper left corner of a picture looks like that is not turned.
MARK = (9, 9, 9)
COLOURS = helpers_dots.colours(17)


class Dots(nn.Module):
    """Each joint's heatmap is high where a crop has the joint's colour. Counts its calls and crops."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(images))
        return helpers_dots.heatmaps(images, 17)


class Detector:
    """Answers with boxes given beforehand, whatever is in the picture, and with none for one that is turned; counts how
    often it is asked."""

    def __init__(self, *boxes: np.ndarray) -> None:
        self.boxes = list(boxes)
        self.asked: list[int] = []
        self.closed = 0

    def __call__(self, frame: Frame) -> np.ndarray:
        if tuple(frame.bgr[0, 0]) != MARK:
            return np.zeros((0, 5), np.float32)
        self.asked.append(frame.index)
        return np.array(self.boxes, np.float32).reshape(-1, 5)

    def close(self) -> None:
        self.closed += 1


def picture(*corners: tuple[float, float], width: int = 640, height: int = 400) -> np.ndarray:
    """People with the top left corner of their box there; the later ones in front."""
    bgr = np.zeros((height, width, 3), np.uint8)
    bgr[0, 0] = MARK
    for corner in corners:
        for place, colour in zip(corner + FIGURE * SIZE, COLOURS.tolist(), strict=True):
            cv2.circle(bgr, np.round(place).astype(int).tolist(), 4, colour, -1)
    return bgr


def box(corner: tuple[float, float], score: float = 0.9) -> np.ndarray:
    return np.array([*corner, *(np.array(corner) + SIZE), score], np.float32)


def frame(index: int, bgr: np.ndarray) -> Frame:
    return Frame(index, Fraction(index, 30), bgr)


def backend_of(network: nn.Module, detector: Detector, **options: Any) -> TopDownPose2D:
    """The stage with HRNet's estimator; options of either."""
    of_stage = {k: options.pop(k) for k in ("max_people", "detect_every_s") if k in options}
    return TopDownPose2D(HRNetEstimator(network, **options), detector, **of_stage)


def off(person: Person2D, corner: tuple[float, float]) -> float:
    """The farthest joint, in pixels."""
    return float(np.linalg.norm(person.joints_px - (corner + FIGURE * SIZE), axis=-1).max())


class TestOneFrame:
    @pytest.mark.parametrize("decode", ["quarter", "dark"])
    @pytest.mark.parametrize("input_px", [(192, 256), (288, 384)])
    def test_joints_where_they_are(self, decode: heatmap_codec.Decode, input_px: tuple[int, int]) -> None:
        people = backend_of(Dots(), Detector(box((100, 100)), box((400, 150))), decode=decode, input_px=input_px)(
            frame(0, picture((100, 100), (400, 150)))
        )
        assert [p.track_id for p in people] == [None, None]
        assert max(off(people[0], (100, 100)), off(people[1], (400, 150))) < 3
        assert min(p.score.min() for p in people) > 0.5
        # All joints, and 15 % more: 81 × 162 px from (104.5, 109) on.
        assert np.abs(people[0].box_px - (92.3, 84.7, 197.7, 295.3)).max() < 3

    def test_one_batch(self) -> None:
        network = Dots()
        corners = [(60.0 * i, 100.0) for i in range(5)]
        backend_of(network, Detector(*map(box, corners)), max_people=8)(frame(0, picture(*corners)))
        assert network.batches == [5]

    def test_across_the_edge(self) -> None:
        """Joints outside the picture are not seen; the box ends with the picture."""
        (person,) = backend_of(Dots(), Detector(box((-45, 100))))(frame(0, picture((-45, 100))))
        outside = FIGURE[:, 0] < 0.4
        assert person.score[outside].max() < 0.3
        assert person.box_px[0] == 0

    @pytest.mark.parametrize(
        ("name", "boxes"),
        [
            ("nothing", []),
            ("a dog", [box((400, 150))]),
            ("unsure", [box((100, 100), score=0.1)]),
            ("empty", [np.array([100, 100, 100, 280, 0.9], np.float32)]),
            ("a speck", [np.array([100, 100, 102, 102, 0.9], np.float32)]),
            ("outside", [np.array([700, 100, 790, 280, 0.9], np.float32)]),
            ("not numbers", [np.array([np.nan, 100, 190, 280, 0.9], np.float32)]),
            ("unsure by no number", [np.array([100, 100, 190, 280, np.nan], np.float32)]),
        ],
    )
    def test_nobody(self, name: str, boxes: list[np.ndarray]) -> None:
        assert backend_of(Dots(), Detector(*boxes))(frame(0, picture((100, 100)))) == (), name

    def test_the_same_person_twice(self) -> None:
        detector = Detector(box((100, 100), 0.8), box((110, 95), 0.9), box((400, 150), 0.7))
        people = backend_of(Dots(), detector)(frame(0, picture((100, 100), (400, 150))))
        assert len(people) == 2

    def test_nobody_does_not_take_the_place_of_somebody(self) -> None:
        detector = Detector(box((400, 150), 0.9), box((100, 100), 0.5))
        (person,) = backend_of(Dots(), detector, max_people=1)(frame(0, picture((100, 100))))
        assert off(person, (100, 100)) < 3

    def test_thirty_people(self) -> None:
        network = Dots()
        corners = [(140.0 * (i % 10), 230.0 * (i // 10)) for i in range(30)]  # nobody in another's crop
        boxes = [box(c, 0.5 + 0.01 * i) for i, c in enumerate(corners)]
        bgr = picture(*corners, width=1400, height=700)
        people = backend_of(network, Detector(*boxes), max_people=3)(frame(0, bgr))
        assert [off(p, c) < 3 for p, c in zip(people, corners[:-4:-1], strict=True)] == [True] * 3  # the surest
        assert sum(network.batches) <= 6
        assert len(backend_of(network, Detector(*boxes), max_people=30)(frame(0, bgr))) == 30

    def test_flip(self) -> None:
        """A network that does not know left from right sees a mirrored person's sides exchanged; the average halves."""
        network = Dots()
        (person,) = backend_of(network, Detector(box((100, 100))), flip=True)(frame(0, picture((100, 100))))
        assert len(network.batches) == 2
        assert person.score[0] > 0.5  # the nose is its own mirror image
        assert person.score[5] == pytest.approx(0.5, abs=0.1)


class TestFollowing:
    def test_the_detector_runs_now_and_then(self) -> None:
        detector = Detector(box((20, 100)))
        with backend_of(Dots(), detector, detect_every_s=5 / 30) as backend:
            for t in range(11):
                corner = (20.0 + 8 * t, 100.0)
                detector.boxes = [box(corner)]
                (person,) = backend(frame(t, picture(corner)))
                assert off(person, corner) < 3, f"frame {t}"
        assert detector.asked == [0, 5, 10]
        assert detector.closed == 1

    @pytest.mark.parametrize("fps", [5, 15, 24, 25, 30, 60, 240])
    def test_how_often_it_detects_is_a_matter_of_seconds(self, fps: int) -> None:
        detector = Detector(box((20, 100)))
        backend = backend_of(Dots(), detector)
        bgr = picture((20, 100))
        for t in range(fps + 1):
            backend(Frame(t, Fraction(t, fps), bgr))
        steps = np.diff(detector.asked)
        assert set(steps) == {math.ceil(DETECT_EVERY_S * fps)}, "every fifth frame at 30 a second"

    @pytest.mark.parametrize("fps", [15, 30, 60, 240])
    def test_the_same_identities_at_any_frame_rate(self, fps: int) -> None:
        """Two walk past each other at different heights; for 0.2 s the detector misses one, and one joins later."""
        detector, tracker = Detector(), Tracker()
        backend = backend_of(Dots(), detector)
        seen: dict[int, list[float]] = {}
        for t in range(2 * fps):
            now_s = t / fps
            corners = [(20 + 200 * now_s, 10.0), (420 - 200 * now_s, 450.0)][: 1 if now_s < 0.5 else 2]
            detector.boxes = [box(c) for c in corners if not (c[1] == 10 and 1 <= now_s < 1.2)]
            moment = Frame(t, Fraction(t, fps), picture(*corners, height=700))
            for person in tracker.update(moment, backend(moment)):
                seen.setdefault(person.track_id or 0, []).append(now_s)
        assert list(seen) == [1, 2]
        assert seen[1][0] == 0
        assert len(seen[1]) == 2 * fps
        assert 0.5 <= seen[2][0] <= 0.5 + DETECT_EVERY_S + 1 / fps

    def test_while_nobody_is_there_it_sees_every_frame(self) -> None:
        detector = Detector()
        backend = backend_of(Dots(), detector)
        for t in range(3):
            assert backend(frame(t, picture())) == ()
        detector.boxes = [box((100, 100))]
        assert len(backend(frame(3, picture((100, 100))))) == 1
        assert backend(frame(4, picture())) == ()  # gone
        backend(frame(5, picture((100, 100))))
        assert detector.asked == [0, 1, 2, 3, 5]

    def test_who_the_detector_misses_is_kept(self) -> None:
        detector = Detector(box((100, 100)), box((400, 150)))
        backend = backend_of(Dots(), detector, detect_every_s=0)
        bgr = picture((100, 100), (400, 150))
        backend(frame(0, bgr))
        detector.boxes = [box((400, 150))]
        people = backend(frame(1, bgr))
        assert [off(p, c) < 3 for p, c in zip(people, [(100, 100), (400, 150)], strict=True)] == [True, True]

    def test_newcomers_do_not_push_out_who_was_there(self) -> None:
        detector = Detector(box((100, 100), 0.5))
        backend = backend_of(Dots(), detector, max_people=1, detect_every_s=0)
        bgr = picture((100, 100), (400, 150))
        backend(frame(0, bgr))
        detector.boxes = [box((400, 150), 0.9), box((100, 100), 0.5)]
        (person,) = backend(frame(1, bgr))
        assert off(person, (100, 100)) < 3

    @pytest.mark.parametrize("change", ["time", "shape"])
    def test_a_new_video_begins_anew(self, change: str) -> None:
        detector = Detector(box((100, 100)))
        backend = backend_of(Dots(), detector, detect_every_s=100)
        backend(frame(5, picture((100, 100))))
        backend(frame(6, picture((100, 100))))
        backend(frame(0, picture((100, 100))) if change == "time" else frame(7, picture((100, 100), width=500)))
        assert len(detector.asked) == 2


class UprightDots(Dots):
    """Sees well who is upright in the crop, poorly who lies, and nobody who is upside down."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        heat = super().forward(images)
        rows = heat.amax(3).argmax(2).float()  # (n, 17)
        upright = (rows[:, 15:].mean(1) - rows[:, 0]) / heat.shape[2]  # about 0.7 in who stands
        return heat * torch.where(upright > 0.4, 1.0, torch.where(upright > -0.4, 0.45, 0.02))[:, None, None, None]


class Outline(Detector):
    """Finds the one person in a picture; `upright` only who is upright in it."""

    def __init__(self, *, upright: bool) -> None:
        super().__init__()
        self.upright = upright

    def __call__(self, frame: Frame) -> np.ndarray:
        self.asked.append(frame.index)
        at = [np.argwhere(np.abs(frame.bgr.astype(int) - COLOURS[k]).max(-1) < 4) for k in (0, 16)]
        if not all(map(len, at)) or (self.upright and at[1].mean(0)[0] - at[0].mean(0)[0] < 100):
            return np.zeros((0, 5), np.float32)
        rows, columns = np.nonzero(frame.bgr.max(-1) > 40)
        return np.array([[columns.min(), rows.min(), columns.max(), rows.max(), 0.9]], np.float32)


class TestNotUpright:
    @pytest.mark.parametrize("turns", [1, 2, 3])
    @pytest.mark.parametrize("upright", [True, False], ids=["detector of upright people", "detector of anybody"])
    def test_joints_are_where_they_are(self, upright: bool, turns: int) -> None:
        network, corner = UprightDots(), (300.0, 150.0)
        backend = backend_of(network, Outline(upright=upright))
        bgr = np.ascontiguousarray(np.rot90(picture(corner), turns))
        x, y = (np.round(corner + FIGURE * SIZE)).T
        true = np.stack(((x, y), (y, 639 - x), (639 - x, 399 - y), (399 - y, x))[turns], -1)
        for t in range(30):
            (person,) = backend(frame(t, bgr))
            assert np.linalg.norm(person.joints_px - true, axis=-1).max() < 3, f"frame {t}"
            assert person.score.min() > 0.5
        assert sum(network.batches) <= 30 + 4, "who has been found costs a crop a frame"

    def test_who_stands_is_looked_at_as_ever(self) -> None:
        class Never(TopDownPose2D):
            def _otherwise(self, *_: object) -> None:
                return None

        seen = []
        for kind in (TopDownPose2D, Never):
            network, detector = UprightDots(), Outline(upright=True)
            backend = kind(HRNetEstimator(network), detector)
            people = [backend(frame(t, picture((20.0 + 4 * t, 100.0)))) for t in range(40)]
            seen.append((network.batches, detector.asked, [(p.joints_px, p.score, p.box_px) for (p,) in people]))
        (batches, asked, here), (_, _, there) = seen
        assert batches == [1] * 40
        assert len(asked) == 8
        for one, other in zip(here, there, strict=True):
            assert all((a == b).all() for a, b in zip(one, other, strict=True))

    def test_an_empty_scene_costs_a_turned_search_a_second(self) -> None:
        detector = Outline(upright=True)
        backend = backend_of(UprightDots(), detector)
        for t in range(90):
            assert backend(frame(t, picture())) == ()
        assert len(detector.asked) == 90 + 3 + 2

    def test_somebody_who_falls_and_stands_up(self) -> None:
        """In the second that passes until they are looked at otherwise they may be gone; then they are back."""
        backend = backend_of(UprightDots(), Outline(upright=False))
        ways = [0] * 30 + [1] * 40 + [2] * 40 + [0] * 40
        found = [len(backend(frame(t, _turned_about(way)))) for t, way in enumerate(ways)]
        assert found[:30] == [1] * 30
        for begin in (30, 70, 110):
            assert sum(found[begin : begin + 40]) >= 38
            assert found[begin + 10 : begin + 40] == [1] * 30


def _turned_about(turns: int) -> np.ndarray:
    """A person turned about the middle of a square picture."""
    return np.ascontiguousarray(np.rot90(picture((205.0, 160.0), width=500, height=500), turns))


class TestRuntime:
    """Parity of the two is tests/parity/test_hrnet_onnx.py's."""

    @pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
    def test_without_a_package_it_is_torch(self, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "sasmamba.models.hrnet_onnx", raising=False)
        monkeypatch.setitem(sys.modules, missing, None)
        network = HRNet(HRNetConfig(width=8)).requires_grad_(False)
        estimator = HRNetEstimator(network, input_px=(64, 64))
        assert estimator.runtime == "torch"
        joints_px, score = estimator(frame(0, picture((100, 100))), box((100, 100))[None, :4])
        assert joints_px.shape == (1, 17, 2)
        assert np.isfinite(score).all()

    def test_with_both_it_is_onnxruntime_on_the_cpu_alone(self) -> None:
        pytest.importorskip("onnx", reason="needs the package onnx")
        pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")
        network = HRNet(HRNetConfig(width=8)).requires_grad_(False)
        estimator = HRNetEstimator(network, threads=1)
        assert estimator.runtime == "onnxruntime"
        estimator.close()
        with pytest.raises(ValueError, match="closed"):
            estimator(frame(0, picture()), box((100, 100))[None, :4])
        assert HRNetEstimator(network, device="meta").runtime == "torch"

    def test_other_networks_stay_in_torch(self) -> None:
        assert HRNetEstimator(Dots()).runtime == "torch"


class TestMisuse:
    @pytest.mark.parametrize(
        "wrong", [{"max_people": 0}, {"detect_every_s": -1}, {"input_px": (190, 256)}, {"threads": 0}]
    )
    def test_numbers(self, wrong: dict) -> None:
        with pytest.raises(ValueError, match="want"):
            backend_of(Dots(), Detector(), **wrong)

    def test_detections_of_another_shape(self) -> None:
        class Boxes(Detector):
            def __call__(self, frame: Frame) -> np.ndarray:
                return np.zeros((1, 4), np.float32)

        with pytest.raises(ValueError, match=r"detections: want \(n, 5\), got \(1, 4\)"):
            backend_of(Dots(), Boxes())(frame(0, picture()))

    def test_closed(self) -> None:
        detector = Detector(box((100, 100)))
        backend = backend_of(Dots(), detector)
        backend.close()
        backend.close()
        assert detector.closed == 1
        with pytest.raises(ValueError, match="closed"):
            backend(frame(0, picture()))
