"""MediaPipe's BlazePose as a 2D backend: several people, no GPU, no model hub.

BlazePose (Bazarevsky et al. 2020, "BlazePose: On-device Real-time Body Pose tracking") finds one person in a picture
and follows that one well. Several people are followed by giving each an own landmarker and an own square view:

* a `_LandmarkFollower` cuts a view around one person out of every frame and runs its landmarker in video mode on it, so
  the person stays locked and smoothed, and is seen at the resolution the network wants however small in the picture;
* a newcomer search goes through the picture, tile by tile, with everybody already followed painted over.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from sasmamba.app.pose2d.landmarker import GREY, Landmarker, Picture
from sasmamba.app.pose2d.overlap import box_area, box_iou, box_shared, joint_similarity
from sasmamba.app.pose2d.protocol import begins_anew
from sasmamba.app.types import Frame, Person2D
from sasmamba.common.arrays import FloatArray
from sasmamba.common.closing import Closing
from sasmamba.models.skeletons import COCO, MEDIAPIPE33_OF_FOOT, mediapipe33_to_coco17

#: The side of a view is this many times the longer side of the person's box: room to move before it must move too.
VIEW_REACH = 2.5
#: Views are scaled down to this side; the network's own input, a box-sized part of the view, is 256 px.
VIEW_PX = 640
#: The newcomer search's tiles are scaled down to this side; the detector's input is 224 px.
TILE_PX = 448
#: Tiles along a very wide or very high picture; beyond about 5 : 1 they no longer overlap.
MOST_TILES = 8
#: The newcomer search goes through one tile so often while somebody is followed, in every second frame of a common
#: video, and through every tile of every frame while nobody is.
SEARCH_EVERY_S = 0.06
#: A person unseen for longer is let go; the newcomer search will find them again.
PATIENCE_S = 0.4
#: Seconds over which a followed person's velocity is averaged.
VELOCITY_S = 0.094
#: Two results this similar (object keypoint similarity) are one person.
SAME_PERSON = 0.45
#: Somebody new with so much of their box inside another's is a piece of the other.
COVERED = 0.65
#: Mean torso score (shoulders, hips) that makes a newcomer, and that keeps somebody who is already followed.
TORSO_TO_JOIN, TORSO_TO_STAY = 0.6, 0.3
#: People smaller than this are not lifted to anything useful.
MIN_SIDE_PX = 40

_TORSO = [COCO.LEFT_SHOULDER, COCO.RIGHT_SHOULDER, COCO.LEFT_HIP, COCO.RIGHT_HIP]


class MediaPipePose2D(Closing):
    """Finds and follows people with MediaPipe's pose landmarker; see `protocol.Pose2D`.

    A joint's score is the smaller of the landmark's `visibility` (not hidden) and `presence` (inside the picture);
    a joint beyond the picture's edge keeps its predicted position with a score of at most 0.1. Boxes are those of
    all 33 landmarks with a margin, cut at the picture's edge.

    Args:
        model: a pose landmarker `.task` file, or None for `pose-landmarker-full` of the weights manifest.
        max_people: at most so many are followed at once, 1 or more; each has a landmarker of its own (about 80 MB).

    Raises:
        UserError: MediaPipe is not installed or does not load, or the model file is not there or not a pose landmarker.
    """

    name = "mediapipe"

    def __init__(self, model: Path | None = None, *, max_people: int = 4) -> None:
        if max_people < 1:
            raise ValueError(f"max_people: want 1 or more, got {max_people}")
        if model is None:
            from sasmamba.app import weights

            model = weights.ensure("pose-landmarker-full")
        self._model = model
        self._max_people = max_people
        self._finder = Landmarker(model, video=False)
        self._open = [self._finder]
        self._idle: list[Landmarker] = []
        self._followers: list[_LandmarkFollower] = []
        self._last: Frame | None = None
        self._next_tile = 0
        self._searched_s: Fraction | None = None  # when, in this video, the last search was

    def __call__(self, frame: Frame) -> tuple[Person2D, ...]:
        """People in this frame, longest followed first.

        A frame that is not later than the one before it begins a new video, and one with a cut a new shot.
        """
        last, self._last = self._last, frame
        if last is not None and begins_anew(frame, last):
            self._let_go(self._followers)
            self._searched_s, self._next_tile = None, 0
        for follower in self._followers:
            others = [f.predicted_box(frame.time_s) for f in self._followers if f is not follower]
            follower.follow(frame, others)
        self._settle_duplicates()
        self._let_go([f for f in self._followers if f.lost and frame.time_s - f.seen_s > PATIENCE_S])
        self._search_for_newcomers(frame)
        return tuple(f.person for f in self._followers if not f.lost)

    def close(self) -> None:
        """Frees the models; a second call does nothing."""
        self._followers, self._idle = [], []
        while self._open:
            self._open.pop().close()

    def _let_go(self, followers: list[_LandmarkFollower]) -> None:
        self._idle += [f.landmarker for f in followers]
        self._followers = [f for f in self._followers if f not in followers]

    def _settle_duplicates(self) -> None:
        """Where two followers show one person, the one that continues its own path better keeps them."""
        seen = sorted((f for f in self._followers if not f.lost), key=lambda f: -f.continuity)
        for i, keeper in enumerate(seen):
            for other in seen[i + 1 :]:
                if not other.lost and _same_person(keeper.person, other.person):
                    other.retract()

    def _search_for_newcomers(self, frame: Frame) -> None:
        if len(self._followers) >= self._max_people:
            return
        tiles = _tiles(frame.bgr)
        if self._followers:
            if self._searched_s is not None and frame.time_s - self._searched_s < SEARCH_EVERY_S:
                return
            self._next_tile = (self._next_tile + 1) % len(tiles)
            tiles = tiles[self._next_tile : self._next_tile + 1]
        self._searched_s = frame.time_s
        for tile in tiles:
            self._search(frame, tile)

    def _search(self, frame: Frame, tile: _Region) -> None:
        """Takes on everybody new in one tile, the most prominent first."""
        bgr = frame.bgr
        hidden = [f.predicted_box(frame.time_s) for f in self._followers]
        for _ in range(self._max_people):
            if len(self._followers) >= self._max_people:
                return
            found = self._finder(tile.cut(bgr, hide=hidden))
            candidate = None if found is None else _person(tile, *found, bgr)
            if candidate is None or not _plausible(candidate, TORSO_TO_JOIN):
                return
            hidden.append(candidate.box_px)
            if any(_same_person(candidate, f.person) for f in self._followers):
                continue
            newcomer = _LandmarkFollower(self._free_landmarker(), candidate, frame.time_s)
            # A second detection, at close range and on its own, is what keeps trees and shadows out.
            newcomer.follow(frame, [f.person.box_px for f in self._followers])
            known = any(_same_person(newcomer.person, f.person) for f in self._followers if not f.lost)
            if newcomer.lost or known or not _plausible(newcomer.person, TORSO_TO_JOIN):
                self._idle.append(newcomer.landmarker)
            else:
                self._followers.append(newcomer)

    def _free_landmarker(self) -> Landmarker:
        if self._idle:
            return self._idle.pop()
        self._open.append(Landmarker(self._model, video=True))
        return self._open[-1]


class _LandmarkFollower:
    """Keeps one person in view from frame to frame.

    Args:
        landmarker: its own.
        start: who is followed.
        now_s: when they were found.

    Attributes:
        person: as last seen.
        seen_s: when that was.
        lost: they were not seen in the last frame.
        continuity: how well the last sighting continued the path before it, 0..1.
    """

    def __init__(self, landmarker: Landmarker, start: Person2D, now_s: Fraction) -> None:
        self.landmarker = landmarker
        self.person, self.seen_s, self.lost = start, now_s, False
        self.continuity = 1.0
        self._asked_s = now_s
        self._velocity = np.zeros(2, np.float32)  # px per second
        self._before = start, now_s, self._velocity
        landmarker.forget()
        self._view = _Region.around(start.box_px)

    def predicted_box(self, now_s: Fraction) -> FloatArray:
        """Where the person's box should be by now if they move on as they did."""
        return self.person.box_px + np.tile(self._drift(now_s), 2)

    def follow(self, frame: Frame, others: list[FloatArray]) -> None:
        """Finds the person in the next frame; `others` are boxes of people this is not."""
        now_s, bgr = frame.time_s, frame.bgr
        step_ms, self._asked_s = max(1, int(1000 * (now_s - self._asked_s))), now_s
        expected = self.predicted_box(now_s)
        if not self._view.holds(expected):
            # The landmarker remembers a place in the view: when the view moves, that place means nothing any more.
            self.landmarker.forget()
            self._view = _Region.around(expected)
        # While locked, the landmarker sees only its person, and painting over a neighbour could cut them.
        locked = self.landmarker.locked
        found = self.landmarker(self._view.cut(bgr, hide=[] if locked else others, keep=expected), step_ms)
        seen = None if found is None else _person(self._view, *found, bgr)
        last = self.person.box_px
        fits = seen is not None and _plausible(seen, TORSO_TO_STAY) and _continues(last, expected, seen.box_px)
        # Somebody found anew inside another's box is a piece of them; only who was followed there may pass behind.
        if seen is None or not fits or (not locked and _covered(seen.box_px, others)):
            self.lost = True
            self.landmarker.forget()
            return
        self.continuity = joint_similarity(self.person, seen, shift_px=self._drift(now_s), slack=2.0)
        self._before = self.person, self.seen_s, self._velocity
        if passed_s := float(now_s - self.seen_s):
            left = np.float32(np.exp(-passed_s / VELOCITY_S))
            moved = (_centre(seen) - _centre(self.person)) / np.float32(passed_s)
            self._velocity = left * self._velocity + (1 - left) * moved
        self.person, self.seen_s, self.lost = seen, now_s, False

    def retract(self) -> None:
        """Unsays the last sighting: it was somebody else, and this person was not seen."""
        self.person, self.seen_s, self._velocity = self._before
        self.lost = True
        self.landmarker.forget()

    def _drift(self, now_s: Fraction) -> FloatArray:
        return self._velocity * np.float32(now_s - self.seen_s)


