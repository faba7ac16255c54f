"""Joint angles over time, as sports and clinics name them, from joints in world axes.

H36M-17 has joint centres only: no foot, no hand, and of every bone its direction but not its roll. So there is no
rotation about a limb's own axis, and no sign of a knee that bends the wrong way. An ankle angle is given only where the
foot was seen; in its place there is always the shank's inclination, which is the ankle's angle as long as the sole lies
flat on the floor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sasmamba.models.skeletons import FOOT, H36M

#: An axis whose part across another is shorter than this share of it does not tell a direction: about 14°.
_LEAST_ACROSS = 0.25
_SIDES = ("left", "right")


@dataclass(frozen=True, slots=True)
class Angle:
    """An angle that is given: its name, what to call it, how it is defined, and whether there is one on either side."""

    name: str
    label: str
    definition: str
    sides: bool = True

    @property
    def series(self) -> tuple[str, ...]:
        """Its names in `joint_angles`: left_knee_flexion and right_knee_flexion, or trunk_forward_lean."""
        return tuple(f"{side}_{self.name}" for side in _SIDES) if self.sides else (self.name,)


ANGLES = (
    Angle(
        "hip_flexion",
        "Hip flexion",
        "thigh against the trunk's axis, seen from the side: 0° in line, positive with the knee in front",
    ),
    Angle("hip_abduction", "Hip abduction", "thigh out of the trunk's mid-plane: positive away from the other leg"),
    Angle("knee_flexion", "Knee flexion", "shank against the thigh's line: 0° straight; overextended counts as flexed"),
    Angle(
        "shank_inclination",
        "Shank inclination",
        "shank against the vertical, seen from the side: positive with the knee in front of the ankle; with the sole "
        "flat on the floor it is the ankle's angle",
    ),
    Angle(
        "ankle_dorsiflexion",
        "Ankle dorsiflexion",
        "foot (heel to ball) against the shank's perpendicular: 0° at a right angle, positive with the toes up; only "
        "where the 2D stage saw heel and toe",
    ),
    Angle(
        "shoulder_elevation",
        "Shoulder elevation",
        "upper arm against the trunk's axis, in whatever direction: 0° hanging, 90° level, 180° overhead",
    ),
    Angle("elbow_flexion", "Elbow flexion", "forearm against the upper arm's line: 0° straight"),
    Angle(
        "trunk_forward_lean",
        "Trunk lean forward",
        "pelvis to thorax against gravity, seen from the side: 0° upright, positive forward",
        False,
    ),
    Angle(
        "trunk_right_lean",
        "Trunk lean to the right",
        "pelvis to thorax out of the upright plane that looks forward: 0° in it, positive to the right",
        False,
    ),
)


def joint_angles(
    joints: NDArray, feet: NDArray | None = None, feet_seen: NDArray | None = None
) -> dict[str, NDArray[np.float64]]:
    """Every angle of `ANGLES`, by the names of `Angle.series`: (F,) degrees, NaN where a joint of it is missing.

    Angles between body parts keep under any rotation and scale; the trunk's lean and the shank's inclination know which
    way is down and keep under turns about it. What an angle is told by must have a direction: the hips' line one on the
    floor (for leans and the shank) and one across the trunk, the thigh one in the trunk's mid-plane; NaN without.

    Args:
        joints: (F, 17, 3) H36M-17 in right-handed axes with z up, any unit; NaN where there is no pose.
        feet: (F, 4, 3) heels and toes in the order of `FOOT`; without them there are no ankle angles.
        feet_seen: (F, 2) left and right, where the foot was seen: one that follows from the shank has no angle to it.

    Source: the conventions of Wu et al., J. Biomech. 35 (2002) and 38 (2005), as far as joint centres tell them: hip
    flexion and shoulder elevation against the trunk, since a pelvis of two hips and a midpoint has no tilt of its own.
    """
    if joints.ndim != 3 or joints.shape[1:] != (17, 3):
        raise ValueError(f"joints: want (F, 17, 3), got {joints.shape}")
    p = np.asarray(joints, np.float64)
    up = np.array([0.0, 0.0, 1.0])
    trunk = _unit(p[:, H36M.THORAX] - p[:, H36M.PELVIS])
    hips = _unit(p[:, H36M.LEFT_HIP] - p[:, H36M.RIGHT_HIP])
    left, level_left = _across(hips, trunk), _across(hips, up)
    front, level_front = np.cross(left, trunk), np.cross(level_left, up)
    out = {}
    for side, outwards in (("left", left), ("right", -left)):
        hip, knee, ankle, shoulder, elbow, wrist = (
            p[:, H36M[f"{side.upper()}_{joint}"]] for joint in ("HIP", "KNEE", "ANKLE", "SHOULDER", "ELBOW", "WRIST")
        )
        thigh, shank, upper_arm, forearm = (
            _unit(end - begin) for begin, end in ((hip, knee), (knee, ankle), (shoulder, elbow), (elbow, wrist))
        )
        out[f"{side}_hip_flexion"] = _turn(_dot(thigh, front), -_dot(thigh, trunk))
        out[f"{side}_hip_abduction"] = np.degrees(np.arcsin(_dot(thigh, outwards).clip(-1, 1)))
        out[f"{side}_knee_flexion"] = _between(thigh, shank)
        out[f"{side}_shank_inclination"] = _turn(-_dot(shank, level_front), -_dot(shank, up))
        out[f"{side}_ankle_dorsiflexion"] = np.full(len(p), np.nan)
        if feet is not None and feet_seen is not None:
            heel, toe = (feet[:, FOOT[f"{side.upper()}_{end}"]].astype(float) for end in ("HEEL", "TOE"))
            seen = feet_seen[:, _SIDES.index(side)]
            flexion = 90 - _between(_unit(toe - heel), shank)
            out[f"{side}_ankle_dorsiflexion"] = np.where(seen, -flexion, np.nan)
        out[f"{side}_shoulder_elevation"] = _between(upper_arm, -trunk)
        out[f"{side}_elbow_flexion"] = _between(upper_arm, forearm)
    out["trunk_forward_lean"] = _turn(_dot(trunk, level_front), _dot(trunk, up))
    out["trunk_right_lean"] = np.degrees(np.arcsin(-_dot(trunk, level_left).clip(-1, 1)))
    return {name: out[name] for angle in ANGLES for name in angle.series}


def _unit(v: NDArray) -> NDArray:
    """Vectors (..., 3) of length 1; NaN for one without length."""
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    return v / np.where(length > 1e-9, length, np.nan)


def _across(v: NDArray, axis: NDArray) -> NDArray:
    """The direction of unit vectors across a unit axis; NaN where they hardly have one."""
    part = v - _dot(v, axis)[..., None] * axis
    length = np.linalg.norm(part, axis=-1, keepdims=True)
    return part / np.where(length > _LEAST_ACROSS, length, np.nan)


def _dot(a: NDArray, b: NDArray) -> NDArray:
    return np.asarray((a * b).sum(-1))


def _between(a: NDArray, b: NDArray) -> NDArray:
    """Degrees between unit vectors, 0 to 180; unlike the arc cosine exact for small angles, too."""
    return np.degrees(2 * np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1)))


def _turn(ahead: NDArray, along: NDArray) -> NDArray:
    """Degrees from along to ahead, -180 to 180; NaN where both are too short to tell."""
    return np.where(np.hypot(ahead, along) > _LEAST_ACROSS, np.degrees(np.arctan2(ahead, along)), np.nan)
