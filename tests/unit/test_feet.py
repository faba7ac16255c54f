"""Feet: held against motion capture that has them, planted on the floor, turned by what 2D shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers_motion import walker
from numpy.typing import NDArray
from test_exports import scene

from sasmamba.app.motion.axes import R_WORLD_CAM
from sasmamba.app.motion.feet import HEEL, SOLE_M, TIP, TOE, Feet, feet_now, find_feet, foot_points
from sasmamba.app.motion.footing import Body, planted_feet
from sasmamba.app.pose2d.sides import GROUPS, exchanged
from sasmamba.app.types import Person2D
from sasmamba.models.skeletons import COCO, COCO_TO_H36M, FOOT, FOOT_MIRROR, H36M

_ANKLES = [H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE]


def stander(frames: int = 60, turned_deg: float = 0.0) -> NDArray:
    """Somebody who stands still with knees a little bent: (F, 17, 3) world metres, ankles 8 cm up."""
    pose = walker(1)[0][0]
    for side, y in (("LEFT", 0.13), ("RIGHT", -0.13)):
        pose[H36M[f"{side}_HIP"]] = [0, y, 0.94]
        pose[H36M[f"{side}_KNEE"]] = [0.1, y, 0.51]
        pose[H36M[f"{side}_ANKLE"]] = [0, y, 0.08]
    upper = [j for j in H36M if not any(part in j.name for part in ("HIP", "KNEE", "ANKLE"))]
    pose[upper] += [0, 0, 0.94]
    a = np.radians(turned_deg)
    return np.repeat(
        (pose @ np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]]))[None], frames, 0
    )


def along(points: NDArray) -> NDArray:
    """Unit vectors (..., 2, 3) from heel to toe."""
    d = points[..., 1::2, :] - points[..., ::2, :]
    return d / np.linalg.norm(d, axis=-1, keepdims=True)


def test_planted_toes_of_somebody_never_fitted(shared: Path) -> None:
    """Human3.6M's S8, of whom no constant knows: toes within 6 cm, directions within 15°, medians of planted feet."""
    folder = shared / "data" / "mocap"
    motion, feet = np.load(folder / "h36m_train.npz"), np.load(folder / "h36m_train_feet.npz")["feet"]
    joints, root, starts = motion["joints"], motion["root"], motion["clip_start"]
    ends, toe_m, degrees = np.append(starts[1:], len(root)), [], []
    for i in np.flatnonzero(motion["clip_subject"] == "S8")[::3]:
        at = slice(starts[i], min(ends[i], starts[i] + 2000), 2)
        world, truth = joints[at] / 1e4 + root[at, None], feet[at] / 1e4 + root[at, None]
        time = np.arange(len(world)) / 25
        planted = planted_feet(Body(time, world - world[:, :1], world[:, 0]))
        found = foot_points(time, world, planted)
        toe_m.append(np.linalg.norm(found - truth, axis=-1)[:, 1::2][planted])
        cosine = (along(found) * along(truth)).sum(-1)[planted]
        degrees.append(np.degrees(np.arccos(cosine.clip(-1, 1))))
    assert len(np.concatenate(toe_m)) > 5000
    assert np.median(np.concatenate(toe_m)) < 0.06
    assert np.median(np.concatenate(degrees)) < 15


@pytest.mark.parametrize("turned_deg", [0.0, 70.0, 200.0])
def test_who_stands_stands_on_level_feet_that_point_ahead(turned_deg: float) -> None:
    world = stander(turned_deg=turned_deg)
    a = np.radians(turned_deg)
    ahead = np.array([np.cos(a), np.sin(a), 0])
    for found in (foot_points(np.arange(60) / 30, world, np.ones((60, 2), bool)), feet_now(world)):
        np.testing.assert_allclose(found[..., 2], SOLE_M, atol=1e-3)
        assert (along(found) @ ahead > np.cos(np.radians(15))).all()
        length = np.linalg.norm(found[:, 1::2] - found[:, ::2], axis=-1)
        shank = np.linalg.norm(world[:, H36M.LEFT_ANKLE] - world[:, H36M.LEFT_KNEE], axis=-1)
        np.testing.assert_allclose(length, np.stack([(TOE + HEEL) * shank] * 2, 1), rtol=1e-3)


def test_heels_rise_about_the_ball() -> None:
    world = stander()
    rise = 0.06 * np.sin(np.linspace(-np.pi, 2 * np.pi, 60)).clip(0)  # on the toes for a third of the time
    up = [int(j) for j in H36M]
    world[:, up, 2] += rise[:, None]
    found = foot_points(np.arange(60) / 30, world, np.ones((60, 2), bool))
    highest = int(rise.argmax())
    assert (found[highest, ::2, 2] > 0.06).all()
    assert (np.abs(found[:, 1::2, 2] - SOLE_M) < 0.02).all()  # joints are not known to better than 15 mm


@pytest.mark.parametrize("joints", ["still", "noise"])
def test_nobody_s_feet_are_in_the_floor(joints: str) -> None:
    rng = np.random.default_rng(3)
    world = stander() + (rng.normal(scale=0.15, size=(60, 17, 3)) if joints == "noise" else 0)
    world[..., 2] = np.maximum(world[..., 2], 0.04)
    for planted in (np.zeros((60, 2), bool), np.ones((60, 2), bool)):
        found = foot_points(np.arange(60) / 30, world, planted)
        assert np.isfinite(found).all()
        assert found[..., 2].min() > SOLE_M - 1e-4
    assert feet_now(world)[..., 2].min() > SOLE_M - 1e-4


