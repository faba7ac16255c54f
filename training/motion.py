"""Motion capture in memory: clips of many files (schema in training/schema.py), resampled in time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sasmamba.models.geometry import bones_of
from sasmamba.training.schema import read_motion_file


@dataclass(frozen=True)
class Motion:
    """Clips of one or more files, concatenated.

    Attributes:
        joints: (N, 17, 3) metres relative to the pelvis.
        root: (N, 3) metres.
        start, length: (C,) int64.
        fps: (C,).
        bones: (C, 17) mean length of the bone to each joint's parent.
        source: (C,) int64, which file a clip came from.
        subject, action, name: (C,) str.
    """

    joints: Tensor
    root: Tensor
    start: Tensor
    length: Tensor
    fps: Tensor
    bones: Tensor
    source: Tensor
    subject: np.ndarray
    action: np.ndarray
    name: np.ndarray

    @property
    def clips(self) -> int:
        """Number of clips."""
        return len(self.start)

    def select(self, keep: np.ndarray) -> Motion:
        """The clips where keep (C,) is True; frames are shared, not copied."""
        at = torch.from_numpy(np.flatnonzero(keep))
        return Motion(
            self.joints,
            self.root,
            self.start[at],
            self.length[at],
            self.fps[at],
            self.bones[at],
            self.source[at],
            self.subject[keep],
            self.action[keep],
            self.name[keep],
        )

    def to(self, device: torch.device) -> Motion:
        """The same clips with tensors on `device`."""
        tensors = ("joints", "root", "start", "length", "fps", "bones", "source")
        return replace(self, **{name: getattr(self, name).to(device) for name in tensors})

    def at(self, clip: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """Poses of `clip` (B,) at `position` (B, T) in frames from its start, between frames linearly interpolated.

        Positions beyond an end come back, as if the clip were played to and fro.
        Returns joints (B, T, 17, 3) and root (B, T, 3).
        """
        last = (self.length[clip] - 1).clamp(min=1)[:, None].to(position.dtype)
        position = last - (position.remainder(2 * last) - last).abs()
        below = position.floor().clamp(max=(last - 1))
        part = (position - below)[..., None]
        i = self.start[clip][:, None] + below.long()
        root = torch.lerp(self.root[i], self.root[i + 1], part)
        return torch.lerp(self.joints[i], self.joints[i + 1], part[..., None]), root


def load_motion(paths: list[Path]) -> Motion:
    """Reads and checks NPZ files of motion.

    Raises:
        UserError: a file that is missing or breaks the schema, with what to do.
    """
    parts: dict[str, list] = {k: [] for k in ("joints", "root", "start", "length", "fps", "source", "s", "a", "n")}
    offset = 0
    for number, path in enumerate(paths):
        z = read_motion_file(path)
        first = z["clip_start"].astype(np.int64)
        parts["joints"].append(torch.from_numpy(z["joints"].astype(np.float32) / 1e4))
        parts["root"].append(torch.from_numpy(z["root"].astype(np.float32)))
        parts["start"].append(torch.from_numpy(first + offset))
        parts["length"].append(torch.from_numpy(np.diff(np.append(first, len(z["root"])))))
        parts["fps"].append(torch.from_numpy(z["clip_fps"].astype(np.float32)))
        parts["source"].append(torch.full((len(first),), number))
        for key, field in (("s", "clip_subject"), ("a", "clip_action"), ("n", "clip_name")):
            parts[key].append(z[field].astype(str))
        offset += len(z["root"])
    joined = {k: torch.cat(v) for k, v in parts.items() if k not in "san"}
    joints, start, length = joined["joints"], joined["start"], joined["length"]
    bones = torch.stack(
        [
            bones_of(joints[i : i + n : 7]).norm(dim=-1).mean(0)
            for i, n in zip(start.tolist(), length.tolist(), strict=True)
        ]
    )
    return Motion(
        joints,
        joined["root"],
        start,
        length,
        joined["fps"],
        bones,
        joined["source"],
        *(np.concatenate(parts[k]) for k in "san"),
    )
