# SPDX-License-Identifier: MIT
"""Mapping to a device: the lanes and banks of every layer that give the shortest interval between inferences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.program import Program
from firstspike_arch.shown import shown
from firstspike_arch.work import workload
from firstspike_boards.devices import DEVICES, Device
from firstspike_compiler.compile import Compilation, compile_network, remap_as
from firstspike_compiler.errors import CompileError
from firstspike_compiler.passes.search_mapping import (
    UNLIMITED,
    Choice,
    Use,
    fastest,
    filled,
    least,
    list_choices,
    total,
)
from firstspike_sim.inputs import check_inputs
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.prediction import predict_inputs

__all__ = ["Mapping", "map_to_device", "nearest_lanes"]

SAMPLES = 32
"""Number of inferences on which the timing model measures the interval."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mapping:
    """A compilation for a device.

    Parameters
    ----------
    compilation : Compilation
    interval : float
        Mean interval between inferences on the samples in cycles, by the timing model.
    elements, blocks : int
        Number of processing elements and of block RAMs that the mapping takes.
    limit : str
        What limits the interval: processing elements, block RAM, several of these or the network.
    """

    compilation: Compilation
    interval: float
    elements: int
    blocks: int
    limit: str


def map_to_device(
    network: FloatNetwork | IntegerNetwork, inputs: np.ndarray, *, device: str, lane_budget: int, **options,
) -> Mapping:
    """Choose lanes and banks of every layer.

    The cycles of a layer for each choice follow from the spikes of the samples and the walks of their events. The
    choices within the budgets with the fewest cycles in the busiest layer, and the same with the rest of the budgets
    spent, are run through the timing model. The one with the shorter interval is taken.

    Parameters
    ----------
    inputs
        Samples, as `GoldenModel.run` takes them. The first `SAMPLES` are used.
    device : str
        One of `firstspike_boards.devices.DEVICES`.
    lane_budget : int
        Processing elements of all layers together.
    options
        Further options of `compile_network`.

    Raises
    ------
    CompileError
        The network does not fit; the message names the nearest choice that does.
    """
    if device not in DEVICES:
        raise CompileError(f"device must be one of {', '.join(DEVICES)}, not {shown(device)}")
    chip = DEVICES[device]
    plain = compile_network(network, lanes=1, **options)
    integer, samples = plain.program.network, check_inputs(plain.program.network, inputs, some=True)[:SAMPLES]
    if lane_budget < len(integer.layers):
        raise CompileError(f"lane_budget must be ≥ {len(integer.layers)} (one a layer), not {shown(lane_budget)}")
    golden = GoldenModel(integer).run(samples)
    choices, budget = _choices(plain.program, golden.spikes, chip), Use(lane_budget, chip.blocks, UNLIMITED)
    found = fastest(choices, budget)
    if found is None:
        raise CompileError(_too_few_lanes(plain.program, choices, budget, chip)
                           or _refusal(network, plain, choices, chip, options))

    def measured(picked: tuple[Choice, ...]) -> tuple[float, Use, Compilation]:
        compilation = remap_as(plain, [one.options for one in picked])
        prediction = predict_inputs(compilation.program, samples, golden=golden)
        first = prediction.trace.accepted[prediction.stimulus.starts[:-1]]
        interval = np.diff(first).mean() if len(samples) > 1 else prediction.trace.taken[0]
        return float(interval), total(picked), compilation

    tried = [measured(picked) for picked in {tuple(found), tuple(filled(choices, found, budget))}]
    interval, use, compilation = min(tried, key=lambda one: one[:2])
    return Mapping(compilation=compilation, interval=interval, elements=use.elements, blocks=use.memory,
                   limit=_limit(choices, found, budget, chip))


def nearest_lanes(program: Program, device: Device, blocks: int) -> list[int] | None:
    """Return lanes of every layer with which the memories of the cores take at most ``blocks`` block RAMs.

    They take no more elements in all than the program does now, and the fewest cycles in the busiest layer that this
    allows if every neuron fires. None: there are no such lanes.
    """
    network = program.network
    everyone = [np.ones((1, 1, size), dtype=bool)
                for size in (network.inputs, *(layer.neurons for layer in network.layers))]
    choices = _choices(program, everyone, device, banks=[(1, 1)] * len(network.layers))
    found = fastest(choices, Use(sum(core.plan.elements for core in program.cores), blocks, UNLIMITED))
    return None if found is None else [one.options.lanes for one in found]


