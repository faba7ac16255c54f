"""People are put where they stood: on one floor, upright, jumps and all. The truth is a made scene."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from sasmamba.app.motion.axes import level, to_camera_axes
from sasmamba.app.motion.bones import with_constant_bones
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.footing import underside_of
from sasmamba.app.motion.placing import place
from sasmamba.app.take import Take
from sasmamba.app.types import Person2D, Pose3D, VideoMeta
from sasmamba.common.errors import UserError
from sasmamba.models.geometry import facing_rotation
from sasmamba.models.skeletons import H36M, H36M_PARENTS, coco17_to_h36m17
from sasmamba.training.cameras import camera_rotation
from sasmamba.training.simulate import coco_points

#: A standing adult, metres, world axes (x right, y away, z up), facing the camera, pelvis at the origin.
STANDING = np.array(
    [
        [0, 0, 0],
        [-0.13, 0, 0],
        [-0.13, 0, -0.44],
        [-0.13, 0, -0.87],
        [0.13, 0, 0],
        [0.13, 0, -0.44],
        [0.13, 0, -0.87],
        [0, 0, 0.24],
        [0, 0, 0.5],
        [0, -0.07, 0.6],
        [0, -0.02, 0.7],
        [0.16, 0, 0.46],
        [0.2, 0, 0.18],
        [0.22, -0.05, -0.06],
        [-0.16, 0, 0.46],
        [-0.2, 0, 0.18],
        [-0.22, -0.05, -0.06],
    ],
    np.float32,
)
META = VideoMeta(1280, 720, Fraction(30), None)
FOV = 60.0


def scene(
    paths: dict[int, np.ndarray], pitch_deg: float, gaps: tuple[int, ...] = (), shape: np.ndarray = STANDING
) -> tuple[Take, np.ndarray]:
    """A take of standing people whose pelves follow paths (F, 3), seen from 1.4 m above the floor.

    `shape` (17, 3) or (F, 17, 3) is what they do instead of standing.
    """
    focal = 0.5 * META.width / math.tan(math.radians(FOV) / 2)
    R = camera_rotation(torch.tensor([math.radians(pitch_deg)]), torch.zeros(1))[0].numpy()
    take = Take(META, "truth")
    frames = len(next(iter(paths.values())))
    take.times_s = [Fraction(f, 30) for f in range(frames)]
    for track, path in paths.items():
        for f, pelvis in enumerate(path):
            cam = ((shape if shape.ndim == 2 else shape[f]) + pelvis - [0, 0, 1.4]) @ R.T
            coco = coco_points(torch.from_numpy(cam.astype(np.float32))).numpy()
            xy = coco[:, :2] / coco[:, 2:] * focal + [META.width / 2, META.height / 2]
            if f not in gaps:
                box = np.concatenate([xy.min(0), xy.max(0)]).astype(np.float32)
                take.add_people(f, [Person2D(track, box, xy.astype(np.float32), np.ones(17, np.float32))])
            facing = facing_rotation(torch.from_numpy(cam[:1])).numpy()[0]
            joints = ((cam - cam[:1]) @ facing.T).astype(np.float32)
            take.add_poses([Pose3D(f, track, joints, observed=f not in gaps)])
    return take, R


def stroll(frames: int = 90, x: float = 0.0) -> np.ndarray:
    t = np.linspace(-1, 1, frames)
    return np.stack([x + 1.2 * t, 5 + 0.8 * t, np.full(frames, 0.95)], 1)


@pytest.mark.parametrize("pitch", [-10.0, 0.0, 20.0])
def test_people_stand_upright_where_they_stood(pitch: float) -> None:
    take, R = scene({1: stroll()}, pitch)
    placed = place(take, FOV)
    tilt = math.degrees(math.acos(placed.R_world_cam[2] @ R[:, 2]))  # between the found and the true vertical
    assert tilt < 2.0
    roots = np.stack([placed.roots[1][f] for f in range(90)])
    np.testing.assert_allclose(roots[:, :2], stroll()[:, :2], atol=0.35)
    np.testing.assert_allclose(roots[:, 2], 0.95, atol=0.06)
    poses, _ = placed.at(45)
    ankles = poses[0].joints @ placed.R_world_cam.T + roots[45]
    assert ankles[[H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE], 2] == pytest.approx(0.08, abs=0.06)


def test_a_jump_stays_a_jump() -> None:
    path = stroll()
    path[40:52, 2] += 0.4 * np.sin(np.linspace(0, math.pi, 12))
    take, _ = scene({1: path}, 5.0)
    height = np.array([place(take, FOV).roots[1][f][2] for f in range(90)])
    assert height[46] - np.median(height) == pytest.approx(0.4, abs=0.12)
    assert np.median(height) == pytest.approx(0.95, abs=0.06)


def test_two_people_share_one_floor() -> None:
    take, _ = scene({1: stroll(), 2: stroll(x=1.5) + np.array([0, 2, 0])}, 10.0)
    placed = place(take, FOV)
    heights = [np.median([r[2] for r in placed.roots[i].values()]) for i in (1, 2)]
    assert heights[0] == pytest.approx(heights[1], abs=0.12)
    assert placed.roots[2][45][1] - placed.roots[1][45][1] == pytest.approx(2.0, abs=0.5)


def test_gaps_are_crossed_without_a_jump() -> None:
    take, _ = scene({1: stroll()}, 0.0, gaps=tuple(range(40, 50)))
    placed = place(take, FOV)
    roots = np.stack([placed.roots[1][f] for f in range(90)])
    assert np.linalg.norm(np.diff(roots, axis=0), axis=1).max() < 0.06


def test_an_empty_take_has_a_level_camera() -> None:
    placed = place(Take(META, "truth"), FOV)
    np.testing.assert_allclose(placed.R_world_cam, [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-6)
    assert placed.at(0) == ((), {})


def test_a_known_field_of_view_gives_the_cameras_own_axes() -> None:
    """The made scene's joints in facing axes, turned back with its field of view, are its joints in camera axes."""
    take, R = scene({1: stroll()}, 12.0)
    xyc = _keypoints(take)
    facing = np.stack([take.tracks[1].poses[f].joints for f in range(90)])
    turned = to_camera_axes(facing, xyc[:, H36M.PELVIS], (META.width, META.height), FOV)
    np.testing.assert_allclose(turned, np.broadcast_to(STANDING @ R.T, turned.shape), atol=5e-3)
    assert np.abs(facing - turned).max() > 0.05


