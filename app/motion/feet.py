"""Heels and toes: from 2D where the stage saw them, else from the shank, the plane of the knee, contact and floor.

The lifter's 17 joints end at the ankles. Without a sighting the foot is taken to lie in the knee's plane at a fixed
angle to the shank, which is right within about 10° on people who stand and walk; on the floor it lies flat, or on the
ball when the heel is up. That is enough to draw and to dress a character, and says nothing of the ankle's own angle:
the shank gives it, so it cannot be measured from it. `Feet.seen` tells the two apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.footing import ANKLE_HEIGHT_M, Body, planted_feet
from sasmamba.app.motion.looking import lens, rotations
from sasmamba.app.motion.placing import Placement
from sasmamba.app.motion.smoothing import zero_phase
from sasmamba.app.take import Take
from sasmamba.common.arrays import FloatArray
from sasmamba.common.runs import runs, unbroken
from sasmamba.models.geometry import unit
from sasmamba.models.skeletons import FOOT, H36M, coco17_to_h36m17

#: Heel and toe above the floor of somebody who stands: the bones' height in a foot, not the sole's.
SOLE_M = 0.025
#: Toe ahead of the ankle and heel behind it, along the foot, as shares of the shank. The foot's direction, in the axes
#: of the shank: forward, down the shank, outwards. The say of the hips' line in where the knee's plane lies: a straight
#: knee has none. All of them fitted by `benchmarks/feet.py --fit`, on other people than those it reports.
TOE, HEEL = 0.353, 0.141
_DIRECTION = (0.976, -0.180, 0.125)
_HIPS = 0.3
#: The ankle above heel and toe: what a person's own standing shows, within bounds that feet have.
_ANKLE_M = (0.02, 0.12)
#: A foot at rest so near to the floor stands on it. Of a shank so far from upright (cosine) a foot begins to lie flat.
_ON_FLOOR_M, _UPRIGHT = 0.15, (0.3, 0.6)
#: An ankle that rises by less than this leaves the foot flat: joints are not known better.
_DEAD_M = 0.015
#: A foot's direction is smoothed by so much, and over the floor, while it stands, by so much more.
_CALM_S, _STANDING_S = 0.04, 0.3
#: Heel and toe count as seen above this 2D score; a direction so seen is worth so much (radians, like the model's).
_SEEN, _SEEN_RAD, _MODEL_RAD = 0.5, 0.12, 0.3
#: The tip of the toes, which detectors mark, against the ball of the foot, both from the heel.
TIP = 1.35
_SIDES = ("LEFT", "RIGHT")
#: From the left to the outside of either leg.
_OUTWARDS = np.array([[1.0], [-1.0]])
_LEGS = np.array([[H36M[f"{side}_{joint}"] for joint in ("HIP", "KNEE", "ANKLE")] for side in _SIDES])


@dataclass(frozen=True, slots=True)
class Feet:
    """One person's feet.

    Attributes:
        frames: of the video, as in `Placement.world`.
        points: (F, 4, 3) in the order of `FOOT` (left heel, left toe, right heel, right toe), world axes, metres.
        seen: (F, 2) bool, left and right: from heel and toe in the 2D; elsewhere from the leg, contact and floor.
        planted: (F, 2) bool, left and right: at rest.
    """

    frames: list[int]
    points: FloatArray
    seen: NDArray
    planted: NDArray


def find_feet(take: Take, placement: Placement) -> dict[int, Feet]:
    """Everybody's feet, by track id."""
    return {i: _feet_of(take, placement, i) for i in sorted(placement.poses) if placement.poses[i]}


def feet_now(joints: NDArray) -> FloatArray:
    """Feet (..., 4, 3) of poses (..., 17, 3) by themselves, world axes, metres, floor at z = 0: for live pictures.

    A foot lies flat as far as its ankle is down.
    """
    joints = np.asarray(joints, np.float64)
    down = 1 - ((joints[..., _LEGS[:, 2], 2] - ANKLE_HEIGHT_M - 0.03) / 0.05).clip(0, 1)
    ankle_m = _room(joints, ANKLE_HEIGHT_M - SOLE_M)
    direction = unit(_level(joints, by_leg(joints), down * _upright(joints), ankle_m))
    return _points(joints, direction, ankle_m)


