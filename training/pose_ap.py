"""Average precision of 2D poses as PoseTrack measures it: joints within half a head's size, people matched by PCKh.

Source: Andriluka et al., "PoseTrack: A Benchmark for Human Pose Estimation and Tracking" (CVPR 2018), Section 4, and
its evaluation's rules: a head's size is 0.6 times its box's diagonal. In every frame each predicted pose belongs to the
labelled person of whom it has the largest share of joints right (the first of equals); of the poses that belong to one
person the one with the largest share is that person's, the others are false. A joint is right if its pose is somebody's
and it lies within half a head's size of that person's joint. A joint that its person does not have is false. Over all
frames the joints of one kind are then sorted by score, and the area under the curve of precision, made monotonous,
against recall is their average precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.models.skeletons import POSETRACK
from sasmamba.training.posetrack import Person

Numbers = NDArray[np.floating[Any]]

#: A joint is right within this share of the head's size.
THRESHOLD = 0.5
_HEAD_BIAS = 0.6
#: The columns of the papers' tables; the mean is over the fifteen joints.
GROUPS = {
    "head": ("NOSE", "HEAD_BOTTOM", "HEAD_TOP"),
    **{
        part.lower(): (f"LEFT_{part}", f"RIGHT_{part}")
        for part in ("SHOULDER", "ELBOW", "WRIST", "HIP", "KNEE", "ANKLE")
    },
}


@dataclass(frozen=True, eq=False)
class PredictedPose:
    """joints_px: (15, 2) in the picture, NaN for joints that are not there. score: (15,)."""

    joints_px: Numbers
    score: Numbers

    def __post_init__(self) -> None:
        if self.joints_px.shape != (15, 2) or self.score.shape != (15,):
            raise ValueError(
                f"joints_px and score: want (15, 2) and (15,), got {self.joints_px.shape} and {self.score.shape}"
            )


@dataclass(frozen=True, eq=False)
class FrameResult:
    """What was labelled and what was predicted in one labelled frame; see `posetrack.LabelledFrame`."""

    people: tuple[Person, ...]
    poses: tuple[PredictedPose, ...]
    ignore_px: tuple[Numbers, ...] = ()


def head_size(head_px: Numbers) -> float:
    """0.6 times the diagonal of a head's box x0, y0, x1, y1."""
    return float(_HEAD_BIAS * np.hypot(head_px[2] - head_px[0], head_px[3] - head_px[1]))


def average_precision(frames: list[FrameResult], visible_only: bool = True) -> dict[str, float]:
    """AP in percent of every joint by its name, of every group, and "mean" over the joints; NaN where none is labelled.

    Args:
        visible_only: hidden joints do not count as labelled, as in the benchmark.

    Raises:
        ValueError: somebody with labelled joints has no box around the head.
    """
    right: list[list[float]] = [[] for _ in POSETRACK]
    scores: list[list[float]] = [[] for _ in POSETRACK]
    wanted = np.zeros(len(POSETRACK), int)
    for frame in frames:
        has, size, joints = _labelled(frame, visible_only)
        if not frame.people:
            continue  # as the benchmark does: a frame without people does not count
        wanted += has.sum(0)
        given, found = _predicted(frame)
        hit = _hits(has, size, joints, given, found)
        for pose, owner in enumerate(_owners(hit, has)):
            for joint in np.flatnonzero(found[pose]):
                right[joint].append(bool(owner >= 0 and hit[pose, owner, joint]))
                scores[joint].append(float(frame.poses[pose].score[joint]))
    ap = {j.name.lower(): 100 * area(np.array(scores[j]), np.array(right[j], bool), int(wanted[j])) for j in POSETRACK}
    groups = {name: float(np.mean([ap[j.lower()] for j in members])) for name, members in GROUPS.items()}
    known = [v for v in ap.values() if not np.isnan(v)]
    return {**ap, **groups, "mean": float(np.mean(known)) if known else float("nan")}


def area(score: Numbers, right: NDArray[np.bool_], wanted: int) -> float:
    """Area under precision, made monotonous, against recall.

    Args:
        score, right: (n,) of what was predicted.
        wanted: how many there are to find.
    """
    if wanted == 0:
        return float("nan")
    if not len(score):
        return 0.0
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(right[order])
    precision = hits / np.arange(1, len(order) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]  # the best that any lower threshold reaches
    recall = np.concatenate([[0], hits / wanted])
    return float((np.diff(recall) * precision).sum())


def _labelled(frame: FrameResult, visible_only: bool) -> tuple[NDArray[np.bool_], Numbers, Numbers]:
    """has (n, 15), head sizes (n,), joints (n, 15, 2) of the people."""
    n = len(frame.people)
    has: NDArray[np.bool_] = np.zeros((n, len(POSETRACK)), bool)
    size: Numbers = np.ones(n)
    joints: Numbers = np.zeros((n, len(POSETRACK), 2))
    for i, person in enumerate(frame.people):
        has[i] = (person.visible if visible_only else person.labelled) & ~_ignored(person.joints_px, frame.ignore_px)
        joints[i] = person.joints_px
        if person.head_px is not None:
            size[i] = head_size(person.head_px)
        elif has[i].any():
            raise ValueError("people: want a box around every head, to tell how near is near; got none")
    return has, size, joints


def _predicted(frame: FrameResult) -> tuple[Numbers, NDArray[np.bool_]]:
    """joints (m, 15, 2) and which of them are there (m, 15)."""
    given: Numbers = np.array([p.joints_px for p in frame.poses]).reshape(-1, len(POSETRACK), 2)
    found = np.asarray(np.isfinite(given).all(-1))
    for i, joints in enumerate(given):
        found[i] &= ~_ignored(joints, frame.ignore_px)
    return given, found


def _ignored(joints_px: Numbers, polygons: tuple[Numbers, ...]) -> NDArray[np.bool_]:
    """(15,) inside of a polygon; on its rim is outside."""
    out = np.zeros(len(joints_px), bool)
    for polygon in polygons:
        contour = polygon.astype(np.float32)[:, None]
        for j, point in enumerate(joints_px):
            if np.isfinite(point).all():
                out[j] |= cv2.pointPolygonTest(contour, (float(point[0]), float(point[1])), False) > 0
    return out


def _hits(
    has: NDArray[np.bool_], size: Numbers, joints: Numbers, given: Numbers, found: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(m, n, 15): pose m's joint is within reach of person n's."""
    both = found[:, None] & has[None]
    distance = np.linalg.norm(np.where(both[..., None], given[:, None] - joints[None], 0), axis=-1)
    return both & (distance / size[None, :, None] <= THRESHOLD)


def _owners(hit: NDArray[np.bool_], has: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(m,) the person each pose is, or -1."""
    m, n = hit.shape[:2]
    owner = np.full(m, -1)
    if m and n:
        share = hit.sum(-1) / np.maximum(has.sum(-1), 1)
        best = share.argmax(1)
        claims = np.where(np.arange(n) == best[:, None], share, 0)
        for person in range(n):
            pose = int(claims[:, person].argmax())
            if claims[pose, person] > 0:
                owner[pose] = person
    return owner
