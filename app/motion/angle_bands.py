"""How sure joint angles are, by how sure the joints are of which they are made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.certainty import Certainty
from sasmamba.models.angles import ANGLES, joint_angles
from sasmamba.models.geometry import unit
from sasmamba.models.skeletons import H36M

#: What tells each angle: joints of its own side, and of the middle.
_TRUNK = ("PELVIS", "THORAX")
_TOLD_BY: dict[str, tuple[str, ...]] = {
    "hip_flexion": ("HIP", "KNEE", *_TRUNK),
    "hip_abduction": ("HIP", "KNEE", *_TRUNK),
    "knee_flexion": ("HIP", "KNEE", "ANKLE"),
    "shank_inclination": ("KNEE", "ANKLE"),
    "ankle_dorsiflexion": ("KNEE", "ANKLE"),
    "shoulder_elevation": ("SHOULDER", "ELBOW", *_TRUNK),
    "elbow_flexion": ("SHOULDER", "ELBOW", "WRIST"),
    "trunk_forward_lean": _TRUNK,
    "trunk_right_lean": _TRUNK,
}
#: By how much 95 % bands of angles against gravity are wider than their joints alone make them: which way is up has an
#: error of its own. Set on first takes of Human3.6M's S8, see benchmarks/measures.py --bands.
WIDER = {"trunk_forward_lean": 1.8, "trunk_right_lean": 1.8}
#: Joints that no angle is made of.
_IDLE = {H36M.NOSE, H36M.HEAD_TOP}
#: Joints are moved by so much, metres, to see what an angle does.
_STEP_M = 1e-3


def angle_states(states: NDArray) -> dict[str, NDArray]:
    """`Certainty` (F,) of every angle by the names of `Angle.series`: that of the least known joint (F, 17 or more)."""
    out = {}
    for angle in ANGLES:
        for series in angle.series:
            side = series.partition("_")[0].upper()
            joints = [H36M[j if j in H36M.__members__ else f"{side}_{j}"] for j in _TOLD_BY[angle.name]]
            out[series] = states[:, joints].min(1, initial=Certainty.SEEN)
    return out


def angle_half_widths(joints: NDArray, half_width_m: NDArray, sight: NDArray) -> dict[str, NDArray[np.float64]]:
    """Half-widths (F,) of every angle's interval, degrees, by the names of `Angle.series`; NaN where not known.

    First order (the law of propagation of uncertainty, JCGM 100:2008, 5.1.2): by how much the angle turns for a
    millimetre of each joint along each axis, times that joint's half-width; errors of different joints and axes count
    as independent, so that their squares add. Those of neighbours go together in truth, which makes bands of angles
    between long limbs a little too wide. Ankle angles have none: heels and toes have no intervals.

    Args:
        joints: (F, 17, 3) world axes, metres.
        half_width_m: (F, 17, 2) of intervals across and along the line of sight; the angles' are of the same level.
        sight: (F, 3) unit vectors of the line of sight.
    """
    p = np.asarray(joints, np.float64)
    aside = unit(np.cross(sight, np.eye(3)[np.abs(np.nan_to_num(sight)).argmin(-1)]))
    here = joint_angles(p)
    variance = {name: np.zeros(len(p)) for name in here}
    for joint in H36M:
        if joint in _IDLE:
            continue
        for axis, way in ((aside, 0), (np.cross(sight, aside), 0), (sight, 1)):
            moved = p.copy()
            moved[:, joint] += _STEP_M * axis
            for name, there in joint_angles(moved).items():
                turned = (there - here[name] + 180) % 360 - 180
                # of a joint that an angle is not made of nothing need be known
                by = np.where(turned == 0, 0, turned / _STEP_M * half_width_m[:, joint, way])
                variance[name] += by**2
    return {
        name: np.full(len(p), np.nan) if name.endswith("dorsiflexion") else np.sqrt(variance[name]) for name in variance
    }
