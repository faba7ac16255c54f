"""Whose legs are left out: decided over the whole clip, live without wavering, and then drawn nowhere."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from sasmamba.app.motion.body import LEGS, BodyChoice, LiveBodies, left_out, people_without_legs, shows_legs
from sasmamba.app.render.renderer import Renderer
from sasmamba.app.take import Take, Track
from sasmamba.app.types import Frame, Person2D, Pose3D, VideoMeta
from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import COCO, H36M

META = VideoMeta(640, 480, Fraction(30), None)


def person(legs: float = 0.9, below: bool = False, track_id: int = 1) -> Person2D:
    """Somebody whose legs have that score; below: they lie below the picture."""
    joints = np.full((17, 2), 200, np.float32)
    score = np.full(17, 0.9, np.float32)
    for joint in COCO:
        if joint.name.endswith(("KNEE", "ANKLE")):
            joints[joint] = (200, 600 if below else 300)
            score[joint] = legs
    return Person2D(track_id, np.array([100, 100, 300, 400], np.float32), joints, score)


@pytest.mark.parametrize(
    ("someone", "want"),
    [
        (person(), True),
        (person(legs=0.1), False),
        (person(below=True), False),  # guessed beyond the picture's edge
        (replace(person(legs=0), score=np.eye(17, dtype=np.float32)[COCO.LEFT_KNEE]), True),  # one knee beside a table
        (replace(person(), joints_px=np.full((17, 2), -5, np.float32)), False),
    ],
)
def test_legs_that_show(someone: Person2D, want: bool) -> None:
    assert shows_legs(someone, META) is want


@pytest.mark.parametrize(
    ("choice", "shares", "want"),
    [
        ("auto", {1: 0.0, 2: 1.0}, {1}),
        ("auto", {1: 0.1, 2: 0.5}, {1}),  # somebody who is at the desk, and somebody who comes and sits down
        ("full", {1: 0.0, 2: 1.0}, set()),
        ("upper", {1: 0.0, 2: 1.0}, {1, 2}),
    ],
)
def test_whose_legs_are_left_out_of_a_clip(choice: BodyChoice, shares: dict[int, float], want: set[int]) -> None:
    take = Take(META, "lifter")
    for i, share in shares.items():
        take.tracks[i] = Track(i, {f: person(0.9 if f < 100 * share else 0.0) for f in range(100)})
    assert people_without_legs(take, choice) == want


def test_live_it_does_not_waver() -> None:
    """Ten seconds at a desk while the score hovers, five standing, then back; never more than one change each."""
    noise = np.random.default_rng(3)
    bodies, told = LiveBodies("auto", META), []
    for frame in range(600):
        standing = 300 <= frame < 450
        seen = noise.random() < (0.95 if standing else 0.1)
        told.append(1 in bodies(frame / 30, (person(0.9 if seen else 0.05),)))
    changes = np.flatnonzero(np.diff(told)) + 1
    assert told[-1]
    assert len(changes) <= 3  # the first frame alone may have been mistaken
    assert 300 < changes[-2] < 345  # up: within a second and a half
    assert 450 < changes[-1] < 520


@pytest.mark.parametrize(("choice", "want"), [("full", set()), ("upper", {1})])
def test_live_by_choice(choice: BodyChoice, want: set[int]) -> None:
    for legs in (0.0, 0.9):
        assert LiveBodies(choice, META)(0.0, (person(legs),)) == want


def test_who_has_gone_is_forgotten() -> None:
    bodies = LiveBodies("auto", META)
    assert bodies(0.0, (person(0.0),)) == {1}
    assert bodies(1.0, ()) == {1}
    assert bodies(9.0, ()) == set()


def test_no_such_choice() -> None:
    from sasmamba.app.config import LiveSettings

    with pytest.raises(UserError, match="--body must be one of auto, full, upper, not 'half'") as told:
        LiveSettings(body="half")  # type: ignore[arg-type]
    assert told.value.exit_code == 2


def test_what_is_left_out() -> None:
    assert not left_out(False).any()
    names = [joint.name for joint in H36M if left_out(True)[joint]]
    assert names == ["RIGHT_KNEE", "RIGHT_ANKLE", "LEFT_KNEE", "LEFT_ANKLE"]
    assert left_out(True)[len(H36M) :].all()


def test_legs_are_drawn_in_neither_panel() -> None:
    """The picture without legs does not depend on where they are; the one with them does."""
    standing = np.zeros((17, 3), np.float32)
    standing[:, 1] = np.linspace(0.4, -0.6, 17)
    knees = [j for j in LEGS if j < len(H36M)]
    pictures = []
    for shift in (0.0, 0.5):
        joints, seen = standing.copy(), person()
        joints[knees, 0] += shift
        moved = seen.joints_px.copy()
        moved[[COCO.LEFT_KNEE, COCO.RIGHT_KNEE, COCO.LEFT_ANKLE, COCO.RIGHT_ANKLE], 0] += 200 * shift
        pose = Pose3D(0, 1, joints, space="camera_root_relative_m")
        frame = Frame(0, Fraction(0), np.full((480, 640, 3), 90, np.uint8))
        for upper in (frozenset({1}), frozenset[int]()):
            root = {1: np.array([0, 2, 1], np.float32)}
            drawn = Renderer(META).draw(frame, (replace(seen, joints_px=moved),), (pose,), None, root, upper=upper)
            pictures.append(drawn.copy())
    without, with_, without_moved, with_moved = pictures
    np.testing.assert_array_equal(without, without_moved)
    split = with_.shape[1] - 960
    assert (with_[:, :split] != with_moved[:, :split]).any()
    assert (with_[:, split:] != with_moved[:, split:]).any()
    assert (without[:, split:] != with_[:, split:]).any()
