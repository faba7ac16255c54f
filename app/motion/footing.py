"""Feet: which of them are planted, the floor under them, and how well they stand on it."""

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
#: Centres of what else touches the ground above it: of somebody who lies, kneels, hangs or stands on hands or head.
_ABOVE_GROUND_M = {
    H36M.HEAD_TOP: 0.0,
    H36M.LEFT_WRIST: 0.05,
    H36M.RIGHT_WRIST: 0.05,
    H36M.LEFT_ELBOW: 0.04,
    H36M.RIGHT_ELBOW: 0.04,
    H36M.LEFT_KNEE: 0.06,
    H36M.RIGHT_KNEE: 0.06,
    H36M.LEFT_SHOULDER: 0.08,
    H36M.RIGHT_SHOULDER: 0.08,
    H36M.LEFT_HIP: 0.1,
    H36M.RIGHT_HIP: 0.1,
}
#: What is so much lower than the lower sole is what a body touches the ground with, and no error of a hand beside it.
_CLEARLY_LOWER_M = 0.1
#: How bodies fall.
G_M_S2 = 9.81
#: A foot bears somebody whose pelvis is so much above the ankle.
BEARS_M = 0.2
LEGS = [(H36M[f"{side}_HIP"], H36M[f"{side}_KNEE"], H36M[f"{side}_ANKLE"]) for side in ("LEFT", "RIGHT")]
ANKLES = [ankle for _, _, ankle in LEGS]
#: A foot is planted while its ankle is slower than this, or than a share of the pelvis's speed, for at least so long.
_PLANTED_M_S, _PLANTED_SHARE, _PLANTED_S = 0.35, 0.25, 0.1
#: Along the line of sight it may seem to be so fast: of feet that stand the lifter moves the depth by up to 1 m/s.
_ALONG_M_S = 1.5
#: How fast somebody goes is asked of a pelvis that is smoothed by so much.
_PATH_S = 0.15
#: Nobody stands where the lower foot comes up from, and goes down again to, so much lower within so long: that is the
#: top of a jump, of somebody who is smaller than taken for or in slow motion.
_TOP_M, _TOP_S = 0.05, 0.3
#: A stance does not go on where nothing is known for so long.
_GAP_S = 0.25
#: Nobody flies for longer.
LONGEST_FLIGHT_S = 1.2
#: Motion within so long (Gaussian) is jitter: of ankles whose speed is asked for, and of what is done to them.
_JITTER_S = 0.06
#: How well a foot on the floor is known to be there; one that is higher counts ever less.
_FLAT_M = 0.05
#: A planted foot so near to a floor stands on it.
ON_FLOOR_M = 0.15
#: From one stance to the next the floor seems to rise or sink by so much at most: less than the lowest stair.
_SLOPE_M = 0.12
#: Up is known within so many radians, and the height of a foot within that times how far away it is.
_UP_SD = 0.05
#: What a foot that is not planted has to say about the floor.
_UNPLANTED = 0.2
#: Legs that are seen in less of the time than this are made up.
_LEGS_SEEN = 0.2


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
    """One person's motion, in the axes of a camera or of the world.

    Attributes:
        time: (F,) seconds.
        joints: (F, 17, 3) from the pelvis, metres.
        pelvis: (F, 3) metres.
        feet_seen: (F, 2) bool, whether the left and the right ankle were found in the picture, not at its edge; None:
            always.
        legs_seen, hips_seen: (F,) bool, whether a knee or an ankle was, and a hip; None: always. What was not seen is
            made up by the lifter.
        sight: (F, 2, 3) unit vectors from the origin to where a camera there saw the left and the right ankle, 0 where
            it did not; None where the origin is not the camera's place.
    """

    time: NDArray
    joints: NDArray
    pelvis: NDArray
    feet_seen: NDArray | None = None
    legs_seen: NDArray | None = None
    hips_seen: NDArray | None = None
    sight: NDArray | None = None

    @property
    def shows_feet(self) -> NDArray:
        """(F, 2) bool, `feet_seen`; all of them where that is None."""
        return np.ones((len(self.time), 2), bool) if self.feet_seen is None else self.feet_seen

    @property
    def shows_legs(self) -> bool:
        """Whether legs were seen for long enough to be more than made up."""
        return self.legs_seen is None or bool(self.legs_seen.mean() >= _LEGS_SEEN)

    @property
    def ankles(self) -> NDArray:
        """(F, 2, 3) left and right, in the axes of `pelvis`."""
        return self.joints[:, ANKLES] + self.pelvis[:, None]

    @property
    def underside(self) -> NDArray:
        """(F,) see `underside_of`, in axes with z up."""
        return underside_of(self.joints[..., 2] + self.pelvis[:, 2:])

    def posed(self, joints: NDArray, pelvis: NDArray | None = None) -> Body:
        """With other joints (F, 17, 3), and another path (F, 3) where one is given."""
        if pelvis is None:
            return replace(self, joints=joints)
        return replace(self, joints=joints, pelvis=pelvis, sight=None)

    def sized(self, factor: float) -> Body:
        """So much larger, and so much farther from the origin: from there it looks the same."""
        return replace(self, joints=self.joints * factor, pelvis=self.pelvis * factor)

    def turned(self, R: NDArray, shift: NDArray) -> Body:
        """In axes to which R (3, 3) leads, moved by shift (3,)."""
        return replace(self, joints=self.joints @ R.T, pelvis=self.pelvis @ R.T + shift, sight=None)


