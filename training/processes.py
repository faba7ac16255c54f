"""The processes that train together: started by torchrun, or this one alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sasmamba.common.errors import UserError


class Processes:
    """Shares a step's micro-batches out and sums their gradients.

    Attributes:
        count, rank: how many processes there are and which one this is; the first one's clock counts.
        device: this process's own.
    """

    def __init__(self, device: torch.device) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(device)
        self.device = device

    @contextmanager
    def together(self) -> Iterator[None]:
        """Connects the processes for the time of the body."""
        ours = self.count > 1 and not dist.is_initialized()
        if ours:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        try:
            yield
            if ours:
                dist.barrier()  # whoever leaves while another still talks tears the connection down under it
        finally:
            if ours:
                dist.destroy_process_group()

    def own_shards(self, shards: int) -> range:
        """Which of a step's micro-batches are this process's."""
        if shards % self.count:
            raise UserError(f"shards: want a multiple of the {self.count} processes, got {shards}.", exit_code=2)
        return range(self.rank, shards, self.count)

    def sum(self, model: nn.Module, told: Tensor) -> Tensor:
        """Sums the gradients over all processes, in place, and `told` (n,) with them; returns the latter's sum."""
        if self.count == 1:
            return told
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        flat = torch.cat([told.to(grads[0].dtype), *(g.flatten() for g in grads)])
        dist.all_reduce(flat)
        told, *summed = flat.split([len(told), *(g.numel() for g in grads)])
        for grad, new in zip(grads, summed, strict=True):
            grad.copy_(new.view_as(grad))
        return told

    def first_says(self, value: float) -> float:
        """The first process's value, on all."""
        if self.count == 1:
            return value
        told = torch.tensor([value], device=self.device)
        dist.broadcast(told, 0)
        return told.item()
