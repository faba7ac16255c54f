"""Corrections applied to the 2D of a take: a new take, the old one as it was."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.fix.corrections import (
    JOINT_NAMES,
    CameraUpright,
    Correction,
    DeletePerson,
    ExchangePeople,
    ExchangeSides,
    FootOnFloor,
    HideJoint,
    MoveJoint,
    Whose,
    told,
)
from sasmamba.app.take import Take, Track
from sasmamba.app.types import FloorMark, HeldJoint, Person2D, UprightMark
from sasmamba.models.skeletons import COCO_MIRROR, FOOT_MIRROR

T = TypeVar("T")

#: Somebody is looked for in frames so near, where a new analysis did not see them in that very one.
_NEAR_S = 0.25
#: Somebody whose middle lies farther away than this share of their box's longer side is somebody else.
_FARTHEST = 0.5


class DoesNotApply(ValueError):
    """A correction for somebody, or for a time, that is not in the take; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """A corrected take, without poses, and a sentence for each correction that does not apply to it."""

    take: Take
    problems: tuple[str, ...]


def corrected(take: Take, corrections: Sequence[Correction], start_s: float = 0.0) -> Corrected:
    """The 2D of a take after corrections, applied one after the other; what the user says of the floor comes last.

    Args:
        take: stays as it is.
        corrections: those that do not apply are passed over, and told.
        start_s: where in its file the take begins; times of corrections count from the file's first frame.
    """
    work = _Work(take, start_s)
    problems = {}
    in_order = sorted(enumerate(corrections), key=lambda one: isinstance(one[1], FootOnFloor | CameraUpright))
    for number, correction in in_order:
        try:
            work.apply(correction)
        except DoesNotApply as reason:
            problems[number] = f"A correction was left out ({told(correction)}): {reason}."
    return Corrected(work.finished(), tuple(problems[number] for number in sorted(problems)))


def middle_px(person: Person2D) -> tuple[float, float]:
    """The middle of the joints that were found of somebody, or of their box; it names them in corrections."""
    found = person.score > 0
    points = person.joints_px[found] if found.any() else person.box_px.reshape(2, 2)
    x, y = points.mean(0).tolist()
    return round(x, 2), round(y, 2)


