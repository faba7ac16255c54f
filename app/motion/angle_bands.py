"""How sure joint angles are, by how sure the joints are of which they are made."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Width:
    """What a 95 % band's half-width is made of; squares of the three add.

    Attributes:
        joints: how much of what the joints' own intervals make of it, see `angle_half_widths`: neighbours err together,
            so that it is less than all.
        least_deg: whatever the joints say: what people's bodies, and feet that are held where they stand, add.
        up: standard deviations of which way is up, of an angle against gravity.
    """

    joints: float
    least_deg: float
    up: float = 0.0


#: Fitted on first takes of Human3.6M's S8 from true COCO points, with MediaPipe's noise and with MoveNet's, all at once
#: (benchmarks/angle_bands.py --fit); that benchmark reports on others.
WIDTHS = {
    "hip_flexion": Width(0.90, 5.0),
    "hip_abduction": Width(0.70, 1.5),
    "knee_flexion": Width(0.55, 10.5),
    "shank_inclination": Width(0.80, 4.5, 1.5),
    "ankle_dorsiflexion": Width(0.40, 18.0),
    "shoulder_elevation": Width(0.75, 2.5),
    "elbow_flexion": Width(0.75, 8.0),
    "trunk_forward_lean": Width(1.05, 0.0, 1.96),
    "trunk_right_lean": Width(0.75, 0.0, 1.0),
}
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
    as independent, so that their squares add. Those of neighbours go together in truth, which makes intervals of angles
    between long limbs a little too wide; `angle_bands` knows better. Ankle angles have none: the foot is no joint.

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


def angle_bands(joints: NDArray, half_width_m: NDArray, sight: NDArray, up_sd_deg: NDArray) -> dict[str, NDArray]:
    """Half-widths (F,) of every angle's 95 % band, degrees, by the names of `Angle.series`; NaN where not known.

    An ankle's counts only where heel and toe were seen: there alone is the angle.

    Args:
        joints: as `angle_half_widths` takes them.
        half_width_m: of the joints' 95 % intervals.
        sight: as `angle_half_widths` takes it.
        up_sd_deg: (F,) how unsure it is which way is up, as `ShotCamera.sd_deg`.
    """
    told = angle_half_widths(joints, half_width_m, sight)
    out = {}
    for angle in ANGLES:
        width = WIDTHS[angle.name]
        for series in angle.series:
            # the foot turns about the ankle: what is known of the shank is part of it
            own = told[series.replace("ankle_dorsiflexion", "shank_inclination")]
            out[series] = np.sqrt((width.joints * own) ** 2 + width.least_deg**2 + (width.up * up_sd_deg) ** 2)
    return out