def foot_points(
    time: NDArray, joints: NDArray, planted: NDArray, direction: NDArray | None = None, seen: NDArray | None = None
) -> FloatArray:
    """Heels and toes (F, 4, 3) of one person without a gap.

    Args:
        time: (F,) seconds.
        joints: (F, 17, 3) world axes, metres, floor at z = 0.
        planted: (F, 2) bool.
        direction: (F, 2, 3) from heel to toe as 2D shows it, or None.
        seen: (F, 2) where it does.
    """
    joints = np.asarray(joints, np.float64)
    own = by_leg(joints)
    if direction is not None and seen is not None:
        own = np.where(seen[..., None], direction, own)
    own = zero_phase(time, own, _CALM_S, degree=1) if len(time) > 1 else own
    height = joints[:, _LEGS[:, 2], 2] - SOLE_M
    standing = planted & (height < _ON_FLOOR_M) & (_upright(joints) > 0)
    own_m = [np.median(height[on, k]) if (on := standing[:, k]).any() else ANKLE_HEIGHT_M - SOLE_M for k in range(2)]
    ankle_m = _room(joints, np.array(own_m).clip(*_ANKLE_M))
    for k in range(2):  # who stands does not turn the foot
        for begin, end in runs(standing[:, k]):
            if end - begin > 2:
                own[begin:end, k] = zero_phase(time[begin:end], own[begin:end, k], _STANDING_S, degree=1)
    direction = _level(joints, own, standing * _upright(joints), ankle_m)
    direction = zero_phase(time, direction, _CALM_S, degree=1) if len(time) > 1 else direction
    return _points(joints, unit(direction), ankle_m)


def leg_axes(joints: NDArray) -> NDArray:
    """(..., 2, 3, 3) rows forward, down the shank, outwards, of the left and the right leg of poses (..., 17, 3).

    Forward and down span the plane in which the knee bends; the straighter the knee, the more the hips' line tells it.
    """
    hip, knee, ankle = (joints[..., _LEGS[:, j], :] for j in range(3))
    thigh, shank = unit(knee - hip), unit(ankle - knee)
    hips = unit(joints[..., H36M.LEFT_HIP, :] - joints[..., H36M.RIGHT_HIP, :])[..., None, :]
    bent = np.cross(thigh, shank)
    # a knee that seems bent the wrong way is a straight one and an error
    left = bent - np.minimum((bent * hips).sum(-1, keepdims=True), 0) * hips + _HIPS * hips
    left = unit(left - (left * shank).sum(-1, keepdims=True) * shank)
    return np.stack([np.cross(left, -shank), shank, left * _OUTWARDS], -2)


def by_leg(joints: NDArray) -> NDArray:
    """Directions (..., 2, 3) from heel to toe, by the leg alone."""
    return np.einsum("i,...ij->...j", np.array(_DIRECTION) / np.linalg.norm(_DIRECTION), leg_axes(joints))


def _upright(joints: NDArray) -> NDArray:
    """(..., 2) how much the shanks say that a foot on the floor is flat: all upright, nothing lying or kneeling."""
    shank = unit(joints[..., _LEGS[:, 2], :] - joints[..., _LEGS[:, 1], :])
    low, high = _UPRIGHT
    return ((-shank[..., 2] - low) / (high - low)).clip(0, 1)


def _room(joints: NDArray, ankle_m: NDArray | float) -> NDArray:
    """(..., 2) the ankle above heel and toe: as always, or as little as an ankle that is nearer to the floor leaves."""
    return np.minimum(ankle_m, np.maximum(joints[..., _LEGS[:, 2], 2] - SOLE_M, 0.01))


def _shank_m(joints: NDArray) -> NDArray:
    return np.linalg.norm(joints[..., _LEGS[:, 2], :] - joints[..., _LEGS[:, 1], :], axis=-1)


def _level(joints: NDArray, direction: NDArray, flat: NDArray, ankle_m: NDArray) -> NDArray:
    """Directions (..., 2, 3) that keep the toe on the floor as far as `flat` (..., 2) says, 0..1."""
    ahead = TOE * _shank_m(joints)
    rise = joints[..., _LEGS[:, 2], 2] - SOLE_M - ankle_m
    rise = np.where(rise > 0, np.maximum(rise - _DEAD_M, 0), 0) + ankle_m
    # the ankle, above the toe by `rise`, on a foot that turns about the ball
    arm = np.hypot(ankle_m, ahead)
    pitch = np.arcsin((rise / arm).clip(-1, 1)) - np.arctan2(ankle_m, ahead)
    along = direction * [1, 1, 0]
    on_floor = np.cos(pitch)[..., None] * unit(along) - np.sin(pitch)[..., None] * [0, 0, 1]
    # a foot that points straight down or up tells no way to lie
    flat = (flat * (np.linalg.norm(along, axis=-1) / 0.3).clip(0, 1))[..., None]
    return np.asarray((1 - flat) * direction + flat * on_floor)


