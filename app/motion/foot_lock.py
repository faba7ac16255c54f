"""Planted feet held where they stand, jumps that fall as they must, and legs that reach from the one to the other.

The path gives way first, smoothly; then the legs are solved exactly, knees staying in their planes: a planted foot does
not move at all. Feet in the air keep their way and join their stances without a jerk.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.footing import ANKLE_HEIGHT_M, G_M_S2, LEGS, LONGEST_FLIGHT_S, Body, stances_of
from sasmamba.app.motion.smoothing import compromise, zero_phase
from sasmamba.common.runs import runs
from sasmamba.models.geometry import unit
from sasmamba.models.skeletons import H36M

#: How long a planted foot holds the path against what 2D says: no longer than a stance, whose depth may drift.
_HOLD_S = 0.3
#: How fast a foot that stands settles onto the floor.
_SETTLE_S = 0.2
#: Gaussian smoothing of what is done to a path for the sake of planted feet: at first, and of the rest that remains.
_STEADY_S, _CARRY_S = 0.15, 0.05
#: Up or down, hips give way by so much at most for feet that stand.
_RISE_M = 0.15
#: A hip rises and the other sinks by so much at most, so that both feet reach the floor with knees as they are.
_TILT_M = 0.03
#: An ankle above the sole, at least and at most; a stance of one foot may be so much off.
_ANKLE_M, _SOLE_M = (0.04, 0.13), 0.005
#: What is slower than this over the floor, smoothed so, is a foot that turns or shuffles, and not the lifter's.
_SHUFFLE_S, _SHUFFLE_M_S = 0.5, 0.012
#: A foot in the air keeps what its stances ask of it for so long; between nearer ones it passes from one to the other.
_BLEND_S, _STEP_S = 0.25, 0.8
#: A leg is never quite straight: as a share of its length. It gives way within so long.
_STRETCHED, _GIVE_S = 0.998, 0.06
#: A knee bends forward by at least so little, where its plane is to be told from noise.
_FORWARD_M = 0.03
#: Nobody flies for less, a step of running hardly does. It is free fall within so much, root mean square.
_FLIGHT_S, _FALL_M = 0.18, 0.03
#: The lower ankle is so far above where it stands in the middle of a flight.
_OFF_M = 0.05
#: What a flight asks of the path is taken up by so much before and after.
_TAKE_OFF_S = 0.12


def steadied(body: Body, planted: NDArray, level: NDArray) -> Body:
    """The body with planted feet that stand still where they are, on the floor, and that falls as bodies do.

    Args:
        body: in world axes, floor at z = 0.
        planted: (F, 2) bool.
        level: (F, 2) height of what each foot stands on, where it is planted.
    """
    if len(body.time) < 2:
        return body
    body = body.posed(body.joints, body.pelvis + _path_correction(body, planted, level))
    body = body.posed(body.joints, body.pelvis + _out_of_the_floor(body, planted))
    body = body.posed(body.joints, _falling(body, planted))
    anchors = _anchors(body, planted, level)
    body = _carried(body, anchors, planted)
    lack = _filled(body.time, np.where(planted[..., None], anchors - body.ankles, 0), planted)
    target = body.ankles + lack
    floor = np.where(planted, target[..., 2], ANKLE_HEIGHT_M - 0.03)
    target[..., 2] = np.maximum(target[..., 2], floor)
    body = body.posed(body.joints, body.pelvis + _within_reach(body, target, planted))
    return body.posed(_legs_to(body, target))


def _anchors(body: Body, planted: NDArray, level: NDArray) -> NDArray:
    """(F, 2, 3) where each planted ankle is to be: over the floor where it was, but for what moves fast, and as high
    above what it stands on as that ankle mostly is, give or take `_SOLE_M`."""
    out = body.ankles.copy()
    height = out[..., 2] - level
    usual = [np.median(height[planted[:, k], k]) if planted[:, k].any() else ANKLE_HEIGHT_M for k in range(2)]
    own = np.clip(usual, *_ANKLE_M)
    for foot, begin, end in stances_of(planted):
        where = zero_phase(body.time[begin:end], body.ankles[begin:end, foot, :2], _SHUFFLE_S, degree=1)
        middle = where.mean(0)
        fastest = np.abs(np.gradient(where, body.time[begin:end], axis=0)).max() if end - begin > 1 else 0.0
        out[begin:end, foot, :2] = middle + (where - middle) * min(1, _SHUFFLE_M_S / max(fastest, 1e-9))
        above = np.median(height[begin:end, foot]) - own[foot]
        out[begin:end, foot, 2] = np.median(level[begin:end, foot]) + own[foot] + above.clip(-_SOLE_M, _SOLE_M)
    return out


def _carried(body: Body, anchors: NDArray, planted: NDArray) -> Body:
    """The body with hips raised or lowered, each by itself, by what planted ankles need and knees stay as bent as they
    are with; smoothly, and straight from stance to stance. A leg that is nearly straight bends by much where it is a
    little too long, so hips give way before knees.
    """
    time, stands = body.time, np.asarray(planted.any(1))
    if not stands.any():
        return body
    rise, say = np.zeros((len(time), 2)), np.zeros((len(time), 2))
    for foot, (hip, _, ankle) in enumerate(LEGS):
        length = np.linalg.norm(body.joints[:, ankle] - body.joints[:, hip], axis=1)
        way = anchors[:, foot] - body.joints[:, hip] - body.pelvis
        upright = np.sqrt((length**2 - (way[:, :2] ** 2).sum(1)).clip(0))
        rise[:, foot] = (way[:, 2] + upright).clip(-_RISE_M, _RISE_M)
        # a leg that lies has no say in how high its hip is
        say[:, foot] = planted[:, foot] * (upright / length) ** 2 + 1e-9
    up = _bridged(time, (rise * say).sum(1) / say.sum(1), stands)
    both = np.asarray(planted.all(1))
    tilt = _bridged(time, ((rise[:, 0] - rise[:, 1]) / 2).clip(-_TILT_M, _TILT_M), both) if both.any() else 0 * up
    joints = body.joints.copy()
    for sign, leg in zip((1, -1), LEGS, strict=True):
        old = joints[:, leg[0]].copy()
        new = old + (sign * tilt)[:, None] * [0, 0, 1]
        new *= np.linalg.norm(old, axis=1, keepdims=True) / np.linalg.norm(new, axis=1, keepdims=True)
        joints[:, leg] += (new - old)[:, None]
    return body.posed(joints, body.pelvis + up[:, None] * [0, 0, 1])


def _bridged(time: NDArray, values: NDArray, known: NDArray) -> NDArray:
    """Values (F, ...) smoothed, and straight between frames in which they are known (F,)."""
    flat = values.reshape(len(time), -1)
    at = np.stack([np.interp(time, time[known], column[known]) for column in flat.T], 1)
    return zero_phase(time, at, _CARRY_S, degree=1).reshape(values.shape)


def _filled(time: NDArray, lack: NDArray, planted: NDArray) -> NDArray:
    """`lack` (F, 2, 3) also where feet are in the air: from stance to stance, or dying away."""
    out = lack.copy()
    for foot in range(2):
        stances = runs(planted[:, foot])
        edges = [(None, stances[0][0])] if len(stances) else []
        edges += [(a[1] - 1, b[0]) for a, b in pairwise(stances)]
        edges += [(stances[-1][1] - 1, None)] if len(stances) else []
        for before, after in edges:
            first, last = 0 if before is None else before + 1, len(time) if after is None else after
            t = time[first:last]
            if before is not None and after is not None and time[after] - time[before] < _STEP_S:
                share = _ease((t - time[before]) / (time[after] - time[before]))[:, None]
                out[first:last, foot] = (1 - share) * lack[before, foot] + share * lack[after, foot]
                continue
            if before is not None:
                out[first:last, foot] += (1 - _ease((t - time[before]) / _BLEND_S))[:, None] * lack[before, foot]
            if after is not None:
                out[first:last, foot] += (1 - _ease((time[after] - t) / _BLEND_S))[:, None] * lack[after, foot]
    return out


def _ease(x: NDArray) -> NDArray:
    """0 up to 0 and 1 from 1 on, level at both."""
    x = x.clip(0, 1)
    return x * x * (3 - 2 * x)


def _falling(body: Body, planted: NDArray) -> NDArray:
    """The path (F, 3) with flights that are parabolas of free fall, where they nearly were."""
    time, path = body.time, body.pelvis.copy()
    low = body.ankles[..., 2].min(1)
    for begin, end in runs(np.asarray(~planted.any(1))):
        for a, b in _flights(time[begin:end], path[begin:end, 2], low[begin:end]):
            first, last = begin + a, begin + b
            change = _fall_error(time[None, first:last], path[None, first:last, 2])[0]
            path[first:last, 2] -= change
            for edge, at, step in ((first, change[0], -1), (last - 1, change[-1], 1)):
                beside = np.arange(edge + step, -1 if step < 0 else len(time), step)
                beside = beside[np.abs(time[beside] - time[edge]) < _TAKE_OFF_S]
                path[beside, 2] -= at * (1 - _ease(np.abs(time[beside] - time[edge]) / _TAKE_OFF_S))
    return path


def _fall_error(time: NDArray, height: NDArray) -> NDArray:
    """(n, w) how far heights (n, w) are above the parabola of free fall that fits each row best."""
    t = time - time.mean(1, keepdims=True)
    rest = height + 0.5 * G_M_S2 * t * t
    rest = rest - rest.mean(1, keepdims=True)
    slope = (rest * t).sum(1, keepdims=True) / (t * t).sum(1, keepdims=True)
    return np.asarray(rest - slope * t)


def _flights(time: NDArray, height: NDArray, low: NDArray) -> list[tuple[int, int]]:
    """Where in a stretch without a planted foot the pelvis falls freely, first frame and end of each, longest first."""
    out: list[tuple[int, int]] = []
    taken = np.zeros(len(time), bool)
    if len(time) < 4:
        return out
    longest = min(len(time), int(LONGEST_FLIGHT_S / float(np.median(np.diff(time)))) + 1)
    for width in range(longest, 3, -1):
        t, z, high, used = (np.lib.stride_tricks.sliding_window_view(x, width) for x in (time, height, low, taken))
        seconds = t[:, -1] - t[:, 0]
        fits = (seconds >= _FLIGHT_S) & (seconds <= LONGEST_FLIGHT_S)
        fits &= high[:, width // 2] > ANKLE_HEIGHT_M + _OFF_M
        if not fits.any():
            continue
        off = np.sqrt((_fall_error(t, z) ** 2).mean(1))
        for first in np.flatnonzero(fits & (off < _FALL_M * np.minimum(1, seconds / 0.4))).tolist():
            if not used[first].any():  # a view: what was taken a moment ago shows
                taken[first : first + width] = True
                out.append((first, first + width))
    return out


def _out_of_the_floor(body: Body, planted: NDArray) -> NDArray:
    """(F, 3) to add to the path, upwards, so that no hand and no head is in the floor while no foot stands on it."""
    feet_first = body.underside == body.ankles[..., 2].min(1) - ANKLE_HEIGHT_M
    deep = np.where(planted.any(1) | feet_first, 0, -body.underside).clip(min=0)
    return _smoothly(body.time, deep)


def _smoothly(time: NDArray, most: NDArray) -> NDArray:
    """(F, 3) upwards, without a jerk, by `most` (F,) or a little more: 0 or above, or 0 or below."""
    out = np.zeros((len(most), 3))
    if most.any():
        near = max(1, round(_GIVE_S / float(np.median(np.diff(time)))))
        around = np.lib.stride_tricks.sliding_window_view(np.pad(most, near, "edge"), 2 * near + 1)
        farthest = around.max(1) if most.max() > 0 else around.min(1)
        out[:, 2] = zero_phase(time, farthest, _GIVE_S / 2, degree=1)
    return out


def _within_reach(body: Body, target: NDArray, planted: NDArray) -> NDArray:
    """(F, 3) to add to the path, downwards, so that planted ankles at `target` (F, 2, 3) are within the legs' reach."""
    down = np.zeros(len(body.time))
    for foot, (hip, knee, ankle) in enumerate(LEGS):
        reach = _STRETCHED * _leg_lengths(body.joints, hip, knee, ankle).sum(0)
        way = target[:, foot] - body.joints[:, hip] - body.pelvis
        level = np.minimum(np.linalg.norm(way[:, :2], axis=1), 0.95 * reach)
        short = np.sqrt(reach**2 - level**2) + way[:, 2]
        down = np.minimum(down, np.where(planted[:, foot], short, 0))
    return _smoothly(body.time, down)


