"""Joints by name, edges, and conversions between skeletons: the only file with joint numbers.

H36M-17 is what the lifter speaks (the order of Human3.6M's 17-joint subset as used by VideoPose3D and after it).
COCO-17 is what 2D detectors speak. MediaPipe's 33 landmarks contain COCO-17.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

#: Stored in every checkpoint: a lifter must be fed joints derived the way it was trained on.
CONVERSION_ID = "coco17-to-h36m17/1"


class H36M(IntEnum):
    """Human3.6M, 17 joints."""

    PELVIS = 0
    RIGHT_HIP = 1
    RIGHT_KNEE = 2
    RIGHT_ANKLE = 3
    LEFT_HIP = 4
    LEFT_KNEE = 5
    LEFT_ANKLE = 6
    SPINE = 7
    THORAX = 8
    NOSE = 9
    HEAD_TOP = 10
    LEFT_SHOULDER = 11
    LEFT_ELBOW = 12
    LEFT_WRIST = 13
    RIGHT_SHOULDER = 14
    RIGHT_ELBOW = 15
    RIGHT_WRIST = 16


class COCO(IntEnum):
    """COCO keypoints, 17 joints."""

    NOSE = 0
    LEFT_EYE = 1
    RIGHT_EYE = 2
    LEFT_EAR = 3
    RIGHT_EAR = 4
    LEFT_SHOULDER = 5
    RIGHT_SHOULDER = 6
    LEFT_ELBOW = 7
    RIGHT_ELBOW = 8
    LEFT_WRIST = 9
    RIGHT_WRIST = 10
    LEFT_HIP = 11
    RIGHT_HIP = 12
    LEFT_KNEE = 13
    RIGHT_KNEE = 14
    LEFT_ANKLE = 15
    RIGHT_ANKLE = 16


class POSETRACK(IntEnum):
    """PoseTrack's 15 joints, in the order of PoseTrack 2018's annotations without the ears, which nobody labelled."""

    NOSE = 0
    HEAD_BOTTOM = 1
    HEAD_TOP = 2
    LEFT_SHOULDER = 3
    RIGHT_SHOULDER = 4
    LEFT_ELBOW = 5
    RIGHT_ELBOW = 6
    LEFT_WRIST = 7
    RIGHT_WRIST = 8
    LEFT_HIP = 9
    RIGHT_HIP = 10
    LEFT_KNEE = 11
    RIGHT_KNEE = 12
    LEFT_ANKLE = 13
    RIGHT_ANKLE = 14


class FOOT(IntEnum):
    """What is known of feet beside the ankles: the back of the heel bone, and the ball of the foot (the heads of the
    metatarsals), both at about the height of the bones there, 2.5 cm above the floor when somebody stands."""

    LEFT_HEEL = 0
    LEFT_TOE = 1
    RIGHT_HEEL = 2
    RIGHT_TOE = 3


#: MediaPipe landmark of each `FOOT`; its toe is the tip of the big toe, farther ahead than the ball.
MEDIAPIPE33_OF_FOOT = (29, 31, 30, 32)
FOOT_MIRROR = (2, 3, 0, 1)

#: MediaPipe landmark of each COCO joint (BlazePose GHUM, 33 landmarks).
MEDIAPIPE33_OF_COCO17 = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)

#: Parent of each H36M-17 joint; the pelvis is its own.
H36M_PARENTS = (0, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)

#: Limb parent of each joint in PoseMamba's global-local spatial scan.
LIMB_PARENTS = (0, 0, 1, 2, 3, 0, 4, 5, 6, 8, 11, 12, 13, 8, 14, 15, 16)


def _mirrored(joints: type[IntEnum]) -> tuple[int, ...]:
    """For each joint the index of its mirror image: LEFT_X for RIGHT_X, itself for joints on the midline."""
    swap = {"LEFT": "RIGHT", "RIGHT": "LEFT"}
    order = []
    for joint in joints:
        side, _, rest = joint.name.partition("_")
        order.append(int(joints[f"{swap[side]}_{rest}"]) if side in swap else int(joint))
    return tuple(order)


H36M_MIRROR = _mirrored(H36M)
COCO_MIRROR = _mirrored(COCO)
POSETRACK_MIRROR = _mirrored(POSETRACK)

#: H36M's joints that detectors see themselves; the other five are derived from them and lie some centimetres off.
SEEN_JOINTS = tuple(int(H36M[j.name]) for j in COCO if j.name in H36M.__members__ and j != COCO.NOSE)


@dataclass(frozen=True, slots=True)
class Edge:
    """A bone to draw: joint indices and the body side, 'left', 'right' or 'middle'."""

    a: int
    b: int
    side: str


def _edges(joints: type[IntEnum], pairs: list[tuple[str, str]]) -> tuple[Edge, ...]:
    def side(a: str, b: str) -> str:
        if "LEFT" in a + b and "RIGHT" not in a + b:
            return "left"
        return "right" if "RIGHT" in a + b and "LEFT" not in a + b else "middle"

    return tuple(Edge(int(joints[a]), int(joints[b]), side(a, b)) for a, b in pairs)


H36M_EDGES = _edges(H36M, [(H36M(p).name, H36M(j).name) for j, p in enumerate(H36M_PARENTS) if j != p])
#: Bones of feet, among joints and then heels and toes: 17 is the left heel.
FOOT_EDGES = tuple(
    Edge(int(a), len(H36M) + int(FOOT[f"{side}_TOE"]), side.lower())
    for side in ("LEFT", "RIGHT")
    for a in (H36M[f"{side}_ANKLE"], len(H36M) + FOOT[f"{side}_HEEL"])
)
COCO_EDGES = _edges(
    COCO,
    [
        (f"{s}_{a}", f"{s}_{b}")
        for s in ("LEFT", "RIGHT")
        for a, b in (("SHOULDER", "ELBOW"), ("ELBOW", "WRIST"), ("SHOULDER", "HIP"), ("HIP", "KNEE"), ("KNEE", "ANKLE"))
    ]
    + [
        ("LEFT_SHOULDER", "RIGHT_SHOULDER"),
        ("LEFT_HIP", "RIGHT_HIP"),
        ("NOSE", "LEFT_EYE"),
        ("NOSE", "RIGHT_EYE"),
        ("LEFT_EYE", "LEFT_EAR"),
        ("RIGHT_EYE", "RIGHT_EAR"),
    ],
)

#: How far the head top lies beyond the midpoint of the ears, seen from the midpoint of the shoulders.
#: In H36M the middle of the head-neck segment is about 1 cm below the ears; 1.9 puts the top there on average.
HEAD_TOP_REACH = 1.9


def _coco_to_h36m() -> NDArray[np.float32]:
    """(17, 17) matrix M, H36M joint = sum of M[h, c] * COCO joint c; every row sums to one."""
    m = np.zeros((17, 17), np.float32)
    direct = [j for j in H36M if j.name in COCO.__members__]
    for joint in direct:
        m[joint, COCO[joint.name]] = 1.0
    for h, c in ((H36M.PELVIS, "HIP"), (H36M.THORAX, "SHOULDER")):
        m[h, COCO[f"LEFT_{c}"]] = m[h, COCO[f"RIGHT_{c}"]] = 0.5
    m[H36M.SPINE] = 0.5 * (m[H36M.PELVIS] + m[H36M.THORAX])
    ears = np.zeros(17, np.float32)
    ears[[COCO.LEFT_EAR, COCO.RIGHT_EAR]] = 0.5
    m[H36M.HEAD_TOP] = m[H36M.THORAX] + HEAD_TOP_REACH * (ears - m[H36M.THORAX])
    return m


#: The documented place where COCO joints become H36M joints. COCO has no pelvis, spine, thorax or head top: pelvis and
#: thorax are the midpoints of hips and shoulders, the spine lies half-way between them, the head top on the line from
#: the thorax through the midpoint of the ears. Lifters are trained on joints derived by this very matrix.
COCO_TO_H36M = _coco_to_h36m()


@overload
def coco17_to_h36m17(joints: NDArray, score: NDArray) -> tuple[NDArray, NDArray]: ...
@overload
def coco17_to_h36m17(joints: Tensor, score: Tensor) -> tuple[Tensor, Tensor]: ...
def coco17_to_h36m17(joints: NDArray | Tensor, score: NDArray | Tensor) -> tuple[NDArray | Tensor, NDArray | Tensor]:
    """Derives H36M-17 joints from COCO-17 joints, both as arrays or both as tensors.

    Args:
        joints: (..., 17, D) positions in COCO order.
        score: (..., 17); 0 marks a joint that was not found.

    Returns:
        joints (..., 17, D) in H36M order and score (..., 17): the lowest score among the joints each one is made of,
        so a joint made of a missing joint is missing. Positions of missing joints are 0.
    """
    if joints.shape[-2] != 17 or score.shape != joints.shape[:-1]:
        raise ValueError(f"joints and score: want (..., 17, D) and (..., 17), got {joints.shape} and {score.shape}")
    support = COCO_TO_H36M != 0
    if not (isinstance(joints, np.ndarray) and isinstance(score, np.ndarray)):
        return _coco17_to_h36m17_of_tensors(joints, score, support)
    out = np.einsum("hc,...cd->...hd", COCO_TO_H36M, joints).astype(joints.dtype)
    out_score = np.where(support, score[..., None, :], np.inf).min(-1).astype(score.dtype)
    return np.where(out_score[..., None] > 0, out, 0).astype(joints.dtype), out_score


def _coco17_to_h36m17_of_tensors(joints: Any, score: Any, support: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
    import torch  # whoever has tensors has it

    out = torch.einsum("hc,...cd->...hd", torch.from_numpy(COCO_TO_H36M).to(joints), joints)
    made_of = torch.from_numpy(support).to(joints.device)
    out_score = torch.where(made_of, score[..., None, :], torch.inf).amin(-1)
    return torch.where(out_score[..., None] > 0, out, 0), out_score


def mediapipe33_to_coco17(joints: NDArray, score: NDArray) -> tuple[NDArray, NDArray]:
    """Picks COCO-17 out of MediaPipe's 33 landmarks: (..., 33, D) and (..., 33) in, (..., 17, D) and (..., 17) out."""
    if joints.shape[-2] != 33 or score.shape != joints.shape[:-1]:
        raise ValueError(f"joints and score: want (..., 33, D) and (..., 33), got {joints.shape} and {score.shape}")
    index = list(MEDIAPIPE33_OF_COCO17)
    return joints[..., index, :], score[..., index]


