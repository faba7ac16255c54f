"""What a page tells in figures, and what it warns of: cases made by hand, each with its sentence."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from test_exports import scene, walking
from test_report import written

from sasmamba.app.export.motion_table import motions
from sasmamba.app.export.report import findings
from sasmamba.app.export.report.paper import printed
from sasmamba.app.motion.footing import Footing
from sasmamba.app.motion.placing import Placement
from sasmamba.app.take import Take
from sasmamba.app.types import Person2D
from sasmamba.models.skeletons import H36M


def person_2d(**change: object) -> Person2D:
    """Somebody in the middle of a picture of 640×480, 200 pixels high, every joint found."""
    joints = np.stack([np.linspace(280, 360, 17), np.linspace(140, 340, 17)], 1).astype(np.float32)
    person = Person2D(1, np.array([280, 140, 360, 340], np.float32), joints, np.full(17, 0.9, np.float32))
    return replace(person, **change)  # type: ignore[arg-type]


def all_seen(world: NDArray, person: Person2D | None = None) -> tuple[Take, Placement]:
    take, placement = scene({1: world}, fps=Fraction(30))
    take.tracks[1].people = dict.fromkeys(range(len(world)), person or person_2d())
    take.detection_frames = list(range(take.frames))
    return take, replace(placement, before=Footing(10, 0, 0.5), after=Footing(5, 0, 0.5))


def sitting(frames: int) -> NDArray:
    """Somebody on a chair: thighs level, shanks hanging. `walking` faces +x."""
    world = walking(frames)
    for side in ("LEFT", "RIGHT"):
        hip = world[:, H36M[f"{side}_HIP"]]
        world[:, H36M[f"{side}_KNEE"]] = hip + np.array([0.45, 0, 0])
        world[:, H36M[f"{side}_ANKLE"]] = hip + np.array([0.45, 0, -0.44])
    return world


def cases() -> dict[str, tuple[Take, Placement, str]]:
    low = np.full(17, 0.4, np.float32)
    wrist = np.full(17, 0.9, np.float32)
    wrist[9] = 0.1
    edge = person_2d().joints_px.copy()
    edge[15] = [300, 479]
    gone = all_seen(walking(60))
    for f in range(20, 40):
        del gone[0].tracks[1].people[f]
    tilt = np.radians(40)
    steep = np.array([[1, 0, 0], [0, -np.sin(tilt), np.cos(tilt)], [0, -np.cos(tilt), -np.sin(tilt)]], np.float32)
    fine = all_seen(walking(60))
    return {
        "low scores": (
            *all_seen(walking(60), person_2d(score=low)),
            "2D joints are unsure (mean score below 0.5) in more than 20% of the frames: person 1 (100%).",
        ),
        "a lost joint": (
            *all_seen(walking(60), person_2d(score=wrist)),
            "and are guessed from the rest: person 1 (left wrist in 100%).",
        ),
        "cropped": (
            *all_seen(walking(60), person_2d(joints_px=edge)),
            "in more than 10% of the frames: person 1 (100%).",
        ),
        "small": (
            *all_seen(walking(60), person_2d(box_px=np.array([0, 0, 9, 60], np.float32))),
            "Less than 100 pixels high in the picture: person 1 (60 pixels).",
        ),
        "gap": (*gone, "0.5 s on end: person 1 (33%, at most 0.7 s on end)."),
        "brief": (
            *all_seen(walking(12)),
            "Seen for less than 1 s, so that the lifter had little to go by: person 1 (0.4 s).",
        ),
        "sitting": (*all_seen(sitting(60)), "are unsure: person 1 (100%)."),
        "steep": (fine[0], replace(fine[1], R_world_cam=steep), "The camera looks down by 40° (more than 30°)"),
        "no standing": (fine[0], replace(fine[1], after=Footing(0, 0, 0.02)), "A foot stands in only 2% of the frames"),
        "skating": (fine[0], replace(fine[1], after=Footing(31, 0, 0.5)), "Planted feet slide by 31 cm/s"),
    }


@pytest.mark.parametrize("name", cases())
def test_what_is_warned_of(name: str) -> None:
    take, placement, sentence = cases()[name]
    (found,) = findings.warnings(take, placement, motions(take, placement))
    assert sentence in found


def test_a_cause_is_told_once_of_all_people() -> None:
    take, placement = scene({1: walking(12), 2: walking(12) + np.array([2.0, 0, 0])}, fps=Fraction(30))
    for track in take.tracks.values():
        track.people = dict.fromkeys(range(12), person_2d())
    take.detection_frames = list(range(take.frames))
    placement = replace(placement, before=Footing(10, 0, 0.5), after=Footing(5, 0, 0.5))
    (found,) = findings.warnings(take, placement, motions(take, placement))
    assert found.endswith("little to go by: person 1 (0.4 s), person 2 (0.4 s).")


def test_legs_that_were_left_out_do_not_sit() -> None:
    take, placement, told = cases()["sitting"]
    take.upper = frozenset({1})
    assert not any(told in sentence for sentence in findings.warnings(take, placement, motions(take, placement)))


def test_nothing_is_warned_of_without_cause(tmp_path: Path) -> None:
    take, placement = all_seen(walking(60))
    assert findings.warnings(take, placement, motions(take, placement)) == []
    assert "No check found cause for one" in written(tmp_path, take, placement).visible


def test_figures_of_an_even_walk() -> None:
    """1.5 m/s along a line, seen in every third frame, and not at all for five detection frames."""
    world = np.repeat(walking(1), 91, 0)
    world[..., 0] += (np.arange(91) * 1.5 / 30)[:, None]
    take, placement = all_seen(world)
    take.pose2d_every, take.detection_frames = 3, list(range(0, 91, 3))
    take.tracks[1].people = {f: person_2d() for f in take.detection_frames if not 30 <= f <= 42}
    (motion,) = motions(take, placement)
    told = findings.figures(take, motion)
    assert (told.seen, told.filled_in, told.missing) == (91 - 17, 17, 0)  # frames 28 to 44
    assert told.longest_gap_s == pytest.approx(17 / 30)
    assert (told.speed_m_s, told.top_m_s, told.path_m) == pytest.approx((1.5, 1.5, 4.5))
    assert (told.score, told.height_px) == pytest.approx((0.9, 200))


@pytest.mark.parametrize(
    ("there", "reasons", "expected"),
    [
        pytest.param({}, 0, {}, id="nothing"),
        pytest.param(
            {"warnings": 9, "people": 1, "jump": 1}, 1, {"warnings": 9, "people": 1, "jump": 1}, id="room for all"
        ),
        pytest.param({"warnings": 40, "people": 1}, 0, {"warnings": 15, "people": 1}, id="warnings take the rest"),
        pytest.param(
            {"warnings": 9, "jump": 20, "people": 1}, 0, {"warnings": 5, "jump": 20, "people": 1}, id="rows first"
        ),
        pytest.param(
            dict.fromkeys(("gait", "jump", "sit_to_stand", "people", "warnings"), 99),
            9,
            {"gait": 10, "jump": 3, "sit_to_stand": 3, "people": 4, "warnings": 3},
            id="too much of all",
        ),
    ],
)
def test_how_much_is_printed(there: dict[str, int], reasons: int, expected: dict[str, int]) -> None:
    assert (
        printed(there, reasons) == dict.fromkeys(("gait", "jump", "sit_to_stand", "people", "warnings"), 0) | expected
    )
