"""Small people: the parts of a picture, whose turn it is, and who is taken on from them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from helpers_crossings import figure
from helpers_world import World

from sasmamba.app.pose2d.movenet import MoveNetPose2D
from sasmamba.app.pose2d.protocol import nobody_found
from sasmamba.app.pose2d.tiles import (
    EVERY_S,
    FINE,
    IDLE_S,
    LARGEST,
    MULTIPOSE_PIXELS,
    Rotation,
    Tile,
    find_small_people,
    smallest_px,
    tiles_of,
)
from sasmamba.app.types import Frame


@pytest.mark.parametrize(
    ("size", "count", "smallest"),
    [
        ((1920, 1080), 16, 60),
        ((1080, 1920), 16, 60),
        ((1280, 720), 4, 72),
        ((640, 480), 0, 69),
        ((320, 240), 0, 35),
        ((3840, 2160), 16, 120),
        ((8000, 20), 0, 50),
        ((1, 1), 0, 20),
    ],
)
def test_how_many_tiles(size: tuple[int, int], count: int, smallest: int) -> None:
    assert len(tiles_of(*size)) == count
    assert smallest_px(*size) == pytest.approx(smallest, abs=1)


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (1279, 721), (3840, 2160)])
def test_tiles_cover_everything_and_overlap(size: tuple[int, int]) -> None:
    width, height = size
    seen = np.zeros((height, width), int)
    for t in tiles_of(width, height):
        assert 0 <= t.x0 < t.x1 <= width
        assert 0 <= t.y0 < t.y1 <= height
        seen[t.y0 : t.y1, t.x0 : t.x1] += 1
        if width <= 1920 and height <= 1920:
            assert np.sqrt(MULTIPOSE_PIXELS / ((t.x1 - t.x0) * (t.y1 - t.y0))) >= FINE
    assert seen.min() == 1
    assert (seen > 1).mean() > 0.3
    # somebody of the smallest height is whole in a tile, wherever they stand
    tall = smallest_px(width, height)
    for top in range(0, height - tall, 10):
        assert any(t.y0 <= top and top + tall <= t.y1 for t in tiles_of(width, height))


def across(box: np.ndarray) -> np.ndarray:
    """Joints (17, 3) along a box's diagonal."""
    return np.column_stack([np.linspace(box[0], box[2], 17), np.linspace(box[1], box[3], 17), np.ones(17)])


def test_in_pixels_of_the_picture_and_only_the_small() -> None:
    def network(bgr: np.ndarray) -> list:
        assert bgr.shape == (100, 160, 3)
        small = np.array([20, 10, 50, 10 + LARGEST * 100 - 1], np.float32)
        large = np.array([20, 10, 50, 10 + LARGEST * 100 + 1], np.float32)
        return [(across(small), small, 0.9), (across(large)[::-1], large, 0.8)]

    ((person, sure),) = find_small_people(network, np.zeros((300, 400, 3), np.uint8), Tile(200, 150, 360, 250))
    assert sure == pytest.approx(0.9)
    assert person.box_px.tolist() == [220, 160, 250, 219]
    assert person.joints_px[0].tolist() == [220, 160]


def test_turns_are_a_matter_of_seconds() -> None:
    rotation, bgr = Rotation(), np.zeros((1080, 1920, 3), np.uint8)
    assert rotation.turn(0.0, idle=True) == ()  # no picture yet
    assert rotation.begin(bgr, 0.0) == tiles_of(1920, 1080)
    for idle, every in ((False, EVERY_S), (True, IDLE_S)):
        rotation.begin(bgr, 0.0)
        turns = [tile for t in range(1, 1 + round(16 * every * 30)) for tile in rotation.turn(t / 30, idle=idle)]
        assert turns == list(tiles_of(1920, 1080))


def small_world(tall: float) -> World:
    world = World()
    world.tall = tall
    return world


