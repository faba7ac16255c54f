"""The selective scan in log2(L) sweeps over the whole sequence: plain PyTorch for GPUs without a fused kernel.

The pairs (a, b) of h -> a h + b compose associatively; each sweep composes every position with the one 1, 2, 4, …
steps before it (Hillis & Steele 1986). It holds (batch, K, L, E, N) in memory several times over.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sasmamba.models.scan.reference import routed, unrouted


def selective_scan_parallel(
    u: Tensor,
    dt: Tensor,
    B: Tensor,
    C: Tensor,
    A: Tensor,
    D: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    routes: Tensor,
) -> Tensor:
    """Same function as `selective_scan_reference`."""
    x, delta, Bk, Ck = routed(u, dt, B, C, dt_weight, dt_bias, routes)
    a = torch.exp(delta[..., None] * A[:, None])  # (batch, K, L, E, N)
    h = (delta * x)[..., None] * Bk[:, :, :, None, :]
    reach = 1
    while reach < x.shape[2]:
        h = torch.cat([h[:, :, :reach], h[:, :, reach:] + a[:, :, reach:] * h[:, :, :-reach]], 2)
        a = torch.cat([a[:, :, :reach], a[:, :, reach:] * a[:, :, :-reach]], 2)
        reach *= 2
    y = torch.einsum("bklen,bkln->bkle", h, Ck) + D[:, None] * x
    return unrouted(y, routes)
