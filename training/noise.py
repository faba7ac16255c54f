"""What a 2D detector does to joints: drift, jitter, bias, outliers, swapped sides, gaps.

The figures are of a real detector (MediaPipe, video mode) measured against multi-view reprojection, as fractions of the
person's box height at 60 frames per second.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sasmamba.models.skeletons import COCO, COCO_MIRROR
from sasmamba.training.detector_profiles import HEATMAP, LIGHTNING, MEDIAPIPE, THUNDER, Chosen
from sasmamba.training.occlusion import obscure

#: Standard deviation of the slow drift per axis, by body part; COCO order.
_DRIFT = {
    "NOSE": 0.015,
    "EYE": 0.015,
    "EAR": 0.015,
    "SHOULDER": 0.010,
    "ELBOW": 0.012,
    "WRIST": 0.012,
    "HIP": 0.010,
    "KNEE": 0.012,
    "ANKLE": 0.010,
}
# The measured drift has an autocorrelation of 0.93 after one frame and 0.52 after five. No first-order process does
# both; a second-order one with ρ(s) = (1 + s) exp(-s), s = t / 3.2, does, together with the jitter (0.94 and 0.52).
_DRIFT_TIME_60FPS = 3.2
_DRIFT_SHARED_VARIANCE = 0.15
_BIAS_NORM = 0.008
_JITTER = (0.0016, 0.004)
#: How much more a joint errs for each box height per second that it moves, and up to which speed.
_BLUR, _BLUR_SPEED = 0.5, 6.0
_LEGS = (COCO.LEFT_HIP, COCO.RIGHT_HIP, COCO.LEFT_KNEE, COCO.RIGHT_KNEE, COCO.LEFT_ANKLE, COCO.RIGHT_ANKLE)
_ARMS = (COCO.LEFT_SHOULDER, COCO.RIGHT_SHOULDER, COCO.LEFT_ELBOW, COCO.RIGHT_ELBOW, COCO.LEFT_WRIST, COCO.RIGHT_WRIST)


@dataclass(frozen=True)
class Severity:
    """How bad the 2D of each clip is; all (B,).

    Attributes:
        scale: factor on drift, jitter and bias.
        outliers: share of joint frames that are outliers.
        swaps: share of frames with sides exchanged.
        joints_lost, frames_lost: share of joints and of whole frames that are missing.
        keyframes: 2D exists on every k-th frame only; 1 for all.
        detector: int64, which of `detector_profiles.PROFILES` each clip has; None: MediaPipe's for all.
        hiding: how much joints suffer that the body hides, 1: as measured; None: not at all.
        legless: True where the legs are out of sight for the whole clip; None: nowhere.
    """

    scale: Tensor
    outliers: Tensor
    swaps: Tensor
    joints_lost: Tensor
    frames_lost: Tensor
    keyframes: Tensor
    detector: Tensor | None = None
    hiding: Tensor | None = None
    legless: Tensor | None = None


def measured(B: int, device: torch.device | None = None) -> Severity:
    """The noise as measured in a good view, for evaluation."""

    def full(x: float) -> Tensor:
        return torch.full((B,), x, device=device)

    return Severity(full(1), full(0.015), full(0.001), full(0), full(0.03), full(1))


def measured_movenet(B: int, device: torch.device | None = None) -> Severity:
    """MoveNet Thunder's noise as measured, with what it makes of joints that the body hides, for evaluation."""

    def full(x: float) -> Tensor:
        return torch.full((B,), x, device=device)

    detector = torch.full((B,), THUNDER, device=device)
    return Severity(full(1), full(0.008), full(0.001), full(0), full(0.02), full(1), detector, full(1))


