"""Limbs held where somebody set them by hand: a lifter takes what stands alone for noise, and a hand is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.take import Take
from sasmamba.app.types import Person2D
from sasmamba.common.arrays import FloatArray
from sasmamba.models.skeletons import COCO, H36M, H36M_PARENTS, coco17_to_h36m17

#: Joints that are held, each before those that hang on it. Trunk and head are several joints' business: what is set by
#: hand of those is shown to the lifter as everything else.
LIMBS = tuple(H36M[f"{side}_{joint}"] for joint in ("ELBOW", "WRIST", "KNEE", "ANKLE") for side in ("LEFT", "RIGHT"))
#: One over the distance from which a lifted pose is taken to be seen, 1/m: perspective to first order.
_NEARNESS = 0.2
#: Joints that it takes to know where in the picture a pose is, and how large.
_ENOUGH = 4


def hold_joints(take: Take) -> None:
    """Turns the limbs of poses, in place, so that joints of `Take.held` fall where they were set by hand."""
    by_frame: dict[tuple[int, int], dict[H36M, float]] = {}
    for held in take.held:
        joint = COCO(held.joint).name
        if joint in H36M.__members__ and H36M[joint] in LIMBS:
            by_frame.setdefault((held.track_id, held.frame), {})[H36M[joint]] = held.share
    for (track_id, frame), shares in by_frame.items():
        track = take.tracks.get(track_id)
        if track is not None and frame in track.poses and frame in track.people:
            pose = track.poses[frame]
            track.poses[frame] = replace(pose, joints=held_limbs(pose.joints, track.people[frame], shares))


def held_limbs(joints: FloatArray, person: Person2D, shares: Mapping[H36M, float]) -> FloatArray:
    """A pose whose limbs are turned so that joints fall where they were seen; bones keep their lengths.

    Args:
        joints: (17, 3) metres, facing.
        person: as seen.
        shares: of joints of LIMBS, how far each is moved: 0 not at all, 1 to where it was seen.

    A joint that lies farther away than its bone is long ends on the way there. What hangs on a joint stays where it is
    as far as its bone allows. Without enough other joints to compare with, the pose comes back as it is.
    """
    seen, score = coco17_to_h36m17(person.joints_px, person.score)
    near = 1 - _NEARNESS * joints[:, 2:].astype(float)
    others = np.array([joint not in shares and score[joint] > 0 for joint in H36M])
    fitted = _scale_and_place(joints[others, :2] * near[others], seen[others].astype(float), score[others])
    if fitted is None:
        return joints
    scale, place = fitted
    out = joints.astype(float)
    for joint in LIMBS:
        parent = H36M_PARENTS[joint]
        bone = joints[joint].astype(float) - joints[parent]
        length = float(np.linalg.norm(bone))
        wanted = out[joint]
        if joint in shares and score[joint] > 0:
            aim = (scale * seen[joint] + place) / near[joint]
            wanted = out[joint] + shares[joint] * (_reached(out[parent], length, aim, bone[2]) - out[joint])
        way = wanted - out[parent]
        if (far := float(np.linalg.norm(way))) > 1e-6:
            out[joint] = out[parent] + length / far * way
    return out.astype(np.float32)


def _scale_and_place(flat: NDArray, seen: NDArray, score: NDArray) -> tuple[float, NDArray] | None:
    """Metres per pixel g and place c (2,) that make g seen + c the flat joints (n, 2), by least squares."""
    if len(flat) < _ENOUGH:
        return None
    weight = (score / score.sum())[:, None]
    flat_middle, seen_middle = (weight * flat).sum(0), (weight * seen).sum(0)
    spread = float((weight * (seen - seen_middle) ** 2).sum())
    scale = float((weight * (seen - seen_middle) * (flat - flat_middle)).sum()) / max(spread, 1e-9)
    return (scale, flat_middle - scale * seen_middle) if scale > 0 else None


def _reached(parent: NDArray, length: float, aim: NDArray, depth: float) -> NDArray:
    """Where a bone of that length from `parent` ends that points at `aim` (2,) across the line of sight; before or
    behind its parent as it was."""
    across = aim - parent[:2]
    far = float(np.linalg.norm(across))
    if far >= length:
        return np.array([*(parent[:2] + across * (length / far)), parent[2]])
    return np.array([*aim, parent[2] + np.copysign(np.sqrt(length**2 - far**2), depth)])
