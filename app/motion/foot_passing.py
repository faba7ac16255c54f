"""When feet pass each other: the one step finder, of whoever asks for steps.

It goes by where ankles are ahead of the pelvis and behind it, so that it needs no floor and no path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.footing import ANKLES
from sasmamba.app.motion.smoothing import zero_phase
from sasmamba.models.geometry import unit
from sasmamba.models.skeletons import H36M

#: Ankles are smoothed by so much before events are looked for, and the way the body faces by so much, since hips swing.
_CALM_S, _FACING_S = 0.04, 0.35


def facing(joints: NDArray, time: NDArray) -> NDArray:
    """(F, 3) unit vectors over the floor that say where bodies (F, 17, 3) face, across hips and shoulders."""
    across = joints[:, H36M.LEFT_HIP] - joints[:, H36M.RIGHT_HIP]
    shoulders = joints[:, H36M.LEFT_SHOULDER] - joints[:, H36M.RIGHT_SHOULDER]
    across = across + np.where(np.isfinite(shoulders), shoulders, 0)
    ahead = np.cross(across, [0.0, 0.0, 1.0])
    return unit(zero_phase(time, ahead, _FACING_S, degree=1))


@dataclass(frozen=True, slots=True)
class FootAdvance:
    """One foot ahead of the other, from when it passes the other until the other passes it.

    Attributes:
        foot: 0 left, 1 right.
        begin: first frame in which it is ahead.
        end: first frame in which it no longer is.
        apart_m: the most that it is ahead of the other ankle.
        front: frame in which it is farthest ahead of the pelvis.
        back: frame in which the other is farthest behind.
    """

    foot: int
    begin: int
    end: int
    apart_m: float
    front: int
    back: int


@dataclass(frozen=True, slots=True)
class Passing:
    """How feet pass each other in a stretch without a gap.

    Attributes:
        ahead: (F, 3) where the body faces, see `facing`.
        place: (F, 2) metres, left and right ankle ahead of the pelvis, smoothed.
        advances: in order of time, each beginning where the one before ends.
    """

    ahead: NDArray
    place: NDArray
    advances: tuple[FootAdvance, ...]


def passing(time: NDArray, joints: NDArray) -> Passing:
    """Finds when feet pass each other; what is ahead at either end of the stretch is left out.

    Args:
        time: (F,) seconds.
        joints: (F, 17, 3) world axes, metres, legs known throughout.
    """
    ahead = facing(joints, time)
    place = zero_phase(time, ((joints[:, ANKLES] - joints[:, :1]) * ahead[:, None]).sum(-1), _CALM_S)
    return Passing(ahead, place, tuple(_advances(place)))


def _advances(place: NDArray) -> Iterator[FootAdvance]:
    apart = place[:, 0] - place[:, 1]
    for a, b in pairwise((np.flatnonzero(np.diff(np.sign(apart)) != 0) + 1).tolist()):
        foot = int(apart[a:b].mean() < 0)
        front, back = a + int(place[a:b, foot].argmax()), a + int(place[a:b, 1 - foot].argmin())
        yield FootAdvance(foot, a, b, float(np.abs(apart[a:b]).max()), front, back)
