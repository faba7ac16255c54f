"""Up is told by bodies, floors and the user; every shot has its own world, and a turning camera has one."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from sasmamba.app.motion.axes import R_WORLD_CAM, pitch_and_roll, up_of
from sasmamba.app.motion.camera_motion import CameraMotion
from sasmamba.app.motion.footing import Body
from sasmamba.app.motion.gravity import KnownCamera, standing_evidence
from sasmamba.app.motion.placing import place
from sasmamba.app.take import Take
from sasmamba.app.types import Cut, Person2D, Pose3D, VideoMeta
from sasmamba.common.errors import UserError
from sasmamba.models.geometry import facing_rotation
from sasmamba.models.skeletons import COCO, H36M
from sasmamba.training.cameras import camera_rotation
from sasmamba.training.simulate import coco_points
from tests.unit.test_placing import FOV, META, STANDING, scene, stroll


def stepping(
    frames: int, direction: tuple[float, float], stage_m: float = 0.0, at: tuple[float, float] = (0, 5)
) -> list:
    """Somebody who stands, moves on by 30 cm in a third of a second, and stands: pelves (frames, 3)."""
    t = np.arange(frames) / 30
    way = 0.3 * (np.floor(t) + ((t % 1 - 2 / 3) * 3).clip(0, 1))
    return [(at[0] + w * direction[0], at[1] + w * direction[1], 0.95 + stage_m) for w in way]


def seen(
    paths: dict[int, np.ndarray],
    pitch_deg: float,
    roll_deg: float = 0.0,
    lean_deg: float = 0.0,
    trunk_deg: float = 0.0,
    turns: np.ndarray | None = None,
    zoom: np.ndarray | None = None,
) -> tuple[Take, np.ndarray]:
    """A take of people whose poses lean by `lean_deg` towards a camera 1.4 m above the floor that turns and zooms, and
    their trunks by `trunk_deg` more."""
    R = camera_rotation(torch.tensor([math.radians(pitch_deg)]), torch.tensor([math.radians(roll_deg)]))[0].numpy()

    def towards(deg: float) -> np.ndarray:
        c, s = math.cos(math.radians(deg)), math.sin(math.radians(deg))
        return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])

    pose = STANDING @ towards(lean_deg).T
    pose[7:] = STANDING[7:] @ towards(lean_deg + trunk_deg).T
    focal = 0.5 * META.width / math.tan(math.radians(FOV) / 2)
    take = Take(META, "truth")
    frames = len(next(iter(paths.values())))
    take.times_s = [Fraction(f, 30) for f in range(frames)]
    for f in range(frames):
        here = []
        turn = np.eye(3) if turns is None else turns[f].T  # first camera's axes to this frame's
        for track, path in paths.items():
            cam = (STANDING + np.array(path[f]) - [0, 0, 1.4]) @ R.T @ turn.T
            points = coco_points(torch.from_numpy(cam.astype(np.float32))).numpy()
            scale = focal * (1 if zoom is None else zoom[f])
            xy = points[:, :2] / points[:, 2:] * scale + [META.width / 2, META.height / 2]
            box = np.concatenate([xy.min(0), xy.max(0)]).astype(np.float32)
            here.append(Person2D(track, box, xy.astype(np.float32), np.ones(17, np.float32)))
        take.add_people(f, here)
        for track, path in paths.items():
            cam = (pose + np.array(path[f]) - [0, 0, 1.4]) @ R.T @ turn.T
            facing = facing_rotation(cam[:1])[0]
            take.add_poses([Pose3D(f, track, ((cam - cam[:1]) @ facing.T).astype(np.float32))])
    return take, R


def tilt_deg(R_world_cam: np.ndarray, R: np.ndarray) -> float:
    return math.degrees(math.acos(min(1.0, float(R_world_cam[2] @ R[:, 2]))))


@pytest.mark.parametrize(("pitch", "roll"), [(0.0, 0.0), (12.0, -3.0), (-30.0, 20.0), (80.0, -80.0)])
def test_pitch_and_roll_are_those_of_up(pitch: float, roll: float) -> None:
    angles = np.radians([pitch, roll])
    np.testing.assert_allclose(pitch_and_roll(up_of(*angles)), angles, atol=1e-12)
    R = camera_rotation(torch.tensor([math.radians(pitch)]), torch.tensor([math.radians(roll)]))[0].numpy()
    np.testing.assert_allclose(up_of(*angles), R[:, 2], atol=1e-6)


def test_the_floor_under_steps_rights_people_whose_poses_lean() -> None:
    """Bodies that lean by 8° say that up is there; the way that they go on level ground says where it is."""
    standing, R = seen({1: np.array(stepping(90, (0, 0)))}, 6.0, lean_deg=8)
    walking, _ = seen({1: np.array(stepping(300, (0.5, 0.9), at=(-1, 4)))}, 6.0, lean_deg=8)
    deceived, righted = (place(take, FOV) for take in (standing, walking))
    assert tilt_deg(deceived.R_world_cam, R) > 5
    assert tilt_deg(righted.R_world_cam, R) < 2
    assert righted.shots[0].sd_deg < 0.6 * deceived.shots[0].sd_deg


def test_people_on_different_levels_do_not_tilt_the_world() -> None:
    take, R = seen(
        {1: np.array(stepping(120, (1, 0), at=(-1.5, 4))), 2: np.array(stepping(120, (1, 0), 0.8, at=(-1, 8)))}, 8.0
    )
    placed = place(take, FOV)
    assert tilt_deg(placed.R_world_cam, R) < 2.5
    floors = {i: np.median(list(placed.floor_m[i].values())) for i in (1, 2)}
    assert floors == {1: 0, 2: pytest.approx(0.8, abs=0.15)}
    for i, z in ((1, 0.0), (2, floors[2])):
        frames, world = placed.world(i)
        planted = np.stack([placed.planted[i][f] for f in frames])
        assert planted.mean() > 0.4
        assert np.abs(world[:, [6, 3], 2][planted] - 0.08 - z).max() < 0.05


@pytest.mark.parametrize(("drawn_deg", "least", "most"), [(7, 2, 4), (-7, -4, -2), (40, 39, 41)], ids=str)
def test_what_a_standing_trunk_leans_along_the_line_of_sight_is_half_the_lifters(
    drawn_deg: float, least: float, most: float
) -> None:
    """Whoever bows is not set upright."""
    take, _ = seen({1: np.array(stepping(60, (0, 0)))}, 0.0, trunk_deg=drawn_deg)
    _, world = place(take, FOV, known=KnownCamera(0, 0)).world(1)
    trunk = (world[:, 8] - world[:, 0]).mean(0)
    assert least < math.degrees(math.atan2(-trunk[1], trunk[2])) < most


@pytest.mark.parametrize("known", [KnownCamera(12.0, 0.0), KnownCamera(pitch_deg=12.0)], ids=["both", "pitch"])
def test_what_the_user_knows_is_believed(known: KnownCamera) -> None:
    take, R = seen({1: np.array(stepping(60, (0, 0)))}, 12.0, lean_deg=9)
    shot = place(take, FOV, known=known).shots[0]
    assert shot.pitch_deg == pytest.approx(12, abs=0.01)
    assert tilt_deg(shot.R_world_cam, R) < 1.5
    assert (shot.sd_deg < 0.01) is (known.roll_deg is not None)


@pytest.mark.parametrize("wrong", [{"pitch_deg": 90.0}, {"roll_deg": -200.0}, {"pitch_deg": math.nan}], ids=str)
def test_angles_that_no_camera_has(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="between -85 and 85 degrees") as told:
        KnownCamera(**wrong)
    assert told.value.exit_code == 2


def test_a_camera_on_its_side_is_believed_where_people_show_it() -> None:
    take, R = seen({1: np.array(stepping(90, (1, 0), at=(-1, 5)))}, 5.0, roll_deg=25)
    placed = place(take, FOV)
    assert tilt_deg(placed.R_world_cam, R) < 6


@pytest.mark.parametrize("pitch_deg", [50.0, 60.0, 65.0])
def test_a_camera_that_looks_down_steeply(pitch_deg: float) -> None:
    """People who stand point farther from the picture's up than most lie; it was taken for level."""
    take, R = seen({1: np.tile([0.0, 5.0, 0.95], (60, 1))}, pitch_deg)
    placed = place(take, FOV)
    assert tilt_deg(placed.R_world_cam, R) < 5
    assert placed.shots[0].pitch_deg == pytest.approx(pitch_deg, abs=5)


