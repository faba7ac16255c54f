"""The GLSMamba backend with networks that are known exactly: people are dots in fifteen colours, frames are greys."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import helpers_dots
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers_dots import SIZE
from torch import nn

from sasmamba.app.config import Settings
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.pipeline import analyse
from sasmamba.app.pose2d import choices, open_pose2d, person_crops
from sasmamba.app.pose2d.foresight import with_foresight
from sasmamba.app.pose2d.glsmamba_estimator import GLSMambaEstimator
from sasmamba.app.pose2d.hrnet_estimator import HRNetEstimator
from sasmamba.app.pose2d.topdown import TopDownPose2D
from sasmamba.app.types import Cut, Frame, VideoMeta
from sasmamba.common.errors import UserError
from sasmamba.common.interrupts import Stop
from sasmamba.common.timings import Timings
from sasmamba.models import heatmap_codec
from sasmamba.models.glsmamba import GLSMamba, GLSMambaConfig
from sasmamba.models.glsmamba_checkpoint import BackboneRecord, save_glsmamba
from sasmamba.models.skeletons import COCO, H36M, POSETRACK, POSETRACK_MIRROR, coco17_to_h36m17, posetrack15_to_coco17

#: Where the dots are, as fractions of a box 90 × 180 px around all of them, in PoseTrack's order.
FIGURE = np.array(
    [
        (0.5, 0.15),
        (0.5, 0.25),
        (0.5, 0.05),
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
COLOURS = helpers_dots.colours(15)
TINY = GLSMambaConfig(
    backbone_channels=3,
    width=8,
    gsm_blocks=1,
    lrm_blocks=1,
    window=(8, 6),
    deconv_channels=(4, 4),
    states=2,
    ffn_ratio=1,
)


class Eye(nn.Module):
    """A backbone that passes pictures on. Keeps the mean grey of each frame that it saw, one list a sequence."""

    def __init__(self, channels: int = 3, shrink: int = 1, sha256: str = "") -> None:
        super().__init__()
        self.channels, self.input_px, self.shrink, self.sha256 = channels, (192, 256), shrink, sha256
        self.grid = (256 // shrink, 192 // shrink)
        self.greys: list[list[int]] = []

    def forward(self, images: torch.Tensor, frames: int = 1) -> torch.Tensor:
        sequences = images.unflatten(0, (-1, frames))
        for sequence in sequences:
            # the crop's middle, as it was in the picture
            middle = sequence[:, :, 118:138, 86:106].mean((2, 3)) * torch.tensor(heatmap_codec.DEVIATION)
            self.greys.append((middle + torch.tensor(heatmap_codec.MEAN)).mean(1).round().int().tolist())
        return F.avg_pool2d(images, self.shrink).unflatten(0, (-1, frames))


class Dots(nn.Module):
    """Each joint's heatmap is high where the middle frame has the joint's colour."""

    def __init__(self, frames: int = 5) -> None:
        super().__init__()
        self.config = GLSMambaConfig(backbone_channels=3, frames=frames)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return helpers_dots.heatmaps(features[:, features.shape[1] // 2], 15)


class Detector:
    """Answers with boxes given beforehand, whatever the picture."""

    def __init__(self, *boxes: np.ndarray) -> None:
        self.boxes, self.closed = boxes, 0

    def __call__(self, frame: Frame) -> np.ndarray:
        return np.array(self.boxes, np.float32).reshape(-1, 5)

    def close(self) -> None:
        self.closed += 1


BOX = np.array([100, 100, 190, 280, 0.9], np.float32)


def picture(*corners: tuple[float, float], grey: int = 0) -> np.ndarray:
    """People with the top left corner of their box there."""
    bgr = np.full((400, 640, 3), grey, np.uint8)
    for corner in corners:
        for place, colour in zip(corner + FIGURE * SIZE, COLOURS.tolist(), strict=True):
            cv2.circle(bgr, np.round(place).astype(int).tolist(), 4, colour, -1)
    return bgr


def frame(index: int, bgr: np.ndarray) -> Frame:
    return Frame(index, Fraction(index, 30), bgr)


def estimator(network: Any = None, eye: Any = None) -> GLSMambaEstimator:
    return GLSMambaEstimator(network or Dots(), eye or Eye())


def backend(network: Any = None, eye: Any = None, *boxes: np.ndarray, **options: Any) -> TopDownPose2D:
    return TopDownPose2D(estimator(network, eye), Detector(*(boxes or (BOX,))), **options)


class TestJoints:
    def test_where_they_are(self) -> None:
        second = BOX + np.array([300, 50, 300, 50, 0], np.float32)
        shown = frame(0, picture((100, 100), (400, 150)))
        people = backend(None, None, BOX, second)(shown)
        for person, corner in zip(people, [(100, 100), (400, 150)], strict=True):
            assert person.track_id is None
            places = corner + FIGURE * SIZE
            for joint in POSETRACK:
                if joint.name in COCO.__members__:
                    assert np.abs(person.joints_px[COCO[joint.name]] - places[joint]).max() < 2, joint
                    assert person.score[COCO[joint.name]] > 0.5
            assert person.score[[COCO.LEFT_EYE, COCO.RIGHT_EYE]].max() == 0
            # what the lifter makes of it: the head top is the labelled one
            joints, score = coco17_to_h36m17(person.joints_px, person.score)
            assert np.abs(joints[H36M.HEAD_TOP] - places[POSETRACK.HEAD_TOP]).max() < 3
            assert score.min() > 0.5

    def test_crops_are_a_quarter_larger_than_boxes(self) -> None:
        """A box of 90 × 180 px, widened to 3 : 4, is cut as 168.75 × 225 px; a dot outside of that is not seen."""
        bgr = np.zeros((400, 640, 3), np.uint8)
        centre = (145, 190)
        for joint, x in ((POSETRACK.LEFT_WRIST, 80), (POSETRACK.RIGHT_WRIST, 92)):
            cv2.circle(bgr, (centre[0] + x, centre[1]), 3, COLOURS[joint].tolist(), -1)
        _, score = estimator()(frame(0, bgr), BOX[None, :4])
        assert score[0, COCO.LEFT_WRIST] > 0.3
        assert score[0, COCO.RIGHT_WRIST] < 0.1

    def test_many_people(self) -> None:
        boxes = np.stack([BOX[:4] + 10 * i for i in range(5)])
        eye = Eye()
        joints, score = estimator(None, eye)(frame(0, picture((120, 120))), boxes)
        assert (joints.shape, score.shape, len(eye.greys)) == ((5, 17, 2), (5, 17), 5)

    def test_nobody(self) -> None:
        assert backend()(frame(0, picture())) == ()


def watch(indices: range, every: int = 1) -> tuple[list[int], list[list[int]]]:
    """Shows frames whose grey is ten times their index; (those passed on, the greys / 10 of each sequence)."""
    eye = Eye()
    watched = backend(None, eye)
    passed = []
    for shown in with_foresight((frame(i, picture(grey=10 * i)) for i in indices), watched):
        passed.append(shown.index)
        if shown.index % every == 0:
            watched(shown)
    return passed, [[round(g / 10) for g in greys] for greys in eye.greys]


class TestSequences:
    def test_two_frames_to_either_side(self) -> None:
        """At the ends of a video its first and its last frame stand in."""
        passed, seen = watch(range(7))
        assert passed == list(range(7))
        assert seen == [
            [0, 0, 0, 1, 2],
            [0, 0, 1, 2, 3],
            [0, 1, 2, 3, 4],
            [1, 2, 3, 4, 5],
            [2, 3, 4, 5, 6],
            [3, 4, 5, 6, 6],
            [4, 5, 6, 6, 6],
        ]

    def test_a_cut_is_an_end(self) -> None:
        eye = Eye()
        watched = backend(None, eye)
        film = [frame(i, picture(grey=10 * i)) for i in range(6)]
        film[3] = replace(film[3], cut=Cut(3, film[3].time_s))
        for shown in with_foresight(iter(film), watched):
            watched(shown)
        assert [[round(g / 10) for g in greys] for greys in eye.greys] == [
            [0, 0, 0, 1, 2],
            [0, 0, 1, 2, 2],
            [0, 1, 2, 2, 2],
            [3, 3, 3, 4, 5],
            [3, 3, 4, 5, 5],
            [3, 4, 5, 5, 5],
        ]

    def test_neighbours_are_those_of_the_video(self) -> None:
        """Even where only every third frame is asked about."""
        _, seen = watch(range(8), every=3)
        assert seen == [[0, 0, 0, 1, 2], [1, 2, 3, 4, 5], [4, 5, 6, 7, 7]]

    @pytest.mark.parametrize("frames", [1, 3])
    def test_fewer_frames_than_a_sequence(self, frames: int, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "sasmamba"):
            passed, seen = watch(range(frames))
        assert passed == list(range(frames))
        assert seen[-1] == [max(frames - 3, 0), max(frames - 2, 0), *[frames - 1] * 3]
        (note,) = caplog.messages
        assert note.startswith(f"2D: the video has {frames} frame{'s' * (frames > 1)}, fewer than the 5 that glsmamba")
        assert note.endswith("its first and last stand in for those beyond its ends.")

    def test_long_enough_has_no_note(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "sasmamba"):
            watch(range(5))
        assert caplog.messages == []

    def test_a_person_lost_inside_the_buffer(self, caplog: pytest.LogCaptureFixture) -> None:
        """One sentence, however often; nobody who stays or goes on walking is called lost."""
        pose2d = backend()
        shown = [picture((100 + 5 * i, 100)) if i < 4 or i == 6 else picture() for i in range(8)]
        frames = [frame(i, bgr) for i, bgr in enumerate(shown)]
        with caplog.at_level(logging.INFO, "sasmamba"):
            found = [len(pose2d(f)) for f in frames[:4]]
            assert (found, caplog.messages) == ([1] * 4, [])
            found = [len(pose2d(f)) for f in frames[4:]]
            assert found == [0, 0, 1, 0]
            pose2d(frame(0, picture()))  # another video
        (note,) = caplog.messages
        assert note.startswith(
            "2D: somebody was lost from frame 4 on; in the 2 frames before, part of the 5 that glsmamba"
        )

    def test_without_foresight(self) -> None:
        """Who shows frames one by one gets answers, without a future."""
        eye = Eye()
        alone = backend(None, eye)
        for i in range(3):
            alone(frame(i, picture(grey=10 * i)))
        assert [[g // 10 for g in greys] for greys in eye.greys] == [[0] * 5, [0, 0, 1, 1, 1], [0, 1, 2, 2, 2]]

    def test_another_video(self) -> None:
        eye = Eye()
        both = backend(None, eye)
        for start in (0, 100):
            for shown in with_foresight((frame(i, picture(grey=start + 10 * i)) for i in range(3)), both):
                both(shown)
        assert min(eye.greys[3]) == 100

    def test_one_frame_alone(self) -> None:
        """The variant that sees no other frame wants none."""
        eye = Eye()
        alone = backend(Dots(frames=1), eye)
        for shown in with_foresight((frame(i, picture(grey=10 * i)) for i in range(3)), alone):
            alone(shown)
        assert eye.greys == [[0], [10], [20]]

    def test_somebody_leaves_within_the_sequence(self) -> None:
        """They are there as long as they are seen, though the frames after that are in the sequence, too."""
        leaving = backend()
        shown = [frame(i, picture(*[(100, 100)] * (i < 4))) for i in range(7)]
        found = [len(leaving(f)) for f in with_foresight(iter(shown), leaving)]
        assert found == [1, 1, 1, 1, 0, 0, 0]

    def test_a_stopped_reading_is_closed(self) -> None:
        closed = []

        def reading() -> Iterator[Frame]:
            try:
                for i in range(9):
                    yield frame(i, picture())
            finally:
                closed.append(True)

        frames = reading()
        with closing(frames):
            for shown in with_foresight(frames, backend()):
                if shown.index == 1:
                    break
        assert closed == [True]

    def test_others_are_left_alone(self) -> None:
        frames = iter([frame(0, picture()), frame(1, picture())])
        passing = with_foresight(frames, TopDownPose2D(HRNetEstimator(nn.Identity()), Detector()))
        assert next(passing).index == 0
        assert next(frames).index == 1  # nothing was read ahead

    def test_closed(self) -> None:
        inside = estimator()
        shut = TopDownPose2D(inside, Detector(BOX))
        with shut:
            shut(frame(0, picture((100, 100))))
        shut.close()
        with pytest.raises(ValueError, match="the backend is closed"):
            shut(frame(1, picture()))
        with pytest.raises(ValueError, match="the estimator is closed"):
            inside(frame(1, picture()), BOX[None, :4])


@pytest.mark.parametrize(("every", "detection_frames"), [(1, range(9)), (3, (0, 3, 6, 8))])
def test_in_the_pipeline(every: int, detection_frames: Any) -> None:
    """Two frames of foresight shift nothing: everybody is where they were in each frame, and each frame has a pose."""

    class Film(list[Frame]):
        meta = VideoMeta(640, 400, Fraction(30), None)

    film = Film(frame(i, picture((100 + 4 * i, 100))) for i in range(9))
    take = analyse(
        film,
        backend(),
        Lifter.load(),
        every=every,
        max_people=1,
        timings=Timings(),
        stop=Stop(),  # type: ignore[arg-type]
        progress=lambda stage, done, total: None,
    )
    assert take.detection_frames == list(detection_frames)
    assert [float(t * 30) for t in take.times_s] == list(range(9))
    (track,) = take.tracks.values()
    assert sorted(track.poses) == list(range(9))
    for i in detection_frames:
        nose = track.people[i].joints_px[COCO.NOSE]
        assert np.abs(nose - ((100 + 4 * i, 100) + FIGURE[POSETRACK.NOSE] * SIZE)).max() < 2


class TestRealNetwork:
    def test_neighbours_reach_the_heatmaps(self) -> None:
        """A change in a neighbouring frame moves GLSMamba's heatmaps, and not those of the one-frame variant."""
        for frames, moved in ((5, True), (1, False)):
            torch.manual_seed(0)
            network = GLSMamba(replace(TINY, frames=frames))
            nn.init.normal_(network.head.weight)
            scores = []
            for grey in (0, 200):
                here = estimator(network, Eye(shrink=16))
                shown = [frame(i, picture((100, 100), grey=grey if i != 2 else 0)) for i in range(5)]
                for one in shown[: 5 if frames == 5 else 3]:
                    here.foresee(one)
                crops = person_crops.Crops.around(BOX[None, :4], (192, 256))
                with torch.inference_mode():
                    scores.append(here.heatmaps(here.around(shown[2]), crops))
            assert torch.equal(*scores) != moved, frames

    def test_fits(self) -> None:
        with pytest.raises(ValueError, match="backbone: want 3 channels, got 4"):
            backend(GLSMamba(TINY), Eye(channels=4))
        with pytest.raises(ValueError, match="want PoseTrack's 15 joints, got 17"):
            backend(GLSMamba(replace(TINY, joints=17)), Eye())


