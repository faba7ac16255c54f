"""Structure-aware convolution (SasMamba Eq. 7-11): where each joint samples is predicted, then gathered bilinearly.

For every token of a (T, V) grid: a plain depthwise 3×3 convolution plus, for each of K² taps, a depthwise weight times
the feature at (tap + predicted offset). The paper writes full C×C matrices per tap; its parameter count only fits
depthwise ones.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from sasmamba.models import kernels


def structure_aware_conv_reference(x: Tensor, offset: Tensor, deform: Tensor, plain: Tensor, bias: Tensor) -> Tensor:
    """Same function as `structure_aware_conv`, through `grid_sample` and `conv2d`."""
    _, T, V, E = x.shape
    image = x.permute(0, 3, 1, 2)
    out = F.conv2d(image, plain.T.reshape(E, 1, 3, 3), bias, padding=1, groups=E)
    side = round(deform.shape[0] ** 0.5)
    for tap in range(deform.shape[0]):
        base_t = torch.arange(T, dtype=x.dtype, device=x.device)[:, None] + (tap // side - side // 2)
        base_v = torch.arange(V, dtype=x.dtype, device=x.device)[None, :] + (tap % side - side // 2)
        t, v = base_t + offset[..., tap, 0], base_v + offset[..., tap, 1]
        # grid_sample wants x before y, in -1..1 between the outer edges of the outer cells
        grid = torch.stack([(2 * v + 1) / V - 1, (2 * t + 1) / T - 1], -1)
        sample = F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        out = out + deform[tap, :, None, None] * sample
    return out.permute(0, 2, 3, 1)


class _Native(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        tensors = tuple(x.contiguous() for x in inputs)
        x, deform = tensors[0], tensors[2]
        library, _ = kernels.load()
        assert library is not None
        ctx.sizes = kernels.sizes(*x.shape, deform.shape[0])
        out = torch.empty_like(x)
        library.sasmamba_sampling_forward(
            ctx.sizes, kernels.pointers(tensors), kernels.pointer(out), torch.get_num_threads()
        )
        ctx.save_for_backward(*tensors)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor, ...]:
        tensors = ctx.saved_tensors
        library, _ = kernels.load()
        assert library is not None
        grads = tuple(torch.zeros_like(t) for t in tensors)
        dout = dout.contiguous()
        library.sasmamba_sampling_backward(
            ctx.sizes,
            kernels.pointers(tensors),
            kernels.pointer(dout),
            kernels.pointers(grads),
            torch.get_num_threads(),
        )
        return grads


def structure_aware_conv(
    x: Tensor, offset: Tensor, deform: Tensor, plain: Tensor, bias: Tensor, *, reference: bool = False
) -> Tensor:
    """Depthwise deformable taps plus a plain depthwise 3×3 convolution.

    Args:
        x: (batch, T, V, E), channels last.
        offset: (batch, T, V, K², 2), in frames and joints, added to each tap's own place in the K×K window.
        deform: (K², E) weights of the sampled taps; K² may be 0.
        plain: (9, E) weights of the plain convolution, frames run slowest.
        bias: (E,).
        reference: take the plain PyTorch form even where the compiled kernel could run.

    Returns:
        (batch, T, V, E). Outside the grid everything is zero.

    Raises:
        ValueError: shapes that do not fit each other.
    """
    (batch, T, V, E), taps = x.shape, deform.shape[0]
    for name, tensor, shape in (
        ("offset", offset, (batch, T, V, taps, 2)),
        ("deform", deform, (taps, E)),
        ("plain", plain, (9, E)),
        ("bias", bias, (E,)),
    ):
        if tensor.shape != shape:
            raise ValueError(f"structure_aware_conv: {name}: want {shape}, got {tuple(tensor.shape)}")
    if math.isqrt(taps) ** 2 != taps:
        raise ValueError(f"structure_aware_conv: deform: want a square number of taps, got {taps}")
    can_native = x.device.type == "cpu" and x.dtype == torch.float32 and kernels.load()[0] is not None
    if reference or not can_native:
        return structure_aware_conv_reference(x, offset, deform, plain, bias)
    return _Native.apply(x, offset, deform, plain, bias)
