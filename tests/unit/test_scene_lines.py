"""Edges of a scene tell of up, within what people leave open, and nothing where there are none."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sasmamba.app.motion import line_vote as line_vote_module
from sasmamba.app.motion.axes import level, pitch_and_roll, up_of
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.camera_motion import CameraMotion
from sasmamba.app.motion.camera_watch import CameraWatch
from sasmamba.app.motion.gravity import KnownCamera
from sasmamba.app.motion.line_vote import LineVote, line_vote
from sasmamba.app.motion.placing import place
from sasmamba.app.motion.scene_lines import LineFinder, line_segments
from sasmamba.app.motion.turn_fit import rotation
from sasmamba.app.types import Cut, Frame, SceneLines, VideoMeta
from sasmamba.models.skeletons import H36M
from tests.unit.test_gravity import seen, stepping, tilt_deg

META = VideoMeta(640, 480, Fraction(30), 300)
CAMERA = Intrinsics.assumed(META, 60)


def walls(
    pitch_deg: float, roll_deg: float, families: tuple[tuple[float, float, float], ...], seed: int = 0, each: int = 25
) -> NDArray:
    """Segments (L, 2, 2) px of edges along each of these directions of the world, x right, y away, z up, 3 to 9 m away,
    as a camera 1.5 m up sees them; their ends half a pixel off."""
    rng = np.random.default_rng(seed)
    R = level(up_of(math.radians(pitch_deg), math.radians(roll_deg)))
    out = list[NDArray]()
    for family in families:
        way, count = np.array(family) / np.linalg.norm(family), 0
        while count < each:
            begin = np.array([rng.uniform(-4, 4), rng.uniform(3, 9), rng.uniform(0, 3)]) - [0, 0, 1.5]
            ends = np.stack([begin, begin + rng.uniform(0.4, 1.5) * way]) @ R
            px = ends[:, :2] / ends[:, 2:] * CAMERA.fx + [CAMERA.cx, CAMERA.cy]
            if (ends[:, 2] > 0.5).all() and ((px > 0) & (px < [META.width, META.height])).all():
                out.append(px + rng.normal(0, 0.5, (2, 2)))
                count += 1
    return np.array(out, np.float32)


def of_frame(ends: NDArray, frame: int = 0) -> SceneLines:
    return SceneLines(np.full(len(ends), frame, np.int64), ends)


def vote_of(lines: SceneLines, motion: CameraMotion | None = None) -> LineVote:
    vote = line_vote(lines, CAMERA, META, motion)
    assert vote is not None
    return vote


def off_deg(angles: NDArray, pitch_deg: float, roll_deg: float) -> float:
    true = up_of(math.radians(pitch_deg), math.radians(roll_deg))
    return math.degrees(math.acos(min(1.0, float(up_of(*angles) @ true))))


def weighed(vote: LineVote, pitch_deg: float, roll_deg: float, sd_deg: float = 4.0) -> tuple[NDArray, float]:
    """Pitch and roll, radians, and their uncertainty in degrees, where people tell these."""
    angles, covariance = vote.weighed(np.radians([pitch_deg, roll_deg]), np.eye(2) * math.radians(sd_deg) ** 2 / 2)
    return angles, math.degrees(math.sqrt(np.trace(covariance)))


UP, ACROSS, AWAY = (0.0, 0.0, 1.0), (0.8, 0.6, 0.0), (-0.6, 0.8, 0.0)


@pytest.mark.parametrize(
    ("pitch", "roll", "off"),
    [(0.0, 0.0, (6.0, 0.0)), (25.0, -3.0, (-8.0, 1.0)), (22.0, -24.0, (-5.0, 3.0)), (-12.0, 8.0, (3.0, -4.0))],
)
def test_walls_right_what_people_leave_open(pitch: float, roll: float, off: tuple[float, float]) -> None:
    vote = vote_of(of_frame(walls(pitch, roll, (UP, ACROSS, AWAY))))
    angles, sd_deg = weighed(vote, pitch + off[0], roll + off[1], 5.0)
    assert off_deg(angles, pitch, roll) < 1.5
    assert sd_deg < 3.0  # of 5.0


def test_people_who_are_sure_are_believed() -> None:
    vote = vote_of(of_frame(walls(25, -3, (UP, ACROSS, AWAY))))
    angles, sd_deg = weighed(vote, 17, -3, 1.0)  # eight standard deviations away
    assert off_deg(angles, 17, -3) < 1.0
    assert sd_deg == pytest.approx(1.0, abs=0.1)


def test_one_direction_that_is_not_up_does_not_win_against_walls() -> None:
    leaning = (math.sin(math.radians(14)), 0.0, math.cos(math.radians(14)))
    ends = np.concatenate([walls(10, 0, (UP, ACROSS, AWAY)), walls(10, 0, (leaning,), seed=1, each=40)])
    for roll in (0, 2, 4):
        angles, _ = weighed(vote_of(of_frame(ends)), 10, roll)
        assert off_deg(angles, 10, 0) < 1.5


def test_edges_of_any_direction_tell_next_to_nothing() -> None:
    rng = np.random.default_rng(3)
    middle, way = rng.uniform([80, 80], [560, 400], (80, 2)), rng.uniform(0, math.pi, 80)
    half = rng.uniform(10, 40, 80)[:, None] * np.stack([np.cos(way), np.sin(way)], 1)
    angles, sd_deg = weighed(vote_of(of_frame(np.stack([middle - half, middle + half], 1).astype(np.float32))), 12, 1)
    assert off_deg(angles, 12, 1) < 1.5
    assert 2.5 < sd_deg < 4.5


def test_a_mirrored_picture_leans_the_other_way() -> None:
    ends = walls(15, 6, (UP, ACROSS, AWAY))
    mirrored = ends * np.array([-1, 1], np.float32) + np.array([META.width, 0], np.float32)
    a, _ = weighed(vote_of(of_frame(ends)), 12, 4)
    b, _ = weighed(vote_of(of_frame(mirrored)), 12, -4)
    np.testing.assert_allclose(a, b * [1, -1], atol=math.radians(0.05))


def test_several_pictures_tell_no_more_than_one() -> None:
    ends = walls(15, 6, (UP, ACROSS, AWAY))
    twice = SceneLines(np.repeat(np.array([0, 30], np.int64), len(ends)), np.concatenate([ends, ends]))
    np.testing.assert_allclose(vote_of(twice).ratio, vote_of(of_frame(ends)).ratio, rtol=1e-4)


def test_what_edges_tell_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """People are placed again after every correction."""
    worked_out, along = list[int](), line_vote_module._along
    monkeypatch.setattr(line_vote_module, "_along", lambda *told: worked_out.append(1) or along(*told))
    lines = of_frame(walls(15, 6, (UP, ACROSS, AWAY), seed=77))
    first, again = vote_of(lines), vote_of(of_frame(lines.ends_px.copy()))
    np.testing.assert_array_equal(first.ratio, again.ratio)
    assert len(worked_out) == 1
    vote_of(of_frame(lines.ends_px + np.float32(1)))
    assert len(worked_out) == 2


def test_edges_seen_after_the_camera_turned_and_zoomed_count_in_the_axes_of_the_first_frame() -> None:
    ends = walls(12, 2, (UP, ACROSS, AWAY))
    R, zoom = rotation(np.radians([-6.0, 9.0, 2.0])), 1.3  # of the frame's axes to the first's
    rays = np.concatenate([CAMERA.rays(ends.astype(float)), np.ones((*ends.shape[:2], 1))], -1) @ R
    later = rays[..., :2] / rays[..., 2:] * zoom * CAMERA.fx + [CAMERA.cx, CAMERA.cy]
    turns = np.stack([np.eye(3), R])
    motion = CameraMotion("rotating", turns, np.array([1, zoom]), np.ones(2))
    angles, _ = weighed(vote_of(of_frame(later.astype(np.float32), frame=1), motion), 8, 0)
    assert off_deg(angles, 12, 2) < 1.0
    still, _ = weighed(vote_of(of_frame(later.astype(np.float32), frame=1)), 15, 2)
    pitch, roll = np.degrees(pitch_and_roll(R.T @ up_of(*np.radians([12, 2]))))  # as that frame's own camera has it
    assert off_deg(still, pitch, roll) < 2.5
    assert off_deg(still, 12, 2) > 3.0


def drawn(ends: NDArray) -> NDArray:
    picture = np.full((META.height, META.width, 3), 120, np.uint8)
    for (x0, y0), (x1, y1) in ends.round(2):
        cv2.line(
            picture, (round(x0 * 16), round(y0 * 16)), (round(x1 * 16), round(y1 * 16)), (250,) * 3, 3, cv2.LINE_AA, 4
        )
    return picture


def test_segments_of_a_drawn_scene_tell_its_vertical() -> None:
    found = line_segments(drawn(walls(20, -4, (UP, ACROSS, AWAY))))
    assert 40 < len(found) <= 80
    angles, _ = weighed(vote_of(of_frame(found)), 14, -2, 5.0)
    assert off_deg(angles, 20, -4) < 1.0


def test_slats_of_one_blind_are_few_edges() -> None:
    slats = np.array([[[100, y], [190, y + 2]] for y in range(105, 230, 8)], np.float32)
    door = np.array([[[400, 100], [420, 300]]], np.float32)
    found = line_segments(drawn(np.concatenate([slats, door])))
    assert ((found[..., 0] < 200).all(1)).sum() <= 8  # four squares of 80 pixels
    assert ((found[..., 0] > 390).all(1)).any()


def test_people_have_no_edges() -> None:
    ends = np.array([[[100, 100], [110, 300]], [[400, 100], [420, 300]]], np.float32)
    found = line_segments(drawn(ends), [np.array([380.0, 80, 440, 320])])
    assert len(found)
    assert (found[..., 0] < 200).all()


@pytest.mark.parametrize("turned", [False, True])
def test_bars_beside_a_picture_are_no_edges_of_the_scene(turned: bool) -> None:
    picture = np.full((480, 640, 3), 120, np.uint8)
    (picture.swapaxes(0, 1) if turned else picture)[:, :100] = 0
    assert not len(line_segments(picture))


def test_a_picture_of_nothing_has_no_edges() -> None:
    picture = np.full((480, 640, 3), 120, np.uint8)
    picture += np.random.default_rng(0).integers(0, 3, picture.shape, np.uint8)
    assert line_segments(picture).shape == (0, 2, 2)


def test_each_shot_is_looked_at_when_it_begins_and_a_little_later() -> None:
    finder, picture = LineFinder(), drawn(walls(20, -4, (UP, ACROSS, AWAY)))
    for i in range(300):
        finder.see(Frame(i, Fraction(i, 30), picture, Cut(200, Fraction(200, 30), "cut") if i == 200 else None), [])
    frames, counts = np.unique(finder.lines.frame, return_counts=True)
    assert frames.tolist() == [0, 30, 120, 200, 230]
    assert len(set(counts.tolist())) == 1
    assert set(finder.lines.within(range(200)).frame.tolist()) == {0, 30, 120}


def test_the_watch_hands_them_over() -> None:
    picture = drawn(walls(20, -4, (UP, ACROSS, AWAY)))
    with CameraWatch(META, CAMERA) as watch:
        for i in range(4):
            watch.see(Frame(i, Fraction(i, 30), picture), [])
        watch.motion([range(4)])
    assert set(watch.lines().frame.tolist()) == {0}
    assert len(watch.lines().frame) == len(line_segments(picture))


def test_places_follow_the_walls_and_say_so() -> None:
    take, R = seen({1: np.array(stepping(60, (0, 0)))}, 20.0, lean_deg=8.0)
    plain = place(take, 60)
    take.scene_lines = of_frame(_scaled(walls(20, 0, (UP, ACROSS, AWAY)), take.meta))
    lined = place(take, 60)
    assert tilt_deg(plain.R_world_cam, R) > 4
    assert tilt_deg(lined.R_world_cam, R) < 1.5
    assert lined.shots[0].sd_deg < plain.shots[0].sd_deg
    assert "edges of the scene" in lined.assumptions["upright"]
    assert "edges" not in plain.assumptions["upright"]


def _scaled(ends: NDArray, meta: VideoMeta) -> NDArray:
    """From pixels of META to those of another picture of the same shape or, about its middle, of another one."""
    scale = max(meta.width, meta.height) / META.width
    return ((ends - [320, 240]) * scale + [meta.width / 2, meta.height / 2]).astype(np.float32)


@pytest.mark.parametrize("frames", [1, 60])
def test_what_nobody_leans_is_the_lifters_however_short_the_clip(frames: int) -> None:
    for lean in (-12.0, 12.0):
        take, _ = seen({1: np.array(stepping(frames, (0, 0)))}, 10.0, lean_deg=lean)
        take.scene_lines = of_frame(_scaled(walls(10, 0, (UP, ACROSS, AWAY)), take.meta))
        trunk = np.diff(place(take, 60).world(1)[1][:, [H36M.PELVIS, H36M.THORAX]], axis=1)[:, 0].mean(0)
        assert math.degrees(math.acos(trunk[2] / np.linalg.norm(trunk))) < 3.5


def test_what_the_user_says_stays() -> None:
    take, _ = seen({1: np.array(stepping(60, (0, 0)))}, 20.0)
    lines = of_frame(_scaled(walls(20, 0, (UP, ACROSS, AWAY)), take.meta))
    both, pitch = KnownCamera(12.0, 3.0), KnownCamera(12.0)
    told = place(take, 60, known=both).shots[0]
    take.scene_lines = lines
    again = place(take, 60, known=both).shots[0]
    np.testing.assert_array_equal(again.R_world_cam, told.R_world_cam)
    assert (again.height_m, again.sd_deg) == (told.height_m, told.sd_deg)
    assert place(take, 60, known=pitch).shots[0].pitch_deg == pytest.approx(12, abs=0.01)


def test_a_shot_is_told_by_its_own_edges() -> None:
    take, R = seen({1: np.array(stepping(60, (0, 0)))}, 20.0, lean_deg=8.0)
    lines = _scaled(walls(20, 0, (UP, ACROSS, AWAY)), take.meta)
    take.cuts = [Cut(30, Fraction(1), "cut")]
    take.scene_lines = of_frame(lines, frame=30)
    first, second = (tilt_deg(shot.R_world_cam, R) for shot in place(take, 60).shots)
    assert second < 1.5 < first


def test_without_edges_places_are_as_they_were_to_the_bit() -> None:
    take, _ = seen({1: np.array(stepping(60, (0, 0))), 2: np.array(stepping(60, (0, 0), at=(1, 6)))}, 12.0, 2.0, 3.0)
    blank = LineFinder()
    blank.see(Frame(0, Fraction(0), np.full((480, 640, 3), 90, np.uint8)), [])
    a, b = place(take, 60), place(replace(take, scene_lines=blank.lines), 60)
    assert a.assumptions == b.assumptions
    for i in a.roots:
        np.testing.assert_array_equal([*a.roots[i].values()], [*b.roots[i].values()])


@pytest.mark.parametrize(
    ("frame", "ends"), [((2,), (3, 2, 2)), ((2,), (2, 4)), ((2, 1), (2, 2, 2))], ids=["count", "flat", "column"]
)
def test_lines_are_checked_when_made(frame: tuple[int, ...], ends: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"frame|ends_px"):
        SceneLines(np.zeros(frame, np.int64), np.zeros(ends, np.float32))
