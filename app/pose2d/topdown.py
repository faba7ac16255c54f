"""The top-down stage: a detector says where people are, a joint estimator where their joints are.

After Xiao et al., ECCV 2018, "Simple Baselines for Human Pose Estimation and Tracking": between two runs of the
detector a person's box is that of their joints in the frame before, with 15 % more on each side (Section 3, without its
optical flow).
"""

from __future__ import annotations

import logging
from fractions import Fraction

import numpy as np

from sasmamba.app.pose2d import person_crops
from sasmamba.app.pose2d.detectors import Detector
from sasmamba.app.pose2d.estimator import JointEstimator
from sasmamba.app.pose2d.foresight import Foresight
from sasmamba.app.pose2d.overlap import box_iou, joint_similarity
from sasmamba.app.pose2d.protocol import begins_anew
from sasmamba.app.types import Frame, Person2D
from sasmamba.common.arrays import FloatArray, Picture
from sasmamba.common.closing import Closing

#: The detector runs so often while somebody is followed, in every fifth frame of a common video, and in every frame
#: while nobody is.
DETECT_EVERY_S = 0.165
#: A box of the detector counts from this score on.
BOX_SCORE = 0.3
#: A joint is seen from this score on, and so many seen joints make a person. Dogs and coats on a hook show fewer.
JOINT_SCORE, FEWEST_JOINTS = 0.3, 4
#: Room around a person's joints on each side: hands, feet and the top of the head, and a frame's motion.
MARGIN = 0.15
#: Boxes that overlap so much (intersection over union) are of one person, and so are poses this alike (object keypoint
#: similarity).
SAME_BOX, SAME_POSE = 0.5, 0.6
#: Who was here in the frame before is still here if a box overlaps theirs by so much (intersection over union).
STILL_THERE = 0.1

_log = logging.getLogger(__name__)


class TopDownPose2D(Closing):
    """Finds people with a detector and their joints with an estimator; see `protocol.Pose2D` and `foresight.Foresight`.

    Boxes are those of the seen joints with a margin, cut at the picture's edge.

    Args:
        estimator: finds joints; closed with this backend.
        detector: finds people; closed with this backend.
        max_people: at most so many are returned, 1 or more.
        detect_every_s: seconds from one run of the detector to the next; 0 for every frame.

    Attributes:
        name: the estimator's.
        ahead: how many frames beyond the one that is asked about the estimator wants to see.

    Raises:
        ValueError: a number out of its range.
    """

    def __init__(
        self,
        estimator: JointEstimator,
        detector: Detector,
        *,
        max_people: int = 4,
        detect_every_s: float = DETECT_EVERY_S,
    ) -> None:
        if max_people < 1 or not detect_every_s >= 0:
            raise ValueError(f"max_people and detect_every_s: want 1 and 0 or more, got {max_people}, {detect_every_s}")
        self.name = estimator.name
        self.ahead = estimator.ahead if isinstance(estimator, Foresight) else 0
        self._estimator: JointEstimator | None = estimator
        self._detector: Detector | None = detector
        self._max_people, self._detect_every_s = max_people, detect_every_s
        self._followed: tuple[Person2D, ...] = ()
        self._detected_s = Fraction(0)
        self._last: Frame | None = None
        self._told_lost = False  # once is enough

    def foresee(self, frame: Frame) -> None:
        """Tells of a frame that `__call__` may be asked about later; one that is not later begins a new video."""
        if isinstance(self._estimator, Foresight):
            self._estimator.foresee(frame)

    def __call__(self, frame: Frame) -> tuple[Person2D, ...]:
        """People in this frame, longest followed first.

        A frame that is not later than the one before it begins a new video, and one with a cut a new shot.
        """
        estimator, detector = self._estimator, self._detector
        if estimator is None or detector is None:
            raise ValueError("the backend is closed")
        last, self._last = self._last, frame
        if last is not None and begins_anew(frame, last):
            self._followed = ()
        before = self._followed
        boxes = [p.box_px for p in before]
        if not boxes or frame.time_s - self._detected_s >= self._detect_every_s:
            self._detected_s = frame.time_s
            boxes = _renewed(boxes, _detected(detector, frame))
        # More than are wanted: some will turn out to be nobody, or the same person twice.
        people = _people_in(estimator, frame, boxes[: 2 * self._max_people])
        self._followed = _distinct(people)[: self._max_people]
        if self.ahead:
            self._tell_who_is_lost(before, frame.index)
        return self._followed

    def close(self) -> None:
        """Frees the models; a second call does nothing."""
        parts, self._estimator, self._detector, self._followed = (self._estimator, self._detector), None, None, ()
        for part in parts:
            if part is not None:
                part.close()

    def _tell_who_is_lost(self, before: tuple[Person2D, ...], index: int) -> None:
        """Says, once, that the frames which an estimator sees together show somebody in part of them only."""
        lost = [b for b in before if all(box_iou(b.box_px, p.box_px) < STILL_THERE for p in self._followed)]
        if lost and not self._told_lost:
            self._told_lost = True
            _log.info(
                f"2D: somebody was lost from frame {index} on; in the {self.ahead} frames before, part of the "
                f"{2 * self.ahead + 1} that {self.name} sees together show them no more, so take their joints with "
                "care."
            )


