"""Which way is up: from bodies that stand, or trunks of whom no legs are seen, the floor under them, the scene's edges,
what cameras do, or the user.

Up is told by two angles of the camera, pitch (it looks down by so much) and roll (up leans to the right in the picture
by so much). Every piece of evidence gives both with a covariance; together they are weighed as independent Gaussians,
and what edges of the scene tell (app/motion/line_vote.py) decides within what these leave open.
The prior of the roll has a second, wide component, so that a camera that lies on its side is believed, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.axes import level, pitch_and_roll, up_of
from sasmamba.app.motion.floor_slope import floor_slope
from sasmamba.app.motion.footing import Body
from sasmamba.app.motion.line_vote import LineVote
from sasmamba.app.motion.mixture import as_one
from sasmamba.app.motion.smoothing import zero_phase
from sasmamba.common.arrays import FloatArray
from sasmamba.common.errors import UserError
from sasmamba.models.geometry import unit
from sasmamba.models.skeletons import H36M

_DEG = math.pi / 180
#: People seen from straight above or below are not what a lifter knows.
STEEPEST_DEG = 85
#: Cameras before anything is seen: mean and standard deviation of the pitch; of the roll, held level and not, and how
#: many are not.
_PITCH_DEG, _PITCH_SD_DEG = 5.0, 20.0
_ROLL_SD_DEG, _ROLL_WIDE_SD_DEG, _ROLL_WIDE = 2.0, 15.0, 0.1
#: Legs straighter than this (cosine at the knee), and a trunk so much in line with them, belong to somebody upright.
_STRAIGHT, _IN_LINE = 0.85, 0.93
#: Whose pelvis is faster than this leans into the motion: frames count ever less.
_LEANING_M_S = 0.5
#: By so much somebody upright leans to the side, and, lifted, ahead or back, whatever the frames say. The second is
#: what people really do and what a lifter adds, which sees depth badly: of that, so much is the lifter's, and ever more
#: of what is more than people lean. A lifter takes whoever is seen from below or above for more upright than they are
#: in the axes of a camera that looks straight at them. Of what a trunk leans then, less is the lifter's: on captured
#: people (S1, S6) trunks come out as well with two fifths taken away as with nothing.
_ASIDE_SD_DEG, _AHEAD_SD_DEG, _LIFTERS, _LEAN_DEG, _LIFTERS_TRUNK = 2.5, 4.0, 0.6, 8.0, 0.4
#: A trunk so far from where it is while somebody stands is turned by a quarter of that.
_BENT_DEG = 8.0
_TRUNK = [joint for joint in H36M if not joint.name.endswith(("HIP", "KNEE", "ANKLE"))]
#: Half a second of one and the same stand tells half of what a minute does; a picture is worth so much.
_ENOUGH_S, _STILL_S = 0.5, 0.5
#: The floor's slope is fitted so often at most, and until it changes by less.
_FITS, _SETTLED_DEG = 10, 3.0
#: A trunk without legs leans ahead or back and to the side by so much, at a desk, say; one whose hips are made up tells
#: nothing. Where legs are seen in other frames, one without counts by so much.
_TRUNK_SD_DEG, _MADE_UP_SD_DEG, _TRUNK_TELLS = (12.0, 10.0), (90.0, 90.0), 0.1
#: Bodies that point farther from the picture's up than this are no evidence of it,
_MAX_TILT_DEG = 45.0
#: but where they point at the camera, this far aside of it at most: then it looks down at people who stand. Who lies,
#: or does push-ups, points farther still than the first; as far as the second do people who go about: so far, and of
#: that at most such a share along their own axis.
_STEEP_DEG, _STEEP_GOING_DEG, _ASIDE_DEG = 68.0, 78.0, 20.0
_GOES_M, _ALONG = 1.5, 0.3


@dataclass(frozen=True, slots=True)
class KnownCamera:
    """What the user knows of the camera's attitude; None: nothing.

    Attributes:
        pitch_deg: by how much it looks down.
        roll_deg: by how much up leans to the right in the picture.

    Raises:
        UserError: an angle that is not between -85 and 85 degrees (exit code 2).
    """

    pitch_deg: float | None = None
    roll_deg: float | None = None

    def __post_init__(self) -> None:
        for name, angle in (("--pitch", self.pitch_deg), ("--roll", self.roll_deg)):
            if angle is not None and not -STEEPEST_DEG <= angle <= STEEPEST_DEG:
                raise UserError(
                    f"{name} must lie between -{STEEPEST_DEG} and {STEEPEST_DEG} degrees, not {angle:g}.", exit_code=2
                )


@dataclass(frozen=True, slots=True)
class Upright:
    """Which way is up.

    Attributes:
        up: (3,) unit vector in camera axes.
        sd_deg: standard deviation of the angle between it and the true one, as the evidence has it; 0 where told.
        seconds: of people standing upright, and stances: of feet, that it is made of.
        poses: of every body, its joints (F, 17, 3) without the part of its lean along the line of sight that is the
            lifter's: 2D hardly shows it.
    """

    up: FloatArray
    sd_deg: float
    seconds: float
    stances: int
    poses: tuple[FloatArray, ...]


@dataclass(frozen=True, slots=True)
class _Stand:
    """One body's uprightness.

    Attributes:
        angles: (2,) pitch and roll that it tells.
        information: (2, 2) on them.
        seconds: for which it stood so.
        towards: (2,) how pitch and roll change as a body leans towards the camera.
        trunk: (2,) pitch and roll that the trunk tells by itself, beside legs; None without legs.
    """

    angles: NDArray
    information: NDArray
    seconds: float
    towards: NDArray
    trunk: NDArray | None


def upright(
    bodies: Sequence[Body],
    planted: Sequence[NDArray],
    known: KnownCamera | None = None,
    settled: tuple[NDArray, NDArray] | None = None,
    lines: LineVote | None = None,
    carried: bool = False,
) -> Upright:
    """Up in the axes of bodies (a camera's), and their poses without what they lean that should not.

    Args:
        bodies: whose.
        planted: (F, 2) bool each: feet that rest.
        known: what the user knows of the camera.
        settled: pitch and roll (2,), radians, with their covariance (2, 2), where the floor was found already.
        lines: what the edges of the scene tell.
        carried: whether the camera is carried about: it may rise meanwhile.

    Without anybody it is the picture's own up, unless the user knows better.
    """
    known = known or KnownCamera()
    if not bodies:
        up = up_of(math.radians(known.pitch_deg or 0), math.radians(known.roll_deg or 0))
        return Upright(up.astype(np.float32), 0.0, 0.0, 0, ())
    stands, precision, weighted = _evidence(bodies)
    angles, covariance = _posterior(precision, weighted, known, lines)
    so_far = np.linalg.inv(covariance)
    stances = 0
    if settled is not None:
        angles, covariance = settled
    # the floor's slope is small in the axes that bodies give: it is fitted there, twice; where it is not, until it is
    for again in range(0 if settled else _FITS):
        before = angles
        information, pull, stances = floor_slope(bodies, planted, level(up_of(*angles)), so_far, carried)
        angles, covariance = _posterior(precision + information, weighted + information @ angles + pull, known, lines)
        if again and np.abs(angles - before).max() < _SETTLED_DEG * _DEG:
            break
    sd_deg = math.sqrt(float(np.trace(covariance))) / _DEG
    seconds = sum(stand.seconds for stand in stands if stand is not None)
    poses = tuple(_set_upright(body, stand, angles) for body, stand in zip(bodies, stands, strict=True))
    return Upright(up_of(*angles).astype(np.float32), sd_deg, seconds, stances, poses)


def standing_evidence(
    bodies: Sequence[Body], known: KnownCamera | None = None, lines: LineVote | None = None
) -> tuple[NDArray, NDArray]:
    """Pitch and roll (2,), radians, and their covariance (2, 2), as told by how bodies stand and by the edges of the
    scene, without the floor."""
    _, precision, weighted = _evidence(bodies)
    return _posterior(precision, weighted, known or KnownCamera(), lines)


def _evidence(bodies: Sequence[Body]) -> tuple[list[_Stand | None], NDArray, NDArray]:
    """How each body stands; the information (2, 2) of all, and that times pitch and roll (2,)."""
    stands = [_standing(body) for body in bodies]
    precision, weighted = np.zeros((2, 2)), np.zeros(2)
    for stand in stands:
        if stand is not None:
            precision += stand.information
            weighted += stand.information @ stand.angles
    return stands, precision, weighted


def _set_upright(body: Body, stand: _Stand | None, angles: NDArray) -> FloatArray:
    """A body's joints (F, 17, 3) turned about the horizontal across the line of sight by the lifter's share of what it
    leans, and the trunk, as long as it stands, by that of what it then leans still."""
    if stand is None:
        return np.asarray(body.joints, np.float32)
    lean = float(stand.towards @ (stand.angles - angles))
    lean -= (1 - _LIFTERS) * lean / (1 + (lean / (_LEAN_DEG * _DEG)) ** 2)
    out = body.joints @ _turn(stand.towards, np.array([lean])).swapaxes(1, 2)
    if stand.trunk is not None:
        trunk = _LIFTERS_TRUNK * (float(stand.towards @ (stand.trunk - angles)) - lean)
        bent = np.arccos((_trunk(body) @ up_of(*stand.trunk)).clip(-1, 1))
        back = _turn(stand.towards, trunk / (1 + (bent / (_BENT_DEG * _DEG)) ** 2) ** 2)
        out[:, _TRUNK] = out[:, _TRUNK] @ back.swapaxes(1, 2)
    return np.asarray(out, np.float32)


def _turn(towards: NDArray, by: NDArray) -> NDArray:
    """(N, 3, 3) turns by angles (N,) away from the camera."""
    cross = np.cross(np.eye(3), np.array([towards[0], 0.0, towards[1]]))  # of the axis with what follows
    return np.eye(3) - np.sin(by)[:, None, None] * cross + (1 - np.cos(by))[:, None, None] * (cross @ cross)


def _posterior(
    precision: NDArray, weighted: NDArray, known: KnownCamera, lines: LineVote | None
) -> tuple[NDArray, NDArray]:
    """Pitch and roll (2,) and their covariance (2, 2), of evidence and prior; what is known is so."""
    told = [known.pitch_deg, known.roll_deg]
    mean = np.array([_PITCH_DEG if told[0] is None else told[0], told[1] or 0.0]) * _DEG
    parts = []
    for share, roll_sd in ((1 - _ROLL_WIDE, _ROLL_SD_DEG), (_ROLL_WIDE, _ROLL_WIDE_SD_DEG)):
        sd = np.array([_PITCH_SD_DEG, roll_sd]) * _DEG
        sd = np.where([angle is not None for angle in told], 1e-6, sd)
        prior = np.diag(1 / sd**2)
        covariance = np.linalg.inv(precision + prior)
        at = covariance @ (weighted + prior @ mean)
        # how likely this component makes the evidence, up to what both have in common
        log = 0.5 * (np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(prior)[1])
        log += 0.5 * (at @ np.linalg.solve(covariance, at) - mean @ prior @ mean)
        parts.append((math.log(share) + log, at, covariance))
    at, covariance = as_one(parts)
    return (at, covariance) if lines is None or None not in told else lines.weighed(at, covariance)


def _standing(body: Body) -> _Stand | None:
    """What somebody tells of up while their legs are straight, their trunk is in line with them, and they go slowly."""
    if not body.shows_legs:
        return _sitting(body)
    p, time = body.joints, body.time
    shown = np.ones(len(p), bool) if body.legs_seen is None else body.legs_seen
    straight = shown.copy()
    for side in ("LEFT", "RIGHT"):
        hip, knee, ankle = (p[:, H36M[f"{side}_{j}"]] for j in ("HIP", "KNEE", "ANKLE"))
        straight &= (unit(knee - hip) * unit(ankle - knee)).sum(-1) > _STRAIGHT
    feet = 0.5 * (p[:, H36M.LEFT_ANKLE] + p[:, H36M.RIGHT_ANKLE])
    axis, trunk = unit(p[:, H36M.THORAX] - feet), _trunk(body)
    legs = unit(p[:, H36M.PELVIS] - feet)
    upright = straight & ((trunk * legs).sum(-1) > _IN_LINE)
    calm = zero_phase(time, body.pelvis, 0.1, degree=1) if len(time) > 1 else body.pelvis
    steepest = _STEEP_GOING_DEG if _goes_upright(calm, axis[upright]) else _STEEP_DEG
    steep = (-axis[:, 1] > math.cos(steepest * _DEG)) & (np.abs(axis[:, 0]) < math.sin(_ASIDE_DEG * _DEG))
    upright &= (-axis[:, 1] > math.cos(_MAX_TILT_DEG * _DEG)) | (steep & (axis[:, 2] < 0))
    if not upright.any():
        return None
    lasts = _lasts(time)
    seconds = upright * lasts
    if len(time) > 1:
        speed = np.linalg.norm(np.gradient(calm, time, axis=0), axis=1)
        seconds = seconds / (1 + (speed / _LEANING_M_S) ** 2)
    # frames without legs tell a little by the trunk, which is much where the others are of somebody who runs
    alone = ~shown & (-trunk[:, 1] > math.cos(_MAX_TILT_DEG * _DEG))
    alone &= True if body.hips_seen is None else body.hips_seen
    axis, upright = np.where(alone[:, None], trunk, axis), upright | alone
    seconds = np.where(alone, _TRUNK_TELLS * lasts, seconds)
    return _told(body, axis, upright, seconds, (_AHEAD_SD_DEG, _ASIDE_SD_DEG))


def _sitting(body: Body) -> _Stand | None:
    """What the trunk tells of up of somebody whose legs are not in the picture."""
    axis = _trunk(body)
    upright = -axis[:, 1] > math.cos(_MAX_TILT_DEG * _DEG)
    if not upright.any():
        return None
    sd_deg = _TRUNK_SD_DEG
    if body.hips_seen is not None:
        seen = upright & body.hips_seen
        upright, sd_deg = (seen, sd_deg) if seen.any() else (upright, _MADE_UP_SD_DEG)
    return _told(body, axis, upright, upright * _lasts(body.time), sd_deg)


def _lasts(time: NDArray) -> NDArray:
    """(F,) seconds that each frame counts for."""
    return np.asarray(np.gradient(time)) if len(time) > 1 else np.full(len(time), _STILL_S)


def _trunk(body: Body) -> NDArray:
    """(F, 3) unit vectors up the trunk."""
    return unit(body.joints[:, H36M.THORAX] - body.joints[:, H36M.PELVIS])


def _told(body: Body, axis: NDArray, upright: NDArray, seconds: NDArray, sd_deg: tuple[float, float]) -> _Stand:
    """What axes (F, 3) tell of up in the frames (F,) in which somebody is upright, each for so many seconds (F,).

    Args:
        sd_deg: by how much they lean along and across the line of sight.
    """
    angles = pitch_and_roll(axis)
    middle = np.median(angles[upright], 0)
    # who bends or swings now and then is upright the rest of the time
    weight = seconds / (1 + (np.linalg.norm(angles - middle, axis=1) / (5 * _DEG)) ** 2)
    total = weight.sum()
    mean = (angles * weight[:, None]).sum(0) / total
    trunk = (pitch_and_roll(_trunk(body)) * weight[:, None]).sum(0) / total if body.shows_legs else None
    own = (np.array(sd_deg) * _DEG) ** 2
    ahead, aside = own * (1 + _ENOUGH_S / total)
    azimuth = math.atan2(*unit(body.pelvis).mean(0)[[0, 2]])
    towards = np.array([math.cos(azimuth), -math.sin(azimuth)])
    beside = towards[::-1] * [-1, 1]
    information = np.outer(towards, towards) / ahead + np.outer(beside, beside) / aside
    return _Stand(mean, information, float(total), towards, trunk)


def _goes_upright(path: NDArray, axis: NDArray) -> bool:
    """Whether somebody goes about, across their axes (n, 3) in the frames in which they are straight.

    Args:
        path: (F, 3) of the pelvis.
    """
    if not len(axis):
        return False
    far, along = np.ptp(path, axis=0), float(np.ptp(path @ unit(np.median(axis, 0))))
    return bool(np.linalg.norm(far) > _GOES_M and along < _ALONG * np.linalg.norm(far))
