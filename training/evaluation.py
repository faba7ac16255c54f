"""Accuracy of a lifter on motion it has not seen, from true 2D and from 2D as a detector gives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from sasmamba.models.angles import joint_angles
from sasmamba.models.lift import lift_windows
from sasmamba.models.normalise import normalise_window
from sasmamba.models.refining import refine_person
from sasmamba.models.skeletons import H36M
from sasmamba.training import metrics
from sasmamba.training.cameras import Rig
from sasmamba.training.motion import Motion
from sasmamba.training.noise import Severity, measured, measured_movenet
from sasmamba.training.simulate import observe

#: A lifter as evaluation sees it: (B, T, 17, 3) x, y, score in any unit to (B, T, 17, 3) metres.
Lift = Callable[[Tensor], Tensor]


def _quiet(B: int, device: torch.device | None = None) -> Severity:
    none = torch.zeros(B, device=device)
    return Severity(none, none, none, none, none, none + 1)


#: What the lifter is shown: the 17 joints themselves, joints derived from true COCO points, the same with the noise of
#: MediaPipe, and with that of MoveNet, which also errs where the body hides a joint.
KINDS = ("true", "coco", "noisy", "movenet")
#: How severe the noise of each kind is.
KIND_NOISE: dict[str, Callable[[int, torch.device | None], Severity]] = {
    "true": _quiet,
    "coco": _quiet,
    "noisy": measured,
    "movenet": measured_movenet,
}
#: Angles whose errors are given, and their names in `app.angles`.
_ANGLES = {"knee": "knee_flexion", "hip": "hip_flexion", "elbow": "elbow_flexion", "shoulder": "shoulder_elevation"}
#: What each column of the tables means.
COLUMNS = {
    "P1": "mm, mean distance of 16 joints from the truth with both pelvises in one place (MPJPE, protocol 1)",
    "P2": "mm, the same after the best turn, shift and scale of each pose (P-MPJPE, protocol 2)",
    "N": "mm, as P1 after the best scale of each pose (N-MPJPE)",
    "P1 camera": "mm, as P1 in the axes of the real camera, where in the picture the person stood not told",
    "velocity": "mm per frame, mean length of the error's change from frame to frame (MPJVE)",
    "acceleration": "mm per frame², mean length of the second difference of the error",
    "PCK150": "share of joints within 150 mm, 0 to 1; more is better",
    "AUC": "mean of that share over thresholds of 0, 5, … 150 mm; more is better",
    "knee, hip, elbow, shoulder": "degrees: knee flexion, hip flexion, elbow flexion, shoulder elevation, both sides "
    "together, as `models.angles` defines them; frames in which either pose has no such angle are left out",
    "all": "degrees: the four together, each counted alike",
    "MAE": "mean absolute error",
    "RMSE": "root of the mean squared error",
}


@dataclass(frozen=True)
class Windows:
    """Evaluation input: xyc (M, T, 17, 3), target (M, T, 17, 3) facing axes, R_cam_facing (M, T, 3, 3), action."""

    xyc: Tensor
    target: Tensor
    R_cam_facing: Tensor
    action: list[str]

    def seeing(self, xyc: Tensor) -> Windows:
        """The same motion with other 2D."""
        return replace(self, xyc=xyc)

    def part(self, frames: slice) -> Windows:
        """Some frames of all windows."""
        return replace(
            self, xyc=self.xyc[:, frames], target=self.target[:, frames], R_cam_facing=self.R_cam_facing[:, frames]
        )


def windows(motion: Motion, rig: Rig, subject: str, T: int, per_clip: int, severity: str, seed: int = 0) -> Windows:
    """Windows of T frames of every clip, evenly spread over it, cameras taken in turn.

    Args:
        rig: cameras; those of `subject` are used where it has some, else the first four.
        severity: one of `KINDS`: "true" sees the 17 joints themselves, "coco" noiseless joints derived from COCO
            points, "noisy" the same with MediaPipe's measured noise, "movenet" with MoveNet's and what hides joints.
    """
    if severity not in KINDS:
        raise ValueError(f"severity: want one of {KINDS}, got {severity!r}")
    g = torch.Generator().manual_seed(seed)
    cameras = [i for i, s in enumerate(rig.subject) if s == subject] or list(range(min(4, len(rig.subject))))
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    actions: list[str] = []
    for clip in range(motion.clips):
        B = per_clip
        start = torch.linspace(0, max(0, int(motion.length[clip]) - T), B).round()
        joints, root = motion.at(torch.full((B,), clip), start[:, None] + torch.arange(T))
        index = torch.tensor([cameras[(clip + i) % len(cameras)] for i in range(B)])
        time = (torch.arange(T) * (60 / motion.fps[clip])).expand(B, T)
        noise = KIND_NOISE[severity](B, None)
        seen = torch.full((B,), severity == "true")
        xyc, target, R = observe(joints + root[:, :, None], rig.pick(index), time, noise, seen, g)
        if severity in ("true", "coco"):
            # `detect` varies scores even where it moves nothing; what lies outside the picture stays missing
            xyc[..., 2] = (xyc[..., 2] > 0).to(xyc)
        parts.append((xyc, target, R))
        actions += [str(motion.action[clip])] * B
    xyc, target, R = (torch.cat(p) for p in zip(*parts, strict=True))
    return Windows(xyc, target, R, actions)


def model_lift(
    model: nn.Module,
    flip: bool = False,
    batch: int = 8,
    refined: bool = False,
    told: Callable[[int], None] | None = None,
    per_person: int = 1,
) -> Lift:
    """Wraps a model that reads normalised windows, which travel to its device; results come back to the input's.

    Args:
        model: the lifter.
        flip: average with the mirrored input's result.
        batch: windows of a pass.
        refined: fit the result to what the model was shown, see `models.refining`.
        told: told how many more windows are done, batch by batch.
        per_person: so many windows beside each other are of one person, whose bones are as long in all of them, as in
            an offline run; where results are refined.
    """
    device = next(model.parameters()).device

    @torch.no_grad()
    def lift(xyc: Tensor) -> Tensor:
        parts = []
        for part in xyc.split(batch):
            parts.append(lift_windows(model, part.to(device), flip=flip, refined=False))
            if told:
                told(len(part))
        lifted = torch.cat(parts).to(xyc.device)
        return refined_by_person(lifted, xyc, per_person) if refined else lifted

    return lift


def refined_by_person(lifted: Tensor, xyc: Tensor, per_person: int) -> Tensor:
    """Windows (M, T, 17, 3) fitted to what was seen, (M, T, 17, 3), `per_person` neighbours with one body."""
    out = []
    for poses, shown in zip(lifted.cpu().split(per_person), xyc.cpu().split(per_person), strict=True):
        out += refine_person([*poses.numpy()], [*normalise_window(shown).numpy()])
    return torch.from_numpy(np.stack(out)).to(lifted.device)


def figures(y: Tensor, w: Windows) -> dict[str, float]:
    """All metrics of poses y (M, T, 17, 3): P1, P2, N in mm, velocity and acceleration errors per frame, PCK, AUC.

    Of windows of less than three frames there is no velocity and no acceleration. `P1 camera` compares in the axes of
    the picture itself without knowing where in it the person stood.
    """
    camera = torch.einsum("btji,btkj->btki", w.R_cam_facing, w.target)
    moving = {}
    if y.shape[1] >= 3:
        moving["velocity"] = metrics.mpjve(y, w.target)
        moving["acceleration"] = metrics.acceleration_error(y, w.target)
    return {
        "P1": metrics.mpjpe(y, w.target),
        "P2": metrics.p_mpjpe(y, w.target),
        "N": metrics.n_mpjpe(y, w.target),
        "P1 camera": metrics.mpjpe(y, camera),
        **moving,
        "PCK150": metrics.pck(y, w.target),
        "AUC": metrics.auc(y, w.target),
    }


def angle_errors(y: Tensor, w: Windows) -> dict[str, float]:
    """Errors of joint angles of poses y (M, T, 17, 3), degrees, by the definitions of `app.angles`.

    Returns:
        "knee MAE", "knee RMSE" and so on for hip, elbow, shoulder, and "all MAE", "all RMSE": the mean of the four.
    """
    found, true = (joint_angles(z_up(p).flatten(0, 1).numpy()) for p in (y, w.target))
    out: dict[str, float] = {}
    for name, series in _ANGLES.items():
        sides = [f"{side}_{series}" for side in ("left", "right")]
        error = np.concatenate([found[s] - true[s] for s in sides])
        error = (error + 180) % 360 - 180  # hip flexion goes round
        out[f"{name} MAE"], out[f"{name} RMSE"] = float(np.nanmean(np.abs(error))), float(np.nanmean(error**2) ** 0.5)
    for kind in ("MAE", "RMSE"):
        out[f"all {kind}"] = float(np.mean([out[f"{name} {kind}"] for name in _ANGLES]))
    return out


def z_up(poses: Tensor) -> Tensor:
    """Camera axes (x right, y down, z forward) as right-handed axes with z up."""
    return torch.stack([poses[..., 0], poses[..., 2], -poses[..., 1]], -1)


def measure(lift: Lift, w: Windows) -> dict[str, float]:
    """`figures` of a lifter."""
    return figures(lift(w.xyc), w)


def by_joint(y: Tensor, w: Windows) -> dict[str, dict[str, float]]:
    """P1 and P2 of each joint but the pelvis, mm."""
    p1 = metrics.joint_errors(y, w.target).flatten(0, 1).mean(0)
    p2 = metrics.p_joint_errors(y, w.target).flatten(0, 1).mean(0)
    return {
        j.name.lower().replace("_", " "): {"P1": p1[j].item(), "P2": p2[j].item()} for j in H36M if j != H36M.PELVIS
    }


def by_action(y: Tensor, w: Windows) -> dict[str, dict[str, float]]:
    """All metrics of each action; the protocols' own average is the mean over actions."""
    names = np.array(w.action)
    out = {}
    for action in sorted(set(w.action)):
        at = torch.from_numpy(np.flatnonzero(names == action))
        some = Windows(w.xyc[at], w.target[at], w.R_cam_facing[at], [action] * len(at))
        out[action] = figures(y[at], some)
    return out
