"""People who are not upright: which way they point, and that crops and pictures turned by quarters lead back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers_crossings import figure
from helpers_world import HEIGHT, WIDTH, World

from sasmamba.app.pose2d import movenet
from sasmamba.app.pose2d.movenet import MoveNetPose2D
from sasmamba.app.pose2d.squares import Square, turned_back
from sasmamba.app.pose2d.turned import FIND_TURNED_S, LEANS_DEG, POOR, find_turned, other_turns, upright_turns
from sasmamba.app.types import Cut, Frame, Person2D
from sasmamba.common.arrays import FloatArray
from sasmamba.models.skeletons import COCO

ANKLES_AND_KNEES = [COCO.LEFT_KNEE, COCO.RIGHT_KNEE, COCO.LEFT_ANKLE, COCO.RIGHT_ANKLE]


def leaning(deg: float) -> Person2D:
    """Somebody turned clockwise, as seen, about the hips; at 90° the head is on the right."""
    person, angle = figure(500, 300, 200), np.radians(deg)
    spin = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    joints = ((person.joints_px - (500, 300)) @ spin.T + (500, 300)).astype(np.float32)
    return replace(person, joints_px=joints, box_px=np.concatenate([joints.min(0), joints.max(0)]))


def without(person: Person2D, joints: list[COCO]) -> Person2D:
    score = person.score.copy()
    score[joints] = 0
    return replace(person, score=score)


class TestWhichWay:
    @pytest.mark.parametrize(
        ("deg", "turns"),
        [(0, 0), (50, 0), (-50, 0), (80, 1), (100, 1), (130, 1), (140, 2), (180, 2), (-140, 2), (-90, 3), (-70, 3)],
    )
    def test_the_head_is_above_afterwards(self, deg: float, turns: int) -> None:
        assert upright_turns(leaning(deg)) == turns
        assert upright_turns(without(leaning(deg), ANKLES_AND_KNEES)) == turns

    @pytest.mark.parametrize("turns", range(4))
    def test_it_stays_until_they_lean_far(self, turns: int) -> None:
        for deg in np.arange(90 * turns - LEANS_DEG + 2, 90 * turns + LEANS_DEG - 1, 4):
            assert upright_turns(leaning(deg), turns) == turns

    def test_what_tells_nothing_changes_nothing(self) -> None:
        upside_down = leaning(180)
        no_hips = without(upside_down, [COCO.LEFT_HIP, COCO.RIGHT_HIP])
        folded = replace(upside_down, joints_px=upside_down.joints_px.copy())
        folded.joints_px[ANKLES_AND_KNEES] = folded.joints_px[COCO.NOSE]
        for person in (no_hips, folded):
            assert [upright_turns(person, turns) for turns in range(4)] == [0, 1, 2, 3]

    def test_who_is_hardly_seen_may_be_upside_down(self) -> None:
        poor = replace(leaning(0), score=np.full(17, POOR - 0.05, np.float32))
        assert [other_turns(poor, turns) for turns in (0, 2)] == [2, 0]
        assert other_turns(leaning(0), 0) == 0


class TestLeadingBack:
    @pytest.mark.parametrize("turns", range(4))
    def test_a_point_of_a_turned_crop(self, turns: int) -> None:
        bgr = np.zeros((300, 400, 3), np.uint8)
        bgr[118:123, 88:93] = 255
        square = Square(40, 50, 200, turns=turns)
        rows, columns = np.nonzero(square.cut(bgr, 256)[..., 0] > 128)
        at = np.array([columns.mean() + 0.5, rows.mean() + 0.5], np.float32) / 256
        assert square.to_picture(at) == pytest.approx((90.5, 120.5), abs=1)

    def test_four_quarters_are_none(self) -> None:
        points = np.random.default_rng(0).random((5, 2)).astype(np.float32)
        back = points
        for _ in range(4):
            back = turned_back(back, 1)
        np.testing.assert_allclose(back, points, atol=1e-6)

    @pytest.mark.parametrize("turns", range(4))
    def test_people_of_a_turned_picture(self, turns: int) -> None:
        person = leaning(-90 * turns)  # upright in the picture before it was turned, and so to the finder
        bgr = np.zeros((600, 1000, 3), np.uint8)

        def finder(shown: np.ndarray) -> list[tuple[FloatArray, FloatArray, float]]:
            high, wide = shown.shape[:2]
            assert (wide, high) == ((600, 1000) if turns % 2 else (1000, 600))
            ways = ((lambda x, y: (x, y)), (lambda x, y: (y, 1000 - x)), (lambda x, y: (1000 - x, 600 - y)))
            way = (*ways, lambda x, y: (600 - y, x))[turns]
            joints = np.stack(way(*person.joints_px.T), -1)
            return [(np.column_stack([joints, person.score]), np.r_[joints.min(0), joints.max(0)], 0.9)]

        ((found, _),) = find_turned(finder, bgr, turns)
        assert found.joints_px == pytest.approx(person.joints_px, abs=0.01)
        assert found.box_px == pytest.approx(person.box_px, abs=0.01)


class UpsideDown(World):
    """Everybody hangs head down; no network sees anybody who is upside down in what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.turned = 0  # pictures that were searched turned

    def frame(self, index: int, fps: int = 30, **places: float) -> Frame:
        frame = super().frame(index, fps, **{n: WIDTH - x for n, x in places.items()})
        return replace(frame, bgr=np.ascontiguousarray(frame.bgr[::-1, ::-1]))

    def finder(self, bgr: np.ndarray) -> list[tuple[FloatArray, FloatArray, float]]:
        if bgr.shape[:2] != (HEIGHT, WIDTH) or bgr[0, 0, 2] > 5:
            return []
        self.turned += 1
        return super().finder(bgr)

    def joints_in_crop(self, crop: np.ndarray) -> FloatArray:
        there = crop[..., 2] > 250
        down = crop[..., 1][there].astype(float)
        rows = np.nonzero(there)[0]
        if len(rows) < 100 or np.corrcoef(rows, down)[0, 1] < 0.9:
            return np.full((17, 3), (0.5, 0.5, 0.02), np.float32)
        return super().joints_in_crop(crop)


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """By how many quarters each searched picture was turned."""
    turns: list[int] = []
    search = movenet.find_turned
    monkeypatch.setattr(movenet, "find_turned", lambda *told: (turns.append(told[2]), search(*told))[1])
    return turns


