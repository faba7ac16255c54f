"""Everything known of one video's people: what the sinks export and the renderer draws; one NPZ format on disk."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.sinks.atomic import atomic_path
from sasmamba.app.types import FloatArray, Person2D, Pose3D, UserError, VideoMeta
from sasmamba.models.skeletons import H36M, coco17_to_h36m17, mediapipe33_to_coco17

#: Input skeletons of `lift`, and how many joints each has.
SKELETONS = {"h36m17": 17, "coco17": 17, "mediapipe33": 33}

#: What numpy raises for files that are no NPZ, cut off, altered, or that claim more than memory holds.
_UNREADABLE = (
    OSError, ValueError, TypeError, EOFError, AttributeError, MemoryError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(slots=True)
class Track:
    """One person's life in a video, frame by frame; grown while the video is analysed.

    people[frame] is what was seen, poses[frame] the lifted pose. A frame in a short gap has a pose but no person.
    """

    track_id: int
    people: dict[int, Person2D] = field(default_factory=dict)
    poses: dict[int, Pose3D] = field(default_factory=dict)

    @property
    def span(self) -> tuple[int, int]:
        """First and last frame with a person."""
        return min(self.people), max(self.people)


@dataclass(slots=True)
class Take:
    """All people of one video. times_s[i] is frame i's exact time; model names the lifter."""

    meta: VideoMeta
    model: str
    times_s: list[Fraction] = field(default_factory=list)
    tracks: dict[int, Track] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """Number of frames analysed."""
        return len(self.times_s)

    def add_people(self, frame: int, people: Iterable[Person2D]) -> None:
        """Records who was seen in a frame."""
        for person in people:
            assert person.track_id is not None
            track = self.tracks.setdefault(person.track_id, Track(person.track_id))
            track.people[frame] = person

    def add_poses(self, poses: Iterable[Pose3D]) -> None:
        """Records lifted poses of people already seen."""
        for pose in poses:
            self.tracks[pose.track_id].poses[pose.frame] = pose

    def drop_ghosts(self, min_frames: int) -> int:
        """Forgets people seen in fewer than min_frames frames (at most half the video); returns how many."""
        least = min(min_frames, max(1, self.frames // 2))
        ghosts = [i for i, track in self.tracks.items() if len(track.people) < least]
        for i in ghosts:
            del self.tracks[i]
        return len(ghosts)

    def people_at(self, frame: int) -> tuple[Person2D, ...]:
        """Who was seen in a frame."""
        return tuple(t.people[frame] for t in self.tracks.values() if frame in t.people)

    def poses_at(self, frame: int) -> tuple[Pose3D, ...]:
        """Poses of a frame."""
        return tuple(t.poses[frame] for t in self.tracks.values() if frame in t.poses)


def write_npz(path: Path, arrays: Mapping[str, NDArray]) -> None:
    """Writes a compressed NPZ whole or not at all, byte for byte the same for the same arrays."""
    with atomic_path(path) as temporary, temporary.open("wb") as out:
        np.savez_compressed(out, allow_pickle=False, **arrays)


def save_poses(take: Take, path: Path) -> None:
    """Writes the take's poses in the format of `lift`'s output, with a leading axis over people.

    joints3d float32 (P, F, 17, 3) metres, relative to the pelvis, x right, y down, z forward (NaN where there is no
    pose); keypoints float32 (P, F, 17, 3) H36M-17 x px, y px, score (0 where not found); observed bool (P, F);
    track_id int64 (P,); times_s float64 (F,); fps float64; width, height int64; skeleton, model str.
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
            "joints3d": joints3d, "keypoints": keypoints, "observed": observed,
            "track_id": np.array([t.track_id for t in tracks], np.int64),
            "times_s": np.array([float(t) for t in take.times_s]),
            "fps": np.array(float(take.meta.fps)), "width": np.array(take.meta.width),
            "height": np.array(take.meta.height), "skeleton": np.array("h36m17"), "model": np.array(take.model),
        },
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Keypoints:
    """2D of one person that a user brings: xyc (F, 17, 3) H36M-17 x px, y px, score; fps; width, height in pixels;
    fov_deg, the field of view along the picture's longer side, where it is known."""

    xyc: FloatArray
    fps: float
    width: int
    height: int
    fov_deg: float | None = None


def read_keypoints(path: Path) -> Keypoints:
    """Reads `lift`'s input: keypoints (F, J, 3) x px, y px, score; fps, width, height, skeleton; fov_deg if known.

    A score of 0 or NaN, or a NaN position, marks a missing joint.

    Raises:
        UserError: the file is missing or breaks the format, with what is expected.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist.", exit_code=2)
    try:
        with np.load(path, allow_pickle=False) as archive:
            z = {k: np.asarray(archive[k]) for k in archive.files}
    except _UNREADABLE as error:
        raise UserError(f"{path} is not a readable NPZ file; write one with numpy.savez.") from error
    wanted = ("keypoints", "fps", "width", "height", "skeleton")
    if missing := [k for k in wanted if k not in z]:
        raise UserError(f"{path} lacks {', '.join(missing)}; it must hold {', '.join(wanted)}.")
    skeleton = z["skeleton"].item() if z["skeleton"].size == 1 else z["skeleton"].tolist()
    if isinstance(skeleton, bytes):
        skeleton = skeleton.decode(errors="replace")
    if str(skeleton) not in SKELETONS:
        raise UserError(f"{path}: skeleton {str(skeleton)!r} is unknown; use one of {', '.join(SKELETONS)}.")
    points = z["keypoints"]
    if points.ndim != 3 or points.shape[1:] != (SKELETONS[skeleton], 3) or points.shape[0] < 1:
        raise UserError(
            f"{path}: keypoints for {skeleton} must have shape (frames, {SKELETONS[skeleton]}, 3), got {points.shape}."
        )
    if not np.issubdtype(points.dtype, np.floating) and not np.issubdtype(points.dtype, np.integer):
        raise UserError(f"{path}: keypoints must be numbers, got {points.dtype}.")
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and so missing
        points = points.astype(np.float32)
    try:
        fps, width, height = float(z["fps"].item()), int(z["width"].item()), int(z["height"].item())
        fov_deg = float(z["fov_deg"].item()) if "fov_deg" in z else None
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: fps, width, height and fov_deg must be single numbers.") from error
    if fov_deg is not None and not 1 <= fov_deg <= 170:
        raise UserError(f"{path}: fov_deg must lie between 1 and 170 degrees, got {fov_deg:g}.")
    if not (0 < fps < math.inf and width > 0 and height > 0):
        raise UserError(f"{path}: fps, width and height must be above 0, got {fps}, {width}, {height}.")
    missing_joint = ~np.isfinite(points).all(-1) | (points[..., 2] <= 0)
    points[missing_joint] = 0
    xy, score = points[..., :2], np.minimum(points[..., 2], 1)
    if skeleton == "mediapipe33":
        xy, score = mediapipe33_to_coco17(xy, score)
    if skeleton != "h36m17":
        xy, score = coco17_to_h36m17(xy, score)
    if not (score > 0).any():
        raise UserError(f"{path}: every joint is missing in every frame, there is nothing to lift.")
    xyc = np.concatenate([xy, score[..., None]], -1).astype(np.float32)
    return Keypoints(xyc, fps, width, height, fov_deg)


def pelvis_px(person: Person2D) -> FloatArray | None:
    """Where the pelvis is in the picture (2,), or None when a hip was not found."""
    joints, score = coco17_to_h36m17(person.joints_px, person.score)
    return joints[H36M.PELVIS] if score[H36M.PELVIS] > 0 else None
