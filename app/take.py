"""Everything known of one video's people: what is exported and the renderer draws; one NPZ format on disk."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.camera_motion import CameraMotion
from sasmamba.app.pose2d.sides import SideRepair
from sasmamba.app.types import Cut, FloorMark, HeldJoint, Person2D, Pose3D, SceneLines, UprightMark, VideoMeta
from sasmamba.common.arrays import FloatArray


@dataclass(slots=True)
class Track:
    """One person's life in a video, frame by frame; grown while the video is analysed.

    people[frame] is what was seen, poses[frame] the lifted pose. A frame in a short gap, or one that the 2D stage
    passed over, has a pose but no person.
    """

    track_id: int
    people: dict[int, Person2D] = field(default_factory=dict)
    poses: dict[int, Pose3D] = field(default_factory=dict)


@dataclass(slots=True)
class Take:
    """All people of one video.

    Attributes:
        model: names the lifter.
        pose2d_every: the 2D stage was to run in every so many frames.
        cut_short: the user stopped the analysis before the video's end.
        times_s: each frame's exact time.
        detection_frames: the frames in which the 2D stage ran.
        side_repairs: where left and right were exchanged in the 2D and put right.
        cuts: where a new shot begins, in order of time.
        camera_motion: how the camera turned and zoomed, None where it stood still.
        upper: the tracks whose legs are left out of pictures and files, see `body`.
        cuts_passed_over: cuts that were found where the user wanted nobody to end at one.
        scene_lines: straight edges in some of the pictures, which tell of up.
        camera_strayed: by frame, of some, by which share of its longer side the picture had moved; of a camera that was
            said to be still.
        wide: by how much 95 % intervals of joints are wider than the 68 % ones of `Pose3D.half_width_m`, across and
            along the line of sight: the lifter's `Calibration`.
        floor_marks, upright_marks: what the user said of the floor and of which way is up, by hand.
        held: joints that were set by hand, see `holding`.
        settings: what to lift and to place it by again, see `Settings.kept`; empty where nobody said.
    """

    meta: VideoMeta
    model: str
    pose2d_every: int = 1
    cut_short: bool = False
    times_s: list[Fraction] = field(default_factory=list)
    detection_frames: list[int] = field(default_factory=list)
    tracks: dict[int, Track] = field(default_factory=dict)
    side_repairs: list[SideRepair] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    camera_motion: CameraMotion | None = None
    upper: frozenset[int] = frozenset()
    cuts_passed_over: list[Cut] = field(default_factory=list)
    scene_lines: SceneLines = field(default_factory=SceneLines)
    camera_strayed: dict[int, float] = field(default_factory=dict)
    wide: tuple[float, float] = (1.97, 1.97)
    floor_marks: list[FloorMark] = field(default_factory=list)
    upright_marks: list[UprightMark] = field(default_factory=list)
    held: list[HeldJoint] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """Number of frames analysed."""
        return len(self.times_s)

    @property
    def shots(self) -> list[range]:
        """The frames of each shot, in order of time: together all frames of the take, each once."""
        ends = [0, *(cut.frame for cut in self.cuts), self.frames]
        return [range(a, b) for a, b in pairwise(ends) if b > a]

    def seconds(self, frames: Iterable[int] | None = None) -> NDArray[np.float64]:
        """(F,) times of these frames, in their order, or of all, seconds."""
        times: Iterable[Fraction] = self.times_s if frames is None else (self.times_s[f] for f in frames)
        return np.array([float(t) for t in times])

    def end_shots_at(self, cuts: Iterable[Cut]) -> None:
        """Takes over the cuts that lie in the frames analysed, and gives whoever was followed across one another
        identity after it: a new one, in order of time."""
        self.cuts = [cut for cut in cuts if cut.frame < self.frames]
        for shot in self.shots[1:]:
            for track in [t for t in self.tracks.values() if t.people and min(t.people) < shot.start]:
                later = {f: person for f, person in track.people.items() if f >= shot.start}
                if later:
                    new = max(self.tracks) + 1
                    track.people = {f: person for f, person in track.people.items() if f < shot.start}
                    self.tracks[new] = Track(new, {f: replace(p, track_id=new) for f, p in later.items()})

    def add_people(self, frame: int, people: Iterable[Person2D]) -> None:
        """Records who was seen in a detection frame; call it for the empty ones, too."""
        self.detection_frames.append(frame)
        for person in people:
            assert person.track_id is not None
            track = self.tracks.setdefault(person.track_id, Track(person.track_id))
            track.people[frame] = person

    def add_poses(self, poses: Iterable[Pose3D]) -> None:
        """Records lifted poses of people already seen."""
        for pose in poses:
            self.tracks[pose.track_id].poses[pose.frame] = pose

    def drop_spurious_tracks(self, min_s: float) -> int:
        """Forgets people seen for less than min_s seconds (at most half the video); returns how many.

        However few the detection frames are, one detection alone is not enough.
        """
        detections = math.ceil(min_s * self.meta.fps / self.pose2d_every)
        least = min(max(detections, 2), max(1, len(self.detection_frames) // 2))
        spurious = [i for i, track in self.tracks.items() if len(track.people) < least]
        for i in spurious:
            del self.tracks[i]
        return len(spurious)

    def keep_person(self, person: int) -> str:
        """Forgets everybody but one; where there is nobody of that number, forgets nobody and says who is there."""
        if person in self.tracks:
            self.tracks = {person: self.tracks[person]}
            return ""
        there = ", ".join(f"{i} in {len(t.people)} frames" for i, t in sorted(self.tracks.items()))
        return f"--person {person}: there is no such person; {f'found are {there}' if there else 'nobody was found'}."

    def people_at(self, frame: int) -> tuple[Person2D, ...]:
        """Who is where in a frame: people seen in it or, where the 2D stage passed it over, people seen in both
        detection frames around it, on the straight line between. Good to lift and to draw; what was seen is in
        `Track.people`."""
        tracks = self.tracks.values()
        after = bisect_left(self.detection_frames, frame)
        if self.detection_frames[after : after + 1] == [frame]:
            return tuple(t.people[frame] for t in tracks if frame in t.people)
        if not 0 < after < len(self.detection_frames):
            return ()
        a, b = self.detection_frames[after - 1 : after + 1]
        share = float((self.times_s[frame] - self.times_s[a]) / (self.times_s[b] - self.times_s[a]))
        return tuple(_between(t.people[a], t.people[b], share) for t in tracks if a in t.people and b in t.people)


def cut_list(cuts: Sequence[Cut], most: int | None = None) -> str:
    """How many shots there are and where they begin, at most so many of them."""
    told = ", ".join(f"{float(c.time_s):.2f} s{'' if c.kind == 'cut' else f' ({c.kind})'}" for c in cuts[:most])
    more = len(cuts) - len(cuts[:most])
    return f"{len(cuts) + 1} shots, cut at {told}{f' and {more} more' if more else ''}"


def _between(a: Person2D, b: Person2D, share: float) -> Person2D:
    """A person on the straight line from a (share 0) to b (share 1)."""

    def mix(x: NDArray, y: NDArray) -> FloatArray:
        return ((1 - share) * x + share * y).astype(np.float32)

    # The position of a joint that was not found means nothing: there it stays where the other keyframe has it.
    from_a = np.where(a.score[:, None] > 0, a.joints_px, b.joints_px)
    from_b = np.where(b.score[:, None] > 0, b.joints_px, a.joints_px)
    feet = None if a.feet is None or b.feet is None else mix(a.feet, b.feet)
    joints, score = mix(from_a, from_b), mix(a.score, b.score)
    return replace(a, box_px=mix(a.box_px, b.box_px), joints_px=joints, score=score, feet=feet)
