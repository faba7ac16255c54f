"""People seen from above: `python benchmarks/seen_from_above.py --data-root DATA [--clips N]`.

The held-out clips of `footing.py` are seen by cameras that look down by 0 to 75°, through MoveNet's measured noise,
which knows nothing of what a detector misses from above; lifted, smoothed and placed as offline runs do. In a row for
each pitch are medians over the clips:

    up       degrees between the found vertical and the true one; told: the uncertainty that goes with it
    pose     mm, mean joint error about the pelvis in axes that are level, with the camera's heading
    shape    mm, the same after the best rotation of each pose: what is wrong whichever way is up
    --pitch  the same three where the user says by how much the camera looks down
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from footing import SETS, Clip, chosen, figures, seen_clip
from numpy.typing import NDArray

from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.motion.gravity import KnownCamera
from sasmamba.app.motion.placing import place
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.training.motion import load_motion

PITCHES_DEG = (0, 15, 30, 45, 60, 75)


def shape_mm(found: NDArray, true: NDArray) -> float:
    """Mean error of (F, 17, 3) about the pelvis, after the best rotation of each pose."""
    a, b = found - found[:, :1], true - true[:, :1]
    u, _, vt = np.linalg.svd(a.transpose(0, 2, 1) @ b)
    sign = np.ones((len(a), 1, 3))
    sign[:, 0, 2] = np.sign(np.linalg.det(u @ vt))
    return 1000 * float(np.linalg.norm(a @ (u * sign @ vt) - b, axis=-1)[:, 1:].mean())


def of_clip(clip: Clip, known: KnownCamera | None) -> list[float]:
    """up, told, pose, shape."""
    placed = place(clip.take, 60.0, intrinsics=clip.camera, known=known)
    told = figures(clip, placed)
    if told is None:
        return [np.nan] * 4
    frames, world = placed.world(next(iter(placed.poses)))
    return [told.up_deg, told.told_deg, told.pose_mm, shape_mm(world, clip.world[frames])]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, metavar="DIR")
    parser.add_argument("--clips", type=int, default=3, help="of each kind")
    args = parser.parse_args()
    torch.set_num_threads(1)
    lifter = Lifter.load(DEFAULT_LIFTER)
    print(f"{'down by':>8s}{'clips':>7s}{'up':>7s}{'told':>7s}{'pose':>7s}{'shape':>7s}   --pitch: up, pose, shape")
    for pitch in PITCHES_DEG:
        alone, said = [], []
        for kind, (file, words) in SETS["held out"].items():
            motion = load_motion([args.data_root / f"{file}.npz"])
            for n, c in enumerate(chosen(motion, words)[: args.clips]):
                clip = seen_clip(motion, c, lifter, kind, 1000 * n + 7, pitch_deg=pitch)
                alone.append(of_clip(clip, None))
                said.append(of_clip(clip, KnownCamera(pitch_deg=pitch)))
        up, told, pose, shape = np.nanmedian(alone, 0)
        up_said, _, pose_said, shape_said = np.nanmedian(said, 0)
        print(
            f"{pitch:>7d}°{len(alone):7d}{up:7.1f}{told:7.1f}{pose:7.0f}{shape:7.0f}"
            f"   {up_said:12.1f} {pose_said:5.0f} {shape_said:5.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
