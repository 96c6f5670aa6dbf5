# SPDX-License-Identifier: MIT
"""Kernel-parallel banks: how many a layer can have, down and across."""

import math

from .connectivity import Conv2d, Dense
from .fixed import ceil_div
from .layer import Layer

__all__ = ["bank_shapes", "check_banks", "kernel_banks", "reach"]


def reach(synapses: Dense | Conv2d) -> tuple[int, int]:
    """Return the largest number of output positions that an event reaches, down and across."""
    if not isinstance(synapses, Conv2d):
        return 1, 1
    down, across = (ceil_div(synapses.kernel[axis], abs(synapses.neighbours(axis)[1])) for axis in (0, 1))
    return min(down, synapses.out_shape[1]), min(across, synapses.out_shape[2])


def bank_shapes(layer: Layer) -> list[tuple[int, int]]:
    """Return all banks that a layer can have, down and across: up to as many as there are positions that an event
    reaches.

    Where outputs that an event reaches lie at a distance, as with a dilation, banks have no factor in common with it:
    two outputs would be in one bank. Only (1, 1) is left for a dense layer, for a kernel of one pixel and for a layer
    with a pool of currents.
    """
    sets = [one.connectivity for one in (layer, *layer.branches) if isinstance(one.connectivity, Conv2d)]
    if not sets or layer.current_pool is not None:
        return [(1, 1)]
    down, across = (
        [banks for banks in range(1, 1 + max(reach(one)[axis] for one in sets))
         if all(math.gcd(banks, one.neighbours(axis)[0]) == 1 for one in sets)]
        for axis in (0, 1))
    return [(one, other) for one in down for other in across]


def kernel_banks(layer: Layer) -> tuple[int, int]:
    """Return the most of `bank_shapes`; an event then reaches its outputs in as few visits as possible, mostly one."""
    return bank_shapes(layer)[-1]


def check_banks(layer: Layer, banks: tuple[int, int]) -> None:
    """Raise ValueError unless the layer can have so many banks."""
    if banks in bank_shapes(layer):
        return
    most = kernel_banks(layer)
    if all(one <= limit for one, limit in zip(banks, most, strict=True)):
        raise ValueError(f"banks must have no factor in common with the distance of outputs that an event reaches, as "
                         f"{most} has none, not {banks}")
    raise ValueError(f"banks must be {'' if most == (1, 1) else '(1, 1) to '}{most}, not {banks}")
