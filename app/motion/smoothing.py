"""Jitter taken out of motion: the 1-Euro filter for live, a zero-phase filter for what is known from end to end.

Both work in seconds, not in frames: a variable frame rate, or another one, gets the same smoothing. How much is taken
out by default was measured, see `POSE_S` and `OneEuro`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sasmamba.app.take import Take, Track
from sasmamba.common.arrays import FloatArray
from sasmamba.common.runs import stretches

#: Width of the kernel for poses, seconds. From a detector's 2D it takes four tenths off the acceleration error and
#: lowers the velocity error at the same P1; from true COCO points it takes off a seventh (benchmarks/smoothing.py).
#: Wider ones cost P1.
POSE_S = 0.06
#: Frames taken together, so that memory does not grow with the video.
_CHUNK = 4096


class OneEuro:
    """The 1-Euro filter: low-pass with a cutoff that rises with speed, so that rest is calm and motion does not lag.

    Source: Casiez, Roussel, Vogel, CHI 2012, "1 € Filter". Each point has one cutoff for all its coordinates, by the
    length of its velocity: the result does not depend on how the axes lie.

    Args:
        min_cutoff_hz: cutoff at rest; lower is calmer.
        beta: cutoff added per unit of speed (Hz per m/s for metres); higher lags less.
        speed_cutoff_hz: of the speed itself.

    The defaults are for poses in metres, lifted live: benchmarks/lookahead.py measures with it and, --raw, without.
    """

    def __init__(self, min_cutoff_hz: float = 1.0, beta: float = 15.0, speed_cutoff_hz: float = 3.0) -> None:
        if min(min_cutoff_hz, speed_cutoff_hz) <= 0 or beta < 0:
            raise ValueError(
                f"1-Euro: want cutoffs above 0 and beta at least 0, got {min_cutoff_hz}, {speed_cutoff_hz}, {beta}"
            )
        self.min_cutoff_hz, self.beta, self.speed_cutoff_hz = min_cutoff_hz, beta, speed_cutoff_hz
        self._time_s = -math.inf
        self._value: NDArray | None = None
        self._velocity: NDArray | None = None

    def __call__(self, time_s: float, value: NDArray) -> NDArray:
        """The filtered value at time_s, which must increase; value (..., D) is of the same shape every time.

        Raises:
            ValueError: a time that is not after the last.
        """
        if time_s <= self._time_s:
            raise ValueError(f"time_s: want after {self._time_s}, got {time_s}")
        if self._value is None or self._velocity is None:
            self._value, self._velocity = value, np.zeros_like(value)
        else:
            dt = time_s - self._time_s
            velocity = (value - self._value) / dt
            self._velocity = self._velocity + _share(self.speed_cutoff_hz, dt) * (velocity - self._velocity)
            speed = np.linalg.norm(self._velocity, axis=-1, keepdims=True)
            share = _share(self.min_cutoff_hz + self.beta * speed, dt)
            self._value = (self._value + share * (value - self._value)).astype(value.dtype)
        self._time_s = time_s
        return self._value


def _share(cutoff_hz: NDArray | float, dt: float) -> NDArray:
    """Share of a new value in an exponential average with that cutoff (Casiez et al., equations 4 and 5)."""
    return np.asarray(1 / (1 + 1 / (2 * math.pi * np.asarray(cutoff_hz) * dt)))


def zero_phase(
    times_s: ArrayLike, values: NDArray, sigma_s: float, *, degree: int = 2, weights: NDArray | None = None
) -> NDArray:
    """Values smoothed over time without any lag: at each time the polynomial that fits the values around best.

    A Savitzky-Golay filter (Analytical Chemistry 36, 1964) with Gaussian weights in place of a box, fitted anew for
    every frame, so that frames need not be evenly spaced.

    Args:
        times_s: (T,) increasing.
        values: (T, ...).
        sigma_s: of the Gaussian, seconds; frames beyond three of it do not count.
        degree: of the polynomial: 1 is calmer, 2 keeps the height of peaks.
        weights: (T,) above 0, how much each value is to be trusted; None for all alike.

    Raises:
        ValueError: values of another number of frames.
    """
    time = np.asarray(times_s, np.float64)
    if values.shape[:1] != time.shape:
        raise ValueError(f"values: want {len(time)} frames, got {values.shape}")
    trust = np.ones(len(time)) if weights is None else weights
    out = np.empty_like(values)
    for begin in range(0, len(time), _CHUNK):
        now = time[begin : begin + _CHUNK]
        first, end = np.searchsorted(time, now - 3 * sigma_s), np.searchsorted(time, now + 3 * sigma_s, "right")
        index = first[:, None] + np.arange((end - first).max())  # (t, K)
        inside, index = index < end[:, None], index.clip(max=len(time) - 1)
        x = (time[index] - now[:, None]) / sigma_s
        w = np.where(inside, np.exp(-0.5 * x * x) * trust[index], 0)
        powers = x[..., None] ** np.arange(degree + 1)
        normal = np.einsum("tk,tki,tkj->tij", w, powers, powers)
        # what too few frames leave open, a slope at a single one say, is taken to be zero
        normal += np.diag([1e-12] + [1e-9] * degree) * np.maximum(w.sum(1), 1e-12)[:, None, None]
        middle = np.linalg.solve(normal, np.eye(degree + 1)[:, :1])[..., 0]  # (t, degree + 1): the value at x = 0
        kernel = w * (powers @ middle[..., None])[..., 0]
        flat = values.reshape(len(time), -1)
        total = np.zeros((len(now), flat.shape[1]))
        for k in range(kernel.shape[1]):
            total += kernel[:, k, None] * flat[index[:, k]]
        out[begin : begin + _CHUNK] = total.reshape(-1, *values.shape[1:])
    return out


def compromise(stay: NDArray, target: NDArray, follow: NDArray, move: NDArray) -> NDArray:
    """The x (F,) that minimises Σ stay·(x - target)² + Σ follow·(x[t + 1] - x[t] - move[t])²: a tridiagonal system."""
    main = stay.copy()
    main[1:] += follow
    main[:-1] += follow
    right = stay * target
    right[1:] += follow * move
    right[:-1] -= follow * move
    # Thomas's algorithm, on lists: element by element they are faster than arrays
    diagonal, x, beside = main.tolist(), right.tolist(), (-follow).tolist()
    for t, off in enumerate(beside, 1):
        share = off / diagonal[t - 1]
        diagonal[t] -= share * off
        x[t] -= share * x[t - 1]
    x[-1] /= diagonal[-1]
    for t in range(len(beside) - 1, -1, -1):
        x[t] = (x[t] - beside[t] * x[t + 1]) / diagonal[t]
    return np.array(x)


def tension_spline(times_s: NDArray, values: NDArray, weights: NDArray, bend_s: float, still_s: float) -> NDArray:
    """The x (F,) that minimises ∫ w·(x - values)² + bend_s⁴·∫ x''² + still_s²·∫ x'²: a spline under tension.

    What moves goes on as it moves for about bend_s² / still_s, and then stays where it is: what is not to be trusted is
    bridged, and beyond all that is, nothing runs away.

    Args:
        times_s: (F,) increasing.
        values: (F,).
        weights: (F,) w, 1 where a value is to be trusted, next to 0 where not; none counts for more time than two
            usual frames take.
        bend_s: seconds, about what is smoothed away of values of weight 1.
        still_s: seconds; of values of weight 1 alone, next to nothing as long as it is much less than `bend_s`.
    """
    if len(times_s) < 2:
        return values.copy()
    step = np.diff(times_s)
    w = weights * np.minimum(np.gradient(times_s), 2 * np.median(step))
    # the matrix: its diagonal, and what is one and two beside it
    main, one, two = w.copy(), -(still_s**2) / step, np.zeros(len(w) - 2)
    main[1:] -= one
    main[:-1] -= one
    a, b = 1 / step[:-1], 1 / step[1:]  # x'' is the difference of two slopes
    bend = 2 * bend_s**4 / (step[:-1] + step[1:])
    main[:-2] += bend * a**2
    main[1:-1] += bend * (a + b) ** 2
    main[2:] += bend * b**2
    one[:-1] -= bend * a * (a + b)
    one[1:] -= bend * (a + b) * b
    two += bend * a * b
    return _pentadiagonal(main, one, two, w * values)


def _pentadiagonal(main: NDArray, one: NDArray, two: NDArray, right: NDArray) -> NDArray:
    """Solves a symmetric system (F ≥ 2) by its diagonal and the two beside it, (F - 1,) and (F - 2,), as L·D·Lᵀ."""
    d, e, k, x = main.tolist(), one.tolist(), two.tolist(), right.tolist()
    last = len(d) - 1
    for t in range(last):
        share = e[t] / d[t]
        d[t + 1] -= share * e[t]
        x[t + 1] -= share * x[t]
        if t < last - 1:
            e[t + 1] -= share * k[t]
            share = k[t] / d[t]
            d[t + 2] -= share * k[t]
            x[t + 2] -= share * x[t]
    x[last] /= d[last]
    x[last - 1] = (x[last - 1] - e[last - 1] * x[last]) / d[last - 1]
    for t in range(last - 2, -1, -1):
        x[t] = (x[t] - e[t] * x[t + 1] - k[t] * x[t + 2]) / d[t]
    return np.array(x)


def smooth_take(take: Take, sigma_s: float = POSE_S) -> None:
    """Smooths everybody's poses in place, each stretch without a gap by itself; 0 leaves them as they are."""
    if sigma_s <= 0:
        return
    for track in take.tracks.values():
        _smooth_track(track, take, sigma_s)


def _smooth_track(track: Track, take: Take, sigma_s: float) -> None:
    for stretch in stretches(sorted(track.poses)):
        joints: FloatArray = np.stack([track.poses[f].joints for f in stretch])
        calm = zero_phase(take.seconds(stretch), joints, sigma_s)
        for f, pose in zip(stretch, calm, strict=True):
            track.poses[f] = replace(track.poses[f], joints=pose)
