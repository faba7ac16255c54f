"""MoveNet's real networks on real pictures: everybody is found once, where they are, in pictures of any kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from helpers_coco import Annotated, like

from sasmamba.app import weights
from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.motion.locating import MIN_SCORE
from sasmamba.app.pose2d import open_pose2d
from sasmamba.app.pose2d.overlap import joint_similarity
from sasmamba.app.pose2d.protocol import Pose2D
from sasmamba.app.pose2d.squares import turned_back
from sasmamba.app.types import Frame, Person2D
from sasmamba.models.skeletons import COCO


@pytest.fixture(scope="module")
def eyes() -> Iterator[Pose2D]:
    if weights.obtain("movenet") is None:
        pytest.skip("MoveNet's weights cannot be had")
    with open_pose2d("movenet", max_people=20) as backend:
        yield backend


def people_in(eyes: Pose2D, bgr: np.ndarray) -> tuple[Person2D, ...]:
    """A picture by itself: a frame that is not later than the last begins a new video."""
    return eyes(Frame(0, Fraction(0), np.ascontiguousarray(bgr)))


@pytest.fixture(scope="module")
def skier(pictures: list[Annotated]) -> np.ndarray:
    return pictures[0][0]


def test_the_people_of_coco(eyes: Pose2D, pictures: list[Annotated]) -> None:
    hits, total, strangers = 0, 0, 0
    for bgr, truths in pictures:
        found = people_in(eyes, bgr)
        hits += sum(max((like(f, t) for f in found), default=0.0) > 0.5 for t in truths)
        total += len(truths)
        strangers += sum(max(like(f, t) for t in truths) < 0.2 for f in found)
        for i, a in enumerate(found):
            assert all(joint_similarity(a, b) < 0.5 for b in found[i + 1 :]), "the same person twice"
    assert total == 12
    assert hits >= 10
    assert strangers <= 2


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_the_same_people_when_the_picture_is_turned(eyes: Pose2D, pictures: list[Annotated], turns: int) -> None:
    """Upright crops and an upright search found six to eight."""
    hits = 0
    for bgr, truths in pictures:
        size = np.array(bgr.shape[1::-1] if turns % 2 == 0 else bgr.shape[:2], np.float32)
        found = [
            replace(p, joints_px=turned_back(p.joints_px / size, turns) * np.array(bgr.shape[1::-1], np.float32))
            for p in people_in(eyes, np.rot90(bgr, turns))
        ]
        hits += sum(max((like(f, t) for f in found), default=0.0) > 0.5 for t in truths)
    assert hits >= 10


def test_a_man_upside_down_is_found_in_every_frame_head_down(eyes: Pose2D, shared: Path) -> None:
    """He was found in 51 of 60 frames, as often as not with left and right exchanged."""
    for frame in VideoFile(shared / "failing" / "turned_by_180.mp4"):
        man = eyes(frame)[0]
        head, feet = man.joints_px[COCO.NOSE, 1], man.joints_px[[COCO.LEFT_ANKLE, COCO.RIGHT_ANKLE], 1].mean()
        assert head - feet > 120
        assert man.score.mean() > 0.65


def resized(bgr: np.ndarray, width: int, height: int, part: float = 1.0) -> np.ndarray:
    """The picture as large as fits into `part` of a grey canvas of that size, in its middle."""
    scale = part * min(width / bgr.shape[1], height / bgr.shape[0])
    w, h = round(bgr.shape[1] * scale), round(bgr.shape[0] * scale)
    out = np.full((height, width, 3), 120, np.uint8)
    x, y = (width - w) // 2, (height - h) // 2
    out[y : y + h, x : x + w] = cv2.resize(bgr, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return out


@pytest.mark.parametrize(
    ("width", "height"),
    [(64, 64), (160, 120), (640, 480), (1920, 1080), (1080, 1920), (480, 3000), (7680, 4320)],
    ids=str,
)
def test_pictures_of_any_size(eyes: Pose2D, skier: np.ndarray, width: int, height: int) -> None:
    (person,) = people_in(eyes, resized(skier, width, height))
    head, feet = person.joints_px[COCO.NOSE, 1], person.joints_px[[COCO.LEFT_ANKLE, COCO.RIGHT_ANKLE], 1].mean()
    scale = min(width / 640, height / 425)
    assert feet - head == pytest.approx(257 * scale, rel=0.1, abs=2)
    assert (person.box_px[:2] >= 0).all()
    assert (person.box_px[2:] <= (width, height)).all()


@pytest.mark.parametrize(("codec", "pixels"), [("ffv1", "gray"), ("ffv1", "gray16le"), ("ffv1", "rgb48le")])
def test_grey_and_sixteen_bits(eyes: Pose2D, skier: np.ndarray, tmp_path: Path, codec: str, pixels: str) -> None:
    with av.open(str(tmp_path / "clip.mkv"), "w") as out:
        stream = out.add_stream(codec, rate=25, width=640, height=424, pix_fmt=pixels)
        for _ in range(3):
            bgr = np.ascontiguousarray(skier[:424])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(format=pixels)))
        out.mux(stream.encode(None))
    with VideoFile(tmp_path / "clip.mkv") as video:
        frames = list(video)
    assert [len(eyes(frame)) for frame in frames] == [1, 1, 1]


def test_nobody_in_flat_and_noisy_pictures(eyes: Pose2D) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    for bgr in (np.zeros_like(noise), np.full_like(noise, 255), noise):
        assert people_in(eyes, bgr) == ()


def test_half_a_person_at_the_edge(eyes: Pose2D, skier: np.ndarray) -> None:
    """Cut below the knees: feet have no score, and what is above has."""
    (person,) = people_in(eyes, skier[:290])
    assert (person.score[[COCO.LEFT_ANKLE, COCO.RIGHT_ANKLE]] == 0).all()
    assert person.score[[COCO.LEFT_SHOULDER, COCO.RIGHT_SHOULDER]].min() > 0.3


def test_a_head_and_hands_only_have_no_legs(eyes: Pose2D, skier: np.ndarray) -> None:
    """A table in front of the skier from the chest on."""
    table = skier.copy()
    table[185:] = (40, 70, 110)
    for person in people_in(eyes, table):
        assert (person.score[COCO.LEFT_KNEE :] < MIN_SCORE).all()


def test_both_people_of_the_park(eyes: Pose2D, demo_clip: Path) -> None:
    clip = cv2.VideoCapture(str(demo_clip))
    clip.set(cv2.CAP_PROP_POS_FRAMES, 60)
    pictures = [clip.read()[1] for _ in range(24)]
    counts = [len(eyes(Frame(t, Fraction(1 + t, 30), bgr))) for t, bgr in enumerate(pictures)]
    assert counts == [2] * 24


def test_who_fills_the_picture(eyes: Pose2D, pictures: list[Annotated]) -> None:
    """Head and shoulders alone, as a webcam sees somebody: found, and the nose where it was annotated."""
    top = [COCO.NOSE, COCO.LEFT_SHOULDER, COCO.RIGHT_SHOULDER]
    found, total = 0, 0
    for bgr, truths in pictures:
        for truth in (t for t in truths if t.score[top].all()):
            nose, left, right = truth.joints_px[top]
            wide = float(np.linalg.norm(left - right))
            if wide < 40:
                continue  # too few pixels for a close-up
            x, y = (nose + (left + right) / 2) / 2
            reach = 1.1 * max(wide, float(np.linalg.norm(nose - (left + right) / 2)))
            x0, y0, x1, y1 = (max(0, round(float(v))) for v in (x - reach, y - reach, x + reach, y + reach))
            scale = 480 / (min(y1, bgr.shape[0]) - y0)
            close_up = cv2.resize(bgr[y0:y1, x0:x1], None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            people = people_in(eyes, close_up)
            off = [np.linalg.norm(p.joints_px[COCO.NOSE] - scale * (nose - (x0, y0))) for p in people]
            found += min(off, default=np.inf) < 0.1 * 480
            total += 1
    assert total == 5
    assert found >= 4
