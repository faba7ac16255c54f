"""Windows of 2D poses through a lifter, as everybody who uses one does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sasmamba.models.normalise import normalise_window
from sasmamba.models.refining import refine_windows
from sasmamba.models.skeletons import H36M_MIRROR
from sasmamba.models.uncertainty_head import evidence

#: As `SasMamba.features`: (B, T, V, in_channels), and how many frames at the end are asked for, to their features.
Features = Callable[[Tensor, int | None], Tensor]
#: Lifters were trained on windows of so many frames and more: of one frame alone they make no body. Shorter windows are
#: lifted as parts of such a one, in which the first and the last frame are held.
SHORTEST = 27


def lift_windows(model: nn.Module, xyc: Tensor, *, flip: bool, refined: bool) -> Tensor:
    """The poses of `lift_with_uncertainty`, (B, T, 17, 3), from a lifter that need not know how sure it is."""
    return lift(model, xyc, flip=flip, refined=refined, unsure=False)[0]


def lift_with_uncertainty(
    model: nn.Module, xyc: Tensor, *, flip: bool, refined: bool, refined_later: bool = False
) -> tuple[Tensor, Tensor]:
    """`lift` by a lifter that knows how sure it is."""
    lifted, width = lift(model, xyc, flip=flip, refined=refined, unsure=True, refined_later=refined_later)
    assert width is not None
    return lifted, width


def lift(
    model: nn.Module,
    xyc: Tensor,
    *,
    flip: bool,
    refined: bool,
    unsure: bool,
    refined_later: bool = False,
    newest: int | None = None,
    features: Features | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Lifts windows (B, T, 17, 3) H36M-17 x, y in any unit and score, on the model's device.

    Args:
        model: has a `config` that says `in_channels`.
        flip: average with the result for the mirrored input.
        refined: fit the result to what the model was shown, see `models.refining`.
        unsure: say how sure the poses are; the model has an uncertainty head.
        refined_later: say how sure the poses will be when that has been done.
        newest: frames at the end that are asked for; None: all.
        features: instead of the model's own.

    Returns:
        (B, newest or T, 17, 3) metres relative to the pelvis, in the axes of a camera that looks straight at the
        person; and where it is asked for (B, newest or T, 17, 2) metres, half-widths of 68 % intervals across and along
        its line of sight. float32 on the CPU. The pelvis is the origin, its interval 0.
    """
    features = features or model.features  # type: ignore[assignment]
    assert features is not None
    seen = normalise_window(xyc)
    computed = None if refined else newest  # refinement looks at all frames
    config: Any = model.config
    x, own = _held(seen[..., : config.in_channels], min(SHORTEST, config.frames))
    x = torch.cat([x, mirrored(x)]) if flip else x  # both through one pass
    known = features(x, computed) if own is None else features(x, None)[:, own][:, _newest(seen, computed)]
    y, width = model.head(known), None  # type: ignore[operator]
    if unsure:
        about = evidence(seen, computed)
        about = torch.cat([about, joints_exchanged(about)]) if flip else about
        width = model.uncertainty_head(known, about).exp()  # type: ignore[operator]
    if flip:
        y = averaged(*y.chunk(2))
        if width is not None:
            width, its_width = width.chunk(2)
            width = (width * joints_exchanged(its_width)).sqrt()
    lifted = (y - y[:, :, :1]).float().cpu()
    if refined:
        lifted = torch.from_numpy(refine_windows(lifted.numpy(), seen.cpu().numpy()))
    asked = _newest(lifted, newest)
    if width is None:
        return lifted[:, asked], None
    if not (flip and (refined or refined_later)):
        width = width * width.new_tensor(config.uncertainty.plain)
    width[:, :, 0] = 0
    return lifted[:, asked], width[:, asked].float().cpu()


def _held(x: Tensor, frames: int) -> tuple[Tensor, slice | None]:
    """x (B, T, …) in the middle of so many frames, its first and last held, and where it then is; x as it is, and
    None, where it is as long."""
    T = x.shape[1]
    if frames <= T:
        return x, None
    held, own = held_frames(T, frames)
    return x[:, held.to(x.device)], own


def held_frames(T: int, frames: int) -> tuple[Tensor, slice]:
    """Which of T frames stands for each of so many more (frames,), the first and the last held; and where they are."""
    before = (frames - T) // 2
    return (torch.arange(frames) - before).clamp(0, T - 1), slice(before, before + T)


def _newest(x: Tensor, frames: int | None) -> slice:
    """The last so many frames of x (B, T, …); None: all."""
    return slice(0 if frames is None else max(0, x.shape[1] - frames), None)


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
