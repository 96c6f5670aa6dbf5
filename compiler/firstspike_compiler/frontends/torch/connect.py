# SPDX-License-Identifier: MIT
"""Synapses of torch modules: those of linear layers and convolutions, with what follows merged into them.

Every function takes ``where``, the name of the module for messages, and the value that comes in.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from firstspike_arch.connectivity import Conv2d, ConvTranspose2d, Dense, size_of
from torch import nn

from ...errors import CompileError
from ..one_to_one import one_to_one
from .options import as_array, as_pair, check_eval
from .values import Spikes, Synapses, Term, check_no_window

__all__ = ["connect", "multiply", "normalise", "passed_on", "vote"]

_LINES = (nn.Conv1d, nn.ConvTranspose1d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)


def connect(where: str, module: Any, value: Spikes | Synapses) -> Synapses:
    """The synapses of a Linear or a convolution that takes spikes, or of a Linear that takes currents of another."""
    weight = as_array(module.weight)
    if isinstance(module, _LINES):
        weight = weight[:, :, None]
    if isinstance(module, _TRANSPOSED):  # torch has the channels of the input first
        groups = weight.reshape(module.groups, -1, *weight.shape[1:])
        weight = groups.swapaxes(1, 2).reshape(-1, *groups.shape[1:2], *weight.shape[2:])
    bias = np.zeros(len(weight)) if module.bias is None else as_array(module.bias)
    if weight.ndim == 4:
        return _convolve(where, module, weight, bias, value)
    return multiply(where, weight, bias, value)


def multiply(where: str, weight: np.ndarray, bias: np.ndarray, value: Spikes | Synapses) -> Synapses:
    """The dense synapses W·x + b of spikes, or of the currents of dense synapses; float64[M, N] and float64[M]."""
    if len(value.out_shape) > 1:
        raise CompileError(f"{where} must come behind a Flatten: it would act on the rows of a map")
    if weight.shape[1:] != value.out_shape:
        raise CompileError(f"{where} must have weights of shape {(len(weight), *value.out_shape)} for what comes in, "
                           f"{value.shape}, not {weight.shape}")
    if isinstance(value, Synapses):
        if value.window is not None or not all(isinstance(one.connectivity, Dense) for one in value.sets):
            raise CompileError(f"{where} must come behind neurons, not behind {value.where}")
        return Synapses(where=where, bias=weight @ value.bias + bias, sets=tuple(replace(
            one, weight=weight @ one.weight, connectivity=replace(one.connectivity, neurons=len(weight)))
            for one in value.sets))
    return Synapses(where=where, bias=bias, sets=tuple(
        one.into(where, weight[:, one.first : one.first + one.size],
                 Dense(in_shape=one.out_shape, neurons=len(weight))) for one in value.terms))


def _convolve(
    where: str, module: Any, weight: np.ndarray, bias: np.ndarray, value: Spikes | Synapses,
) -> Synapses:
    """The synapses of a convolution, with its weights in our order, float64[Co, Ci/groups, Kh, Kw]."""
    if isinstance(value, Synapses):
        raise CompileError(f"{where} must come behind neurons, not behind {value.where}")
    if len(value.out_shape) == 1:
        raise CompileError(f"{where} must take a map, not a vector")
    if value.line != isinstance(module, _LINES):
        raise CompileError(f"{where} must take {'(C, H, W)' if value.line else '(C, L)'}, not {value.out_shape}")
    if len(value.terms) > 1 and module.groups > 1 and any(one.size != size_of(value.shape) for one in value.terms):
        raise CompileError(f"{where} must have groups 1 behind channels that were joined, not {module.groups}")
    if module.in_channels != value.shape[0]:
        expected = (len(weight), value.shape[0] // module.groups, *weight.shape[2:])
        raise CompileError(f"{where} must have weights of shape {expected} for what comes in, {value.shape}, not "
                           f"{weight.shape}")
    sets = []
    for one in value.terms:
        first, channels = one.first // size_of(value.shape[1:]), one.shape[0]
        part = weight if channels == value.shape[0] else weight[:, first : first + channels]
        sets.append(one.into(where, part, _convolution(where, module, one)))
    return Synapses(where=where, sets=tuple(sets), bias=bias, line=value.line)


def _convolution(where: str, module: Any, value: Term) -> Conv2d:
    """The connectivity of a convolution that takes these spikes."""
    if module.padding_mode != "zeros":
        raise CompileError(f"{where} must have padding_mode 'zeros', not {module.padding_mode!r}: what it repeats at "
                           "the border has no synapses of its own")
    padding = module.padding
    if isinstance(padding, str):
        reach = [step * (side - 1) for side, step in zip(module.kernel_size, module.dilation, strict=True)]
        if padding == "same" and any(length % 2 for length in reach):
            raise CompileError(f"{where} must have a kernel of odd sides for padding 'same', not "
                               f"{tuple(module.kernel_size)}")
        padding = tuple(length // 2 if padding == "same" else 0 for length in reach)
    one, none = (1, 0) if isinstance(module, _LINES) else (None, None)
    options: dict[str, Any] = {
        "in_shape": value.out_shape, "channels": module.out_channels, "kernel": as_pair(module.kernel_size, one),
        "stride": as_pair(module.stride, one), "padding": as_pair(padding, none),
        "dilation": as_pair(module.dilation, one), "groups": module.groups,
    }
    kind = Conv2d
    if isinstance(module, _TRANSPOSED):
        kind, options["output_padding"] = ConvTranspose2d, as_pair(module.output_padding, none)
    try:
        return kind(**options)
    except ValueError as error:
        raise CompileError(f"{where} must fit what comes in: {error}") from None


def passed_on(where: str, value: Spikes) -> Synapses:
    """Synapses from each spike to the neuron at its own place."""
    channels, size = value.shape[0], size_of(value.shape)
    try:
        if all(one.size == size for one in value.terms):
            each = [(one, *one_to_one(one.out_shape, flat=value.flat)) for one in value.terms]
            return Synapses(where=where, bias=np.zeros(len(each[0][2])), line=value.line, sets=tuple(
                one.into(where, ones, connectivity) for one, connectivity, ones in each))
        if len(value.out_shape) == 1:
            return multiply(where, one_to_one(value.out_shape)[1], np.zeros(size), value)
    except ValueError as error:
        raise CompileError(f"{where} must add up less: {error}") from None
    identity = (nn.Conv1d if value.line else nn.Conv2d)(channels, channels, 1, bias=False)
    return _convolve(where, identity, np.eye(channels)[:, :, None, None], np.zeros(channels), value)


def vote(where: str, size: int, value: Spikes | Synapses) -> Synapses:
    """The mean of each ``size`` neurons of a vector, side by side; those left over count nowhere."""
    if len(value.out_shape) != 1 or value.out_shape[0] < size:
        raise CompileError(f"{where} must take a vector of at least {size}, not {value.out_shape}")
    classes = value.out_shape[0] // size
    weight = np.zeros((classes, *value.out_shape))
    weight[:, : classes * size] = np.kron(np.eye(classes), np.full(size, 1 / size))
    return multiply(where, weight, np.zeros(classes), value)


def normalise(where: str, module: Any, value: Spikes | Synapses) -> Synapses:
    """Fold y = (x − mean)/√(var + eps)·γ + β into weights and bias."""
    if isinstance(value, Spikes):
        raise CompileError(f"{where} must come behind synapses, not behind {value.where}")
    check_eval(where, module)
    if module.running_mean is None or len(module.running_mean) != value.channels:
        raise CompileError(f"{where} must have running statistics of the {value.channels} channels of "
                           f"{value.where}")
    gain = 1.0 / np.sqrt(as_array(module.running_var) + module.eps)
    if module.weight is not None:
        gain = gain * as_array(module.weight)
    if gain.min() < 0:  # the largest would become the smallest
        check_no_window(where, value)
    value = replace(value, bias=value.bias - as_array(module.running_mean), normalised=True).scaled(gain)
    return value if module.bias is None else replace(value, bias=value.bias + as_array(module.bias))
