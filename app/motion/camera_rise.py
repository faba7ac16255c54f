"""How a camera that is carried about rises and sinks: what the floor under everybody's standing feet does beneath it.

The background tells no camera's own steps. But whoever stands, stands on the floor: where feet that were seen to rest
are farther below the camera than before, it was lifted. Only feet at rest tell, so that jumps remain; and what all
have in common, so that a stage remains above the floor. Somebody who is alone and climbs stairs is taken for a camera
that sinks. Before a camera that goes along with somebody no foot rests: there steps tell it, see walking.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.footing import ANKLE_HEIGHT_M, ANKLES, BEARS_M, Body, without_tops
from sasmamba.app.motion.smoothing import compromise, zero_phase
from sasmamba.app.motion.walking import treads

#: Motion of the camera within so long (Gaussian) is left where it is: steps of whoever carries it.
_RISE_S = 0.3
#: A stance of seen feet counts for more than those that are farther off than so long. One of feet that were not seen,
#: of legs that are made up, counts by its share: only where no others are near.
_NEAR_S, _UNSEEN = 0.1, 0.1
#: A step of somebody of whom no foot rests counts as a stance of so long; and whoever then treads so near the floor
#: walks on it.
_STEP_S, _WALKS_M = 0.1, 0.5
#: A stance so much beside the others counts half.
_BESIDE_M = 0.15
#: A camera that rises by less all in all is left where it is: standing feet are not better known.
_LEAST_M = 0.05
#: How often the rise and who stands how high are settled in turn.
_ROUNDS = 20


def camera_rise(bodies: Sequence[Body], resting: Sequence[NDArray], heard: Sequence[int], time: NDArray) -> NDArray:
    """(N,) by how much higher than in the first frame of its shot the camera is in each: smooth, straight between
    stances, level before the first and after the last.

    Args:
        bodies: in level axes, z up, the camera's place the origin.
        resting: (F, 2) bool each, see `without_tops`.
        heard: those who have a say.
        time: (N,) seconds, of the frames of the shot.
    """
    if len(time) < 2:
        return np.zeros(len(time))
    told = list[tuple[NDArray, NDArray, NDArray]]()  # of each one's standing feet: frame, height, weight
    for n in heard:
        row, foot = np.nonzero(_bearing(bodies[n], resting[n]))
        if len(row):
            height = bodies[n].ankles[row, foot, 2] - ANKLE_HEIGHT_M
            weight = np.where(bodies[n].shows_feet[row, foot], 1, _UNSEEN)
        else:
            row, height = _steps(bodies[n])
            weight = np.full(len(row), _STEP_S / np.diff(time).mean())
        if len(row):
            told.append((np.searchsorted(time, bodies[n].time[row]), height, weight))
    if not told:
        return np.zeros(len(time))
    who = np.repeat(np.arange(len(told)), [len(frame) for frame, _, _ in told])
    frame, height, weight = (np.concatenate(column) for column in zip(*told, strict=True))
    floor = _shared(time, who, frame, height, weight)
    rise = zero_phase(time, -floor, _RISE_S, degree=1)
    return np.asarray(rise - rise[0]) if np.ptp(rise) > _LEAST_M else np.zeros(len(rise))


def _shared(time: NDArray, who: NDArray, frame: NDArray, height: NDArray, weight: NDArray) -> NDArray:
    """(N,) the floor beneath the camera at times (N,) and, in turn, how high above it each one stands: least squares on
    a Cauchy loss of heights (K,) of standing feet, whose frame, owner and weight are given."""
    N, level, trust = len(time), np.zeros(who[-1] + 1), weight
    for _ in range(_ROUNDS):
        worth = np.bincount(frame, trust, N)
        target = np.bincount(frame, trust * (height - level[who]), N) / np.maximum(worth, 1e-12)
        floor = compromise(worth * np.gradient(time), target, _NEAR_S**2 / np.diff(time), np.zeros(N - 1))
        off = height - floor[frame]
        level = np.bincount(who, trust * off) / np.bincount(who, trust)
        trust = weight / (1 + ((off - level[who]) / _BESIDE_M) ** 2)
    return floor


def seen_standing(
    bodies: Sequence[Body], resting: Sequence[NDArray], heard: Sequence[int]
) -> list[tuple[Body, NDArray]]:
    """Bodies and resting feet of those who are heard, in the frames in which their feet were seen: made-up legs say
    nothing of the floor; all frames where no seen foot bears anybody."""
    if not any((_bearing(bodies[n], resting[n]) & bodies[n].shows_feet).any() for n in heard):
        return [(bodies[n], resting[n]) for n in heard]
    out = []
    for n in heard:
        body = bodies[n]
        rows = body.shows_feet.any(1)
        out.append((Body(body.time[rows], body.joints[rows], body.pelvis[rows]), resting[n][rows]))
    return out


def rise_at(when: NDArray, time: NDArray, rise_m: NDArray) -> NDArray:
    """(F, 3) by how much a camera that rose by rise_m (N,) at times (N,) was higher at others (F,), to add to what it
    saw."""
    return np.interp(when, time, rise_m)[:, None] * [0.0, 0.0, 1.0]


def without_rise(bodies: Sequence[Body], resting: Sequence[NDArray], time: NDArray, R: NDArray) -> list[Body]:
    """Bodies where a camera would have seen them that stayed as high as it was at first; in its axes, from which R
    (3, 3) leads to level ones. Times (N,) are of the frames of the shot."""
    flat = [body.turned(R, np.zeros(3)) for body in bodies]
    rests = [without_tops(body, rest) for body, rest in zip(flat, resting, strict=True)]
    rise_m = camera_rise(flat, rests, range(len(flat)), time)
    return [body.posed(body.joints, body.pelvis + rise_at(body.time, time, rise_m) @ R) for body in bodies]


def walking_height(body: Body, resting: NDArray) -> NDArray:
    """(F,) how high above the floor, at z = 0, somebody walks of whom no foot is seen to rest; 0 of others, and
    of who treads on something else.

    Args:
        body: in axes with z up.
        resting: (F, 2) bool, feet that rest.
    """
    row, height = _steps(body)
    if not len(row) or (_bearing(body, resting) & body.shows_feet).any() or abs(np.median(height)) > _WALKS_M:
        return np.zeros(len(body.time))
    return zero_phase(body.time, np.interp(body.time, body.time[row], height), _RISE_S, degree=1)


def _steps(body: Body) -> tuple[NDArray, NDArray]:
    """Frames (K,) and heights (K,) at which somebody treads who walks, as far as both feet are seen."""
    found = treads(body, np.asarray(body.shows_feet.all(1)))
    return np.array([frame for frame, _ in found], int), np.array([at[2] - ANKLE_HEIGHT_M for _, at in found])


def _bearing(body: Body, resting: NDArray) -> NDArray:
    """(F, 2) bool: the lower one of two feet, if it rests and is under somebody."""
    height = body.ankles[..., 2]
    return np.asarray(resting & (height <= height[:, ::-1]) & (body.joints[:, ANKLES, 2] < -BEARS_M))
