"""Identities across frames: who in this frame is who was in the last."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.pose2d.overlap import box_iou, joint_similarity
from sasmamba.app.types import FloatArray, Person2D

#: Tolerance of the similarity between a predicted and a seen person, in units of the COCO measure's. Wide, because a
#: prediction is off by a step or so, and a pair must be comparable before it can be told apart.
SLACK = 3.0
#: How much wider it grows with every frame somebody was not seen.
SLACK_PER_MISS = 0.15
#: In doubt a sighting belongs to who was seen in the last frame, not to who was missed.
MISSED_DISCOUNT = 0.8
#: Pairs less similar than this are different people.
MIN_SIMILARITY = 0.15
#: The share of a new step in the velocity, and of the velocity that is left after a frame unseen.
STEP_SHARE, GLIDE = 0.2, 0.97
#: Somebody who vanishes where their box overlaps another's by this much (intersection over union) went behind them.
TANGLED_IOU = 0.1


@dataclass(frozen=True, slots=True)
class TrackStats:
    """The life of one identity: first and last frame it was seen in, and in how many frames it was."""

    track_id: int
    first: int
    last: int
    hits: int


@dataclass(slots=True, eq=False)
class _Track:
    """One identity: as last seen, and as last seen for certain, from where the motion is extrapolated."""

    person: Person2D
    stats: TrackStats
    certain: Person2D
    certain_index: int
    velocity_px: FloatArray  # (2,) per frame
    vanished_by: frozenset[int] = frozenset()  # identities in whose place this one vanished

    def similarity(self, frame_index: int, person: Person2D, *, certain: bool) -> float:
        """How well a sighting continues this track, 0..1, from its last or its last certain sighting."""
        start, since = (self.certain, self.certain_index) if certain else (self.person, self.stats.last)
        slack = SLACK * (1 + SLACK_PER_MISS * (frame_index - since - 1))
        alike = joint_similarity(start, person, shift_px=self._drift(frame_index - since), slack=slack)
        return alike if since == frame_index - 1 else MISSED_DISCOUNT * alike

    def predicted_box(self, frame_index: int) -> FloatArray:
        return self.person.box_px + np.tile(self._drift(frame_index - self.stats.last), 2)

    def meet(self, frame_index: int, person: Person2D, *, certain: bool) -> None:
        self.person, self.vanished_by = person, frozenset()
        self.stats = replace(self.stats, last=frame_index, hits=self.stats.hits + 1)
        if certain:
            step = (_centre(person) - _centre(self.certain)) / (frame_index - self.certain_index)
            share = STEP_SHARE if self.stats.hits > 2 else 1.0
            self.velocity_px = ((1 - share) * self.velocity_px + share * step).astype(np.float32)
            self.certain, self.certain_index = person, frame_index

    def _drift(self, frames: int) -> FloatArray:
        return (self.velocity_px * np.sum(GLIDE ** np.arange(frames))).astype(np.float32)


class Tracker:
    """Gives people explicit identities 1, 2, … that survive crossings and short occlusions.

    Everybody is expected where a constant velocity takes them; expectations and sightings are paired so that the
    summed joint similarity is the largest possible. While somebody is hidden by another, the one in front may be
    either of them or a mixture; when both are seen again, their paths from before the encounter decide.

    An identity is given at once and never given twice; whether a short one was a person is for the reader of `stats`
    to say, when the whole track is known.

    Args:
        max_people: at most so many identities in one frame; surplus strangers are left out, the least certain first,
            and as many are remembered, those unseen for longest forgotten first.
        max_gap: frames after which somebody unseen is forgotten.

    Memory does not grow with the video, except for one `TrackStats` per identity.
    """

    def __init__(self, *, max_people: int = 8, max_gap: int = 30) -> None:
        if max_people < 1 or max_gap < 0:
            raise ValueError(f"max_people and max_gap: want at least 1 and 0, got {max_people} and {max_gap}")
        self._max_people = max_people
        self._max_gap = max_gap
        self._tracks: list[_Track] = []
        self._ended: list[TrackStats] = []
        self._given = 0
        self._last_index = -1

    @property
    def stats(self) -> tuple[TrackStats, ...]:
        """One entry per identity given so far, in order of identity."""
        return tuple(sorted([*self._ended, *(t.stats for t in self._tracks)], key=lambda s: s.track_id))

    def update(self, frame_index: int, people: tuple[Person2D, ...]) -> tuple[Person2D, ...]:
        """The same people with identities, in order of identity; call it for every frame, also the empty ones.

        Raises:
            ValueError: the frame is not later than the last.
        """
        if frame_index <= self._last_index:
            raise ValueError(f"frame_index: want more than {self._last_index}, got {frame_index}")
        self._last_index = frame_index
        self._forget(frame_index)
        tangled = self._tangled()
        pairs = self._pair(frame_index, people, tangled)
        apart = tangled <= {self._tracks[t].stats.track_id for t, _ in pairs}
        for t, p in pairs:
            track = self._tracks[t]
            track.meet(frame_index, people[p], certain=apart or track.stats.track_id not in tangled)
        self._note_vanished(frame_index)
        known = {p for _, p in pairs}
        strangers = sorted((p for i, p in enumerate(people) if i not in known), key=lambda p: -float(p.score.mean()))
        for person in strangers:
            self._welcome(frame_index, person)
        present = [t for t in self._tracks if t.stats.last == frame_index]
        return tuple(replace(t.person, track_id=t.stats.track_id) for t in present)

    def _forget(self, frame_index: int) -> None:
        self._end([t for t in self._tracks if frame_index - t.stats.last - 1 > self._max_gap])

    def _end(self, tracks: list[_Track]) -> None:
        self._ended += [t.stats for t in tracks]
        self._tracks = [t for t in self._tracks if t not in tracks]

    def _tangled(self) -> set[int]:
        """Identities that may be mistaken for each other: everybody hidden by another, and who hides them."""
        alive = {t.stats.track_id for t in self._tracks}
        hidden = [t for t in self._tracks if t.vanished_by & alive]
        return {i for t in hidden for i in (t.stats.track_id, *(t.vanished_by & alive))}

    def _note_vanished(self, frame_index: int) -> None:
        for track in (t for t in self._tracks if t.stats.last == frame_index - 1):
            box = track.predicted_box(frame_index)
            near = [t for t in self._tracks if t is not track and t.stats.last >= frame_index - 1]
            by = [t.stats.track_id for t in near if box_iou(box, t.predicted_box(frame_index)) > TANGLED_IOU]
            track.vanished_by = frozenset(by)

    def _pair(self, frame_index: int, people: tuple[Person2D, ...], tangled: set[int]) -> list[tuple[int, int]]:
        """Indices of (track, person) that belong together."""

        def gains(*, certain: bool) -> NDArray:
            shape = (len(self._tracks), len(people))
            gain = [[t.similarity(frame_index, p, certain=certain) for p in people] for t in self._tracks]
            return np.array(gain, float).reshape(shape)

        gain = gains(certain=False)
        if tangled:
            rows = [i for i, t in enumerate(self._tracks) if t.stats.track_id in tangled]
            before = gains(certain=True)[rows]
            if (before >= MIN_SIMILARITY).any(0).sum() >= len(rows):
                gain[rows] = before
        return [(t, p) for t, p in best_pairs(np.where(gain < MIN_SIMILARITY, 0, gain)) if gain[t, p] >= MIN_SIMILARITY]

    def _welcome(self, frame_index: int, person: Person2D) -> None:
        if len(self._tracks) >= self._max_people:
            stalest = min(self._tracks, key=lambda t: t.stats.last)
            if stalest.stats.last == frame_index:
                return
            self._end([stalest])
        self._given += 1
        stats = TrackStats(self._given, frame_index, frame_index, 1)
        self._tracks.append(_Track(person, stats, person, frame_index, np.zeros(2, np.float32)))


def _centre(person: Person2D) -> FloatArray:
    return (person.box_px[:2] + person.box_px[2:]) / np.float32(2)


def best_pairs(gain: NDArray) -> list[tuple[int, int]]:
    """Pairs rows with columns, each at most once and min(rows, columns) pairs in all, for the largest total gain.

    Exact: successive shortest augmenting paths over reduced costs (Kuhn 1955, "The Hungarian method for the assignment
    problem"; with prices after Edmonds and Karp 1972), O(rows² · columns).

    Args:
        gain: (rows, columns), finite; either may be 0.
    """
    if gain.shape[0] > gain.shape[1]:
        return sorted((r, c) for c, r in best_pairs(gain.T))
    rows, columns = gain.shape
    cost = -gain.astype(float)
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    row_of = np.full(columns, -1)
    for start in range(rows):
        # Dijkstra from the unpaired row to the nearest unpaired column; paired columns lead on through their rows.
        length = np.full(columns, np.inf)
        came_from = np.full(columns, -1)
        passed = np.zeros(columns, bool)
        row, column, so_far = start, -1, 0.0
        while row >= 0:
            onward = so_far + cost[row] - row_price[row] - column_price
            shorter = ~passed & (onward < length)
            length[shorter], came_from[shorter] = onward[shorter], column
            column = int(np.argmin(np.where(passed, np.inf, length)))
            so_far, row = float(length[column]), int(row_of[column])
            passed[column] = row >= 0
        # Prices that keep every reduced cost at or above zero.
        saved = so_far - length[passed]
        row_price[row_of[passed]] += saved
        column_price[passed] -= saved
        row_price[start] += so_far
        # Everybody on the path moves over by one.
        while column >= 0:
            before = int(came_from[column])
            row_of[column] = row_of[before] if before >= 0 else start
            column = before
    return sorted((int(r), c) for c, r in enumerate(row_of) if r >= 0)
