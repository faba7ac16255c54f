"""The body's centre of mass from joint centres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sasmamba.models.skeletons import H36M

#: Segments from joint to joint: where along them their own centre lies, and their share of the body's mass. Trunk,
#: head, and of either side upper arm, forearm with hand, thigh, shank with foot.
#: Source: Winter, Biomechanics and Motor Control of Human Movement, 2009, table 4.1 (after Dempster).
_SIDED = (
    ("SHOULDER", "ELBOW", 0.436, 0.028),
    ("ELBOW", "WRIST", 0.682, 0.022),
    ("HIP", "KNEE", 0.433, 0.1),
    ("KNEE", "ANKLE", 0.606, 0.061),
)
_SEGMENTS = [
    (H36M.PELVIS, H36M.THORAX, 0.5, 0.497),
    (H36M.THORAX, H36M.HEAD_TOP, 0.6, 0.081),
    *((H36M[f"{side}_{a}"], H36M[f"{side}_{b}"], at, m) for side in ("LEFT", "RIGHT") for a, b, at, m in _SIDED),
]


def centre_of_mass(joints: NDArray) -> NDArray:
    """(F, 3) of bodies (F, 17, 3), in their axes and unit; segments with an unknown joint are left out."""
    weighted, mass = np.zeros((len(joints), 3)), np.zeros((len(joints), 1))
    for a, b, at, share in _SEGMENTS:
        centre = (1 - at) * joints[:, a] + at * joints[:, b]
        known = np.isfinite(centre).all(1, keepdims=True)
        weighted += np.where(known, share * centre, 0)
        mass += share * known
    return np.asarray(weighted / np.where(mass > 0, mass, np.nan))
