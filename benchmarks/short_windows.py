"""Pictures, and clips shorter than any that lifters were trained on: `python benchmarks/short_windows.py --data DATA`.

So many frames from the middle of windows of a subject that was never trained on, with MoveNet's noise, lifted and
refined as runs do: P1, P2 and N in mm, and how many errors the stated intervals of 68 and of 95 % hold, across the line
of sight and along it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.models.checkpoint import load_lifter
from sasmamba.training.cameras import rig_from
from sasmamba.training.evaluation import figures, model_lift, windows
from sasmamba.training.loop import find_weights
from sasmamba.training.motion import load_motion
from sasmamba.training.uncertainty import coverage

_FRAMES = (1, 2, 5, 9, 15, 27)
_LONGEST = 31


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="motion file")
    parser.add_argument("--cameras", type=Path, help="table of cameras; without it four ideal ones")
    parser.add_argument("--subject", default="S8")
    parser.add_argument("--lifter", default=DEFAULT_LIFTER)
    args = parser.parse_args()
    torch.set_num_threads(1)
    motion, model = load_motion([args.data]), load_lifter(find_weights(args.lifter))
    seen = windows(
        motion.select(motion.subject == args.subject), rig_from(args.cameras), args.subject, _LONGEST, 3, "movenet"
    )
    lift = model_lift(model, flip=True, refined=True)
    print("| frames | P1 | P2 | N | in 68 %: across, along | in 95 % |\n| --- | --- | --- | --- | --- | --- |")
    for frames in _FRAMES:
        first = (_LONGEST - frames) // 2
        part = seen.part(slice(first, first + frames))
        of, held = figures(lift(part.xyc), part), coverage(model, part, 1)
        cells = [f"{of[name]:.1f}" for name in ("P1", "P2", "N")]
        cells += [f"{held[f'across {share} %']:.0f}, {held[f'along {share} %']:.0f}" for share in (68, 95)]
        print(f"| {frames} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