def _keypoints(take: Take) -> np.ndarray:
    rows = [coco17_to_h36m17(take.tracks[1].people[f].joints_px, np.ones(17, np.float32)) for f in range(90)]
    return np.stack([np.concatenate([xy, score[:, None]], 1) for xy, score in rows])


def test_level_is_a_rotation_that_puts_up_up() -> None:
    up = np.array([0.1, -0.9, 0.3])
    R = level(up)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(R @ (up / np.linalg.norm(up)), [0, 0, 1], atol=1e-6)
    assert np.linalg.det(R) == pytest.approx(1)


def test_somebody_of_whom_only_arms_were_seen_still_has_a_place() -> None:
    take, _ = scene({1: stroll()}, 0.0)
    for f, p in take.tracks[1].people.items():
        score = p.score.copy()
        score[11:] = 0
        take.tracks[1].people[f] = replace(p, score=score)
    placed = place(take, FOV)
    assert len(placed.roots[1]) == 90
    assert np.isfinite(np.stack(list(placed.roots[1].values()))).all()


def test_planted_feet_skate_less_and_do_not_sink() -> None:
    """Somebody stands, takes a leap aside and stands again, lifted with a lifter's slow errors."""
    t = np.arange(150) / 30
    leap = ((t - 2.3) / 0.4).clip(0, 1)
    path = np.stack([1.5 * leap - 1, 0 * t + 5, 0.95 + 1.6 * leap * (1 - leap)], 1)
    take, _ = scene({1: path}, 5.0)
    for f, pose in take.tracks[1].poses.items():
        wobble = 0.02 * np.sin(5 * t[f] + np.arange(51).reshape(17, 3)).astype(np.float32)
        wobble[0] = 0
        take.tracks[1].poses[f] = replace(pose, joints=pose.joints + wobble)
    as_it_came, placed = place(take, FOV, steady_feet=False), place(take, FOV)
    assert as_it_came.after == as_it_came.before == placed.before
    assert 0.7 < placed.before.planted < 0.97
    assert placed.after.skate_cm_s < 0.5 * placed.before.skate_cm_s
    assert placed.after.sunk_cm < 0.5
    frames, world = placed.world(1)
    assert frames == list(range(150))
    assert np.linalg.norm(world[:, 0] - as_it_came.world(1)[1][:, 0], axis=1).max() < 0.06
    assert world[75, 0, 2] - np.median(world[:, 0, 2]) == pytest.approx(0.4, abs=0.08)  # the leap is as high as it was
    lengths = np.linalg.norm(world - world[:, list(H36M_PARENTS)], axis=-1)
    assert np.ptp(lengths, axis=0).max() < 1e-3


