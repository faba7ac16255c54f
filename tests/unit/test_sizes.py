"""The one floor that people stand on tells how large they are. The truth is a made scene."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch

from sasmamba.app.motion.bones import stature_of
from sasmamba.app.motion.footing import Body, planted_feet
from sasmamba.app.motion.gravity import KnownCamera
from sasmamba.app.motion.placing import place
from sasmamba.app.motion.sizes import OneFloor, find_one_floor
from sasmamba.app.take import Take
from sasmamba.training.cameras import camera_rotation
from tests.unit.test_placing import FOV, STANDING, scene

STATURE = stature_of(STANDING[None])
CAMERA_M = 2.5


def seen_as_adult(at: tuple[float, float], size: float, pitch_deg: float, top: float = 0.0) -> Body:
    """Somebody `size` times as large as an adult, on something so high, as whoever takes them for one sees them: in
    camera axes, larger and farther away; walking a little, a stance at a time."""
    R = camera_rotation(torch.tensor([math.radians(pitch_deg)]), torch.zeros(1))[0].numpy()
    joints = np.repeat(size * STANDING[None], 60, 0)
    place = np.array([[*at, top + size * 0.95]]) + np.repeat([[0, 0, 0], [0.4, 0.3, 0], [0.8, 0.6, 0]], 20, 0)
    return Body(np.arange(60) / 30, joints @ R.T / size, (place - [0, 0, CAMERA_M]) @ R.T / size)


def found(
    people: Mapping[int, tuple[float, float, float, float]],
    told: tuple[int, ...] = (),
    known: KnownCamera | None = None,
) -> OneFloor | None:
    """The floor of people: (x, y, size, top) each."""
    bodies = [seen_as_adult((x, y), size, 12.0, top) for x, y, size, top in people.values()]
    feet = [planted_feet(body) for body in bodies]
    return find_one_floor(bodies, feet, [STATURE] * len(bodies), [i in told for i in people], known)


ADULTS = {1: (-2, 6, 1.0, 0), 2: (1, 9, 1.0, 0), 3: (3, 7, 1.0, 0)}


@pytest.mark.parametrize("size", [0.62, 0.75, 0.9, 1.15], ids=["1.0 m", "1.3 m", "1.5 m", "1.9 m"])
def test_who_is_smaller_or_taller_is_seen_to_be(size: float) -> None:
    floor = found(ADULTS | {4: (-1, 10, size, 0)})
    assert floor is not None
    np.testing.assert_allclose(floor.sizes, [1, 1, 1, size], rtol=0.08)
    assert floor.height_m == pytest.approx(CAMERA_M, rel=0.08)
    np.testing.assert_allclose(np.degrees(floor.angles), [12, 0], atol=2)


@pytest.mark.parametrize("top", [0.8, 3.0], ids=["stage", "roof"])
def test_who_stands_on_something_else_keeps_their_size(top: float) -> None:
    floor = found(ADULTS | {4: (-1, 10, 1.0, top)})
    assert floor is not None
    np.testing.assert_allclose(floor.sizes[:3], 1, rtol=0.05)
    assert floor.sizes[3] == 1


@pytest.mark.parametrize("top", [0.4, 0.6], ids=["stool", "box"])
def test_who_steps_up_in_the_clip_is_no_larger(top: float) -> None:
    adults = [seen_as_adult((x, y), 1.0, 12.0) for x, y in ((-2, 6), (1, 9), (3, 7))]
    steps, up = (seen_as_adult((-1, 12), 1.0, 12.0, z) for z in (0.0, top))
    late = np.arange(60) >= 20  # one stance on the floor, two on the box
    bodies = [*adults, steps.posed(steps.joints, np.where(late[:, None], up.pelvis, steps.pelvis))]
    feet = [planted_feet(body) for body in bodies]
    floor = find_one_floor(bodies, feet, [STATURE] * 4, [False] * 4)
    assert floor is not None
    np.testing.assert_allclose(floor.sizes, 1, rtol=0.03)


def test_one_person_alone_says_nothing_of_their_size() -> None:
    assert found({1: (0, 6, 0.7, 0)}) is None
    take, _ = scene({1: stops(0.0, 6.0)}, 8.0)
    asked, left = place(take, FOV), place(take, FOV, one_floor=False)
    assert asked.assumptions == left.assumptions
    for f in range(90):
        np.testing.assert_array_equal(asked.roots[1][f], left.roots[1][f])
        np.testing.assert_array_equal(asked.poses[1][f].joints, left.poses[1][f].joints)


def test_a_stature_that_was_told_is_an_anchor() -> None:
    """Two of whom one looks smaller: which of them is not as usual only who knows one of them can say."""
    pair = {1: (-1, 6, 1.0, 0), 2: (1, 6, 0.9, 0)}
    for told, sizes in ((1, [1, 0.9]), (2, [1 / 0.9, 1])):
        floor = found(pair, told=(told,))
        assert floor is not None
        np.testing.assert_allclose(floor.sizes, sizes, rtol=0.05)


def test_a_known_camera_leaves_sizes_alone_to_explain_the_floor() -> None:
    floor = found({1: (-2, 6, 1.0, 0), 2: (2, 12, 0.85, 0), 3: (0, 9, 1.0, 0)}, known=KnownCamera(12, 0))
    assert floor is not None
    np.testing.assert_allclose(floor.sizes / floor.sizes[0], [1, 0.85, 1], rtol=0.05)
    np.testing.assert_allclose(np.degrees(floor.angles), [12, 0], atol=0.01)


def stops(x: float, y: float, size: float = 1.0) -> np.ndarray:
    """(90, 3) the pelvis of somebody who stands in three places, one after the other."""
    return np.array([x, y, size * 0.95]) + np.repeat([[0, 0, 0], [0.4, 0.3, 0], [0.8, 0.6, 0]], 30, 0)


def with_child(size: float) -> Take:
    """Two adults and somebody smaller, from 1.4 m above the floor."""
    take, _ = scene({1: stops(-1.0, 5.0), 2: stops(-2.0, 8.0)}, 8.0)
    child = stops(1.0, 5.0, size)
    small, _ = scene({3: child}, 8.0, shape=size * STANDING)
    taken_for_adult, _ = scene({3: child / size}, 8.0)
    for f in range(90):
        take.add_people(f, [small.tracks[3].people[f]])
        take.add_poses([taken_for_adult.tracks[3].poses[f]])
    return take


def test_a_child_stands_on_the_floor_of_the_adults() -> None:
    take = with_child(0.7)
    asked, left = place(take, FOV), place(take, FOV, one_floor=False)
    true = stops(1.0, 5.0, 0.7)
    off = [np.linalg.norm(np.stack([p.roots[3][f] for f in range(90)]) - true, axis=1).mean() for p in (asked, left)]
    assert off[0] < 0.35
    assert off[1] > 1
    assert asked.assumptions["people"]["3"]["height_m"] == pytest.approx(0.7 * STATURE, rel=0.06)
    assert asked.assumptions["people"]["3"]["by_floor"] is True
    assert "by_floor" not in left.assumptions["people"]["3"]
    for i in (1, 2, 3):
        assert np.median([asked.roots[i][f][2] for f in range(90)]) == pytest.approx(
            0.95 * (0.7 if i == 3 else 1), abs=0.06
        )


def test_a_walker_whose_feet_never_seem_to_rest_is_heard_too() -> None:
    """At ten frames a second nobody's foot rests for long; the lower one is on the floor all the same."""
    adults = [seen_as_adult((x, y), 1.0, 12.0) for x, y in ((-2, 6), (1, 9))]
    child = seen_as_adult((2, 8), 0.7, 12.0)
    bodies, none = [*adults, child], np.zeros((60, 2), bool)
    planted = [*map(planted_feet, adults), none]
    floor = find_one_floor(bodies, planted, [STATURE] * 3, [False] * 3, KnownCamera(12, 0))
    assert floor is not None
    np.testing.assert_allclose(floor.sizes, [1, 1, 0.7], rtol=0.08)


def test_feet_that_were_not_found_say_nothing() -> None:
    take = with_child(0.7)
    for person in take.tracks[3].people.values():
        person.score[[15, 16]] = 0
    assert "by_floor" not in place(take, FOV).assumptions["people"]["3"]
