"""A lifter's uncertainty head: likelihood beside PyTorch's distribution, intervals on errors of known spread, file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_motion import write_motion, write_rig
from torch.distributions import StudentT

from sasmamba.models.blocks import BlockConfig
from sasmamba.models.checkpoint import load_lifter, save_lifter
from sasmamba.models.geometry import bones_of
from sasmamba.models.lift import lift_windows, lift_with_uncertainty
from sasmamba.models.sasmamba import SasMamba, SasMambaConfig, with_uncertainty, without_uncertainty
from sasmamba.models.skeletons import H36M_MIRROR
from sasmamba.models.uncertainty_head import EVIDENCE, Calibration, evidence
from sasmamba.training import uncertainty
from sasmamba.training.cameras import load_rig
from sasmamba.training.evaluation import Windows, model_lift, windows
from sasmamba.training.motion import load_motion
from sasmamba.training.simulate import Simulator, body_lengths


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


def test_the_head_finds_how_wide_errors_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors twice as wide for features of one kind as for those of the other, and four times along the ray."""
    monkeypatch.setattr(uncertainty, "_STEPS", 600)  # so easy a law takes fewer than poses do
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


def test_a_live_lifters_intervals_are_of_the_last_frame() -> None:
    """Which is much further off than the others: windows are not mirrored, and refined or not they are as wide."""
    model, xyc = _model(), _window()
    with torch.no_grad():
        lifted = lift_windows(model, xyc, flip=False, refined=True)
    noise = _student(3, lifted.shape) * torch.tensor([0.002, 0.002, 0.01])
    noise[:, -1] *= 10
    w = Windows(xyc, lifted + noise, torch.eye(3).expand(2, 12, 3, 3), ["a", "b"])
    last = slice(-1, None)
    done = uncertainty.calibrated(model, [w], 1, live=True, frames=last)
    held = uncertainty.coverage(done, w, 1, flip=False, frames=last)
    # 64 errors across, half as many along
    assert held == pytest.approx({"across 68 %": 68, "across 95 %": 95, "along 68 %": 68, "along 95 %": 95}, abs=3)
    assert uncertainty.coverage(done, w, 1, flip=False)["along 68 %"] > 90
    assert done.config.uncertainty is not None
    assert done.config.uncertainty.plain == (1, 1)


def test_a_live_lifters_errors_are_those_of_the_newest_frames() -> None:
    """Of windows that nobody mirrored."""
    model, xyc = _model(), torch.cat([_window(27), _window(27)])
    with torch.no_grad():
        lifted = lift_windows(model, xyc, flip=False, refined=True)
    off = torch.arange(27.0)[:, None, None].expand_as(lifted)  # the frame's number
    found = uncertainty.collect(model, lambda batch, seed: (xyc, lifted - off), 12, lambda done: None, live=True)
    assert found.error.min() > 21.9
    assert found.error.max() == pytest.approx(26, abs=0.01)
    assert len(found.features) == len(found.about) == len(found.error) == 12 * 6 * 16


def test_a_correction_by_how_the_2d_behaves_is_found() -> None:
    """Errors that widths and the whole window's evidence tell by a law; evidence of one joint is not asked."""
    g = torch.Generator().manual_seed(0)
    log_width, about = torch.randn(20000, 2, generator=g) - 3, torch.randn(20000, EVIDENCE, generator=g)
    true = 0.5 + 1.3 * log_width - 0.4 * about[:, [7]] + 0.2 * about[:, [1]]
    error = _student(4, (20000, 3)) * true[:, [0, 0, 1]].exp()
    shift, stretch, lean = uncertainty.correction(log_width, about, error, 0)
    assert stretch.tolist() == pytest.approx([1.3, 1.3], abs=0.05)
    assert lean[:, 7].tolist() == pytest.approx([-0.4, -0.4], abs=0.05)
    assert lean[:, 1].tolist() == pytest.approx([0.2, 0.2], abs=0.05)
    assert (lean[:, [0, 2, 4, 6]] == 0).all()
    width = (shift + stretch * log_width + about @ lean.T).exp()
    for ratio in uncertainty.ratios(width, error).values():
        assert (ratio <= 1).float().mean().item() == pytest.approx(0.68, abs=0.01)


def test_strangers_move_as_was_captured_on_other_bodies(tmp_path: Path) -> None:
    """One clip of two, by the camera of who was captured; nobody who is held out, whose motion is not there."""
    clips = [("S1", "walk", 120), ("S1", "run", 120), ("actor", "walk", 120)]
    motion = load_motion([write_motion(tmp_path / "m.npz", clips)])
    rig = load_rig(write_rig(tmp_path / "c.json", ["S1", "S8"]))
    simulator = Simulator(motion, torch.ones(1), body_lengths(motion), rig)
    found = uncertainty.strangers(simulator, rig, 27)
    assert [set(w.action) for w in found] == [{"walk"}] * 3
    captured = windows(motion.select(np.array([True, False, False])), rig, "S1", 27, 2, "coco")
    for w in found:
        assert w.target.shape == (2, 27, 17, 3)
        ours, theirs = (bones_of(x).norm(dim=-1).mean((0, 1))[1:] for x in (w.target, captured.target))
        assert 0.02 < (ours / theirs - 1).abs().mean() < 0.2
        directions = [torch.nn.functional.normalize(bones_of(x)[:, :, 1:], dim=-1) for x in (w.target, captured.target)]
        # other legs carry the body along another path, which turns the line of sight a little
        assert (directions[0] * directions[1]).sum(-1).min() > 0.95


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
    doubtful = smooth.clone()
    doubtful[..., 2], doubtful[:, :, 3] = 0.6, 0
    assert evidence(doubtful)[..., 7].unique().tolist() == pytest.approx([0.6])
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