def test_who_stands_on_a_roof_stays_up_there_and_comes_down() -> None:
    roof = stroll() * [0, 1, 1] + [1.0, 2.0, 2.5]
    roof[60:75, 2] -= np.linspace(0, 2.5, 15)
    roof[75:, 2] -= 2.5
    take, _ = scene({1: stroll(), 2: roof}, 5.0)
    placed = place(take, FOV)
    height = {i: np.array([placed.roots[i][f][2] for f in range(90)]) for i in (1, 2)}
    np.testing.assert_allclose(height[1], 0.95, atol=0.1)
    assert np.median(height[2][:60]) == pytest.approx(3.45, abs=0.25)
    assert np.median(height[2][78:]) == pytest.approx(0.95, abs=0.15)


def test_somebody_far_below_does_not_sink_the_floor_of_the_others() -> None:
    """On a street down the hill, say."""
    below = stroll() + np.array([8.0, 35.0, -6.0])
    alone, _ = scene({1: stroll()}, 5.0)
    take, _ = scene({1: stroll(), 2: below}, 5.0)
    height = [place(some, 60).shots[0].height_m for some in (alone, take)]
    assert height[1] == pytest.approx(height[0], abs=0.15)


def test_a_few_wrong_joints_do_not_move_anybody() -> None:
    take, _ = scene({1: stroll()}, 5.0)
    rng = np.random.default_rng(0)
    for f, person in take.tracks[1].people.items():
        joints = person.joints_px.copy()
        joints[rng.choice(17, 2, replace=False)] += rng.normal(0, 120, (2, 2)).astype(np.float32)
        take.tracks[1].people[f] = replace(person, joints_px=joints)
    roots = np.stack([place(take, FOV).roots[1][f] for f in range(90)])
    assert np.linalg.norm(roots - stroll(), axis=1).mean() < 0.2


def test_bones_keep_their_length_and_their_direction() -> None:
    rng = np.random.default_rng(0)
    poses = (STANDING * rng.uniform(0.8, 1.1, (50, 1, 1)) + rng.normal(0, 0.01, (50, 17, 3))).astype(np.float32)
    rebuilt = with_constant_bones(poses)
    bones, before = (p - p[:, list(H36M_PARENTS)] for p in (rebuilt, poses))
    length = np.linalg.norm(bones, axis=-1)
    assert np.ptp(length, axis=0).max() < 1e-5
    np.testing.assert_allclose(length[0, H36M.LEFT_KNEE], length[0, H36M.RIGHT_KNEE], atol=1e-6)
    cosine = (bones * before).sum(-1)[:, 1:] / (length * np.linalg.norm(before, axis=-1))[:, 1:]
    assert cosine.min() > 1 - 1e-5


def test_a_known_height_scales_bodies_and_places() -> None:
    take, _ = scene({1: stroll(), 2: stroll(x=1.5) + np.array([0, 2, 0])}, 5.0)
    usual = place(take, FOV)
    told = usual.assumptions["people"]
    assert told["1"]["given"] is False
    stature = told["1"]["height_m"]
    assert stature == pytest.approx(0.08 + 0.87 + 0.5 + math.hypot(0.2, 0.02), abs=0.02)
    tall = place(take, FOV, height_m={1: 1.2 * stature}, one_floor=False)
    assert tall.assumptions["people"]["1"] == {"height_m": pytest.approx(1.2 * stature, abs=1e-3), "given": True}
    assert np.linalg.norm(tall.poses[1][45].joints[H36M.HEAD_TOP]) == pytest.approx(0.7 * 1.2, abs=0.02)
    assert np.linalg.norm(tall.poses[2][45].joints[H36M.HEAD_TOP]) == pytest.approx(0.7, abs=0.02)
    everybody = place(take, FOV, height_m=1.2 * stature)
    for i in (1, 2):
        assert everybody.roots[i][45][1] == pytest.approx(1.2 * usual.roots[i][45][1], rel=0.03)
    assert json.dumps(tall.assumptions)


