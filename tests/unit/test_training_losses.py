"""The training losses against cases worked out by hand."""

from __future__ import annotations

import pytest
import torch
from helpers_motion import walker
from torch import Tensor

from sasmamba.models.geometry import facing_rotation
from sasmamba.models.normalise import normalise_window
from sasmamba.models.skeletons import H36M, SEEN_JOINTS
from sasmamba.training.losses import (
    JOINT_WEIGHTS,
    bone_length_error,
    mpjpe,
    mpjve,
    posemamba_loss,
    project,
    reprojection,
    sasmamba_loss,
    tcl,
    wmpjpe,
)

ONE = torch.ones(2)


def moving(frames: int, joint: int, speed: float) -> torch.Tensor:
    """(2, T, 17, 3) at rest but for one joint that moves along y."""
    out = torch.zeros(2, frames, 17, 3)
    out[:, :, joint, 1] = speed * torch.arange(frames)
    return out


@pytest.mark.parametrize(("joint", "weight"), [(H36M.LEFT_WRIST, 4.0), (H36M.RIGHT_ANKLE, 2.5), (H36M.SPINE, 1.0)])
def test_wmpjpe_weighs_joints(joint: int, weight: float) -> None:
    target = torch.zeros(2, 5, 17, 3)
    predicted = target.clone()
    predicted[:, :, joint, 0] = 0.17
    assert wmpjpe(predicted, target).item() == pytest.approx(0.01 * weight)
    assert JOINT_WEIGHTS[joint] == weight


@pytest.mark.parametrize("stride", [1.0, 4.0])
def test_velocities_are_per_video_frame(stride: float) -> None:
    """A steady motion costs the same however far apart its frames were sampled."""
    path = moving(6, H36M.LEFT_KNEE, 0.1 * stride)
    assert mpjve(path, torch.zeros_like(path), ONE * stride).item() == pytest.approx(0.1 / 17)
    assert tcl(path, ONE * stride).item() == pytest.approx(0.1**2 * 2.5 / 51)


def test_mpjve_ignores_constant_offsets() -> None:
    path = moving(6, H36M.LEFT_KNEE, 0.1)
    assert mpjve(path + 0.3, path, ONE).item() == pytest.approx(0, abs=1e-6)


def test_the_whole_is_the_sum() -> None:
    predicted, target = torch.randn(2, 7, 17, 3), torch.randn(2, 7, 17, 3)
    want = wmpjpe(predicted, target) + 0.5 * tcl(predicted, ONE) + 20 * mpjve(predicted, target, ONE)
    torch.testing.assert_close(sasmamba_loss(predicted, target, ONE), want)


def test_bone_lengths_by_hand() -> None:
    joints, _ = walker(6)
    target = torch.from_numpy(joints)[None]
    longer = target.clone()
    forearm = target[:, :, H36M.LEFT_WRIST] - target[:, :, H36M.LEFT_ELBOW]
    longer[:, :, H36M.LEFT_WRIST] += 0.03 * forearm / forearm.norm(dim=-1, keepdim=True)
    assert bone_length_error(longer, target).item() == pytest.approx(0.03 / 16)
    assert bone_length_error(target.flip(-1) + 0.4, target).item() == pytest.approx(0, abs=1e-9), "places do not matter"
    wavering = longer.clone()
    wavering[:, ::2] = target[:, ::2]
    assert bone_length_error(wavering, target).item() == pytest.approx(0.015 / 16), "lengths are means over the clip"


def test_single_frames_have_no_velocity() -> None:
    predicted, target = torch.randn(2, 1, 17, 3), torch.randn(2, 1, 17, 3)
    torch.testing.assert_close(sasmamba_loss(predicted, target, ONE), wmpjpe(predicted, target))


def test_zero_only_where_it_should_be() -> None:
    """A perfect, still prediction costs nothing; its gradient is finite."""
    target = torch.randn(2, 1, 17, 3).expand(2, 5, 17, 3)
    predicted = target.clone().requires_grad_()
    loss = sasmamba_loss(predicted, target, ONE)
    loss.backward()
    assert loss.item() == 0
    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()


# PoseMamba's re-projection.

STRAIGHT = torch.eye(3).expand(1, 1, 3, 3)


def dots(*places: tuple[float, ...], third: float = 1.0) -> Tensor:
    """(1, 1, 17, 3) with the first seen joints at `places` and `third` behind x, y; the others absent (score 0)."""
    out = torch.zeros(1, 1, 17, 3)
    for joint, place in zip(SEEN_JOINTS, places, strict=False):
        out[0, 0, joint] = torch.tensor([*place, third] if len(place) == 2 else place)
    return out


