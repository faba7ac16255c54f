"""Which device a computation runs on."""

from __future__ import annotations

from sasmamba.common.errors import UserError


def resolve_device(device: str) -> str:
    """cpu or cuda for auto, cpu or cuda; UserError when cuda is asked for and not there."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: this torch sees no CUDA GPU; use --device cpu, or install torch with CUDA.")
    return "cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu")