def test_from_still_steeper_people_must_go_about() -> None:
    to_and_fro = np.stack([1.2 * np.sin(np.arange(150) / 20), np.full(150, 5.0), np.full(150, 0.95)], 1)
    take, R = seen({1: to_and_fro}, 74.0)
    assert tilt_deg(place(take, FOV).R_world_cam, R) < 8


def test_the_floor_alone_tells_that_a_camera_looks_down_steeply() -> None:
    """Of somebody who bends all the time and goes about; to fit its slope once and again was 38° off."""
    take, R = seen({1: np.array(stepping(300, (0.5, 0.9), at=(-1, 4)))}, 72.0, trunk_deg=60)
    assert tilt_deg(place(take, FOV).R_world_cam, R) < 8


@pytest.mark.parametrize("lean_deg", [72.0, 90.0], ids=["push-ups", "lies"])
def test_who_lies_with_the_head_towards_the_camera_tilts_nothing(lean_deg: float) -> None:
    take, R = seen({1: np.tile([0.0, 5.0, 0.35], (60, 1))}, 0.0, lean_deg=lean_deg)
    assert tilt_deg(place(take, FOV).R_world_cam, R) < 8


def test_frames_without_legs_tell_where_the_others_are_of_somebody_who_runs() -> None:
    """Who leans to the side for a second, and then stands before a camera that shows no legs of theirs."""
    upright = STANDING @ R_WORLD_CAM
    c, s = math.cos(math.radians(12)), math.sin(math.radians(12))
    leaning = upright @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    frames = np.arange(150)
    joints = np.where((frames < 30)[:, None, None], leaning, upright)
    path = np.tile([0.0, 0.0, 5.0], (150, 1))
    body = Body(frames / 30, joints, path, legs_seen=frames < 30, hips_seen=frames >= 0)
    angles, _ = standing_evidence([body])
    assert abs(math.degrees(angles[1])) < 5
    only = Body(frames[:30] / 30, joints[:30], path[:30])
    assert abs(math.degrees(standing_evidence([only])[0][1])) > 8


