"""The level of live 2D: down where frames are lost or late, up where there is room, and no going to and fro."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from sasmamba.app.live.governor import CALM_S, Governor, levels_of

LEVELS = levels_of(("Thunder", "Lightning"))
FPS = 30
#: Milliseconds of 2D work per frame that a machine needs at each of LEVELS.
MILAN = (20.0, 12.0)


class Machine:
    """A machine on a clock of its own: so many ms of 2D a frame; what does not fit between frames is lost, or late."""

    def __init__(self, ms: Callable[[float, int], float], governor: Governor) -> None:
        self._ms, self.governor = ms, governor
        self.now, self.captured, self.lost, self.busy = 0.0, 0, 0.0, 0.0
        self.changes: list[tuple[float, int]] = []

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * FPS)):
            self.now += 1 / FPS
            self.captured += 1
            level = self.governor.level
            work = self._ms(self.now, self.governor.number) / 1000
            if level.every == 2 and self.captured % 2:
                work = 0.0
            share = work * FPS / level.every  # of the time, if nothing were lost
            self.lost += max(0.0, 1 - 1 / share) if share > 1 else 0.0
            self.busy += min(work, 1 / FPS * level.every)
            if self.governor.note(
                self.now, captured=self.captured, lost=int(self.lost), delay_s=0.05 + work, busy_s=self.busy
            ):
                self.changes.append((round(self.now, 1), self.governor.number))


def fixed(thunder: float, lightning: float) -> Callable[[float, int], float]:
    return lambda now, number: (thunder, lightning, lightning)[number]


def test_levels() -> None:
    assert [str(level) for level in LEVELS] == ["Thunder", "Lightning", "Lightning in every second frame"]
    assert [str(level) for level in levels_of(())] == ["every frame", "every second frame"]
    assert [level.cost for level in LEVELS] == sorted((level.cost for level in LEVELS), reverse=True)


@pytest.mark.parametrize(
    ("thunder", "lightning", "settles"),
    [(*MILAN, 0), (28, 18, 0), (50, 25, 1), (90, 45, 2), (500, 400, 2)],
    ids=["fast", "just so", "Lightning fits", "every second fits", "nothing fits"],
)
def test_it_settles_within_seconds(thunder: float, lightning: float, settles: int) -> None:
    machine = Machine(fixed(thunder, lightning), Governor(LEVELS))
    machine.run(12)
    assert machine.governor.number == settles
    machine.run(600)
    at = [number for _, number in machine.changes]
    assert at[:settles] == list(range(1, settles + 1))
    assert len(at) <= settles + 2 * 8  # tries that failed come ever less often


def test_one_bad_second_changes_nothing() -> None:
    machine = Machine(lambda now, number: 300 if 5.5 <= now < 6.5 else 20, Governor(LEVELS))
    machine.run(30)
    assert machine.changes == []


def test_a_busy_minute_and_back() -> None:
    """Another program takes the machine for a minute: down within seconds, up within seconds of its end."""

    def ms(now: float, number: int) -> float:
        return (20, 12, 12)[number] * (4 if 20 <= now < 80 else 1)

    machine = Machine(ms, Governor(LEVELS))
    machine.run(20)
    assert machine.governor.number == 0
    machine.run(12)
    assert machine.governor.number == 2
    machine.run(48)  # until it is quiet
    machine.run(40)
    assert machine.governor.number == 0
    assert machine.changes[-1][0] < 80 + 4 * CALM_S


def test_a_machine_between_two_levels_does_not_flap() -> None:
    """At Lightning there seems to be room; at Thunder there is not, which only a try can tell."""
    machine = Machine(lambda now, number: (36, 14, 14)[number], Governor(LEVELS))
    machine.run(900)
    ups = [at for at, number in machine.changes if number == 0]
    assert 2 <= len(ups) <= 9
    gaps = [b - a for a, b in itertools.pairwise(ups)]
    assert all(later > 1.2 * sooner for sooner, later in itertools.pairwise(gaps[:5]))
    lower = 900 - machine.governor.spent_s[0]
    assert lower > 0.9 * 900


def test_late_frames_strain_as_lost_ones_do() -> None:
    governor = Governor(LEVELS, late_s=0.5)
    for i in range(300):
        governor.note(i / FPS, captured=i, lost=0, delay_s=0.4, busy_s=0.01 * i)
    assert governor.number == 0
    for i in range(300, 600):
        governor.note(i / FPS, captured=i, lost=0, delay_s=0.6, busy_s=0.01 * i)
    assert governor.number == 2


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"number: want 0\.\.2, got 3"):
        Governor(LEVELS, 3)
