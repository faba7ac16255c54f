"""A lifter's uncertainty head: fitted by likelihood to errors of the finished poses, calibrated on made-up people.

The lifter itself is not touched, so that its accuracy cannot suffer: the head reads the features that the poses come
from. What it learns are the errors of what offline runs give, averaged with the mirrored input's result and refined,
under a Student distribution, whose tails are as heavy as those of poses' errors. What it learned from is harder than
what people film, and each kind of 2D by another measure; so intervals are calibrated on strangers: captured motion on
bodies of people drawn anew, seen by cameras and detectors as they usually are. Whoever is held out only tests.

A lifter of live runs (`newest` in its configuration) answers for the ends of short windows, which nobody mirrors: its
head learns from those, and is calibrated and tested on the last frame, refined with a body that several windows told.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sasmamba.common.errors import UserError
from sasmamba.models.checkpoint import load_lifter
from sasmamba.models.lift import averaged, joints_exchanged, lift_with_uncertainty, mirrored
from sasmamba.models.normalise import normalise_window
from sasmamba.models.refining import refine_windows
from sasmamba.models.sasmamba import SasMamba, with_uncertainty, without_uncertainty
from sasmamba.models.tensorfile import CheckpointError
from sasmamba.models.uncertainty_head import EVIDENCE, OF_WINDOW, Calibration, UncertaintyHead, evidence
from sasmamba.training.cameras import Rig
from sasmamba.training.evaluation import KIND_NOISE, KINDS, Windows, refined_by_person, windows
from sasmamba.training.loop import simulation
from sasmamba.training.simulate import Simulator, retargeted
from sasmamba.training.state import save_weights
from sasmamba.training.train_config import TrainConfig

#: Frames of a window whose errors are learned from: neighbours are alike. Ends of windows, where live poses come from,
#: have their own share.
_FRAMES, _END_FRAMES, _END = 24, 6, 5
_BATCH, _STEPS, _RATE, _DECAY = 8192, 4000, 2e-3, 1e-2
_CORRECTION_STEPS, _CORRECTION_RATE = 400, 0.03
#: One clip of so many calibrates; errors below this, metres, count as this: their logarithm has no end.
_SPARSE, _LEAST_M = 4, 1e-4
#: Windows of a batch that is lifted.
_LIFTED = 4
#: What the 2D of the windows is like, in turn: as in training, which is worse than most of what people film, and so.
_NOISE = (None, "coco", "noisy", "movenet")
#: Windows of each clip that calibrate, and that test.
_PER_CLIP, _PER_CLIP_LIVE = 2, 8
#: Frames of a window.
_ALL = slice(None)
#: What "sure" means: the shares of errors that shall lie within a half-width, and within a wide one.
INTERVALS = (0.68, 0.95)
#: Kinds of 2D that calibrate; no detector gives the joints themselves.
SOURCES = tuple(kind for kind in KINDS if kind != "true")


@dataclass(frozen=True)
class Use:
    """How a lifter is used, and so what its errors are.

    Attributes:
        frames: of a window.
        live: windows are not mirrored, and their newest frames alone matter.
    """

    frames: int
    live: bool = False

    @property
    def per_clip(self) -> int:
        """Windows of each clip that calibrate and test, more where one frame of each does."""
        return _PER_CLIP_LIVE if self.live else _PER_CLIP

    @property
    def tested(self) -> slice:
        """Frames of a window that calibrate and test."""
        return slice(-1 if self.live else 0, None)


@dataclass(frozen=True)
class Errors:
    """What the head learns from.

    Attributes:
        features: (N, C) of joints.
        about: (N, EVIDENCE) how their 2D behaves.
        error: (N, 3) metres, x, y across the line of sight and z along it.
    """

    features: Tensor
    about: Tensor
    error: Tensor


@torch.no_grad()
def collect(
    model: SasMamba,
    draw: Callable[[int, int], tuple[Tensor, Tensor]],
    count: int,
    say: Callable[[int], None],
    *,
    live: bool = False,
) -> Errors:
    """Lifts `count` windows as they are used; keeps features and errors of some frames.

    Args:
        draw: (batch, seed) to windows xyc (B, T, 17, 3) and what is true (B, T, 17, 3).
        say: told how many windows are done.
        live: as in `Use`.
    """
    features, abouts, errors = [], [], []
    for first in range(0, count, _LIFTED):
        xyc, target = draw(_LIFTED, first)
        seen = normalise_window(xyc)
        x, about = seen[..., : model.config.in_channels], evidence(seen)
        T = x.shape[1]
        # the features that the poses are made of, here and in the mirror
        own, *others = model.features(x if live else torch.cat([x, mirrored(x)])).split(len(x))
        y = model.head(own) if live else averaged(model.head(own), model.head(others[0]))
        error = torch.from_numpy(refine_windows((y - y[:, :, :1]).numpy(), seen.numpy())) - target
        g = torch.Generator().manual_seed(first)
        middle = torch.randperm(T, generator=g)[:_FRAMES]
        ends = torch.randint(_END, (_END_FRAMES,), generator=g)
        frames = T - 1 - ends if live else torch.cat([middle, ends[::2], T - 1 - ends[1::2]])
        # the pelvis is the origin and has no error
        for f in (own, *map(joints_exchanged, others)):
            features.append(f[:, frames, 1:].flatten(0, 2).half())
            abouts.append(about[:, frames, 1:].flatten(0, 2))
            errors.append(error[:, frames, 1:].flatten(0, 2))
        say(min(first + _LIFTED, count))
    return Errors(torch.cat(features), torch.cat(abouts), torch.cat(errors))


def fit(errors: Errors, width: int, seed: int, say: Callable[[str], None]) -> UncertaintyHead:
    """The head whose scales make the errors most likely.

    The likelihood is a Student distribution's, whose degrees of freedom are fitted too: half of Gaussian errors' worth
    of attention would go to the few joints that are quite lost.
    """
    torch.manual_seed(seed)
    head = UncertaintyHead(width)
    freedom = nn.Parameter(torch.full((2,), math.log(3.0)))  # above 1 each
    optimiser = torch.optim.AdamW([*head.parameters(), freedom], lr=_RATE, weight_decay=_DECAY)
    g = torch.Generator().manual_seed(seed)
    running = 0.0
    for step in range(_STEPS):
        for group in optimiser.param_groups:
            group["lr"] = _RATE * 0.5 * (1 + math.cos(math.pi * step / _STEPS))
        pick = torch.randint(len(errors.error), (_BATCH,), generator=g)
        loss = student_loss(
            head(errors.features[pick].float(), errors.about[pick]), errors.error[pick], 1 + freedom.exp()
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        running = loss.item() if step == 0 else 0.99 * running + 0.01 * loss.item()
        if (step + 1) % 500 == 0:
            freedoms = ", ".join(f"{d:.1f}" for d in (1 + freedom.exp()).tolist())
            say(f"step {step + 1}: log-likelihood {-running:.3f}, degrees of freedom {freedoms}")
    return head.eval()


def student_loss(log_scale: Tensor, error: Tensor, freedom: Tensor) -> Tensor:
    """Mean negative log-likelihood of errors (N, 3) under Student distributions, per coordinate.

    Args:
        log_scale: (N, 2) across (of x and of y) and along the line of sight (of z).
        freedom: (2,) theirs.
    """
    log_scale, nu = log_scale[:, [0, 0, 1]], freedom[[0, 0, 1]]
    distance = torch.log1p((error * torch.exp(-log_scale)).square() / nu)
    constant = torch.lgamma(nu / 2) - torch.lgamma((nu + 1) / 2) + 0.5 * torch.log(nu * math.pi)
    return (constant + log_scale + 0.5 * (nu + 1) * distance).mean()


@torch.no_grad()
def lift_and_width(
    model: SasMamba,
    xyc: Tensor,
    per_person: int,
    *,
    flip: bool,
    refined: bool,
    told: Callable[[int], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """Poses (M, T, 17, 3) as `model_lift` gives them, and their half-widths (M, T, 17, 2), metres."""
    device = next(model.parameters()).device
    lifted, widths = [], []
    for part in xyc.split(_LIFTED):
        joints, width = lift_with_uncertainty(model, part.to(device), flip=flip, refined=False, refined_later=refined)
        lifted.append(joints)
        widths.append(width)
        if told:
            told(len(part))
    joints = torch.cat(lifted)
    return (refined_by_person(joints, xyc, per_person) if refined else joints), torch.cat(widths)


def held_errors(
    model: SasMamba, w: Windows, per_person: int, *, flip: bool = True, refined: bool = True, frames: slice = _ALL
) -> tuple[Tensor, Tensor]:
    """Half-widths (N, 2) and errors (N, 3) of all joints of windows, metres, lifted as `model_lift` does."""
    lifted, width = lift_and_width(model, w.xyc, per_person, flip=flip, refined=refined)
    return errors_of(lifted[:, frames], width[:, frames], w.part(frames))


def errors_of(y: Tensor, width: Tensor, w: Windows) -> tuple[Tensor, Tensor]:
    """Half-widths (N, 2) and errors (N, 3) of all joints but the pelvis, which is the origin, of `lift_and_width`."""
    return width[:, :, 1:].flatten(0, 2), (y - w.target)[:, :, 1:].flatten(0, 2)


def ratios(width: Tensor, error: Tensor) -> dict[str, Tensor]:
    """By direction, absolute errors (N, 3) in half-widths (N, 2) of their 68 % intervals, flat."""
    ratio = error.abs() / width[:, [0, 0, 1]]
    return {"across": ratio[:, :2].flatten(), "along": ratio[:, 2]}


def coverage(
    model: SasMamba, w: Windows, per_person: int, *, flip: bool = True, refined: bool = True, frames: slice = _ALL
) -> dict[str, float]:
    """`shares` of a lifter's errors on windows."""
    assert model.config.uncertainty is not None
    found = held_errors(model, w, per_person, flip=flip, refined=refined, frames=frames)
    return shares(*found, model.config.uncertainty.wide)


