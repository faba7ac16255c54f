"""After a correction only the windows concerned are lifted again, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from helpers_fix import walkers, whose

from sasmamba.app.fix.applying import corrected
from sasmamba.app.fix.corrections import ExchangePeople, ExchangeSides, MoveJoint
from sasmamba.app.fix.relifting import RememberingLifter
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.lives import lift_take
from sasmamba.app.take import Take

#: Bones are fitted to all of a person's windows. Those that stay as they were after a correction differ from what all
#: windows would say by now, and poses with them, by so much at most, metres; here a wrist moves by half a body's
#: height.
BONES_M = 5e-4


@pytest.fixture(scope="module")
def plain() -> Lifter:
    return Lifter.load()


def lifted(take: Take, lifter: Lifter) -> Take:
    lift_take(take, lifter, lambda *_: None)
    return take


def joints(take: Take, person: int) -> np.ndarray:
    poses = take.tracks[person].poses
    return np.stack([poses[f].joints for f in sorted(poses)])


def test_it_lifts_as_the_lifter_that_it_is_made_from(plain: Lifter) -> None:
    take = walkers(3 * plain.frames)
    ours, theirs = lifted(corrected(take, []).take, RememberingLifter(plain)), lifted(take, plain)
    for i in (1, 2):
        np.testing.assert_array_equal(joints(ours, i), joints(theirs, i))
        assert ours.tracks[i].poses[5].half_width_m is None or np.array_equal(
            ours.tracks[i].poses[5].half_width_m,
            theirs.tracks[i].poses[5].half_width_m,  # type: ignore[arg-type]
        )


def test_only_windows_concerned_and_nothing_outside(plain: Lifter) -> None:
    length = plain.frames
    take, memory = walkers(5 * length), RememberingLifter(plain)
    before = lifted(corrected(take, []).take, memory)
    windows = memory.lifted
    frame = 2 * length + 10
    correction = MoveJoint(whose(take, 1, frame), "left_wrist", (10.0, 10.0), 0.1)
    after = lifted(corrected(take, [correction]).take, memory)
    assert memory.lifted - windows == 2  # those two that hold the frame
    assert windows > 15
    np.testing.assert_array_equal(joints(after, 2), joints(before, 2))
    changed = np.flatnonzero((joints(after, 1) != joints(before, 1)).any((1, 2)))
    assert frame in changed
    assert frame - length < changed.min()
    assert changed.max() < frame + length
    whole = lifted(corrected(take, [correction]).take, plain)
    assert np.abs(joints(after, 1) - joints(whole, 1)).max() < BONES_M
    memory.forget_bodies()
    np.testing.assert_array_equal(joints(lifted(corrected(take, [correction]).take, memory), 1), joints(whole, 1))


def test_undoing_costs_nothing(plain: Lifter) -> None:
    take, memory = walkers(2 * plain.frames), RememberingLifter(plain)
    correction = ExchangeSides(whose(take, 1, 9), 0.2, 0.6)
    before = lifted(corrected(take, []).take, memory)
    done = lifted(corrected(take, [correction]).take, memory)
    windows = memory.lifted
    again, redone = (lifted(corrected(take, some).take, memory) for some in ([], [correction]))
    assert memory.lifted == windows
    np.testing.assert_array_equal(joints(again, 1), joints(before, 1))
    np.testing.assert_array_equal(joints(redone, 1), joints(done, 1))


def test_a_short_take_is_as_if_lifted_whole(plain: Lifter) -> None:
    take, memory = walkers(40), RememberingLifter(plain)
    lifted(corrected(take, []).take, memory)
    for correction in (
        ExchangeSides(whose(take, 1, 9), 0.2, 0.6),
        ExchangePeople(whose(take, 1, 9), whose(take, 2, 9), 0.4, 1.6),
    ):
        ours, theirs = (lifted(corrected(take, [correction]).take, one) for one in (memory, plain))
        for i in (1, 2):
            np.testing.assert_array_equal(joints(ours, i), joints(theirs, i))
