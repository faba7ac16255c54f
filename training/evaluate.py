"""Everything there is to say about a lifter's accuracy on given motion, in one nested table."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sasmamba.common.errors import UserError
from sasmamba.models.checkpoint import load_lifter
from sasmamba.models.tensorfile import CheckpointError
from sasmamba.training.calibration_plot import check_picture, draw_calibration
from sasmamba.training.cameras import rig_from
from sasmamba.training.evaluation import KINDS, Windows, angle_errors, by_action, by_joint, figures, model_lift, windows
from sasmamba.training.loop import find_weights
from sasmamba.training.motion import load_motion
from sasmamba.training.pairs import has_pairs, paired_windows
from sasmamba.training.robustness import LIFTS, SHUFFLED_LIFTS, robustness, shuffled_scores
from sasmamba.training.simulate import body_lengths, retargeted
from sasmamba.training.uncertainty import errors_of, lift_and_width, shares


def evaluate_file(
    weights: str,
    data: list[Path],
    cameras: Path | None,
    subject: str = "",
    clips: str = "*",
    *,
    flip: bool = False,
    refine: bool = False,
    frames: int = 243,
    per_clip: int = 4,
    device: str = "cpu",
    robust: bool = True,
    bodies: Path | None = None,
    watch: Callable[[int, int], None] | None = None,
    calibration: Path | None = None,
) -> dict[str, Any]:
    """Measures weights on motion files.

    Args:
        weights: a .safetensors file or a shipped lifter's name.
        subject, clips: which clips, see `evaluate --help`.
        refine: fit what comes out to the 2D, see `models.refining`; all windows of a clip have one body.
        bodies: motion file whose people's mean bone lengths replace those of the clips; see `simulate.retargeted`.
        watch: told how many windows are lifted, and of how many.
        calibration: PNG to draw of how well the stated intervals hold, see `calibration_plot`.

    Returns:
        "about": what was measured; "kinds": of each kind of 2D (`evaluation.KINDS`, and "detected" where the files are
        paired with real detections) "all", "joints" and "actions", see `evaluation.figures`, and "angles", see
        `evaluation.angle_errors`; "coverage": of each kind, see `uncertainty.shares`, empty without an uncertainty
        head; "robustness": of the kinds "coco" and "movenet", see `robustness`.

    Raises:
        UserError: weights or data that cannot be used, no clip that matches, or a picture asked of a lifter that does
            not say how sure it is.
    """
    try:
        model = load_lifter(find_weights(weights), device)
    except CheckpointError as error:
        raise UserError(f"These weights cannot be evaluated: {error}.") from error
    if calibration:
        if model.config.uncertainty is None:
            raise UserError(
                f"{weights} does not say how sure it is, so there is nothing to draw; give it an uncertainty first "
                "(`python -m sasmamba.training uncertainty`), or leave out --calibration.",
                exit_code=2,
            )
        check_picture(calibration)
    motion = load_motion(data)
    named = np.array([fnmatch.fnmatch(str(n), clips) for n in motion.name], bool)
    chosen = motion.select(named & ((motion.subject == subject) | (subject == "")))
    if not chosen.clips:
        there = ", ".join(sorted(set(motion.subject.tolist())))
        raise UserError(
            f"No clip of subject {subject or 'any'} matches {clips!r}; there are subjects {there}.", exit_code=2
        )
    if bodies:
        chosen = retargeted(chosen, body_lengths(load_motion([bodies])).mean(0))
    rig = rig_from(cameras)
    T = min(frames, model.config.frames)
    if T < 20:
        raise UserError(f"frames: want at least 20, got {T}.", exit_code=2)
    inputs: dict[str, Windows] = {k: windows(chosen, rig, subject, T, per_clip, k) for k in KINDS}
    if has_pairs(data):
        inputs["detected"] = paired_windows(data, subject, clips, T, per_clip)
    total = sum(len(w.xyc) for w in inputs.values())
    if robust:
        total += (LIFTS + SHUFFLED_LIFTS) * len(inputs["coco"].xyc)
    done = 0

    def told(more: int) -> None:
        nonlocal done
        done += more
        if watch:
            watch(done, total)

    lift = model_lift(model, flip, refined=refine, told=told, per_person=per_clip)
    kinds: dict[str, Any] = {}
    covered: dict[str, Any] = {}
    sure: dict[str, tuple[Tensor, Tensor]] = {}
    damage: dict[str, Any] = {}
    for kind, w in inputs.items():
        if model.config.uncertainty is None:
            y = lift(w.xyc)
        else:
            y, width = lift_and_width(model, w.xyc, per_clip, flip=flip, refined=refine, told=told)
            sure[kind] = errors_of(y, width, w)
            covered[kind] = shares(*sure[kind], model.config.uncertainty.wide)
        kinds[kind] = {"all": figures(y, w), "joints": by_joint(y, w), "actions": by_action(y, w)}
        kinds[kind]["angles"] = angle_errors(y, w)
        if robust and kind == "coco":
            damage[kind] = robustness(lift, w, y)
        if robust and kind == "movenet":
            damage[kind] = shuffled_scores(lift, w, y)
    if calibration and model.config.uncertainty is not None:
        draw_calibration(sure, model.config.uncertainty.wide, calibration)
    return {
        "about": {
            "weights": weights,
            "data": [str(p) for p in data],
            "subject": subject,
            "clips": chosen.clips,
            "bodies": str(bodies or ""),
            "windows": len(inputs["true"].xyc),
            "frames": T,
            "flip": flip,
            "refine": refine,
            "torch": torch.__version__,
        },
        "kinds": kinds,
        "coverage": covered,
        "robustness": damage,
    }
