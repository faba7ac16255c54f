"""Gait: cadence, times and lengths of steps and strides, speed, double support, and how alike left and right are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from sasmamba.app.motion.measure import WIDE, Measure, Side
from sasmamba.app.motion.performance import Performance, View
from sasmamba.app.motion.steps import LEAST_STEPS, Step

#: Standard deviations on lifted motion, of other clips than are reported (benchmarks/measures.py): of when feet pass
#: each other, against when they come down; of when a foot comes down, or leaves; of a step's length seen from the side,
#: and what is added to it along the line of sight; of what all lengths, all double supports of a clip have in common.
_PASS_S, _CONTACT_S, _SUPPORT_S = 0.07, 0.055, 0.07
_LENGTH_M, _ALONG_M = 0.045, 0.04
_LENGTH_SHARE, _SUPPORT_SHARE_S = 0.03, 0.035
#: Lengths that are not between places where feet stand are worse by this factor.
_NOT_STOOD = 2.0
#: A side's mean is of so many steps at least.
_LEAST_OF_SIDE = 2
#: What a side's lengths have in common, standard deviation: a detector sets the one ankle a little ahead of where it is
#: and the other behind, all the time, which makes one side's steps longer and the other's shorter by the same. The mean
#: of both sides has none of that error.
_OF_SIDE_M = 0.025


@dataclass(frozen=True, slots=True)
class _Walked:
    """Steps of all walks, and what the view leaves open."""

    steps: Sequence[Step]
    view: View

    def pairs(self) -> Iterator[tuple[Step, Step]]:
        """Steps that follow each other in a walk."""
        return ((a, b) for a, b in pairwise(self.steps) if a.walk == b.walk)


@dataclass(frozen=True, slots=True)
class _Mean:
    """A mean, its standard deviation, and of how many."""

    value: float
    sd: float
    count: int


def gait(who: Performance, steps: Sequence[Step]) -> list[Measure]:
    """Measures of walking and running, of all walks of a person together, by their steps, see `steps_of`."""
    why_not = who.why_no_legs or ("" if steps else f"no walk was seen: {LEAST_STEPS} long steps in a row are needed")
    span = (steps[0].begin_s, steps[-1].end_s) if steps else (float(who.time[0]), float(who.time[-1]))
    walked = _Walked(steps, who.view)
    out = []
    for name, label, side, unit, found in _ROWS:
        mean = found(walked) if not why_not or (name == "steps" and not who.why_no_legs) else why_not
        value, half, count, told = None, None, 0, "too few whole strides were seen"
        if isinstance(mean, _Mean):
            value, half, count, told = mean.value, WIDE * float(mean.sd) or None, mean.count, ""
        elif mean:
            told = mean
        out.append(Measure(who.person, "gait", name, label, side, value, unit, half, *span, count, told))
    return out


def _of_side(walked: _Walked, foot: int | None) -> list[Step]:
    return [step for step in walked.steps if foot in (None, step.foot)]


def _steps(walked: _Walked, foot: int | None) -> _Mean:
    """How many; the first and the last of each walk may be missed."""
    count = len(_of_side(walked, foot))
    walks = len({step.walk for step in walked.steps})
    return _Mean(count, walks / WIDE * (1 if foot is not None else 2), count)


def _cadence(walked: _Walked) -> _Mean:
    """Steps a minute, by when feet pass each other: that is seen better than when they come down."""
    took = sum(step.end_s - step.begin_s for step in walked.steps)
    # of each walk two ends are unsure
    walks = len({step.walk for step in walked.steps})
    value = 60 * len(walked.steps) / took
    return _Mean(value, value * _PASS_S * np.sqrt(2 * walks) / took, len(walked.steps))


def _stride_time(walked: _Walked) -> _Mean:
    cadence = _cadence(walked)
    return _Mean(120 / cadence.value, 120 / cadence.value * cadence.sd / cadence.value, cadence.count // 2)


def _step_time(walked: _Walked, foot: int) -> _Mean | None:
    """From when the other foot comes down until this one does."""
    times = [b.contact_s - a.contact_s for a, b in walked.pairs() if b.foot == foot]
    return _mean([t for t in times if np.isfinite(t)], np.sqrt(2) * _CONTACT_S)


def _mean(values: Sequence[float], sd: float) -> _Mean | None:
    """Of values that have independent errors."""
    n = len(values)
    return _Mean(float(np.mean(values)), sd / np.sqrt(n), n) if n >= _LEAST_OF_SIDE else None


def _step_length(walked: _Walked) -> _Mean | None:
    """Of both sides, with errors of each step, but without what all have in common."""
    steps = walked.steps
    if len(steps) < _LEAST_OF_SIDE:
        return None
    sds = [(_LENGTH_M + _ALONG_M * s.along) * (1 if s.stood else _NOT_STOOD) for s in steps]
    sd = float(np.sqrt(np.square(sds).sum())) / len(steps)
    return _Mean(float(np.mean([s.length_m for s in steps])), sd, len(steps))


def _side_length(walked: _Walked, foot: int) -> _Mean | str | None:
    """Of one side, without what both have in common; or why it is not known."""
    steps = _of_side(walked, foot)
    if len(steps) < _LEAST_OF_SIDE:
        return None
    lengths = np.array([s.length_m for s in steps])
    value = float(lengths.mean())
    sd = float(np.hypot(_OF_SIDE_M, lengths.std() / np.sqrt(len(steps))))
    sd *= 1 if all(s.stood for s in steps) else _NOT_STOOD
    if WIDE * sd >= value:
        return "steps of one side are known within as much as they are long; see both"
    return _Mean(value, sd, len(steps))


def _scaled(mean: _Mean | None, view: View, strides: int = 1) -> _Mean | None:
    """A length with what all lengths of a person have in common, so many times as long."""
    if mean is None:
        return None
    sd = float(np.hypot(mean.sd, mean.value * np.hypot(view.size_sd, _LENGTH_SHARE)))
    return _Mean(strides * mean.value, strides * sd, mean.count)


def _length_of(walked: _Walked, foot: int) -> _Mean | str | None:
    mean = _side_length(walked, foot)
    if not isinstance(mean, _Mean):
        return mean
    return _Mean(mean.value, float(np.hypot(mean.sd, mean.value * walked.view.size_sd)), mean.count)


def _length(walked: _Walked, strides: int) -> _Mean | None:
    return _scaled(_step_length(walked), walked.view, strides)


def _speed(walked: _Walked) -> _Mean | None:
    length, cadence = _length(walked, 1), _cadence(walked)
    if length is None:
        return None
    speed = length.value * cadence.value / 60
    return _Mean(speed, speed * float(np.hypot(length.sd / length.value, cadence.sd / cadence.value)), length.count)


def _support(walked: _Walked) -> _Mean | None:
    """Both feet on the floor, per cent of a stride; 0 for somebody who runs."""
    both = _mean([t for s in walked.steps if np.isfinite(t := s.other_off_s - s.contact_s)], _SUPPORT_S)
    if both is None:
        return None
    stride = _stride_time(walked).value
    sd = 2 * float(np.hypot(both.sd, _SUPPORT_SHARE_S)) / stride
    return _Mean(100 * max(0.0, 2 * both.value / stride), 100 * sd, both.count)


def _symmetry(measure: Callable[[_Walked, int], _Mean | str | None], walked: _Walked) -> _Mean | str | None:
    """By how many per cent of their mean the left one is more than the right one (Robinson, Herzog, Nigg, J.
    Manipulative Physiol. Ther. 10, 1987)."""
    left, right = measure(walked, 0), measure(walked, 1)
    if not isinstance(left, _Mean) or not isinstance(right, _Mean):
        return left if isinstance(left, str) else right if isinstance(right, str) else None
    middle = (left.value + right.value) / 2
    return _Mean(
        100 * (left.value - right.value) / middle,
        100 * float(np.hypot(left.sd, right.sd)) / middle,
        left.count + right.count,
    )


_ROWS: tuple[tuple[str, str, Side, str, Callable[[_Walked], _Mean | str | None]], ...] = (
    ("steps", "Steps", "left", "", partial(_steps, foot=0)),
    ("steps", "Steps", "right", "", partial(_steps, foot=1)),
    ("steps", "Steps", "both", "", partial(_steps, foot=None)),
    ("cadence", "Cadence", "both", "steps/min", _cadence),
    ("step_time", "Step time", "left", "s", partial(_step_time, foot=0)),
    ("step_time", "Step time", "right", "s", partial(_step_time, foot=1)),
    ("stride_time", "Stride time", "both", "s", _stride_time),
    ("step_length", "Step length", "left", "m", partial(_length_of, foot=0)),
    ("step_length", "Step length", "right", "m", partial(_length_of, foot=1)),
    ("step_length", "Step length", "both", "m", partial(_length, strides=1)),
    ("stride_length", "Stride length", "both", "m", partial(_length, strides=2)),
    ("walking_speed", "Walking speed", "both", "m/s", _speed),
    ("double_support", "Double support, of a stride", "both", "%", _support),
    ("step_time_symmetry", "Step time, left over right", "both", "%", partial(_symmetry, _step_time)),
    ("step_length_symmetry", "Step length, left over right", "both", "%", partial(_symmetry, _side_length)),
)