def underside_of(height: NDArray) -> NDArray:
    """The height of a body's lowest point: that of the lower sole, or of what else is clearly lower.

    Args:
        height: (..., 17) of the joints.
    """
    sole = height[..., ANKLES].min(-1) - ANKLE_HEIGHT_M
    other = (height[..., list(_ABOVE_GROUND_M)] - np.array([*_ABOVE_GROUND_M.values()])).min(-1)
    return np.asarray(np.where(other < sole - _CLEARLY_LOWER_M, other, sole))


def bears(body: Body, foot: int, frames: slice) -> bool:
    """Whether a foot is under somebody in these frames, and not held up in the air; in axes with z up."""
    return bool(np.median(body.joints[frames, ANKLES[foot], 2]) < -BEARS_M)  # joints are from the pelvis


def planted_feet(body: Body) -> NDArray:
    """(F, 2) bool: which ankles, left and right, rest, on the floor or on whatever is there; in any axes that rest."""
    planted = np.zeros((len(body.time), 2), bool)
    if len(body.time) < 2:
        return planted
    slow = _slow(body)
    slow[1:][np.diff(body.time) > _GAP_S] = False  # nobody knows where feet were meanwhile
    for foot in range(2):
        for begin, end in runs(slow[:, foot]):
            planted[begin:end, foot] = body.time[end - 1] - body.time[begin] >= _PLANTED_S
    return planted


def _speed(time: NDArray, places: NDArray, jitter_s: float = _JITTER_S) -> NDArray:
    """(F, ...) per second, of places (F, ..., D) without their jitter: that of the step to the frame before or of the
    one to the frame after, whichever is slower, since few frames may be all that a stance has."""
    way = np.linalg.norm(np.diff(zero_phase(time, places, jitter_s, degree=1), axis=0), axis=-1)
    speed = way / np.diff(time).reshape(-1, *(1,) * (way.ndim - 1))
    return np.minimum(np.concatenate([speed[:1], speed]), np.concatenate([speed, speed[-1:]]))


