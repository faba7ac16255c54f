"""What bad 2D costs a lifter: swapped legs, missing joints, gaps, keyframes, and where the person is in the picture."""

from __future__ import annotations

import torch
from torch import Tensor

from sasmamba.models.skeletons import H36M
from sasmamba.training.evaluation import Lift, Windows
from sasmamba.training.metrics import joint_errors

_LEGS = [H36M.RIGHT_HIP, H36M.RIGHT_KNEE, H36M.RIGHT_ANKLE, H36M.LEFT_HIP, H36M.LEFT_KNEE, H36M.LEFT_ANKLE]
_LEGS_SWAPPED = _LEGS[3:] + _LEGS[:3]
#: How often `robustness` lifts all windows, and how often `shuffled_scores` does.
LIFTS, SHUFFLED_LIFTS = 5, 1
_SWAP_FRAMES, _GAP_FRAMES, _KEYFRAME, _MISSING = 10, 15, 5, 0.2


def shuffled_scores(lift: Lift, w: Windows, y: Tensor, seed: int = 0) -> dict[str, float]:
    """What P1 (mm) rises by when the scores of seen joints are exchanged at random: what knowing them is worth.

    Args:
        w: windows with scores that tell, such as those of kind "movenet".
        y: what `lift` makes of them.
    """
    g = torch.Generator().manual_seed(seed)
    xyc = w.xyc.clone()
    seen = xyc[..., 2] > 0
    scores = xyc[..., 2][seen]
    shuffled = torch.zeros_like(xyc[..., 2])
    shuffled[seen] = scores[torch.randperm(len(scores), generator=g)]
    xyc[..., 2] = shuffled
    cost = joint_errors(lift(xyc), w.target)[..., 1:].mean() - joint_errors(y, w.target)[..., 1:].mean()
    return {"shuffled scores cost": cost.item()}


def robustness(lift: Lift, clean: Windows, y: Tensor | None = None, seed: int = 0) -> dict[str, float]:
    """Errors under damage to noiseless 2D, all mm but the ratio.

    Args:
        clean: windows of kind "coco" or "true", at least 20 frames long.
        y: what `lift` makes of them, if known.

    Returns:
        swap clean / swap burst / swap ratio: P1 of the ten middle frames without and with left and right legs exchanged
        there. missing cost, keyframe cost: what P1 over the window rises by when a fifth of all joints, independently,
        or four of five frames are missing. gap cost: what P1 rises by in the 15 middle frames when they are missing;
        gap jump: velocity error at the gap's edges, mm per frame, gap jump clean: the same without a gap.
        moved: mean change of the joints when the person is elsewhere in the picture and 1.7 times as large.
    """
    T = clean.xyc.shape[1]
    if T < 20:
        raise ValueError(f"robustness: want windows of at least 20 frames, got {T}")
    y = lift(clean.xyc) if y is None else y
    errors = joint_errors(y, clean.target)[..., 1:].mean(-1)  # (M, T)
    out: dict[str, float] = {}

    burst = slice(T // 2 - _SWAP_FRAMES // 2, T // 2 - _SWAP_FRAMES // 2 + _SWAP_FRAMES)
    xyc = clean.xyc.clone()
    xyc[:, burst, _LEGS] = clean.xyc[:, burst, _LEGS_SWAPPED]
    swapped = joint_errors(lift(xyc), clean.target)[..., 1:].mean(-1)
    out["swap clean"], out["swap burst"] = errors[:, burst].mean().item(), swapped[:, burst].mean().item()
    out["swap ratio"] = out["swap burst"] / max(out["swap clean"], 1e-6)

    g = torch.Generator().manual_seed(seed)
    lost = torch.rand(clean.xyc.shape[:3], generator=g) < _MISSING
    xyc = clean.xyc.masked_fill(lost[..., None], 0)
    out["missing cost"] = (joint_errors(lift(xyc), clean.target)[..., 1:].mean() - errors.mean()).item()

    gap = slice(T // 2 - _GAP_FRAMES // 2, T // 2 - _GAP_FRAMES // 2 + _GAP_FRAMES)
    xyc = clean.xyc.clone()
    xyc[:, gap] = 0
    bridged = lift(xyc)
    in_gap = joint_errors(bridged, clean.target)[:, gap, 1:].mean().item()
    out["gap cost"] = in_gap - errors[:, gap].mean().item()
    edges = [gap.start - 1, gap.stop - 1]
    for name, pose in (("gap jump", bridged), ("gap jump clean", y)):
        step = (pose - clean.target).diff(dim=1)[:, edges, 1:]
        out[name] = step.norm(dim=-1).mean().item() * 1000

    xyc = torch.zeros_like(clean.xyc)
    xyc[:, ::_KEYFRAME] = clean.xyc[:, ::_KEYFRAME]
    out["keyframe cost"] = (joint_errors(lift(xyc), clean.target)[..., 1:].mean() - errors.mean()).item()

    xyc = clean.xyc.clone()
    xyc[..., :2] = 1.7 * xyc[..., :2] + xyc.new_tensor([0.31, -0.12])
    out["moved"] = (lift(xyc) - y).norm(dim=-1).mean().item() * 1000
    return out
