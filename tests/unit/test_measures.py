"""Measures of bodies whose measures are known by construction; and why there is none where there is none."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers_performance import G, jumper_of, performance, sitter_of, walker_of
from test_exports import scene, walking

from sasmamba.app.export.formats import export_motion
from sasmamba.app.motion.centre_of_mass import centre_of_mass
from sasmamba.app.motion.measure import Measure, needed
from sasmamba.app.motion.measures import measures
from sasmamba.app.motion.performance import Performance, View, view_of
from sasmamba.models.skeletons import H36M


def found(who: Performance, name: str, side: str = "both") -> list[Measure]:
    return [m for m in measures(who) if (m.name, m.side) == (name, side)]


def one(who: Performance, name: str, side: str = "both") -> Measure:
    rows = found(who, name, side)
    assert len(rows) == 1, name
    return rows[0]


WALKS = [
    pytest.param((0.6, 0.6), (0.55, 0.55), 50.0, 0.0, id="even"),
    pytest.param((0.7, 0.5), (0.55, 0.55), 50.0, 0.0, id="left steps longer"),
    pytest.param((0.6, 0.6), (0.6, 0.5), 50.0, 0.0, id="left steps slower"),
    pytest.param((0.6, 0.6), (0.55, 0.55), 25.0, 0.0, id="25 frames per second"),
    pytest.param((0.6, 0.6), (0.55, 0.55), 60.0, 137.0, id="another heading"),
    pytest.param((0.45, 0.45), (0.7, 0.7), 30.0, -90.0, id="slow, towards the camera"),
]


@pytest.mark.parametrize(("length", "took", "fps", "heading"), WALKS)
def test_a_walk_of_known_steps(length: tuple, took: tuple, fps: float, heading: float) -> None:
    who = performance(*walker_of(length, took, fps), heading)
    cadence = 120 / sum(took)
    assert one(who, "cadence").value == pytest.approx(cadence, rel=0.02)
    assert one(who, "stride_time").value == pytest.approx(sum(took), rel=0.02)
    assert one(who, "stride_length").value == pytest.approx(sum(length), rel=0.03)
    assert one(who, "walking_speed").value == pytest.approx(sum(length) / sum(took), rel=0.04)
    assert one(who, "step_length").value == pytest.approx(sum(length) / 2, rel=0.03)
    for k, side in enumerate(("left", "right")):
        of_side = one(who, "step_length", side)
        assert of_side.value == pytest.approx(length[k], rel=0.05)
        assert of_side.told_as == "about"  # a side's length is unsure by 5 cm
        assert one(who, "step_time", side).value == pytest.approx(took[k], abs=0.02)
    assert one(who, "double_support").value == pytest.approx(100 * 0.24 / sum(took), abs=4)
    for name, (left, right) in {"step_time": took, "step_length": length}.items():
        row = one(who, f"{name}_symmetry")
        assert row.value == pytest.approx(100 * (left - right) / (left + right) * 2, abs=5)
    assert all(m.half_width > 0 for m in measures(who) if m.group == "gait" and not m.why_not)


def test_steps_are_counted_on_either_side() -> None:
    who = performance(*walker_of((0.6, 0.6), (0.55, 0.55), steps=14))
    rows = [one(who, "steps", side) for side in ("left", "right", "both")]
    assert rows[0].value + rows[1].value == rows[2].value
    assert abs(rows[2].value - 12) <= rows[2].half_width


def test_lengths_are_less_sure_of_somebody_whose_height_is_not_known() -> None:
    time, joints = walker_of((0.6, 0.6), (0.55, 0.55))
    said, guessed = (performance(time, joints, view=View(height_given=given)) for given in (True, False))
    assert one(guessed, "stride_length").half_width > 1.5 * one(said, "stride_length").half_width
    assert one(guessed, "cadence").half_width == one(said, "cadence").half_width
    alike = "step_length_symmetry"  # how tall somebody is is the same on both sides
    assert one(guessed, alike).half_width == one(said, alike).half_width


def test_a_treadmill_has_the_same_cadence() -> None:
    time, joints = walker_of((0.6, 0.6), (0.55, 0.55))
    who = performance(time, joints - joints[:, :1] * [1, 0, 0])
    assert one(who, "cadence").value == pytest.approx(60 / 0.55, rel=0.02)
    over_ground = performance(time, joints)
    assert one(who, "step_length").half_width > 1.3 * one(over_ground, "step_length").half_width
    assert one(who, "step_length", "left").half_width > 1.5 * one(over_ground, "step_length", "left").half_width
    assert one(over_ground, "step_length", "left").value == pytest.approx(0.6, rel=0.05)


@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0])
@pytest.mark.parametrize("flight", [0.3, 0.45, 0.6])
def test_a_jump_of_known_time(fps: float, flight: float) -> None:
    who = performance(*jumper_of(flight, fps))
    assert one(who, "jumps").value == 1
    row = one(who, "flight_time")
    assert abs(row.value - flight) < 1 / fps
    assert (row.from_s, row.to_s) == pytest.approx((1, 1 + flight), abs=1 / fps)
    height = one(who, "jump_height")
    assert abs(height.value - G * flight**2 / 8) < height.half_width


def test_who_comes_down_lower_has_a_flight_and_no_height() -> None:
    who = performance(*jumper_of(0.5, drop_m=0.3))
    assert one(who, "flight_time").value == pytest.approx(0.5, abs=0.03)
    assert one(who, "jump_height").value is None
    assert "lower" in one(who, "jump_height").sentence


def test_film_in_slow_motion_has_no_jump() -> None:
    time, joints = jumper_of(0.5)
    assert one(performance(2 * time, joints), "jumps").value == 0


@pytest.mark.parametrize("rises", [1, 5])
def test_standing_up_from_a_chair(rises: int) -> None:
    who = performance(*sitter_of(rises, cycle_s=3.0, rise_s=1.0))
    assert one(who, "times_stood_up").value == rises
    times = found(who, "rise_time")
    assert len(times) == rises
    # a smooth rise is between 5 and 95 % of the way for 0.73 of its time
    assert all(abs(row.value - 0.73) < row.half_width for row in times)
    if rises > 1:
        assert one(who, "stand_up_cycle_time").value == pytest.approx(3.0, abs=0.03)


LEGS = [H36M[f"{side}_{j}"] for side in ("LEFT", "RIGHT") for j in ("KNEE", "ANKLE")]


@pytest.mark.parametrize(
    ("from_s", "to_s", "given"),
    [
        pytest.param(0.0, 2.2, False, id="the whole rise"),
        pytest.param(0.0, 1.5, False, id="all but its end"),
        pytest.param(0.0, 0.4, True, id="while seated still"),
        pytest.param(2.1, 2.9, True, id="while sitting down"),
    ],
)
def test_how_often_somebody_stood_up_is_not_told_where_a_rise_may_hide(from_s: float, to_s: float, given: bool) -> None:
    time, joints = sitter_of(1, cycle_s=3.0, rise_s=1.0)
    joints = joints.copy()
    joints[np.ix_((time >= from_s) & (time <= to_s), LEGS)] = np.nan
    row = one(performance(time, joints), "times_stood_up")
    assert (row.value is not None) == given
    assert (f"the legs were not seen from 0.0 to {to_s:.1f} s" in row.sentence) != given


def test_who_stretches_after_standing_up_has_stood_up_before() -> None:
    time, joints = sitter_of(1, cycle_s=6.0, rise_s=1.0)
    (row,) = found(performance(time, joints), "rise_time")
    late = joints.copy()
    late[time > row.to_s + 1.5] += [0, 0, 0.04]
    ankles = [H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE]
    late[:, ankles] = joints[:, ankles]
    (stretched,) = found(performance(time, late), "rise_time")
    assert stretched.value == pytest.approx(row.value, abs=0.05)


def test_a_squat_is_no_standing_up_from_a_chair() -> None:
    assert one(performance(*sitter_of(4, chair=False)), "times_stood_up").value == 0


def test_who_stands_has_no_events() -> None:
    time, joints = jumper_of(0.3)
    still = performance(time, np.repeat(joints[:1], len(time), 0))
    assert [one(still, name).value for name in ("jumps", "times_stood_up", "steps")] == [0, 0, 0]
    assert "steps in a row are needed" in one(still, "cadence").sentence


def test_range_of_motion_of_a_known_swing() -> None:
    time = np.arange(0, 4, 0.02)
    joints = np.repeat(walker_of((0.6, 0.6), (0.55, 0.55))[1][:1], len(time), 0)
    bend = np.radians(50 + 40 * np.sin(2 * np.pi * 0.5 * time))
    shoulder, elbow = joints[:, H36M.LEFT_SHOULDER], joints[:, H36M.LEFT_ELBOW]
    joints[:, H36M.LEFT_WRIST] = elbow + 0.25 * np.stack([np.sin(bend), 0 * bend, -np.cos(bend)], 1)
    assert shoulder.shape == elbow.shape
    who = performance(time, joints)
    who = replace(who, bands={**who.bands, "left_elbow_flexion": np.full(len(time), 2.0)})
    told = {what: one(who, f"elbow_flexion_{what}", "left") for what in ("min", "max", "range", "mean")}
    assert [told[k].value for k in ("min", "max", "range")] == pytest.approx([10, 90, 80], abs=0.15)
    assert told["mean"].value == pytest.approx(50, abs=0.5)
    velocity = one(who, "elbow_flexion_peak_velocity", "left")
    assert velocity.value == pytest.approx(40 * 2 * np.pi * 0.5, rel=0.03)
    assert velocity.unit == "°/s"


@pytest.mark.parametrize(
    ("band", "given"),
    [(2.0, {"range", "peak_velocity"}), (30.0, {"range"}), (80.0, set())],
    ids=["narrow", "wider", "wide"],  # a set's words come in another order in every process
)
def test_how_far_and_how_fast_an_angle_goes_is_given_only_where_that_is_known(band: float, given: set[str]) -> None:
    time = np.arange(0, 4, 0.02)
    joints = np.repeat(walker_of((0.6, 0.6), (0.55, 0.55))[1][:1], len(time), 0)
    who = performance(time, joints)
    swing = 50 + 25 * np.sin(2 * np.pi * 0.5 * time)
    name = "left_hip_abduction"
    who = replace(who, angles={**who.angles, name: swing}, bands={**who.bands, name: np.full(len(time), band)})
    for what in ("range", "peak_velocity"):
        row = one(who, f"hip_abduction_{what}", "left")
        assert (row.value is not None) == (what in given)
        assert row.told_as == ("about" if what in given else "at most")
        assert (row.at_most is None) == (what in given)
        assert "at most" in row.in_words or what in given
    least = one(who, "hip_abduction_min", "left")
    assert (round(least.value), least.half_width) == (25, band)


@pytest.mark.parametrize(
    ("name", "unit", "value", "half", "told_as", "words"),
    [
        (
            "cadence",
            "steps/min",
            110.0,
            2.0,
            "value",
            "110 steps/min; in 95 of 100 cases the truth is 108 to 112 steps/min",
        ),
        (
            "cadence",
            "steps/min",
            110.0,
            5.0,
            "about",
            "about 110 steps/min; in 95 of 100 cases the truth is 105 to 115 steps/min",
        ),
        ("step_length", "m", 0.6, 0.03, "value", "0.60 m; in 95 of 100 cases the truth is 0.57 to 0.63 m"),
        ("step_length", "m", 0.6, 0.05, "about", "about 0.60 m; in 95 of 100 cases the truth is 0.55 to 0.65 m"),
        ("flight_time", "s", 0.5, 0.03, "value", "0.50 s; in 95 of 100 cases the truth is 0.47 to 0.53 s"),
        ("knee_flexion_range", "°", 60.0, 7.0, "value", "60°; in 95 of 100 cases the truth is 53 to 67°"),
        ("knee_flexion_range", "°", 60.0, 20.0, "about", "about 60°; in 95 of 100 cases the truth is 40 to 80°"),
        ("hip_flexion_min", "°", -4.0, 9.0, "about", "about −4°; in 95 of 100 cases the truth is −13 to 5°"),
        ("knee_flexion_peak_velocity", "°/s", 300.0, 36.0, "about", "in 95 of 100 cases the truth is 264 to 336°/s"),
        ("knee_flexion_peak_velocity", "°/s", 300.0, 35.0, "value", "300°/s; in 95 of 100 cases"),
        ("knee_flexion_range", "°", 60.0, None, "about", "about 60°; how sure that is is not known"),
        ("double_support", "%", 3.0, 8.0, "about", "about 3 %; in 95 of 100 cases the truth is 0 to 11 %"),
        ("steps", "", 12.0, 2.0, "value", "12; in 95 of 100 cases the truth is 10 to 14"),
        ("jumps", "", 2.0, None, "value", "2"),
        ("knee_flexion_range", "°", None, None, "not given", "cannot be measured from this view, because it hid"),
    ],
)
def test_what_is_not_known_well_enough_is_told_as_about(name, unit, value, half, told_as, words) -> None:
    why_not = "it hid" if value is None else ""
    row = Measure(1, "gait", name, "", "both", value, unit, half, 0.0, 1.0, 1, why_not)
    assert row.told_as == told_as
    assert words in row.in_words
    assert (row.plain()["told_as"], row.plain()["in_words"]) == (told_as, row.in_words)


def test_every_measure_but_counts_has_a_limit() -> None:
    rows = measures(performance(*walker_of((0.6, 0.6), (0.55, 0.55))))
    assert {row.name for row in rows if needed(row.name) is None} == {"steps", "jumps", "times_stood_up"}


def test_what_no_joint_does_is_not_given() -> None:
    time = np.arange(0, 4, 0.02)
    who = performance(time, np.repeat(walker_of((0.6, 0.6), (0.55, 0.55))[1][:1], len(time), 0))
    fold = 90 + 100 * np.sin(2 * np.pi * 0.5 * time)
    row = one(replace(who, angles={**who.angles, "left_hip_flexion": fold}), "hip_flexion_max", "left")
    assert row.value is None
    assert "it came out from −10° to 190°, which no joint does" in row.sentence


def test_a_joint_does_not_turn_on_and_on() -> None:
    """Of somebody who turns a somersault, noise may bring a hip all the way round: that is not told as 500°."""
    time = np.arange(0, 4, 0.02)
    who = performance(time, np.repeat(walker_of((0.6, 0.6), (0.55, 0.55))[1][:1], len(time), 0))
    round_and_on = (500 * time / 4 + 180) % 360 - 180
    row = one(replace(who, angles={**who.angles, "left_hip_flexion": round_and_on}), "hip_flexion_max", "left")
    assert row.value is None
    ends = [float(end.replace("−", "-")) for end in re.findall(r"([−\d]+)°", row.sentence)]
    assert ends[0] >= -140
    assert ends[1] <= 220


def test_one_frame_that_is_wrong_is_no_end_of_a_range() -> None:
    time = np.arange(0, 4, 0.02)
    who = performance(time, np.repeat(walker_of((0.6, 0.6), (0.55, 0.55))[1][:1], len(time), 0))
    swing = 50 + 25 * np.sin(2 * np.pi * 0.5 * time)
    swing[75] += 40
    known = {**who.bands, "left_hip_abduction": np.full(len(time), 2.0)}
    who = replace(who, angles={**who.angles, "left_hip_abduction": swing}, bands=known)
    assert one(who, "hip_abduction_range", "left").value == pytest.approx(50, abs=8)


def without_legs(who: Performance) -> Performance:
    joints = who.joints.copy()
    joints[:, [H36M[f"{side}_{j}"] for side in ("LEFT", "RIGHT") for j in ("KNEE", "ANKLE")]] = np.nan
    angles = {k: v * np.nan if "knee" in k or "shank" in k or "hip" in k else v for k, v in who.angles.items()}
    return replace(who, joints=joints, angles=angles)


@pytest.mark.parametrize(
    ("name", "side", "spoil", "word"),
    [
        ("cadence", "both", without_legs, "legs"),
        ("steps", "left", without_legs, "legs"),
        ("jumps", "both", without_legs, "legs"),
        ("times_stood_up", "both", without_legs, "legs"),
        ("knee_flexion_max", "left", without_legs, "seen for 0.0 s"),
        ("ankle_dorsiflexion_max", "left", lambda who: who, "heel and toe"),
        ("jump_height", "both", lambda who: replace(who, view=View("the camera walked")), "the camera walked"),
    ],
)
def test_what_cannot_be_measured_says_why(name: str, side: str, spoil, word: str) -> None:
    who = spoil(performance(*walker_of((0.6, 0.6), (0.55, 0.55))))
    row = one(who, name, side)
    assert row.value is None
    assert row.half_width is None
    assert word in row.sentence
    assert row.sentence.startswith("cannot be measured from this view, because ")


def test_an_unknown_stretch_is_not_bridged() -> None:
    who = performance(*walker_of((0.6, 0.6), (0.55, 0.55), steps=20))
    joints = who.joints.copy()
    joints[200:260] = np.nan
    rows = measures(replace(who, joints=joints))
    cadence = next(m for m in rows if m.name == "cadence")
    assert cadence.value == pytest.approx(60 / 0.55, rel=0.02)
    assert cadence.count < one(who, "cadence").count


def test_centre_of_mass() -> None:
    joints = np.zeros((1, 17, 3))
    joints[..., 2] = 1
    assert centre_of_mass(joints)[0] == pytest.approx([0, 0, 1])
    whole = walker_of((0.6, 0.6), (0.55, 0.55))[1]
    share = (centre_of_mass(whole)[:, 2] / whole[:, H36M.HEAD_TOP, 2]).mean()
    assert 0.52 < share < 0.62  # of stature, standing: about 0.56 (Winter 2009)


def test_files(tmp_path: Path) -> None:
    take, placement = scene({1: walking(150), 2: walking(150)}, fps=Fraction(30))
    paths = export_motion(take, placement, tmp_path / "clip", ["measures"])
    assert [path.name for path in paths] == ["clip_measures.csv", "clip_measures.json", "clip_about.json"]
    with paths[0].open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    whole = json.loads(paths[1].read_text(encoding="utf-8"))
    assert whole["format"] == "sasmamba-measures/1"
    assert len(table) == len(whole["measures"]) > 100
    for row, told in zip(table, whole["measures"], strict=True):
        assert {k: row[k] for k in row} == {k: "" if told[k] is None else str(told[k]) for k in row}
        assert (told["value"] is None) == bool(told["why_not"])
    assert {row["person"] for row in table} == {"1", "2"}


def test_the_view_says_what_is_not_known() -> None:
    take, placement = scene({1: walking(60)}, fps=Fraction(30))
    assert view_of(take, placement, 1).path_known
    take.camera_strayed = {30: 0.02}
    assert "camera moved" in view_of(take, placement, 1).why_not
    take.camera_strayed = {}
    people = {"people": {"1": {"place": "guessed", "given": True}}}
    view = view_of(take, replace(placement, assumptions=people), 1)
    assert "guess" in view.why_not
    assert view.height_given
