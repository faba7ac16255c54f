"""Planted feet stand still on their floor, jumps fall freely, legs keep their bones; and what no body does is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sasmamba.app.motion.body_checks import CHECKS, Placed, implausible
from sasmamba.app.motion.foot_lock import steadied
from sasmamba.app.motion.footing import ANKLE_HEIGHT_M, Body, floor_below, planted_feet, supported, without_tops
from sasmamba.models.geometry import bones_of
from sasmamba.models.skeletons import H36M
from tests.unit.test_placing import STANDING

FPS = 50
ANKLES = [H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE]


def standing(path: np.ndarray, wobble_m: float = 0.0) -> Body:
    """Somebody who stands along a path (F, 3) of the pelvis, the joints off by slow errors as a lifter's are."""
    time = np.arange(len(path)) / FPS
    error = wobble_m * np.sin(4 * time[:, None, None] + np.arange(51).reshape(17, 3))
    error[:, 0] = 0
    return Body(time, STANDING + error, np.asarray(path, float))


def jump(seconds: float = 0.5, rest_s: float = 1.0) -> np.ndarray:
    """A pelvis that stands, jumps straight up and stands: (F, 3)."""
    time = np.arange(round((2 * rest_s + seconds) * FPS)) / FPS
    air = (time - rest_s).clip(0, seconds)
    return np.stack([0 * time, 5 + 0 * time, 0.95 + 9.81 / 2 * air * (seconds - air)], 1)


def locked(body: Body) -> tuple[Body, np.ndarray]:
    planted, level = supported(body, without_tops(body, planted_feet(body)))
    return steadied(body, planted, level), planted


def test_planted_feet_do_not_slide_and_stay_on_the_floor() -> None:
    body = standing(np.tile([0, 5, 0.95], (200, 1)), wobble_m=0.015)
    still, planted = locked(body)
    assert planted.all()
    before, after = (np.linalg.norm(np.diff(b.ankles[..., :2], axis=0), axis=-1) * 1000 for b in (body, still))
    assert np.median(before) > 0.6
    assert np.median(after) < 0.45
    assert after.max() < 0.8
    assert np.ptp(still.ankles[..., 2], axis=0).max() < 0.002
    assert np.abs(still.ankles[..., 2] - ANKLE_HEIGHT_M).max() < 0.03


def test_planted_feet_hardly_slide_at_the_rate_of_films() -> None:
    body = standing(np.tile([0, 5, 0.95], (100, 1)), wobble_m=0.02)
    still, planted = locked(Body(body.time * FPS / 25, body.joints, body.pelvis))
    assert planted.all()
    slide = 1000 * np.linalg.norm(np.diff(still.ankles[..., :2], axis=0), axis=-1)
    assert np.median(slide) < 0.5
    assert slide.max() < 1


def test_stances_of_one_foot_are_within_a_centimetre() -> None:
    path = np.tile([0, 5, 0.95], (150, 1)) + np.repeat([0.0, 0.04, 0.08], 50)[:, None] * [0, 0, 1]
    still, _ = locked(standing(path))
    height = still.ankles[..., 2]
    assert np.abs(height - np.median(height, 0))[[*range(40), *range(60, 90), *range(110, 150)]].max() < 0.01


def test_the_path_does_not_follow_feet_for_longer_than_a_stance() -> None:
    body = standing(np.tile([0, 5, 0.93], (200, 1)))
    joints = body.joints.copy()
    joints[:, ANKLES, 1] += 0.2 * np.sin(0.8 * body.time)[:, None]  # 0.2 m in 2 s, as a lifter's depth drifts
    still = steadied(body.posed(joints), np.ones((200, 2), bool), np.zeros((200, 2)))
    assert np.abs(still.pelvis[10:-10, 1] - 5).max() < 0.06


def test_legs_keep_their_bones_and_knees_nearly_their_angles() -> None:
    body = standing(np.tile([0, 5, 0.93], (200, 1)), wobble_m=0.01)
    still, _ = locked(body)
    lengths = [np.linalg.norm(bones_of(b.joints), axis=-1) for b in (body, still)]
    np.testing.assert_allclose(lengths[1], lengths[0], atol=1e-6)
    assert np.linalg.norm(still.joints - body.joints, axis=-1).max() < 0.08
    assert np.linalg.norm(np.diff(still.joints, 2, axis=0), axis=-1).max() < 0.006  # nothing snaps


@pytest.mark.parametrize("seconds", [0.35, 0.5, 0.7])
@pytest.mark.parametrize("too_high", [0.75, 1.2])
def test_flights_are_free_fall(seconds: float, too_high: float) -> None:
    path = jump(seconds)
    path[:, 2] = 0.95 + too_high * (path[:, 2] - 0.95)  # as a wrong size of the body makes it
    still, planted = locked(standing(path, wobble_m=0.004))
    inside = slice(round(FPS * (1 + 0.15 * seconds)), round(FPS * (1 + 0.85 * seconds)))
    assert not planted[inside].any()
    fall = -2 * np.polyfit(still.time[inside], still.pelvis[inside, 2], 2)[0]
    assert fall == pytest.approx(9.81, rel=0.1)
    apex = still.pelvis[:, 2].max() - np.median(still.pelvis[:, 2])
    assert apex == pytest.approx(9.81 * seconds**2 / 8, abs=0.12)