@dataclass(frozen=True, slots=True)
class _Region:
    """A square of the picture, in pixels of the picture; may reach beyond its edges."""

    x0: int
    y0: int
    side: int
    out_px: int

    @classmethod
    def around(cls, box_px: FloatArray) -> _Region:
        side = max(2, round(VIEW_REACH * float(max(box_px[2] - box_px[0], box_px[3] - box_px[1]))))
        x, y = (box_px[:2] + box_px[2:]) / 2
        return cls(round(float(x) - side / 2), round(float(y) - side / 2), side, min(side, VIEW_PX))

    def holds(self, box_px: FloatArray) -> bool:
        """True while the box is well inside and neither too large nor too small for the view."""
        low, high = box_px[:2] - (self.x0, self.y0), (self.x0 + self.side, self.y0 + self.side) - box_px[2:]
        room = min(float(low.min()), float(high.min())) / self.side
        size = float(max(box_px[2] - box_px[0], box_px[3] - box_px[1])) / self.side
        return room > 0.08 and 0.22 < size < 0.7

    def cut(self, bgr: Picture, *, hide: list[FloatArray], keep: FloatArray | None = None) -> Picture:
        """The view as (out_px, out_px, 3) RGB; grey beyond the picture and over `hide`, though never over `keep`."""
        height, width = bgr.shape[:2]
        out: Picture = np.full((self.side, self.side, 3), GREY, np.uint8)
        self._copy(bgr, out, np.array([0, 0, width, height], np.float32))
        for box in hide:
            x0, y0, x1, y1 = self._inside(box)
            out[y0:y1, x0:x1] = GREY
        if keep is not None and hide:
            self._copy(bgr, out, np.array([*np.maximum(keep[:2], 0), *np.minimum(keep[2:], (width, height))]))
        if self.out_px != self.side:
            out = cv2.resize(out, (self.out_px, self.out_px), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        return np.ascontiguousarray(out[..., ::-1])

    def to_picture(self, points: FloatArray) -> FloatArray:
        """(..., 2) fractions of the view to pixels of the picture."""
        return (points * self.side + (self.x0, self.y0)).astype(np.float32)

    def _inside(self, box_px: FloatArray) -> tuple[int, int, int, int]:
        x0, y0, x1, y1 = np.clip(np.round(box_px - np.tile((self.x0, self.y0), 2)), 0, self.side).astype(int)
        return int(x0), int(y0), int(x1), int(y1)

    def _copy(self, bgr: Picture, out: Picture, box_px: FloatArray) -> None:
        x0, y0, x1, y1 = self._inside(box_px)
        if x1 > x0 and y1 > y0:
            out[y0:y1, x0:x1] = bgr[y0 + self.y0 : y1 + self.y0, x0 + self.x0 : x1 + self.x0]


def _person(view: _Region, landmarks: FloatArray, score: FloatArray, bgr: Picture) -> Person2D | None:
    """A person in picture coordinates, or None when they lie outside the picture."""
    points = view.to_picture(landmarks)
    height, width = bgr.shape[:2]
    low, high = points.min(0), points.max(0)
    margin = 0.05 * float((high - low).max())
    # The landmarks end at the eyes; the head goes on for about another tenth of the body.
    box = np.array([low[0] - margin, low[1] - 2 * margin, high[0] + margin, high[1] + margin], np.float32)
    box = np.clip(box, 0, np.array([width, height, width, height], np.float32))
    if box_area(box) < 1:
        return None
    outside = ((points < 0) | (points > (width, height))).any(-1)
    score = np.where(outside, np.minimum(score, 0.1), score).astype(np.float32)
    feet = np.concatenate([points, score[:, None]], 1)[list(MEDIAPIPE33_OF_FOOT)]
    return Person2D(None, box, *mediapipe33_to_coco17(points, score), feet)


def _plausible(person: Person2D, torso: float) -> bool:
    """True for something of a person's build: a torso that was seen, neither a dot nor all there is."""
    size = float(max(person.box_px[2] - person.box_px[0], person.box_px[3] - person.box_px[1]))
    shoulders, hips = person.joints_px[_TORSO[:2]].mean(0), person.joints_px[_TORSO[2:]].mean(0)
    length = float(np.linalg.norm(shoulders - hips))
    seen = float(person.score[_TORSO].mean()) >= torso and int((person.score > 0.3).sum()) >= 6
    return seen and size >= MIN_SIDE_PX and 0.08 * size < length < 0.9 * size


def _continues(last_px: FloatArray, expected_px: FloatArray, seen_px: FloatArray) -> bool:
    """True when a box can be where a followed person has got to: near enough, and of about the size.

    Near is near the way from where they were last to where they are expected: somebody may also slow down, or land.
    """
    ratio = np.sqrt((box_area(seen_px) + 1) / (box_area(expected_px) + 1))
    reach = 0.35 * float(max(expected_px[2] - expected_px[0], expected_px[3] - expected_px[1]))
    last, expected, seen = ((box[:2] + box[2:]) / 2 for box in (last_px, expected_px, seen_px))
    way = expected - last
    share = np.clip((seen - last) @ way / max(float(way @ way), 1e-6), 0, 1)
    return float(np.linalg.norm(seen - last - share * way)) < reach and 0.5 < ratio < 2.0


def _covered(box_px: FloatArray, others: list[FloatArray]) -> bool:
    return any(box_shared(box_px, other) > COVERED * box_area(box_px) for other in others)


def _same_person(a: Person2D, b: Person2D) -> bool:
    return joint_similarity(a, b) > SAME_PERSON or box_iou(a.box_px, b.box_px) > 0.8


def _centre(person: Person2D) -> FloatArray:
    return (person.box_px[:2] + person.box_px[2:]) / np.float32(2)


def _tiles(bgr: Picture) -> list[_Region]:
    """The whole picture as one square, then, unless it is nearly square itself, half-overlapping squares along it."""
    height, width = bgr.shape[:2]
    long, short = max(height, width), min(height, width)
    whole = _Region((width - long) // 2, (height - long) // 2, long, min(long, TILE_PX))
    if long < 1.2 * short or short < MIN_SIDE_PX:
        return [whole]
    count = min(int(np.ceil(2 * (long - short) / short)) + 1, MOST_TILES)
    starts = np.linspace(0, long - short, count).round().astype(int)
    size = min(short, TILE_PX)
    along_x = width > height
    return [whole, *(_Region(int(s) if along_x else 0, 0 if along_x else int(s), short, size) for s in starts)]
