"""How large people are whose size is not known: who stands on one floor with others is as far below the camera as they.

One camera shows sizes but for a factor: somebody twice as tall, twice as far away, looks the same. Their feet then are
twice as far below the camera, too. Of people on one floor who are all taken for adults, a child is put too far away
and too low; the factor that brings the child's feet up to the floor of the others is the child's size.

What is sought is the height of the camera above one floor, a factor for everybody, and how up is to be corrected,
within what is known of it. Who fits on that floor only with a size that hardly anybody has stands on something else,
and keeps the size that was assumed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.axes import level, pitch_and_roll, up_of
from sasmamba.app.motion.camera_rise import without_rise
from sasmamba.app.motion.footing import ANKLE_HEIGHT_M, Body, bears, stances_of, without_steps
from sasmamba.app.motion.gravity import STEEPEST_DEG, KnownCamera, standing_evidence, upright
from sasmamba.app.motion.line_vote import LineVote
from sasmamba.app.motion.walking import treads

#: Logarithm of the factor by which somebody is larger than the lifter makes them: standard deviation of adults, the
#: lifter's own error in it; the mean stature and the spread of children.
_ADULT_SD, _CHILD_M, _CHILD_SD = 0.065, 1.3, 0.18
#: How many are children, in most films and where there are children; and how likely each kind of film is.
_CHILDREN = ((0.05, 0.9), (0.4, 0.1))
#: The same of somebody whose stature the user told.
_TOLD_SD = 0.01
#: A standing foot's height above the floor: its own error, and as a share of how far it is below the camera.
_FOOT_SD_M, _FOOT_SD = 0.035, 0.03
#: How well it is known where somebody treads who walks and no foot of whom is seen to rest.
_STEP_SD_M = 0.06
#: All feet of one person may be so much too high or too low; near the camera's own height that is much of a size.
_OFFSET_M = 0.07
#: What somebody is seen to step up to is that much higher; so few stances tell no such thing.
_BOX_M, _WALK = 0.25, 2
#: More stances of one person than this tell no more: what is wrong with them is wrong with all.
_MOST_STANCES = 12.0
#: Who stands on something else: how many, above and below the floor, and by so much, a Cauchy distribution.
_ABOVE, _BELOW, _ELSEWHERE_M = 0.1, 0.01, 1.0
#: Heights of cameras above the floor, before anything is seen: the median, and the logarithm's standard deviation.
_CAMERA_M, _CAMERA_SD = 1.6, 1.0
#: Errors of one person's feet go together: up is off by so many times what independent ones would make
#: (benchmarks/one_floor.py, the scenes to tune on).
_TOGETHER = 2.1
#: Heights that are tried are so far apart, as a factor: at first, and then within so much of the best.
_APART, _NEAR, _NEARER = 1.08, 1.12, 1.02


@dataclass(frozen=True, slots=True)
class _Stances:
    """Standing feet of all people, as seen at the sizes that were assumed, in level axes.

    Attributes:
        low: (K,) metres of the soles below the camera.
        sd: (K,) of these.
        slope: (K, 2) by how much `low` grows with pitch and roll.
        owner: (K,) whose, 0 to N - 1.
        share: (K,) how much each counts, by how many its owner has.
        usual_low, usual_slope: (N,) and (N, 2) medians of each one's; 0 of who has none.
    """

    low: NDArray
    sd: NDArray
    slope: NDArray
    owner: NDArray
    share: NDArray
    usual_low: NDArray
    usual_slope: NDArray

    def summed(self, values: NDArray) -> NDArray:
        """(N, ...) sums of values (K, ...) of each one's stances."""
        out = np.zeros((len(self.usual_low), *values.shape[1:]))
        np.add.at(out, self.owner, values)
        return out


@dataclass(frozen=True, slots=True)
class _Prior:
    """Logarithms of factors (people,) before anything is seen: means and standard deviations of grown-ups and children,
    and the shares of both."""

    mean: NDArray
    sd: NDArray
    share: NDArray

    def parts(self, log_size: NDArray) -> NDArray:
        """(2, people) densities."""
        return self.share / (math.sqrt(2 * math.pi) * self.sd) * np.exp(-0.5 * ((log_size - self.mean) / self.sd) ** 2)


@dataclass(frozen=True, slots=True)
class _TriedHeight:
    """One height of the camera tried: how well it explains what is seen (a logarithm), the sizes that follow, who
    stands on that floor, and the correction of pitch and roll with the information on it."""

    height: float
    worth: float
    log_size: NDArray
    on_floor: NDArray
    tilt: NDArray
    information: NDArray


