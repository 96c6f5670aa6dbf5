# SPDX-License-Identifier: MIT
"""Pools of torch modules, merged into the synapses in front of them or behind them.

Every function takes ``where``, the name of the module for messages, and the value that comes in.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from firstspike_arch.connectivity import Conv2d, Shape, Window, size_of
from torch import nn

from ...errors import CompileError
from ..map_pool import MapPool, adaptive_pool, pool_currents, window_pool
from .options import as_pair
from .values import Spikes, Synapses, check_no_window

__all__ = ["any_spike", "average", "largest", "map_shape"]


def average(where: str, module: Any, value: Spikes | Synapses) -> Spikes | Synapses:
    """Merge an average pool of spikes or of currents."""
    shape = map_shape(where, value)
    check_no_window(where, value)
    if value.line != isinstance(module, nn.AvgPool1d | nn.AdaptiveAvgPool1d):
        raise CompileError(f"{where} must take {'(C, H, W)' if value.line else '(C, L)'}, not {value.out_shape}")
    try:
        pool = _pool(module, (shape[1], shape[2]))
        if not pool.changes:
            return value
        if isinstance(value, Spikes):
            old, new = size_of(shape[1:]), size_of(pool.size)
            return replace(value, shape=pool.shape(shape), pooled=where, terms=tuple(
                replace(one, pool=pool.behind(one.pool), first=one.first // old * new) for one in value.terms))
        sets = []
        for one in value.sets:
            weight, connectivity = pool_currents(pool, one.weight, one.connectivity)
            sets.append(replace(one, weight=weight, connectivity=connectivity))
    except ValueError as error:
        raise CompileError(f"{where} {error}") from None
    return replace(value, sets=tuple(sets), bias=value.bias if pool.gain == 1 else value.bias * float(pool.gain))


def _pool(module: Any, size: tuple[int, int]) -> MapPool:
    """An average pool of torch, of a map of this height and width."""
    line = isinstance(module, nn.AvgPool1d | nn.AdaptiveAvgPool1d)
    if isinstance(module, nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d):
        given = module.output_size if isinstance(module.output_size, tuple) else (module.output_size,) * 2
        wanted = (None, given[-1]) if line else given
        down, across = (length if one is None else one for one, length in zip(wanted, size, strict=True))
        return adaptive_pool(size, (down, across))
    one, none = (1, 0) if line else (None, None)
    return window_pool(
        size, as_pair(module.kernel_size, one), as_pair(module.stride or module.kernel_size, one),
        as_pair(module.padding, none), ceil_mode=module.ceil_mode,
        count_include_pad=module.count_include_pad, divisor=getattr(module, "divisor_override", None))


def largest(where: str, module: Any, value: Synapses) -> Synapses:
    """The largest of the currents in each window of a MaxPool2d."""
    check_no_window(where, value)
    map_shape(where, value)
    window = Window(kernel=as_pair(module.kernel_size), stride=as_pair(module.stride or module.kernel_size),
                    padding=as_pair(module.padding), dilation=as_pair(module.dilation), ceil_mode=module.ceil_mode)
    try:
        window.out_shape(value.sums_shape)
    except ValueError as error:
        raise CompileError(f"{where} must fit what comes in: {error}") from None
    return replace(value, where=where, window=window)


def any_spike(where: str, module: Any, value: Spikes) -> Synapses | None:
    """The synapses of a MaxPool2d of single spikes: neurons with threshold 1 fire at any spike of their window. None:
    a window is one place."""
    kernel, stride = as_pair(module.kernel_size), as_pair(module.stride or module.kernel_size)
    if as_pair(module.dilation) != (1, 1) or module.ceil_mode:
        raise CompileError(f"{where} must have dilation 1 and no ceil_mode behind neurons")
    if kernel == stride == (1, 1):
        return None
    channels = value.shape[0]
    try:
        connectivity = Conv2d(in_shape=value.shape, channels=channels, kernel=kernel, stride=stride,
                              padding=as_pair(module.padding), groups=channels)
    except ValueError as error:
        raise CompileError(f"{where} must fit what comes in: {error}") from None
    ones = value.terms[0].into(where, np.ones(connectivity.weight_shape), connectivity)
    return Synapses(where=where, sets=(ones,), bias=np.zeros(channels))


def map_shape(where: str, value: Spikes | Synapses) -> Shape:
    """Shape (C, H, W) of the map that reaches a pool, after the pools before it; a vector raises CompileError."""
    if len(value.out_shape) == 1:
        raise CompileError(f"{where} must take a map, not a vector")
    return value.shape
