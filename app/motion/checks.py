"""What no body does: checks of placed motion, each with its threshold and the reason for it, as sentences with times.

A new check is an entry of `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.footing import ANKLE_HEIGHT_M
from sasmamba.app.motion.smoothing import zero_phase
from sasmamba.common.runs import runs
from sasmamba.models.skeletons import H36M

#: Spans of a check that are closer than this are told as one; so many are told at most.
_NEAR_S, _MOST_SPANS = 0.5, 3


@dataclass(frozen=True, slots=True)
class Placed:
    """One person's placed motion.

    Attributes:
        track_id: who.
        time: (F,) seconds.
        world: (F, 17, 3) metres, floor at z = 0.
        planted: (F, 2) bool, left and right foot.
        floor_m: (F,) height of what they stand on, or stood on last or will stand on next, see `footing.floor_below`.
    """

    track_id: int
    time: NDArray
    world: NDArray
    planted: NDArray
    floor_m: NDArray

    @property
    def soles_m(self) -> NDArray:
        """(F,) height of the lower sole above the floor at z = 0."""
        return np.asarray(self.world[:, [H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE], 2].min(1) - ANKLE_HEIGHT_M)


@dataclass(frozen=True, slots=True)
class Check:
    """Something that bodies do not do.

    Attributes:
        name: of the check.
        found: which frames (F,) of somebody show it.
        at_least_s: shorter spans are let pass.
        sentence: what it is, with its threshold.
        reason: why that threshold, and what may be the matter.
    """

    name: str
    found: Callable[[Placed], NDArray]
    at_least_s: float
    sentence: str
    reason: str


@dataclass(frozen=True, slots=True)
class Implausible:
    """A check that found something.

    Attributes:
        check: its name.
        track_id: of whom.
        spans_s: when, first and last time of each span.
        sentence: for people, with times and reason.
    """

    check: str
    track_id: int
    spans_s: tuple[tuple[float, float], ...]
    sentence: str


_FASTEST_M_S, _FASTEST_S = 11.0, 0.3
_FLOATING_M, _FLOATING_S = 0.15, 1.0
_SUNK_M, _SUNK_S = 0.15, 0.3


def _too_fast(who: Placed) -> NDArray:
    calm = zero_phase(who.time, who.world[:, H36M.PELVIS].astype(float), _FASTEST_S / 2, degree=1)
    return np.asarray(np.linalg.norm(np.gradient(calm, who.time, axis=0), axis=1) > _FASTEST_M_S)


def _floating(who: Placed) -> NDArray:
    return np.asarray(~who.planted.any(1) & (who.soles_m - who.floor_m > _FLOATING_M))


def _sunk(who: Placed) -> NDArray:
    return np.asarray(who.soles_m < -_SUNK_M)


CHECKS = (
    Check(
        "speed",
        _too_fast,
        _FASTEST_S,
        f"moves faster than {_FASTEST_M_S:g} m/s",
        "only the best sprinters do; does the camera move, or are two people taken for one?",
    ),
    Check(
        "floating",
        _floating,
        _FLOATING_S,
        f"is more than {100 * _FLOATING_M:.0f} cm above what they stood on for more than {_FLOATING_S:g} s",
        "no jump lasts so long; does the camera move, is the person carried, or of another size than assumed "
        "(--height-m)?",
    ),
    Check(
        "sunk",
        _sunk,
        _SUNK_S,
        f"is more than {100 * _SUNK_M:.0f} cm below the floor",
        "is the ground uneven, or the camera's pitch another than estimated (--pitch)?",
    ),
)


def implausible(people: list[Placed]) -> list[Implausible]:
    """What the checks find, person by person."""
    out = []
    for who in people:
        if len(who.time) < 2:
            continue
        for check in CHECKS:
            spans = _spans(who.time, check.found(who), check.at_least_s)
            if spans:
                told = ", ".join(f"{a:.1f}–{b:.1f} s" for a, b in spans[:_MOST_SPANS])
                more = f" and {len(spans) - _MOST_SPANS} times more" if len(spans) > _MOST_SPANS else ""
                sentence = f"Person {who.track_id} {check.sentence} ({told}{more}): {check.reason}"
                out.append(Implausible(check.name, who.track_id, spans, sentence))
    return out


def _spans(time: NDArray, flags: NDArray, at_least_s: float) -> tuple[tuple[float, float], ...]:
    """First and last times of runs of True (F,) that are long enough, near ones joined."""
    spans: list[tuple[float, float]] = []
    for begin, end in runs(flags):
        a, b = float(time[begin]), float(time[end - 1])
        if b - a >= at_least_s:
            if spans and a - spans[-1][1] < _NEAR_S:
                spans[-1] = spans[-1][0], b
            else:
                spans.append((a, b))
    return tuple(spans)