@dataclass(frozen=True, slots=True)
class OneFloor:
    """The floor that several people stand on.

    Attributes:
        sizes: (N,) by what factor each body is larger than it was taken for; 1 of who stands on something else, and
            where nothing tells.
        height_m: of the camera above it.
        angles: (2,) the camera's pitch and roll, radians.
        covariance: (2, 2) of these.
    """

    sizes: NDArray
    height_m: float
    angles: NDArray
    covariance: NDArray


def find_one_floor(
    bodies: Sequence[Body],
    planted: Sequence[NDArray],
    stature: Sequence[float],
    told: Sequence[bool],
    known: KnownCamera | None = None,
    lines: LineVote | None = None,
    carried_s: NDArray | None = None,
) -> OneFloor | None:
    """The floor, and how large people on it are; None where there are not two who stand on one.

    A single person's feet say nothing of their size.

    Args:
        bodies: in the axes of a camera, its centre the origin, at the sizes that were assumed. Feet that were not
            found in the picture have no say.
        planted: (F, 2) bool each: feet that rest.
        stature: metres each, as assumed.
        told: whether the user said so.
        known: what the user knows of the camera.
        lines: what the edges of the scene tell of up.
        carried_s: (N,) seconds of the frames of the shot, of a camera that is carried about: how it rises is taken out
            first, and up is then told without sizes.
    """
    if len(bodies) < 2:
        return None
    if carried_s is not None:
        up = upright(bodies, planted, known, lines=lines, carried=True).up
        bodies = without_rise(bodies, planted, carried_s, level(up))
        known = KnownCamera(*np.degrees(pitch_and_roll(up)).clip(-STEEPEST_DEG, STEEPEST_DEG).tolist())
    told_up, covariance = standing_evidence(bodies, known, lines)
    priors = [(_prior(np.array(stature), np.array(told), share), film) for share, film in _CHILDREN]
    precision, angles = np.linalg.inv(covariance), told_up
    heights = list[float]()
    for _ in range(2):  # heights change with up as along a straight line nearly, not quite
        stances = _stances(bodies, planted, level(up_of(*angles)))
        if len(np.unique(stances.owner)) < 2 or not (stances.low > 0).any():
            return None
        tried = [
            _tried(stances, prior, height, precision, angles - told_up, math.log(film))
            for prior, film in priors
            for height in heights or _heights(stances)
        ]
        best = max(tried, key=lambda one: one.worth)
        angles = angles + best.tilt
        heights = _spread(best.height / _NEAR, best.height * _NEAR, _NEARER)
    if best.on_floor.sum() < 2:
        return None
    sizes = np.where(best.on_floor, np.exp(best.log_size), 1)
    return OneFloor(sizes, best.height, angles, _TOGETHER**2 * np.linalg.inv(best.information))


def _prior(stature: NDArray, told: NDArray, children: float) -> _Prior:
    mean = np.stack([0 * stature, np.where(told, 0, np.log(_CHILD_M / stature))])
    sd = np.where(told, _TOLD_SD, np.array([[_ADULT_SD], [_CHILD_SD]]))
    share = np.where(told, [[1.0], [0.0]], [[1 - children], [children]])
    return _Prior(mean, sd, share)


def _stances(bodies: Sequence[Body], planted: Sequence[NDArray], R: NDArray) -> _Stances:
    feet, whose, sds = [], [], []
    for n, (body, rest) in enumerate(zip(bodies, planted, strict=True)):
        raised, found = body.turned(R, np.zeros(3)), body.shows_feet
        standing = [stance for stance in stances_of(rest & found) if bears(raised, stance[0], slice(*stance[1:]))]
        own = [raised.ankles[begin:end, foot].mean(0) for foot, begin, end in standing]
        own = [own[k] for k in _lowest([(begin, at[2]) for (_, begin, _), at in zip(standing, own, strict=True)])]
        steps = [at for _, at in treads(raised, np.asarray(found.all(1) & ~rest.any(1)))]
        feet += own + steps
        whose += [n] * len(own + steps)
        sds += [_FOOT_SD_M] * len(own) + [_STEP_SD_M] * len(steps)
    at, owner, sd = np.array(feet).reshape(-1, 3), np.array(whose, int), np.array(sds)
    low, slope = ANKLE_HEIGHT_M - at[:, 2], np.stack([at[:, 1], -at[:, 0]], 1)
    usual_low, usual_slope = np.zeros(len(bodies)), np.zeros((len(bodies), 2))
    for n in np.unique(owner):
        usual_low[n], usual_slope[n] = np.median(low[owner == n]), np.median(slope[owner == n], 0)
    share = np.minimum(1, _MOST_STANCES / np.bincount(owner, minlength=len(bodies)).clip(1))[owner]
    return _Stances(low, np.hypot(sd, _FOOT_SD * low), slope, owner, share, usual_low, usual_slope)


