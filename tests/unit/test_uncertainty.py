"""A lifter's uncertainty head: likelihood beside PyTorch's distribution, intervals on errors of known spread, file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.distributions import StudentT

from sasmamba.models.blocks import BlockConfig
from sasmamba.models.checkpoint import load_lifter, save_lifter
from sasmamba.models.lift import lift_windows, lift_with_uncertainty
from sasmamba.models.sasmamba import SasMamba, SasMambaConfig, with_uncertainty, without_uncertainty
from sasmamba.models.skeletons import H36M_MIRROR
from sasmamba.models.uncertainty_head import EVIDENCE, Calibration, evidence
from sasmamba.training import uncertainty
from sasmamba.training.evaluation import Windows, model_lift


def _model() -> SasMamba:
    torch.manual_seed(0)
    block = BlockConfig(width=8, states=1)
    return SasMamba(SasMambaConfig(block=block, blocks=2, frames=27, in_channels=3)).eval()


def _student(freedom: float, shape: tuple[int, ...]) -> torch.Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return StudentT(freedom).sample(shape)


def _window(T: int = 12) -> torch.Tensor:
    xyc = torch.randn(2, T, 17, 3, generator=torch.Generator().manual_seed(1))
    xyc[..., 2] = 1
    return xyc


def test_the_loss_is_a_student_distributions_likelihood() -> None:
    g = torch.Generator().manual_seed(0)
    log_scale, error = torch.randn(50, 2, generator=g), torch.randn(50, 3, generator=g)
    freedom = torch.tensor([2.5, 7.0])
    axes = [0, 0, 1]  # x and y share what is said of across
    expected = -StudentT(freedom[axes], 0, log_scale[:, axes].exp()).log_prob(error).mean()
    assert uncertainty.student_loss(log_scale, error, freedom).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_head_finds_how_wide_errors_are() -> None:
    """Errors twice as wide for features of one kind as for those of the other, and four times along the ray."""
    g = torch.Generator().manual_seed(0)
    kind = torch.randint(2, (20000,), generator=g)
    features = torch.randn(20000, 8, generator=g) * 0.1 + torch.where(kind == 1, 1.0, -1.0)[:, None] * torch.eye(8)[0]
    spread = 0.02 * (1 + kind)[:, None] * torch.tensor([1.0, 1.0, 4.0])
    error = _student(4, (20000, 3)) * spread
    head = uncertainty.fit(
        uncertainty.Errors(features.half(), torch.zeros(20000, EVIDENCE), error), 8, 0, lambda line: None
    )
    found = head(features, torch.zeros(20000, EVIDENCE)).exp()
    for k in (0, 1):
        across, along = found[kind == k].median(0).values
        assert across.item() == pytest.approx(0.02 * (1 + k), rel=0.1)
        assert along.item() == pytest.approx(0.08 * (1 + k), rel=0.1)


def test_calibrated_intervals_hold_what_they_say() -> None:
    model = _model()
    xyc = _window()
    with torch.no_grad():
        lifted = lift_windows(model, xyc, flip=True, refined=True)
    noise = _student(3, lifted.shape) * torch.tensor([0.01, 0.01, 0.05])
    w = Windows(xyc, lifted + noise, torch.eye(3).expand(2, 12, 3, 3), ["a", "b"])
    done = uncertainty.calibrated(model, [w], 1)
    held = uncertainty.coverage(done, w, 1)
    assert held == pytest.approx({"across 68 %": 68, "across 95 %": 95, "along 68 %": 68, "along 95 %": 95}, abs=0.5)
    assert uncertainty.coverage(done, w, 1, flip=False, refined=False)["along 68 %"] == pytest.approx(68, abs=0.5)


def test_an_affine_map_of_the_scales_is_found() -> None:
    g = torch.Generator().manual_seed(0)
    log_scale = torch.randn(20000, 2, generator=g) - 3
    error = _student(4, (20000, 3)) * (0.5 + 1.3 * log_scale[:, [0, 0, 1]]).exp()
    shift, stretch = uncertainty.affine(log_scale, error, 0)
    assert shift.tolist() == pytest.approx([0.5, 0.5], abs=0.15)
    assert stretch.tolist() == pytest.approx([1.3, 1.3], abs=0.05)


def test_poses_do_not_change_and_mirror_images_are_as_sure() -> None:
    plain = _model()
    unsure = with_uncertainty(plain, Calibration())
    torch.nn.init.normal_(unsure.uncertainty_head.last.weight)
    xyc = _window()
    joints, width = lift_with_uncertainty(unsure, xyc, flip=True, refined=False)
    assert torch.equal(joints, lift_windows(plain, xyc, flip=True, refined=False))
    mirror = xyc[:, :, list(H36M_MIRROR)] * torch.tensor([-1.0, 1, 1])
    _, again = lift_with_uncertainty(unsure, mirror, flip=True, refined=False)
    assert torch.allclose(again[:, :, list(H36M_MIRROR)], width, rtol=1e-4)
    assert (width[:, :, 0] == 0).all()
    assert (width[:, :, 1:] > 0).all()


def test_it_travels_in_the_file(tmp_path: Path) -> None:
    model = with_uncertainty(_model(), Calibration((2.1, 2.2), (1.3, 1.4)))
    save_lifter(model, tmp_path / "a.safetensors")
    back = load_lifter(tmp_path / "a.safetensors")
    assert back.config == model.config
    xyc = _window()
    for own, read in zip(
        lift_with_uncertainty(model, xyc, flip=False, refined=False),
        lift_with_uncertainty(back, xyc, flip=False, refined=False),
        strict=True,
    ):
        assert torch.equal(own, read)
    bare = without_uncertainty(back)
    assert bare.config == replace(model.config, uncertainty=None)
    assert not any(name.startswith("uncertainty") for name in bare.state_dict())


@pytest.mark.parametrize("pair", [(0, 1), (1, -1), (1,), (float("nan"), 1), (1, 1000)])
def test_a_calibration_that_cannot_be(pair: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="two factors"):
        Calibration(wide=pair)  # type: ignore[arg-type]


def test_evidence_tells_noise_from_motion_and_missing_joints() -> None:
    t = torch.arange(60) / 30
    smooth = torch.stack([t.sin(), t.cos(), torch.ones(60)], -1)[None, :, None].expand(1, 60, 17, 3).contiguous()
    shaken = smooth.clone()
    shaken[..., :2] += 0.05 * torch.randn(1, 60, 17, 2, generator=torch.Generator().manual_seed(0))
    calm, wild = evidence(smooth), evidence(shaken)
    assert (wild[..., 0] > calm[..., 0] + 0.5).all()
    one = smooth.clone()
    one[:, 20:40, 5] = shaken[:, 20:40, 5]
    assert (evidence(one)[:, 30, 5, 0] > calm[:, 30, 5, 0] + 0.5).all()
    assert torch.allclose(evidence(one)[:, :, 6, 0], calm[:, :, 6, 0])
    missing = smooth.clone()
    missing[:, :, 3] = 0
    nothing = evidence(missing)
    assert nothing.isfinite().all()
    assert (nothing[:, :, 3, 0] > wild[:, :, 3, 0]).all()
    assert evidence(smooth[:, :1]).isfinite().all()


def test_the_poses_that_intervals_come_with_are_those_of_evaluation() -> None:
    model = with_uncertainty(_model(), Calibration())
    xyc = _window()
    told: list[int] = []
    for flip, refined in ((True, True), (False, False)):
        y, width = uncertainty.lift_and_width(model, xyc, 2, flip=flip, refined=refined, told=told.append)
        assert torch.equal(y, model_lift(model, flip=flip, refined=refined, per_person=2)(xyc))
        assert width.shape == (2, 12, 17, 2)
    assert told == [2, 2]
