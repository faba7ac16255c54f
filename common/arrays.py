"""Array types, and a check of shapes that names expected and actual."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
FloatArray = NDArray[np.float32]


def check_shape(name: str, array: NDArray, shape: tuple[int | None, ...]) -> None:
    if array.ndim != len(shape) or any(w is not None and w != g for w, g in zip(shape, array.shape, strict=True)):
        raise ValueError(f"{name}: want {shape}, got {array.shape}")
