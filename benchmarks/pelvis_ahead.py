"""How far the pelvis lies ahead of the line from ankles to thorax: `python benchmarks/pelvis_ahead.py --data MOTION`.

Of people who stand straight; centimetres, forward as the hips face, mean of all such frames. True is what motion
capture says; the other columns are lifted from the 17 joints themselves, from joints derived of true COCO points, and
from those with MoveNet's noise, so that the steps between them show where a lean arises: in the lifter, in the
derivation of joints (models/skeletons.py), or in the detector. Placement turns poses as wholes and cannot change it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.models.checkpoint import load_lifter
from sasmamba.models.skeletons import H36M
from sasmamba.training.cameras import rig_from
from sasmamba.training.evaluation import model_lift, windows
from sasmamba.training.loop import find_weights
from sasmamba.training.motion import load_motion

_ANKLES = [H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE]


def _unit(v: NDArray) -> NDArray:
    return v / np.linalg.norm(v, axis=-1, keepdims=True).clip(1e-9)


def ahead_cm(poses: NDArray) -> NDArray:
    """(F,) of poses (F, 17, 3) in any axes."""
    feet, thorax = poses[:, _ANKLES].mean(1), poses[:, H36M.THORAX]
    axis = _unit(thorax - feet)
    beside = (poses[:, 0] - feet) - ((poses[:, 0] - feet) * axis).sum(1, keepdims=True) * axis
    # right-handed axes: to the left times up is backwards
    forward = _unit(np.cross(axis, poses[:, H36M.RIGHT_HIP] - poses[:, H36M.LEFT_HIP]))
    return np.asarray(100 * (beside * forward).sum(1))


def stands(poses: NDArray) -> NDArray:
    """(F,) bool: legs straight, trunk in line with them."""
    straight = np.ones(len(poses), bool)
    for side in ("LEFT", "RIGHT"):
        hip, knee, ankle = (poses[:, H36M[f"{side}_{j}"]] for j in ("HIP", "KNEE", "ANKLE"))
        straight &= (_unit(knee - hip) * _unit(ankle - knee)).sum(-1) > np.cos(np.radians(20))
    trunk, legs = poses[:, H36M.THORAX] - poses[:, 0], poses[:, 0] - poses[:, _ANKLES].mean(1)
    return np.asarray(straight & ((_unit(trunk) * _unit(legs)).sum(1) > np.cos(np.radians(15))))


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="motion file")
    parser.add_argument("--cameras", type=Path, help="table of cameras; without it four ideal ones")
    parser.add_argument("--subjects", nargs="+", default=["S8"])
    parser.add_argument("--lifter", default=DEFAULT_LIFTER)
    parser.add_argument("--per-clip", type=int, default=1, help="windows per clip")
    args = parser.parse_args()
    torch.set_num_threads(1)
    motion = load_motion([args.data])
    lift = model_lift(load_lifter(find_weights(args.lifter)), flip=True, refined=True)
    for subject in args.subjects:
        mine = motion.select(motion.subject == subject)
        for kind in ("true", "coco", "movenet"):
            w = windows(mine, rig_from(args.cameras), subject, 243, args.per_clip, kind)
            true, found = w.target.flatten(0, 1).numpy(), lift(w.xyc).flatten(0, 1).numpy()
            on = stands(true)
            away = (true[on, H36M.NOSE, 2] - true[on, H36M.HEAD_TOP, 2]) > 0  # whose face is turned from the camera
            cells = [
                f"{name} true {ahead_cm(true[on][part]).mean():5.1f} found {ahead_cm(found[on][part]).mean():5.1f}"
                for name, part in (("all", slice(None)), ("facing", ~away), ("turned away", away))
            ]
            print(f"{subject} {kind:8} {on.sum():5} frames | " + " | ".join(cells), flush=True)


if __name__ == "__main__":
    main()