class TestInTheBackend:
    def test_small_people_are_found_in_the_first_frame(self) -> None:
        world = small_world(80)
        with MoveNetPose2D(world.network(), world.finder) as eyes:
            assert len(eyes(world.frame(0, a=200, b=700))) == 2
            assert len(world.parts) == 4
            assert len(world.finds) == 1

    def test_small_people_are_found_soon_after_a_first_frame_that_is_to_be_out_soon(self) -> None:
        world = small_world(80)
        with MoveNetPose2D(world.network(), world.finder, soon=True) as eyes:
            assert len(eyes(world.frame(0, a=200, b=700))) == 0
            assert (len(world.parts), len(world.finds)) == (0, 1)
            found = [len(eyes(world.frame(t, a=200, b=700))) for t in range(1, 4)]
            assert found[1:] == [2, 2]
            assert len(world.parts) == 4
            # a new shot is searched at once
            world.parts.clear()
            assert len(eyes(world.frame(0, a=200, b=700))) == 2
            assert len(world.parts) == 4

    def test_a_newcomer_is_found_within_a_round(self) -> None:
        world = small_world(80)
        with MoveNetPose2D(world.network(), world.finder) as eyes:
            seen = [len(eyes(world.frame(t, **({} if t < 5 else {"a": 300.0})))) for t in range(60)]
        first = seen.index(1)
        assert first <= 5 + round(5 * IDLE_S * 30)
        assert seen[first:] == [1] * (60 - first)

    def test_they_stay_while_their_tile_waits_for_its_turn(self) -> None:
        world = small_world(80)
        with MoveNetPose2D(world.network(), world.finder) as eyes:
            seen = [len(eyes(world.frame(t, 10, a=200, b=700))) for t in range(80)]
        assert seen == [2] * 80
        assert len(world.parts) == pytest.approx(4 + 8 / EVERY_S, abs=6)

    def test_a_part_of_somebody_large_is_nobody_new(self) -> None:
        world = World()
        whole = world.finder

        def finder(bgr: np.ndarray) -> list:
            found = whole(bgr)
            if bgr.shape[0] > 400:
                return found
            corner = bgr[0, 0, :0:-1] * np.array([4, 2])
            arm = np.array([470, 200, 500, 260], np.float32) - np.tile(corner, 2).astype(np.float32)
            return [*found, (across(arm), arm, 0.9)]

        with MoveNetPose2D(world.network(), finder) as eyes:
            for t in range(60):
                assert len(eyes(world.frame(t, a=485))) == 1

    @pytest.mark.parametrize("late", [False, True], ids=["together", "the whole person a moment later"])
    def test_a_waist_is_nobody_beside_its_person(self, late: bool) -> None:
        """A part of a picture showed a waist, whose crop showed a small person in the middle of a large one."""
        world = World()
        whole, network = world.finder, world.network()
        small = figure(485, 255, 80)

        def finder(bgr: np.ndarray) -> list:
            if bgr.shape[0] > 400:
                found = whole(bgr)
                return [] if late and len(world.finds) == 1 else found
            corner = bgr[0, 0, :0:-1] * np.array([4, 2])
            # a box so wide that it alone tells nothing
            box = small.box_px + np.float32([-70, 0, 70, 0]) - np.tile(corner, 2)
            return [(np.column_stack([small.joints_px - corner, small.score]), box, 0.9)] if box.min() > 0 else []

        class Waist:
            side = world.side

            def __call__(self, crops: np.ndarray) -> np.ndarray:
                out = network(crops)
                for one, crop in zip(out, crops, strict=True):
                    shows_px = np.ptp(crop[..., 0][crop[..., 2] > 250].astype(float)) * 4
                    if shows_px < 280:  # a small crop: a network sees somebody fill it
                        one[:] = np.column_stack([0.5 + (small.joints_px - (485, 255)) / shows_px, small.score])
                return out

        with MoveNetPose2D(Waist(), finder) as eyes:
            for t in range(20):
                people = eyes(world.frame(t, a=485))
        assert len(people) == 1
        assert people[0].box_px[3] - people[0].box_px[1] > 200

    def test_the_small_give_way_to_others(self) -> None:
        world = small_world(80)
        with MoveNetPose2D(world.network(), world.finder, max_people=2) as eyes:
            assert len(eyes(world.frame(0, a=200, b=500))) == 2
            for t in range(1, 15):
                world.tall = 80
                small = world.frame(t, a=200, b=500).bgr
                tall, world.tall = dict(world.people), 250
                world.frame(t, c=800)
                world.people |= tall
                world.least = 100
                people = eyes(Frame(t, Fraction(t, 30), small))
        heights = sorted(float(p.box_px[3] - p.box_px[1]) for p in people)
        assert len(heights) == 2
        assert heights[0] < 150 < heights[1]

    def test_unsure_joints_make_nobody_small(self) -> None:
        world = small_world(80)

        class Unsure:
            side = world.side

            def __call__(self, crops: np.ndarray) -> np.ndarray:
                out = world.network()(crops)
                out[..., 2] *= 0.45
                return out

        with MoveNetPose2D(Unsure(), world.finder) as eyes:
            assert eyes(world.frame(0, a=300)) == ()
        world.tall = 250
        with MoveNetPose2D(Unsure(), world.finder) as eyes:
            assert len(eyes(world.frame(0, a=300))) == 1  # whom the whole picture shows may be less sure

    def test_what_size_would_be_found(self) -> None:
        world = World()
        with MoveNetPose2D(world.network(), world.finder) as eyes:
            assert nobody_found(eyes, 1920, 1080) == (
                " movenet finds people of about 60 pixels of height and more in pictures of 1920 × 1080."
            )
        assert nobody_found(world, 1920, 1080) == ""  # type: ignore[arg-type]