def shares(width: Tensor, error: Tensor, wide: tuple[float, float]) -> dict[str, float]:
    """Shares of errors (N, 3) within the 68 % and the 95 % intervals, in per cent, by direction.

    Args:
        width: (N, 2) half-widths of the former.
        error: metres.
        wide: by how much those of the latter exceed them, see `Calibration`.
    """
    out = {}
    for (direction, ratio), factor in zip(ratios(width, error).items(), wide, strict=True):
        for share, reach in zip(INTERVALS, (1, factor), strict=True):
            out[f"{direction} {100 * share:.0f} %"] = 100 * (ratio <= reach).float().mean().item()
    return out


def strangers(simulator: Simulator, rig: Rig, T: int, seed: int = 0, per_clip: int = _PER_CLIP) -> list[Windows]:
    """Windows of motion that a lifter is trained on, by people whom it never saw: of every fourth clip, by source.

    Each clip gets a body as training draws them, and each subject its own cameras. Without motion of anybody whom the
    rig knows all subjects' is taken.
    """
    motion, g = simulator.motion, torch.Generator().manual_seed(seed)
    known = [s for s in dict.fromkeys(rig.subject) if (motion.subject == s).any()]
    out = []
    for subject in known or sorted(set(motion.subject.tolist())):
        chosen = np.flatnonzero(motion.subject == subject)[::_SPARSE]
        bodies = simulator.lengths(torch.from_numpy(chosen), g)
        someone = retargeted(motion.select(np.isin(np.arange(motion.clips), chosen)), bodies)
        out += [windows(someone, rig, subject, T, per_clip, kind, seed=seed) for kind in SOURCES]
    return out