def filmed(distance: float, aside: float = 0.0, focal: float = 1.3) -> tuple[Tensor, Tensor, Tensor]:
    """A walk by a perspective camera: target (1, T, 17, 3) in facing axes, seen (1, T, 17, 3), R_cam_facing.

    The pelvis is `distance` m away and `aside` times that to the right and below the middle of the picture.
    """
    joints = torch.from_numpy(walker(7)[0]).float()[None]
    cam = torch.stack([joints[..., 1], -joints[..., 2], joints[..., 0]], -1)  # seen from behind, y down
    pelvis = torch.tensor([aside, 0.5 * aside, 1.0]) * distance
    R = facing_rotation(pelvis).expand(1, 7, 3, 3)
    target = torch.einsum("btij,btkj->btki", R, cam)
    cam = cam + pelvis
    return target, torch.cat([focal * cam[..., :2] / cam[..., 2:], torch.ones(1, 7, 17, 1)], -1), R


def test_joints_that_are_compared() -> None:
    names = {H36M(j).name for j in SEEN_JOINTS}
    parts = ("HIP", "KNEE", "ANKLE", "SHOULDER", "ELBOW", "WRIST")
    assert names == {f"{side}_{part}" for side in ("LEFT", "RIGHT") for part in parts}


@pytest.mark.parametrize(
    ("predicted", "seen", "want"),
    [
        # the same up to scale and place
        ([(0, 0), (1, 0), (0, 1)], [(5, 5), (9, 5), (5, 9)], 0.0),
        # (-1, 1) along x, of the spread that was seen, against (-1, 1) along y
        ([(0, 0), (1, 0)], [(0, 0), (0, 2)], 2**0.5),
        # a mirror image is as far off as can be
        ([(0, 0), (1, 0)], [(2, 0), (0, 0)], 2.0),
        # (-1, 1, 0) against (-1, 0, 1) along x, of equal spread: errors 0, 1, 1
        ([(-1, 0), (1, 0), (0, 0)], [(-1, 0), (0, 0), (1, 0)], 2 / 3),
    ],
    ids=["similar", "across", "mirrored", "exchanged"],
)
def test_reprojection_by_hand(predicted: list, seen: list, want: float) -> None:
    assert reprojection(dots(*predicted), dots(*seen), STRAIGHT).item() == pytest.approx(want, abs=1e-6)


def test_reprojection_weighs_by_score_and_passes_over_what_is_missing() -> None:
    predicted = dots((0, 0), (1, 0), (0, 1), (7, 7))
    assert reprojection(predicted, dots((0, 0), (1, 0), (0, 1)), STRAIGHT).item() == pytest.approx(0, abs=1e-6)
    # weights 1, 1/2: the middle is a third of the way; 2/3 and 4/3 along x against y, weighted (2/3 + 2/3) / 1.5 of √2
    two = reprojection(dots((0, 0), (1, 0)), dots((0, 0, 1), (0, 2, 0.5)), STRAIGHT)
    assert two.item() == pytest.approx(2**0.5 * 8 / 9)
    derived = dots((0, 0), (1, 0), (0, 1))
    derived[:, :, H36M.SPINE] = torch.tensor([9.0, 9.0, 1.0])
    assert reprojection(predicted, derived, STRAIGHT).item() == pytest.approx(0, abs=1e-6)
    assert reprojection(predicted, torch.zeros(1, 1, 17, 3), STRAIGHT).item() == 0


def test_projection_is_the_perspective_to_first_order() -> None:
    """Against autograd's derivative of x / z, y / z at the pelvis, off the optical axis."""
    pelvis = torch.tensor([0.9, -0.4, 2.0])
    R = facing_rotation(pelvis)
    q = torch.randn(17, 3)
    perspective = torch.autograd.functional.jacobian(lambda p: p[:2] / p[2], pelvis)
    want = q @ perspective.T * pelvis[2]
    torch.testing.assert_close(project((q @ R.T)[None, None], R[None, None])[0, 0], want)


@pytest.mark.parametrize("aside", [0.0, 0.5])
def test_reprojection_is_zero_at_the_truth(aside: float) -> None:
    """Exactly by the camera it assumes; by a perspective one it falls as the distance grows, wherever the person is."""
    target, _, R = filmed(5, aside)
    seen = torch.cat([0.3 * project(target, R) + 4, torch.ones(1, 7, 17, 1)], -1)
    assert reprojection(target, normalise_window(seen), R).item() == pytest.approx(0, abs=1e-6)
    left = []
    for distance in (4, 8, 16):
        target, seen, R = filmed(distance, aside)
        left.append(reprojection(target, normalise_window(seen), R).item())
    assert left[0] < 0.05
    assert left[0] / left[1] == pytest.approx(2, rel=0.15)
    assert left[1] / left[2] == pytest.approx(2, rel=0.15)