def test_the_mirror_swaps_the_feet() -> None:
    rng = np.random.default_rng(4)
    world = stander() + rng.normal(scale=0.05, size=(60, 17, 3)).cumsum(0) * 0.05
    swap = [int(H36M[j.name.replace("LEFT", "R_").replace("RIGHT", "LEFT").replace("R_", "RIGHT")]) for j in H36M]
    planted, time = np.ones((60, 2), bool), np.arange(60) / 30
    truth = foot_points(time, world, planted)
    mirrored = foot_points(time, (world * [1, -1, 1])[:, swap], planted)
    np.testing.assert_allclose(mirrored[:, list(FOOT_MIRROR)] * [1, -1, 1], truth, atol=1e-5)


def sighted(world: NDArray, toes: NDArray, score: float = 0.9) -> Feet:
    """Feet of a take in which a camera 4 m before the people saw joints, heels and tips of toes."""
    take, placement = scene({1: world})
    placement.assumptions["camera"] = {"fx_px": 800.0, "fy_px": 800.0, "cx_px": 320.0, "cy_px": 240.0}
    to_camera = (np.array([0, -4.0, 1.0]), R_WORLD_CAM)

    def pixels(points: NDArray) -> NDArray:
        seen = (points - to_camera[0]) @ to_camera[1]
        return 800 * seen[..., :2] / seen[..., 2:] + [320, 240]

    direct = [(int(row.argmax()), j) for j, row in enumerate(COCO_TO_H36M) if (row == 1).any()]
    for f in range(len(world)):
        joints, found = np.zeros((17, 2), np.float32), np.zeros(17, np.float32)
        for coco, h36m in direct:
            joints[coco], found[coco] = pixels(world[f, h36m]), 0.9
        ends = np.concatenate([pixels(toes[f]), np.full((4, 1), score)], 1).astype(np.float32)
        take.tracks[1].people[f] = Person2D(1, np.zeros(4, np.float32), joints, found, ends)
    return find_feet(take, placement)[1]


def test_a_foot_that_2d_sees_turns_as_it_does() -> None:
    """A left foot turned out by 40°, which the leg does not tell, seen from the side that it turns to."""
    world = stander(30, turned_deg=-90)  # looks at the camera, the feet point to it
    by_leg = foot_points(np.arange(30) / 30, world, np.ones((30, 2), bool))
    truth = by_leg.copy()
    a = np.radians(40)
    R = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    ankle = world[:, H36M.LEFT_ANKLE]
    truth[:, :2] = (truth[:, :2] - ankle[:, None]) @ R.T + ankle[:, None]
    shown = truth.copy()
    shown[:, 1::2] = truth[:, ::2] + TIP * (truth[:, 1::2] - truth[:, ::2])
    found = sighted(world, shown)
    assert found.seen.all()
    off = np.degrees(np.arccos((along(found.points) * along(truth)).sum(-1).clip(-1, 1)))
    assert off[:, 0].max() < 20
    assert off[:, 1].max() < 5
    assert np.degrees(np.arccos((along(by_leg) * along(truth)).sum(-1)))[:, 0] == pytest.approx(40, abs=0.1)
    unseen = sighted(world, shown, score=0.2)
    assert not unseen.seen.any()
    np.testing.assert_allclose(along(unseen.points), along(by_leg), atol=0.02)


def test_a_roof_is_the_floor_of_who_stands_on_it() -> None:
    """Level feet up there; and a foot beside the box is not lifted onto it."""
    up = stander(40) + np.array([0, 0, 2.0])
    take, placement = scene({1: up})
    placement.planted[1] = dict.fromkeys(range(40), np.ones(2, bool))
    placement.floor_m[1] = dict.fromkeys(range(40), 2.0)
    found = find_feet(take, placement)[1]
    np.testing.assert_allclose(found.points[..., 2], 2.0 + SOLE_M, atol=2e-3)
    down = stander(40)
    take, placement = scene({1: down})
    placement.planted[1] = dict.fromkeys(range(40), np.ones(2, bool))
    placement.floor_m[1] = {f: 0.3 if 10 <= f < 20 else 0.0 for f in range(40)}
    np.testing.assert_allclose(find_feet(take, placement)[1].points[..., 2], SOLE_M, atol=2e-3)


def test_legs_that_are_exchanged_take_their_feet_along() -> None:
    feet = np.arange(12, dtype=np.float32).reshape(4, 3)
    joints = np.arange(34, dtype=np.float32).reshape(17, 2)
    person = Person2D(1, np.zeros(4, np.float32), joints, np.ones(17, np.float32), feet)
    for group in GROUPS:
        found = exchanged(person, np.array([name == group for name in GROUPS]))
        assert found.feet is not None
        swapped = np.array_equal(found.feet, feet[[FOOT.RIGHT_HEEL, FOOT.RIGHT_TOE, FOOT.LEFT_HEEL, FOOT.LEFT_TOE]])
        assert (
            swapped == (group == "legs") == np.array_equal(found.joints_px[COCO.LEFT_ANKLE], joints[COCO.RIGHT_ANKLE])
        )
    assert exchanged(replace(person, feet=None), np.ones(5, bool)).feet is None
