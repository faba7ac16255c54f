"""What the floor under standing feet tells of up: it is flat, and level.

Before a camera that is carried about, who comes towards it while it is lifted looks as if they walked down a slope. But
most hardly rise while somebody films: both kinds are tried, and weighed by how well each explains what is seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.footing import Body, bears, stances_of
from sasmamba.app.motion.mixture import as_one

#: A standing foot's height above the floor that all stand on: its own error, and that of its person's size.
_FOOT_SD_M, _PERSON_SD_M = 0.035, 0.12
#: The lifter holds each foot of somebody so much too high or too low for long: who sits and moves their feet a little
#: tells no slope by them.
_FEET_APART_M = 0.03
#: A foot below a knee that was seen, itself made up, counts by so much.
_UNSEEN = 0.3
#: How many carried cameras rise or sink by so much in a second, standard deviation of a random walk.
_RISES = ((0.8, 0.02), (0.2, 0.2))
#: The walk is told in steps, so long and so many at most.
_RISE_STEP_S, _RISE_STEPS = 0.5, 100


def floor_slope(
    bodies: Sequence[Body], planted: Sequence[NDArray], R: NDArray, so_far: NDArray, carried: bool
) -> tuple[NDArray, NDArray, int]:
    """What the floor under standing feet tells: information (2, 2) on pitch and roll, the same times that by how much
    (2,) they should be more than R (3, 3) has them, and the number of stances.

    One slope for all; each body has a height of its own about that of all, since who is taller than they seem stands
    too near, and high above the floor. Feet on something else count little, and so does the height of somebody who
    stands elsewhere.

    Args:
        R: leads to axes that are about level.
        so_far: (2, 2) the information that there is without the floor: it tells a slope from a step.
        carried: whether the camera is carried about: it may rise meanwhile.
    """
    feet, whose, which, seen, when = [], [], [], [], []
    for n, (body, rest) in enumerate(zip(bodies, planted, strict=True)):
        raised, ankles = body.turned(R, np.zeros(3)), body.ankles
        for foot, begin, end in stances_of(rest if body.legs_seen is None else rest & body.legs_seen[:, None]):
            if not bears(raised, foot, slice(begin, end)):
                continue
            feet.append(ankles[begin:end, foot].mean(0) @ R.T)
            whose.append(n)
            which.append(foot)
            seen.append(bool(body.shows_feet[begin:end, foot].any()))
            when.append(body.time[begin:end].mean())
    if len(feet) < 2:
        return np.zeros((2, 2)), np.zeros(2), len(feet)
    at, owner = np.array(feet), np.array(whose)
    people, stance = len(bodies), np.arange(len(feet))
    middle = at.mean(0)
    steps, step_s = _rise(np.array(when)) if carried else (np.zeros((len(at), 0)), 1.0)
    # unknowns: slopes along y (pitch) and -x (roll), the floor's height, everybody's own, each foot's, and how the
    # camera rises
    first_foot = 3 + people
    rise = first_foot + 2 * people
    A = np.zeros((len(at), rise + steps.shape[1]))
    A[:, 0], A[:, 1], A[:, 2] = at[:, 1] - middle[1], -(at[:, 0] - middle[0]), 1
    A[stance, 3 + owner] = A[stance, first_foot + 2 * owner + np.array(which)] = 1
    A[:, rise:] = steps
    z = at[:, 2] - middle[2]
    held = np.zeros(A.shape[1])
    held[first_foot:rise], held[rise:] = 1 / _FEET_APART_M**2, 1 / (_RISES[-1][1] ** 2 * step_s)
    hold = np.diag(held)
    hold[:2, :2] = so_far
    own = np.full(people, 0.01)
    x = np.zeros(A.shape[1])
    x[2] = np.median(z)
    worth = np.where(seen, 1.0, _UNSEEN)
    weight = worth
    for _ in range(10):
        hold[np.arange(3, 3 + people), np.arange(3, 3 + people)] = own / _PERSON_SD_M**2
        H = (A.T * weight) @ A / _FOOT_SD_M**2 + hold
        x = np.linalg.solve(H, A.T @ (weight * z) / _FOOT_SD_M**2)
        weight = worth / (1 + ((z - A @ x) / (2 * _FOOT_SD_M)) ** 2)
        own = 1 / (1 + (x[3 : 3 + people] / _PERSON_SD_M) ** 2)
    if carried:
        rises = [np.where(np.arange(len(x)) < rise, np.diag(hold), 1 / (sd**2 * step_s)) for _, sd in _RISES]
        return *_either(A, weight, z, hold, rises, so_far), len(at)
    rest = H[2:, 2:] + 1e-9 * np.eye(len(x) - 2)
    information = H[:2, :2] - H[:2, 2:] @ np.linalg.solve(rest, H[2:, :2])
    return information - so_far, information @ x[:2], len(at)


def _rise(when: NDArray) -> tuple[NDArray, float]:
    """(K, n) by which share of each of n steps, one after the other, the floor had sunk below a camera that rises at
    times (K,), and how long a step takes, seconds."""
    first, last = float(when.min()), float(when.max())
    count = math.ceil(np.clip((last - first) / _RISE_STEP_S, 1, _RISE_STEPS))
    step_s = max(last - first, 1e-3) / count
    return -np.clip((when[:, None] - first) / step_s - np.arange(count), 0, 1), step_s


def _either(
    A: NDArray, weight: NDArray, z: NDArray, hold: NDArray, rises: list[NDArray], so_far: NDArray
) -> tuple[NDArray, NDArray]:
    """`floor_slope`'s information and pull, of the mean over several kinds of cameras.

    Args:
        A, weight, z: (K, n), (K,) and (K,) of the least squares.
        hold: (n, n) the information before them.
        rises: its diagonals (n,) by the kinds of `_RISES`.
    """
    right, parts = A.T @ (weight * z) / _FOOT_SD_M**2, []
    for (share, _), diagonal in zip(_RISES, rises, strict=True):
        kind = hold.copy()
        kind[np.diag_indices(len(kind))] = diagonal
        H = (A.T * weight) @ A / _FOOT_SD_M**2 + kind + 1e-9 * np.eye(len(kind))
        x = np.linalg.solve(H, right)
        # up to what all kinds have in common
        log = math.log(share) + 0.5 * (right @ x + np.log(diagonal[3:]).sum() - np.linalg.slogdet(H)[1])
        parts.append((log, x[:2], np.linalg.inv(H)[:2, :2]))
    mean, covariance = as_one(parts)
    information = np.linalg.inv(covariance)
    # where kinds disagree they tell less than nothing beside what there was
    value, vector = np.linalg.eigh(information - so_far)
    return (vector * value.clip(0)) @ vector.T, information @ mean
