"""Proportions of people to retarget motion to: men, women and children as they were measured, sides a little unlike.

Overall size is not varied: it leaves no trace in 2D, so every body is brought to one sum of lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sasmamba.common.archives import ArchiveError, read_npz
from sasmamba.common.errors import UserError
from sasmamba.models.skeletons import H36M_MIRROR

#: Segment that leads to each H36M-17 joint, as the file of bodies names them; the pelvis has none.
SEGMENT_OF_JOINT = (
    "",
    "hip_half",
    "thigh",
    "shank",
    "hip_half",
    "thigh",
    "shank",
    "pelvis_spine",
    "spine_thorax",
    "thorax_nose",
    "nose_headtop",
    "thorax_shoulder",
    "upper_arm",
    "forearm",
    "thorax_shoulder",
    "upper_arm",
    "forearm",
)
#: How often each is drawn. Children are few in the file, so ages between them and adults are mixed in.
_SHARES = {"m": 0.44, "f": 0.44, "child": 0.12}
_MIXED_CHILDREN = 480
#: What the measurements leave open (joint centres are no landmarks), as a share, and how much the sides of a person
#: differ, metres.
_UNCERTAIN, _ASYMMETRY_M = 0.025, 0.003
_FIRST_OF_PAIR = tuple(min(j, m) for j, m in enumerate(H36M_MIRROR))


@dataclass(frozen=True)
class Bodies:
    """People to draw from.

    Attributes:
        lengths: (P, 17) metres, bone to each H36M-17 joint's parent; 0 for the pelvis. All rows have the same sum.
        chance: (P,) how likely each is drawn; sums to 1.
    """

    lengths: Tensor
    chance: Tensor

    def to(self, device: torch.device) -> Bodies:
        """The same people on `device`."""
        return Bodies(self.lengths.to(device), self.chance.to(device))

    def draw(self, B: int, g: torch.Generator) -> Tensor:
        """(B, 17) lengths of people, metres, with what the measurements leave open and with unlike sides."""
        lengths = self.lengths[torch.multinomial(self.chance, B, replacement=True, generator=g)]

        def normal() -> Tensor:
            return torch.empty_like(lengths).normal_(generator=g)

        varied = lengths * torch.exp(_UNCERTAIN * normal()[:, list(_FIRST_OF_PAIR)])
        varied = varied * (lengths.sum(-1, keepdim=True) / varied.sum(-1, keepdim=True))
        # A difference of this spread between two sides is √2 times that of each side alone.
        paired = torch.tensor([m != j for j, m in enumerate(H36M_MIRROR)], device=lengths.device)
        return varied + paired * (_ASYMMETRY_M / 2**0.5) * normal()


def load_bodies(path: Path, total_m: float) -> Bodies:
    """Reads measured people in Human3.6M's convention of joints.

    Args:
        path: NPZ with `lengths` (P, S) metres, `names` (S,) of segments, `sex` (P,) m, f or u and `source` (P,).
        total_m: the sum of all 16 lengths that each body is brought to.

    Raises:
        UserError: a file that is missing or is no such table.
    """
    try:
        z = read_npz(path)
        lengths, sex, source = z["lengths"].astype(np.float64), z["sex"].astype(str), z["source"].astype(str)
        column = {str(name): i for i, name in enumerate(z["names"])}
        rows = np.zeros((len(lengths), 17))
        rows[:, 1:] = lengths[:, [column[name] for name in SEGMENT_OF_JOINT[1:]]]
    except (OSError, ArchiveError, ValueError, KeyError, IndexError) as error:
        raise UserError(f"{path} is not a readable table of bodies ({error!r}).") from error
    if not (np.isfinite(rows).all() and (rows[:, 1:] > 0).all() and len(rows)):
        raise UserError(f"{path} is not a readable table of bodies: it has lengths that are not above 0.")
    rows *= total_m / rows.sum(1, keepdims=True)
    kind = np.where(source == "children", "child", sex)
    rows, kind = _with_ages_between(rows, kind)
    counts = {k: int((kind == k).sum()) for k in _SHARES}
    chance = np.array([_SHARES[k] / counts[k] if k in counts else 0.0 for k in kind])
    if not chance.sum():
        raise UserError(f"{path} has neither men nor women nor children.")
    return Bodies(torch.from_numpy(rows).float(), torch.from_numpy(chance / chance.sum()).float())


def _with_ages_between(rows: np.ndarray, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Adds bodies between those of children and of adults, in logarithms of lengths."""
    children, adults = rows[kind == "child"], rows[(kind == "m") | (kind == "f")]
    if not len(children) or not len(adults):
        return rows, kind
    rng = np.random.default_rng(0)
    young = children[rng.integers(len(children), size=_MIXED_CHILDREN), 1:]
    grown = adults[rng.integers(len(adults), size=_MIXED_CHILDREN), 1:]
    share = rng.uniform(0, 1, (_MIXED_CHILDREN, 1))
    mixed = np.zeros((_MIXED_CHILDREN, 17))
    mixed[:, 1:] = np.exp(share * np.log(young) + (1 - share) * np.log(grown))
    mixed *= rows[0].sum() / mixed.sum(1, keepdims=True)
    return np.concatenate([rows, mixed]), np.concatenate([kind, np.full(_MIXED_CHILDREN, "child")])
