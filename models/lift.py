"""Windows of 2D poses through a lifter, as everybody who uses one does it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sasmamba.models.normalise import normalise_window
from sasmamba.models.refining import refine_windows
from sasmamba.models.skeletons import H36M_MIRROR
from sasmamba.models.uncertainty_head import evidence


def lift_windows(model: nn.Module, xyc: Tensor, *, flip: bool, refined: bool) -> Tensor:
    """The poses of `lift_with_uncertainty`, (B, T, 17, 3), from a lifter that need not know how sure it is."""
    return _lift(model, xyc, flip=flip, refined=refined, unsure=False)[0]


def lift_with_uncertainty(
    model: nn.Module, xyc: Tensor, *, flip: bool, refined: bool, refined_later: bool = False
) -> tuple[Tensor, Tensor]:
    """Lifts windows (B, T, 17, 3) H36M-17 x, y in any unit and score, on the model's device.

    Args:
        model: has a `config` that says `in_channels`, and an uncertainty head.
        flip: average with the result for the mirrored input.
        refined: fit the result to what the model was shown, see `models.refining`.
        refined_later: say how sure the poses will be when that has been done.

    Returns:
        (B, T, 17, 3) metres relative to the pelvis, in the axes of a camera that looks straight at the person, and
        (B, T, 17, 2) metres, half-widths of 68 % intervals across and along its line of sight; float32 on the CPU. The
        pelvis is the origin, its interval 0.
    """
    lifted, width = _lift(model, xyc, flip=flip, refined=refined, unsure=True)
    assert width is not None
    if not (flip and (refined or refined_later)):
        width = width * width.new_tensor(model.config.uncertainty.plain)  # type: ignore[union-attr]
    width[:, :, 0] = 0
    return lifted, width.float().cpu()


def _lift(model: nn.Module, xyc: Tensor, *, flip: bool, refined: bool, unsure: bool) -> tuple[Tensor, Tensor | None]:
    seen = normalise_window(xyc)
    channels: int = model.config.in_channels  # type: ignore[assignment, union-attr]
    x = seen[..., :channels]
    about = evidence(seen) if unsure else None
    if not flip:
        y, width = _answer(model, x, about)
    else:  # both through one pass
        both = None if about is None else torch.cat([about, joints_exchanged(about)])
        answers, widths = _answer(model, torch.cat([x, mirrored(x)]), both)
        y, width = averaged(*answers.chunk(2)), None
        if widths is not None:
            width, its_width = widths.chunk(2)
            width = (width * joints_exchanged(its_width)).sqrt()
    lifted = (y - y[:, :, :1]).float().cpu()
    if refined:
        lifted = torch.from_numpy(refine_windows(lifted.numpy(), seen.cpu().numpy()))
    return lifted, width


def _answer(model: nn.Module, x: Tensor, about: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Poses, and half-widths where there is evidence for them."""
    if about is None:
        return model(x), None
    features = model.features(x)  # type: ignore[operator]
    return model.head(features), model.uncertainty_head(features, about).exp()  # type: ignore[operator]


def averaged(y: Tensor, back: Tensor) -> Tensor:
    """The mean of what a model makes of its input and of what it makes of the mirrored input."""
    return 0.5 * (y + mirrored(back))


def mirrored(x: Tensor) -> Tensor:
    """Left and right exchanged and x negated; what follows x (y, and score or z) stays."""
    swapped = joints_exchanged(x).clone()
    swapped[..., 0] *= -1
    return swapped


def joints_exchanged(x: Tensor) -> Tensor:
    """Anything said of joints (B, T, 17, …), said of their mirror images."""
    return x[:, :, list(H36M_MIRROR)]
