"""S6: selective scans along several routes, each with parameters of its own.

Source: Gu & Dao 2023 (Mamba) for the projections and their start, Liu et al. 2024 (VMamba) for one bare set per route.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sasmamba.models.scan import Backend, selective_scan


class S6(nn.Module):
    """What has an S6 for each of several routes; a network part derives from it and says how it walks.

    The parameters are the part's own and bare, K sets of them: x_proj (K, R + 2 N, E), dt_weight (K, E, R),
    dt_bias (K, E), A_log (K, E, N), D (K, E).
    """

    def __init__(self, backend: Backend = "auto") -> None:
        super().__init__()
        self.backend: Backend = backend

    def add_scans(self, routes: int, width: int, states: int, rank: int, dt_range: tuple[float, float]) -> None:
        """Adds the parameters.

        Args:
            routes: K.
            width: E, channels.
            states: N.
            rank: R of Δ.
            dt_range: Δ is drawn log-uniformly from here.
        """
        K, E, N, R = routes, width, states, rank
        self.x_proj = nn.Parameter(torch.empty(K, R + 2 * N, E).uniform_(-1, 1) / math.sqrt(E))
        self.dt_weight = nn.Parameter(torch.empty(K, E, R).uniform_(-1, 1) / math.sqrt(R))
        low, high = dt_range
        dt = torch.exp(torch.empty(K, E).uniform_(math.log(low), math.log(high)))  # = softplus(dt_bias)
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))
        self.A_log = nn.Parameter(torch.log(torch.arange(1.0, N + 1)).expand(K, E, N).clone())  # S4D-real
        self.D = nn.Parameter(torch.ones(K, E))

    @property
    def states(self) -> int:
        """N."""
        return self.A_log.shape[2]

    @property
    def rank(self) -> int:
        """R."""
        return self.dt_weight.shape[2]

    def scan(self, u: Tensor, own: slice, order: Tensor) -> Tensor:
        """Scans u (B, L, E) along the routes `own`, whose orders of tokens are `order` (k, L).

        Returns:
            (B, L, E) in storage order, the routes added.
        """
        (batch, L, E), N, R = u.shape, self.states, self.rank
        projected = F.linear(u, self.x_proj[own].reshape(-1, E)).view(batch, L, len(order), R + 2 * N)
        dt, B, C = projected.split([R, N, N], -1)
        return selective_scan(
            u,
            dt,
            B,
            C,
            -torch.exp(self.A_log[own]),
            self.D[own],
            self.dt_weight[own],
            self.dt_bias[own],
            order,
            self.backend,
        )