def _points(joints: NDArray, direction: NDArray, ankle_m: NDArray) -> FloatArray:
    """Heels and toes (..., 4, 3) of feet with these directions (..., 2, 3), none of them in the floor.

    The ankle stands `ankle_m` (..., 2) above the line from heel to toe; the sole turns about the knee's axis.
    """
    ankle, length = joints[..., _LEGS[:, 2], :], _shank_m(joints)[..., None]
    left, arms = leg_axes(joints)[..., 2, :] * _OUTWARDS, np.array([-HEEL, TOE])
    for _ in range(3):
        across = unit(np.cross(left, direction))  # down through the sole
        both = (ankle + ankle_m[..., None] * across)[..., None, :] + (length * arms)[..., None] * direction[
            ..., None, :
        ]
        sunk = (SOLE_M - both[..., 2]).clip(min=0)
        # what is in the floor turns out of it; where both ends are, turning does not help
        tilt = np.where(sunk.min(-1) > 0, 0, (sunk / (length * arms)).sum(-1))
        direction = unit(direction + tilt[..., None] * [0, 0, 1])
    both[..., 2] += sunk.max(-1, keepdims=True)
    return both.reshape(*joints.shape[:-2], len(FOOT), 3).astype(np.float32)


def _feet_of(take: Take, placement: Placement, track_id: int) -> Feet:
    frames, joints = placement.world(track_id)
    time = take.seconds(frames)
    known = placement.planted.get(track_id)
    if known is None:
        planted = planted_feet(Body(time, joints - joints[:, :1], joints[:, 0]))
    else:
        planted = np.array([known[f] for f in frames])
    direction, seen = _sighted(take, placement, track_id, joints)
    points = np.empty((len(frames), len(FOOT), 3), np.float32)
    for k, ankle in enumerate(_LEGS[:, 2]):
        # what somebody stands on, a roof or a box, is the floor under a foot that is not beside it
        level = np.array([placement.floor_m.get(track_id, {}).get(f, 0.0) for f in frames])
        floor = np.clip(joints[:, ankle, 2] - ANKLE_HEIGHT_M, np.minimum(level, 0), level)[:, None, None] * [0, 0, 1]
        for begin, end in unbroken(frames):
            part, ends = slice(begin, end), slice(2 * k, 2 * k + 2)
            found = foot_points(time[part], (joints - floor)[part], planted[part], direction[part], seen[part])
            points[part, ends] = found[:, ends] + floor[part]
    return Feet(frames, points, seen, planted)


def _sighted(take: Take, placement: Placement, track_id: int, joints: NDArray) -> tuple[NDArray, NDArray]:
    """Directions (F, 2, 3) in world axes that 2D heels and toes show, and where they do (F, 2) bool."""
    frames, people = sorted(placement.poses[track_id]), take.tracks[track_id].people
    camera, n = lens(placement), len(frames)
    seen, shown, rays = np.zeros((n, 2), bool), np.zeros((n, 2, 2)), np.zeros((n, 2, 2))
    if camera is None or all(person.feet is None for person in people.values()):
        return np.zeros((n, 2, 3)), seen
    R_cam_world = rotations(take, placement, frames)
    body, length = np.einsum("fij,fkj->fki", R_cam_world, joints), TIP * (TOE + HEEL) * _shank_m(joints)
    legs = _LEGS.ravel()
    for f, frame in enumerate(frames):
        person = people.get(frame)
        if person is None or person.feet is None:
            continue
        points, score = coco17_to_h36m17(person.joints_px, person.score)
        found = legs[score[legs] > _SEEN]
        if len(found) < 3:
            continue
        flat, there = camera.rays(points[found]), body[f, found, :2]
        flat, there = flat - flat.mean(0), there - there.mean(0)
        rays_per_m = (flat * there).sum() / max(float((there * there).sum()), 1e-9)
        if rays_per_m > 0:
            ends = camera.rays(person.feet[:, :2]).reshape(2, 2, 2)
            seen[f] = (person.feet[:, 2].reshape(2, 2).min(1) > _SEEN) & (score[_LEGS[:, 2]] > _SEEN)
            shown[f], rays[f] = (ends[:, 1] - ends[:, 0]) / (rays_per_m * length[f])[:, None], ends.mean(1)
    prior = np.einsum("fij,fkj->fki", R_cam_world, by_leg(joints.astype(np.float64)))
    return np.einsum("fji,fkj->fki", R_cam_world, combined(prior, shown, rays)), seen


def combined(prior: NDArray, shown: NDArray, rays: NDArray) -> NDArray:
    """The unit directions (..., 3) nearest to a prior and to what a camera shows of them, each by what it is worth.

    Args:
        prior: (..., 3) camera axes.
        shown: (..., 2) the part across the picture, as a share of the whole length.
        rays: (..., 2) where in the picture, x and y at depth 1.
    """
    A = np.zeros((*rays.shape[:-1], 2, 3))
    A[..., 0, 0] = A[..., 1, 1] = 1
    A[..., 2] = -rays
    normal = np.swapaxes(A, -1, -2) @ A / _SEEN_RAD**2 + np.eye(3) / _MODEL_RAD**2
    right = np.einsum("...ki,...k->...i", A, shown) / _SEEN_RAD**2 + prior / _MODEL_RAD**2
    return unit(np.linalg.solve(normal, right[..., None])[..., 0])
