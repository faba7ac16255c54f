"""Bones made longer by somebody's proportions: where they point stays, how long they are does not."""

from __future__ import annotations

import numpy as np
import pytest

from sasmamba.models.fitted_body import BELONGS, PARENTS, FittedBody, proportioned
from sasmamba.models.refining import refine
from sasmamba.models.skeletons import H36M


def _bones(joints: np.ndarray) -> np.ndarray:
    return joints[..., 1:, :] - joints[..., PARENTS[1:], :]


def test_bones_point_where_they_did_and_are_as_much_longer() -> None:
    g = np.random.default_rng(0)
    joints, proportions = g.normal(size=(5, 17, 3)), g.uniform(-0.2, 0.2, 10)
    out = proportioned(joints, proportions)
    assert out.dtype == np.float32
    np.testing.assert_allclose(_bones(out), _bones(joints) * (1 + BELONGS @ proportions)[:, None], atol=1e-6)
    np.testing.assert_allclose(out[:, 0], joints[:, 0], atol=1e-7)
    np.testing.assert_allclose(proportioned(joints, np.zeros(10)), joints, atol=1e-6)


@pytest.mark.parametrize(("left", "right"), [("LEFT_HIP", "RIGHT_HIP"), ("LEFT_WRIST", "RIGHT_WRIST")])
def test_both_sides_are_alike(left: str, right: str) -> None:
    np.testing.assert_array_equal(BELONGS[H36M[left] - 1], BELONGS[H36M[right] - 1])


def test_a_window_too_short_to_be_fitted_has_the_known_proportions_all_the_same() -> None:
    g = np.random.default_rng(0)
    lifted = g.normal(size=(2, 17, 3)).astype(np.float32)
    body = FittedBody(g.uniform(-0.1, 0.1, 10), np.ones(10))
    seen = np.ones((2, 17, 3), np.float32)
    np.testing.assert_array_equal(refine(lifted, seen, body=body), proportioned(lifted, body.proportions))
    np.testing.assert_array_equal(refine(lifted, seen), lifted)