def calibrated(
    model: SasMamba, some: list[Windows], per_person: int, seed: int = 0, *, live: bool = False, frames: slice = _ALL
) -> SasMamba:
    """The lifter with intervals that hold what they say on these windows, all of their joints counting alike.

    Args:
        model, some, per_person: as of `held_errors`.
        seed: of `correction`.
        live: windows are not mirrored, and so there is nothing else that `Calibration.plain` would be of.
        frames: of the windows.
    """
    model = with_uncertainty(model, Calibration())
    found = [held_errors(model, w, per_person, flip=not live, frames=frames) for w in some]
    width, error = torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found])
    about = torch.cat([evidence(normalise_window(w.xyc))[:, frames, 1:].flatten(0, 2) for w in some])
    shift, stretch, lean = correction(width.log(), about, error, seed)

    def corrected(width: Tensor) -> Tensor:
        return (shift + stretch * width.log() + about @ lean.T).exp()

    def reach(share: float, width: Tensor, error: Tensor) -> NDArray:
        """(2,) half-widths that hold that share of the errors, by direction."""
        return np.array([np.quantile(ratio.numpy(), share) for ratio in ratios(width, error).values()])

    narrow, far = (reach(share, corrected(width), error) for share in INTERVALS)
    wider, wide = np.ones(2), far / narrow
    if not live:
        plain = [held_errors(model, w, per_person, flip=False, refined=False, frames=frames) for w in some]
        width, error = torch.cat([f[0] for f in plain]), torch.cat([f[1] for f in plain])
        wider = reach(INTERVALS[0], corrected(width), error) / narrow
    model = with_uncertainty(model, Calibration((wide[0], wide[1]), (wider[0], wider[1])))
    last = model.uncertainty_head.last
    with torch.no_grad():
        last.weight *= stretch[:, None]
        last.weight[:, -EVIDENCE:] += lean
        last.bias.copy_(stretch * last.bias + shift + torch.from_numpy(narrow).log())
    return model


