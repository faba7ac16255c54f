"""A camera that turns: the picture's shift is told, passers-by make none, and everybody keeps their number."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import cv2
import numpy as np
import pytest
from helpers_crossings import figure
from numpy.typing import NDArray

from sasmamba.app.pose2d.panning import Panning
from sasmamba.app.tracking import Tracker
from sasmamba.app.types import Frame

WIDTH, HEIGHT, FPS = 640, 360, 30


def scenery(seed: int, width: int = 3 * WIDTH, height: int = 3 * HEIGHT) -> NDArray[np.uint8]:
    """Blots of all sizes, as leaves, walls and windows have."""
    rng, picture = np.random.default_rng(seed), np.zeros((height, width, 3))
    for blur in (4, 12, 40):
        noise = cv2.GaussianBlur(rng.normal(size=(height, width, 3)), (0, 0), blur)
        picture += noise / noise.std()
    return np.clip(118 + 25 * picture, 0, 255).astype(np.uint8)


WORLD = scenery(0)


def seen_from(x: float, y: float = HEIGHT, world: NDArray[np.uint8] = WORLD) -> NDArray[np.uint8]:
    """What a camera sees that has turned so far right and down, with noise."""
    noise = np.random.default_rng(round(x * 7 + y)).normal(0, 3, (HEIGHT, WIDTH, 3))
    there = np.array([[1, 0, -x], [0, 1, -y]], np.float32)
    return np.clip(cv2.warpAffine(world, there, (WIDTH, HEIGHT)) + noise, 0, 255).astype(np.uint8)


def shift_between(*pictures: NDArray[np.uint8], boxes: tuple = (), fps: int = FPS) -> NDArray | None:
    panning = Panning()
    return [panning.shift_px(i / fps, picture, boxes) for i, picture in enumerate(pictures)][-1]


@pytest.mark.parametrize("turn", [(12, 0), (-40, 0), (0, 25), (90, -20), (-200, 0)])
def test_a_turn_is_told(turn: tuple[int, int]) -> None:
    shift = shift_between(seen_from(WIDTH), seen_from(WIDTH + turn[0], HEIGHT + turn[1]))
    assert shift is not None
    np.testing.assert_allclose(shift, (-turn[0], -turn[1]), atol=WIDTH / 128 / 2)


def test_a_turn_in_a_flash_is_told() -> None:
    bright = np.clip(seen_from(WIDTH + 40) * 1.05 + 3, 0, 255).astype(np.uint8)
    assert shift_between(seen_from(WIDTH), bright) == pytest.approx([-40, 0], abs=WIDTH / 128 / 2)


def with_passer(x: int, wide: int) -> NDArray[np.uint8]:
    """The scene of a camera that stands still, and somebody close to it who has been found by nobody."""
    picture = seen_from(WIDTH + x / 1000)
    visible = slice(min(max(0, x), WIDTH), max(0, min(WIDTH, x + wide)))
    picture[:, visible] = WORLD[-HEIGHT:, max(0, -x) : max(0, -x) + visible.stop - visible.start]
    return picture


def on_a_wall(x: int) -> NDArray[np.uint8]:
    """Somebody in front of a wall on which there is nothing to be seen."""
    picture = np.full((HEIGHT, WIDTH, 3), 180, np.uint8)
    picture[60:, x : x + 120] = WORLD[60:HEIGHT, :120]
    return picture


@pytest.mark.parametrize(
    ("pictures", "boxes"),
    [
        ((seen_from(WIDTH), seen_from(WIDTH)), ()),
        ((seen_from(WIDTH), seen_from(WIDTH + 2)), ()),  # a tripod in the wind
        ((with_passer(100, 200), with_passer(130, 200)), ()),
        ((with_passer(100, 420), with_passer(130, 420)), ()),
        ((with_passer(-80, 500), with_passer(-40, 500)), ()),
        ((on_a_wall(200), on_a_wall(220)), ()),
        ((on_a_wall(200), on_a_wall(220)), (np.array([200, 60, 340, 360]),)),
        ((seen_from(WIDTH), seen_from(WIDTH, world=scenery(1))), ()),  # another picture
        ((np.full((HEIGHT, WIDTH, 3), 118, np.uint8),) * 2, ()),
        ((np.zeros((4, 4, 3), np.uint8),) * 2, ()),
    ],
    ids=[
        "nothing moves",
        "a little",
        "a passer-by",
        "a broad one",
        "one over most of the picture",
        "one before a bare wall",
        "who was found",
        "a cut",
        "grey",
        "tiny",
    ],
)
def test_no_turn(pictures: tuple[NDArray[np.uint8], ...], boxes: tuple) -> None:
    assert shift_between(*pictures, boxes=boxes) is None


def test_at_any_frame_rate() -> None:
    """At 120 frames a second a camera turns by next to nothing from one to the next, and by as much in a second."""
    panning, told = Panning(), np.zeros(2)
    for i in range(41):
        shift = panning.shift_px(i / 120, seen_from(WIDTH + 3 * i), ())
        told += 0 if shift is None else shift
    assert told == pytest.approx([-120, 0], abs=15)


def numbers(camera_x: Callable[[int], float], blind: range, *, frames: int) -> dict[str, list[int]]:
    """The numbers that two who stand 300 px apart get, of a camera that turns; in a blur nobody is found."""
    tracker, got = Tracker(), {"left": [], "right": []}
    for i in range(frames):
        at = {"left": WIDTH + 170 - camera_x(i), "right": WIDTH + 470 - camera_x(i)}
        seen = {name: figure(x, 180, 120) for name, x in at.items() if 0 < x < WIDTH and i not in blind}
        out = tracker.update(Frame(i, Fraction(i, FPS), seen_from(camera_x(i))), tuple(seen.values()))
        for name, person in seen.items():
            got[name] += [p.track_id or 0 for p in out if np.array_equal(p.joints_px, person.joints_px)]
    return got


def test_a_whip_pan_that_puts_one_where_the_other_was() -> None:
    """And back again, while the other is remembered."""

    def camera_x(i: int) -> float:
        return WIDTH + 60 * (min(max(i - 20, 0), 5) - min(max(i - 45, 0), 5))

    got = numbers(camera_x, range(20, 26), frames=70)
    assert set(got["left"]) == {1}
    assert set(got["right"]) == {2}


def test_whom_the_camera_left_is_nobody_in_the_picture() -> None:
    """Somebody else comes into the place where the one was who has been left behind."""
    tracker, ids = Tracker(), []
    for i in range(40):
        picture = seen_from(WIDTH + 50 * min(max(i - 15, 0), 10))
        people = () if 15 <= i < 30 else (figure(200, 180, 120),)
        for x0, y0, x1, y1 in (person.box_px.astype(int) for person in people):
            picture[y0:y1, x0:x1] = 90, 40, 160  # in the same clothes
        ids += [p.track_id for p in tracker.update(Frame(i, Fraction(i, FPS), picture), people)]
    assert ids == [1] * 15 + [2] * 10


def test_a_still_camera_changes_nothing() -> None:
    """Numbers and people are those of a tracker that sees no background at all."""
    outs = []
    grey = np.full((HEIGHT, WIDTH, 3), 118, np.uint8)
    for picture in (lambda _: grey, lambda i: with_passer(20 * i - 300, 250)):
        tracker = Tracker()
        tracker_outs = []
        for i in range(60):
            people = [figure(100 + 8 * i, 180, 150), figure(540 - 8 * i, 180, 150)][: 1 if 25 < i < 31 else 2]
            tracker_outs.append(tracker.update(Frame(i, Fraction(i, FPS), picture(i)), tuple(people)))
        outs.append([[(p.track_id, p.joints_px.tolist()) for p in out] for out in tracker_outs])
    assert outs[0] == outs[1]
