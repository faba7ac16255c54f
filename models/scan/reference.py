"""The selective scan, spelled out: one step after another in plain PyTorch, any dtype, autograd's own gradient.

Source: Mamba (Gu & Dao 2023), Algorithm 2, over several routes as in VMamba (Liu et al. 2024); SasMamba Eq. 6, 15.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def routed(
    u: Tensor, dt: Tensor, B: Tensor, C: Tensor, dt_weight: Tensor, dt_bias: Tensor, routes: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Puts tokens in each route's order: u, delta (batch, K, L, E) and B, C (batch, K, L, N)."""
    K = routes.shape[0]

    def along(x: Tensor) -> Tensor:  # (batch, L, K, W) -> (batch, K, L, W), route k in its own order
        return torch.stack([x[:, routes[k], k] for k in range(K)], 1)

    delta = F.softplus(torch.einsum("bklr,ker->bkle", along(dt), dt_weight) + dt_bias[:, None])
    return u[:, routes], delta, along(B), along(C)


def unrouted(y: Tensor, routes: Tensor) -> Tensor:
    """Sums (batch, K, L, E), each route in its own order, back into storage order: (batch, L, E)."""
    back = torch.argsort(routes, dim=1)
    return torch.stack([y[:, k, back[k]] for k in range(routes.shape[0])]).sum(0)


def selective_scan_reference(
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
    """h_l = exp(Δ_l A) h_{l-1} + Δ_l B_l u_l, y_l = C_l · h_l + D u_l along every route; shapes as `selective_scan`."""
    x, delta, Bk, Ck = routed(u, dt, B, C, dt_weight, dt_bias, routes)
    h = x.new_zeros(x.shape[0], x.shape[1], x.shape[3], A.shape[2])  # (batch, K, E, N)
    ys = []
    for l in range(x.shape[2]):
        step = delta[:, :, l, :, None]
        h = torch.exp(step * A) * h + step * x[:, :, l, :, None] * Bk[:, :, l, None, :]
        ys.append((h * Ck[:, :, l, None, :]).sum(-1) + D * x[:, :, l])
    return unrouted(torch.stack(ys, 2), routes)
