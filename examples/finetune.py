"""Fine-tunes the shipped lifter on motion of your own, and says what that changed for somebody it never saw.

    python examples/finetune.py MINE.npz GENERAL.npz SUBJECT OUT [STEPS]

Motion files are made by `python -m sasmamba.training convert`. SUBJECT, one of MINE.npz, is left out of the training
and measured; general motion is kept in the mixture, or the lifter forgets it. Without STEPS it takes 20 minutes.
"""

import sys
from dataclasses import replace
from pathlib import Path

from sasmamba.training.evaluate import evaluate_file
from sasmamba.training.loop import train
from sasmamba.training.train_config import load_config


def error_mm(weights: str, motion: str, subject: str) -> float:
    """Mean error of a subject's joints, pelvis aligned, from 2D with a detector's noise."""
    result = evaluate_file(weights, [Path(motion)], None, subject, frames=81, per_clip=1, robust=False)
    return float(result["kinds"]["noisy"]["all"]["P1"])


def main(mine: str, general: str, subject: str, out: str, steps: str = "0") -> None:
    config = replace(load_config("finetune"), data={mine: 0.5, general: 0.5}, hold_out=subject, steps=int(steps))
    train(config, Path(out))  # a killed run goes on with resume=True
    tuned = str(Path(out) / "last.safetensors")
    before, after = error_mm(config.init, mine, subject), error_mm(tuned, mine, subject)
    print(f"{subject}: {before:.1f} mm before, {after:.1f} mm after; use it with --lifter {tuned}")


if __name__ == "__main__":
    main(*sys.argv[1:])