def hard(B: int, generator: torch.Generator, device: torch.device | None = None) -> Severity:
    """A spread of severities for training: clean, good and bad views, gaps and keyframe patterns."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(B, device=device).uniform_(low, high, generator=generator)

    kind = uniform(0, 1)
    clean, bad = kind < 0.2, kind > 0.88
    scale = torch.where(clean, uniform(0, 0.1), torch.where(bad, uniform(1, 2.5), uniform(0.3, 1.3)))
    outliers = torch.where(clean, 0, torch.where(bad, uniform(0.02, 0.3), uniform(0, 0.03)))
    swaps = torch.where(clean, 0, torch.where(bad, uniform(0, 0.28), uniform(0, 0.01)))
    lossy = uniform(0, 1) < 0.25
    keyed = uniform(0, 1) < 0.12
    which = uniform(0, 1)
    detector = torch.full((B,), MEDIAPIPE, device=device)
    for end, profile in ((0.7, THUNDER), (0.35, HEATMAP), (0.2, LIGHTNING)):
        detector = torch.where(which < end, profile, detector)
    return Severity(
        scale,
        outliers,
        swaps,
        torch.where(lossy, uniform(0, 0.25), uniform(0, 0.01)),
        torch.where(lossy, uniform(0, 0.12), uniform(0, 0.02)),
        torch.where(keyed, uniform(2, 10.99).floor(), 1),
        detector,
        torch.where(clean, 0, uniform(0, 1.3)),
        uniform(0, 1) < 0.04,
    )


def _bursts(time: Tensor, rate: Tensor, joints: int, length: tuple[float, float], g: torch.Generator) -> Tensor:
    """(B, T, joints) True during bursts of `length` (60 fps frames) that cover the share `rate` (B,) of the time."""
    B, candidates = len(rate), 3
    mean = sum(length) / 2
    span = time[:, -1] - time[:, 0] + mean

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(B, 1, joints, candidates, device=time.device).uniform_(low, high, generator=g)

    share = (rate * span / mean / candidates)[:, None, None, None]
    # a share above one means that three bursts are too few: make them longer
    stretch = share.clamp(min=1)
    begin = time[:, :1, None, None] - mean + uniform(0, 1) * span[:, None, None, None]
    end = begin + uniform(*length) * stretch
    on = uniform(0, 1) < share
    t = time[:, :, None, None]
    return (on & (t >= begin) & (t < end)).any(-1)


def _drift(time: Tensor, joints: int, g: torch.Generator) -> Tensor:
    """(B, T, joints, 2) unit-variance noise with the measured correlation in time and between joints.

    A critically damped oscillator driven by white noise (a Matérn process of order 3/2), stepped exactly: its state is
    the place and the scaled velocity, both of unit variance.
    """
    B, T = time.shape
    fresh = torch.empty(2, B, T, joints + 1, 2, device=time.device).normal_(generator=g)
    s = ((time[:, 1:] - time[:, :-1]) / _DRIFT_TIME_60FPS)[..., None, None]
    fade = torch.exp(-s)
    # what each step adds has the covariance I - F F', F = fade [[1 + s, s], [-s, 1 - s]]; this is its Cholesky factor
    own = (1 - fade**2 * ((1 + s) ** 2 + s**2)).clamp(min=1e-12).sqrt()
    both = 2 * s**2 * fade**2 / own
    rest = (1 - fade**2 * (s**2 + (1 - s) ** 2) - both**2).clamp(min=0).sqrt()
    push, kick = own * fresh[0, :, 1:], both * fresh[0, :, 1:] + rest * fresh[1, :, 1:]
    x, v = fresh[0, :, 0], fresh[1, :, 0]
    steps = [x]
    for t in range(T - 1):
        f, r = fade[:, t], s[:, t]
        turn = r * (x + v)
        x, v = f * (x + turn) + push[:, t], f * (v - turn) + kick[:, t]
        steps.append(x)
    noise = torch.stack(steps, 1)
    alone, shared = noise[:, :, :joints], noise[:, :, joints:]
    return alone * (1 - _DRIFT_SHARED_VARIANCE) ** 0.5 + shared * _DRIFT_SHARED_VARIANCE**0.5


def _blur(xy: Tensor, time: Tensor, box: Tensor) -> Tensor:
    """(B, T, 17) by how much the error grows where a joint is fast: blurred, far from where it was a frame ago."""
    if xy.shape[1] < 2:
        return torch.ones_like(xy[..., 0])
    seconds = (time[:, 1:] - time[:, :-1])[..., None] / 60
    speed = xy.diff(dim=1).norm(dim=-1) / (seconds * box[:, None, None])  # box heights per second
    speed = torch.cat([speed[:, :1], speed], 1)
    return 1 + _BLUR * speed.clamp(max=_BLUR_SPEED)


def detect(
    xy: Tensor,
    time: Tensor,
    box: Tensor,
    outside: Tensor,
    s: Severity,
    g: torch.Generator,
    hidden: Tensor | None = None,
) -> Tensor:
    """Turns true COCO-17 joints into what a detector reports.

    Args:
        xy: (B, T, 17, 2) in any unit.
        time: (B, T) in frames of 60 per second.
        box: (B,) box height in the unit of xy.
        outside: (B, T, 17) True where a joint lies outside the picture.
        s: how bad.
        g: where chance comes from.
        hidden: (B, T, 17) how deep each joint lies behind the body, see `occlusion.hidden`; None: nothing is hidden.

    Returns:
        (B, T, 17, 3): x, y, score; missing joints are 0, 0, 0.
    """
    B, T, J, _ = xy.shape
    dev = xy.device

    def uniform(shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Tensor:
        return torch.empty(shape, device=dev).uniform_(low, high, generator=g)

    def normal(*shape: int) -> Tensor:
        return torch.empty(shape, device=dev).normal_(generator=g)

    unit = (box * s.scale)[:, None, None, None]
    if s.detector is None:
        sigma = torch.tensor([_DRIFT[j.name.rpartition("_")[2]] for j in COCO], device=dev)[:, None]
        jitter = uniform((B, 1, 1, 1), *_JITTER)
        bias = normal(B, 1, J, 2) * (_BIAS_NORM / 2**0.5)
    else:
        profile = Chosen.of(s.detector)
        sigma = profile.drift[..., None]
        jitter = torch.lerp(profile.jitter[..., :1], profile.jitter[..., 1:], uniform((B, 1, 1, 1)))
        bias = normal(B, 1, J, 2) * (profile.bias[..., None] / 2**0.5)
    noise = _drift(time, J, g) * sigma + jitter * normal(B, T, J, 2)
    if s.hiding is not None:
        noise = noise * _blur(xy, time, box)[..., None]
    noise = noise + bias
    noise = noise * torch.where(outside, 3.0, 1.0)[..., None]
    if s.detector is None:
        score = 1 - (0.06 * normal(B, 1, J).abs() + 0.04 * normal(B, T, J).abs()).clamp(max=0.5)
    else:
        score = profile.scores(normal(B, 1, J), normal(B, T, J), (noise / sigma).norm(dim=-1))
    out = xy + noise * unit
    if hidden is not None and s.hiding is not None:
        out, score = obscure(out, score, hidden, _drift(time, J, g), box, s.hiding, g)
    missed = score <= 0

    # A swap exchanges legs, arms or both sides wholly.
    kind = uniform((B, 1, 1))
    affected = torch.zeros(3, J, dtype=torch.bool, device=dev)
    affected[0, list(_LEGS)] = True
    affected[1, list(_ARMS)] = True
    affected[2] = True
    group = affected[torch.where(kind < 0.6, 0, torch.where(kind < 0.75, 1, 2))[:, 0, 0]]
    swapped = _bursts(time, s.swaps, 1, (5, 40), g) & group[:, None]
    out = torch.where(swapped[..., None], out[:, :, list(COCO_MIRROR)], out)

    # Outliers come in bursts and stay near one wrong place; half of them the detector is sure of.
    wild = _bursts(time, s.outliers, J, (3, 30), g)
    jump = normal(B, 1, J, 2) * 0.12
    jump = jump + torch.sign(jump) * 0.03
    out = torch.where(wild[..., None], out + jump * box[:, None, None, None], out)
    unsure = uniform((B, 1, J)) < 0.5
    score = torch.where(wild & unsure, uniform((B, T, J), 0.2, 0.7), score)

    # Beyond the edge of the picture some detectors guess with a low score, others report nothing.
    guess = uniform((B, 1, 1)) < 0.6
    score = torch.where(outside, torch.where(guess, uniform((B, T, J), 0.05, 0.5), 0), score)
    lost = _bursts(time, s.joints_lost, J, (3, 60), g)
    gone = _bursts(time, s.frames_lost, 1, (2, 20), g)
    frame = torch.arange(T, device=dev)
    phase = (uniform((B, 1)) * s.keyframes[:, None]).floor()
    between = (frame + phase) % s.keyframes[:, None] != 0
    score = torch.where(lost | gone | missed | between[..., None], 0, score)
    if s.legless is not None:
        legs = torch.zeros(J, dtype=torch.bool, device=dev)
        legs[list(_LEGS[2:])] = True
        # some detectors report nothing of them, others guess, with low scores
        unseen = torch.where(guess, score * 0.3, 0)
        score = torch.where(s.legless.view(B, 1, 1) & legs, unseen, score)
    return torch.where(score[..., None] > 0, torch.cat([out, score[..., None]], -1), 0)