def _detected(detector: Detector, frame: Frame) -> list[FloatArray]:
    """Boxes (4,) that may be people, the surest first."""
    found = detector(frame)
    if found.ndim != 2 or found.shape[1] != 5:
        raise ValueError(f"detections: want (n, 5), got {found.shape}")
    height, width = frame.bgr.shape[:2]
    found = found[person_crops.usable(found[:, :4], width, height) & (found[:, 4] >= BOX_SCORE)]
    return [box.astype(np.float32) for box in found[np.argsort(-found[:, 4], kind="stable"), :4]]


def _people_in(estimator: JointEstimator, frame: Frame, boxes: list[FloatArray]) -> list[Person2D]:
    """Whoever is seen in these boxes (4,)."""
    joints = estimator(frame, np.array(boxes, np.float32).reshape(-1, 4))
    people = [_person(*one, frame.bgr) for one in zip(*joints, strict=True)]
    return [person for person in people if person is not None]


def _renewed(followed: list[FloatArray], detected: list[FloatArray]) -> list[FloatArray]:
    """Followed boxes first, each as the detector sees it now if it does; then newcomers, the surest first.

    Somebody the detector misses keeps the box around their joints.
    """
    detected = list(detected)
    renewed = []
    for box in followed:
        overlaps = [box_iou(box, d) for d in detected]
        seen = max(overlaps, default=0.0) >= SAME_BOX
        renewed.append(detected.pop(int(np.argmax(overlaps))) if seen else box)
    return renewed + detected


def _person(joints_px: FloatArray, score: FloatArray, bgr: Picture) -> Person2D | None:
    """A person of those joints; None where too few are seen, or where they are no larger than a speck."""
    seen = joints_px[score >= JOINT_SCORE]
    if len(seen) < FEWEST_JOINTS:
        return None
    low, high = seen.min(0), seen.max(0)
    height, width = bgr.shape[:2]
    room = MARGIN * (high - low)
    box = np.clip(np.concatenate([low - room, high + room]), 0, [width, height, width, height]).astype(np.float32)
    if not person_crops.usable(box[None], width, height)[0]:
        return None
    return Person2D(None, box, joints_px, score)


def _distinct(people: list[Person2D]) -> tuple[Person2D, ...]:
    """Everybody once: of two alike poses the earlier stays."""
    kept: list[Person2D] = []
    for person in people:
        if all(joint_similarity(person, k, min_score=JOINT_SCORE) < SAME_POSE for k in kept):
            kept.append(person)
    return tuple(kept)
