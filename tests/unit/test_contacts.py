"""When feet are on the ground: spans of time, and what a motion file tells of them and of angles."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from test_exports import scene, walking

from sasmamba.app.export.contacts import Stride, contacts, strides
from sasmamba.app.export.formats import export_motion
from sasmamba.app.export.motion_table import PersonMotion, motions
from sasmamba.app.motion.steps import Step
from sasmamba.models.angles import joint_angles
from sasmamba.models.skeletons import H36M


def resting(left: str, right: str, gap: range = range(0)) -> PersonMotion:
    """Somebody at 10 frames a second from 1 s on, whose feet rest where there is an x."""
    take, placement = scene({1: walking(len(left))}, fps=Fraction(10), start=10, gap=gap)
    (motion,) = motions(take, placement)
    return replace(motion, planted=np.array([[c == "x" for c in pair] for pair in zip(left, right, strict=True)]))


@pytest.mark.parametrize(
    ("left", "right", "gap", "expected"),
    [
        ("..........", "..........", range(0), []),
        ("..xxx..xx.", "..........", range(0), [("left", 1.2, 1.4, True), ("left", 1.7, 1.8, True)]),
        ("xxx.......", ".......xxx", range(0), [("left", 1.0, 1.2, False), ("right", 1.7, 1.9, True)]),
        # nobody saw the foot in the gap, so nobody saw it come down
        ("xxxxxxxxxx", "..........", range(13, 15), [("left", 1.0, 1.2, False), ("left", 1.5, 1.9, False)]),
    ],
    ids=["in the air", "twice", "from the beginning", "a gap"],
)
def test_contacts(left: str, right: str, gap: range, expected: list[tuple[str, float, float, bool]]) -> None:
    found = [(c.side, round(c.from_s, 6), round(c.to_s, 6), c.begun) for c in contacts(resting(left, right, gap))]
    assert found == expected


def test_legs_that_are_left_out_have_none() -> None:
    assert contacts(replace(resting("xxxxx", "....."), upper=True)) == []


def step(foot: int, walk: int, contact_s: float) -> Step:
    return Step(foot, walk, contact_s - 0.2, contact_s + 0.3, contact_s, contact_s + 0.1, 0.7, True, 0.0)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(0, 0, 1.0), (1, 0, 1.5), (0, 0, 2.0), (1, 0, 2.6)], [("left", 1.0, 2.0), ("right", 1.5, 2.6)]),
        # a pause between two walks is no stride, and neither is one of which an end was not seen
        ([(0, 0, 1.0), (1, 0, 1.5), (0, 1, 2.0), (1, 1, 2.6)], []),
        ([(0, 0, 1.0), (0, 0, math.nan), (0, 0, 3.0), (0, 0, 4.0)], [("left", 3.0, 4.0)]),
    ],
    ids=["two sides", "two walks", "one not seen"],
)
def test_strides_of_who_walks(steps: list[tuple[int, int, float]], expected: list[tuple[str, float, float]]) -> None:
    assert strides([step(*one) for one in steps], contacts(resting("..x", "..."))) == [Stride(*one) for one in expected]


def test_strides_of_who_steps_on_the_spot() -> None:
    """By feet that were seen to come down; a second step after 0.2 s is none, and after 4 s it is another round."""
    rests = contacts(resting("xx.x.xx........xxx", ".................."))
    assert strides([], rests) == [Stride("left", 1.5, 2.5)]
    late = contacts(resting(".x" + 40 * "." + "x.", 44 * "."))
    assert strides([], late) == []


def test_a_motion_file_has_them_and_the_angles(tmp_path: Path) -> None:
    world = walking(40)
    take, placement = scene({1: world}, fps=Fraction(30))
    planted = {f: np.array([f % 20 >= 10, False]) for f in range(40)}
    export_motion(take, replace(placement, planted={1: planted}), tmp_path / "clip", ["json"])
    (person,) = json.loads((tmp_path / "clip.json").read_text())["people"]
    assert [(c["side"], c["begun"]) for c in person["contacts"]] == [("left", True), ("left", True)]
    assert [c["from_s"] for c in person["contacts"]] == pytest.approx([10 / 30, 1])
    # the ankle that is ahead of the pelvis turns back when it comes down
    ahead = world[:, H36M.LEFT_ANKLE, 0] - world[:, H36M.PELVIS, 0]
    assert [(s["side"], s["from_s"]) for s in person["strides"]] == [
        ("left", pytest.approx(ahead[:20].argmax() / 30, abs=0.02))
    ]
    for name, values in joint_angles(world).items():
        found = [row["angles"][name] for row in person["frames"]]
        known = np.isfinite(values)
        assert [v is not None for v in found] == known.tolist()
        np.testing.assert_allclose([v for v in found if v is not None], values[known], atol=0.02)
