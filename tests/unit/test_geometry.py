"""Facing axes, bones and derived joints: what they are for, and the same on arrays as on tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers_motion import walker

from sasmamba.models.geometry import bones_of, facing_rotation, joints_of, unit
from sasmamba.models.skeletons import H36M, H36M_PARENTS, coco17_to_h36m17

KINDS = [pytest.param(np.asarray, id="arrays"), pytest.param(torch.from_numpy, id="tensors")]
PELVES = np.random.default_rng(0).normal([0, 0, 6], [2, 1, 1], (4, 5, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_facing_axes_look_straight_at_the_person(kind: Any) -> None:
    R = np.asarray(facing_rotation(kind(PELVES)))
    ahead = np.einsum("...ij,...j->...i", R, PELVES)
    np.testing.assert_allclose(ahead[..., :2], 0, atol=1e-12)
    np.testing.assert_allclose(ahead[..., 2], np.linalg.norm(PELVES, axis=-1))
    np.testing.assert_allclose(R @ np.swapaxes(R, -1, -2), np.broadcast_to(np.eye(3), R.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(R), 1)
    # the shortest: it turns by the angle between the two directions and no more
    angle = np.arccos(PELVES[..., 2] / np.linalg.norm(PELVES, axis=-1))
    np.testing.assert_allclose(np.trace(R, axis1=-2, axis2=-1), 1 + 2 * np.cos(angle))


def test_one_direction() -> None:
    np.testing.assert_allclose(facing_rotation(np.array([0.0, 0, 3])), np.eye(3))


@pytest.mark.parametrize("kind", KINDS)
def test_joints_of_their_bones_are_the_joints(kind: Any) -> None:
    joints = walker(6)[0]
    split = bones_of(kind(joints))
    assert np.asarray(split)[:, H36M.LEFT_ANKLE].tolist() == (joints[:, 6] - joints[:, 5]).tolist()
    np.testing.assert_allclose(np.asarray(joints_of(split)), joints, atol=1e-12)
    longer = np.asarray(joints_of(split * 2))
    np.testing.assert_allclose(longer, 2 * joints, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_one_longer_bone_moves_what_hangs_on_it(kind: Any) -> None:
    joints = walker(3)[0]
    split = np.array(bones_of(joints))
    split[:, H36M.LEFT_KNEE] *= 1.5
    moved = np.abs(np.asarray(joints_of(kind(split))) - joints).max((0, 2)) > 1e-9
    hanging = {j for j in range(17) if j == H36M.LEFT_KNEE or H36M_PARENTS[j] == H36M.LEFT_KNEE}
    assert set(np.flatnonzero(moved)) == hanging


@pytest.mark.parametrize("dims", [2, 3])
def test_joints_are_derived_alike_from_arrays_and_tensors(dims: int) -> None:
    rng = np.random.default_rng(1)
    joints, score = rng.normal(size=(5, 7, 17, dims)).astype(np.float32), rng.random((5, 7, 17)).astype(np.float32)
    score[rng.random(score.shape) < 0.2] = 0
    want, want_score = coco17_to_h36m17(joints, score)
    got, got_score = coco17_to_h36m17(torch.from_numpy(joints), torch.from_numpy(score))
    np.testing.assert_allclose(got.numpy(), want, atol=1e-6)
    np.testing.assert_array_equal(got_score.numpy(), want_score)
    with pytest.raises(ValueError, match="want"):
        coco17_to_h36m17(torch.zeros(3, 16, 2), torch.zeros(3, 16))


def test_unit_vectors() -> None:
    vectors = np.array([[3.0, 0, 4], [0, 0, 0], [np.nan, 0, 1]])
    np.testing.assert_allclose(unit(vectors), [[0.6, 0, 0.8], [0, 0, 0], [np.nan] * 3])
    assert unit(vectors.astype(np.float32)).dtype == np.float32
