# SPDX-License-Identifier: MIT
"""Spike lists: the spikes of all senders as lists, in the order in which the timing model sends them."""

from typing import NamedTuple

import numpy as np
from firstspike_arch.events import ADDRESS_SHIFT, MARKER, TokenLayout
from firstspike_arch.program import Program

__all__ = ["VALUE_SHIFT", "SpikeLists", "codes_of", "codes_of_tokens", "spike_lists", "tokens_of_codes"]

VALUE_SHIFT = 32
"""Bit of a code from which on it holds the value of a spike, 16 bits in two's complement; the bits below are the
neuron's number."""


class SpikeLists(NamedTuple):
    """The spikes of all senders, inferences and steps.

    Parameters
    ----------
    codes : int64[*]
        Number of the neuron and value of each spike, for all senders, inferences and steps, one after the other; the
        spikes of a step are in the order of ``places``. For a stream of two events a token, address and value as in
        the hardware's token.
    places : int64[*]
        Place of each spike's neuron (`LayerPlan.places`); for the input, its number.
    offsets : int64[S, G + 1]
        Sender s (the input, then each layer) sends ``codes[offsets[s, g] : offsets[s, g + 1]]`` in global step g.
    first_step : int64[B + 1]
        Global step at which each inference starts.
    """

    codes: np.ndarray
    places: np.ndarray
    offsets: np.ndarray
    first_step: np.ndarray


def spike_lists(program: Program, spikes: tuple[np.ndarray, ...]) -> SpikeLists:
    """Make the spike lists from the magnitudes of the input and of every layer, each integer or bool[B, T, N]."""
    senders = {edge.source for edge in program.network.edges()}
    codes, places, offsets, base = [], [], [], 0
    count, steps = spikes[0].shape[:2]
    for source, dense in enumerate(spikes, start=-1):
        if source not in senders:
            offsets.append(np.full(count * steps + 1, base))
            continue
        plan = None if source < 0 else program.cores[source].plan
        place = np.arange(dense.shape[2]) if plan is None else plan.places()
        order = None
        if plan is not None and plan.positions > 1:
            order = np.argsort(place)
            dense = dense[:, :, order]
        flat = np.ascontiguousarray(dense).reshape(-1)
        found = np.flatnonzero(flat)
        where, neuron = np.divmod(found, dense.shape[2])
        if order is not None:
            neuron = order[neuron]
        layout = program.edge_layouts[0] if source < 0 else program.cores[source].out_layout
        offsets.append(np.searchsorted(where, np.arange(count * steps + 1)) + base)
        if layout.slots == 2:
            codes.append(layout.events(neuron, flat[found]) >> ADDRESS_SHIFT)
        else:
            codes.append(codes_of(neuron, flat[found] if layout.value_bits else None))
        places.append(place[neuron])
        base += len(neuron)
    return SpikeLists(
        codes=np.concatenate(codes), places=np.concatenate(places).astype(np.int64),
        offsets=np.array(offsets, dtype=np.int64), first_step=np.arange(count + 1, dtype=np.int64) * steps,
    )


def codes_of(neurons: np.ndarray, values: np.ndarray | None) -> np.ndarray:
    """Codes of spikes, int64[*], from the numbers of neurons and their values; None: values of 1, which codes omit."""
    neurons = neurons.astype(np.int64)
    return neurons if values is None else neurons | (values.astype(np.int64) & 0xFFFF) << VALUE_SHIFT


def codes_of_tokens(tokens: np.ndarray, layout: TokenLayout) -> np.ndarray:
    """Convert tokens to those of the timing model, which hold codes instead of addresses and values, unless the layout
    has two events."""
    tokens = np.asarray(tokens, dtype=np.int64)
    if layout.slots == 2 or (len(layout.shape) == 1 and not layout.value_bits):
        return tokens
    numbers = np.zeros(1 << layout.address_bits, dtype=np.int64)
    numbers[layout.addresses()] = np.arange(len(layout.addresses()))
    address, value = layout.split(tokens)
    codes = codes_of(numbers[address], value if layout.value_bits else None)
    return np.where(tokens & MARKER, tokens, codes << ADDRESS_SHIFT)


def tokens_of_codes(tokens: np.ndarray, layout: TokenLayout) -> np.ndarray:
    """Inverse of `codes_of_tokens`."""
    if layout.slots == 2 or (len(layout.shape) == 1 and not layout.value_bits):
        return tokens
    marker = tokens & MARKER != 0
    code = np.where(marker, 0, tokens >> ADDRESS_SHIFT)
    values = (code >> VALUE_SHIFT & 0xFFFF ^ 0x8000) - 0x8000
    return np.where(marker, tokens, layout.events(code & (1 << VALUE_SHIFT) - 1, values))
