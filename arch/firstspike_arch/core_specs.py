# SPDX-License-Identifier: MIT
"""Descriptions of the cores of a network, and what the options of each must fit."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .array import ArrayConfig
from .connectivity import Dense, size_of
from .core_spec import CoreInput, CoreSpec
from .delaying import Delaying
from .events import SHIFT_ADD_MAX
from .external import (
    QUEUE_TOKENS,
    Fetching,
    external_obstacle,
    fetched_walk,
    is_by_channel,
    is_sorted,
)
from .fixed import bits_for_unsigned
from .layer import INPUT, Branch
from .layer_options import LayerOptions
from .layer_plan import GROUP_BITS, LayerPlan, spike_queue_depth
from .memory_image import aligned
from .merging import Merging, lines_together, without_pool
from .microcode import microcode_of
from .network import IntegerNetwork
from .skipping import skips_obstacle
from .walk import walks_of

__all__ = ["can_multiply_leaks", "core_spec", "core_specs", "pairs_obstacle", "result_score_bits"]


def core_spec(
    network: IntegerNetwork, index: int, options: LayerOptions, *, senders: Sequence[LayerPlan] = (),
    beat_bits: int = 64, external_base: int = 0, **array: Any,
) -> CoreSpec:
    """Describe the core of one layer, mapped by ``options``.

    Parameters
    ----------
    senders : sequence of LayerPlan
        Plans of all earlier layers, by which a pool merger is sized. If they are left out, each has one bank.
    beat_bits, external_base : int
        Of a layer with external weights: width of a beat, and address of its first slice.
    array
        ``out_slots``, ``value_bits``, ``tag_bits`` and ``read_back`` of the `CoreSpec`, which depend on the rest of
        the array. They can be left out where no hardware is built.

    Raises
    ------
    ValueError
        The options do not fit the layer.
    """
    layer = network.layers[index]
    plan = _plan(network, index, options)
    branches = layer.synapses(index)
    mergings = [_merging(network, branch, plan, senders) for branch in branches]
    sets = [branch.connectivity if merging is None else without_pool(branch.connectivity)
            for branch, merging in zip(branches, mergings, strict=True)]
    walks, bias_word = walks_of(sets, plan)
    fetching = None
    if options.external:
        walk, dense = walks[0], isinstance(layer.connectivity, Dense)
        walks, bias_word = [fetched_walk(walk, layer.connectivity)], options.external * walk.channel_words
        fetching = Fetching(
            layout=network.layout_of(index - 1), by_channel=is_by_channel(layer.connectivity), buffers=options.external,
            words=plan.rows if dense else walk.channel_words, stride=walk.channel_words,
            word_bits=plan.elements * layer.weight_bits, beat_bits=beat_bits, base=external_base)
    return CoreSpec(
        index=index, layer=layer, plan=plan, bias_word=bias_word,
        sends=any(edge.source == index for edge in network.edges()),
        microcode=microcode_of(
            layer, static=network.is_static(index), steps_max=network.longest, in_one_row=plan.in_one_row,
            in_registers=plan.in_registers, multiplies_leaks=options.multiplies_leaks),
        inputs=tuple(
            CoreInput(source=branch.source, recurrent=branch.source == index, connectivity=synapses, walk=walk,
                      layout=merging.layout if merging else replace(
                          network.layout_of(branch.source), slots=options.events_per_cycle), merging=merging,
                      delaying=_delaying(network, branch, sort=fetching is not None and is_sorted(network, index)),
                      fetching=fetching)
            for branch, synapses, walk, merging in zip(branches, sets, walks, mergings, strict=True)),
        **array,
    )


def _merging(
    network: IntegerNetwork, branch: Branch, plan: LayerPlan, senders: Sequence[LayerPlan],
) -> Merging | None:
    """Return what is done to the stream of a set of synapses in front of the core; None: nothing."""
    synapses, source = branch.connectivity, branch.source
    if not plan.options.merges or synapses.pool_size == 1:
        return None
    sender = senders[source] if senders and source != INPUT else None
    return Merging(spikes=network.layout_of(source), pool=synapses.pool, lines=lines_together(synapses, sender))


def _delaying(network: IntegerNetwork, branch: Branch, *, sort: bool = False) -> Delaying | None:
    """Return how the stream of a set of synapses is delayed in front of the core, and, with ``sort``, sorted for a
    weight fetcher; None: not at all."""
    layout = network.layout_of(branch.source)
    delays = branch.delays
    if delays is None or not delays.any():
        if not sort:
            return None
        delays = np.zeros(size_of(layout.shape), dtype=np.int64)
    longest = delays if network.longest is None else np.minimum(delays, network.longest)
    return Delaying(layout=layout, delays=longest, by_channel=sort and len(layout.shape) == 3)


def can_multiply_leaks(network: IntegerNetwork, index: int) -> bool:
    """Whether a layer has a leak that takes several passes, and one with `LayerOptions.multiplies_leaks`."""
    return bool(microcode_of(network.layers[index], static=network.is_static(index), steps_max=network.longest,
                             multiplies_leaks=True).leak_products)


def pairs_obstacle(network: IntegerNetwork, index: int, *, single_port: bool, bit_serial: bool) -> str | None:
    """Return why the core of a layer cannot take two events at once (`LayerOptions.events_per_cycle`); None: it can."""
    layer, layout = network.layers[index], network.layout_of(index - 1)
    for name, given in (("single_port", single_port), ("bit_serial", bit_serial)):
        if given:
            return f"events_per_cycle must be 1 with {name}, not 2"
    if layer.delays is not None and layer.delays.any():
        return "events_per_cycle must be 1 with delays, not 2"
    small = (layout.low >= 0 and layout.high <= SHIFT_ADD_MAX) or (layout.low == -1 and layout.high == 1)
    if (isinstance(layer.connectivity, Dense) and len(layout.shape) == 1 and not layer.branches and small
            and sum(edge.source == index - 1 for edge in network.edges()) == 1):
        return None
    return ("events_per_cycle must be 1: 2 takes a dense layer whose only input is a vector, of spikes or of values of "
            f"0…{SHIFT_ADD_MAX} or −1…1, that goes to no other layer")


def _plan(network: IntegerNetwork, index: int, options: LayerOptions) -> LayerPlan:
    plan = LayerPlan.of(network.layers[index], index, options)
    if options.events_per_cycle == 2 and (obstacle := pairs_obstacle(
            network, index, single_port=options.single_port, bit_serial=options.bit_serial)):
        raise ValueError(obstacle)
    if options.skips and (obstacle := skips_obstacle(network, index)):
        raise ValueError(obstacle)
    if options.multiplies_leaks and not can_multiply_leaks(network, index):
        raise ValueError("multiplies_leaks must be off: no leak of the layer takes more passes than with a multiplier")
    if options.external:
        for name in ("merges", "bit_serial", "single_port"):
            if getattr(options, name):
                raise ValueError(f"{name} must be off for a layer with external weights")
        if options.events_per_cycle == 2:
            raise ValueError("events_per_cycle must be 1 for a layer with external weights, not 2")
        if obstacle := external_obstacle(network, index):
            raise ValueError(obstacle)
    return plan


def core_specs(network: IntegerNetwork, config: ArrayConfig) -> tuple[CoreSpec, ...]:
    """Describe the cores of an array, in order.

    Raises
    ------
    ValueError
        Options do not fit their layer; the message names the layer.
    """
    plans = []
    for index, (layer, options) in enumerate(zip(network.layers, config.layers, strict=True)):
        try:
            plans.append(_plan(network, index, options))
        except ValueError as error:
            raise ValueError(f"layer {index} ({layer.name}): {error}") from None
    # Enough to number all inferences that can be inside: each has at least one token or word somewhere. A merger has
    # its two halves, four stages and a buffer of two tokens; a delay line three stages, a slot that is read, three
    # registers of its extractor and a buffer of two tokens; a weight fetcher its queue, what leaves that, and a buffer.
    held = sum(spike_queue_depth(plan) + (10 + 8 * plan.options.merges) * len(layer.synapses(0))
               + 9 * sum(_delaying(network, branch, sort=plan.options.external > 0 and is_sorted(network, index))
                         is not None for branch in layer.synapses(index))
               + (QUEUE_TOKENS + 4) * (plan.options.external > 0)
               for index, (layer, plan) in enumerate(zip(network.layers, plans, strict=True)))
    tag_bits = bits_for_unsigned(held + GROUP_BITS)
    last = len(plans) - 1
    hands_out = network.readout in ("first_spike", "potential")
    specs: list[CoreSpec] = []
    base = 0
    for index, plan in enumerate(plans):
        specs.append(core_spec(
            network, index, plan.options, senders=plans, tag_bits=tag_bits, read_back=config.read_back,
            beat_bits=config.beat_bits, external_base=base,
            out_slots=max((config.layers[edge.target].events_per_cycle for edge in network.edges()
                           if edge.source == index), default=1),
            value_bits=result_score_bits(network, plan) if index == last and hands_out else 0))
        base = aligned(specs[-1].fetching.end) if specs[-1].fetching else base
    return tuple(specs)


def result_score_bits(network: IntegerNetwork, plan: LayerPlan) -> int:
    """Return the width of a score in a result, a signed number, for the plan of the output layer."""
    output = network.layers[-1].neuron
    if network.readout == "weighted_spikes":
        largest = sum(network.step_weights[: network.steps_max]) * output.levels
        return 1 if network.earliest_decides else 1 + bits_for_unsigned(largest)
    if network.readout == "spike_count":
        return 1 + bits_for_unsigned(network.steps_max * output.levels)
    return plan.membrane_bits + (output.theta is not None)  # v = u + theta
