"""The selective scan on the compiled CPU kernel, with its own backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sasmamba.models import kernels


def _share_strides(dt: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """dt, B, C (batch, L, K, R | N) with the same strides from token to token and route to route.

    Slices of one wide projection, as the block makes them, pass without a copy.
    """
    batch, L, K, _ = dt.shape
    token, route = dt.stride(1), dt.stride(2)
    fits = all(
        (x.shape[3] == 1 or x.stride(3) == 1)
        and (L == 1 or x.stride(1) == token)
        and (K == 1 or x.stride(2) == route)
        and (batch == 1 or x.stride(0) == L * token)
        for x in (dt, B, C)
    )
    if fits:
        return dt, B, C
    parts = torch.cat([dt, B, C], 3).split([dt.shape[3], B.shape[3], C.shape[3]], 3)
    return parts[0], parts[1], parts[2]


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        u, dt, B, C, A, D, dt_weight, dt_bias, routes = inputs
        u, A, D, dt_weight, dt_bias = (x.contiguous() for x in (u, A, D, dt_weight, dt_bias))
        dt, B, C = _share_strides(dt, B, C)
        routes = routes.contiguous()
        if routes.numel() and not 0 <= int(routes.min()) <= int(routes.max()) < u.shape[1]:
            raise ValueError(f"selective_scan: routes: want tokens 0..{u.shape[1] - 1}")  # the kernel trusts them
        batch, length, channels = u.shape
        library, _ = kernels.load()
        assert library is not None
        sizes = kernels.sizes(batch, length, channels, *A.shape[::2], dt.shape[3], dt.stride(1), dt.stride(2))
        out = torch.zeros_like(u)
        kept = torch.empty(library.sasmamba_scan_kept(sizes) if any(ctx.needs_input_grad) else 0)
        library.sasmamba_scan_forward(
            sizes,
            kernels.pointers((u, dt, B, C, A, D, dt_bias, dt_weight)),
            kernels.pointer(routes),
            kernels.pointer(out),
            kernels.pointer(kept),
            torch.get_num_threads(),
        )
        ctx.save_for_backward(u, dt, B, C, A, D, dt_weight, dt_bias, routes, kept)
        ctx.sizes = sizes
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        u, dt, B, C, A, D, dt_weight, dt_bias, routes, kept = ctx.saved_tensors
        library, _ = kernels.load()
        assert library is not None
        tensors = (u, dt, B, C, A, D, dt_bias, dt_weight)
        # not zeros_like: the inputs may be strided views, the kernel writes dense gradients
        grads = [torch.zeros(t.shape, dtype=t.dtype) for t in tensors]
        dout = dout.contiguous()
        library.sasmamba_scan_backward(
            ctx.sizes,
            kernels.pointers(tensors),
            kernels.pointer(routes),
            kernels.pointer(kept),
            kernels.pointer(dout),
            kernels.pointers(grads),
            torch.get_num_threads(),
        )
        du, ddt, dB, dC, dA, dD, d_bias, d_weight = grads
        return du, ddt, dB, dC, dA, dD, d_weight, d_bias, None


def selective_scan_native(
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
    """Same function as `selective_scan_reference`; float32 on the CPU."""
    return _Scan.apply(u, dt, B, C, A, D, dt_weight, dt_bias, routes)
