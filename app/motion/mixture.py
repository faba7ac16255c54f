"""Several Gaussians as one, where evidence is of one kind or of another and nobody knows of which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def as_one(parts: Sequence[tuple[float, NDArray, NDArray]]) -> tuple[NDArray, NDArray]:
    """Mean (n,) and covariance (n, n) of a mixture of Gaussians.

    Args:
        parts: of each, the logarithm of its weight, up to what all have in common, its mean and its covariance.
    """
    logs = np.array([log for log, _, _ in parts])
    shares = np.exp(logs - logs.max())
    shares /= shares.sum()
    mean = np.asarray(sum(share * at for share, (_, at, _) in zip(shares, parts, strict=True)))
    own = [C + np.outer(at - mean, at - mean) for _, at, C in parts]
    return mean, np.asarray(sum(share * C for share, C in zip(shares, own, strict=True)))
