"""Where people see joints, and where Human3.6M's skeleton has them: one linear map takes each to the other.

Detectors learned joints that people clicked on pictures (COCO): hips lower, shoulders farther apart and ankles higher
than those of Human3.6M's motion-capture skeleton, which lifters learned. Shown such joints, a lifter takes them for
another pose: thighs and shanks that come towards the camera. The map is the same in the picture as in space, since
each joint is moved along the way to another, by a share of it.

Human3.6M's hips lie farther forward, too: its people's trunks lean back against their legs. What the picture shows
across the line of sight is the detector's all the same; along it, a lifter puts hips where it learned them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sasmamba.models.geometry import unit
from sasmamba.models.skeletons import H36M

#: Shares: of the trunk by which hips are lifted, of shoulders' distance from the trunk's line that is kept, of the
#: shank by which ankles lie beyond. Poses of real clips that are lifted so explain what was seen by a tenth better, and
#: people whom four cameras filmed come out a tenth nearer to the truth (benchmarks/multi_view.py).
_HIPS_UP, _SHOULDERS_KEPT, _ANKLES_BEYOND = 0.05, 0.93, 0.10
#: By such a share of the trunk people's hips lie behind, as they face. In captured motion trunks of people who stand
#: lean back by 4 to 14° against their legs, of somebody whom four cameras filmed forward by 1°; half of that.
_HIPS_BEHIND = 0.04
_HIPS = [H36M.PELVIS, H36M.LEFT_HIP, H36M.RIGHT_HIP]


def _map() -> NDArray[np.float64]:
    """(17, 17) M, captured joint = sum of M[c, d] * detected joint d; every row sums to one."""
    m = np.eye(17)
    trunk = m[H36M.THORAX] - m[H36M.PELVIS]
    lifted = _HIPS_UP * trunk
    out = m.copy()
    out[_HIPS] += lifted
    out[H36M.SPINE] += 0.5 * lifted  # it stays half-way
    for side in ("LEFT", "RIGHT"):
        shoulder, knee, ankle = (H36M[f"{side}_{joint}"] for joint in ("SHOULDER", "KNEE", "ANKLE"))
        out[shoulder] += (1 - _SHOULDERS_KEPT) * (m[H36M.THORAX] - m[shoulder])
        out[ankle] += _ANKLES_BEYOND * (m[ankle] - m[knee])
    return out


_AS_CAPTURED = _map()
_AS_DETECTED = np.linalg.inv(_AS_CAPTURED)
_MADE_OF = _AS_CAPTURED != 0


def as_captured(xyc: NDArray) -> NDArray[np.float32]:
    """Detected joints (..., 17, 3), H36M-17 x, y, score, where Human3.6M's skeleton would have them in the picture.

    A joint stays where it is while one that tells the way is missing; scores stay.
    """
    moved = np.einsum("cd,...dk->...ck", _AS_CAPTURED, xyc[..., :2])
    told = np.where(_MADE_OF, xyc[..., None, :, 2], 1).min(-1) > 0
    out = np.array(xyc, np.float32)
    out[..., :2] = np.where(told[..., None], moved, xyc[..., :2])
    return out


def as_detected(poses: NDArray) -> NDArray[np.float32]:
    """Poses (..., 17, 3) of Human3.6M's skeleton, from the pelvis, as detectors' joints, from the pelvis.

    In the axes of a camera that looks straight at the person: x right, y down, z forward.
    """
    moved = np.einsum("dc,...ck->...dk", _AS_DETECTED, poses)
    trunk = moved[..., H36M.THORAX, :] - moved[..., H36M.PELVIS, :]
    left = sum(moved[..., H36M[f"LEFT_{j}"], :] - moved[..., H36M[f"RIGHT_{j}"], :] for j in ("HIP", "SHOULDER"))
    ahead = unit(np.cross(left, trunk))
    behind = _HIPS_BEHIND * np.linalg.norm(trunk, axis=-1) * ahead[..., 2]
    moved[..., _HIPS, 2] -= behind[..., None]
    moved[..., H36M.SPINE, 2] -= 0.5 * behind
    return np.asarray(moved - moved[..., H36M.PELVIS, None, :], np.float32)
