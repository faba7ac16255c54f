"""A camera that is lifted and lowered before people who walk: `python benchmarks/lifted_camera.py --data-root DATA`.

Clips of S8 that walk, as benchmarks/footing.py sees them, but the camera goes up by 0.6 m and down again every six
seconds, as far as its pitch and roll leave it. A background would show that it is carried about, which is told here;
for comparison it is told to turn where it stands. No edges of a scene are seen.

    up    degrees between the found vertical and the true one, mean and worst of the clips; told: as it is stated
    feet  cm by which the lower foot is higher or lower than it truly is above the floor: median, 95th percentile
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import footing
import numpy as np
import torch

from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.motion.camera_motion import CameraKind, CameraMotion
from sasmamba.app.motion.footing import ANKLES
from sasmamba.app.motion.placing import place
from sasmamba.app.take import Take
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.training.motion import Motion, load_motion

_LIFT_M, _PERIOD_S = 0.6, 6.0


def lifted(motion: Motion, c: int) -> Motion:
    """The same, one clip lower by as much as the camera is higher."""
    root, rows = motion.root.clone(), slice(int(motion.start[c]), int(motion.start[c] + motion.length[c]))
    time = torch.arange(int(motion.length[c])) / float(motion.fps[c])
    root[rows, 2] -= 0.5 * _LIFT_M * (1 - torch.cos(2 * np.pi * time / _PERIOD_S))
    return replace(motion, root=root)


def told(take: Take, kind: CameraKind) -> Take:
    """A take of a camera that does this; it turns by next to nothing."""
    angle = 1e-4 * np.arange(take.frames) / take.frames
    turns = np.tile(np.eye(3), (take.frames, 1, 1))
    turns[:, 0, 1], turns[:, 1, 0] = -angle, angle
    ones = np.ones(take.frames)
    return replace(take, camera_motion=CameraMotion(kind, turns, ones, ones))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="folder of motion files")
    parser.add_argument("--clips", type=int, default=6)
    args = parser.parse_args()
    torch.set_num_threads(1)
    motion, lifter = load_motion([args.data_root / "h36m_train.npz"]), Lifter.load(DEFAULT_LIFTER)
    walkers = [c for c in footing.chosen(motion, ("S8",)) if "walk" in str(motion.action[c]).lower()][: args.clips]
    seen = []
    for n, c in enumerate(walkers):
        still = footing.seen_clip(motion, c, lifter, "walks", 1000 * n + 7)
        seen.append((still, footing.seen_clip(lifted(motion, c), c, lifter, "walks", 1000 * n + 7)))
    print("| camera | clips | up (worst; told) | feet, cm: median, 95 % |\n| --- | --- | --- | --- |")
    for name, goes, kind in (
        ("stays as high", False, "rotating"),
        ("stays as high, told to be carried", False, "moving"),
        ("is lifted, told to turn only", True, "rotating"),
        ("is lifted", True, "moving"),
    ):
        up, said, feet = [], [], []
        for still, moved in seen:
            clip = moved if goes else still
            placed = place(told(clip.take, kind), 60, intrinsics=clip.camera)
            frames, world = placed.world(next(iter(placed.poses)))
            up.append(footing.up_off_deg(clip, placed))
            said.append(placed.shots[0].sd_deg)
            feet.append(100 * np.abs(world[:, ANKLES, 2].min(1) - still.world[frames][:, ANKLES, 2].min(1)))
        off = np.concatenate(feet)
        print(
            f"| {name} | {len(seen)} | {np.mean(up):.1f}° ({max(up):.1f}°; ±{np.mean(said):.1f}°) "
            f"| {np.median(off):.1f}, {np.percentile(off, 95):.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
