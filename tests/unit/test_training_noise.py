"""The simulated detector against the measured one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sasmamba.models.skeletons import COCO, COCO_MIRROR
from sasmamba.training import noise
from sasmamba.training.noise import Severity, detect, hard, measured

B, T = 192, 100


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def quiet(n: int) -> Severity:
    zero = torch.zeros(n)
    return Severity(zero, zero, zero, zero, zero, zero + 1)


def seen(severity: Severity, step: float = 1.0, outside: bool = False) -> tuple[Tensor, Tensor]:
    """True joints (B, T, 17, 2) spread over a unit box and what the detector makes of them, (B, T, 17, 3)."""
    xy = torch.rand(1, 1, 17, 2, generator=generator()).expand(B, T, 17, 2)
    time = (torch.arange(T) * step).expand(B, T)
    out = detect(xy, time, torch.ones(B), torch.full((B, T, 17), outside), severity, generator())
    return xy, out


def correlation(error: Tensor, lag: int) -> float:
    """Autocorrelation over time of error (B, T, ...), which is zero on average."""
    return ((error[:, lag:] * error[:, : T - lag]).mean() / error.square().mean()).item()


def test_silent_when_told() -> None:
    xy, out = seen(quiet(B))
    torch.testing.assert_close(out[..., :2], xy)
    assert (out[..., 2] > 0).all()


@pytest.mark.parametrize(
    ("joint", "sigma"),
    [
        (COCO.LEFT_HIP, 0.010),
        (COCO.RIGHT_KNEE, 0.012),
        (COCO.LEFT_ANKLE, 0.010),
        (COCO.NOSE, 0.015),
        (COCO.LEFT_SHOULDER, 0.010),
        (COCO.LEFT_ELBOW, 0.012),
        (COCO.RIGHT_WRIST, 0.012),
    ],
)
def test_drift_sigma(monkeypatch: pytest.MonkeyPatch, joint: COCO, sigma: float) -> None:
    monkeypatch.setattr(noise, "_BIAS_NORM", 0.0)
    monkeypatch.setattr(noise, "_JITTER", (0.0, 0.0))
    xy, out = seen(replace(quiet(B), scale=torch.ones(B)))
    assert (out[..., :2] - xy)[:, :, joint].std().item() == pytest.approx(sigma, rel=0.08)


def test_drift_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Autocorrelation 0.93 after a frame and 0.52 after five at 60 fps, with the jitter of tracked video."""
    monkeypatch.setattr(noise, "_BIAS_NORM", 0.0)
    monkeypatch.setattr(noise, "_JITTER", (0.0016, 0.0016))
    xy, out = seen(replace(quiet(B), scale=torch.ones(B)))
    error = out[..., :2] - xy
    assert correlation(error, 1) == pytest.approx(0.93, abs=0.03)
    assert correlation(error, 5) == pytest.approx(0.52, abs=0.05)


def test_drift_is_a_matter_of_time_not_of_frames() -> None:
    """Sampled at 12 fps, neighbours are as far apart as five frames at 60."""
    every = noise._drift(torch.arange(T).expand(B, T) * 1.0, 17, generator())
    fifth = noise._drift(torch.arange(T).expand(B, T) * 5.0, 17, generator())
    assert correlation(fifth, 1) == pytest.approx(correlation(every, 5), abs=0.04)
    assert fifth.var().item() == pytest.approx(1, abs=0.05)


def test_drift_shared_between_joints() -> None:
    drift = noise._drift(torch.arange(T).expand(B, T) * 1.0, 17, generator())
    between = (drift[:, :, 0] * drift[:, :, 9]).mean() / drift.square().mean()
    assert between.item() == pytest.approx(0.15, abs=0.04)


def test_bias_and_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "_drift", lambda time, joints, g: torch.zeros(*time.shape, joints, 2))
    xy, out = seen(replace(quiet(B), scale=torch.ones(B)))
    error = out[..., :2] - xy
    bias = error.mean(1)
    assert bias.square().sum(-1).mean().sqrt().item() == pytest.approx(0.008, rel=0.1)
    jitter = (error - bias[:, None]).std(1).mean((1, 2))  # one per clip
    assert jitter.min() > 0.0014
    assert jitter.max() < 0.0044


