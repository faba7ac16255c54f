"""A step of `models.refining` in the compiled kernel, `kernels/refine.cpp`."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sasmamba.models import kernels


def refine_step(
    whole: Sequence[NDArray], numbers: NDArray, arrays: Sequence[NDArray], worth: NDArray
) -> tuple[NDArray, NDArray]:
    """The linearised objective's normal equations, the corrections eliminated.

    Args:
        whole: joints (m,), the knot before each frame (T,), parents (17,), proportion of each bone (16,).
        numbers: σ, the scale of ρ in it, σ_b, the scale of ρ in that, stiffness between knots in units of trust, trust
            in x, y and z.
        arrays: poses (T, 17, 3), what proportions do to joints (T, 48, 10), unit (T, m, 2), weight (T, m), shares of
            the knots (2, T), correction (knots, 48), shared unknowns (21,), how much each bone tells of its length
            (T, 16).
        worth: (T, m) float64, contiguous; renewed in place.

    Returns:
        (knots, 48, 22) and (21, 22), see `refining._Fit.system`.
    """
    library, _ = kernels.load()
    assert library is not None
    integers = [np.ascontiguousarray(a, np.int64) for a in whole]
    given = [np.ascontiguousarray(a, np.float64) for a in arrays]
    (frames, seen), (knots, own), (shared,) = worth.shape, given[5].shape, given[6].shape
    solved, reduced = np.empty((knots, own, 1 + shared)), np.empty((shared, 1 + shared))
    library.sasmamba_refine_step(
        kernels.sizes(frames, seen, knots),
        _addresses(integers),
        ctypes.c_void_p(numbers.ctypes.data),
        _addresses(given),
        *(ctypes.c_void_p(a.ctypes.data) for a in (worth, solved, reduced)),
    )
    return solved, reduced


def _addresses(arrays: Sequence[NDArray]) -> ctypes.Array:
    """Of contiguous arrays, which must outlive the call."""
    return (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))
