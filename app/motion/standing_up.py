"""Sit to stand: how often somebody stands up from a seat, and how long it takes.

Who sits has the centre of mass behind the feet, where nobody can stand; who squats has it above them. That tells a
chair from a squat without a picture of the chair.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.centre_of_mass import centre_of_mass
from sasmamba.app.motion.foot_passing import facing
from sasmamba.app.motion.footing import ANKLES
from sasmamba.app.motion.measure import WIDE, Measure
from sasmamba.app.motion.performance import Performance
from sasmamba.app.motion.smoothing import zero_phase
from sasmamba.common.runs import runs

#: The pelvis above the ankles as a share of the leg's length: less than the first is low, more than the second upright,
#: and on a seat it is no lower than the third: that is the floor.
_LOW, _UPRIGHT, _FLOOR = 0.8, 0.88, 0.25
#: The centre of mass so far behind the ankles, or farther, is that of somebody who is held by a seat. A heel reaches
#: 5 cm behind the ankle. On people who were filmed sitting it is 8 to 35 cm behind, on those who squat 2 to 12 ahead.
_BEHIND_M = 0.06
#: Nothing on a seat moves faster over the floor, pelvis or ankles, for so long: a kick or a landing leans back, too.
_STILL_M_S, _SEATED_S = 0.35, 0.15
#: Heights are smoothed by so much. Rising begins and ends at these shares of the way.
_CALM_S, _ENDS = 0.08, (0.05, 0.95)
#: Whoever comes up later than this after they were low has not stood up in one go.
_LONGEST_S = 5.0
#: How high somebody stands is seen within so long after they are upright; later they may stretch.
_TOP_S = 1.0
#: A rise may hide where legs are unknown for so long: none is quicker. Who stood before is not down and up again within
#: the second.
_HIDES_S, _DOWN_AND_UP_S = 0.5, 3.0
#: Standard deviation of a time of rising (benchmarks/measures.py).
_TIME_S = 0.15


@dataclass(frozen=True, slots=True)
class Rise:
    """When somebody begins to rise from a seat, and when they stand."""

    from_s: float
    to_s: float


def standing_up(who: Performance) -> list[Measure]:
    """How often somebody stood up from a seat, each time's duration, and the mean time from one to the next."""
    span = float(who.time[0]), float(who.time[-1])

    def row(
        name: str,
        label: str,
        unit: str,
        value: float | None,
        sd: float | None,
        when: tuple[float, float] = span,
        n: int = 1,
        why_not: str = "",
    ) -> Measure:
        half = None if sd is None else WIDE * sd
        return Measure(who.person, "sit_to_stand", name, label, "both", value, unit, half, *when, n, why_not)

    count, time, cycle = (
        ("times_stood_up", "Times stood up", ""),
        ("rise_time", "Time to stand up", "s"),
        ("stand_up_cycle_time", "From one standing up to the next", "s"),
    )
    if why_not := who.why_no_legs:
        return [row(*named, None, None, n=0, why_not=why_not) for named in (count, time, cycle)]
    rises = rises_of(who)
    hidden = _may_hide(who, rises)
    whole = None if hidden else float(len(rises))
    out = [row(*count, whole, None, n=0 if hidden else len(rises), why_not=hidden)]
    out += [row(*time, r.to_s - r.from_s, _TIME_S, (r.from_s, r.to_s)) for r in rises]
    if len(rises) > 1 and not hidden:
        took = rises[-1].to_s - rises[0].to_s
        n = len(rises) - 1
        out.append(row(*cycle, took / n, np.sqrt(2) * _TIME_S / n, (rises[0].to_s, rises[-1].to_s), n))
    return out


def rises_of(who: Performance) -> list[Rise]:
    """Every time that somebody whose legs are known stands up from a seat."""
    leg_m = who.leg_m
    return [rise for part in who.stretches for rise in _rises_in(who.time[part], who.joints[part], leg_m)]


def _pelvis_over_ankles(joints: NDArray, leg_m: float) -> NDArray:
    """(F,) how high the pelvis is over the middle of the ankles, in leg lengths."""
    return np.asarray((joints[:, 0, 2] - joints[:, ANKLES, 2].mean(1)) / leg_m)


def _may_hide(who: Performance, rises: list[Rise]) -> str:
    """For people, when somebody whose legs are unknown may have stood up; empty where they are known well enough."""
    high = np.where(who.legs_known, _pelvis_over_ankles(who.joints, who.leg_m), np.nan)
    when = []
    for begin, end in runs(~who.legs_known).tolist():
        lasts = who.time[end - 1] - who.time[begin]
        stood = begin > 0 and high[begin - 1] > _UPRIGHT and lasts < _DOWN_AND_UP_S
        # low after it, and not up again but by a rise that was seen
        up = np.flatnonzero(high[end:] > _UPRIGHT)
        till = who.time[end + up[0]] if len(up) else np.inf
        seen = not len(up) or any(who.time[end] <= rise.from_s <= till for rise in rises)
        low = end < len(high) and high[end] < _LOW and seen
        if lasts >= _HIDES_S and not stood and not low:
            when.append(f"from {who.time[begin]:.1f} to {who.time[end - 1]:.1f} s")
    if not when:
        return ""
    more = f" and {len(when) - 2} times more" if len(when) > 2 else ""
    return f"the legs were not seen {' and '.join(when[:2])}{more}, when somebody may have stood up"


def _rises_in(time: NDArray, joints: NDArray, leg_m: float) -> list[Rise]:
    ankles = joints[:, ANKLES].mean(1)
    high = zero_phase(time, _pelvis_over_ankles(joints, leg_m), _CALM_S)
    ahead = ((centre_of_mass(joints) - ankles) * facing(joints, time)).sum(1)
    ahead = zero_phase(time, ahead, _CALM_S, degree=1)
    over = np.stack([joints[:, 0, :2], *(joints[:, ankle, :2] for ankle in ANKLES)], 1)
    speed = np.linalg.norm(np.gradient(zero_phase(time, over, _CALM_S, degree=1), time, axis=0), axis=-1).max(1)
    seated = (high > _FLOOR) & (high < _LOW) & (ahead < -_BEHIND_M) & (speed < _STILL_M_S)
    for begin, end in runs(seated):
        seated[begin:end] = time[end - 1] - time[begin] >= _SEATED_S
    out = []
    lows: list[list[int]] = []
    for begin, end in [*runs(high < _LOW).tolist(), [len(time), len(time)]]:
        if lows and begin < len(time) and not (high[lows[-1][1] : begin] > _UPRIGHT).any():
            lows[-1][1] = end  # still down: a high stool is hardly low
        else:
            lows.append([begin, end])
    for (begin, end), (after, _) in pairwise(lows):
        upright = np.flatnonzero(high[end:after] > _UPRIGHT)
        on_seat = seated[begin:end]
        if not len(upright) or not on_seat.any() or time[end + upright[0]] - time[end - 1] > _LONGEST_S:
            continue
        # the last time on the seat, and how high they come before they go down again or soon after they are upright
        sits = begin + int(np.flatnonzero(on_seat)[-1])
        up = slice(end, max(end + 1, min(after, int(np.searchsorted(time, time[end + upright[0]] + _TOP_S)))))
        seat, top = float(np.median(high[begin : sits + 1])), float(high[up].max())
        low, full = (seat + share * (top - seat) for share in _ENDS)
        start = begin + int(np.flatnonzero(np.append(True, high[begin:end] <= low))[-1]) - 1
        stand = up.start + int(np.argmax(high[up] >= full))
        out.append(Rise(float(time[max(begin, start)]), float(time[stand])))
    return out