class TestStage:
    def test_somebody_who_hangs_the_whole_clip(self) -> None:
        world = UpsideDown()
        eyes = MoveNetPose2D(world.network(), world.finder)
        for t in range(60):
            (person,) = eyes(world.frame(t, a=300 + 2 * t))
            hips = person.joints_px[[COCO.LEFT_HIP, COCO.RIGHT_HIP]].mean(0)
            assert hips == pytest.approx((300 + 2 * t, 255), abs=4)
            assert person.joints_px[COCO.NOSE, 1] > hips[1] + 50, "the head is below"

    def test_a_second_one_comes(self) -> None:
        world = UpsideDown()
        eyes = MoveNetPose2D(world.network(), world.finder)
        counts = [len(eyes(world.frame(t, **{"a": 300} | ({"b": 700} if t >= 30 else {})))) for t in range(60)]
        assert counts[:30] == [1] * 30
        assert counts[-10:] == [2] * 10

    def test_upright_people_cost_nothing_more(self, searched: list[int]) -> None:
        world = World()
        eyes = MoveNetPose2D(world.network(), world.finder)
        for t in range(90):
            eyes(world.frame(t, a=300, b=700))
        assert world.crops == 2 * 90
        assert set(searched) == {0}

    def test_an_empty_scene_costs_a_turned_search_a_second(self, searched: list[int]) -> None:
        world = World()
        eyes = MoveNetPose2D(world.network(), world.finder)
        seconds = 6
        for t in range(30 * seconds):
            assert eyes(world.frame(t)) == ()
        assert world.crops == 0
        turned = [turns for turns in searched if turns]
        assert turned[:3] == [2, 1, 3]
        assert len(turned) == pytest.approx(3 + seconds / FIND_TURNED_S, abs=1)

    def test_every_shot_is_searched_in_the_same_order(self, searched: list[int]) -> None:
        """It began with whichever way was the next when the shot before it ended."""
        world = World()
        eyes = MoveNetPose2D(world.network(), world.finder)
        for t in range(40):  # a second and a bit, in which one more way had its turn
            eyes(world.frame(t))
        searched.clear()
        shown = world.frame(40)
        eyes(replace(shown, cut=Cut(40, shown.time_s)))
        assert searched == [0, 2, 1, 3]
