"""A camera that is carried about and lifted sinks nobody: who stands stays on the floor, jumps and stages above it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sasmamba.app.motion.camera_motion import CameraMotion
from sasmamba.app.motion.camera_rise import camera_rise, walking_height
from sasmamba.app.motion.footing import ANKLE_HEIGHT_M, ANKLES, LEGS, Body, planted_feet, without_tops
from sasmamba.app.motion.gravity import KnownCamera
from sasmamba.app.motion.looking import pictured
from sasmamba.app.motion.placing import place
from sasmamba.app.take import Take
from sasmamba.app.types import SceneLines
from sasmamba.models.skeletons import H36M
from tests.unit.test_placing import FOV, STANDING, scene
from tests.unit.test_scene_lines import ACROSS, AWAY, UP, walls
from tests.unit.test_scene_lines import CAMERA as WALLS

FPS, FRAMES = 30, 180
TIME = np.arange(FRAMES) / FPS
#: The camera goes up by 0.6 m from the second second to the fifth.
LIFT = 0.6 * np.clip((TIME - 1) / 3, 0, 1)
#: How the camera is held: somebody who walks towards it while it rises looks like one who walks down a slope.
LEVEL = KnownCamera(8.0, 0.0)
#: Where the feet rest in turn, 0.6 s each with a swing of 0.4 s, how far apart, and when both leave the floor.
STEP_S, SWING_S, STRIDE_M = 1.0, 0.4, 0.4
JUMP_S, FLIGHT_S = 4.0, 0.6
JUMP_M = 9.81 * FLIGHT_S**2 / 8


def walk(jumps: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Somebody who walks towards the camera: joints (F, 17, 3) from the pelvis and the pelvis's path (F, 3)."""
    air = (TIME - JUMP_S).clip(0, FLIGHT_S)
    up = 9.81 / 2 * air * (FLIGHT_S - air) * jumps
    ankles = np.zeros((FRAMES, 2, 3))
    for foot, (x, late) in enumerate(((0.13, 0.0), (-0.13, STEP_S / 2))):
        steps, within = np.divmod(TIME + late, STEP_S)
        swing = ((within - (STEP_S - SWING_S)) / SWING_S).clip(0, 1)
        ahead = STRIDE_M * (steps + swing * swing * (3 - 2 * swing) - late / STEP_S)
        ankles[:, foot] = np.stack([x + 0 * TIME, 6.5 - ahead, ANKLE_HEIGHT_M + 0.12 * np.sin(np.pi * swing) + up], 1)
    path = np.stack([0 * TIME, ankles[..., 1].mean(1), 0.89 + up], 1)
    joints = np.repeat(STANDING[None].astype(float), FRAMES, 0)
    for foot, (hip, knee, ankle) in enumerate(LEGS):
        way = ankles[:, foot] - path - joints[:, hip]
        far = np.linalg.norm(way, axis=1, keepdims=True)
        bend = np.cross(way / far, [1.0, 0, 0])
        bend *= -np.sign(bend[:, 1:2])  # knees go forward, to the camera
        half = np.sqrt(np.maximum(0.46**2 - far**2 / 4, 0))
        joints[:, knee] = joints[:, hip] + way / 2 + half * bend
        joints[:, ankle] = joints[:, hip] + way
    return joints, path


def filmed(path: np.ndarray, joints: np.ndarray, kind: str = "moving", up: np.ndarray = LIFT) -> Take:
    take, _ = scene({1: path - up[:, None] * [0, 0, 1]}, 8.0, shape=joints)
    angle = 1e-4 * np.arange(FRAMES) / FRAMES  # it hardly turns, but is not still
    turns = np.repeat(np.eye(3)[None], FRAMES, 0)
    turns[:, 0, 1], turns[:, 1, 0] = -angle, angle
    take.camera_motion = CameraMotion(kind, turns, np.ones(FRAMES), np.ones(FRAMES))  # type: ignore[arg-type]
    return take


def soles(take: Take, known: KnownCamera | None = LEVEL, *, steady: bool = True) -> np.ndarray:
    return place(take, FOV, known=known, steady_feet=steady).world(1)[1][:, ANKLES, 2] - ANKLE_HEIGHT_M


def test_who_walks_before_a_camera_that_is_lifted_stays_on_the_floor() -> None:
    joints, path = walk()
    low = soles(filmed(path, joints)).min(1)
    assert np.abs(low).max() < 0.06
    assert np.abs(soles(filmed(path, joints), known=None).min(1)).max() < 0.08
    seen, without = (soles(filmed(path, joints, kind), steady=False).min(1) for kind in ("moving", "rotating"))
    assert np.abs(seen).max() < 0.12
    assert np.abs(without).max() > 0.25


