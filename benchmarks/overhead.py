"""Arms overhead: `python benchmarks/overhead.py --data MOTION --bodies MOTION --cameras CAMERAS [--weights FILE …]`.

Clips of reaching and of windows being washed that no lifter of ours was trained on, on bodies of Human3.6M's subjects,
lifted as offline runs do (mirrored, refined with one body). Wherever a true arm is raised to a peak above level, by how
much is the upper arm's elevation off there? Median, in degrees, and with its sign: below 0 is drawn down, to the mean.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.models.angles import joint_angles
from sasmamba.models.checkpoint import load_lifter
from sasmamba.training.cameras import rig_from
from sasmamba.training.evaluation import KINDS, model_lift, windows, z_up
from sasmamba.training.loop import find_weights
from sasmamba.training.motion import load_motion
from sasmamba.training.simulate import body_lengths, retargeted

#: Held out by training/configs/lean-people.toml.
CLIPS = ("013_10", "014_07", "014_08", "014_12", "001_08")
_FRAMES, _PER_CLIP = 243, 4
#: A peak is above level, degrees, and above all within so many frames; those clips have 60 a second.
_LEVEL, _AROUND = 90.0, 30


def elevations(poses: torch.Tensor) -> NDArray:
    """(2, T) degrees of the left and the right upper arm of poses (T, 17, 3), camera axes."""
    found = joint_angles(z_up(poses).numpy())
    return np.stack([found[f"{side}_shoulder_elevation"] for side in ("left", "right")])


def peaks(series: NDArray) -> NDArray:
    """Frames of (T,) degrees where an arm is highest; the window's ends are none, they may be on the way up."""
    padded = np.pad(series, _AROUND, constant_values=-np.inf)
    highest = np.lib.stride_tricks.sliding_window_view(padded, 2 * _AROUND + 1).max(-1)
    at = np.flatnonzero((series == highest) & (series > _LEVEL))
    return at[(at > 0) & (at < len(series) - 1)]


def main() -> None:
    """Prints a table, a row for each lifter and kind of 2D."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="cmu_more.npz")
    parser.add_argument("--bodies", type=Path, required=True, help="h36m_train.npz")
    parser.add_argument("--cameras", type=Path, required=True)
    parser.add_argument("--weights", nargs="+", default=[DEFAULT_LIFTER])
    args = parser.parse_args()
    torch.set_num_threads(1)
    motion = load_motion([args.data])
    motion = retargeted(motion.select(np.isin(motion.name, CLIPS)), body_lengths(load_motion([args.bodies])).mean(0))
    rig = rig_from(args.cameras)
    shown = {kind: windows(motion, rig, "", _FRAMES, _PER_CLIP, kind) for kind in KINDS}
    print(f"{'':34}{'peaks':>7}{'off':>7}{'signed':>8}{'within 8°':>11}")
    for weights in args.weights:
        model = load_lifter(find_weights(weights)).eval()
        for kind, w in shown.items():
            lifted = model_lift(model, flip=True, refined=True, per_person=_PER_CLIP)(w.xyc)
            off = []
            for pose, target in zip(lifted, w.target, strict=True):
                found, true = elevations(pose), elevations(target)
                for mine, real in zip(found, true, strict=True):
                    at = peaks(real)
                    off += (mine[at] - real[at]).tolist()
            error = np.array(off)
            print(
                f"{Path(weights).stem:26}{kind:8}{len(error):7d}{np.median(np.abs(error)):7.1f}{np.median(error):8.1f}"
                f"{100 * np.mean(np.abs(error) <= 8):9.0f} %",
                flush=True,
            )


if __name__ == "__main__":
    main()
