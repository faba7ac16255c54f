"""What no body does: checks of placed motion, each with its threshold and the reason for it.

A new check of a body is an entry of `CHECKS`; those that need more than the motion stand in `self_checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.checks import CheckFinding, Rule
from sasmamba.app.motion.foot_passing import passing
from sasmamba.app.motion.footing import G_M_S2, underside_of
from sasmamba.app.motion.smoothing import zero_phase
from sasmamba.common.runs import runs
from sasmamba.models.skeletons import H36M


@dataclass(frozen=True)
class Placed:
    """One person's placed motion.

    Attributes:
        track_id: who.
        time: (F,) seconds.
        world: (F, 17, 3) metres, floor at z = 0.
        planted: (F, 2) bool, left and right foot.
        floor_m: (F,) height of what they stand on, or stood on last or will stand on next, see `footing.floor_below`.
        legs: they were seen; else nothing that legs tell is checked, and nobody knows what the person stands on.
    """

    track_id: int
    time: NDArray
    world: NDArray
    planted: NDArray
    floor_m: NDArray
    legs: bool = True

    @property
    def lowest_m(self) -> NDArray:
        """(F,) height above the floor at z = 0 of the lower sole, or of what else is clearly lower."""
        return underside_of(self.world[..., 2])

    @cached_property
    def flights(self) -> NDArray:
        """(F,) by how many times flights are slower than they are, see `flights`."""
        return flights(self)

    @cached_property
    def swings(self) -> tuple[NDArray, NDArray]:
        """Seconds that legs swing and that steps take, (F,) each, see `swings`."""
        return swings(self)


@dataclass(frozen=True, slots=True)
class Check:
    """A rule, and how somebody's placed motion is measured by it: (F,), NaN where there is nothing to measure; and
    whether that needs legs."""

    rule: Rule
    measure: Callable[[Placed], NDArray]
    of_legs: bool = True


#: Motion within so long (Gaussian) is jitter where paths are asked for their speed and acceleration.
_PATH_S, _PATH_TURN_S, _LIMB_S = 0.15, 0.1, 0.05
#: Least and most of segments' ratios among 6,093 people, men, women and children, whose segments were measured (ANSUR
#: II and others), as joint centres have them. The margin is what a lifter's bones are off.
_HUMAN = {
    "shank to thigh": (0.793, 1.216),
    "forearm to upper arm": (0.732, 1.074),
    "leg to trunk": (1.331, 2.404),
    "arm to leg": (0.520, 0.684),
}
_RATIO_MARGIN = 0.1
#: A step counts from so long on, as a share of the leg; so many in a row tell a pace.
_STEP, _STEPS = 0.35, 4
#: Who walks swings a leg for a smaller part of a step than this: both feet are on the floor in between.
_WALKS = 0.95
#: Somebody is in the air whose soles are so far above what they stood on. A flight is told by an arc so long and high,
#: above either end, that is a parabola within this share of its height (root mean square).
_OFF_M, _ARC_S, _ARC_M, _PARABOLA = 0.05, 0.6, 0.08, 0.05
_LIMBS = [H36M.LEFT_WRIST, H36M.RIGHT_WRIST, H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE]


def _speed(who: Placed) -> NDArray:
    calm = zero_phase(who.time, who.world[:, H36M.PELVIS].astype(float), _PATH_S, degree=1)
    return np.asarray(np.linalg.norm(np.gradient(calm, who.time, axis=0), axis=1))


def _limb_speed(who: Placed) -> NDArray:
    limbs = (who.world[:, _LIMBS] - who.world[:, :1]).astype(float)
    calm = zero_phase(who.time, limbs, _LIMB_S)
    return np.asarray(np.linalg.norm(np.gradient(calm, who.time, axis=0), axis=-1).max(1))


def _acceleration(who: Placed) -> NDArray:
    calm = zero_phase(who.time, who.world[:, H36M.PELVIS, :2].astype(float), _PATH_TURN_S)
    twice = np.gradient(np.gradient(calm, who.time, axis=0), who.time, axis=0)
    return np.asarray(np.linalg.norm(twice, axis=1))


def _floating(who: Placed) -> NDArray:
    """(F,) centimetres; a flight that only lasts too long is none, the film is in slow motion."""
    return np.where(who.planted.any(1) | np.isfinite(who.flights), np.nan, 100 * (who.lowest_m - who.floor_m))


def flights(who: Placed) -> NDArray:
    """(F,) by how many times slower than bodies fall somebody does who is in the air: the square root of g over the
    acceleration of the parabola that the pelvis goes; NaN elsewhere, and where it goes none."""
    out = np.full(len(who.time), np.nan)
    for begin, end in runs(~who.planted.any(1) & (who.lowest_m - who.floor_m > _OFF_M)):
        time, height = who.time[begin:end], who.world[begin:end, H36M.PELVIS, 2].astype(float)
        if time[-1] - time[0] < _ARC_S or height.max() - max(height[0], height[-1]) < _ARC_M:
            continue
        parabola = np.polyfit(time - time[0], height, 2)
        off = float(np.std(height - np.polyval(parabola, time - time[0])))
        if parabola[0] < 0 and off < _PARABOLA * np.ptp(height):
            out[begin:end] = np.round(np.sqrt(G_M_S2 / (-2 * parabola[0])), 1)
    return out


def _slow_flight(who: Placed) -> NDArray:
    return who.flights


def _sunk(who: Placed) -> NDArray:
    return -100 * who.lowest_m


def _upside_down(who: Placed) -> NDArray:
    return 100 * (who.world[:, [H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE], 2].min(1) - who.world[:, H36M.HEAD_TOP, 2])


def _bones(who: Placed) -> NDArray:
    """By how many per cent the worst ratio of segments leaves the human range; the same in every frame."""

    def length(*joints: H36M) -> float:
        parts = [np.linalg.norm(who.world[:, b] - who.world[:, a], axis=-1) for a, b in pairwise(joints)]
        return float(np.median(np.sum(parts, 0)))

    def both(*names: str) -> float:
        return sum(length(*(H36M[f"{side}_{name}"] for name in names)) for side in ("LEFT", "RIGHT")) / 2

    thigh, shank, upper, fore = (
        both("HIP", "KNEE"),
        both("KNEE", "ANKLE"),
        both("SHOULDER", "ELBOW"),
        both("ELBOW", "WRIST"),
    )
    trunk = length(H36M.PELVIS, H36M.SPINE, H36M.THORAX)
    pairs = (shank, thigh), (fore, upper), (thigh + shank, trunk), (upper + fore, thigh + shank)
    beyond = [
        max(low / max(ratio, 1e-6), ratio / high) - 1
        for (low, high), ratio in zip(_HUMAN.values(), (a / max(b, 1e-6) for a, b in pairs), strict=True)
    ]
    return np.full(len(who.time), 100 * max(beyond))


def swings(who: Placed) -> tuple[NDArray, NDArray]:
    """Seconds that legs swing and that steps take, (F,) each: medians of `_STEPS` in a row, in their frames; NaN where
    nobody goes so.

    A swing goes from where a foot is farthest behind, while the other is ahead, to where it is farthest ahead itself.
    It counts where both steps are about as long as those of people who walk on: short ones may take any time.
    """
    long = _STEP * sum(
        float(np.median(np.linalg.norm(who.world[:, b] - who.world[:, a], axis=1)))
        for a, b in ((H36M.LEFT_HIP, H36M.LEFT_KNEE), (H36M.LEFT_KNEE, H36M.LEFT_ANKLE))
    )
    swung, took = np.full((2, len(who.time)), np.nan)
    steps = list[tuple[int, float, float]]()
    for last, one in pairwise(passing(who.time, who.world.astype(float)).advances):
        if min(last.apart_m, one.apart_m) < long:
            steps = []
            continue
        swing, whole = who.time[one.front] - who.time[last.back], who.time[one.end] - who.time[one.begin]
        steps.append((last.begin, float(swing), float(whole)))
        if len(steps) >= _STEPS:
            of = steps[-_STEPS:]
            swung[of[0][0] : one.end] = np.median([step[1] for step in of])
            took[of[0][0] : one.end] = np.median([step[2] for step in of])
    return swung, took


def _slow_swing(who: Placed) -> NDArray:
    return who.swings[0]


def _fast_walk(who: Placed) -> NDArray:
    swung, took = who.swings
    return np.where(swung < _WALKS * took, swung, np.nan)


def _fast_run(who: Placed) -> NDArray:
    swung, took = who.swings
    return np.where(swung < _WALKS * took, np.nan, swung)


CHECKS = (
    Check(
        Rule(
            "speed",
            11.0,
            0.3,
            "moves at {value} m/s (more than {threshold} m/s)",
            "only the best sprinters do; does the camera move, or are two people taken for one?",
        ),
        _speed,
        of_legs=False,
    ),
    Check(
        Rule(
            "limb_speed",
            25.0,
            0.0,
            "moves a hand or foot at {value} m/s past the body (more than {threshold} m/s)",
            "a pitcher's hand and a striker's foot do not; is the frame rate right, and are joints of one person's?",
        ),
        _limb_speed,
        of_legs=False,
    ),
    Check(
        Rule(
            "acceleration",
            20.0,
            0.05,
            "speeds up or turns over the floor by {value} m/s² (more than {threshold} m/s²)",
            "shoes hold about half as much; does the camera move, or are two people taken for one?",
        ),
        _acceleration,
        of_legs=False,
    ),
    Check(
        Rule(
            "floating",
            15.0,
            1.0,
            "is {value} cm above what they stood on for more than a second (more than {threshold} cm)",
            "no jump lasts so long; does the camera move, is the film in slow motion, is the person carried, or of "
            "another size than assumed (--height-m)?",
        ),
        _floating,
    ),
    Check(
        Rule(
            "slow_flight",
            1.5,
            _ARC_S,
            "flies as in slow motion, about {value} times slower than bodies fall (more than {threshold} times)",
            "the path is a jump's, but lasts too long; speeds and times are those of the film, not of the person",
        ),
        _slow_flight,
    ),
    Check(
        Rule(
            "sunk",
            15.0,
            0.3,
            "is {value} cm below the floor (more than {threshold} cm)",
            "is the ground uneven, or the camera's pitch another than estimated (--pitch)?",
        ),
        _sunk,
    ),
    Check(
        Rule(
            "upside_down",
            50.0,
            1.5,
            "has the head {value} cm below both feet for more than a second and a half (more than {threshold} cm)",
            "who stands on their hands seldom does for so long; is the video upside down?",
        ),
        _upside_down,
    ),
    Check(
        Rule(
            "bones",
            100 * _RATIO_MARGIN,
            0.0,
            "has limbs {value} % beyond the proportions of all people measured (more than {threshold} %)",
            "was enough of the body in the picture, and is the lens a plain one?",
        ),
        _bones,
    ),
    Check(
        Rule(
            "slow_motion",
            0.75,
            0.0,
            "swings a leg for {value} s at every long step (more than {threshold} s)",
            "legs swing in 0.4 to 0.6 s however slowly people walk; is the film in slow motion, or its rate wrong?",
        ),
        _slow_swing,
    ),
    Check(
        Rule(
            "fast_motion",
            0.32,
            0.0,
            "swings a leg in {value} s at every long step of a walk (less than {threshold} s)",
            "who is in a hurry takes 0.37 s, and then runs; is the film speeded up, or its rate wrong?",
            least=True,
        ),
        _fast_walk,
    ),
    Check(
        Rule(
            "fast_run",
            0.22,
            0.0,
            "swings a leg in {value} s at every step of a run (less than {threshold} s)",
            "sprinters take 0.26 s; is the film speeded up, or its rate wrong?",
            least=True,
        ),
        _fast_run,
    ),
)


def implausible(people: Sequence[Placed]) -> list[CheckFinding]:
    """What the checks of bodies find, person by person."""
    return [
        finding
        for who in people
        if len(who.time) >= 2
        for check in CHECKS
        if who.legs or not check.of_legs
        for finding in check.rule.findings(who.track_id, who.time, check.measure(who))
    ]
