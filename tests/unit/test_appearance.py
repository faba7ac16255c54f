"""What people wear: the same clothes are alike in shadow, turned and scaled; others are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers_crossings import SHIRTS, figure, picture

from sasmamba.app.pose2d.appearance import clothes_alike, torso_histogram
from sasmamba.app.types import Person2D
from sasmamba.common.arrays import FloatArray
from sasmamba.models.skeletons import COCO


def worn(shirt: str, light: float = 1.0, x: float = 400) -> FloatArray:
    rng = np.random.default_rng(0)
    bgr = (picture({"a": (x, 270)}, {"a": shirt}, rng) * light).astype(np.uint8)
    histogram = torso_histogram(bgr, figure(x))
    assert histogram is not None
    return histogram


@pytest.mark.parametrize("shirt", SHIRTS)
def test_a_histogram_is_a_distribution_and_like_itself(shirt: str) -> None:
    histogram = worn(shirt)
    assert histogram.shape == (30,)
    assert histogram.sum() == pytest.approx(1, abs=1e-5)
    assert (histogram >= 0).all()
    assert clothes_alike(histogram, histogram) == 1


@pytest.mark.parametrize("shirt", SHIRTS)
def test_light_changes_little(shirt: str) -> None:
    assert clothes_alike(worn(shirt), worn(shirt, light=0.8)) > 0.6


@pytest.mark.parametrize(("a", "b"), [("red", "blue"), ("red", "white"), ("white", "green"), ("blue", "green")])
def test_other_clothes_are_other(a: str, b: str) -> None:
    assert clothes_alike(worn(a), worn(b)) < 0.2


def without(person: Person2D, *joints: COCO) -> Person2D:
    score = person.score.copy()
    score[list(joints)] = 0
    return replace(person, score=score)


@pytest.mark.parametrize(
    ("person", "known"),
    [
        (figure(400), True),
        (without(figure(400), COCO.LEFT_HIP, COCO.RIGHT_SHOULDER), True),  # seen from the side
        (without(figure(400), COCO.LEFT_HIP, COCO.RIGHT_HIP), False),  # sits behind a table
        (figure(-200), False),  # beside the picture
        (figure(400, height=1e-3), True),  # a speck: one point many times, and no error
    ],
)
def test_when_clothes_are_known(person: Person2D, known: bool) -> None:
    bgr = picture({"a": (400, 270)}, {"a": "red"}, np.random.default_rng(0))
    assert (torso_histogram(bgr, person) is not None) == known
