"""A lifter's block in one call of the compiled kernel, where nobody wants gradients.

Layer by layer a block writes some twenty tensors as large as its input and reads them again; `kernels/block.cpp` keeps
what it can in registers. `Block` computes the same function out of PyTorch's layers, and tests hold the two together.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sasmamba.models import kernels
from sasmamba.models.scan import resolve

#: A `blocks.Block`; that file imports this one.
Block = Any
#: Channels that travel together in the kernel.
_LANES = 16


def can_fuse(block: Block, x: Tensor) -> bool:
    """Whether the kernel computes this block, here and now.

    It wants inference in float32 on the CPU, widths of whole vectors, all routes reading the same, and the compiled
    scan.
    """
    if torch.is_grad_enabled() or block.training or x.device.type != "cpu" or x.dtype != torch.float32:
        return False
    c = block.mixer.config
    return (
        c.scan_input in ("plain", "stride_concat")
        and not any(wide % _LANES for wide in (c.width, c.channels, c.mlp_ratio * c.width))
        and kernels.load()[0] is not None
        and resolve(block.mixer.backend, x.device, x.dtype) == "native"
    )


def fused_block(block: Block, x: Tensor, routes: Tensor) -> Tensor:
    """`Block.forward` of x (B, T, V, C) where `can_fuse`; routes (K, T·V): in which order tokens are visited."""
    mixer, c = block.mixer, block.mixer.config
    first, _, second = block.mlp
    nothing = x.new_zeros(1)
    sampled = c.local == "structure_aware"
    taps = mixer.deform.shape[0] if sampled else 0
    offset = mixer.offset if taps > 1 else None
    tensors = [
        t.detach().contiguous()
        for t in (
            *(block.norm.weight, block.norm.bias),
            mixer.in_proj.weight,
            *(mixer.conv.weight, mixer.conv.bias),
            mixer.deform if sampled else nothing,
            *((offset.weight, offset.bias) if offset is not None else (nothing, nothing)),
            *(mixer.x_proj, mixer.dt_weight, mixer.dt_bias, mixer.A_log, mixer.D),
            *(mixer.norm.weight, mixer.norm.bias),
            mixer.out_proj.weight,
            *(block.mlp_norm.weight, block.mlp_norm.bias),
            *(first.weight, first.bias, second.weight, second.bias),
        )
    ]
    x, out = x.contiguous(), torch.empty_like(x, memory_format=torch.contiguous_format)
    library, _ = kernels.load()
    assert library is not None
    library.sasmamba_block_forward(
        kernels.sizes(
            *(*x.shape, c.channels, c.mlp_ratio * c.width, taps, len(routes), mixer.rank, mixer.states),
            int(c.scan_input == "stride_concat"),
        ),
        kernels.pointers(tensors),
        kernels.pointer(routes),
        kernels.pointer(x),
        kernels.pointer(out),
        torch.get_num_threads(),
    )
    return out
