"""What fitting poses to their 2D does: `python benchmarks/refining.py --data MOTION --cameras CAMERAS [--sweep]`.

Windows of a subject that the lifter never saw, and of those it was trained on with other proportions (every bone by
6 % or so, the sum as it was), from true joints, COCO points, and COCO points with a detector's noise; lifted as offline
runs do, and then refined (models/refining.py), each window by itself, and all windows of a clip with one body as
offline runs do. Millimetres; the time of a refinement is against that of lifting the same windows, CPU time of one
thread. --sweep gives each constant half and twice its value, on the people with other proportions: that is how they
were chosen, and the unseen subject had no part in it.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.models import refining
from sasmamba.models.checkpoint import load_lifter
from sasmamba.models.normalise import normalise_window
from sasmamba.training.cameras import Rig, rig_from
from sasmamba.training.evaluation import KINDS, Lift, Windows, figures, model_lift, windows
from sasmamba.training.loop import find_weights
from sasmamba.training.motion import Motion, load_motion
from sasmamba.training.simulate import alike_on_both_sides, retargeted

_SPREAD = 0.06
#: Windows of a clip of those with other proportions.
_REBUILT = 2


@dataclass(frozen=True, slots=True)
class Lifted:
    """Windows of a kind, what the lifter read and what it made of them (M, T, 17, 3), and how long it took.

    `per_clip` windows after each other show one person.
    """

    kind: str
    windows: Windows
    per_clip: int
    seen: NDArray
    poses: NDArray
    seconds: float

    def plain(self) -> NDArray:
        """The poses as they are."""
        return self.poses

    def refined(self) -> NDArray:
        """The poses refined."""
        return refining.refine_windows(self.poses, self.seen)

    def one_body(self) -> NDArray:
        """The poses refined, `per_clip` neighbours with one body."""
        out = []
        for begin in range(0, len(self.poses), self.per_clip):
            poses, seen = (a[begin : begin + self.per_clip] for a in (self.poses, self.seen))
            out += refining.refine_person(poses, seen)
        return np.stack(out)


def lifted(parts: list[Windows], kind: str, per_clip: int, lift: Lift) -> Lifted:
    """What the lifter makes of windows."""
    xyc, target, R = (torch.cat([getattr(w, n) for w in parts]) for n in ("xyc", "target", "R_cam_facing"))
    w = Windows(xyc, target, R, [a for part in parts for a in part.action])
    begin = time.process_time()
    poses = lift(xyc).numpy()
    return Lifted(kind, w, per_clip, normalise_window(xyc).numpy(), poses, time.process_time() - begin)


def other_bodies(motion: Motion, rig: Rig, kind: str) -> list[Windows]:
    """Windows of every fourth clip of each subject, every clip with proportions of its own."""
    g = torch.Generator().manual_seed(3)
    parts = []
    for number, subject in enumerate(sorted(set(motion.subject.tolist()))):
        for clip in np.flatnonzero(motion.subject == subject)[number % 4 :: 4]:
            one = motion.select(np.arange(motion.clips) == clip)
            vary = torch.empty(17).normal_(0, _SPREAD, generator=g)
            bones = one.bones[0] * torch.exp(alike_on_both_sides(vary))
            bones = bones * one.bones[0].sum() / bones.sum()
            parts.append(windows(retargeted(one, bones), rig, subject, 243, _REBUILT, kind))
    return parts


def sweep(data: list[Lifted]) -> None:
    """Prints what half and twice of each constant do."""

    def errors() -> str:
        shown = []
        for each in data:
            f = figures(torch.from_numpy(each.refined()), each.windows)
            shown.append(f"{each.kind} {f['P1']:.2f} {f['P2']:.2f}")
        return "  ".join(shown)

    print(f"{'as it is':24} {errors()}", flush=True)
    for name in (
        "_OFF_M",
        "_DEPTH_M2",
        "_DRIFT",
        "_KNOT",
        "_BONE_M",
        "_PROPORTIONS",
        "_NOISE_PER_JUMP",
        "_FAR",
        "_FAR_BONE",
        "_NEARNESS_SPREAD",
    ):
        usual = getattr(refining, name)
        for factor in (0.5, 2):
            setattr(refining, name, usual * factor)
            print(f"{name + f' × {factor}':24} {errors()}", flush=True)
        setattr(refining, name, usual)


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="motion file")
    parser.add_argument("--cameras", type=Path, help="table of cameras; without it four ideal ones")
    parser.add_argument("--subject", default="S8", help="the one the lifter never saw")
    parser.add_argument("--lifter", default=DEFAULT_LIFTER)
    parser.add_argument("--per-clip", type=int, default=2, help="windows per clip of the unseen subject")
    parser.add_argument("--sweep", action="store_true", help="half and twice of each constant")
    args = parser.parse_args()
    torch.set_num_threads(1)
    everybody, rig = load_motion([args.data]), rig_from(args.cameras)
    lift = model_lift(load_lifter(find_weights(args.lifter)), flip=True)
    unseen = everybody.select(everybody.subject == args.subject)
    known = everybody.select(everybody.subject != args.subject)
    rebuilt = [lifted(other_bodies(known, rig, kind), kind, _REBUILT, lift) for kind in KINDS]
    if args.sweep:
        return sweep(rebuilt)
    per_clip = args.per_clip
    strangers = [lifted([windows(unseen, rig, args.subject, 243, per_clip, k)], k, per_clip, lift) for k in KINDS]
    for who, parts in {args.subject: strangers, "other proportions": rebuilt}.items():
        for each in parts:
            for name, make in {
                "lifted": Lifted.plain,
                "refined": Lifted.refined,
                "one body": Lifted.one_body,
            }.items():
                begin = time.process_time()
                poses = make(each)
                ratio = (time.process_time() - begin) / each.seconds
                f = figures(torch.from_numpy(poses), each.windows)
                shown = "  ".join(f"{k} {f[k]:6.2f}" for k in ("P1", "P2", "velocity", "acceleration"))
                times = "" if name == "lifted" else f"  {ratio:.2f} × lifting"
                print(f"{who:17} {each.kind:7} {name:8} {shown}{times}", flush=True)


if __name__ == "__main__":
    main()