def test_who_walks_and_never_rests_before_a_camera_that_goes_along_walks_on_the_floor() -> None:
    """It sways about beside them, and is lifted: no foot is seen to rest, but each step ends on the floor."""
    joints, path = walk()
    path = path + np.stack([0.2 * np.sin(9 * TIME), 0 * TIME, 0 * TIME], 1)
    placed = place(filmed(path, joints), FOV, known=LEVEL)
    assert np.mean(list(placed.planted[1].values())) < 0.02
    low = placed.world(1)[1][:, ANKLES, 2].min(1) - ANKLE_HEIGHT_M
    each_second = [np.abs(low[f : f + FPS]).min() for f in range(0, FRAMES, FPS)]
    assert max(each_second) < 0.03
    assert np.abs(np.median(low)) < 0.05


def test_who_walks_on_something_high_stays_there_though_no_foot_rests() -> None:
    time, rest = TIME[:90], np.zeros((90, 2), bool)
    stage = Body(time, np.repeat(STANDING[None].astype(float), 90, 0), np.tile([0, 5, 0.95 + 1.0], (90, 1)))
    low = stage.posed(stage.joints, stage.pelvis - [0, 0, 0.8])
    assert not walking_height(stage, rest).any()
    np.testing.assert_allclose(walking_height(low, rest), 0.2, atol=0.01)
    assert not walking_height(low, ~rest).any()  # a foot that rests tells better
    unseen = replace(low, feet_seen=rest)
    assert not walking_height(unseen, rest).any()


@pytest.mark.parametrize(
    ("up", "families"), [(LIFT, (UP, ACROSS, AWAY)), (LIFT, (UP,)), (0 * LIFT, (UP, ACROSS, AWAY))]
)
def test_edges_of_the_scene_tell_a_lift_from_a_slope(up: np.ndarray, families: tuple) -> None:
    joints, path = walk()
    take = filmed(path, joints, up=up)
    rays = (walls(8.0, 0.0, families) - [WALLS.cx, WALLS.cy]) / WALLS.fx
    focal = 0.5 * take.meta.width / np.tan(np.radians(FOV) / 2)
    ends = (rays * focal + [take.meta.width / 2, take.meta.height / 2]).astype(np.float32)
    take.scene_lines = SceneLines(np.zeros(len(ends), np.int64), ends)
    placed = place(take, FOV)
    assert placed.shots[0].pitch_deg == pytest.approx(8, abs=2)
    assert np.ptp(placed.shots[0].rise_m or (0,)) == pytest.approx(np.ptp(up), abs=0.06)


def test_without_edges_it_is_said_that_a_lift_may_be_a_slope() -> None:
    joints, path = walk()
    shot = place(filmed(path, joints), FOV).shots[0]
    assert abs(shot.pitch_deg - 8) < 1.5 * shot.sd_deg
    assert place(filmed(path, joints, "rotating", 0 * LIFT), FOV).shots[0].sd_deg < 3


def test_the_floor_tells_up_before_a_carried_camera_that_does_not_rise() -> None:
    joints, path = walk()
    shot = place(filmed(path, joints, up=0 * LIFT), FOV).shots[0]
    assert shot.pitch_deg == pytest.approx(8, abs=2)
    assert shot.sd_deg < 5


def test_a_jump_remains() -> None:
    joints, path = walk(jumps=True)
    low = soles(filmed(path, joints)).min(1)
    air = (TIME > JUMP_S) & (TIME < JUMP_S + FLIGHT_S)
    assert low[air].max() == pytest.approx(JUMP_M, abs=0.08)
    assert np.abs(low[(TIME < JUMP_S - 0.2) | (TIME > JUMP_S + FLIGHT_S + 0.2)]).max() < 0.06


def test_people_still_fall_on_their_picture() -> None:
    """The camera is told to be as high as it was lifted."""
    joints, path = walk()
    take = filmed(path, joints)
    placed = place(take, FOV, known=LEVEL)
    rise = np.array(placed.shots[0].rise_m)
    np.testing.assert_allclose(rise, LIFT, atol=0.08)
    looked = pictured(take, placed, 1)
    assert looked is not None
    frames, pixels = looked
    seen = np.stack([take.tracks[1].people[f].joints_px[11] for f in frames])  # the left hip
    off = np.linalg.norm(pixels[:, H36M.LEFT_HIP] - seen, axis=1)
    assert np.median(off) < 12