class _Work:
    """A take that is being corrected.

    Attributes:
        take: a copy of the given one, with people and dictionaries of its own.
        held: by track, frame and joint, `HeldJoint.share`.
    """

    def __init__(self, take: Take, start_s: float) -> None:
        tracks = {i: Track(i, dict(track.people)) for i, track in take.tracks.items()}
        self.take = replace(
            take,
            tracks=tracks,
            detection_frames=list(take.detection_frames),
            floor_marks=list(take.floor_marks),
            upright_marks=list(take.upright_marks),
        )
        self.held: dict[int, dict[int, dict[int, float]]] = {}
        for one in take.held:
            self.held.setdefault(one.track_id, {}).setdefault(one.frame, {})[one.joint] = one.share
        self._times = take.seconds() + start_s
        apart = np.diff(self._times) if take.frames > 1 else np.array([1 / float(take.meta.fps)])
        self._apart_s = 0.75 * np.maximum(np.append(apart, apart[-1]), np.insert(apart, 0, apart[0]))[: take.frames]

    def apply(self, correction: Correction) -> None:
        """Raises DoesNotApply where it does not."""
        match correction:
            case MoveJoint(whose, joint, to_px, spread_s):
                self._move(whose, JOINT_NAMES.index(joint), np.array(to_px, np.float32), spread_s)
            case HideJoint(whose, joint, from_s, to_s):
                self._hide(self._find(whose), JOINT_NAMES.index(joint), self._stretch(from_s, to_s))
            case ExchangeSides(whose, from_s, to_s):
                self._exchange_sides(self._find(whose), self._stretch(from_s, to_s))
            case ExchangePeople(whose, other, from_s, to_s):
                self._exchange_people(self._find(whose), self._find(other), self._stretch(from_s, to_s))
            case DeletePerson(whose, from_s, to_s):
                person, frames = self._find(whose), self._stretch(from_s, to_s)
                for frame in frames:
                    self.take.tracks[person].people.pop(frame, None)
                    self.held.get(person, {}).pop(frame, None)
            case FootOnFloor(whose, foot):
                self.take.floor_marks.append(FloorMark(self._frame(whose.time_s), self._find(whose), foot == "left"))
            case CameraUpright(time_s, pitch_deg, roll_deg):
                self.take.upright_marks.append(UprightMark(self._frame(time_s), pitch_deg, roll_deg))

    def finished(self) -> Take:
        """The take, without those of whom nothing is left."""
        tracks = {i: Track(i, dict(sorted(track.people.items()))) for i, track in self.take.tracks.items()}
        held = [
            HeldJoint(frame, i, joint, share)
            for i, frames in sorted(self.held.items())
            for frame, shares in sorted(frames.items())
            for joint, share in sorted(shares.items())
        ]
        return replace(self.take, tracks={i: track for i, track in tracks.items() if track.people}, held=held)

    def _frame(self, time_s: float) -> int:
        """The frame of a time."""
        frame = self._nearest(time_s)
        if abs(self._times[frame] - time_s) > self._apart_s[frame]:
            raise DoesNotApply(f"there is no frame at {time_s:.2f} s")
        return frame

    def _nearest(self, time_s: float) -> int:
        return int(np.abs(self._times - time_s).argmin())

    def _stretch(self, from_s: float, to_s: float) -> range:
        """The frames from a time to a time, which then are detection frames, all of them."""
        begin, end = self._nearest(from_s), self._nearest(to_s)
        if to_s < self._times[begin] - self._apart_s[begin] or from_s > self._times[end] + self._apart_s[end]:
            raise DoesNotApply(f"there is no frame from {from_s:.2f} s to {to_s:.2f} s")
        self._detect(range(begin, end + 1))
        return range(begin, end + 1)

    def _detect(self, frames: Iterable[int]) -> None:
        """Makes frames that the 2D stage passed over detection frames, with everybody where they are taken to be."""
        known = set(self.take.detection_frames)
        for frame in frames:
            if frame not in known:
                people = self.take.people_at(frame)
                insort(self.take.detection_frames, frame)
                for person in people:
                    assert person.track_id is not None
                    self.take.tracks[person.track_id].people[frame] = person

    def _find(self, whose: Whose) -> int:
        """The number of somebody in this take."""
        for frame in self._around(self._frame(whose.time_s)):
            best = min(
                (
                    (_away(person, whose), person.track_id != whose.person, person)
                    for person in self.take.people_at(frame)
                ),
                key=lambda one: one[:2],
                default=None,
            )
            if best is not None and best[0] <= _FARTHEST:
                assert best[2].track_id is not None
                return best[2].track_id
        raise DoesNotApply(f"nobody is where #{whose.person} was at {whose.time_s:.2f} s")

    def _around(self, frame: int) -> Iterator[int]:
        near = np.flatnonzero(np.abs(self._times - self._times[frame]) <= _NEAR_S)
        yield from sorted(near.tolist(), key=lambda f: abs(f - frame))

    def _move(self, whose: Whose, joint: int, to_px: NDArray[np.float32], spread_s: float) -> None:
        person, frame = self._find(whose), self._frame(whose.time_s)
        self._stretch(whose.time_s - spread_s, whose.time_s + spread_s)
        track = self.take.tracks[person].people
        if frame not in track:
            raise DoesNotApply(f"#{person} is not seen at {whose.time_s:.2f} s")
        held, now = self.held.setdefault(person, {}), self._times[frame]
        shift = to_px - track[frame].joints_px[joint] if track[frame].score[joint] > 0 else None
        track[frame] = _with_joint(track[frame], joint, to_px, 1.0)
        held.setdefault(frame, {})[joint] = 1.0
        if shift is None:  # it was nowhere: there is no way that others could have gone along
            return
        fixed = np.array(sorted(f for f, shares in held.items() if shares.get(joint) == 1))
        at = bisect_left(fixed, frame)
        last = self._times[fixed[at - 1]] if at > 0 else -np.inf
        next_ = self._times[fixed[at + 1]] if at + 1 < len(fixed) else np.inf
        before_s, after_s = min(spread_s, now - last), min(spread_s, next_ - now)
        for other in np.flatnonzero((self._times > now - before_s) & (self._times < now + after_s)).tolist():
            reach = before_s if other < frame else after_s
            if other != frame and other in track and track[other].score[joint] > 0:
                share = np.float32(1 - abs(self._times[other] - now) / reach)
                there = track[other]
                shares = held.setdefault(other, {})
                shares[joint] = max(float(share), shares.get(joint, 0.0))
                track[other] = _with_joint(
                    there, joint, there.joints_px[joint] + share * shift, float(there.score[joint])
                )

    def _hide(self, person: int, joint: int, frames: range) -> None:
        people = self.take.tracks[person].people
        for frame in self._seen(person, frames):
            people[frame] = _with_joint(people[frame], joint, people[frame].joints_px[joint], 0.0)
            self.held.get(person, {}).get(frame, {}).pop(joint, None)

    def _exchange_sides(self, person: int, frames: range) -> None:
        people, held, mirror = self.take.tracks[person].people, self.held.get(person, {}), list(COCO_MIRROR)
        for frame in self._seen(person, frames):
            one = people[frame]
            feet = None if one.feet is None else one.feet[list(FOOT_MIRROR)]
            people[frame] = replace(one, joints_px=one.joints_px[mirror], score=one.score[mirror], feet=feet)
            if frame in held:
                held[frame] = {COCO_MIRROR[joint]: share for joint, share in held[frame].items()}

    def _exchange_people(self, a: int, b: int, frames: range) -> None:
        if a == b:
            raise DoesNotApply("both are one person here")
        tracks = self.take.tracks
        _swap(self.held.setdefault(a, {}), self.held.setdefault(b, {}), frames)
        _swap(tracks[a].people, tracks[b].people, frames)
        for number in (a, b):
            people = tracks[number].people
            people.update({f: replace(people[f], track_id=number) for f in frames if f in people})

    def _seen(self, person: int, frames: range) -> list[int]:
        people = self.take.tracks[person].people
        there = [frame for frame in frames if frame in people]
        if not there:
            raise DoesNotApply(f"#{person} is not seen then")
        return there


def _swap(of_a: dict[int, T], of_b: dict[int, T], frames: Iterable[int]) -> None:
    """Exchanges what two dictionaries say of some frames, or do not say."""
    for frame in frames:
        pair = of_a.pop(frame, None), of_b.pop(frame, None)
        for there, one in ((of_b, pair[0]), (of_a, pair[1])):
            if one is not None:
                there[frame] = one


def _with_joint(person: Person2D, joint: int, at_px: NDArray, score: float) -> Person2D:
    joints, scores = person.joints_px.copy(), person.score.copy()
    joints[joint], scores[joint] = at_px, score
    return replace(person, joints_px=joints, score=scores)


def _away(person: Person2D, whose: Whose) -> float:
    """How far somebody is from where a correction saw them, as a share of their box's longer side."""
    size = float((person.box_px[2:] - person.box_px[:2]).max())
    distance = float(np.linalg.norm(np.array(middle_px(person)) - whose.at_px))
    return distance / max(size, 1.0)