def test_one_foot_held_up_is_not_planted_and_a_stair_is() -> None:
    body = standing(np.tile([0, 5, 0.95], (150, 1)))
    held = body.joints.copy()
    held[:, H36M.LEFT_ANKLE, 2] += 0.4
    planted, _ = supported(body.posed(held), np.ones((150, 2), bool))
    assert planted.mean(0).tolist() == [0, 1]  # left, right
    up = body.pelvis + np.where(np.arange(150) < 75, 0, 0.34)[:, None] * [0, 0, 1]
    planted, level = supported(body.posed(body.joints, up), np.repeat(np.arange(150) % 75 != 0, 2).reshape(150, 2))
    assert planted[1:75].all()
    assert planted[76:].all()
    np.testing.assert_allclose(level[76:], 0.34, atol=1e-9)
    below = floor_below(body, planted, level)
    assert (below[10], below[100]) == (0, pytest.approx(0.34))


@pytest.mark.parametrize(
    ("drifts_m", "seconds", "below"),
    [(0.0, 3.0, 1.8), (0.0, 1.5, 0.0), (0.6, 3.0, 0.0)],
    ids=["jacks", "short", "sinks"],
)
def test_who_lands_again_and_again_stands_on_something(drifts_m: float, seconds: float, below: float) -> None:
    """Jumping jacks on a roof: no foot rests for as long as a stance takes."""
    time = np.arange(round(FPS * seconds)) / FPS
    height = 1.8 + 0.2 * np.abs(np.sin(2 * np.pi * time)) - drifts_m * time / seconds
    body = standing(np.stack([0 * time, 5 + 0 * time, 0.95 + height], 1))
    planted, level = supported(body, np.zeros((len(time), 2), bool))
    assert floor_below(body, planted, level) == pytest.approx(below, abs=0.03)


def test_a_stance_ends_where_its_person_is_lost() -> None:
    body = standing(np.repeat([[0, 5, 0.95], [0.4, 5, 0.95]], 50, axis=0))
    time = body.time + np.where(np.arange(100) < 50, 0, 2.0)
    planted, level = supported(body, planted_feet(Body(time, body.joints, body.pelvis)))
    assert planted.mean() > 0.9
    assert not planted[50].any()
    still = steadied(Body(time, body.joints, body.pelvis), planted, level)
    assert still.ankles[60, 0, 0] - still.ankles[40, 0, 0] == pytest.approx(0.4, abs=0.03)


def placed(height: np.ndarray, along: np.ndarray | None = None, floor: float = 0.0, planted: bool = False) -> Placed:
    """Somebody whose soles are so high (F,), and who goes so far to the right (F,)."""
    frames = len(height)
    path = np.stack([np.zeros(frames) if along is None else along, np.full(frames, 5), 0.95 + height], 1)
    rests = np.full((frames, 2), planted)
    return Placed(3, np.arange(frames) / FPS, STANDING + path[:, None], rests, np.full(frames, floor))


def on_the_head(frames: int) -> Placed:
    """Somebody who is upside down, the head on the floor."""
    who = placed(np.zeros(frames))
    return replace(who, world=np.tile(STANDING * [-1, 1, -1] + [0, 5, 0.7], (frames, 1, 1)))


TWO_S = np.zeros(100)


def flies(slower: float) -> Placed:
    """Somebody who jumps 0.4 m high in a film that is so many times slower than the jump was."""
    took = 2 * np.sqrt(2 * 0.4 / 9.81) * slower
    air = (np.arange(150) / FPS - 0.4).clip(0, took)
    return placed(4 * 0.4 * air * (took - air) / took**2)


@pytest.mark.parametrize(
    ("who", "found"),
    [
        (placed(TWO_S, planted=True), []),
        (placed(TWO_S, 9.5 * np.arange(100) / FPS), []),
        (placed(TWO_S, 15.0 * np.arange(100) / FPS), ["speed"]),
        (placed(TWO_S + 0.3), ["floating"]),
        (placed(TWO_S + 2.0, floor=1.95), []),
        (placed(np.where(np.arange(100) < 40, 0.4, 0.0)), []),
        (placed(TWO_S - 0.3), ["sunk"]),
        (flies(1.0), []),
        (flies(3.0), ["slow_flight"]),
        (on_the_head(100), ["upside_down"]),
        (on_the_head(60), ["upside_down"]),
    ],
    ids=[
        "stands",
        "sprints",
        "flies",
        "floats",
        "on a roof",
        "jumps",
        "is in the ground",
        "jumps as bodies do",
        "jumps in slow motion",
        "hangs",
        "hangs throughout",
    ],
)
def test_what_no_body_does_is_told_with_its_times(who: Placed, found: list[str]) -> None:
    told = implausible([who])
    assert [one.kind for one in told] == found
    for one in told:
        assert one.sentence.startswith("Person 3 ")
        assert one.to_s - one.from_s > 1
        assert f"({one.from_s:.1f}–{one.to_s:.1f} s)" in one.sentence


def test_every_check_has_a_name_of_its_own() -> None:
    assert len({check.rule.kind for check in CHECKS}) == len(CHECKS)
