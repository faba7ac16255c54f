"""Corrections by hand: written and read again, refused where they cannot be, and what each does to a take's 2D."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from helpers_fix import walkers, whose
from hypothesis import given
from hypothesis import strategies as st

from sasmamba.app.fix.applying import corrected
from sasmamba.app.fix.corrections import (
    KINDS,
    CameraUpright,
    Correction,
    DeletePerson,
    ExchangePeople,
    ExchangeSides,
    FootOnFloor,
    HideJoint,
    MoveJoint,
    Whose,
    from_plain,
    to_plain,
    told,
)
from sasmamba.app.fix.fixes_file import Fixes, read_fixes, write_fixes
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.lives import lift_take
from sasmamba.app.motion.placing import place
from sasmamba.app.take import Take, Track
from sasmamba.app.types import FloorMark, UprightMark, VideoMeta
from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import COCO, COCO_MIRROR

SOMEBODY = Whose(1, 0.4, (80.0, 118.5))
EACH: list[Correction] = [
    MoveJoint(SOMEBODY, "left_wrist", (12.5, 30.25), 0.1),
    HideJoint(SOMEBODY, "nose", 0.2, 0.4),
    ExchangeSides(SOMEBODY, 0.2, 0.4),
    ExchangePeople(SOMEBODY, Whose(2, 0.4, (240.0, 118.5)), 0.0, 0.4),
    DeletePerson(SOMEBODY, 0.0, 1.0),
    FootOnFloor(SOMEBODY, "right"),
    CameraUpright(0.4, 12.5, -3.0),
]


def test_each_kind_is_here() -> None:
    assert {type(one) for one in EACH} == set(get_args(Correction)) == set(KINDS.values())
    assert len({told(one) for one in EACH}) == len(EACH)


def test_a_file_comes_back(tmp_path: Path) -> None:
    fixes = Fixes("a ☃ clip.mp4", 320, 240, tuple(EACH))
    write_fixes(fixes, tmp_path / "a.fixes.json")
    assert read_fixes(tmp_path / "a.fixes.json") == fixes
    assert json.loads((tmp_path / "a.fixes.json").read_text())["format"] == "sasmamba-fixes/1"
    write_fixes(replace(fixes, corrections=()), tmp_path / "a.fixes.json")
    assert read_fixes(tmp_path / "a.fixes.json").corrections == ()


PLAIN = {type(one): to_plain(one) for one in EACH}


@pytest.mark.parametrize(
    ("plain", "says"),
    [
        (None, "want an object"),
        ({}, "kind must be one of"),
        ({"kind": ["move_joint"]}, "kind must be one of"),
        (PLAIN[MoveJoint] | {"joint": "tail"}, "joint must be one of"),
        (PLAIN[MoveJoint] | {"joint": []}, "joint must be one of"),
        (PLAIN[MoveJoint] | {"to_px": [1]}, "to_px must be two numbers"),
        (PLAIN[MoveJoint] | {"to_px": [1, float("nan")]}, "to_px must be a number"),
        (PLAIN[MoveJoint] | {"to_px": [1, True]}, "to_px must be a number"),
        (PLAIN[MoveJoint] | {"to_px": [1, 1e9]}, "to_px must lie between"),
        (PLAIN[MoveJoint] | {"to_px": [1, 10**400]}, "to_px must lie between"),
        (PLAIN[MoveJoint] | {"to_px": [1, float("inf")]}, "to_px must lie between"),
        (PLAIN[MoveJoint] | {"spread_s": 60}, "spread_s must lie between 0 and 5"),
        (PLAIN[MoveJoint] | {"more": 1}, "want whose, joint, to_px, spread_s"),
        (PLAIN[MoveJoint] | {"whose": 1}, "whose must be an object"),
        (PLAIN[MoveJoint] | {"whose": {"person": 0, "time_s": 1, "at_px": [1, 2]}}, "person must be a whole number"),
        (PLAIN[ExchangeSides] | {"from_s": 0.5}, "from_s must not come after to_s"),
        (PLAIN[ExchangeSides] | {"from_s": "0"}, "from_s must be a number"),
        (PLAIN[ExchangePeople] | {"other": PLAIN[ExchangePeople]["whose"]}, "two people"),
        (PLAIN[FootOnFloor] | {"foot": "both"}, "foot must be one of left, right"),
        (PLAIN[CameraUpright] | {"pitch_deg": 90}, "pitch_deg must lie between -85 and 85"),
    ],
)
def test_what_cannot_be_is_refused(plain: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=says):
        from_plain(plain)
    text = json.dumps({"format": "sasmamba-fixes/1", "video": {"name": "a", "width": 9, "height": 9}, "fixes": [plain]})
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=f"a.json, correction 1: .*{says}"):
        read_fixes(tmp_path / "a.json")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(EACH), st.data())
def test_any_value_is_refused_or_taken(one: Correction, data: st.DataObject) -> None:
    plain = to_plain(one)
    name = data.draw(st.sampled_from(sorted(plain)))
    plain[name] = data.draw(VALUES)
    with suppress(ValueError):  # any other error fails
        assert isinstance(from_plain(plain), get_args(Correction))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no file of corrections"),
        ("[" * 100_000, "is no file of corrections"),
        ("[]", "does not say that its format"),
        ('{"format": "sasmamba-fixes/2"}', "does not say that its format"),
        ('{"format": "sasmamba-fixes/1", "video": {}, "fixes": 3}', "fixes a list"),
        ('{"format": "sasmamba-fixes/1", "video": {"name": "a", "width": -1, "height": 2}, "fixes": []}', "a name"),
    ],
)
def test_files_that_are_none(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=says):
        read_fixes(tmp_path / "a.json")


def test_a_file_for_another_video(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is for a\.mp4, 640×480 pixels, and this video has 320×240") as refusal:
        Fixes("a.mp4", 640, 480).check(walkers(2).meta, tmp_path / "a.fixes.json")
    assert refusal.value.exit_code == 2


def after(take: Take, *corrections: Correction) -> Take:
    """The take after corrections that all apply; nothing may happen to the given one."""
    before = {(i, f): p.joints_px.copy() for i, track in take.tracks.items() for f, p in track.people.items()}
    done = corrected(take, corrections)
    assert done.problems == ()
    now = {(i, f): p.joints_px for i, track in take.tracks.items() for f, p in track.people.items()}
    assert before.keys() == now.keys()
    assert all(np.array_equal(before[key], now[key]) for key in before)
    return done.take


def moved(take: Take, done: Take, joint: COCO, person: int = 1) -> np.ndarray:
    """By how much a joint of somebody moved to the right in each frame."""
    before, now = take.tracks[person].people, done.tracks[person].people
    return np.array([now[f].joints_px[joint, 0] - before[f].joints_px[joint, 0] for f in sorted(before)])


def to_the_right(take: Take, frame: int, by: float, spread_s: float) -> MoveJoint:
    x, y = take.tracks[1].people[frame].joints_px[COCO.LEFT_WRIST].tolist()
    return MoveJoint(whose(take, 1, frame), "left_wrist", (x + by, y), spread_s)


def test_a_joint_is_moved_in_one_frame() -> None:
    take = walkers(11)
    done = after(take, to_the_right(take, 5, 10, 0))
    np.testing.assert_allclose(moved(take, done, COCO.LEFT_WRIST), [0] * 5 + [10] + [0] * 5, atol=1e-4)
    assert done.tracks[1].people[5].score[COCO.LEFT_WRIST] == 1
    assert not moved(take, done, COCO.RIGHT_WRIST).any()
    assert not moved(take, done, COCO.LEFT_WRIST, person=2).any()


def test_frames_around_go_along() -> None:
    take = walkers(11)  # 0.04 s apart
    done = after(take, to_the_right(take, 5, 10, 0.16))
    want = [0, 0, 2.5, 5, 7.5, 10, 7.5, 5, 2.5, 0, 0]
    np.testing.assert_allclose(moved(take, done, COCO.LEFT_WRIST), want, atol=1e-4)


def test_frames_that_were_set_by_hand_stay() -> None:
    take = walkers(11)
    one = to_the_right(take, 2, 10, 0)
    two = replace(to_the_right(take, 6, 20, 1.0), spread_s=0.4)
    done = after(take, one, two)
    along = moved(take, done, COCO.LEFT_WRIST)
    assert along[2] == pytest.approx(10, abs=1e-4)
    assert along[6] == pytest.approx(20, abs=1e-4)
    np.testing.assert_allclose(along[:2], 0, atol=1e-4)  # beyond the one that was set
    np.testing.assert_allclose(along[3:6], [5, 10, 15], atol=1e-4)


def test_a_joint_is_hidden() -> None:
    take = walkers(11)
    done = after(take, HideJoint(whose(take, 1, 5), "left_knee", 0.08, 0.2))
    scores = [done.tracks[1].people[f].score[COCO.LEFT_KNEE] for f in range(11)]
    assert [f for f, score in enumerate(scores) if score == 0] == [2, 3, 4, 5]


def test_sides_are_exchanged_and_back() -> None:
    take = walkers(11)
    exchange = ExchangeSides(whose(take, 1, 5), 0.12, 0.24)
    done = after(take, exchange)
    for f, person in take.tracks[1].people.items():
        want = person.joints_px[list(COCO_MIRROR)] if 3 <= f <= 6 else person.joints_px
        np.testing.assert_array_equal(done.tracks[1].people[f].joints_px, want)
    back = after(take, exchange, exchange)
    assert not any(moved(take, back, joint).any() for joint in COCO)


def test_people_are_exchanged_from_a_frame_on() -> None:
    take = walkers(11)
    done = after(take, ExchangePeople(whose(take, 1, 5), whose(take, 2, 5), 0.2, 0.4))
    for f in range(11):
        for i in (1, 2):
            other = 3 - i if f >= 5 else i
            person = done.tracks[i].people[f]
            assert person.track_id == i
            np.testing.assert_array_equal(person.joints_px, take.tracks[other].people[f].joints_px)


def test_one_who_got_two_numbers_is_one_again() -> None:
    take = walkers(11)
    later = {f: replace(p, track_id=3) for f, p in take.tracks[1].people.items() if f > 6}
    take.tracks[1].people = {f: p for f, p in take.tracks[1].people.items() if f < 5}
    take.tracks[3] = Track(3, later)
    done = after(take, ExchangePeople(whose(take, 1, 4), whose(take, 3, 8), 0.2, 0.4))
    assert sorted(done.tracks) == [1, 2]
    assert list(done.tracks[1].people) == [0, 1, 2, 3, 4, 7, 8, 9, 10]


def test_a_person_is_deleted() -> None:
    take = walkers(11)
    assert sorted(after(take, DeletePerson(whose(take, 2, 5), 0, 9)).tracks) == [1]
    assert list(after(take, DeletePerson(whose(take, 2, 5), 0, 0.2)).tracks[2].people) == [6, 7, 8, 9, 10]


def test_a_new_analysis_may_number_people_otherwise() -> None:
    take, other = walkers(11), walkers(11, seed=1)
    other.tracks = {
        new: Track(new, {f: replace(p, track_id=new) for f, p in other.tracks[i].people.items()})
        for i, new in ((1, 7), (2, 4))
    }
    assert sorted(after(other, DeletePerson(whose(take, 2, 5), 0, 9)).tracks) == [7]


@pytest.mark.parametrize(
    ("correction", "says"),
    [
        (DeletePerson(Whose(1, 0.2, (300.0, 10.0)), 0, 1), "nobody is where #1 was at 0.20 s"),
        (DeletePerson(Whose(1, 9.0, (80.0, 120.0)), 0, 1), "there is no frame at 9.00 s"),
        (ExchangeSides(Whose(1, 0.2, (80.0, 120.0)), 3, 4), "there is no frame from 3.00 s to 4.00 s"),
        (ExchangePeople(Whose(1, 0.2, (80.0, 120.0)), Whose(2, 0.2, (80.0, 121.0)), 0, 1), "both are one person"),
        (CameraUpright(9.0, 0, 0), "there is no frame at 9.00 s"),
    ],
)
def test_what_does_not_apply_is_left_out_and_told(correction: Correction, says: str) -> None:
    take = walkers(11)
    good = DeletePerson(whose(take, 2, 5), 0, 9)
    done = corrected(take, [correction, good])
    assert len(done.problems) == 1
    assert says in done.problems[0]
    assert sorted(done.take.tracks) == [1]


def test_frames_between_detection_frames() -> None:
    take = walkers(13, every=4)
    done = after(take, ExchangeSides(whose(take, 1, 4), 0.08, 0.24))  # frames 2 to 6
    assert done.detection_frames == [0, 2, 3, 4, 5, 6, 8, 12]
    for f in range(13):
        now, before = ({p.track_id: p for p in t.people_at(f)} for t in (done, take))
        np.testing.assert_allclose(now[2].joints_px, before[2].joints_px, atol=1e-3)
        if 2 <= f <= 6:
            np.testing.assert_allclose(now[1].joints_px, before[1].joints_px[list(COCO_MIRROR)], atol=1e-3)


def test_a_part_of_a_file_begins_later() -> None:
    take = walkers(11)
    at = whose(take, 2, 5)
    in_file = DeletePerson(replace(at, time_s=at.time_s + 10), 10.0, 10.2)
    done = corrected(take, [in_file], start_s=10)
    assert list(done.take.tracks[2].people) == [6, 7, 8, 9, 10]
    assert corrected(take, [in_file]).problems


def test_what_is_said_of_floor_and_camera() -> None:
    take = walkers(30)
    done = after(take, FootOnFloor(whose(take, 1, 5), "left"), CameraUpright(0.2, 10, 2))
    assert done.floor_marks == [FloorMark(5, 1, True)]
    assert done.upright_marks == [UprightMark(5, 10, 2)]
    lifter = Lifter.load()
    for one in (take, done):
        lift_take(one, lifter, lambda *_: None)
    before, now = place(take, 60), place(done, 60)
    assert (now.shots[0].pitch_deg, now.shots[0].roll_deg) == pytest.approx((10, 2), abs=1e-4)
    assert abs(before.shots[0].roll_deg - 2) > 0.5
    unsteady = place(done, 60, steady_feet=False)
    frames, joints = unsteady.world(1)
    assert joints[frames.index(5), 6, 2] == pytest.approx(0.08, abs=1e-4)  # its ankle, above the sole


def test_the_floor_is_where_the_marked_foot_is() -> None:
    take = walkers(30)
    take.floor_marks = [FloorMark(3, 2, False)]
    lift_take(take, Lifter.load(), lambda *_: None)
    placement = place(take, 60, steady_feet=False)
    frames, joints = placement.world(2)
    assert joints[frames.index(3), 3, 2] == pytest.approx(0.08, abs=1e-4)


def test_one_frame() -> None:
    take = walkers(1, 1)
    take.meta = VideoMeta(320, 240, take.meta.fps, 1)
    done = after(take, to_the_right(take, 0, 5, 1))
    assert moved(take, done, COCO.LEFT_WRIST) == pytest.approx([5])
