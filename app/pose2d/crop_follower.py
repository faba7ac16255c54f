"""Keeps one person in view from frame to frame, by where they were and how they move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sasmamba.app.pose2d.overlap import box_area, box_iou, box_shared, joint_similarity
from sasmamba.app.pose2d.squares import Square
from sasmamba.app.pose2d.turned import is_better
from sasmamba.app.types import Person2D
from sasmamba.common.arrays import FloatArray

#: Somebody unseen for longer is let go; MultiPose will find them again.
PATIENCE_S = 0.4
#: Somebody MultiPose has not seen for so long is kept only while their joints are sure on the average.
UNCONFIRMED_S, UNCONFIRMED_SCORE = 2.0, 0.4
#: Scores below this are noise: on pictures of coco128 fewer than one in six of such joints is where it should be.
FLOOR = 0.15
#: Two this alike (object keypoint similarity) are one person, and so is somebody new with so much of their box inside
#: another's and joints on the other's.
SAME_PERSON, COVERED = 0.45, 0.8
#: Of somebody whose joints went wrong and who is found anew the boxes share so much (intersection over union).
ONE_PLACE = 0.5
#: A followed person's centre is within this share of their size of where it is expected, and with every second that has
#: passed this many sizes more; their size changes by no more than this factor.
NEAR, NEAR_PER_S, RESIZED = 0.25, 3.0, 2.2
#: Seconds over which velocity is averaged; a crop shrinks to no less than this share a second, lest it close in on a
#: head when the rest is hidden for a moment.
VELOCITY_S, SHRINK_PER_S = 0.1, 0.5


class CropFollower:
    """Keeps one person in view.

    Attributes:
        person: as last seen.
        lost: they were not seen in the last frame.
        continuity: how well the last sighting continued the path before it, 0..1.
        begun_s, confirmed_s: when they came, and when MultiPose last saw them.
        small: they were found in a part of the picture.
        turns: by how many quarters their crop is turned, see `turned`.
        asked_s: when they were last looked at with another turn, in vain.

    Args:
        round_s: where they are small, seconds until the search comes back to that part.
        turns: see above.
    """

    def __init__(self, person: Person2D, now_s: float, round_s: float | None = None, turns: int = 0) -> None:
        self.small, self._unconfirmed_s = round_s is not None, UNCONFIRMED_S + (round_s or 0.0)
        self.person, self.lost, self.continuity = person, False, 1.0
        self.turns, self.asked_s = turns, -np.inf
        self.begun_s = self.confirmed_s = self._seen_s = now_s
        self._velocity = np.zeros(2, np.float32)  # px per second
        self._side = _side(person)
        self._before = person, now_s, self._velocity, self._side

    def square(self, now_s: float) -> Square:
        """The crop in which they should be now."""
        square = Square.around(self.person.joints_px, self.person.score)
        assert square is not None, "people have joints"
        side = max(square.side, self._side)
        return replace(Square.centred(square.centre_px + self._drift(now_s), side), turns=self.turns)

    def expected_px(self, now_s: float) -> FloatArray:
        """(4,) the box in which they should be now."""
        return self.person.box_px + np.tile(self._drift(now_s), 2)

    def follow(self, seen: Person2D | None, now_s: float) -> None:
        """Takes what was found in that crop, unless it cannot be them."""
        if seen is None or not self._continues(seen, now_s):
            self.lost = True
            return
        self._before = self.person, self._seen_s, self._velocity, self._side
        passed_s = now_s - self._seen_s
        self.continuity = joint_similarity(self.person, seen, shift_px=self._drift(now_s), slack=2.0, min_score=FLOOR)
        share = np.float32(1 - np.exp(-passed_s / VELOCITY_S))
        self._velocity = (1 - share) * self._velocity + share * (_centre(seen) - _centre(self.person)) / passed_s
        self._side = max(_side(seen), self._side * SHRINK_PER_S**passed_s)
        self.person, self._seen_s, self.lost = seen, now_s, False

    def retract(self) -> None:
        """Unsays the last sighting: it was somebody else."""
        self.person, self._seen_s, self._velocity, self._side = self._before
        self.lost = True

    def find_again(self, seen: Person2D, now_s: float, turns: int) -> None:
        """Takes what a new search found of them instead of what their crop showed."""
        self._before = self.person, self._seen_s, self._velocity, self._side
        self._velocity = np.zeros(2, np.float32)
        self.person, self._seen_s, self._side, self.turns = seen, now_s, _side(seen), turns
        self.lost, self.confirmed_s = False, now_s

    def turn(self, seen: Person2D, turns: int) -> None:
        """Takes what a crop turned otherwise shows of them instead of the last sighting, and goes on with such."""
        self.person, self.turns, self.asked_s = seen, turns, -np.inf
        self._side = max(_side(seen), self._side)

    def is_worth_it(self, now_s: float) -> bool:
        """Whether to follow them any longer."""
        if now_s - self._seen_s > PATIENCE_S and self.lost:
            return False
        seen = self.person.score[self.person.score > 0]
        return now_s - self.confirmed_s <= self._unconfirmed_s or float(seen.mean()) >= UNCONFIRMED_SCORE

    def _continues(self, seen: Person2D, now_s: float) -> bool:
        """Whether they can have got there: near the way from where they were to where they are expected."""
        size = max(span(self.person.box_px), 1.0)
        way, step = self._drift(now_s), _centre(seen) - _centre(self.person)
        share = np.clip(step @ way / max(float(way @ way), 1e-6), 0, 1)
        off = float(np.linalg.norm(step - share * way)) / size
        ratio = span(seen.box_px) / size
        return off < NEAR + NEAR_PER_S * (now_s - self._seen_s) and 1 / RESIZED < ratio < RESIZED

    def _drift(self, now_s: float) -> FloatArray:
        return (self._velocity * np.float32(now_s - self._seen_s)).astype(np.float32)


def same_person(a: Person2D, b: Person2D) -> bool:
    return joint_similarity(a, b, min_score=FLOOR) > SAME_PERSON or box_iou(a.box_px, b.box_px) > 0.85


def piece_of(rough: Person2D, person: Person2D) -> bool:
    """Whether rough joints are a second answer for somebody followed: within their box, and on their joints."""
    return inside(rough, person) and joint_similarity(rough, person, min_score=FLOOR, slack=2.0) > SAME_PERSON


def takes_the_place(new: Person2D, person: Person2D) -> bool:
    """Whether somebody found anew is a person whose joints are wrong by now: in the same place, and surer."""
    return is_better(new, person, shared=ONE_PLACE)


def inside(rough: Person2D, person: Person2D) -> bool:
    """Whether somebody found in a part of the picture is likely a part of somebody followed."""
    return box_shared(rough.box_px, person.box_px) > COVERED * box_area(rough.box_px)


def _centre(person: Person2D) -> FloatArray:
    return (person.box_px[:2] + person.box_px[2:]) / np.float32(2)


def span(box_px: FloatArray) -> float:
    return float(max(box_px[2] - box_px[0], box_px[3] - box_px[1]))


def _side(person: Person2D) -> float:
    square = Square.around(person.joints_px, person.score)
    return 0.0 if square is None else square.side
