"""How each kind of 2D detector errs and scores, as fractions of the person's box height at 60 frames per second.

MediaPipe (video mode) and MoveNet were measured against multi-view reprojection. A detector of the HRNet kind is
taken to err less than MoveNet and to be surer of itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sasmamba.models.skeletons import COCO


@dataclass(frozen=True)
class Profile:
    """One kind of detector.

    Attributes:
        name: what it is.
        drift: standard deviation of the slow error per axis by part of the body.
        jitter: bounds of the white error per axis.
        bias: mean distance of a joint's constant error, as a norm.
        score: mean score by part; 1 is the most.
        unlike: how much that differs by joint and clip.
        unsteady: how much it differs from frame to frame.
        tells: by how much it falls for each σ of error.
        both_ways: True where scores spread to both sides of their mean, False where they only fall from it.
    """

    name: str
    drift: dict[str, float]
    jitter: tuple[float, float]
    bias: float
    score: dict[str, float]
    unlike: float
    unsteady: float
    tells: float
    both_ways: bool


_PARTS = ("NOSE", "EYE", "EAR", "SHOULDER", "ELBOW", "WRIST", "HIP", "KNEE", "ANKLE")


def _parts(face: float, shoulder: float, elbow: float, wrist: float, hip: float, knee: float, ankle: float) -> dict:
    return dict(zip(_PARTS, (face, face, face, shoulder, elbow, wrist, hip, knee, ankle), strict=True))


_THUNDER_DRIFT = _parts(0.0136, 0.0094, 0.0076, 0.0077, 0.0106, 0.0072, 0.0066)
_THUNDER_SCORE = _parts(0.48, 0.76, 0.80, 0.77, 0.84, 0.80, 0.81)

MEDIAPIPE, THUNDER, LIGHTNING, HEATMAP = range(4)
PROFILES = (
    Profile(
        "mediapipe",
        _parts(0.015, 0.010, 0.012, 0.012, 0.010, 0.012, 0.010),
        (0.0016, 0.004),
        0.008,
        _parts(1, 1, 1, 1, 1, 1, 1),
        0.06,
        0.04,
        0.0,
        False,
    ),
    Profile("thunder", _THUNDER_DRIFT, (0.0022, 0.0042), 0.010, _THUNDER_SCORE, 0.08, 0.07, 0.05, True),
    Profile(
        "lightning",
        {k: 1.35 * v for k, v in _THUNDER_DRIFT.items()},
        (0.0032, 0.0054),
        0.012,
        {k: 0.92 * v for k, v in _THUNDER_SCORE.items()},
        0.09,
        0.08,
        0.05,
        True,
    ),
    Profile(
        "heatmap",
        {k: 0.6 * v for k, v in _THUNDER_DRIFT.items()},
        (0.001, 0.003),
        0.006,
        _parts(0.92, 0.9, 0.9, 0.88, 0.86, 0.9, 0.88),
        0.05,
        0.04,
        0.04,
        True,
    ),
)


def table(values: list[dict[str, float]], device: torch.device) -> Tensor:
    """(profiles, 17) of values by part, in COCO's order."""
    return torch.tensor([[v[j.name.rpartition("_")[2]] for j in COCO] for v in values], device=device)


@dataclass(frozen=True)
class Chosen:
    """Profiles of B clips, see `Profile`.

    Attributes:
        drift, score: (B, 1, 17) in COCO's order.
        bias, unlike, unsteady, tells, both_ways: (B, 1, 1).
        jitter: (B, 1, 1, 2) bounds.
    """

    drift: Tensor
    score: Tensor
    bias: Tensor
    unlike: Tensor
    unsteady: Tensor
    tells: Tensor
    both_ways: Tensor
    jitter: Tensor

    @classmethod
    def of(cls, index: Tensor) -> Chosen:
        """Profiles by their place in `PROFILES`, index (B,)."""
        dev, B = index.device, len(index)

        def column(name: str) -> Tensor:
            return torch.tensor([float(getattr(p, name)) for p in PROFILES], device=dev)[index].view(B, 1, 1)

        return cls(
            table([p.drift for p in PROFILES], dev)[index][:, None],
            table([p.score for p in PROFILES], dev)[index][:, None],
            column("bias"),
            column("unlike"),
            column("unsteady"),
            column("tells"),
            column("both_ways"),
            torch.tensor([p.jitter for p in PROFILES], device=dev)[index].view(B, 1, 1, 2),
        )

    def scores(self, by_joint: Tensor, by_frame: Tensor, error: Tensor) -> Tensor:
        """Scores (B, T, 17) of joints that are `error` σ off, with chance from normal (B, 1, 17) and (B, T, 17)."""
        chance = self.unlike * self._spread(by_joint) + self.unsteady * self._spread(by_frame)
        return (self.score + chance - self.tells * (error - 1.25).clamp(max=8)).clamp(0.05, 1)

    def _spread(self, normal: Tensor) -> Tensor:
        return torch.where(self.both_ways > 0, normal, -normal.abs())
