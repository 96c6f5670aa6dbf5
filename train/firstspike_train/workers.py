# SPDX-License-Identifier: MIT
"""Training of one network by several processes, as `torchrun` starts them.

Every process draws the same batches and takes its share of each, and gradients are added up. Training by n processes
therefore equals training by one, except for the order in which floating-point numbers are added, for the random numbers
of a loss itself (dropout), and for batch normalisation, which each process does over its share. Two runs of n processes
are equal to the bit.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from firstspike_arch.shown import shown
from torch import distributed

__all__ = ["Workers", "device_of", "started_workers"]


@dataclass(frozen=True)
class Workers:
    """The rank of this process, and the number of all processes."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def share(self, values: torch.Tensor) -> torch.Tensor:
        """Return this process's part of a batch, which may be empty."""
        return values[self.rank :: self.count]

    def add_up(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace each gradient by the sum over all processes; a parameter without any gradient keeps none."""
        if self.count == 1:
            return
        learned = [parameter for parameter in parameters if parameter.requires_grad]
        # An optimiser skips parameters without a gradient, but applies weight decay where the gradient is 0.
        reached = torch.tensor([float(one.grad is not None) for one in learned], device=learned[0].device)
        distributed.all_reduce(reached)
        for parameter, processes in zip(learned, reached.tolist(), strict=True):
            if processes:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                distributed.all_reduce(parameter.grad)

    def level(self, buffers: Iterable[torch.Tensor]) -> None:
        """Replace the statistics that each process found in its share of the images by the mean of all."""
        if self.count == 1:
            return
        for buffer in buffers:
            if buffer.is_floating_point():
                distributed.all_reduce(buffer)
                buffer.div_(self.count)

    def total(self, value: torch.Tensor) -> float:
        """Return the sum of one number over all processes."""
        value = value.detach().clone()
        if self.count > 1:
            distributed.all_reduce(value)
        return value.item()


@contextmanager
def started_workers(device: str) -> Iterator[Workers]:
    """Connect the processes of `torchrun`. Without torchrun, this process is the only one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Workers()
        return
    distributed.init_process_group("nccl" if torch.device(device).type == "cuda" else "gloo")
    try:
        yield Workers(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def device_of(name: str, workers: Workers) -> torch.device:
    """The device of this process, with products in full float32 and deterministic."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device must be cpu or cuda, not {shown(name)}") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device must be cpu or cuda, not {shown(name)}")
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(f"device must be cpu where torch sees no GPU, not {shown(name)}")
        if (device.index or 0) >= torch.cuda.device_count():
            raise ValueError(f"device must be one of cuda:0 … cuda:{torch.cuda.device_count() - 1}, not {shown(name)}")
        if workers.count > 1:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        # Integers up to 2^24 need all 24 bits of float32: no TF32.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic = True
    return device
