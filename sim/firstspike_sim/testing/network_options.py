# SPDX-License-Identifier: MIT
"""Which options random networks have, and a choice of networks in which every option is."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

import numpy as np
from firstspike_arch.connectivity import Conv2d, ConvTranspose2d, pool_sides
from firstspike_arch.program import Program

__all__ = ["OPTIONS", "options", "pairs", "possible_pairs", "varied"]

OPTIONS = {
    "input latency", "input events", "input direct", "events below 0", "events above 15", "direct input below 0",
    "read-out first_spike", "read-out weighted_spikes", "read-out potential", "read-out spike_count",
    "shorter than steps_max", "endless", "output a map", "dense", "convolution", "transposed convolution", "dilation",
    "stride", "padding", "groups", "sum pool", "rectangular sum pool", "maximum pool of currents",
    "… with windows that overlap", "… with padding", "… with ceil_mode", "residual", "from the input past layers",
    "recurrent", "equal delays", "delays", "… of recurrent synapses", "… longer than an inference",
    "reset subtract", "reset zero", "reset none", "reset_step", "v_reset", "reset_delay", "single_spike",
    "bias", "bias_once", "v_init", "v_min", "v_max", "several thresholds", "learned latency", "leak",
    "leak for each channel", "leak / 2^9 or finer", "leak toward 0", "lasting current", "… a step late",
    "… with the bias", "… of a direct input", "… of a pool", "… for each channel", "… in registers", "… in a memory",
    "… toward 0", "… without a leak", "adaptive thresholds", "… several", "… that the reset takes",
    "… with a delayed reset", "… with a lasting current", "… with a leak for each channel", "… that never fall",
    "… in a row of registers", "… in rows of registers", "… in rows of a memory", "weight exponent", "lowest weight",
    *(f"{bits} weight bits" for bits in range(2, 9)), "port image", "early exit", "winner scan", "kernel-parallel",
    "banks in several visits", "bit-serial", "several lanes", "rows in memory", "merged spikes", "two events a cycle",
    "rotated kernel", "rows skipped", "sums forwarded",
    "leak by a multiplication", "… of a current", "… of a rise",
}

_ONE_OF = (
    ("input latency", "input events", "input direct"),
    ("read-out first_spike", "read-out weighted_spikes", "read-out potential", "read-out spike_count"),
    ("endless", "early exit"), ("direct input below 0", "bit-serial"),
    ("input latency", "bit-serial"), ("port image", "events of any number"),
)
"""Options of which a network has at most one."""

_ONLY_WITH = {
    "events below 0": "input events", "events above 15": "input events", "endless": "input events",
    "direct input below 0": "input direct", "learned latency": "input direct",
    "… of a direct input": "input direct", "input events": "events of any number",
}
"""Options that a network has only together with another."""


def pairs(some: Iterable[str]) -> set[tuple[str, str]]:
    """All pairs of some options, each in alphabetic order."""
    return set(combinations(sorted(some), 2))


def possible_pairs() -> set[tuple[str, str]]:
    """The pairs of `OPTIONS` but those that no network can have by the rules for its input, read-out and exit."""
    def needed(option: str) -> set[str]:
        return {option} | (needed(_ONLY_WITH[option]) if option in _ONLY_WITH else set())

    return {(one, other) for one, other in pairs(OPTIONS)
            if not any(len({*group} & (needed(one) | needed(other))) > 1 for group in _ONE_OF)}


def options(program: Program) -> set[str]:
    """Those of `OPTIONS` that a program has."""
    return set(_options(program))


def _options(program: Program) -> Iterator[str]:
    network, config = program.network, program.config
    lowest, highest = network.in_min < 0, network.in_max > 15
    output = network.layers[-1]
    yield f"input {network.input_kind}"
    yield f"read-out {network.readout}"
    facts = {
        "events below 0": network.input_kind == "events" and lowest,
        "events above 15": network.input_kind == "events" and highest,
        "direct input below 0": network.input_kind == "direct" and lowest,
        "shorter than steps_max": network.steps < network.steps_max, "endless": network.endless,
        "output a map": len(output.out_shape) == 3,
        "port image": config.port == "image", "early exit": config.early_exit, "winner scan": config.winner == "scan",
    }
    for index, (core, layer) in enumerate(zip(program.cores, network.layers, strict=True)):
        yield f"{layer.weight_bits} weight bits"
        neuron, pool, plan = layer.neuron, layer.current_pool, core.plan
        fires = neuron.theta is not None
        resets = fires and not neuron.single_spike
        if fires:
            yield f"reset {neuron.reset}"
        for one, taken in zip(layer.synapses(index), core.inputs, strict=True):
            synapses, late = one.connectivity, taken.delaying
            if late is not None:
                yield "equal delays" if late.equal else "delays"
                if taken.recurrent:
                    yield "… of recurrent synapses"
                if one.delays.max() >= network.steps_max:  # pyright: ignore[reportOptionalMemberAccess]
                    yield "… longer than an inference"
            sides = pool_sides(synapses.pool)
            if max(sides) > 1:
                yield "sum pool" if sides[0] == sides[1] else "rectangular sum pool"
            yield "convolution" if isinstance(synapses, Conv2d) else "dense"
            if isinstance(synapses, Conv2d):
                for name, true in (
                    ("transposed convolution", isinstance(synapses, ConvTranspose2d)),
                    ("dilation", max(synapses.dilation) > 1), ("stride", max(synapses.stride) > 1),
                    ("padding", max(synapses.padding) > 0), ("groups", synapses.groups > 1),
                ):
                    if true:
                        yield name
            if one.weights.min() == -(1 << (layer.weight_bits - 1)):
                yield "lowest weight"
        for branch in layer.branches:
            yield "recurrent" if branch.source == index else "residual"
            if branch.source < 0 < index:
                yield "from the input past layers"
        for name, true in (
            ("maximum pool of currents", pool is not None),
            ("… with windows that overlap", pool is not None and any(
                one < other for one, other in zip(pool.stride, pool.kernel, strict=True))),
            ("… with padding", pool is not None and max(pool.padding) > 0),
            ("… with ceil_mode", pool is not None and pool.ceil_mode),
            ("reset_step", resets and neuron.reset == "subtract" and neuron.reset_step is not None),
            ("v_reset", resets and neuron.reset == "zero" and neuron.v_reset is not None),
            ("reset_delay", resets and neuron.reset != "none" and neuron.reset_delay),
            ("single_spike", fires and neuron.single_spike), ("bias", bool(neuron.bias.any())),
            ("bias_once", bool(neuron.bias.any()) and neuron.bias_once), ("v_init", bool(neuron.v_init.any())),
            ("v_min", neuron.v_min is not None), ("v_max", neuron.v_max is not None),
            ("several thresholds", neuron.levels > 1), ("learned latency", neuron.theta_fall is not None),
            ("leak", neuron.leaky), ("leak for each channel", neuron.leaky and not isinstance(neuron.leak, float)),
            ("leak / 2^9 or finer", neuron.leaky and neuron.leak_shift > 8), ("several lanes", plan.lanes > 1),
            ("weight exponent", layer.weight_exponent > 0),
            ("leak toward 0", neuron.leaky and neuron.leak_toward_zero),
            ("lasting current", neuron.lasts), ("… a step late", neuron.current_delay),
            ("… with the bias", neuron.current_bias and bool(neuron.bias.any())),
            ("… of a direct input", neuron.lasts and network.is_static(index)),
            ("… of a pool", neuron.lasts and pool is not None),
            ("… for each channel", neuron.lasts and not isinstance(neuron.current_leak, float)),
            ("… in registers", neuron.lasts and plan.in_registers),
            ("… in a memory", neuron.lasts and not plan.in_registers),
            ("… toward 0", neuron.lasts and neuron.leak_toward_zero),
            ("… without a leak", neuron.lasts and bool(np.all(neuron.current_leak == 1))),
            ("adaptive thresholds", neuron.adapts), ("… several", neuron.adapts and neuron.levels > 1),
            ("… that the reset takes", neuron.reset_rise),
            ("… with a delayed reset", neuron.adapts and neuron.reset != "none" and neuron.reset_delay),
            ("… with a lasting current", neuron.adapts and neuron.lasts),
            ("… with a leak for each channel", neuron.adapts and not isinstance(neuron.rise_leak, float)),
            ("… that never fall", neuron.adapts and bool(np.all(neuron.rise_leak == 1))),
            ("… in a row of registers", neuron.adapts and plan.in_one_row),
            ("… in rows of registers", neuron.adapts and plan.in_registers and not plan.in_one_row),
            ("… in rows of a memory", neuron.adapts and not plan.in_registers),
            ("kernel-parallel", plan.bank_count > 1),
            ("banks in several visits", plan.bank_count > 1 and any(
                walk.longest > walk.reach for walk in core.walks)),
            ("bit-serial", plan.options.bit_serial),
            ("rows in memory", plan.rows > plan.options.register_rows), ("merged spikes", plan.options.merges),
            ("two events a cycle", core.pairs), ("rotated kernel", any(plan.rotates)),
            ("rows skipped", plan.options.skips), ("sums forwarded", plan.options.forwards),
            ("leak by a multiplication", "membrane" in core.microcode.leak_products),
            ("… of a current", "trace" in core.microcode.leak_products),
            ("… of a rise", "rise" in core.microcode.leak_products),
        ):
            if true:
                yield name
    yield from (name for name, true in facts.items() if true)


def varied(programs: Sequence[Program], count: int) -> list[int]:
    """Choose the indices of ``count`` programs, one after the other: always the one whose options are the rarest among
    those chosen before."""
    known = [options(program) for program in programs]
    found: Counter[str] = Counter()
    chosen: list[int] = []
    while len(chosen) < count:
        gains = [-1.0 if index in chosen else sum(0.2 ** found[option] for option in some)
                 for index, some in enumerate(known)]
        chosen.append(int(np.argmax(gains)))
        found.update(known[chosen[-1]])
    return chosen