class TestOpening:
    @pytest.fixture
    def checkpoint(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A network and, beside it, a folder that stands for its backbone."""
        (tmp_path / "vitpose").mkdir()
        save_glsmamba(
            GLSMamba(TINY), tmp_path / "gls.safetensors", BackboneRecord(str(tmp_path / "vitpose"), "ab" * 32)
        )
        self.asked: list[Path] = []
        self.found = Eye(shrink=16, sha256="ab" * 32)

        def load(path: Path, device: str) -> Eye:
            self.asked.append(path)
            return self.found

        monkeypatch.setattr("sasmamba.app.pose2d.glsmamba_estimator.load_backbone", load)
        monkeypatch.setattr(
            "sasmamba.app.pose2d.detector_choice.open_detector", lambda *a, **k: (Detector(BOX), "nobody")
        )
        return tmp_path / "gls.safetensors"

    def opened(self, weights: object, **options: Any) -> Any:
        return open_pose2d("glsmamba", max_people=2, weights=None if weights is None else str(weights), **options)

    def test_where_the_backbone_lay(self, checkpoint: Path) -> None:
        with self.opened(checkpoint) as found:
            assert (found.name, found.ahead) == ("glsmamba", 2)
            found(frame(0, picture((100, 100))))
        assert self.asked == [checkpoint.parent / "vitpose"]

    def test_moved_together(self, checkpoint: Path, tmp_path: Path) -> None:
        moved = tmp_path / "moved"
        moved.mkdir()
        checkpoint.rename(moved / "gls.safetensors")
        (tmp_path / "vitpose").rename(moved / "vitpose")
        self.opened(moved / "gls.safetensors")
        assert self.asked == [moved / "vitpose"]

    def test_named(self, checkpoint: Path, tmp_path: Path) -> None:
        self.opened(f"{checkpoint},{tmp_path / 'elsewhere'}")
        assert self.asked == [tmp_path / "elsewhere"]

    def test_a_comma_in_the_name(self, checkpoint: Path) -> None:
        self.opened(checkpoint.rename(checkpoint.with_name("a,b.safetensors")))
        assert len(self.asked) == 1

    def refused(self, weights: object, **options: Any) -> tuple[str, int]:
        with pytest.raises(UserError) as caught:
            self.opened(weights, **options)
        assert "\n" not in str(caught.value)
        return str(caught.value), caught.value.exit_code

    def test_no_weights(self, tmp_path: Path) -> None:
        sentence, code = self.refused(None)
        assert code == 2
        assert sentence.startswith("--pose2d glsmamba needs --pose2d-weights FILE: nobody publishes weights for it;")
        assert "sasmamba-demo train-2d --help" in sentence
        with pytest.raises(UserError, match="needs --pose2d-weights FILE") as caught:
            Settings(pose2d="glsmamba")
        assert caught.value.exit_code == 2
        Settings(pose2d="glsmamba", pose2d_weights="gls.safetensors")

    def test_live(self, checkpoint: Path) -> None:
        sentence, code = self.refused(checkpoint, live=True)
        assert (code, self.asked) == (2, [])
        assert "for videos and not for live; pass --pose2d movenet or --pose2d hrnet." in sentence

    def test_no_file(self) -> None:
        assert self.refused("none.safetensors") == ("--pose2d-weights: there is no file none.safetensors.", 1)

    def test_lost_backbone(self, checkpoint: Path) -> None:
        (checkpoint.parent / "vitpose").rmdir()
        assert "is no longer at" in self.refused(checkpoint)[0]
        save_glsmamba(GLSMamba(TINY), checkpoint, BackboneRecord())
        assert "does not say where its ViTPose backbone is; name its folder" in self.refused(checkpoint)[0]

    def test_another_backbone(self, checkpoint: Path) -> None:
        self.found = Eye(sha256="cd" * 32)
        assert "other weights (SHA-256 abababab…, not cdcdcdcd…); name the right one" in self.refused(checkpoint)[0]
        self.found = Eye(channels=4)
        assert "trained on a backbone 3 wide, this one is 4 wide" in self.refused(checkpoint)[0]
        for input_px, grid in ((168, 224), (256, 192)), ((192, 256), (255, 192)):
            self.found = Eye()
            self.found.input_px, self.found.grid = input_px, grid
            assert "do not divide into this network's windows" in self.refused(checkpoint)[0]

    def test_another_network(self, tmp_path: Path) -> None:
        from sasmamba.models.checkpoint import save_lifter
        from sasmamba.models.sasmamba import SasMamba, SasMambaConfig

        save_lifter(SasMamba(SasMambaConfig(blocks=2)), tmp_path / "lifter.safetensors")
        sentence, _ = self.refused(tmp_path / "lifter.safetensors")
        assert "is not a 2D network of this project (format 'sasmamba-lifter/1'); or pass another --pose2d." in sentence

    def test_no_transformers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "vitpose").mkdir()
        (tmp_path / "vitpose" / "config.json").write_text('{"model_type": "vitpose_backbone"}')
        (tmp_path / "vitpose" / "model.safetensors").touch()
        save_glsmamba(GLSMamba(TINY), tmp_path / "gls.safetensors", BackboneRecord(str(tmp_path / "vitpose")))
        monkeypatch.setitem(sys.modules, "transformers", None)
        sentence, _ = self.refused(tmp_path / "gls.safetensors")
        assert "ViTPose needs transformers" in sentence
        assert "pip install 'sasmamba-demo[vitpose]'; or pass another --pose2d." in sentence

    def test_doctor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from sasmamba.app.cli.examination import examine

        monkeypatch.setitem(sys.modules, "transformers", None)
        (found,) = [f for f in examine() if f.part == "2D glsmamba"]
        assert (found.ok, found.optional, found.found) == (False, True, "not installed")
        assert "pip install 'sasmamba-demo[vitpose]'" in found.remedy


class TestSkeleton:
    def test_order(self) -> None:
        """As PoseTrack 2018's annotation files name them, without the ears."""
        names = (
            "nose head_bottom head_top left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist "
            "left_hip right_hip left_knee right_knee left_ankle right_ankle"
        )
        assert [j.name.lower() for j in POSETRACK] == names.split()
        assert POSETRACK_MIRROR == (0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13)

    def test_to_coco(self) -> None:
        rng = np.random.default_rng(0)
        joints = rng.normal(size=(3, 15, 2)).astype(np.float32)
        score = rng.uniform(0.2, 1, (3, 15)).astype(np.float32)
        got, got_score = posetrack15_to_coco17(joints, score)
        h36m, h36m_score = coco17_to_h36m17(got, got_score)
        assert np.abs(h36m[:, H36M.HEAD_TOP] - joints[:, POSETRACK.HEAD_TOP]).max() < 1e-5
        assert np.array_equal(h36m_score[:, H36M.HEAD_TOP], score[:, [2, 3, 4]].min(1))
        assert np.array_equal(got[:, COCO.LEFT_KNEE], joints[:, 11])
        assert np.array_equal(got_score[:, COCO.RIGHT_ANKLE], score[:, 14])

    def test_missing_joints_stay_missing(self) -> None:
        score = np.ones((1, 15), np.float32)
        score[0, [POSETRACK.HEAD_TOP, POSETRACK.LEFT_HIP]] = 0
        got, got_score = posetrack15_to_coco17(np.ones((1, 15, 2), np.float32), score)
        missing = {COCO.LEFT_EYE, COCO.RIGHT_EYE, COCO.LEFT_EAR, COCO.RIGHT_EAR, COCO.LEFT_HIP}
        assert {COCO(j) for j in np.flatnonzero(got_score[0] == 0)} == missing
        assert not got[0, sorted(missing)].any()

    def test_shapes(self) -> None:
        with pytest.raises(ValueError, match=r"want \(..., 15, D\) and \(..., 15\)"):
            posetrack15_to_coco17(np.zeros((17, 2)), np.zeros(17))


def test_the_choice_is_known() -> None:
    assert "glsmamba" in choices.Backend2D.__args__  # type: ignore[attr-defined]
