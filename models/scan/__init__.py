"""The selective scan over several routes: one function, several implementations, one choice.

`reference` is the obvious loop that the others are tested against, `native` the compiled CPU kernel, `parallel`
log-depth PyTorch for GPUs.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from sasmamba.models import kernels
from sasmamba.models.scan.native import selective_scan_native
from sasmamba.models.scan.parallel import selective_scan_parallel
from sasmamba.models.scan.reference import selective_scan_reference

Backend = Literal["auto", "reference", "native", "parallel"]

_IMPLEMENTATIONS = {
    "reference": selective_scan_reference,
    "native": selective_scan_native,
    "parallel": selective_scan_parallel,
}


def resolve(backend: Backend, device: torch.device, dtype: torch.dtype) -> str:
    """The implementation that `backend` means for tensors of this device and dtype.

    Raises:
        ValueError: an unknown name.
        RuntimeError: the native kernel was asked for where it cannot run.
    """
    if backend not in get_args(Backend):
        raise ValueError(f"scan backend: want one of {', '.join(get_args(Backend))}, got {backend!r}")
    can_native = device.type == "cpu" and dtype == torch.float32 and kernels.load()[0] is not None
    if backend == "native" and not can_native:
        raise RuntimeError(f"scan backend native: want float32 on the CPU; {kernels.load()[1]}")
    if backend != "auto":
        return backend
    return "native" if can_native else "parallel" if device.type != "cpu" else "reference"


def selective_scan(
    u: Tensor, dt: Tensor, B: Tensor, C: Tensor, A: Tensor, D: Tensor, dt_weight: Tensor, dt_bias: Tensor,
    routes: Tensor, backend: Backend = "auto",
) -> Tensor:  # fmt: skip
    """Scans the tokens along K routes and sums the results (Mamba's S6; SasMamba Eq. 6 and 15).

    Along each route k: Δ_l = softplus(dt_weight_k dt_l + dt_bias_k), h_l = exp(Δ_l A_k) h_{l-1} + Δ_l B_l u_l,
    y_l = C_l · h_l + D_k u_l.

    Args:
        u: (batch, L, E) input, tokens in storage order.
        dt: (batch, L, K, R) low-rank step sizes of each token on each route.
        B, C: (batch, L, K, N) input and output maps.
        A: (K, E, N), negative.
        D: (K, E) skip.
        dt_weight: (K, E, R); dt_bias: (K, E).
        routes: (K, L) int64, routes[k, i] is the token that route k visits i-th; each row a permutation.
        backend: which implementation; "auto" takes the fastest that can run here.

    Returns:
        (batch, L, E), the sum over routes, in storage order.

    Raises:
        ValueError: shapes that do not fit each other, or routes that leave the sequence.
    """
    (batch, L, E), (K, R), N = u.shape, dt.shape[2:], A.shape[-1]
    for name, tensor, shape in (
        ("dt", dt, (batch, L, K, R)), ("B", B, (batch, L, K, N)), ("C", C, (batch, L, K, N)), ("A", A, (K, E, N)),
        ("D", D, (K, E)), ("dt_weight", dt_weight, (K, E, R)), ("dt_bias", dt_bias, (K, E)), ("routes", routes, (K, L)),
    ):  # fmt: skip
        if tensor.shape != shape:
            raise ValueError(f"selective_scan: {name}: want {shape}, got {tuple(tensor.shape)}")
    if routes.dtype != torch.int64:
        raise ValueError(f"selective_scan: routes: want int64, got {routes.dtype}")
    run = _IMPLEMENTATIONS[resolve(backend, u.device, u.dtype)]
    return run(u, dt, B, C, A, D, dt_weight, dt_bias, routes)
