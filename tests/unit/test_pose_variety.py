"""Poses that nobody was captured in: bones keep their lengths, time stays smooth, bodies bend where people do."""

from __future__ import annotations

import pytest
import torch
from helpers_motion import walker

from sasmamba.models.geometry import bones_of
from sasmamba.models.skeletons import H36M
from sasmamba.training.pose_variety import body_axes, varied_poses

FPS = 50


def clips(many: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    joints = torch.from_numpy(walker(150, fps=FPS)[0]).float()
    return joints[None].repeat(many, 1, 1, 1), (torch.arange(150) / FPS).repeat(many, 1)


def changed(share: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    joints, seconds = clips()
    return joints, varied_poses(joints, seconds, share, torch.Generator().manual_seed(5))


def test_bones_keep_their_lengths() -> None:
    joints, varied = changed()
    torch.testing.assert_close(bones_of(varied).norm(dim=-1), bones_of(joints).norm(dim=-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(varied[:, :, H36M.PELVIS], joints[:, :, H36M.PELVIS])


def test_motion_stays_smooth() -> None:
    """What is added has no jumps: no joint gets an acceleration that a walker's do not have, by far."""
    joints, varied = changed()
    added = (varied - joints).diff(n=2, dim=1).norm(dim=-1) * FPS**2
    assert added.max() < 60  # m/s²; a jump of a centimetre would be 25 in one frame and 25 in the next
    assert (varied - joints).norm(dim=-1).amax((1, 2)).min() > 0.1


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_the_others_are_as_they_were(share: float) -> None:
    joints, varied = changed(share)
    same = (varied - joints).abs().amax((1, 2, 3)) < 1e-5
    assert same.float().mean() == pytest.approx(1 - share, abs=0.2 * (share > 0))


def test_people_bow_forward_more_than_backward() -> None:
    joints, varied = changed()
    front = body_axes(joints)[..., 1]
    ahead = ((varied - joints)[:, :, H36M.THORAX] * front).sum(-1)
    assert ahead.mean() > 0.02
