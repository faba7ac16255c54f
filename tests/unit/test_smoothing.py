"""Smoothing takes jitter out and leaves motion in, in seconds, whatever the frame rate."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from sasmamba.app.motion.smoothing import OneEuro, smooth_take, tension_spline, zero_phase
from sasmamba.app.take import Take, Track
from sasmamba.app.types import Pose3D, VideoMeta
from sasmamba.common.runs import stretches

RNG = np.random.default_rng(0)


def swing(times: np.ndarray, hz: float = 1.0) -> np.ndarray:
    """(T, 17, 3) every joint swings 20 cm to and fro."""
    return np.broadcast_to(0.2 * np.sin(2 * np.pi * hz * times)[:, None, None], (len(times), 17, 3)).copy()


def uneven(count: int) -> np.ndarray:
    """Times about 1/30 s apart, some half, some double."""
    return np.cumsum(RNG.choice([1 / 60, 1 / 30, 2 / 30], count))


@pytest.mark.parametrize("times", [np.arange(300) / 30, np.arange(500) / 50, uneven(300)], ids=["30", "50", "uneven"])
def test_zero_phase_removes_noise_without_lag(times: np.ndarray) -> None:
    clean = swing(times)
    noisy = clean + RNG.normal(0, 0.01, clean.shape)
    calm = zero_phase(times, noisy, 0.08)
    assert np.abs(zero_phase(times, clean, 0.08) - clean)[10:-10].max() < 0.005
    assert (calm - clean).std() < 0.75 * (noisy - clean).std()
    lags = np.array([np.abs(calm[5:-5] - swing(times + lag)[5:-5]).mean() for lag in (-0.02, 0.0, 0.02)])
    assert lags.argmin() == 1


@pytest.mark.parametrize("degree", [1, 2])
def test_zero_phase_keeps_what_its_polynomial_can_say_up_to_the_ends(degree: int) -> None:
    times = uneven(100)
    values = np.stack([1 + 2 * times, 3 - times + (times**2 if degree == 2 else 0)], 1)
    np.testing.assert_allclose(zero_phase(times, values, 0.1, degree=degree), values, atol=1e-5)


def test_zero_phase_is_the_textbook_fit_of_one_frame() -> None:
    """Against numpy's own weighted polynomial fit."""
    times, values = uneven(40), RNG.normal(size=(40, 1))
    weights = RNG.uniform(0.5, 2, 40)
    t, sigma = 17, 0.1
    near = np.abs(times - times[t]) <= 3 * sigma
    w = np.sqrt(weights * np.exp(-0.5 * ((times - times[t]) / sigma) ** 2))[near]
    fitted = np.polyval(np.polyfit(times[near] - times[t], values[near, 0], 2, w=w), 0)
    assert zero_phase(times, values, sigma, weights=weights)[t, 0] == pytest.approx(fitted, abs=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_zero_phase_of_hardly_anything(count: int) -> None:
    values = RNG.normal(size=(count, 17, 3)).astype(np.float32)
    calm = zero_phase(np.arange(count) / 30, values, 0.06)
    assert calm.dtype == np.float32
    np.testing.assert_allclose(calm, values, atol=1e-4)


def test_zero_phase_goes_piece_by_piece_alike() -> None:
    times, values = np.arange(9000) / 30, RNG.normal(size=(9000, 1))
    np.testing.assert_allclose(
        zero_phase(times, values, 0.1)[4090:4110],
        zero_phase(times[4000:4200], values[4000:4200], 0.1)[90:110],
        atol=1e-9,
    )


def one_euro(times: np.ndarray, values: np.ndarray, **settings: float) -> np.ndarray:
    smoother = OneEuro(**settings)
    return np.stack([smoother(t, v) for t, v in zip(times, values, strict=True)])


def test_one_euro_is_calm_at_rest_and_does_not_lag_in_motion() -> None:
    times = np.arange(300) / 30
    rest = RNG.normal(0, 0.003, (300, 17, 3))
    assert one_euro(times, rest)[30:].std() < 0.6 * rest.std()
    moving = swing(times, hz=1.5)
    assert np.abs(one_euro(times, moving) - moving).mean() < 0.1 * np.abs(moving).mean()


def test_one_euro_follows_the_published_equations() -> None:
    """Casiez et al. 2012, the algorithm of section 3, for one coordinate, written out."""
    times, values = uneven(30), RNG.normal(size=30)
    min_cutoff, beta, speed_cutoff = 1.2, 0.3, 0.9

    def alpha(cutoff: float, rate: float) -> float:
        return 1 / (1 + (1 / (2 * np.pi * cutoff)) * rate)

    want, speed = [values[0]], 0.0
    for dt, x in zip(np.diff(times), values[1:], strict=True):
        a = alpha(speed_cutoff, 1 / dt)
        speed = a * (x - want[-1]) / dt + (1 - a) * speed
        a = alpha(min_cutoff + beta * abs(speed), 1 / dt)
        want.append(a * x + (1 - a) * want[-1])
    found = one_euro(times, values[:, None], min_cutoff_hz=min_cutoff, beta=beta, speed_cutoff_hz=speed_cutoff)
    np.testing.assert_allclose(found[:, 0], want, atol=1e-12)


def test_one_euro_does_not_depend_on_the_axes() -> None:
    times, values = uneven(50), RNG.normal(size=(50, 17, 3))
    R = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    np.testing.assert_allclose(one_euro(times, values @ R.T), one_euro(times, values) @ R.T, atol=1e-12)


def test_one_euro_refuses_time_that_does_not_pass() -> None:
    smoother = OneEuro()
    smoother(1.0, np.zeros((17, 3)))
    with pytest.raises(ValueError, match="time_s"):
        smoother(1.0, np.zeros((17, 3)))


def test_a_take_is_smoothed_stretch_by_stretch() -> None:
    take = Take(VideoMeta(64, 64, Fraction(30), None), "truth", times_s=[Fraction(f, 30) for f in range(40)])
    track = take.tracks[1] = Track(1)
    for f in (*range(10), *range(30, 40)):
        joints = np.full((17, 3), 1.0 if f < 20 else 5.0, np.float32) + RNG.normal(0, 0.01, (17, 3)).astype(np.float32)
        track.poses[f] = Pose3D(f, 1, joints, observed=f % 2 == 0)
    before = dict(track.poses)
    smooth_take(take, 0)
    assert all(track.poses[f] is before[f] for f in before)
    smooth_take(take)
    assert sorted(track.poses) == sorted(before)
    assert all(track.poses[f].observed == before[f].observed for f in before)
    assert track.poses[9].joints.mean() == pytest.approx(1, abs=0.02)
    assert track.poses[30].joints.mean() == pytest.approx(5, abs=0.02)
    assert np.std([p.joints for p in track.poses.values() if p.frame < 10]) < 0.009


def test_runs_are_cut_where_a_frame_is_missing() -> None:
    assert stretches([]) == []
    assert stretches([3]) == [[3]]
    assert stretches([0, 1, 2, 5, 6, 9]) == [[0, 1, 2], [5, 6], [9]]


#: Frames each second, between which times nothing is to be trusted, the truth, and how far off it may be.
BRIDGES: dict[str, tuple[float, tuple[float, float], Callable[[NDArray], NDArray], float]] = {
    "goes on as it went, between": (30, (1.0, 2.0), lambda t: 0.4 * t, 0.02),
    "rests": (30, (1.0, 2.0), lambda t: 0 * t + 3, 1e-4),
    "a fast camera": (500, (1.0, 2.0), lambda t: 0.4 * t, 0.02),
}


@pytest.mark.parametrize("case", BRIDGES)
def test_a_tension_spline_bridges_what_is_not_to_be_trusted(case: str) -> None:
    fps, (begin, end), truth, within = BRIDGES[case]
    time = np.arange(0, 4, 1 / fps)
    guessed = (time > begin) & (time < end)
    values = np.where(guessed, truth(time) + 1, truth(time))
    found = tension_spline(time, values, np.where(guessed, 1e-6, 1.0), 0.3, 0.1)
    assert np.abs(found - truth(time)).max() < within


def test_a_tension_spline_is_the_least_of_what_it_minimises() -> None:
    rng = np.random.default_rng(0)
    time = np.cumsum(rng.uniform(0.02, 0.06, 60))
    values, weights = rng.normal(size=60), rng.uniform(0.01, 1, 60)

    def cost(x: NDArray) -> float:
        step = np.diff(time)
        w = weights * np.minimum(np.gradient(time), 2 * np.median(step))
        slope = np.diff(x) / step
        bend = 2 * np.diff(slope) ** 2 / (step[1:] + step[:-1])
        return float((w * (x - values) ** 2).sum() + 0.3**4 * bend.sum() + 0.1**2 * (slope**2 * step).sum())

    found = tension_spline(time, values, weights, 0.3, 0.1)
    for _ in range(20):
        assert cost(found) < cost(found + 1e-3 * rng.normal(size=60))


def test_a_tension_spline_does_not_run_away_where_nothing_is_known() -> None:
    time = np.arange(0, 10, 1 / 30)
    known = time < 2
    found = tension_spline(time, np.where(known, time, 99), np.where(known, 1.0, 1e-9), 0.3, 0.1)
    assert found[-1] < 2 + 0.3**2 / 0.1 + 0.2
    assert np.array_equal(tension_spline(time[:1], time[:1] + 5, np.ones(1), 0.3, 0.1), time[:1] + 5)


def test_one_frame_after_a_long_gap_has_no_more_say_than_others() -> None:
    time = np.array([*np.arange(30), 300, *np.arange(301, 330)]) / 30
    values = np.where(time == 10, 5.0, 0.0)
    assert tension_spline(time, values, np.ones(60), 0.3, 0.1).max() < 1.5
