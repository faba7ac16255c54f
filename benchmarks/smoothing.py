"""What smoothing and constant bones do to poses: `python benchmarks/smoothing.py --data MOTION --cameras CAMERAS`.

Windows of a held-out subject from COCO points, without noise and with a detector's, lifted and refined as offline runs
do: as they come out, smoothed (`smoothing.zero_phase`), with bones of constant length (`bones.with_constant_bones`),
and both. Millimetres, and mm per frame and frame².
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from sasmamba.app.motion.bones import with_constant_bones
from sasmamba.app.motion.smoothing import POSE_S, zero_phase
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.models.checkpoint import load_lifter
from sasmamba.training.cameras import rig_from
from sasmamba.training.evaluation import figures, model_lift, windows
from sasmamba.training.loop import find_weights
from sasmamba.training.motion import load_motion


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="motion file")
    parser.add_argument("--cameras", type=Path, help="table of cameras; without it four ideal ones")
    parser.add_argument("--subject", default="S8")
    parser.add_argument("--lifter", default=DEFAULT_LIFTER)
    parser.add_argument("--per-clip", type=int, default=2, help="windows per clip")
    args = parser.parse_args()
    torch.set_num_threads(1)
    motion = load_motion([args.data])
    motion = motion.select((motion.subject == args.subject) | (args.subject == ""))
    rig = rig_from(args.cameras)
    lift = model_lift(load_lifter(find_weights(args.lifter)), flip=True, refined=True)
    fps = float(motion.fps[0])
    for kind in ("coco", "noisy"):
        w = windows(motion, rig, args.subject, 243, args.per_clip, kind)
        raw = lift(w.xyc).numpy()
        smooth = np.stack([zero_phase(np.arange(len(pose)) / fps, pose, POSE_S) for pose in raw])
        rows = {"raw": raw, "smoothed": smooth}
        rows |= {f"{name}, constant bones": np.stack([with_constant_bones(p) for p in r]) for name, r in rows.items()}
        for name, poses in rows.items():
            f = figures(torch.from_numpy(poses), w)
            shown = "  ".join(f"{k} {f[k]:6.2f}" for k in ("P1", "P2", "velocity", "acceleration"))
            print(f"{kind:6} {name:24} {shown}", flush=True)


if __name__ == "__main__":
    main()
