# SPDX-License-Identifier: MIT
"""What synapses add to their neurons, by torch's own operations."""

from functools import reduce

import torch
from firstspike_arch.connectivity import Conv2d, ConvTranspose2d, Dense
from torch.nn import functional

__all__ = ["synaptic_sums"]


def synaptic_sums(
    synapses: Dense | Conv2d, weight: torch.Tensor, values: torch.Tensor, *, average: bool = False,
) -> torch.Tensor:
    """Return Σ W·x, float[K, neurons].

    Parameters
    ----------
    weight : float[synapses.weight_shape]
    values : float[K, *synapses.in_shape] or float[K, inputs]
    average : bool
        The pool in front averages instead of adding up.
    """
    values = values.reshape(len(values), *synapses.in_shape)
    if synapses.pool_size > 1:
        values = functional.avg_pool2d(values, synapses.pool_sides) if average else _sum_pool(values, synapses)
    if isinstance(synapses, Dense):
        return functional.linear(values.flatten(1), weight)
    groups, options = synapses.groups, {"stride": synapses.stride, "padding": synapses.padding,
                                        "groups": synapses.groups, "dilation": synapses.dilation}
    if not isinstance(synapses, ConvTranspose2d):
        return functional.conv2d(values, weight, **options).flatten(1)
    # torch has the channels of the input first.
    weight = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    return functional.conv_transpose2d(values, weight, output_padding=synapses.output_padding, **options).flatten(1)


def _sum_pool(values: torch.Tensor, synapses: Dense | Conv2d) -> torch.Tensor:
    """Return the sum of each window, along one axis after the other: faster than torch's pool. Rows and columns that
    are left over are dropped."""
    for axis, side in zip((-2, -1), synapses.pool_sides, strict=True):
        count = values.shape[axis] // side
        values = reduce(torch.add, values.narrow(axis, 0, count * side).unflatten(axis, (count, side)).unbind(axis))
    return values
