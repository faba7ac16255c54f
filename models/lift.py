"""Windows of 2D poses through a lifter, as everybody who uses one does it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sasmamba.models.normalise import normalise_window
from sasmamba.models.refining import refine_windows
from sasmamba.models.skeletons import H36M_MIRROR


def lift_windows(model: nn.Module, xyc: Tensor, *, flip: bool, refined: bool) -> Tensor:
    """Lifts windows (B, T, 17, 3) H36M-17 x, y in any unit and score, on the model's device.

    Args:
        model: has a `config` that says `in_channels`.
        flip: average with the result for the mirrored input.
        refined: fit the result to what the model was shown, see `models.refining`.

    Returns:
        (B, T, 17, 3) metres relative to the pelvis, in the axes of a camera that looks straight at the person, float32
        on the CPU.
    """
    seen = normalise_window(xyc)
    channels: int = model.config.in_channels  # type: ignore[assignment, union-attr]
    x = seen[..., :channels]
    if flip:  # both through one pass
        y, back = model(torch.cat([x, _mirror(x)])).chunk(2)
        y = 0.5 * (y + _mirror(back))
    else:
        y = model(x)
    lifted = (y - y[:, :, :1]).float().cpu()
    return torch.from_numpy(refine_windows(lifted.numpy(), seen.cpu().numpy())) if refined else lifted


def _mirror(x: Tensor) -> Tensor:
    """Left and right exchanged and x negated; what follows x (y, and score or z) stays."""
    swapped = x[:, :, list(H36M_MIRROR)].clone()
    swapped[..., 0] *= -1
    return swapped