def test_the_line_of_sight_matters_beside_the_optical_axis() -> None:
    target, seen, R = filmed(16, 0.7)
    x = normalise_window(seen)
    assert reprojection(target, x, R) < 0.5 * reprojection(target, x, torch.eye(3).expand_as(R))


def test_reprojection_does_not_see_size_place_or_depth() -> None:
    target, seen, R = filmed(5, 0.4)
    predicted = target + 0.05 * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    want = reprojection(predicted, seen, R)
    deeper = torch.randn(1, 7, 17, 1) * torch.tensor([0, 0, 1.0])  # along the line of sight
    for other in (3 * predicted, predicted + torch.tensor([0.2, -0.1, 1]), predicted + deeper):
        torch.testing.assert_close(reprojection(other, seen, R), want)
    moved = seen * torch.tensor([1, 1, 1.0]) + torch.tensor([40, -7, 0.0])
    torch.testing.assert_close(reprojection(predicted, moved, R), want, rtol=1e-3, atol=1e-5)
    larger = seen * torch.tensor([5, 5, 1.0])
    torch.testing.assert_close(reprojection(predicted, larger, R), 5 * want)  # it is in the unit of the picture
    x = normalise_window(larger)
    torch.testing.assert_close(reprojection(predicted, x, R), reprojection(predicted, normalise_window(seen), R))


def test_descending_the_reprojection_finds_the_picture() -> None:
    """Its gradient leads from elsewhere to a pose that projects onto what was seen, and is finite at any pose."""
    target, seen, R = filmed(16, 0.3)
    x = normalise_window(seen)
    pose = (target + 0.2 * torch.randn(target.shape, generator=torch.Generator().manual_seed(1))).requires_grad_()
    optimiser = torch.optim.Adam([pose], lr=0.01)
    first = reprojection(pose, x, R).item()
    for _ in range(100):
        optimiser.zero_grad()
        loss = reprojection(pose, x, R)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.15 * first
    assert pose.grad is not None
    assert pose.grad[:, :, list(SEEN_JOINTS)].abs().amax() > 0
    upside_down = (-target).requires_grad_()
    reprojection(upside_down, x, R).backward()
    assert upside_down.grad is not None
    assert upside_down.grad.abs().amax() > 1e-3
    for degenerate in (torch.zeros_like(target), target.mean(2, keepdim=True).expand_as(target)):
        still = degenerate.clone().requires_grad_()
        reprojection(still, x, R).backward()
        assert still.grad is not None
        assert still.grad.isfinite().all()


@pytest.mark.parametrize(("weight", "stays"), [(0.1, True), (3.0, False)])
def test_a_noisy_picture_does_not_move_the_truth(weight: float, stays: bool) -> None:
    """At the default weight MPJPE holds a prediction where it is; at a large one the detector's errors pull it away."""
    target, seen, R = filmed(6, 0.2)
    g = torch.Generator().manual_seed(2)
    seen[..., :2] += 0.01 * torch.randn(seen[..., :2].shape, generator=g)  # some 5 % of the person's height
    x = normalise_window(seen)
    pose = target.clone().requires_grad_()
    optimiser = torch.optim.Adam([pose], lr=1e-3)
    for _ in range(60):
        optimiser.zero_grad()
        (mpjpe(pose, target) + weight * reprojection(pose, x, R)).backward()
        optimiser.step()
    moved = mpjpe(pose.detach(), target).item()
    assert moved < 0.001 if stays else moved > 0.01


def test_everything_seen_in_one_place_leaves_finite_slopes() -> None:
    predicted = torch.randn(1, 1, 17, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    seen = torch.zeros(1, 1, 17, 3)
    seen[0, 0, list(SEEN_JOINTS[:2]), 2] = 1
    reprojection(predicted, seen, torch.eye(3).expand(1, 1, 3, 3)).backward()
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()


def test_posemambas_loss_is_the_sum() -> None:
    target, seen, R = filmed(5)
    predicted, one = target + 0.1 * torch.randn_like(target), torch.ones(1)
    x = normalise_window(seen)
    want = mpjpe(predicted, target) + 0.3 * tcl(predicted, one) + 7 * mpjve(predicted, target, one)
    want = want + 0.9 * reprojection(predicted, x, R)
    torch.testing.assert_close(posemamba_loss(predicted, target, one, x, R, 0.3, 7, 0.9), want)
    assert mpjpe(torch.full((2, 3, 17, 3), 0.1), torch.zeros(2, 3, 17, 3)).item() == pytest.approx(0.1 * 3**0.5)