def _slow(body: Body) -> NDArray:
    """(F, 2) bool: ankles that are slow, as a camera at the origin sees them where `body` has lines of sight.

    How fast they go across the line of sight the 2D tells, and the pose does: whichever is slower, since errors of
    either make a foot at rest seem to move. How fast they go along it only the pose tells, and that badly.
    """
    time, ankles = body.time, body.ankles
    limit = np.maximum(_PLANTED_M_S, _PLANTED_SHARE * _speed(time, body.pelvis, _PATH_S))[:, None]
    if body.sight is None:
        return np.asarray(_speed(time, ankles) < limit)
    distance = np.linalg.norm(ankles, axis=-1)
    across = _speed(time, ankles / distance[..., None])
    for foot in range(2):
        seen = np.flatnonzero(body.sight[:, foot].any(-1))
        if len(seen) > 1:
            across[seen, foot] = np.minimum(across[seen, foot], _speed(time[seen], body.sight[seen, foot]))
    along = _speed(time, distance[..., None])
    return np.asarray(np.hypot(across * distance / limit, along / _ALONG_M_S) < 1)


def stances_of(planted: NDArray) -> list[tuple[int, int, int]]:
    """Foot (0 left, 1 right), first frame and end (exclusive) of each stance in planted (F, 2) bool."""
    return [(foot, int(begin), int(end)) for foot in range(2) for begin, end in runs(planted[:, foot])]


def floor_height(bodies: Sequence[Body], planted: Sequence[NDArray]) -> float:
    """How high the floor under everybody is, for bodies in axes with z up, the camera's place the origin, robustly:
    neither a jump nor a roof lifts it, nor does somebody far away sink it.

    Planted feet say most; the others, and hands and heads that are lower, say that no floor is above them. What is far
    away says little: how high it is hangs on which way is up.
    """
    ankles, rest = np.concatenate([body.ankles for body in bodies]), np.concatenate(planted)
    frame, lower = np.arange(len(ankles)), ankles[..., 2].argmin(1)
    z = np.concatenate([body.underside for body in bodies])
    stands = rest[frame, lower] & (z == ankles[frame, lower, 2] - ANKLE_HEIGHT_M)
    trust = np.where(stands, 1, _UNPLANTED)
    trust = trust / (_FLAT_M**2 + (_UP_SD * np.linalg.norm(ankles[frame, lower, :2], axis=1)) ** 2)
    rising = np.argsort(z)
    # from below: whoever is on the floor is lower than on a roof
    height = z[rising][np.searchsorted(np.cumsum(trust[rising]), 0.1 * trust.sum())]
    for _ in range(20):
        error = z - height
        # feet above the floor may be in the air or on something, feet below it cannot be: those count for more
        near = _FLAT_M / (_FLAT_M + np.abs(error))
        weight = trust * np.where(error > 0, near**2, near)
        height = (weight * z).sum() / weight.sum()
    return float(height)


