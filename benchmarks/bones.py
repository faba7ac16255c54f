"""How much of a lifter's error is in bones' lengths: `python benchmarks/bones.py --data MOTION --cameras CAMERAS`.

Windows of each subject from true 2D, lifted as offline runs do, before and after they are refined
(models/refining.py): as they come out, and with every bone as long as it really is, in the same direction. A lifter
that knows only the bodies it was trained on is good at theirs and gives a stranger their lengths; the difference
between the two rows, on a subject it never saw, is that. Millimetres; lengths are medians: true, lifted, refined.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from sasmamba.app.motion.bones import bone_lengths, with_lengths
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.models.checkpoint import load_lifter
from sasmamba.models.normalise import normalise_window
from sasmamba.models.refining import refine_windows
from sasmamba.models.skeletons import H36M
from sasmamba.training.cameras import rig_from
from sasmamba.training.evaluation import figures, model_lift, windows
from sasmamba.training.loop import find_weights
from sasmamba.training.motion import load_motion

_SHOWN = (H36M.LEFT_HIP, H36M.LEFT_KNEE, H36M.LEFT_ANKLE, H36M.SPINE, H36M.LEFT_SHOULDER, H36M.LEFT_ELBOW)


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="motion file")
    parser.add_argument("--cameras", type=Path, help="table of cameras; without it four ideal ones")
    parser.add_argument("--subjects", nargs="+", default=["S1", "S8"])
    parser.add_argument("--lifter", default=DEFAULT_LIFTER)
    parser.add_argument("--per-clip", type=int, default=2, help="windows per clip")
    args = parser.parse_args()
    torch.set_num_threads(1)
    everybody = load_motion([args.data])
    rig = rig_from(args.cameras)
    lift = model_lift(load_lifter(find_weights(args.lifter)), flip=True)
    for subject in args.subjects:
        w = windows(everybody.select(everybody.subject == subject), rig, subject, 243, args.per_clip, "true")
        true = np.median(bone_lengths(w.target.numpy()), axis=(0, 1))
        found = [true]
        hips = w.target[:, :, H36M.LEFT_HIP] - w.target[:, :, H36M.RIGHT_HIP]
        across = (hips[..., :2].norm(dim=-1) / hips.norm(dim=-1)).amax(1).median()
        print(f"{subject:4} hips across the picture, at best: {across:.2f} of their breadth (median of windows)")
        lifted = lift(w.xyc).numpy()
        refined = refine_windows(lifted, normalise_window(w.xyc).numpy())
        for stage, poses in {"lifted": lifted, "refined": refined}.items():
            found.append(np.median(bone_lengths(poses), axis=(0, 1)))
            for name, shown in {stage: poses, f"{stage}, true lengths": with_lengths(poses, true)}.items():
                f = figures(torch.from_numpy(shown.astype(np.float32)), w)
                print(f"{subject:4} {name:21} P1 {f['P1']:6.2f}  P2 {f['P2']:6.2f}", flush=True)
        told = (f"{j.name.lower()} {' / '.join(f'{1000 * length[j]:.0f}' for length in found)}" for j in _SHOWN)
        print(f"{subject:4} {', '.join(told)}", flush=True)


if __name__ == "__main__":
    main()
