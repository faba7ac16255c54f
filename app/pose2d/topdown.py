"""The top-down stage: a detector says where people are, a joint estimator where their joints are.

After Xiao et al., ECCV 2018, "Simple Baselines for Human Pose Estimation and Tracking": between two runs of the
detector a person's box is that of their joints in the frame before, with 15 % more on each side (Section 3, without its
optical flow). Whoever is not upright is shown to the estimator in a picture that is turned, see `turned`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from sasmamba.app.pose2d import person_crops
from sasmamba.app.pose2d.detectors import Detector
from sasmamba.app.pose2d.estimator import JointEstimator
from sasmamba.app.pose2d.foresight import Foresight
from sasmamba.app.pose2d.overlap import box_iou, joint_similarity
from sasmamba.app.pose2d.protocol import begins_anew
from sasmamba.app.pose2d.turned import (
    TURN_AGAIN_S,
    OtherWays,
    estimate_turned,
    is_better,
    other_turns,
    turned_boxes,
    turned_frame,
    usual_turns,
)
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
#: Where somebody is seen in a turned picture only, coats and chairs look like people, too: so many seen joints, and
#: joints as sure as this on the average, make one of them.
SURE_JOINTS, SURE_SCORE = 10, 0.45
#: Room around a person's joints on each side: hands, feet and the top of the head, and a frame's motion.
MARGIN = 0.15
#: Boxes that overlap so much (intersection over union) are of one person, and so are poses this alike (object keypoint
#: similarity).
SAME_BOX, SAME_POSE = 0.5, 0.6
#: Who was here in the frame before is still here if a box overlaps theirs by so much (intersection over union).
STILL_THERE = 0.1

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where somebody is looked for.

    Attributes:
        box_px: (4,) around them.
        turns: by how many quarters the picture is turned for them.
        asked_s: when they were last looked at with another turn, in vain.
    """

    box_px: FloatArray
    turns: int = 0
    asked_s: float = -np.inf


@dataclass(frozen=True, slots=True)
class _Followed:
    """Somebody as last seen; see `_Place`."""

    person: Person2D
    turns: int
    asked_s: float = -np.inf