@pytest.mark.parametrize("rate", [0.015, 0.1, 0.3])
def test_outliers(rate: float) -> None:
    xy, out = seen(replace(quiet(B), outliers=torch.full((B,), rate)))
    wild = (out[..., :2] - xy).norm(dim=-1) > 0.03
    # bursts of one joint overlap now and then, so coverage falls a little short of the rate
    assert wild.float().mean().item() == pytest.approx(rate, rel=0.25)
    sure = (out[..., 2][wild] > 0.75).float().mean().item()
    assert 0.3 < sure < 0.7, "about half of all wrong points must come with a high score"


def test_outliers_come_in_bursts() -> None:
    xy, out = seen(replace(quiet(B), outliers=torch.full((B,), 0.1)))
    wild = (out[..., :2] - xy).norm(dim=-1) > 0.03
    begins = (wild[:, 1:] & ~wild[:, :-1]).sum()
    assert 3 <= (wild.sum() / begins).item() <= 35


@pytest.mark.parametrize("rate", [0.05, 0.28])
def test_swaps(rate: float) -> None:
    xy, out = seen(replace(quiet(B), swaps=torch.full((B,), rate)))
    moved = (out[..., :2] - xy).norm(dim=-1) > 1e-6  # (B, T, 17)
    assert moved.any(2).float().mean().item() == pytest.approx(rate, rel=0.3)
    torch.testing.assert_close(out[..., :2][moved], xy[:, :, list(COCO_MIRROR)][moved])
    legs, arms = moved[..., COCO.LEFT_KNEE], moved[..., COCO.LEFT_ELBOW]
    assert (legs & ~arms).sum() > (arms & ~legs).sum(), "the legs alone are swapped most often"


@pytest.mark.parametrize(
    ("field", "rate", "whole"),
    [("joints_lost", 0.2, False), ("frames_lost", 0.03, True), ("frames_lost", 0.1, True)],
)
def test_missing(field: str, rate: float, whole: bool) -> None:
    _, out = seen(replace(quiet(B), **{field: torch.full((B,), rate)}))
    lost = out[..., 2] == 0
    assert lost.float().mean().item() == pytest.approx(rate, rel=0.3)
    assert (out[lost] == 0).all()
    assert (lost.all(2) == lost.any(2)).all().item() is whole


@pytest.mark.parametrize("k", [2, 5, 10])
def test_keyframes(k: int) -> None:
    """2D on every k-th frame only."""
    _, out = seen(replace(quiet(B), keyframes=torch.full((B,), float(k))))
    there = (out[..., 2] > 0).all(2)
    frame = torch.arange(T)
    for row in there[:20]:
        first = int(row.float().argmax())
        assert torch.equal(row, frame % k == first % k)


def test_outside_the_picture() -> None:
    _, out = seen(measured(B), outside=True)
    score = out[..., 2]
    assert score.max() <= 0.7
    assert 0.2 < (score == 0).float().mean() < 0.6


def test_agrees_with_the_published_measurement(shared: Path) -> None:
    table = json.loads((shared / "data/pose2d_noise.json").read_text())
    parts = {k.upper(): v for k, v in table["sigma_per_joint"].items()}
    assert {k: noise._DRIFT[k] for k in parts} == parts
    assert table["slow_drift"]["share_of_variance_common_to_all_joints"] == noise._DRIFT_SHARED_VARIANCE
    assert tuple(table["white_jitter_sigma_per_axis"].values()) == noise._JITTER
    assert table["constant_bias_per_joint_norm"] == noise._BIAS_NORM
    s = measured(1)
    assert s.outliers.item() == pytest.approx(table["outliers"]["rate_good_view"])
    assert s.swaps.item() == pytest.approx(table["left_right_swaps"]["rate_good_view"])


def test_hard_covers_good_and_bad_views() -> None:
    s = hard(4000, generator())
    assert (s.scale < 0.11).float().mean().item() == pytest.approx(0.2, abs=0.03)
    assert s.outliers.max() > 0.25
    assert s.swaps.max() > 0.2
    assert (s.keyframes > 1).float().mean().item() == pytest.approx(0.12, abs=0.03)
    assert set(s.keyframes.unique().tolist()) == set(range(1, 11))