def _leg_lengths(joints: NDArray, hip: int, knee: int, ankle: int) -> NDArray:
    """(2, F) thigh and shank."""
    return np.stack([np.linalg.norm(joints[:, b] - joints[:, a], axis=1) for a, b in ((hip, knee), (knee, ankle))])


def _legs_to(body: Body, target: NDArray) -> NDArray:
    """Joints (F, 17, 3) with ankles at `target` (F, 2, 3) as far as the legs reach, bones as long as they were.

    Each knee stays in the plane it was in; of a straight leg that is the plane in which the body faces.
    """
    joints = body.joints.copy()
    across = joints[:, H36M.LEFT_HIP] - joints[:, H36M.RIGHT_HIP]
    trunk = joints[:, H36M.THORAX] - joints[:, H36M.PELVIS]
    forward = unit(np.cross(across, trunk))
    for foot, (hip, knee, ankle) in enumerate(LEGS):
        thigh, shank = _leg_lengths(joints, hip, knee, ankle)
        way = target[:, foot] - body.pelvis - joints[:, hip]
        distance = np.linalg.norm(way, axis=1).clip(np.abs(thigh - shank) + 1e-4, _STRETCHED**0.5 * (thigh + shank))
        axis = unit(way)
        bend = joints[:, knee] - joints[:, hip] + _FORWARD_M * forward
        bend = unit(bend - (bend * axis).sum(1, keepdims=True) * axis)
        along = (thigh**2 - shank**2 + distance**2) / (2 * distance)
        out = np.sqrt((thigh**2 - along**2).clip(0))
        joints[:, knee] = joints[:, hip] + along[:, None] * axis + out[:, None] * bend
        joints[:, ankle] = joints[:, hip] + distance[:, None] * axis
    return joints


