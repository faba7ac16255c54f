"""Which device a computation runs on."""

from __future__ import annotations

import os
import sys

from sasmamba.common.errors import UserError

#: Linux has one of these where there is a GPU that torch could use: NVIDIA's, AMD's, Windows' of WSL, Jetson's.
_GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg", "/dev/nvmap")


def resolve_device(device: str) -> str:
    """cpu or cuda for auto, cpu or cuda; UserError when cuda is asked for and not there."""
    if device == "auto" and not _may_have_gpu():
        return "cpu"  # torch, which takes long to load, need not be asked
    if device == "cpu":
        return device
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: this torch sees no CUDA GPU; use --device cpu, or install torch with CUDA.")
    return "cuda" if torch.cuda.is_available() else "cpu"


def _may_have_gpu() -> bool:
    """Whether torch may know of a GPU here; only where that is certain, no."""
    if sys.platform.startswith("linux"):
        return any(os.path.exists(file) for file in _GPU_FILES)
    return sys.platform != "darwin"