def posetrack15_to_coco17(joints: NDArray, score: NDArray) -> tuple[NDArray, NDArray]:
    """Puts PoseTrack's joints where lifters expect them, which is COCO's places.

    Thirteen joints are in both. Both ears stand where `coco17_to_h36m17` finds the labelled head top from them: on the
    line from the middle of the shoulders to it. Eyes are missing, the head's bottom has no place in COCO.

    Args:
        joints: (..., 15, D) positions in PoseTrack order.
        score: (..., 15); 0 marks a joint that was not found.

    Returns:
        joints (..., 17, D) in COCO order and score (..., 17); an ear's is the lowest of the three joints it is made of.
        Positions of missing joints are 0.
    """
    if joints.shape[-2] != 15 or score.shape != joints.shape[:-1]:
        raise ValueError(f"joints and score: want (..., 15, D) and (..., 15), got {joints.shape} and {score.shape}")
    out = np.zeros((*joints.shape[:-2], 17, joints.shape[-1]), joints.dtype)
    out_score = np.zeros((*score.shape[:-1], 17), score.dtype)
    for joint in (j for j in POSETRACK if j.name in COCO.__members__):
        out[..., COCO[joint.name], :], out_score[..., COCO[joint.name]] = joints[..., joint, :], score[..., joint]
    shoulders, top = [POSETRACK.LEFT_SHOULDER, POSETRACK.RIGHT_SHOULDER], POSETRACK.HEAD_TOP
    thorax = joints[..., shoulders, :].mean(-2)
    ears = [COCO.LEFT_EAR, COCO.RIGHT_EAR]
    out[..., ears, :] = (thorax + (joints[..., top, :] - thorax) / HEAD_TOP_REACH)[..., None, :]
    out_score[..., ears] = score[..., [top, *shoulders]].min(-1)[..., None]
    return np.where(out_score[..., None] > 0, out, 0).astype(joints.dtype), out_score
