"""Steps of somebody who walks or runs: when feet pass each other, come down and leave the floor, and how far they go.

Events follow from where ankles are ahead of the pelvis and behind it (Zeni, Richards, Higginson, Gait & Posture 27,
2008: a foot comes down where it is farthest ahead, and leaves where it is farthest behind), so that they need no floor
and no path: they are the same on a treadmill, and where a camera follows. Lengths are those between the places where
feet stand, where the path is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.foot_passing import FootAdvance, Passing, passing
from sasmamba.app.motion.footing import ANKLES
from sasmamba.app.motion.performance import Performance
from sasmamba.common.runs import runs

#: A step takes so long. Ankles come so far apart in one, as a share of the leg's length; in one of a turn a little.
_STEP_S, _LONG, _SHORT = (0.15, 1.6), 0.25, 0.1
#: So many long steps without a pause are walking: fewer are somebody who shifts their feet.
LEAST_STEPS = 4
#: A foot stands somewhere from so long before it is seen to come down until so long after.
_COMES_S = (0.15, 0.35)
#: Ankles are so much less apart, when a foot comes down, than the places are where feet stand: the other heel has
#: risen. Measured on motion capture of four people (S1, S6, S7 and CMU 7; benchmarks/measures.py).
_HEEL_RISEN = 0.89


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a foot, from when it passes the other until the other passes it.

    Attributes:
        foot: 0 left, 1 right.
        walk: steps of one walk, without a pause, have one number.
        begin_s: when it passes the other foot.
        end_s: when the other passes it.
        contact_s: when it comes to the floor; NaN where that was not seen.
        other_off_s: when the other foot leaves the floor after that; NaN where that was not seen.
        length_m: how far from where the other foot stands it comes down, in the direction the body faces.
        stood: the length is one between places where feet stand, not of ankles at one moment.
        along: share of the length that lies along the line of sight, 0 to 1.
    """

    foot: int
    walk: int
    begin_s: float
    end_s: float
    contact_s: float
    other_off_s: float
    length_m: float
    stood: bool
    along: float


@dataclass(frozen=True, slots=True)
class _Walker:
    """What is the same for all steps of somebody, found once: an hour has thousands of them.

    Attributes:
        who: the motion.
        leg_m: as in `Performance`.
        sight: (F, 3) as `Performance.sight_level`.
        stances: of the left and the right foot, (n, 2) where they begin and end (exclusive).
    """

    who: Performance
    leg_m: float
    sight: NDArray
    stances: tuple[NDArray, NDArray]


def steps_of(who: Performance) -> list[Step]:
    """All steps of walks of at least `LEAST_STEPS`, in order of time."""
    out: list[Step] = []
    walker = _Walker(who, who.leg_m, who.sight_level, (runs(who.planted[:, 0]), runs(who.planted[:, 1])))
    for part in who.stretches:
        out += _steps_in(walker, part, out[-1].walk + 1 if out else 0)
    return out


def _steps_in(walker: _Walker, part: slice, number: int) -> list[Step]:
    """Steps in a stretch in which legs are known; walks are counted from a number on."""
    time = walker.who.time[part]
    feet = passing(time, walker.who.joints[part])
    walks: list[list[FootAdvance]] = [[]]
    for one in feet.advances:
        far = one.apart_m > _SHORT * walker.leg_m
        if far and _STEP_S[0] <= time[one.end] - time[one.begin] <= _STEP_S[1]:
            walks[-1].append(one)
        else:
            walks.append([])
    out: list[Step] = []
    for walk in walks:
        if sum(one.apart_m > _LONG * walker.leg_m for one in walk) >= LEAST_STEPS:
            out += [_step(walker, part, feet, number, one) for one in walk]
            number += 1
    return out


def _step(walker: _Walker, part: slice, feet: Passing, number: int, one: FootAdvance) -> Step:
    """The step in which a foot of a stretch is ahead."""
    who, time, place = walker.who, walker.who.time[part], feet.place
    a, b, foot, front, back = one.begin, one.end, one.foot, one.front, one.back
    contact = _turn(time, place[:, foot], front) if a < front < b - 1 else float("nan")
    off = _turn(time, place[:, 1 - foot], back) if a < back < b - 1 else float("nan")
    here = feet.ahead[front]
    there, before = _stands(walker, foot, time[front], 1), _stands(walker, 1 - foot, time[front], -1)
    length, stood = one.apart_m / _HEEL_RISEN, False
    if who.view.path_known and there is not None and before is not None:
        length, stood = float((there - before) @ here), True
    along = abs(float(here @ walker.sight[part][front]))
    apart = place[:, 0] - place[:, 1]
    begin, end = (_crossing(time[at - 1 : at + 1], apart[at - 1 : at + 1]) for at in (a, b))
    return Step(foot, number, begin, end, contact, off, length / (1 - who.view.short * along**2), stood, along)


def _stands(walker: _Walker, foot: int, contact_s: float, way: int) -> NDArray | None:
    """Where (3,) a foot stands whose step ends at a contact (way 1), or from which the other's goes (way -1)."""
    ankle, time, stances = ANKLES[foot], walker.who.time, walker.stances[foot]
    # none that ended earlier fits, and none that begins later
    for begin, end in stances[np.searchsorted(time[stances[:, 1] - 1], contact_s - 2 * _COMES_S[1]) :]:
        first, last = time[begin], time[end - 1]
        if first > contact_s + _COMES_S[1]:
            break
        if way > 0:
            fits = -_COMES_S[0] <= first - contact_s <= _COMES_S[1]
        else:
            fits = first < contact_s - _COMES_S[0] and last > contact_s - 2 * _COMES_S[1]
            fits = fits and last < contact_s + 2 * _COMES_S[1]
        if fits:
            return np.asarray(np.nanmedian(walker.who.joints[begin:end, ankle], 0))
    return None


def _crossing(time: NDArray, apart: NDArray) -> float:
    """When feet pass each other, between two frames (2,)."""
    return float(time[0] + apart[0] / (apart[0] - apart[1]) * (time[1] - time[0]))


def _turn(time: NDArray, values: NDArray, at: int) -> float:
    """When values (F,) are at the extreme of the parabola through an extreme frame and its neighbours."""
    a, b, c = values[at - 1 : at + 2]
    bend = a - 2 * b + c
    shift = 0.0 if bend == 0 else float(np.clip(0.5 * (a - c) / bend, -1, 1))
    return float(np.interp(at + shift, [at - 1, at, at + 1], time[at - 1 : at + 2]))
