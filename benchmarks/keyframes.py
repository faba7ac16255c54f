"""What it costs, and what it saves, to find joints in every k-th frame only: `python benchmarks/keyframes.py`.

    python benchmarks/keyframes.py --data MOTION.npz --cameras CAMERAS.json --subject S8    # error of the lifter
    python benchmarks/keyframes.py --video CLIP.mp4                                         # speed

Error: of a lifter on a held-out subject that is shown every k-th frame and the last; in the frames between, joints are
on the straight line between both keyframes ("straight", what the pipeline does) or missing ("masked"). The 2D is
derived from COCO points without noise ("coco") or with a detector's measured noise ("noisy"). Speed: of the whole
command with `--pose2d-every k`. Ratios are to the first k of the same run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from sasmamba.app.cli.measuring import machine, whole_run
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.models.checkpoint import load_lifter
from sasmamba.training.cameras import rig_from
from sasmamba.training.evaluation import measure, model_lift, windows
from sasmamba.training.loop import find_weights
from sasmamba.training.motion import load_motion

#: Metrics of `evaluation.figures` that are shown.
METRICS = ("P1", "P2", "velocity", "acceleration")


def masked(xyc: Tensor, every: int) -> Tensor:
    """2D (M, T, 17, 3) of which every k-th frame and the last are left; the others are missing."""
    out = torch.zeros_like(xyc)
    out[:, ::every], out[:, -1] = xyc[:, ::every], xyc[:, -1]
    return out


def straight(xyc: Tensor, every: int) -> Tensor:
    """As `masked`, the frames between on the straight line; joints missing in either keyframe are missing between."""
    frame = torch.arange(xyc.shape[1])
    before = frame // every * every
    after = (before + every).clamp(max=len(frame) - 1)
    share = ((frame - before) / (after - before).clamp(min=1))[:, None, None]
    a, b = xyc[:, before], xyc[:, after]
    found = (share == 0) | ((a[..., 2:] > 0) & (b[..., 2:] > 0))
    return torch.where(found, (1 - share) * a + share * b, 0)


def errors(args: argparse.Namespace) -> Iterator[str]:
    """Lines of the first table."""
    model = load_lifter(find_weights(args.lifter))
    motion = load_motion(args.data)
    motion = motion.select(motion.subject == args.subject)
    if not motion.clips:
        raise SystemExit(f"there is no clip of {args.subject}")
    rig = rig_from(args.cameras)
    T = model.config.frames
    lift = model_lift(model, flip=True, refined=True)  # as offline runs do
    yield f"{args.lifter} on {args.subject}, {motion.clips * args.per_clip} windows of {T} frames; mm, mm per frame(²)"
    yield f"{'2D':6} {'between':9} {'k':>3}" + "".join(f"{name:>20}" for name in METRICS)
    for kind in ("coco", "noisy"):
        w = windows(motion, rig, args.subject, T, args.per_clip, kind)
        for between in (straight, masked):
            first: dict[str, float] = {}
            for k in args.every:
                row = measure(lift, w.seeing(between(w.xyc, k)))
                first = first or row
                yield f"{kind:6} {between.__name__:9} {k:3}" + _cells(row, first, METRICS)


def speeds(args: argparse.Namespace) -> Iterator[str]:
    """Lines of the second table."""
    yield f"{args.video.name}: frames/s of the whole command, and milliseconds of 2D per frame of the video"
    names = ("frames/s", "2D ms")
    yield f"{'k':>3}" + "".join(f"{name:>20}" for name in names) + "   people: detection frames each was seen in"
    first: dict[str, float] = {}
    for k in args.every:
        summary = whole_run(args.video, "--pose2d-every", k)
        row = {"frames/s": summary["fps"], "2D ms": summary["stage_ms"]["2d"]}
        first = first or row
        people = ", ".join(f"#{i} in {n}" for i, n in summary["people"].items()) or "nobody"
        yield f"{k:3}" + _cells(row, first, names) + f"   {people} of {summary['detections']}"


def _cells(row: dict[str, float], first: dict[str, float], names: Sequence[str]) -> str:
    return "".join(f"{row[n]:11.2f} (×{row[n] / first[n]:5.2f})" for n in names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", default=[], help="motion files with the held-out subject")
    parser.add_argument("--cameras", type=Path, help="real cameras; else four around the subject")
    parser.add_argument("--subject", default="S8")
    parser.add_argument("--lifter", default=DEFAULT_LIFTER)
    parser.add_argument("--per-clip", type=int, default=2, help="windows per clip")
    parser.add_argument("--video", type=Path)
    parser.add_argument("--every", type=int, nargs="+", default=[1, 2, 3, 5, 10], help="k; the first is compared with")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if not (args.data or args.video):
        parser.error("nothing to measure: pass --data, --video, or both")
    torch.set_num_threads(args.threads)
    about = machine()
    print(f"{about['processor']}, {about['cores']} cores, {time.strftime('%Y-%m-%d')}")
    for table, wanted in ((errors, args.data), (speeds, args.video)):
        for line in table(args) if wanted else ():
            print(line, flush=True)


if __name__ == "__main__":
    main()
