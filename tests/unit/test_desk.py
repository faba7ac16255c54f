"""The desk of corrections: long takes are shown at once where people stood, and then placed anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers_fix import walkers, whose

from sasmamba.app.config import Settings
from sasmamba.app.fix import desk as desk_module
from sasmamba.app.fix.corrections import Correction, DeletePerson, ExchangePeople, ExchangeSides, FootOnFloor, MoveJoint
from sasmamba.app.fix.desk import Desk
from sasmamba.app.fix.fixes_file import Fixes
from sasmamba.app.fix.relifting import RememberingLifter
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.motion.placing import Placement

TAKE = walkers(60)


def new_desk(*corrections: Correction) -> Desk:
    return Desk(TAKE, Settings(), RememberingLifter(Lifter.load()), Fixes("a.mp4", 320, 240, corrections))


def world(placement: Placement, person: int) -> np.ndarray:
    return placement.world(person)[1]


CORRECTIONS: list[Correction] = [
    MoveJoint(whose(TAKE, 1, 20), "left_wrist", (100.0, 90.0), 0.2),
    ExchangeSides(whose(TAKE, 1, 20), 0.4, 1.2),
    ExchangePeople(whose(TAKE, 1, 20), whose(TAKE, 2, 20), 0.8, 2.4),
    DeletePerson(whose(TAKE, 2, 20), 0.0, 1.0),
    DeletePerson(whose(TAKE, 2, 20), 0.0, 9.0),
]


@pytest.mark.parametrize("correction", CORRECTIONS, ids=lambda one: type(one).__name__)
def test_people_are_carried_over_and_then_placed(correction: Correction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "AT_ONCE", 0)
    desk = new_desk()
    assert not desk.work.provisional
    before = desk.work.placement
    quick = desk.do(correction)
    assert quick.provisional
    assert quick.placement.poses.keys() == quick.take.tracks.keys()
    settled = desk.settled()
    assert not settled.provisional
    assert desk.work is settled
    whole = new_desk(correction).work.placement
    for i in settled.take.tracks:
        np.testing.assert_array_equal(world(settled.placement, i), world(whole, i))
        # near where they will stand, also who was exchanged: the two are 1.7 m apart
        away = np.linalg.norm(world(quick.placement, i) - world(whole, i), axis=-1)
        assert np.median(away) < 0.1
        assert np.quantile(away, 0.95) < 0.3
    if isinstance(correction, MoveJoint):
        np.testing.assert_array_equal(world(quick.placement, 2), world(before, 2))


def test_short_takes_and_floors_are_placed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = new_desk()
    assert not desk.do(CORRECTIONS[0]).provisional
    monkeypatch.setattr(desk_module, "AT_ONCE", 0)
    assert not desk.do(FootOnFloor(whose(TAKE, 1, 5), "left")).provisional
    assert not desk.undo().provisional
    assert desk.undo().provisional


def test_what_is_saved_is_placed_and_fitted_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "AT_ONCE", 0)
    desk = new_desk()
    desk.do(CORRECTIONS[0])
    work = desk.save(tmp_path / "out.npz")
    assert not work.provisional
    whole = new_desk(CORRECTIONS[0]).work
    np.testing.assert_array_equal(world(work.placement, 1), world(whole.placement, 1))
    assert np.isfinite(np.load(tmp_path / "out.npz")["joints3d"]).all()
