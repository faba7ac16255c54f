"""Identities across frames: who in this frame is who was in the last."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.pose2d.appearance import clothes_alike, torso_histogram
from sasmamba.app.pose2d.overlap import box_iou, joint_similarity
from sasmamba.app.pose2d.panning import Panning
from sasmamba.app.types import Frame, Person2D
from sasmamba.common.arrays import FloatArray

#: Tolerance of the similarity between a predicted and a seen person, in units of the COCO measure's. Wide, because a
#: prediction is off by a step or so, and a pair must be comparable before it can be told apart.
SLACK = 3.0
#: How much wider it grows with every second somebody was not seen.
SLACK_PER_S = 4.5
#: In doubt a sighting belongs to who was seen in the last frame, not to who was missed for so many seconds or more.
MISSED_DISCOUNT, MISSED_S = 0.8, 0.05
#: Pairs less similar than this are different people.
MIN_SIMILARITY = 0.15
#: A pose may be another all at once, by a somersault or by the network's error, and after a miss the motion too: the
#: place alone is worth this much, within so many of their sizes of where they were or are expected, and of more with
#: every second they were missed.
PLACE_ALONE, NEAR, NEAR_PER_S = 0.4, 0.3, 1.5
#: Seconds over which velocity is averaged, and after which a third is left of it while somebody is not seen.
VELOCITY_S, GLIDE_S = 0.15, 1.1
#: Seconds over which a place is averaged on its course: at a high frame rate two who pass each other in the same place
#: are told apart by where they were going, not by the noise of one frame.
PLACE_S = 0.06
#: A velocity begins at zero with the weight of so many seconds, lest the first two boxes decide it by their noise.
STILL_S = 0.03
#: Somebody who vanishes where their box overlaps another's by this much (intersection over union) went behind them,
#: and of two who overlap so the clothes of neither are compared.
TANGLED_IOU = 0.1
#: How much wider the tolerance is for who comes out of such an encounter, where their clothes are to decide.
TANGLED_SLACK = 2.0
#: How much other clothes take off a pair's similarity: so much at first, and all of it after so many seconds unseen,
#: when motion says little. Clothes that are not known are rather the same.
CLOTHES_WEIGHT, CLOTHES_ALONE_S, CLOTHES_UNKNOWN = 0.5, 0.4, 0.7
#: Clothes are averaged over so many seconds.
CLOTHES_S = 3.0
#: Seconds after which somebody unseen is forgotten: time to walk out of the picture and back.
MAX_GAP_S = 2.0
#: Who was seen for less than this is forgotten after as much, lest a spurious track of one frame takes somebody's
#: place later.
PROVEN_S = 0.2
#: Who is behind another is remembered this many times as long: they are still there.
HIDDEN_GAP = 2.5


@dataclass(frozen=True, slots=True, eq=False)
class _Sighting:
    """Somebody in one frame.

    Attributes:
        clothes: None where they are not seen, or might be another's.
        in_the_way: somebody else is so near that they might be.
    """

    person: Person2D
    clothes: FloatArray | None
    in_the_way: bool


@dataclass(slots=True, eq=False)
class _Track:
    """One identity: as last seen, and as last seen for certain, from where the motion is extrapolated."""

    track_id: int
    person: Person2D
    first_s: float
    seen_s: float
    certain: Person2D
    certain_s: float
    clothes: FloatArray | None
    clothes_s: float = 0.0  # how long they have been averaged
    travelled_px: FloatArray = field(default_factory=lambda: np.zeros(2, np.float32))  # both fade alike
    travelling_s: float = STILL_S
    lag_px: FloatArray = field(default_factory=lambda: np.zeros(2, np.float32))  # from `certain` to where it should be
    in_the_way: bool = False
    before_absence: _Track | None = None  # while whoever came back has shown no clothes yet
    vanished_by: frozenset[int] = frozenset()  # identities in whose place this one vanished
    panned: bool = False  # the camera turned since they were seen

    def pan(self, shift_px: FloatArray) -> None:
        """The camera turned: everything stands (2,) farther right and down in the picture than it did."""
        self.person, self.certain = _moved(self.person, shift_px), _moved(self.certain, shift_px)
        self.panned = True
        if self.before_absence is not None:
            self.before_absence.pan(shift_px)

    def is_out_of(self, bgr: NDArray[np.uint8], now_s: float) -> bool:
        """Whether the camera turned away from where they are: nobody in the picture is them, until it turns back."""
        if not self.panned:
            return False
        x0, y0, x1, y1 = _widened(self.predicted_box(now_s))
        return bool(x1 < 0 or y1 < 0 or x0 >= bgr.shape[1] or y0 >= bgr.shape[0])

    def gain(self, now_s: float, before_s: float, seen: _Sighting, *, certain: bool) -> float:
        """How well a sighting continues this track, 0..1, from its last or its last certain sighting."""
        start, since_s = (self.certain, self.certain_s) if certain else (self.person, self.seen_s)
        missed_s = max(0.0, before_s - since_s)
        slack = SLACK * (1 + SLACK_PER_S * missed_s)
        same_clothes, weight = CLOTHES_UNKNOWN, CLOTHES_WEIGHT
        if self.clothes is not None and seen.clothes is not None:
            same_clothes = clothes_alike(self.clothes, seen.clothes)
            if self.in_the_way:
                # Out of a tangle either may come on either side, and their clothes are to be seen again.
                slack, weight = slack * TANGLED_SLACK, 1.0
        unseen = min(1.0, max(0.0, before_s - self.seen_s) / CLOTHES_ALONE_S)
        weight += (1 - weight) * unseen
        shift = self._drift(now_s - since_s) + (self.lag_px if start is self.certain else 0)
        alike = joint_similarity(start, seen.person, shift_px=shift, slack=slack)
        alike = max(alike, PLACE_ALONE * _nearness(start, seen.person, shift, missed_s))
        alike *= 1 - (1 - MISSED_DISCOUNT) * min(1.0, missed_s / MISSED_S)
        return alike * (1 - weight * (1 - same_clothes))

    def predicted_box(self, now_s: float) -> FloatArray:
        return self.person.box_px + np.tile(self._drift(now_s - self.seen_s), 2)

    def meet(self, now_s: float, before_s: float, seen: _Sighting, *, certain: bool) -> None:
        if seen.clothes is not None:
            self.before_absence = None
        elif self.seen_s < before_s and self.clothes is not None:
            self.before_absence = self.before_absence or replace(self)
        self.in_the_way, self.panned = seen.in_the_way, False
        self.person, self.vanished_by = seen.person, frozenset()
        if certain:
            passed_s = now_s - self.certain_s
            before, here = _centre(self.certain), _centre(seen.person)
            course = before + self.lag_px + self._drift(passed_s)
            self.lag_px = (np.exp(-passed_s / PLACE_S) * (course - here)).astype(np.float32)
            left = float(np.exp(-passed_s / VELOCITY_S))
            # What was travelled before counts less than the new step, which counts as it would at any frame rate.
            new = VELOCITY_S * (1 - left) / passed_s
            self.travelled_px = (left * self.travelled_px + new * (here - before)).astype(np.float32)
            self.travelling_s = left * self.travelling_s + new * passed_s
            self.certain, self.certain_s = seen.person, now_s
            if seen.clothes is not None:
                self._dress(now_s - self.seen_s, seen.clothes)
        self.seen_s = now_s

    def is_mistaken(self, seen: _Sighting) -> bool:
        """Whether this sighting shows that somebody else came in the place of who was away."""
        before = self.before_absence
        if before is None or before.clothes is None or seen.clothes is None:
            return False
        return clothes_alike(before.clothes, seen.clothes) == 0

    def _dress(self, passed_s: float, clothes: FloatArray) -> None:
        self.clothes_s = min(self.clothes_s + passed_s, CLOTHES_S)
        share = min(1.0, passed_s / self.clothes_s)
        self.clothes = clothes if self.clothes is None else (1 - share) * self.clothes + np.float32(share) * clothes

    def _drift(self, seconds: float) -> FloatArray:
        glide_s = GLIDE_S * (1 - np.exp(-seconds / GLIDE_S))
        return (self.travelled_px / self.travelling_s * glide_s).astype(np.float32)


class Tracker:
    """Gives people explicit identities 1, 2, … that survive crossings, embraces and short absences.

    Everybody is expected where a constant velocity takes them, in the clothes they wore; expectations and sightings are
    paired so that the summed similarity is the largest possible. While somebody is hidden by another, the one in front
    may be either of them or a mixture; when both are seen again, their paths from before the encounter decide, and
    their clothes. Time is counted in seconds: the frame rate does not matter.

    Where the camera turns, everybody is expected where it moved their place in the picture, and nobody whose place it
    turned away from, until it turns back. Nobody is expected beyond a cut. An identity is given at once and never given
    twice; whether a short one was a person is for others to say, when the whole track is known.

    Args:
        max_people: at most so many identities in one frame; surplus strangers are left out, the least certain first,
            and as many are remembered, those unseen for longest forgotten first.
        max_gap_s: seconds after which somebody unseen is forgotten.

    Memory does not grow with the video.
    """

    def __init__(self, *, max_people: int = 8, max_gap_s: float = MAX_GAP_S) -> None:
        if max_people < 1 or not max_gap_s >= 0:
            raise ValueError(f"max_people and max_gap_s: want at least 1 and 0, got {max_people} and {max_gap_s}")
        self._max_people = max_people
        self._max_gap_s = max_gap_s
        self._tracks: list[_Track] = []
        self._given = 0
        self._before_s: float | None = None
        self._panning = Panning()

    def start_anew(self) -> None:
        """Forgets everybody: who is seen from now on has an identity that nobody had."""
        self._tracks = []
        self._panning.start_anew()

    def update(self, frame: Frame, people: tuple[Person2D, ...]) -> tuple[Person2D, ...]:
        """The same people with identities, in order of identity; call it for every frame, also the empty ones.

        It starts anew at a frame that begins a shot.

        Raises:
            ValueError: the frame is not later than the last.
        """
        if frame.cut is not None:
            self.start_anew()
        now_s = float(frame.time_s)
        before_s = self._before_s
        if before_s is not None and now_s <= before_s:
            raise ValueError(f"frame.time_s: want more than {before_s:g}, got {now_s:g}")
        self._before_s = now_s
        before_s = now_s if before_s is None else before_s
        # The time between two frames is nobody's absence.
        self._tracks = [t for t in self._tracks if before_s - t.seen_s <= self._patience_s(t) + 1e-6]
        shift_px = self._panning.shift_px(now_s, frame.bgr, (_widened(p.box_px) for p in people))
        if shift_px is not None:
            for track in self._tracks:
                track.pan(shift_px)
        sightings = _sightings(frame.bgr, people)
        tangled = self._tangled()
        out = [track.is_out_of(frame.bgr, now_s) for track in self._tracks]
        pairs = self._pair(now_s, before_s, sightings, tangled, np.array(out, bool))
        apart = tangled <= {self._tracks[t].track_id for t, _ in pairs}
        for t, p in pairs:
            track, seen = self._tracks[t], sightings[p]
            if track.is_mistaken(seen):
                track = self._replaced(track)
            track.meet(now_s, before_s, seen, certain=apart or track.track_id not in tangled)
        self._note_vanished(now_s)
        known = {p for _, p in pairs}
        strangers = [s for i, s in enumerate(sightings) if i not in known]
        for stranger in sorted(strangers, key=lambda s: -float(s.person.score.mean())):
            self._welcome(now_s, stranger)
        present = sorted((t for t in self._tracks if t.seen_s == now_s), key=lambda t: t.track_id)
        return tuple(replace(t.person, track_id=t.track_id) for t in present)

    def _replaced(self, track: _Track) -> _Track:
        """A new identity for somebody who was taken for another; the other is away again, as they were before."""
        assert track.before_absence is not None
        self._given += 1
        stranger = replace(
            track, track_id=self._given, first_s=track.seen_s, before_absence=None, clothes=None, clothes_s=0.0
        )
        room = len(self._tracks) < self._max_people
        self._tracks[self._tracks.index(track)] = stranger
        if room:
            self._tracks.append(track.before_absence)
        return stranger

    def _patience_s(self, track: _Track) -> float:
        if track.seen_s - track.first_s < PROVEN_S:
            return min(PROVEN_S, self._max_gap_s)
        hidden = any(t.track_id in track.vanished_by for t in self._tracks)
        return self._max_gap_s * (HIDDEN_GAP if hidden else 1)

    def _tangled(self) -> set[int]:
        """Identities that may be mistaken for each other: everybody hidden by another, and who hides them."""
        alive = {t.track_id for t in self._tracks}
        hidden = [t for t in self._tracks if t.vanished_by & alive]
        return {i for t in hidden for i in (t.track_id, *(t.vanished_by & alive))}

    def _note_vanished(self, now_s: float) -> None:
        """Whoever is not seen may be behind everybody whom their path meets."""
        boxes = {t.track_id: _widened(t.predicted_box(now_s)) for t in self._tracks}
        for track in (t for t in self._tracks if t.seen_s < now_s):
            box = boxes[track.track_id]
            near = {i for i, other in boxes.items() if i != track.track_id and box_iou(box, other) > TANGLED_IOU}
            track.vanished_by |= near

    def _pair(
        self, now_s: float, before_s: float, sightings: list[_Sighting], tangled: set[int], out: NDArray[np.bool_]
    ) -> list[tuple[int, int]]:
        """Indices of (track, sighting) that belong together; tracks that are out of the picture have none."""

        def gains(*, certain: bool) -> NDArray:
            gain = [[t.gain(now_s, before_s, s, certain=certain) for s in sightings] for t in self._tracks]
            return np.array(gain, float).reshape(len(self._tracks), len(sightings))

        gain = gains(certain=False)
        if tangled:
            rows = [i for i, t in enumerate(self._tracks) if t.track_id in tangled]
            before = gains(certain=True)[rows]
            # They are apart again where as many are seen as they are, beside whom others account for.
            theirs = np.maximum(before, gain[rows]).max(0) >= np.delete(gain, rows, 0).max(0, initial=0)
            if ((before >= MIN_SIMILARITY).any(0) & theirs).sum() >= len(rows):
                gain[rows] = before
        gain[out] = 0
        return [(t, p) for t, p in best_pairs(np.where(gain < MIN_SIMILARITY, 0, gain)) if gain[t, p] >= MIN_SIMILARITY]

    def _welcome(self, now_s: float, stranger: _Sighting) -> None:
        if len(self._tracks) >= self._max_people:
            stalest = min(self._tracks, key=lambda t: t.seen_s)
            if stalest.seen_s == now_s:
                return
            self._tracks.remove(stalest)
        self._given += 1
        who, clothes = stranger.person, stranger.clothes
        track = _Track(self._given, who, now_s, now_s, who, now_s, clothes, in_the_way=stranger.in_the_way)
        self._tracks.append(track)


def _nearness(start: Person2D, seen: Person2D, shift: FloatArray, missed_s: float) -> float:
    """1 for a person on the way from a place to the one they are expected in, less the farther from it."""
    step = _centre(seen) - _centre(start)
    along = float(np.clip(step @ shift / max(float(shift @ shift), 1e-6), 0, 1))
    size = max(float((p.box_px[2:] - p.box_px[:2]).max()) for p in (start, seen))
    off = float(np.linalg.norm(step - along * shift)) / max(size * (NEAR + NEAR_PER_S * missed_s), 1e-6)
    return float(np.exp(-(off**2) / 2))


def _moved(person: Person2D, shift_px: FloatArray) -> Person2D:
    """Somebody (2,) farther right and down."""
    return replace(person, box_px=person.box_px + np.tile(shift_px, 2), joints_px=person.joints_px + shift_px)


def _widened(box_px: FloatArray) -> FloatArray:
    """A box of joints (4,) with a quarter more on each side: bodies are wider than their joints."""
    room = (box_px[2:] - box_px[:2]) / 4
    return np.concatenate([box_px[:2] - room, box_px[2:] + room])


def _sightings(bgr: NDArray[np.uint8], people: tuple[Person2D, ...]) -> list[_Sighting]:
    def sighting(person: Person2D) -> _Sighting:
        in_the_way = any(p is not person and box_iou(p.box_px, person.box_px) > TANGLED_IOU for p in people)
        return _Sighting(person, None if in_the_way else torso_histogram(bgr, person), in_the_way)

    return [sighting(person) for person in people]


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