def _choices(program: Program, spikes: Sequence[np.ndarray], device: Device, **fixed) -> list[list[Choice]]:
    """List every sensible way to map each layer to a device."""
    return list_choices(program.network, program.config.layers, [workload(core, spikes) for core in program.cores],
                        _use_of(device), **fixed)


def _use_of(device: Device) -> Callable[[CoreSpec], Use]:
    return lambda core: Use(core.plan.elements, device.blocks_of_all(core.memories))


def _limit(choices: list[list[Choice]], found: list[Choice], budget: Use, device: Device) -> str:
    """Name what keeps the busiest layer from taking fewer cycles: the fewest budgets that would have to be larger."""
    now = max(one.cycles for one in found)
    names = {"elements": "processing elements", "memory": "block RAM"}
    for count in range(1, len(names) + 1):
        for short in combinations(names, count):
            other = fastest(choices, budget._replace(**dict.fromkeys(short, UNLIMITED)))
            if other is None or max(one.cycles for one in other) >= now:
                continue
            if short == ("elements",):
                return f"processing elements: more than {budget.elements} would help"
            if len(short) == 1:
                return f"{names[short[0]]}: {device.name} has {getattr(budget, short[0])}"
            return (f"processing elements and block RAM together: {budget.elements}, and the {budget.memory} of "
                    f"{device.name}")
    busiest = max(range(len(found)), key=lambda index: found[index].cycles)
    return f"the network: layer {busiest} has every lane that it can use"


def _too_few_lanes(program: Program, choices: list[list[Choice]], budget: Use, device: Device) -> str | None:
    """Return a message if a larger lane budget would make the block RAMs suffice: narrow memories can take more."""
    low, high = budget.elements, sum(max(one.use.elements for one in options) for options in choices)
    if fastest(choices, budget._replace(elements=high)) is None:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = fastest(choices, budget._replace(elements=middle)) is not None
        low, high = (low, middle) if enough else (middle, high)
    return (f"lane_budget must be ≥ {high}, so that {program.network.name} fits the {device.blocks} block RAMs of "
            f"{device.name}, not {shown(budget.elements)}")


def _refusal(
    network: FloatNetwork | IntegerNetwork, plain: Compilation, choices: list[list[Choice]], device: Device, options,
) -> str:
    """Return a message that tells why the network does not fit, and the nearest choice that does."""
    layers = plain.program.network.layers
    blocks = [one.use.memory for one in least(choices, 1)]
    largest = int(np.argmax(blocks))
    sentence = (
        f"{network.name} must fit the {device.blocks} block RAMs of {device.name}, but takes at least {sum(blocks)}, "
        f"{blocks[largest]} of them for layer {largest} ({layers[largest].name})")
    bits = max(layer.weight_bits for layer in layers)
    nearest = [] if isinstance(network, IntegerNetwork) else [
        f"{fewer} weight bits" for fewer in range(bits - 1, 1, -1)
        if _least_blocks(compile_network(network, **{**options, "lanes": 1, "weight_bits": fewer}), device)
        <= device.blocks][:1]
    larger = sorted((one for one in DEVICES.values() if _least_blocks(plain, one) <= one.blocks),
                    key=lambda one: one.blocks)
    nearest += [f"{one.name}, which has {one.blocks}" for one in larger[:1]]
    return f"{sentence}; " + (f"it would fit with {' or '.join(nearest)}" if nearest else "no known device is enough")


def _least_blocks(compilation: Compilation, device: Device) -> int:
    """Return the fewest block RAMs that any mapping takes."""
    program = compilation.program
    silence = [np.zeros((1, 1, size), dtype=bool)
               for size in (program.network.inputs, *(layer.neurons for layer in program.network.layers))]
    return total(least(_choices(program, silence, device), 1)).memory
