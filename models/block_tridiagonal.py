"""Symmetric block-tridiagonal systems of equations: what is spread along time, and hangs on its neighbours alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def block_tridiagonal(diagonal: NDArray, beside: NDArray, rhs: NDArray) -> NDArray:
    """Solves a symmetric block-tridiagonal system: (K, n, n) and (K - 1, n, n) above it, rhs (K, n, r)."""
    K = len(diagonal)
    ahead, X = np.zeros_like(beside), np.zeros_like(rhs)
    for k in range(K):
        block, right = diagonal[k], rhs[k]
        if k:
            block = block - beside[k - 1].T @ ahead[k - 1]
            right = right - beside[k - 1].T @ X[k - 1]
        if k < K - 1:
            both = np.linalg.solve(block, np.concatenate([beside[k], right], 1))
            ahead[k], X[k] = both[:, : len(block)], both[:, len(block) :]
        else:
            X[k] = np.linalg.solve(block, right)
    for k in range(K - 2, -1, -1):
        X[k] -= ahead[k] @ X[k + 1]
    return X
