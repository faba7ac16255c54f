"""Paired files: motion together with what a real detector saw of it, as evaluation windows."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import numpy as np
import torch

from sasmamba.common.errors import UserError
from sasmamba.models.geometry import facing_rotation
from sasmamba.training.evaluation import Windows
from sasmamba.training.schema import read_motion_file


def has_pairs(paths: list[Path]) -> bool:
    """Whether all files carry detections."""
    return all("keypoints" in read_motion_file(p) for p in paths)


def paired_windows(paths: list[Path], subject: str, clips: str, T: int, per_clip: int) -> Windows:
    """Windows of T frames, evenly spread over each clip of at least T frames, seen by the files' own detections.

    Raises:
        UserError: no clip is long enough.
    """
    seen, target, turns, actions = [], [], [], []
    for path in paths:
        z = read_motion_file(path)
        ends = np.append(z["clip_start"][1:], len(z["root"]))
        for c, (start, end) in enumerate(zip(z["clip_start"], ends, strict=True)):
            wanted = subject in ("", str(z["clip_subject"][c])) and fnmatch.fnmatch(str(z["clip_name"][c]), clips)
            if not wanted or end - start < T:
                continue
            R_world_cam, position = z["R_world_cam"][c], z["position"][c]
            for at in np.linspace(start, end - T, per_clip).round().astype(int):
                pelvis = torch.from_numpy((z["root"][at : at + T] - position) @ R_world_cam.T).float()
                cam = torch.from_numpy(z["joints"][at : at + T] / 1e4 @ R_world_cam.T).float()
                R = facing_rotation(pelvis)
                seen.append(torch.from_numpy(z["keypoints"][at : at + T]))
                target.append(torch.einsum("tij,tkj->tki", R, cam))
                turns.append(R)
                actions.append(str(z["clip_action"][c]))
    if not seen:
        raise UserError(f"No clip with 2D has {T} frames; choose fewer with --frames.")
    return Windows(torch.stack(seen), torch.stack(target), torch.stack(turns), actions)