def foot_skate(body: Body, planted: NDArray) -> NDArray:
    """Speeds over the floor (n,), metres per second, of every foot between two frames in which it is planted.

    Args:
        body: in world axes.
        planted: (F, 2) bool.
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


def without_tops(body: Body, resting: NDArray) -> NDArray:
    """(F, 2) bool: feet that rest, but for those at the top of a jump, of a body in level axes."""
    out, low = resting.copy(), body.ankles[..., 2].min(1)
    for foot, begin, end in stances_of(resting):
        before, after = body.time[begin] - _TOP_S, body.time[end - 1] + _TOP_S
        if before >= body.time[0] and after <= body.time[-1]:
            beside = np.interp([before, after], body.time, low).mean()
            out[begin:end, foot] = np.median(low[begin:end]) - beside < _TOP_M
    return out


def supported(body: Body, resting: NDArray) -> tuple[NDArray, NDArray]:
    """Which resting feet bear somebody, and how high what they stand on is: the floor, or a floor of their own.

    A foot that rests near the floor stands on it, and so does one to which somebody came from there without a step up
    or down: what rises slowly is a slope, or an error of the vertical. One farther up stands there if it is the lower
    one most of the time, or as high as another that is: on a roof, a stage, a stair; not one that is held up in the
    air, of somebody who stands on their hands, say, or lies on a chair.

    Args:
        body: in world axes, floor at z = 0.
        resting: (F, 2) bool, see `planted_feet` and `without_tops`.

    Returns:
        planted (F, 2) bool and level (F, 2) metres, 0 where it is the floor or no foot is planted.
    """
    height, planted, level = body.ankles[..., 2] - ANKLE_HEIGHT_M, np.zeros_like(resting), np.zeros(resting.shape)
    lower = height <= height[:, ::-1] + ON_FLOOR_M / 2
    stances = [
        (foot, begin, end, float(np.median(height[begin:end, foot]))) for foot, begin, end in stances_of(resting)
    ]
    bearing = [
        n
        for n, (foot, begin, end, _) in enumerate(stances)
        if lower[begin:end, foot].mean() > 0.5 and bears(body, foot, slice(begin, end))
    ]
    walks = [[bearing[k] for k in walk] for walk in without_steps([(stances[n][1], stances[n][3]) for n in bearing])]
    walked = {n for walk in walks if any(abs(stances[n][3]) < ON_FLOOR_M for n in walk) for n in walk}
    own = _levels([stances[n][3] for n in bearing if n not in walked])
    for n, (foot, begin, end, z) in enumerate(stances):
        under = 0.0 if n in walked else min([0.0, *own], key=lambda known: abs(z - known))
        if n in walked or abs(z - under) < ON_FLOOR_M:
            planted[begin:end, foot], level[begin:end, foot] = True, under
    return planted, level


def without_steps(stances: Sequence[tuple[int, float]]) -> list[list[int]]:
    """Stances, each its first frame and height, in groups in which nobody steps up or down: their indices, in order of
    time."""
    out: list[list[int]] = []
    for n in sorted(range(len(stances)), key=lambda n: stances[n][0]):
        if out and abs(stances[n][1] - stances[out[-1][-1]][1]) <= _SLOPE_M:
            out[-1].append(n)
        else:
            out.append([n])
    return out


def floor_below(body: Body, planted: NDArray, level: NDArray) -> NDArray:
    """(F,) how high what somebody stands on is, or stood on last or will stand on next, whichever is higher.

    Args:
        body: in world axes, floor at z = 0.
        planted: (F, 2) bool.
        level: (F, 2), see `supported`.
    """
    stands = np.flatnonzero(planted.any(1))
    if not len(stands):
        return np.full(len(planted), _landed_at(body))
    under = np.where(planted, level, -np.inf).max(1)
    frame = np.arange(len(planted))
    before = stands[(np.searchsorted(stands, frame, side="right") - 1).clip(0)]
    after = stands[np.searchsorted(stands, frame).clip(max=len(stands) - 1)]
    return np.asarray(np.maximum(under[before], under[after]))


def _landed_at(body: Body) -> float:
    """How high that is on which somebody lands again and again whose feet never rest, of jumping jacks on a roof; 0
    where they come down to no one height."""
    time, sole = body.time, body.ankles[..., 2].min(1) - ANKLE_HEIGHT_M
    begins = np.flatnonzero(time <= time[-1] - LONGEST_FLIGHT_S)
    if not len(begins) or time[begins[-1]] - time[0] < LONGEST_FLIGHT_S:
        return 0.0
    ends = np.searchsorted(time, time[begins] + LONGEST_FLIGHT_S, side="right")
    lows = np.array([sole[begin:end].min() for begin, end in zip(begins, ends, strict=True)])
    low = float(np.median(lows))
    return low if np.ptp(lows) < ON_FLOOR_M < low else 0.0


def _levels(heights: list[float]) -> list[float]:
    """Heights in groups that lie no farther apart than feet on one floor do; the median of each."""
    groups: list[list[float]] = []
    for z in sorted(heights):
        if groups and z - groups[-1][0] < ON_FLOOR_M:
            groups[-1].append(z)
        else:
            groups.append([z])
    return [float(np.median(group)) for group in groups]
