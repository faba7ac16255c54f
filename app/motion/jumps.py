"""Jumps: how long both feet are off the floor, and how high that takes the body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.footing import ANKLES, G_M_S2
from sasmamba.app.motion.measure import WIDE, Measure
from sasmamba.app.motion.performance import Performance
from sasmamba.app.motion.smoothing import zero_phase
from sasmamba.app.motion.steps import Step
from sasmamba.common.runs import runs

#: When toes leave the floor and when they come back the ankle is so far above where it stands: the heel has risen.
#: Measured on jumps of five people who wore markers, see benchmarks/measures.py.
_HEEL_UP_M = 0.09
#: Heights are smoothed by so much before that is looked for.
_CALM_S = 0.02
#: Where a foot stands is told by the ankle's lowest tenth in so long before and after.
_GROUND_S = 0.6
#: A jump lasts so long: shorter ones are steps of running, longer ones nobody does. The body falls as bodies do, within
#: these shares of g: what does not was lifted or placed wrongly, or the film's time is not the clock's.
_FLIGHT_S, _FALL = (0.2, 1.1), (0.5, 1.5)
#: Who comes down so much lower or higher than they took off has not jumped as high as the time says.
_SAME_M = 0.12
#: Standard deviation of a flight's time, beside that of a frame at either end (benchmarks/measures.py).
_TIME_S = 0.04


@dataclass(frozen=True, slots=True)
class Flight:
    """When both feet leave the floor and when the first comes back, and how much lower that is."""

    off_s: float
    down_s: float
    drop_m: float


def jumps(who: Performance, steps: Sequence[Step]) -> list[Measure]:
    """How many jumps there are that are no steps of a run, and of each flight time and height."""
    span = float(who.time[0]), float(who.time[-1])
    if why_not := who.why_no_legs or who.view.why_not:
        named = (("jumps", "Jumps", ""), ("flight_time", "Flight time", "s"), ("jump_height", "Jump height", "m"))
        return [
            Measure(who.person, "jump", name, label, "both", None, unit, None, *span, 0, why_not)
            for name, label, unit in named
        ]
    flights = flights_of(who, steps)
    out = [Measure(who.person, "jump", "jumps", "Jumps", "both", float(len(flights)), "", None, *span, len(flights))]
    frame_s = float(np.median(np.diff(who.time))) if len(who.time) > 1 else 0.0
    # an even spread over a frame has its twelfth part squared, at either end
    sd = float(np.hypot(_TIME_S, frame_s * np.sqrt(2 / 12)))
    for flight in flights:
        out += _rows(who.person, flight, sd)
    return out


def _rows(person: int, flight: Flight, sd: float) -> list[Measure]:
    took, span = flight.down_s - flight.off_s, (flight.off_s, flight.down_s)
    time = Measure(person, "jump", "flight_time", "Flight time", "both", took, "s", WIDE * sd, *span, 1)
    height, half, why_not = G_M_S2 * took**2 / 8, WIDE * sd * G_M_S2 * took / 4, ""
    if abs(flight.drop_m) > _SAME_M:
        way = "lower" if flight.drop_m > 0 else "higher"
        why_not = f"the feet come down {100 * abs(flight.drop_m):.0f} cm {way} than they left"
    return [
        time,
        Measure(
            person,
            "jump",
            "jump_height",
            "Jump height",
            "both",
            None if why_not else height,
            "m",
            None if why_not else half,
            *span,
            1,
            why_not,
        ),
    ]


def flights_of(who: Performance, steps: Sequence[Step]) -> list[Flight]:
    """Jumps of somebody whose legs are known, those between steps of a run left out, in order of time."""
    out = []
    for part in who.stretches:
        out += _flights_in(who.time[part], who.joints[part], _HEEL_UP_M + who.view.early_m)
    return [f for f in out if not any(s.begin_s < f.off_s and f.down_s < s.end_s for s in steps)]


def _flights_in(time: NDArray, joints: NDArray, up_m: float) -> list[Flight]:
    """Jumps of bodies (F, 17, 3) in one stretch; ankles off the floor are so much higher than when they stand."""
    low = zero_phase(time, joints[:, ANKLES, 2].min(1), _CALM_S)
    near = np.searchsorted(time, time - _GROUND_S), np.searchsorted(time, time + _GROUND_S, side="right")
    floor = np.array([low[a:b].min() for a, b in zip(*near, strict=True)])
    out = []
    for begin, end in runs(low > floor + up_m / 2):
        if begin == 0 or end == len(time):
            continue
        top = begin + int(low[begin:end].argmax())
        before, after = (low[(time >= a) & (time <= b)] for a, b in _beside(time, top, begin, end))
        ground = float(np.quantile(before, 0.1)), float(np.quantile(after, 0.1))
        off, down = (_passes(time, low, top, way, z + up_m) for way, z in zip((-1, 1), ground, strict=True))
        if off is None or down is None or not _FLIGHT_S[0] <= down - off <= _FLIGHT_S[1]:
            continue
        inside = (time >= off) & (time <= down)
        if inside.sum() >= 4:
            fall = -2 * np.polyfit(time[inside] - off, joints[inside, 0, 2], 2)[0] / G_M_S2
            if _FALL[0] <= fall <= _FALL[1]:
                out.append(Flight(off, down, ground[0] - ground[1]))
    return out


def _beside(time: NDArray, top: int, begin: int, end: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """The times before and after a rise, frames begin to end (exclusive), in which feet stand."""
    return (float(time[begin]) - _GROUND_S, float(time[top])), (float(time[top]), float(time[end - 1]) + _GROUND_S)


def _passes(time: NDArray, low: NDArray, top: int, way: int, level: float) -> float | None:
    """When the lower ankle (F,) passes a level nearest to the top of a flight, before it (way -1) or after (way 1)."""
    at = top
    while 0 < at < len(low) - 1 and low[at] > level:
        at += way
    if low[at] > level or at == top:
        return None
    share = (level - low[at]) / (low[at - way] - low[at])
    return float(time[at] + share * (time[at - way] - time[at]))