def correction(log_width: Tensor, about: Tensor, error: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """What makes half-widths hold 68 % of the errors wherever the 2D is alike, by direction.

    Quantile regression (Koenker and Bassett 1978) of the errors' logarithms: of a logarithm of a half-width, and of how
    the whole window's 2D behaves, which tells sources apart.

    Args:
        log_width: (N, 2).
        about: (N, EVIDENCE).
        error: (N, 3) metres.
        seed: of what is looked at in each step.

    Returns:
        Shift (2,), stretch (2,) and what is to be added for each number of evidence (2, EVIDENCE).
    """
    g = torch.Generator().manual_seed(seed)
    middle, usual = log_width.mean(0), about.mean(0)
    asked = torch.zeros(EVIDENCE)
    asked[list(OF_WINDOW)] = 1
    shift, stretch, lean = (nn.Parameter(x) for x in (torch.zeros(2), torch.ones(2), torch.zeros(2, EVIDENCE)))
    optimiser = torch.optim.Adam([shift, stretch, lean], lr=_CORRECTION_RATE)
    share = INTERVALS[0]
    for step in range(_CORRECTION_STEPS):
        for group in optimiser.param_groups:
            group["lr"] = _CORRECTION_RATE * (1 - step / _CORRECTION_STEPS)
        pick = torch.randint(len(error), (_BATCH,), generator=g)
        told = middle + shift + stretch * (log_width[pick] - middle) + (about[pick] - usual) @ (lean * asked).T
        beyond = error[pick].abs().clamp(min=_LEAST_M).log() - told[:, [0, 0, 1]]
        loss = torch.maximum(share * beyond, (share - 1) * beyond).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        asked_lean = lean.detach() * asked
        return middle + shift - stretch * middle - asked_lean @ usual, stretch.detach(), asked_lean


def fit_uncertainty(
    weights: Path,
    config: TrainConfig,
    out: Path,
    root: Path = Path(),
    count: int = 400,
    say: Callable[[str], None] = print,
) -> dict[str, dict[str, float]]:
    """Writes the lifter of `weights` with an uncertainty head, fitted on the motion of a training configuration.

    `strangers` calibrate it; the subject that the configuration holds out tests it.

    Args:
        weights: a lifter, with such a head or without.
        config: whose simulated 2D, people and motion the head learns from.
        out: the file to write.
        root: what the configuration's paths are relative to.
        count: windows to learn from.
        say: told what is going on.

    Returns:
        By kind of 2D, `coverage` on the subject held out.

    Raises:
        UserError: weights or data that cannot be used, or nobody held out.
    """
    try:
        model = without_uncertainty(load_lifter(weights))
    except CheckpointError as error:
        raise UserError(f"These weights cannot be given an uncertainty: {error}.") from error
    if not config.hold_out:
        raise UserError(
            "hold_out: name a subject who is held out; on others nobody can tell whether intervals hold.", exit_code=2
        )
    simulator, held, rig = simulation(config, root, torch.device("cpu"))
    longest = config.phases[-1]
    use = Use(longest.frames, live=True) if config.newest else Use(model.config.frames)

    def draw(batch: int, seed: int) -> tuple[Tensor, Tensor]:
        kind = _NOISE[seed // batch % len(_NOISE)]
        g = torch.Generator().manual_seed(1_000_003 * config.seed + seed)
        sample = simulator.draw(batch, use.frames, longest.stride, g, KIND_NOISE[kind](batch, None) if kind else None)
        return sample.xyc, sample.target

    def told(done: int) -> None:
        if done % 40 < _LIFTED:
            say(f"lifted {done} of {count} windows")

    head = fit(collect(model, draw, count, told, live=use.live), model.config.block.width, config.seed, say)
    model = with_uncertainty(model, Calibration())
    model.uncertainty_head.load_state_dict(head.state_dict())
    some = strangers(simulator, rig, use.frames, config.seed, use.per_clip)
    model = calibrated(model, some, use.per_clip, live=use.live, frames=use.tested)
    assert model.config.uncertainty is not None
    save_weights(model, out, {"uncertainty": f"fitted to {count} windows, calibrated on strangers"})
    unseen = {kind: windows(held, rig, config.hold_out, use.frames, use.per_clip, kind, seed=1) for kind in KINDS}
    return {kind: coverage(model, w, use.per_clip, flip=not use.live, frames=use.tested) for kind, w in unseen.items()}
