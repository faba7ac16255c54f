"""Feet: which are planted, the floor under them, how much they skate, and motion in which they skate less.

One floor for a whole take: a jump stays a jump, and who stands on a roof stays up there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.smoothing import zero_phase
from sasmamba.common.runs import runs
from sasmamba.models.skeletons import H36M

#: Joint centre of the ankle above the sole.
ANKLE_HEIGHT_M = 0.08
_LEGS = [(H36M[f"{side}_HIP"], H36M[f"{side}_KNEE"], H36M[f"{side}_ANKLE"]) for side in ("LEFT", "RIGHT")]
_ANKLES = [ankle for _, _, ankle in _LEGS]
#: A foot is planted while its ankle is slower than this, for at least so long. A jump's turning point is shorter.
_PLANTED_M_S, _PLANTED_S = 0.6, 0.15
#: Motion within so long (Gaussian) is jitter: of ankles whose speed is asked for, and of what is done to them.
_JITTER_S = 0.06
#: How well a foot on the floor is known to be there; one that is higher counts ever less.
_FLAT_M = 0.05
#: What a foot that is not planted has to say about the floor.
_UNPLANTED = 0.2
#: A planted foot so near to the floor stands on it; one farther up stands on something else.
_ON_FLOOR_M = 0.15
#: How long a planted foot holds the path against what 2D says, and how fast the path goes back to it without one.
_HOLD_S, _LET_GO_S = 1.0, 0.3
#: How fast a foot that stands settles onto the floor.
_SETTLE_S = 0.2
#: Gaussian smoothing of what is done to a path for the sake of planted feet.
_STEADY_S = 0.15
#: A leg gives so much at most to keep its foot where it is.
_LEG_M = 0.04


@dataclass(frozen=True, slots=True)
class Footing:
    """How well feet stand.

    Attributes:
        skate_cm_s: mean speed over the floor of feet that are planted; 0 without any.
        sunk_cm: mean depth of the lower sole below the floor, over all frames.
        planted: share of frames with a planted foot.
    """

    skate_cm_s: float = 0.0
    sunk_cm: float = 0.0
    planted: float = 0.0


@dataclass(frozen=True, slots=True)
class Body:
    """One person's motion: time (F,) seconds, joints (F, 17, 3) from the pelvis, pelvis (F, 3), metres, in the axes of
    a camera or of the world."""

    time: NDArray
    joints: NDArray
    pelvis: NDArray

    @property
    def ankles(self) -> NDArray:
        """(F, 2, 3) left and right, in the axes of `pelvis`."""
        return self.joints[:, _ANKLES] + self.pelvis[:, None]

    def posed(self, joints: NDArray, pelvis: NDArray | None = None) -> Body:
        """With other joints (F, 17, 3), and another path (F, 3) where one is given."""
        return replace(self, joints=joints, pelvis=self.pelvis if pelvis is None else pelvis)

    def turned(self, R: NDArray, shift: NDArray) -> Body:
        """In axes to which R (3, 3) leads, moved by shift (3,)."""
        return replace(self, joints=self.joints @ R.T, pelvis=self.pelvis @ R.T + shift)


def planted_feet(body: Body) -> NDArray:
    """(F, 2) bool: which ankles, left and right, rest, on the floor or on whatever is there; in any axes that rest."""
    planted = np.zeros((len(body.time), 2), bool)
    if len(body.time) < 2:
        return planted
    calm = zero_phase(body.time, body.ankles, _JITTER_S, degree=1)
    slow = np.linalg.norm(np.gradient(calm, body.time, axis=0), axis=-1) < _PLANTED_M_S
    for foot in range(2):
        for begin, end in runs(slow[:, foot]):
            planted[begin:end, foot] = body.time[end - 1] - body.time[begin] >= _PLANTED_S
    return planted


def stances_of(planted: NDArray) -> list[tuple[int, int, int]]:
    """Foot (0 left, 1 right), first frame and end (exclusive) of each stance in planted (F, 2) bool."""
    return [(foot, int(begin), int(end)) for foot in range(2) for begin, end in runs(planted[:, foot])]


def floor_height(bodies: Sequence[Body], planted: Sequence[NDArray]) -> float:
    """How high the floor under everybody's lower feet is, for bodies in axes with z up, robustly: neither a jump nor a
    roof lifts it.

    Planted feet say most; the others say that no floor is above them.
    """
    ankles, rest = np.concatenate([body.ankles for body in bodies]), np.concatenate(planted)
    frame, lower = np.arange(len(ankles)), ankles[..., 2].argmin(1)
    z, trust = ankles[frame, lower, 2], np.where(rest[frame, lower], 1, _UNPLANTED)
    height = np.quantile(z, 0.1)  # from below: whoever is on the floor is lower than on a roof
    for _ in range(20):
        error = z - height
        # feet above the floor may be in the air or on something, feet below it cannot be: those count for more
        near = _FLAT_M / (_FLAT_M + np.abs(error))
        weight = trust * np.where(error > 0, near**2, near)
        height = (weight * z).sum() / weight.sum()
    return float(height) - ANKLE_HEIGHT_M


def foot_skate(body: Body, planted: NDArray) -> NDArray:
    """Speeds over the floor (n,), metres per second, of every foot between two frames in which it is planted.

    Args:
        body: in world axes. planted: (F, 2) bool.
    """
    speed = np.linalg.norm(np.diff(body.ankles[..., :2], axis=0), axis=-1) / np.diff(body.time)[:, None]
    return speed[_held_between(planted)]


def _held_between(planted: NDArray) -> NDArray:
    """(F - 1, 2) bool: between which frames a foot stays planted."""
    return np.asarray(planted[1:] & planted[:-1])


def measure_footing(bodies: Sequence[Body], planted: Sequence[NDArray]) -> Footing:
    """The figures of bodies in world axes, floor at z = 0, whose planted feet (F, 2) are known."""
    if not bodies:
        return Footing()
    skate = np.concatenate([foot_skate(body, rest) for body, rest in zip(bodies, planted, strict=True)])
    sunk = np.concatenate([(ANKLE_HEIGHT_M - body.ankles[..., 2].min(1)).clip(min=0) for body in bodies])
    share = np.concatenate([rest.any(1) for rest in planted]).mean()
    return Footing(100 * float(skate.mean()) if len(skate) else 0.0, 100 * float(sunk.mean()), float(share))


def steadied(body: Body, planted: NDArray) -> Body:
    """The body with planted feet that move little, stand on the floor where they are near it, and are not in it.

    Most is done by the path, which is moved smoothly; the rest by the legs. Nothing is done to a jump but what its
    take-off and its landing need.

    Args:
        body: in world axes, floor at z = 0. planted: (F, 2), see `planted_feet`.
    """
    if len(body.time) < 2:
        return body
    body = replace(body, pelvis=body.pelvis + _path_correction(body, planted))
    return replace(body, joints=_legs_planted(body, planted))


def _path_correction(body: Body, planted: NDArray) -> NDArray:
    """(F, 3) to add to the path: the least-squares compromise between feet that stand still, a path that stays where 2D
    saw it, and, over the time between two steps or in a jump, the shape of the path as it was."""
    time, ankles = body.time, body.ankles
    out = np.zeros((len(time), 3))
    held = _held_between(planted)
    # what the path must do so that the planted feet, on average, do not move
    move = -(np.diff(ankles, axis=0) * held[..., None]).sum(1) / np.maximum(held.sum(1), 1)[:, None]
    for axis in range(2):
        out[:, axis] = _held(time, np.asarray(held.any(1)), move[:, axis])
    out = zero_phase(time, out, _STEADY_S, degree=1)
    height = ankles[..., 2] - ANKLE_HEIGHT_M
    standing = planted & (np.abs(height) < _ON_FLOOR_M)
    on_floor = np.asarray(standing.any(1))
    stay = np.gradient(time) / np.where(on_floor, _SETTLE_S, _HOLD_S) ** 2
    target = -(height * standing).sum(1) / np.maximum(standing.sum(1), 1)
    out[:, 2] = _compromise(stay, target, 1 / np.diff(time), np.where(on_floor[1:], 0, move[:, 2]))
    sunk = (-height.min(1) - out[:, 2]).clip(min=0)
    reach = max(1, round(2 * _JITTER_S / float(np.median(np.diff(time)))))
    deepest = np.lib.stride_tricks.sliding_window_view(np.pad(sunk, reach, "edge"), 2 * reach + 1).max(1)
    out[:, 2] = zero_phase(time, out[:, 2] + deepest, _JITTER_S, degree=1)
    return out


def _legs_planted(body: Body, planted: NDArray) -> NDArray:
    """Joints (F, 17, 3) whose planted feet stand still, as far as that takes no more than _LEG_M; bones stay as long.

    The ankle is moved by what it lacks and the knee by half of it, smoothly in time, and both are put back at their
    distances: a leg that stands leans a little, and never snaps as it would if it were solved exactly.
    """
    joints, time = body.joints.copy(), body.time
    held = _held_between(planted)
    for foot, (hip, knee, ankle) in enumerate(_LEGS):
        lack = np.zeros((len(time), 3))
        for axis in range(2):
            lack[:, axis] = _held(time, held[:, foot], -np.diff(body.ankles[:, foot, axis]))
        lack *= np.minimum(1, _LEG_M / np.linalg.norm(lack, axis=1).clip(min=1e-9))[:, None]
        lack = zero_phase(time, lack, _JITTER_S / 2, degree=1)
        for joint, parent, share in ((knee, hip, 0.5), (ankle, knee, 1.0)):
            length = np.linalg.norm(body.joints[:, joint] - body.joints[:, parent], axis=1)
            bone = body.joints[:, joint] + share * lack - joints[:, parent]
            bone *= (length / np.linalg.norm(bone, axis=1).clip(min=1e-6))[:, None]
            joints[:, joint] = joints[:, parent] + bone
    return joints


def _held(time: NDArray, held: NDArray, move: NDArray) -> NDArray:
    """(F,) what follows `move` (F - 1,) for about _HOLD_S where it is held, and goes back to 0 elsewhere."""
    follow = np.where(held, 1, (_LET_GO_S / _HOLD_S) ** 2) / np.diff(time)
    return _compromise(np.gradient(time) / _HOLD_S**2, np.zeros(len(time)), follow, move)


def _compromise(stay: NDArray, target: NDArray, follow: NDArray, move: NDArray) -> NDArray:
    """The x (F,) that minimises Σ stay·(x - target)² + Σ follow·(x[t + 1] - x[t] - move[t])²: a tridiagonal system."""
    main = stay.copy()
    main[1:] += follow
    main[:-1] += follow
    right = stay * target
    right[1:] += follow * move
    right[:-1] -= follow * move
    # Thomas's algorithm, on lists: element by element they are faster than arrays
    diagonal, x, beside = main.tolist(), right.tolist(), (-follow).tolist()
    for t, off in enumerate(beside, 1):
        share = off / diagonal[t - 1]
        diagonal[t] -= share * off
        x[t] -= share * x[t - 1]
    x[-1] /= diagonal[-1]
    for t in range(len(beside) - 1, -1, -1):
        x[t] = (x[t] - beside[t] * x[t + 1]) / diagonal[t]
    return np.array(x)