@pytest.mark.parametrize("height", [18.0, 0.0, -1.8, math.nan, math.inf, {1: 180.0}], ids=str)
def test_heights_that_cannot_be(height: float | dict[int, float]) -> None:
    take, _ = scene({1: stroll()}, 5.0)
    with pytest.raises(UserError, match=r"between 0\.4 and 2\.6"):
        place(take, FOV, height_m=height)


def test_the_height_of_a_stranger_costs_nothing() -> None:
    take, _ = scene({1: stroll()}, 5.0)
    placed = place(take, FOV, height_m={1: 1.9, 3: 1.8})
    assert placed.assumptions["people"]["1"] == {"height_m": 1.9, "given": True}
    assert placed.problems == ("A height is given for person 3, who is not there; found: 1.",)


def upside_down(take: Take, track: int) -> Take:
    """The take with that person's 2D turned about: no scale above 0 brings the pose onto it."""
    for f, person in take.tracks[track].people.items():
        middle = person.joints_px.mean(0)
        take.tracks[track].people[f] = replace(person, joints_px=2 * middle - person.joints_px)
    return take


def test_a_false_track_costs_the_others_nothing() -> None:
    alone = place(scene({1: stroll()}, 5.0)[0], FOV)
    both = place(upside_down(scene({1: stroll(), 2: stroll(x=1.5)}, 5.0)[0], 2), FOV)
    assert len(both.problems) == 1
    assert both.problems[0].startswith("Where person 2 stands is a guess: ")
    assert both.assumptions["people"]["2"]["place"] == "guessed"
    assert "place" not in both.assumptions["people"]["1"]
    np.testing.assert_allclose(both.R_world_cam, alone.R_world_cam, atol=1e-5)
    np.testing.assert_allclose(both.roots[1][45], alone.roots[1][45], atol=1e-3)
    assert np.isfinite(np.stack(list(both.roots[2].values()))).all()
    assert both.roots[2][45][1] == pytest.approx(5, abs=1)  # somebody so tall looks so large from there


def test_a_take_of_nobody_real_has_places_all_the_same() -> None:
    placed = place(upside_down(scene({1: stroll()}, 5.0)[0], 1), FOV)
    assert len(placed.problems) == 1
    assert np.isfinite(np.stack(list(placed.roots[1].values()))).all()


def test_somebody_far_away_in_a_telescope() -> None:
    """60 pixels of a person at a focal length of 43,000 pixels: 1.2 km."""
    take, _ = scene({1: stroll()}, 0.0)
    middle = np.array([META.width / 2, META.height / 2], np.float32)
    for f, person in take.tracks[1].people.items():
        joints = person.joints_px
        small = (joints - joints.mean(0)) * (60 / np.ptp(joints[:, 1])) + middle
        take.tracks[1].people[f] = replace(person, joints_px=small.astype(np.float32))
    placed = place(take, FOV, intrinsics=Intrinsics(43_000, 43_000, *middle.tolist()))
    assert placed.problems == ()
    assert placed.roots[1][45][1] == pytest.approx(np.ptp(STANDING[:, 2]) * 43_000 / 60, rel=0.15)


def test_intrinsics_say_what_a_field_of_view_assumes() -> None:
    take, _ = scene({1: stroll()}, 5.0)
    assumed = place(take, FOV)
    known = Intrinsics.assumed(META, FOV)
    given = place(take, 20.0, intrinsics=known)
    assert given.fov_deg == pytest.approx(FOV)
    assert given.assumptions["camera"]["given"] is True
    np.testing.assert_allclose(given.roots[1][45], assumed.roots[1][45], atol=1e-5)
    beside = place(take, FOV, intrinsics=replace(known, cx=known.cx - 100))
    assert beside.roots[1][45][0] - assumed.roots[1][45][0] == pytest.approx(5 * 100 / known.fx, abs=0.1)


