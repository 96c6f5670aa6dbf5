# SPDX-License-Identifier: MIT
"""Combines values on their way: adds them up, joins, scales, delays and flattens them.

Every function takes ``where``, the name of the module for messages.
"""

from dataclasses import replace

import numpy as np
from firstspike_arch.connectivity import size_of
from firstspike_arch.shown import shown
from torch import nn

from ...errors import CompileError
from .connect import passed_on
from .options import per_channel
from .values import Spikes, Synapses, Term, check_no_window

__all__ = ["add_up", "currents", "flatten", "join", "late", "scale"]


def add_up(where: str, left: Spikes | Synapses, right: Spikes | Synapses) -> Spikes | Synapses:
    """Add spikes, or currents onto the same neurons; spikes that are added to currents reach them one to one."""
    check_no_window(where, left)
    check_no_window(where, right)
    if left.out_shape != right.out_shape:
        raise CompileError(f"{where} must add up equal shapes, not {left.out_shape} and {right.out_shape}")
    if isinstance(left, Spikes) and isinstance(right, Spikes):
        if left.shape != right.shape:
            left, right = (replace(one, shape=one.out_shape) for one in (left, right))
        return replace(left, where=where, terms=(*left.terms, *right.terms))
    one, other = (side if isinstance(side, Synapses) else passed_on(where, side) for side in (left, right))
    if one.shape != other.shape:
        raise CompileError(f"{where} must add up equal shapes, not {one.shape} and {other.shape}")
    return Synapses(where=where, sets=(*one.sets, *other.sets), bias=one.bias + other.bias, flat=one.flat,
                    line=one.line, normalised=one.normalised or other.normalised)


def currents(where: str, left: Synapses, right: Synapses) -> Synapses:
    """The sum of currents onto the same neurons."""
    value = add_up(where, left, right)
    assert isinstance(value, Synapses)
    return value


def join(where: str, values: list[Spikes | Synapses]) -> Spikes:
    """Put the channels of spikes one behind the other."""
    terms: list[Term] = []
    first = 0
    for value in values:
        if isinstance(value, Synapses):
            raise CompileError(f"{where} must join spikes, not the currents of {value.where}")
        terms.extend(replace(one, first=first + one.first) for one in value.terms)
        first += size_of(value.shape)
    shape, line = values[0].shape, values[0].line
    vector = len(values[0].out_shape) == 1
    return Spikes(where=where, terms=tuple(terms), flat=False, line=line and not vector,
                  shape=(first,) if vector else (first // size_of(shape[1:]), *shape[1:]))


def scale(where: str, factor: np.ndarray, value: Spikes | Synapses) -> Spikes | Synapses:
    """Multiply by a number, or currents by one for each channel."""
    if isinstance(value, Synapses):
        factors = per_channel(where, "factor", factor, value)
        if factors.min() < 0:
            check_no_window(where, value)
        return replace(value.scaled(factors), where=where)
    if factor.ndim or not np.isfinite(factor):
        raise CompileError(f"{where} must scale the spikes of {value.where} by one finite number")
    return replace(value, where=where, terms=tuple(replace(one, gain=one.gain * float(factor)) for one in value.terms))


def late(where: str, steps: int, value: Spikes | Synapses) -> Spikes | Synapses:
    """The same, some steps later."""
    if isinstance(value, Spikes):
        return replace(value, where=where, terms=tuple(replace(one, delay=one.delay + steps) for one in value.terms))
    if steps and value.bias.any():
        raise CompileError(f"{where} must be in front of synapses with a bias, which is there from the first step on")
    return replace(value, where=where, sets=tuple(replace(one, delay=one.delay + steps) for one in value.sets))


def flatten(where: str, module: nn.Flatten, value: Spikes | Synapses) -> Spikes | Synapses:
    """Take a map as a vector; a vector is returned as it is."""
    # start_dim is 2 if time has a dimension before the batch's; if it is wrong, the next fan-in does not fit.
    if module.start_dim not in (1, 2, -3) or module.end_dim not in (-1, 3):
        raise CompileError(f"{where} must flatten all but the batch, not dimensions {shown(module.start_dim)} to "
                           f"{shown(module.end_dim)}")
    return replace(value, flat=len(value.shape) == 3)
