"""People in frames that live 2D leaves out: moved on as they moved, never beyond what is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers_crossings import figure

from sasmamba.app.live.carrying import Carrying
from sasmamba.app.types import Person2D


def person(track_id: int, x: float) -> Person2D:
    return replace(figure(x, 255, 250), track_id=track_id)


def test_people_go_on_as_they_went() -> None:
    carrying = Carrying()
    carrying.see(0.0, (person(1, 100), person(2, 500)))
    carrying.see(0.1, (person(1, 110), person(2, 480)))
    here = {p.track_id: p for p in carrying.at(0.15)}
    for track_id, x in ((1, 115), (2, 470)):
        np.testing.assert_allclose(here[track_id].joints_px, person(track_id, x).joints_px, atol=1e-3)
        np.testing.assert_allclose(here[track_id].box_px, person(track_id, x).box_px, atol=1e-3)


def test_what_was_not_found_does_not_move() -> None:
    one, other = person(1, 100), person(1, 110)
    one.score[3], one.joints_px[3] = 0, np.nan
    other.score[5] = 0
    carrying = Carrying()
    carrying.see(0.0, (one,))
    carrying.see(0.1, (other,))
    (moved,) = carrying.at(0.2)
    np.testing.assert_array_equal(moved.joints_px[[3, 5]], other.joints_px[[3, 5]])
    np.testing.assert_array_equal(moved.score, other.score)
    np.testing.assert_allclose(moved.joints_px[0], person(1, 120).joints_px[0], atol=1e-3)


@pytest.mark.parametrize(
    ("seen", "at", "where"),
    [
        ([], 0.1, None),
        ([(0.0, 100)], 0.1, 100),  # nobody knows yet where they go
        ([(0.0, 100), (5.0, 200)], 5.03, 200),  # too long ago
        ([(0.0, 100), (0.1, 110)], 9.0, None),
    ],
    ids=["nobody yet", "once", "long ago", "long past"],
)
def test_what_is_not_known_is_not_made_up(seen: list[tuple[float, float]], at: float, where: float | None) -> None:
    carrying = Carrying()
    for time_s, x in seen:
        carrying.see(time_s, (person(7, x),))
    people = carrying.at(at)
    if where is None:
        assert people == ()
    else:
        np.testing.assert_array_equal(people[0].joints_px, person(7, where).joints_px)