def _path_correction(body: Body, planted: NDArray, level: NDArray) -> NDArray:
    """(F, 3) to add to the path: the least-squares compromise between feet that stand still, a path that stays where 2D
    saw it, and, over the time between two steps or in a jump, the shape of the path as it was."""
    time, ankles = body.time, body.ankles
    out = np.zeros((len(time), 3))
    held = planted[1:] & planted[:-1]
    # what the path must do so that the planted feet, on average, do not move
    move = -(np.diff(ankles, axis=0) * held[..., None]).sum(1) / np.maximum(held.sum(1), 1)[:, None]
    for axis in range(2):
        out[:, axis] = compromise(np.gradient(time) / _HOLD_S**2, 0 * time, 1 / np.diff(time), move[:, axis])
    out = zero_phase(time, out, _STEADY_S, degree=1)
    height = ankles[..., 2] - ANKLE_HEIGHT_M - np.where(planted, level, 0)
    on_floor = np.asarray(planted.any(1))
    stay = np.gradient(time) / np.where(on_floor, _SETTLE_S, _HOLD_S) ** 2
    target = -(height * planted).sum(1) / np.maximum(planted.sum(1), 1)
    out[:, 2] = compromise(stay, target, 1 / np.diff(time), np.where(on_floor[1:], 0, move[:, 2]))
    return out