def test_it_is_said_if_nothing_tells_which_way_is_up() -> None:
    """From straight above who stands seems to lie before a level camera."""
    standing = {1: np.tile([0.0, 5.0, 0.95], (90, 1))}
    take, R = seen(standing, 80.0)
    says = "Which way is up is a guess: nobody is seen to stand straight, or the camera looks down steeply; "
    assert place(take, FOV).problems == (says + "--pitch says by how many degrees it does.",)
    told = place(take, FOV, known=KnownCamera(pitch_deg=80.0))
    assert told.problems == ()
    assert tilt_deg(told.R_world_cam, R) < 8
    assert all(place(seen(standing, pitch)[0], FOV).problems == () for pitch in (0.0, 30.0, 60.0))
    moment, _ = seen({1: standing[1][:3]}, 80.0)
    assert place(moment, FOV).problems == ()  # of a picture or two nothing is expected


def panned(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """A pan of 100° to the right with a shake, (F, 3, 3) to the first frame's axes, and a zoom to 1.4."""
    yaw = np.radians(np.linspace(0, 100, frames) + np.sin(np.arange(frames)))
    c, s, o, e = np.cos(yaw), np.sin(yaw), np.zeros(frames), np.ones(frames)
    turns = np.stack([c, o, s, o, e, o, -s, o, c], -1).reshape(-1, 3, 3)
    return turns @ np.transpose(turns[:1], (0, 2, 1)), np.linspace(1, 1.4, frames)


def test_a_turning_camera_sees_one_world() -> None:
    """Somebody who walks round a level camera that follows and zooms: their path is the circle they walked."""
    frames = 120
    turns, zoom = panned(frames)
    around = np.radians(np.linspace(0, 100, frames))
    path = np.stack([5 * np.sin(around), 5 * np.cos(around), np.full(frames, 0.95)], 1)
    take, _ = seen({1: path}, 0.0, turns=turns, zoom=zoom)
    take.camera_motion = CameraMotion(
        "rotating", turns.astype(np.float32), zoom.astype(np.float32), np.ones(frames, np.float32)
    )
    placed = place(take, FOV)
    roots = np.stack([placed.roots[1][f] for f in range(frames)])
    assert np.linalg.norm(roots - path, axis=1).mean() < 0.25
    assert placed.assumptions["camera"]["moves"] is True
    take.camera_motion = replace(take.camera_motion, kind="still")
    wrong = place(take, FOV)
    assert np.linalg.norm(np.stack([wrong.roots[1][f] for f in range(frames)]) - path, axis=1).mean() > 2


def test_every_shot_has_a_world_of_its_own() -> None:
    first, R1 = scene({1: stroll()}, -5.0)
    second, R2 = scene({2: stroll()}, 20.0)
    both = Take(VideoMeta(META.width, META.height, Fraction(30), None), "truth")
    both.times_s = [Fraction(f, 30) for f in range(180)]
    both.cuts = [Cut(90, Fraction(3), "cut")]
    both.detection_frames = list(range(180))
    both.tracks[1] = first.tracks[1]
    both.tracks[2] = second.tracks[2]
    both.tracks[2].people = {f + 90: p for f, p in second.tracks[2].people.items()}
    both.tracks[2].poses = {f + 90: replace(p, frame=f + 90) for f, p in second.tracks[2].poses.items()}
    placed = place(both, FOV)
    assert [shot.frames for shot in placed.shots] == [range(90), range(90, 180)]
    for shot, R in zip(placed.shots, (R1, R2), strict=True):
        assert tilt_deg(shot.R_world_cam, R) < 2.5
    for track, begin in ((1, 0), (2, 90)):
        frames, world = placed.world(track)
        assert frames == list(range(begin, begin + 90))
        up = world[:, 10] - world[:, [3, 6]].mean(1)
        assert np.degrees(np.arctan2(np.linalg.norm(up[:, :2], axis=1), up[:, 2])).mean() < 3
        assert np.median(world[:, 0, 2]) == pytest.approx(0.95, abs=0.06)
        poses, roots = placed.at(begin + 45)
        assert list(roots) == [track]
        turned = poses[0].joints @ placed.R_world_cam.T + roots[track]
        np.testing.assert_allclose(turned, world[45], atol=1e-5)


def without(take: Take, track_id: int, *joints: str) -> None:
    """Somebody's joints of both sides were never found."""
    people = take.tracks[track_id].people
    for f, person in people.items():
        score = person.score.copy()
        score[[COCO[f"{side}_{joint}"] for side in ("LEFT", "RIGHT") for joint in joints]] = 0
        people[f] = replace(person, score=score)


def test_made_up_legs_say_nothing_of_up() -> None:
    """Of people behind a desk the lifter makes up legs that stand anywhere: those of two turned a world by 49°."""
    path = np.array(stepping(300, (0, 1), at=(0, 3)))
    path[:, 2] += 0.5 * (path[:, 1] - 3)
    take, R = seen({1: path}, 0.0)
    without(take, 1, "KNEE", "ANKLE")
    assert tilt_deg(place(take, FOV).R_world_cam, R) < 5


def test_a_made_up_trunk_is_set_upright() -> None:
    take, R = seen({1: np.array(stepping(90, (0, 0), at=(0, 3)))}, 0.0, lean_deg=30)
    without(take, 1, "HIP", "KNEE", "ANKLE")
    placed = place(take, FOV)
    assert tilt_deg(placed.R_world_cam, R) < 8
    _, world = placed.world(1)
    trunk = (world[:, H36M.THORAX] - world[:, H36M.PELVIS]).mean(0)
    assert trunk[2] > math.cos(math.radians(10)) * np.linalg.norm(trunk), "it leaned by 30°"


def test_the_floor_is_that_of_whose_legs_are_seen() -> None:
    paths = {1: np.array(stepping(90, (1, 0), at=(-1.5, 5))), 2: np.array(stepping(90, (0, 0), -0.6, at=(0.5, 3)))}
    take, _ = seen(paths, 5.0)
    without(take, 2, "KNEE", "ANKLE")
    placed = place(take, FOV, one_floor=False)
    ankles = placed.world(1)[1][:, [H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE], 2]
    assert np.median(ankles) == pytest.approx(0.08, abs=0.03)


def test_who_sits_and_moves_their_feet_tells_no_slope() -> None:
    """The lifter holds one foot higher than the other, and nearer: people on chairs turned worlds by up to 30°."""
    shape = np.repeat(STANDING[None], 240, 0)
    for side, ahead, low in (("LEFT", -0.25, -0.35), ("RIGHT", -0.45, -0.45)):
        shape[:, H36M[f"{side}_KNEE"]] += [0, -0.43, 0.42]
        shape[:, H36M[f"{side}_ANKLE"], 1:] = ahead, low
    apart = 0.15 * (np.arange(240) // 40 % 2)
    shape[:, H36M.LEFT_ANKLE, 0] += apart
    shape[:, H36M.RIGHT_ANKLE, 0] -= apart
    take, R = scene({1: np.tile([0.0, 4.0, 0.54], (240, 1))}, 5.0, shape=shape)
    assert tilt_deg(place(take, FOV).R_world_cam, R) < 6


def test_of_a_face_and_one_shoulder_the_distance_is_told() -> None:
    """They were put 5 m away, whatever was seen."""
    take, _ = seen({1: np.array(stepping(30, (0, 0), at=(0.1, 2)))}, 0.0)
    without(take, 1, "HIP", "KNEE", "ANKLE", "ELBOW", "WRIST")
    for f, person in take.tracks[1].people.items():
        score = 0.45 * person.score  # close to the picture's edge networks are not sure
        score[COCO.RIGHT_SHOULDER] = 0
        take.tracks[1].people[f] = replace(person, score=score)
    away = place(take, FOV).roots[1][10][1]
    assert 1 < away < 4