def _lowest(stances: list[tuple[int, float]]) -> list[int]:
    """Of stances, each its first frame and height, those on the lowest of what somebody is seen to step up to or down
    from: a box in the clip is no larger body."""
    walks = [walk for walk in without_steps(stances) if len(walk) >= _WALK]
    if not walks:
        return list(range(len(stances)))
    usual = [float(np.median([stances[k][1] for k in walk])) for walk in walks]
    return [k for walk, z in zip(walks, usual, strict=True) if z < min(usual) + _BOX_M for k in walk]


def _heights(stances: _Stances) -> list[float]:
    """Heights of the camera to try: all at which somebody stands, and between."""
    below = stances.low[stances.low > 0]
    least, most = max(0.1, 0.5 * float(below.min())), max(0.2, 1.5 * float(below.max()))
    return _spread(least, most, _APART)


def _spread(least: float, most: float, apart: float) -> list[float]:
    return np.geomspace(least, most, 2 + math.ceil(math.log(most / least) / math.log(apart))).tolist()


def _tried(
    s: _Stances, prior: _Prior, height: float, precision: NDArray, strayed: NDArray, worth: float
) -> _TriedHeight:
    """The likeliest sizes and correction of up if the camera is so high: Gauss-Newton, feet on other things counting
    little.

    Args:
        precision: (2, 2) of pitch and roll before the floor is looked at.
        strayed: (2,) by how much they were corrected already.
        worth: of the prior, a logarithm.
    """
    tilt, on_floor = np.zeros(2), np.ones(len(s.usual_low))
    log_size = np.where(s.usual_low > 0, np.log(height / np.maximum(s.usual_low, 1e-3)), 0).clip(-0.8, 0.3)
    for _ in range(10):
        looks = height * np.exp(-log_size)
        error = s.low + s.slope @ tilt - looks[s.owner]
        weight = s.share / s.sd**2 / (1 + (error / (2 * s.sd)) ** 2)
        parts = prior.parts(log_size)
        parts = parts / np.maximum(parts.sum(0), 1e-300)
        diagonal = s.summed(weight) * looks**2 + (parts / prior.sd**2).sum(0)
        right = (parts * (prior.mean - log_size) / prior.sd**2).sum(0) - s.summed(weight * error) * looks
        # who stands elsewhere does not tilt the world
        heard = weight * on_floor[s.owner]
        cross = s.summed(weight[:, None] * s.slope) * looks[:, None]
        eliminated = (cross * on_floor[:, None] / diagonal[:, None]).T
        H = (s.slope.T * heard) @ s.slope + precision
        step = np.linalg.solve(
            H - eliminated @ cross, -s.slope.T @ (heard * error) - precision @ (tilt + strayed) - eliminated @ right
        )
        tilt = tilt + step
        log_size = log_size + ((right - cross @ step) / diagonal).clip(-0.2, 0.2)
        here, elsewhere = _likely(s, prior, height, log_size, tilt, diagonal)
        on_floor = here / (here + elsewhere)
    off, information = tilt + strayed, H - eliminated @ cross
    parts = prior.parts(log_size)
    mean, sd = ((parts * of).sum(0) / np.maximum(parts.sum(0), 1e-300) for of in (prior.mean, prior.sd))
    log_size = mean + (log_size - mean) / (1 + (_OFFSET_M / np.maximum(looks * sd, 1e-9)) ** 2)
    worth += float(np.log(here + elsewhere).sum()) - 0.5 * float(off @ precision @ off)
    worth -= 0.5 * (math.log(height / _CAMERA_M) / _CAMERA_SD) ** 2
    return _TriedHeight(height, worth, log_size, (s.summed(s.share) > 0) & (on_floor > 0.5), tilt, information)


def _likely(
    s: _Stances, prior: _Prior, height: float, log_size: NDArray, tilt: NDArray, diagonal: NDArray
) -> tuple[NDArray, NDArray]:
    """(N,) twice: how likely each one's stances are on the floor at some size, and elsewhere at the size assumed, each
    the integral over the one unknown by Laplace's method."""
    low, at = s.low + s.slope @ tilt, s.usual_low + s.usual_slope @ tilt

    def likelihood(looks: NDArray) -> NDArray:
        return np.exp(-s.summed(s.share * 2 * np.log1p(((low - looks[s.owner]) / (2 * s.sd)) ** 2)))

    above, information = height - at, s.summed(s.share / s.sd**2)
    density = np.where(above > 0, _ABOVE, _BELOW) * 2 / (math.pi * _ELSEWHERE_M * (1 + (above / _ELSEWHERE_M) ** 2))
    here = prior.parts(log_size).sum(0) / np.sqrt(diagonal) * likelihood(height * np.exp(-log_size))
    there = density / np.sqrt(np.maximum(information, 1e-9)) * likelihood(at)
    return np.maximum(here, 1e-250), np.where(information > 0, there, 0)
