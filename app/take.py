"""Everything known of one video's people: what the sinks export and the renderer draws; one NPZ format on disk."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.types import FloatArray, Person2D, Pose3D, VideoMeta
from sasmamba.common.files import atomic_path
from sasmamba.models.skeletons import coco17_to_h36m17


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
    """All people of one video. times_s[i] is frame i's exact time; model names the lifter; pose2d_every: the 2D stage
    was to look at every so many frames, looks: the frames it looked at; cut_short: the user stopped the analysis before
    the video's end."""

    meta: VideoMeta
    model: str
    pose2d_every: int = 1
    cut_short: bool = False
    times_s: list[Fraction] = field(default_factory=list)
    looks: list[int] = field(default_factory=list)
    tracks: dict[int, Track] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """Number of frames analysed."""
        return len(self.times_s)

    def add_people(self, frame: int, people: Iterable[Person2D]) -> None:
        """Records who was seen in a frame that the 2D stage looked at; call it for the empty ones, too."""
        self.looks.append(frame)
        for person in people:
            assert person.track_id is not None
            track = self.tracks.setdefault(person.track_id, Track(person.track_id))
            track.people[frame] = person

    def add_poses(self, poses: Iterable[Pose3D]) -> None:
        """Records lifted poses of people already seen."""
        for pose in poses:
            self.tracks[pose.track_id].poses[pose.frame] = pose

    def drop_ghosts(self, min_frames: int) -> int:
        """Forgets people seen for less than min_frames frames' time (at most half the video); returns how many.

        However rarely the 2D stage looks, the word of a single look is not enough.
        """
        least = min(max(math.ceil(min_frames / self.pose2d_every), 2), max(1, len(self.looks) // 2))
        ghosts = [i for i, track in self.tracks.items() if len(track.people) < least]
        for i in ghosts:
            del self.tracks[i]
        return len(ghosts)

    def people_at(self, frame: int) -> tuple[Person2D, ...]:
        """Who is where in a frame: people seen in it or, where the 2D stage passed it over, people seen in both looks
        around it, on the straight line between. Good to lift and to draw; what was seen is in `Track.people`."""
        tracks = self.tracks.values()
        after = bisect_left(self.looks, frame)
        if self.looks[after : after + 1] == [frame]:
            return tuple(t.people[frame] for t in tracks if frame in t.people)
        if not 0 < after < len(self.looks):
            return ()
        a, b = self.looks[after - 1 : after + 1]
        share = float((self.times_s[frame] - self.times_s[a]) / (self.times_s[b] - self.times_s[a]))
        return tuple(_between(t.people[a], t.people[b], share) for t in tracks if a in t.people and b in t.people)


def _between(a: Person2D, b: Person2D, share: float) -> Person2D:
    """A person on the straight line from a (share 0) to b (share 1)."""

    def mix(x: NDArray, y: NDArray) -> FloatArray:
        return ((1 - share) * x + share * y).astype(np.float32)

    # The position of a joint that was not found means nothing: there it stays where the other look found it.
    from_a = np.where(a.score[:, None] > 0, a.joints_px, b.joints_px)
    from_b = np.where(b.score[:, None] > 0, b.joints_px, a.joints_px)
    return replace(a, box_px=mix(a.box_px, b.box_px), joints_px=mix(from_a, from_b), score=mix(a.score, b.score))


def write_npz(path: Path, arrays: Mapping[str, NDArray]) -> None:
    """Writes a compressed NPZ whole or not at all, byte for byte the same for the same arrays."""
    with atomic_path(path) as temporary, temporary.open("wb") as out:
        np.savez_compressed(out, **arrays)  # type: ignore[arg-type]  # the stub takes arrays for a flag


def save_poses(take: Take, path: Path, more: Mapping[str, NDArray] | None = None) -> None:
    """Writes the take's poses in the format of `lift`, which reads and writes it too.

    joints3d float32 (P, F, 17, 3) metres, relative to the pelvis, x right, y down, z forward in the axes of a camera
    that looks straight at the person (`axes` = "facing"), NaN where there is no pose; keypoints float32 (P, F, 17, 3)
    H36M-17 x px, y px, score (0 where not found); observed bool (P, F), who was seen in which frame; track_id int64
    (P,); times_s float64 (F,); fps float64; width, height int64; pose2d_every int64: the 2D stage looked at every so
    many frames and at the last, nobody was observed in the others; skeleton, axes, model str. more: arrays to add.
    """
    tracks = sorted(take.tracks.values(), key=lambda t: t.track_id)
    P, F = len(tracks), take.frames
    joints3d = np.full((P, F, 17, 3), np.nan, np.float32)
    keypoints = np.zeros((P, F, 17, 3), np.float32)
    observed = np.zeros((P, F), bool)
    for p, track in enumerate(tracks):
        for f, pose in track.poses.items():
            joints3d[p, f] = pose.joints
        for f, person in track.people.items():
            joints, score = coco17_to_h36m17(person.joints_px, person.score)
            keypoints[p, f] = np.concatenate([joints, score[:, None]], 1)
            observed[p, f] = True
    write_npz(
        path,
        {
            "joints3d": joints3d,
            "keypoints": keypoints,
            "observed": observed,
            "track_id": np.array([t.track_id for t in tracks], np.int64),
            "times_s": np.array([float(t) for t in take.times_s]),
            "fps": np.array(float(take.meta.fps)),
            "width": np.array(take.meta.width),
            "height": np.array(take.meta.height),
            "pose2d_every": np.array(take.pose2d_every),
            "skeleton": np.array("h36m17"),
            "axes": np.array("facing"),
            "model": np.array(take.model),
            **(more or {}),
        },
    )
