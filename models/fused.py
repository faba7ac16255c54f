"""A lifter's blocks in calls of the compiled kernel, where nobody wants gradients.

Layer by layer a block writes some twenty tensors as large as its input and reads them again; `kernels/block.cpp` keeps
what it can in registers. `Block` computes the same function out of PyTorch's layers, and tests hold the two together.
"""

from __future__ import annotations

import ctypes
import weakref
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from sasmamba.models import kernels
from sasmamba.models.scan import resolve

#: A `blocks.Block` and a `sasmamba.SasMamba`; those files import this one.
Block = Any
Model = Any
#: Channels that travel together in the kernel.
_LANES = 16


def can_fuse(block: Block, x: Tensor) -> bool:
    """Whether the kernel computes this block, here and now.

    It wants inference in float32 on the CPU, widths of whole vectors, all routes reading the same, and the compiled
    scan.
    """
    return not (torch.is_grad_enabled() or block.training) and _known(block, x)


def _known(block: Block, x: Tensor) -> bool:
    """Whether the kernel can compute this block of a tensor such as x."""
    if x.device.type != "cpu" or x.dtype != torch.float32:
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
    x, out = x.contiguous(), torch.empty_like(x, memory_format=torch.contiguous_format)
    tensors = _weights(block)
    _library().sasmamba_block_forward(
        kernels.sizes(*x.shape[:3], *_sizes(block)),
        kernels.pointers(tensors),
        kernels.pointer(routes),
        kernels.pointer(x),
        kernels.pointer(out),
        torch.get_num_threads(),
    )
    return out


class KeptFeatures:
    """`SasMamba.features` with all weights laid out once as the kernel wants them, and no more computed than is asked.

    For a model whose weights do not change any more: what becomes of them later is not seen.
    """

    def __init__(self, model: Model) -> None:
        library = _library()
        self._model, self._grid = model, _Lengthwise.of(model, model.config.frames)
        self._weights = [_weights(block) for block in model.blocks]  # the kernel reads some of them where they are
        kept = [
            library.sasmamba_block_keep(kernels.sizes(*_sizes(block)), kernels.pointers(tensors))
            for block, tensors in zip(model.blocks, self._weights, strict=True)
        ]
        self._kept = (ctypes.c_void_p * len(kept))(*kept)
        weakref.finalize(self, _drop, library, kept)

    @classmethod
    def of(cls, model: Model) -> Self | None:
        """Of a model that the kernel knows all blocks of; None for another."""
        known = not model.training and all(_known(block, model.embed.weight) for block in model.blocks)
        return cls(model) if known else None

    def __call__(self, x: Tensor, newest: int | None = None) -> Tensor:
        """Arguments and result as those of `SasMamba.features`; without gradients."""
        x = self._model.embedded(x).contiguous()
        batch, frames, joints, _ = x.shape
        first = 0 if newest is None else max(0, frames - newest)
        grid = self._grid  # another thread may put that of another length there
        if grid.frames != frames:
            self._grid = grid = _Lengthwise.of(self._model, frames)
        out = torch.empty_like(x)
        _library().sasmamba_blocks_forward(
            kernels.sizes(len(self._kept), batch, frames, joints, first),
            self._kept,
            grid.norms,
            kernels.pointer(grid.routes),
            kernels.pointer(x),
            kernels.pointer(out),
            torch.get_num_threads(),
        )
        return out[:, first:]


@dataclass(frozen=True, slots=True)
class _Lengthwise:
    """What depends on how many frames a window has.

    Attributes:
        frames: T.
        routes: (K, T·V) in which order tokens are visited.
        positions: (1, T, 1, C) the temporal embedding.
        norms: of each block what `sasmamba_blocks_forward` wants to follow.
    """

    frames: int
    routes: Tensor
    positions: Tensor
    norms: ctypes.Array

    @classmethod
    def of(cls, model: Model, frames: int) -> Self:
        positions, addresses = model.positions(frames).detach().contiguous(), []
        for depth in range(len(model.blocks)):
            norm = model.norm_after(depth)
            addresses += [norm.weight.data_ptr(), norm.bias.data_ptr(), positions.data_ptr() if depth == 0 else None]
        return cls(frames, model.routes(frames), positions, (ctypes.c_void_p * len(addresses))(*addresses))


def _drop(library: ctypes.CDLL, kept: list[int]) -> None:
    for block in kept:
        library.sasmamba_block_drop(ctypes.c_void_p(block))


def _library() -> ctypes.CDLL:
    library, sentence = kernels.load()
    assert library is not None, sentence
    return library


def _sizes(block: Block) -> tuple[int, ...]:
    """As `sasmamba_block_keep` wants them."""
    mixer, c = block.mixer, block.mixer.config
    taps = mixer.deform.shape[0] if c.local == "structure_aware" else 0
    routes = len(c.directions)
    return (
        *(c.width, c.channels, c.mlp_ratio * c.width, taps, routes, mixer.rank, mixer.states),
        int(c.scan_input == "stride_concat"),
    )


def _weights(block: Block) -> list[Tensor]:
    """As `sasmamba_block_keep` wants them."""
    mixer, nothing = block.mixer, torch.zeros(1)
    first, _, second = block.mlp
    sampled = mixer.config.local == "structure_aware"
    offset = mixer.offset if sampled and mixer.deform.shape[0] > 1 else None
    return [
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
