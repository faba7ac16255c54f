"""Takes for corrections: people who walk on the spot beside each other, as a 2D stage would have seen them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from helpers_cli import walker
from helpers_video import write_video

from sasmamba.app.config import Settings
from sasmamba.app.export.poses import save_poses
from sasmamba.app.fix.applying import middle_px
from sasmamba.app.fix.corrections import Whose
from sasmamba.app.take import Take, Track
from sasmamba.app.types import Person2D, VideoMeta

SIZE, FPS = (320, 240), 25


def walkers(frames: int, people: int = 2, *, every: int = 1, seed: int = 0) -> Take:
    """So many people, 1 to the left of 2, seen in every so many frames, a little shaky, without poses."""
    noise = np.random.default_rng(seed)
    take = Take(VideoMeta(*SIZE, Fraction(FPS), frames), "sasmamba-lean", every)
    take.times_s = [Fraction(f, FPS) for f in range(frames)]
    points = [walker(frames, (320 * (i + 0.5) / people, 120), 150) for i in range(people)]
    for frame in sorted({*range(0, frames, every), frames - 1}):
        seen = []
        for i, of in enumerate(points, 1):
            joints = of[frame, :, :2] + noise.normal(0, 0.4, (17, 2)).astype(np.float32)
            box = np.array([*joints.min(0), *joints.max(0)], np.float32)
            seen.append(Person2D(i, box, joints, np.full(17, 0.9, np.float32)))
        take.add_people(frame, seen)
    take.tracks = {i: Track(i, take.tracks[i].people) for i in range(1, people + 1)}
    return take


def whose(take: Take, person: int, frame: int) -> Whose:
    """Somebody by where they are in a frame."""
    there = next(p for p in take.people_at(frame) if p.track_id == person)
    return Whose(person, round(float(take.times_s[frame]), 6), middle_px(there))


def saved(take: Take, path: Path, **settings: object) -> Path:
    """The take in a file of poses, made with these settings."""
    take.settings = Settings(**settings).kept  # type: ignore[arg-type]
    save_poses(take, path)
    return path


def clip_and_poses(folder: Path, frames: int = 40, people: int = 2) -> tuple[Path, Path]:
    """A video without a picture of anybody, and poses that are of it."""
    video = write_video(folder / "clip.mp4", frames, size=SIZE, fps=FPS)
    return video, saved(walkers(frames, people), folder / "poses.npz")
