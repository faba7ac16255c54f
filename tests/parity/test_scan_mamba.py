"""Routes are laid out for mamba-ssm as it documents: a stand-in with its signature gives what the reference gives."""

from __future__ import annotations

import sys
import types

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sasmamba.models.scan import selective_scan
from sasmamba.models.scan.mamba import selective_scan_mamba


def stand_in(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
) -> Tensor:
    """u, delta (batch, D, L), A (D, N), B and C (batch, G, N, L), D and delta_bias (D,) float32; Mamba, Algorithm 2."""
    (batch, channels, L), groups = u.shape, B.shape[1]
    assert delta.dtype == B.dtype == C.dtype == u.dtype
    assert D is not None
    assert delta_bias is not None
    assert A.dtype == D.dtype == delta_bias.dtype == torch.float32
    assert z is None
    assert all(x.stride(-1) == 1 for x in (u, delta, B, C))
    step = delta.float() + delta_bias[:, None]
    step = F.softplus(step) if delta_softplus else step
    Bs, Cs = (x.float().repeat_interleave(channels // groups, 1) for x in (B, C))
    h = torch.zeros(batch, channels, A.shape[1])
    out = []
    for l in range(L):
        d = step[:, :, l, None]
        h = torch.exp(d * A) * h + d * Bs[..., l] * u.float()[:, :, l, None]
        out.append((h * Cs[..., l]).sum(-1) + D * u.float()[:, :, l])
    return torch.stack(out, 2).to(u.dtype)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    interface = types.ModuleType("mamba_ssm.ops.selective_scan_interface")
    interface.selective_scan_fn = stand_in  # type: ignore[attr-defined]
    for name in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, interface.__name__, interface)


def inputs(dtype: torch.dtype) -> list[Tensor]:
    batch, L, E, K, N, R = 2, 7, 5, 3, 2, 3
    g = torch.Generator().manual_seed(0)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=g)

    dt, B, C = normal(batch, L, K, R + 2 * N).to(dtype).split([R, N, N], 3)
    A, D = -torch.rand(K, E, N, generator=g), normal(K, E)
    return [normal(batch, L, E).to(dtype), dt, B, C, A, D, normal(K, E, R), normal(K, E) - 2]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_routes_become_groups_of_channels(dtype: torch.dtype, tolerance: float) -> None:
    routes = torch.stack([torch.randperm(7, generator=torch.Generator().manual_seed(k)) for k in range(3)])
    leaves = [x.requires_grad_() for x in inputs(dtype)]
    exact = [x.detach().double().requires_grad_() for x in leaves]
    got = selective_scan_mamba(*leaves, routes)  # type: ignore[call-arg]
    want = selective_scan(*exact, routes, "reference")  # type: ignore[call-arg,arg-type]
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), want, rtol=tolerance, atol=tolerance)
    for a, b in zip(
        torch.autograd.grad(got.square().sum(), leaves), torch.autograd.grad(want.square().sum(), exact), strict=True
    ):
        assert (a.double() - b).norm() <= tolerance * b.norm()
