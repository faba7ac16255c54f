"""Several Gaussians as one: beside what NumPy makes of draws from them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sasmamba.app.motion.mixture import as_one


def test_a_mixture_has_the_moments_of_what_is_drawn_from_it() -> None:
    rng = np.random.default_rng(0)
    kinds = ((3, [0.0, 1.0], [[1.0, 0.3], [0.3, 0.5]]), (1, [4.0, -2.0], [[0.2, 0.0], [0.0, 2.0]]))
    drawn = np.concatenate([rng.multivariate_normal(mean, C, 100_000 * share) for share, mean, C in kinds])
    # weights of any scale
    mean, covariance = as_one([(math.log(share) - 2000, np.array(at), np.array(C)) for share, at, C in kinds])
    np.testing.assert_allclose(mean, drawn.mean(0), atol=0.02)
    np.testing.assert_allclose(covariance, np.cov(drawn.T), atol=0.04)


@pytest.mark.parametrize("log", [-1e4, 0.0, 1e4])
def test_one_of_any_weight_is_itself(log: float) -> None:
    mean, covariance = as_one([(log, np.array([1.0, 2.0]), np.eye(2))])
    np.testing.assert_array_equal(mean, [1, 2])
    np.testing.assert_array_equal(covariance, np.eye(2))