@pytest.mark.parametrize(
    ("which", "wrong"),
    [(which, wrong) for which in ("fx", "fy", "cx", "cy") for wrong in (math.nan, math.inf, 1e12)]
    + [("fx", 0.0), ("fy", -1.0)],
)
def test_intrinsics_that_no_camera_has(which: str, wrong: float) -> None:
    camera = {"fx": 1000.0, "fy": 1000.0, "cx": 640.0, "cy": 360.0} | {which: wrong}
    with pytest.raises(UserError, match="above 0") as told:
        Intrinsics(**camera)
    assert told.value.exit_code == 2


@pytest.mark.parametrize(
    ("fx", "cx", "why"),
    [
        (0.01, 640.0, "it would show 180°"),
        (400_000, 640.0, r"it would show 0\.183°"),
        (1000, -90_000, "its axis would pass far beside it"),
    ],
)
def test_intrinsics_of_another_picture(fx: float, cx: float, why: str) -> None:
    with pytest.raises(UserError, match=rf"a picture of 1280×720, {why}: .*in pixels of this video\.$") as told:
        Intrinsics(fx, fx, cx, 360).check(META)
    assert told.value.exit_code == 2


def test_one_frame_is_enough() -> None:
    take, _ = scene({1: stroll()[:1]}, 5.0)
    assert np.linalg.norm(place(take, FOV).roots[1][0] - stroll()[0]) < 0.3


def head_down(arms: bool) -> np.ndarray:
    """Somebody upside down, hanging or on their head, or, with their arms stretched out beyond it, on their hands."""
    out = STANDING * np.float32([-1, 1, -1])
    if arms:
        for side in ("LEFT", "RIGHT"):
            shoulder = out[H36M[f"{side}_SHOULDER"]]
            out[H36M[f"{side}_ELBOW"]] = shoulder + np.float32([0, 0, -0.28])
            out[H36M[f"{side}_WRIST"]] = shoulder + np.float32([0, 0, -0.53])
    return out


def stretched_out(arms: bool) -> np.ndarray:
    """Somebody who lies along x, or, with their arms below their shoulders, holds a push-up."""
    out = STANDING[:, [2, 0, 1]]
    if arms:
        out[:, 2] += 0.25 * out[:, 0]  # the feet on the floor, the shoulders higher
        for side in ("LEFT", "RIGHT"):
            shoulder = out[H36M[f"{side}_SHOULDER"]]
            out[H36M[f"{side}_ELBOW"]] = shoulder + np.float32([0, 0, -0.25])
            out[H36M[f"{side}_WRIST"]] = shoulder + np.float32([0, 0, -0.45])
    return out


#: What somebody does, and how high the pelvis is then.
NOT_STANDING = {
    "a head-stand": (head_down(arms=False), 0.7),
    "a hand-stand": (head_down(arms=True), 1.04),
    "a push-up": (stretched_out(arms=True), 0.32),
    "lying": (stretched_out(arms=False), 0.12),
}


@pytest.mark.parametrize("name", NOT_STANDING)
def test_nobody_is_below_the_floor_whatever_they_do(name: str) -> None:
    """Only ankles were asked about the floor: heads and hands hung 1.5 m below it."""
    shape, high = NOT_STANDING[name]
    placed = place(scene({1: np.tile([0.0, 5.0, high], (60, 1))}, 5.0, shape=shape)[0], FOV)
    _, world = placed.world(1)
    assert world[..., 2].min() > -0.06
    assert np.abs(underside_of(world[..., 2])).max() < 0.08
    assert placed.assumptions["shots"][0]["height_m"] == pytest.approx(1.4, abs=0.25)


@pytest.mark.parametrize("name", NOT_STANDING)
def test_the_floor_is_where_feet_stood_before(name: str) -> None:
    shape, high = NOT_STANDING[name]
    both = np.concatenate([np.tile(STANDING, (90, 1, 1)), np.tile(shape, (90, 1, 1))])
    path = np.tile([0.0, 5.0, 0.95], (180, 1))
    path[90:, 2] = high
    placed = place(scene({1: path}, 5.0, shape=both)[0], FOV)
    _, world = placed.world(1)
    alone = place(scene({1: path[:90]}, 5.0)[0], FOV)
    assert placed.assumptions["shots"][0]["height_m"] == pytest.approx(
        alone.assumptions["shots"][0]["height_m"], abs=0.12
    )
    assert world[100:, :, 2].min() > -0.1