class TopDownPose2D(Closing):
    """Finds people with a detector and their joints with an estimator; see `protocol.Pose2D` and `foresight.Foresight`.

    Boxes are those of the seen joints with a margin, cut at the picture's edge.

    Args:
        estimator: finds joints; closed with this backend. One with foresight sees pictures as they are, never turned.
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
        # one with foresight looks at other frames as well, which are as they are
        self._never_turns = isinstance(estimator, Foresight)
        self._max_people, self._detect_every_s = max_people, detect_every_s
        self._last: Frame | None = None
        self._told_lost = False  # once is enough
        self._begin()

    def _begin(self) -> None:
        """Forgets everybody: nothing before tells anything of what comes."""
        self._followed: tuple[_Followed, ...] = ()
        self._detected_s, self._detected_turned = Fraction(0), 0
        self._asked_s = -np.inf
        self._ways = OtherWays()

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
            self._begin()
        before = self._followed
        places = [_Place(f.person.box_px, f.turns, f.asked_s) for f in before]
        if not places or frame.time_s - self._detected_s >= self._detect_every_s:
            self._detected_s = frame.time_s
            # where most are not upright, newcomers may be so, too, or not
            self._detected_turned = 0 if self._detected_turned else usual_turns([f.turns for f in before])
            places = _renewed(places, _detected(detector, frame, self._detected_turned))
        # More than are wanted: some will turn out to be nobody, or the same person twice.
        self._followed = self._distinct(self._look(estimator, frame, places[: 2 * self._max_people]))
        for turns in () if self._never_turns else self._ways.due(float(frame.time_s), lambda: bool(self._followed)):
            places = _detected(detector, frame, turns)[: 2 * self._max_people]
            found = zip(_people_in(estimator, frame, places), places, strict=True)
            self._followed = self._distinct(_Followed(p, place.turns) for p, place in found if p and _is_sure(p))
        if self.ahead:
            self._tell_who_is_lost(before, frame.index)
        return tuple(f.person for f in self._followed)

    def close(self) -> None:
        """Frees the models; a second call does nothing."""
        parts, self._estimator, self._detector, self._followed = (self._estimator, self._detector), None, None, ()
        for part in parts:
            if part is not None:
                part.close()

    def _look(self, estimator: JointEstimator, frame: Frame, places: list[_Place]) -> list[_Followed]:
        """Whoever is in these places, each as they are turned or, if that shows them better, otherwise."""
        now_s = float(frame.time_s)
        seen = _people_in(estimator, frame, places)
        again = [self._otherwise(place, person, now_s) for place, person in zip(places, seen, strict=True)]
        if any(other and not person for other, person in zip(again, seen, strict=True)):
            self._asked_s = now_s
        others = iter(_people_in(estimator, frame, [place for place in again if place]) if any(again) else ())
        found = []
        for place, other, person in zip(places, again, seen, strict=True):
            instead = None if other is None else next(others)
            if other and instead and (is_better(instead, person) if person else _is_sure(instead)):
                found.append(_Followed(instead, other.turns))
            elif person:
                found.append(_Followed(person, place.turns, place.asked_s if other is None else now_s))
        return found

    def _otherwise(self, place: _Place, person: Person2D | None, now_s: float) -> _Place | None:
        """The place, turned as may show better who was seen in it, or that somebody is there; None where not now."""
        turns = (place.turns + 2) % 4 if person is None else other_turns(person, place.turns)
        asked_s = self._asked_s if person is None else place.asked_s
        if self._never_turns or turns == place.turns or now_s - asked_s < TURN_AGAIN_S:
            return None
        return replace(place, turns=turns)

    def _distinct(self, people: Iterable[_Followed]) -> tuple[_Followed, ...]:
        """Everybody once, as many as are wanted: of two alike poses the earlier stays."""
        kept: list[_Followed] = []
        for new in people:
            if all(joint_similarity(new.person, k.person, min_score=JOINT_SCORE) < SAME_POSE for k in kept):
                kept.append(new)
        return tuple(kept[: self._max_people])

    def _tell_who_is_lost(self, before: tuple[_Followed, ...], index: int) -> None:
        """Says, once, that the frames which an estimator sees together show somebody in part of them only."""
        boxes = [f.person.box_px for f in self._followed]
        lost = [b for b in before if all(box_iou(b.person.box_px, box) < STILL_THERE for box in boxes)]
        if lost and not self._told_lost:
            self._told_lost = True
            _log.info(
                f"2D: somebody was lost from frame {index} on; in the {self.ahead} frames before, part of the "
                f"{2 * self.ahead + 1} that {self.name} sees together show them no more, so take their joints with "
                "care."
            )


def _detected(detector: Detector, frame: Frame, turns: int) -> list[_Place]:
    """Where people may be, the surest first, by the picture turned by so many quarters."""
    shown = turned_frame(frame, turns)
    found = detector(shown)
    if found.ndim != 2 or found.shape[1] != 5:
        raise ValueError(f"detections: want (n, 5), got {found.shape}")
    height, width = shown.bgr.shape[:2]
    found = found[person_crops.usable(found[:, :4], width, height) & (found[:, 4] >= BOX_SCORE)]
    boxes = found[np.argsort(-found[:, 4], kind="stable"), :4].astype(np.float32)
    return [_Place(box, turns) for box in (turned_boxes(boxes, shown, -turns) if turns else boxes)]


def _people_in(estimator: JointEstimator, frame: Frame, places: Sequence[_Place]) -> list[Person2D | None]:
    """Whoever is seen in these places, in their order; those that are turned alike are asked about together."""
    people: list[Person2D | None] = [None] * len(places)
    for turns in sorted({0, *(place.turns for place in places)}):
        which = [i for i, place in enumerate(places) if place.turns == turns]
        boxes = np.array([places[i].box_px for i in which], np.float32).reshape(-1, 4)
        joints = estimate_turned(estimator, frame, boxes, turns)
        for i, one in zip(which, zip(*joints, strict=True), strict=True):
            people[i] = _person(*one, frame.bgr)
    return people


def _renewed(followed: list[_Place], detected: list[_Place]) -> list[_Place]:
    """Followed places first, each as the detector sees it now if it does; then newcomers, the surest first.

    Somebody the detector misses keeps the box around their joints.
    """
    detected = list(detected)
    renewed = []
    for place in followed:
        overlaps = [box_iou(place.box_px, d.box_px) for d in detected]
        seen = max(overlaps, default=0.0) >= SAME_BOX
        renewed.append(replace(place, box_px=detected.pop(int(np.argmax(overlaps))).box_px) if seen else place)
    return renewed + detected


def _is_sure(person: Person2D) -> bool:
    """Whether somebody who was seen in a turned picture only is seen well enough."""
    return (person.score >= JOINT_SCORE).sum() >= SURE_JOINTS and float(person.score.mean()) >= SURE_SCORE


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
