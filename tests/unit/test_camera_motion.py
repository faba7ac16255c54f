"""The camera's own motion: the fit, the estimator on pictures whose camera is known, and what is decided of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from helpers_benchmarks import benchmark
from numpy.typing import NDArray

from sasmamba.app.config import Settings
from sasmamba.app.motion.background_motion import BackgroundMotion
from sasmamba.app.motion.body_boxes import body_boxes
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.camera_decision import SURE, decide, in_words
from sasmamba.app.motion.camera_motion import CameraMotion
from sasmamba.app.motion.camera_rest import RestingCamera
from sasmamba.app.motion.camera_watch import CameraWatch
from sasmamba.app.motion.turn_fit import Points, Readout, fit_turn, rotation, rotation_vector
from sasmamba.app.types import Cut, Frame, Person2D, VideoMeta
from sasmamba.common.errors import UserError

ROOT = Path(__file__).parents[2]
SIZE = 640, 360
META = VideoMeta(*SIZE, Fraction(30), None)
CAMERA = Intrinsics.assumed(META, 60)


@pytest.fixture(scope="module")
def virtual() -> ModuleType:
    """benchmarks/virtual_camera.py, which is no package."""
    return benchmark("virtual_camera")


def textured(seed: int, size: tuple[int, int] = (1280, 720)) -> NDArray[np.uint8]:
    """Smooth noise of several sizes: corners everywhere, nothing that repeats."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((size[1], size[0]), np.float32)
    for cell in (8, 24, 80):
        noise = rng.normal(size=(size[1] // cell + 2, size[0] // cell + 2)).astype(np.float32)
        picture += cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
    gray = np.clip(128 + 35 * picture, 0, 255).astype(np.uint8)
    return np.repeat(gray[..., None], 3, 2)


def watched(
    pictures: Sequence[NDArray[np.uint8]],
    people: Callable[[int], list[Person2D]] = lambda i: [],
    shots: list[range] | None = None,
    camera: Intrinsics = CAMERA,
) -> CameraMotion:
    """What is found of the camera that took these pictures, 30 a second."""
    height, width = pictures[0].shape[:2]
    meta = VideoMeta(width, height, Fraction(30), None)
    background = BackgroundMotion(meta, camera)
    for i, picture in enumerate(pictures):
        background.see(Frame(i, Fraction(i, 30), picture), people(i))
    return decide(background.chained(), shots or [range(len(pictures))], meta, camera)


def test_a_point_that_rests_has_one_place_whatever_the_camera_does() -> None:
    rng = np.random.default_rng(0)
    R = np.stack([rotation(v) for v in rng.normal(0, 0.3, (5, 3))])
    motion = CameraMotion("rotating", R, rng.uniform(1, 1.5, 5), np.ones(5))
    point = np.array([0.4, -0.2, 5.0])
    seen = np.einsum("fji,j->fi", R, point)  # in each frame's own axes
    rays = seen[:, :2] / seen[:, 2:] * motion.zoom[:, None]  # as the first frame's focal length makes them
    frames = np.arange(5)
    own = motion.unzoomed(frames, rays)
    assert np.allclose(motion.to_first(frames, np.concatenate([own, np.ones((5, 1))], 1) * seen[:, 2:]), point)


@pytest.mark.parametrize("readout", [(0.0, 0.0), (0.0, 0.02), (-0.025, 0.0)], ids=["at once", "rows", "columns"])
def test_the_fit_finds_rotation_zoom_and_readout_among_outliers(readout: tuple[float, float]) -> None:
    rng = np.random.default_rng(1)
    key_spin, spin = np.array([0.1, 0.5, 0.2]), np.array([-0.6, 0.3, 0.4])
    R, zoom = rotation([0.05, 0.12, -0.03]), 1.2
    when = rng.uniform(-0.5, 0.5, (150, 2))
    rays = when * [1.1, 0.6]

    def read(rays: NDArray, when: NDArray, spin: NDArray) -> NDArray:
        """Directions at the picture's middle time of rays read at their own time."""
        v = np.concatenate([rays, np.ones((len(rays), 1))], 1)
        return np.stack([rotation(s * spin) @ r for r, s in zip(v, when @ np.array(readout), strict=True)])

    world = read(rays, when, key_spin)
    seen = rays.copy()
    for _ in range(50):  # where in the second picture each is depends on when it is read, and that on where
        v = (world @ R) * 1.0
        at = np.stack(
            [rotation(-s * spin) @ r for r, s in zip(v, (seen / [1.1, 0.6]) @ np.array(readout), strict=True)]
        )
        seen = at[:, :2] / at[:, 2:] * zoom
    now_when = seen / [1.1, 0.6]
    outliers = rng.choice(150, 40, replace=False)
    seen[outliers] += rng.normal(0, 0.05, (40, 2))
    key, now = Points(rays, when, key_spin), Points(seen, now_when, spin)
    fit = fit_turn(key, now, np.eye(3), readout=Readout(), focal_px=500)
    angle = np.degrees(np.arccos(((np.trace(fit.R_key_cam.T @ R) - 1) / 2).clip(-1, 1)))
    assert angle < 0.05
    assert abs(fit.zoom / zoom - 1) < 0.002
    assert np.allclose(fit.readout_s, readout, atol=0.002)


@pytest.mark.parametrize("readout_s", [0.0, 0.02])
def test_a_camera_that_pans_tilts_rolls_zooms_and_shakes_is_followed(virtual: ModuleType, readout_s: float) -> None:
    picture = textured(2, (1600, 900))
    camera = virtual.VirtualCamera.over((1600, 900), 70, np.arange(60) / 30, 5, width=640, readout_s=readout_s)
    motion = watched([camera.film(i, picture) for i in range(60)], camera=camera.intrinsics)
    assert motion.kind == "rotating"
    assert virtual.angle_deg(motion.R_first_cam, camera.R_first_cam).max() < 0.3
    assert np.abs(motion.zoom / (camera.zoom / camera.zoom[0]) - 1).max() < 0.01
    assert np.degrees(np.ptp(camera.angles, axis=0)).max() > 10, "the camera did nothing worth following"


def noisy(picture: NDArray[np.uint8], frame: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(frame)
    return np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def test_a_camera_that_stands_still_is_still_exactly() -> None:
    picture = textured(3, SIZE)
    motion = watched([noisy(picture, i) for i in range(20)])
    assert motion.kind == "still"
    assert (motion.R_first_cam == np.eye(3)).all()
    assert (motion.zoom == 1).all()


@pytest.mark.parametrize("masked", [True, False])
def test_somebody_who_walks_past_does_not_turn_the_camera(masked: bool) -> None:
    background, person = textured(4, SIZE), textured(5, (220, 330))
    pictures, boxes = [], []
    for i in range(30):
        picture = background.copy()
        picture[30:, 10 * i : 10 * i + 220] = person[:, : 640 - 10 * i]
        pictures.append(picture)
        boxes.append(np.array([10 * i, 30, 10 * i + 220, 360], np.float32))
    motion = watched(pictures, lambda i: [in_box(boxes[i])] if masked else [])
    assert motion.kind == "still"


def in_box(box: NDArray) -> Person2D:
    """Somebody of whom nothing but where they are is known."""
    return Person2D(None, box.astype(np.float32), np.zeros((17, 2), np.float32), np.zeros(17, np.float32))


def with_arms_out(x: float) -> Person2D:
    """Somebody who stands at x, arms and legs apart, and whose box is most of the picture."""
    half = np.array(
        [(0, 40), (8, 32), (16, 36), (50, 90), (150, 60), (240, 30), (35, 200), (110, 260), (200, 330)], np.float32
    )
    joints = half[list(_OF_HALF)] * np.stack([_SIDES, np.ones(17)], 1) + np.array([x, 0])
    box = np.concatenate([joints.min(0) - 15, joints.max(0) + 15])
    return Person2D(None, box.astype(np.float32), joints.astype(np.float32), np.ones(17, np.float32))


#: Nose, eyes, ears, shoulders, elbows, wrists, hips, knees and ankles, left and right.
_OF_HALF, _SIDES = (0, *np.repeat(np.arange(1, 9), 2).tolist()), (0, *[1, -1] * 8)


def test_the_camera_is_followed_between_the_limbs_of_somebody_who_fills_the_picture() -> None:
    degrees = 0.3 * np.arange(40)
    background, clothes = panned(textured(21), degrees), textured(22)
    pictures, people = [], []
    for i, picture in enumerate(background):
        person = with_arms_out(320 + 20 * np.sin(i / 5))
        body = np.zeros((360, 640), np.uint8)
        at = person.joints_px.round().astype(int)
        for a, b in SKELETON:
            cv2.line(body, at[a].tolist(), at[b].tolist(), 255, 14)
        cv2.fillConvexPoly(body, at[[5, 6, 12, 11]], 255)
        shown = picture.copy()
        shown[body > 0] = np.roll(clothes[:360, :640], round(20 * np.sin(i / 5)), 1)[body > 0]
        pictures.append(shown)
        people.append(person)
    motion = watched(pictures, lambda i: [people[i]])
    assert motion.kind == "rotating"
    assert np.abs(pan_deg(motion) - degrees).max() < 0.3
    assert (motion.confidence >= SURE).mean() > 0.95


SKELETON = ((0, 5), (0, 6), (5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16))


def test_bodies_are_covered_closely_and_who_has_no_trunk_by_their_box() -> None:
    person = with_arms_out(320)

    def covered(people: list[Person2D], point: NDArray) -> bool:
        return bool(any((box[:2] <= point).all() and (point <= box[2:]).all() for box in body_boxes(people)))

    for joint in person.joints_px:
        assert covered([person], joint)
    for a, b in SKELETON[2:]:
        assert covered([person], person.joints_px[[a, b]].mean(0))
    for beside in ((120, 200), (520, 200), (320, 300)):  # under the arms, between the legs
        assert not covered([person], np.array(beside))
    no_trunk = replace(person, score=np.where(np.isin(np.arange(17), [6, 11, 12]), 0, person.score).astype(np.float32))
    assert np.array_equal(body_boxes([no_trunk]), person.box_px[None])
    assert len(body_boxes([])) == 0
    assert len(body_boxes([person, no_trunk])) == len(body_boxes([person])) + 1


#: How far the picture has moved, pixels of a frame each, and at least so many frames of it need not be looked at.
RESTS = {
    "pans, then still to the end": (np.concatenate([np.linspace(0, 60, 20), np.full(50, 60.0)]), 10),
    "still but for one push": (np.where(np.arange(70) >= 51, 12.0, 0.0), 10),
    "still, then pans slowly": (np.maximum(0, np.arange(70) - 40.0), 4),
    "shakes": (3 * np.sin(np.arange(50) / 2), 0),
}


@pytest.mark.parametrize("case", RESTS)
def test_a_camera_at_rest_is_looked_at_now_and_then_and_no_move_is_missed(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved, fewer = RESTS[case]
    picture = textured(8, (SIZE[0] + 80, SIZE[1]))
    noise = [np.random.default_rng(i).integers(0, 6, (SIZE[1], SIZE[0], 3), np.uint8) for i in range(4)]
    film = []
    for i, px in enumerate(moved):
        seen = cv2.warpAffine(picture, np.array([[1.0, 0, -10 - px], [0, 1.0, 0]]), SIZE)
        film.append(Frame(i, Fraction(i, 30), np.asarray(cv2.add(seen, noise[i % 4]), np.uint8)))
    always, resting = BackgroundMotion(META, CAMERA), RestingCamera(META, CAMERA)
    for frame in film:
        always.see(frame, [])
    looks, see = list[int](), BackgroundMotion.see
    monkeypatch.setattr(BackgroundMotion, "see", lambda self, f, people: (looks.append(f.index), see(self, f, people)))
    for frame in film:
        resting.see(frame, [])
    found = resting.chained()
    assert len(found) == len(moved)
    assert len(set(looks)) <= len(moved) - fewer
    pairs = list(zip(always.chained(), found, strict=True))
    off = [np.linalg.norm(rotation_vector(a.R_start_cam.T @ b.R_start_cam)) for a, b in pairs]
    assert np.degrees(max(off)) < 0.05
    assert max(abs(a.zoom / b.zoom - 1) for a, b in pairs) < 0.003
    assert max(a.confidence - b.confidence for a, b in pairs) < 0.15


def test_frames_that_wait_are_looked_at_before_a_cut() -> None:
    first, second = textured(3, SIZE), textured(9, SIZE)
    resting, cut = RestingCamera(META, CAMERA), Cut(35, Fraction(35, 30))
    for i in range(50):
        resting.see(Frame(i, Fraction(i, 30), second if i >= 35 else first, cut if i == 35 else None), [])
    found = resting.chained()
    assert [i for i, s in enumerate(found) if s.confidence == 0] == [35]
    assert decide(found, [range(35), range(35, 50)], META, CAMERA).kind == "still"


def test_nothing_to_see_is_still_and_said_to_be_unsure() -> None:
    motion = watched([np.full((360, 640, 3), 90, np.uint8)] * 5)
    assert motion.kind == "still"
    assert (motion.confidence[1:] == 0).all()


def panned(picture: NDArray[np.uint8], degrees: NDArray) -> list[NDArray[np.uint8]]:
    """A camera that pans to the right before a picture twice as large as its own."""
    K = np.array([[CAMERA.fx, 0, 319.5], [0, CAMERA.fy, 179.5], [0, 0, 1]])
    K_big = np.array([[CAMERA.fx, 0, 639.5], [0, CAMERA.fy, 359.5], [0, 0, 1]])
    out = []
    for pan in np.radians(degrees):
        M = K_big @ rotation([0, pan, 0]) @ np.linalg.inv(K)
        out.append(cv2.warpPerspective(picture, M, SIZE, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))
    return out


def pan_deg(motion: CameraMotion) -> NDArray:
    return np.degrees(np.arctan2(motion.R_first_cam[:, 0, 2], motion.R_first_cam[:, 2, 2]))


def test_after_a_flash_the_camera_is_where_it_was() -> None:
    pictures = panned(textured(6), 0.3 * np.arange(30))
    for i in (14, 15):
        pictures[i] = np.full_like(pictures[i], 255)
    motion = watched(pictures)
    assert (motion.confidence[14:16] == 0).all()
    off = np.abs(pan_deg(motion) - 0.3 * np.arange(30))
    assert off[14:16].max() < 0.3, "a camera that pans goes on meanwhile"
    assert np.delete(off, [14, 15]).max() < 0.05


def test_motion_starts_anew_at_a_cut() -> None:
    still, sweep = [textured(7, SIZE)] * 12, panned(textured(8), 0.6 * np.arange(20))
    motion = watched([*still, *sweep], shots=[range(12), range(12, 32)])
    assert motion.kind == "rotating"
    assert (motion.R_first_cam[:13] == np.eye(3)).all()
    assert np.abs(pan_deg(motion)[12:] - 0.6 * np.arange(20)).max() < 0.1


def walk(step_px: float) -> list[NDArray[np.uint8]]:
    """A camera that steps to the right past things at three depths, seen in stripes."""
    far, middle, near = textured(9), textured(10), textured(11)
    pictures = []
    for i in range(25):
        picture = np.empty((360, 640, 3), np.uint8)
        for begin, end, layer, share in ((0, 120, far, 0.1), (120, 240, middle, 0.5), (240, 360, near, 1.0)):
            x = 100 + i * step_px * share
            M = np.array([[1, 0, x], [0, 1, begin]], float)
            picture[begin:end] = cv2.warpAffine(
                layer, M, (640, end - begin), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            )
        pictures.append(picture)
    return pictures


def test_a_camera_that_is_carried_is_recognised_by_its_parallax() -> None:
    motion = watched(walk(6))
    assert motion.kind == "moving"
    assert (motion.zoom == 1).all()
    assert "its own steps are not" in in_words(motion)


def test_the_watch_sees_every_frame_and_passes_errors_on() -> None:
    pictures = panned(textured(12), 0.4 * np.arange(10))
    with CameraWatch(META, CAMERA) as watch:
        for i, picture in enumerate(pictures):
            watch.see(Frame(i, Fraction(i, 30), picture), [])
        motion = watch.motion([range(10)])
    assert len(motion.zoom) == 10
    assert np.array_equal(motion.R_first_cam, watched(pictures).R_first_cam)
    with CameraWatch(META, CAMERA) as watch:
        for i in range(20):  # more than may wait
            watch.see(Frame(i, Fraction(i, 30), np.zeros((0, 0, 3), np.uint8)), [])
        with pytest.raises(cv2.error):
            watch.motion([range(20)])


def test_a_still_camera_costs_no_words_but_who_said_so() -> None:
    eye = np.tile(np.eye(3), (2, 1, 1))
    rotating = CameraMotion("rotating", eye, np.ones(2), np.ones(2))
    assert in_words(None) == "taken to be still"
    assert in_words(CameraMotion("still", eye, np.ones(2), np.ones(2))) == "still, as its background shows"
    assert in_words(rotating).startswith("rotating, as its background shows")
    given = CameraMotion("rotating", eye, np.ones(2), np.ones(2), given=True)
    assert in_words(given).startswith("rotating, as was said")


def test_a_camera_that_there_is_not_is_told_before_the_work() -> None:
    with pytest.raises(UserError, match="--camera must be one of auto, still, rotating") as caught:
        Settings(camera="drone")  # type: ignore[arg-type]
    assert caught.value.exit_code == 2