def test_cameras_that_are_not_carried_are_as_they_were() -> None:
    joints, path = walk()
    take = filmed(path, joints, "rotating")
    assert place(take, FOV).shots[0].rise_m == ()
    motion = take.camera_motion
    assert motion is not None
    whole = range(FRAMES)
    still = replace(motion, R_first_cam=np.repeat(np.eye(3)[None], FRAMES, 0))
    zooms = replace(motion, zoom=np.linspace(1, 1.2, FRAMES))
    for kind, told in (("moving", True), ("rotating", False), ("still", False)):
        assert replace(motion, kind=kind).carried(whole) is told  # type: ignore[arg-type]
    # of several shots, in which one is carried
    assert not replace(still, kind="moving").carried(whole)
    assert not replace(zooms, kind="moving").carried(whole)


def test_who_is_seen_from_higher_up_is_no_shorter() -> None:
    """One stands there while the camera is low, another, of the same size, while it is high."""
    take, _ = scene(
        {i: np.tile([x, y, 0.95], (FRAMES, 1)) - LIFT[:, None] * [0, 0, 1] for i, x, y in ((1, -0.8, 5), (2, 0.8, 6))},
        8.0,
    )
    for track, frames in ((1, range(90, FRAMES)), (2, range(75))):
        for f in frames:
            del take.tracks[track].people[f], take.tracks[track].poses[f]
    take.camera_motion = filmed(*walk()[::-1]).camera_motion
    placed = place(take, FOV, known=LEVEL)
    low, high = (placed.assumptions["people"][i]["height_m"] for i in "12")
    assert low == pytest.approx(high, rel=0.03)
    for i in (1, 2):
        assert np.abs(placed.world(i)[1][:, ANKLES, 2] - ANKLE_HEIGHT_M).max() < 0.05


def body(height: np.ndarray, up: np.ndarray = LIFT) -> Body:
    """Somebody who stands, in level axes from a camera that was 1.5 m above the floor at first."""
    z = height + STANDING[0, 2] + 0.95 - 1.5 - up
    return Body(TIME, np.repeat(STANDING[None].astype(float), FRAMES, 0), np.stack([0 * z, 5 + 0 * z, z], 1))


def rise_of(bodies: list[Body]) -> np.ndarray:
    rests = [without_tops(one, planted_feet(one)) for one in bodies]
    return camera_rise(bodies, rests, range(len(bodies)), TIME)


def test_somebody_on_a_stage_stays_there() -> None:
    rise = rise_of([body(0 * TIME), body(0 * TIME), body(1.0 + 0 * TIME)])
    np.testing.assert_allclose(rise, LIFT, atol=0.04)
    late = body(1.0 + 0 * TIME)  # who comes on lifts nobody
    late = Body(late.time[90:], late.joints[90:], late.pelvis[90:])
    np.testing.assert_allclose(rise_of([body(0 * TIME), late]), LIFT, atol=0.04)


def test_legs_that_were_not_seen_tell_only_where_no_others_are() -> None:
    seen = np.zeros((FRAMES, 2), bool)
    seen[:60] = True
    lower = np.where(TIME < 2, 0, -0.4)  # where legs are made up, they are too long
    rise = rise_of([replace(body(lower, up=0 * TIME), feet_seen=seen)])
    assert np.abs(rise[:45]).max() < 0.05
    assert rise[-1] == pytest.approx(0.4, abs=0.1)
    made_up = replace(body(0.5 + 0 * TIME), feet_seen=np.zeros((FRAMES, 2), bool))
    np.testing.assert_allclose(rise_of([body(0 * TIME), made_up]), LIFT, atol=0.05)


def test_the_top_of_a_jump_in_slow_motion_is_no_stance() -> None:
    air = (TIME - 2).clip(0, 2.4)
    high = body(0.4 * 4 * air * (2.4 - air) / 2.4**2, up=0 * TIME)
    rests = planted_feet(high)
    top = slice(94, 99)
    assert rests[top].all()
    assert not without_tops(high, rests)[top].any()
    assert np.abs(rise_of([high])).max() < 0.05


def test_nobody_who_stands_leaves_the_camera_where_it_is() -> None:
    one = body(0 * TIME)
    nobody = np.zeros((FRAMES, 2), bool)
    assert not camera_rise([replace(one, feet_seen=nobody)], [nobody], [0], TIME).any()
    assert not camera_rise([], [], [], TIME).any()
