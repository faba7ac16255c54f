"""The selective scan on mamba-ssm's CUDA kernel, where that package is installed.

Source: `selective_scan_fn` of mamba-ssm (Gu & Dao 2023): channels (batch, D, L), whose B and C (batch, G, N, L) are
shared by groups of D / G successive channels. A route is a group here, so D = K E and G = K; the kernel reads a
sequence front to back, so every route is copied into its own order first.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sasmamba.models.scan.reference import unrouted


def selective_scan_mamba(
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
    """Same function as `selective_scan_reference`; the sequences in the dtype of u, the parameters in float32."""
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    (batch, L, E), K = u.shape, routes.shape[0]

    def along(x: Tensor) -> Tensor:  # (batch, L, K, W) -> (batch, K, W, L), route k in its own order
        return torch.stack([x[:, routes[k], k] for k in range(K)], 1).transpose(2, 3).to(u.dtype).contiguous()

    raw = torch.einsum("kew,bkwl->bkel", dt_weight.to(u.dtype), along(dt))
    y = selective_scan_fn(
        u[:, routes].transpose(2, 3).reshape(batch, K * E, L),
        raw.reshape(batch, K * E, L).to(u.dtype),
        A.flatten(0, 1).float(),
        along(B),
        along(C),
        D.flatten().float(),
        delta_bias=dt_bias.flatten().float(),
        delta_softplus=True,
    )
    return unrouted(y.view(batch, K, E, L).transpose(2, 3), routes)
