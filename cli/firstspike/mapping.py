# SPDX-License-Identifier: MIT
"""Mapping to a device: the lanes and banks of every layer that give the shortest interval between inferences."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from firstspike_arch.array import kernel_banks
from firstspike_arch.core_spec import CoreSpec, core_spec
from firstspike_arch.fixed import ceil_div
from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.program import Program
from firstspike_arch.shown import shown
from firstspike_arch.work import work_cycles, workload
from firstspike_boards.devices import DEVICES, Device
from firstspike_compiler.compile import Compilation, compile_network, remap
from firstspike_compiler.errors import CompileError
from firstspike_compiler.passes.map_lanes import map_lanes
from firstspike_sim.inputs import check_inputs
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.prediction import predict_inputs

__all__ = ["Mapping", "map_to_device", "nearest_lanes"]

SAMPLES = 32
"""Number of inferences on which the timing model measures the interval."""

PRICES = (0.0, 0.25, 1.0, 4.0, 1e9)
"""Prices of a block RAM, in processing elements, that are tried to keep within both budgets."""


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
        What limits the interval: processing elements, block RAM, both or the network.
    """

    compilation: Compilation
    interval: float
    elements: int
    blocks: int
    limit: str


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """One way to map one layer."""

    lanes: int
    parallel: bool
    cycles: float
    elements: int
    blocks: int


def map_to_device(
    network: FloatNetwork | IntegerNetwork, inputs: np.ndarray, *, device: str, lane_budget: int, **options,
) -> Mapping:
    """Choose lanes and kernel-parallel banks of every layer.

    The cycles of a layer for each choice follow from the spikes of the samples and the walks of their events. Up to
    three mappings are run through the timing model: the choices within the budgets with the fewest cycles in the
    busiest layer, the same with the rest of the budgets spent, and the lanes that `map_lanes` chooses. The one with the
    shortest interval is taken.

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
    plain = compile_network(network, lanes=1, **options)
    integer, samples = plain.program.network, check_inputs(plain.program.network, inputs, some=True)[:SAMPLES]
    if lane_budget < len(integer.layers):
        raise CompileError(f"lane_budget must be ≥ {len(integer.layers)} (one a layer), not {shown(lane_budget)}")
    spikes = GoldenModel(integer).run(samples).spikes
    choices = _choices(plain.program, spikes, DEVICES[device])
    found = _fastest(choices, lane_budget, DEVICES[device].blocks)
    if found is None:
        raise CompileError(_too_few_lanes(network, choices, lane_budget, DEVICES[device])
                           or _refusal(network, plain, choices, DEVICES[device], options))
    shared = [next(one for one in options if one.lanes == lanes and not one.parallel)
              for options, lanes in zip(choices, map_lanes(integer, lane_budget=lane_budget), strict=True)]
    tried = []
    for picked in dict.fromkeys([
        tuple(found), tuple(_filled(choices, found, lane_budget, DEVICES[device].blocks)), tuple(shared),
    ]):
        if sum(one.blocks for one in picked) > DEVICES[device].blocks:
            continue
        compilation = remap(plain, lanes=[one.lanes for one in picked],
                            kernel_parallel=[one.parallel for one in picked])
        prediction = predict_inputs(compilation.program, samples)
        first = prediction.trace.accepted[prediction.stimulus.starts[:-1]]
        tried.append((float(np.diff(first).mean()) if len(samples) > 1 else float(prediction.trace.taken[0]),
                      sum(one.elements for one in picked), picked, compilation))
    interval, elements, picked, compilation = min(tried, key=lambda one: one[:2])
    return Mapping(
        compilation=compilation, interval=interval, elements=elements, blocks=sum(one.blocks for one in picked),
        limit=_limit(choices, found, lane_budget, DEVICES[device]),
    )


def nearest_lanes(program: Program, device: Device, blocks: int) -> list[int] | None:
    """Return lanes of every layer with which the memories of the cores take at most ``blocks`` block RAMs.

    They take no more elements in all than the program does now, and the fewest cycles in the busiest layer that this
    allows if every neuron fires. None: there are no such lanes.
    """
    network = program.network
    everyone = [np.ones((1, 1, size), dtype=bool)
                for size in (network.inputs, *(layer.neurons for layer in network.layers))]
    found = _fastest(_choices(program, everyone, device), sum(core.plan.elements for core in program.cores), blocks)
    return None if found is None or any(one.parallel for one in found) else [one.lanes for one in found]


def _choices(program: Program, spikes: Sequence[np.ndarray], device: Device) -> list[list[_Choice]]:
    """List every sensible way to map each layer, fewest elements first."""
    found = []
    for core in program.cores:
        load, options = workload(core, spikes), []
        for banks in dict.fromkeys([(1, 1), kernel_banks(core.layer)]):
            for lanes in _sensible_lanes(core):
                trial = core_spec(program.network, core.index, replace(core.plan.options, lanes=lanes, banks=banks))
                options.append(_Choice(
                    lanes=lanes, parallel=banks != (1, 1), cycles=float(work_cycles(trial, load).mean()),
                    elements=trial.plan.elements, blocks=device.blocks_of_all(trial.memories),
                ))
        found.append(sorted(options, key=lambda one: (one.elements, one.blocks)))
    return found


def _sensible_lanes(core: CoreSpec) -> list[int]:
    """List the numbers of lanes, fewest first, for which one lane fewer would need more rows."""
    channels = core.plan.group_channels
    return sorted({ceil_div(channels, rows) for rows in range(1, channels + 1)})


def _fastest(choices: list[list[_Choice]], elements: int, blocks: int) -> list[_Choice] | None:
    """Return the choices within the budgets with the fewest cycles in the busiest layer; None: there are none."""
    limits = sorted({one.cycles for options in choices for one in options})
    low, high, best = 0, len(limits), None
    while low < high:
        middle = (low + high) // 2
        picked = _within(choices, limits[middle], elements, blocks)
        if picked is None:
            low = middle + 1
        else:
            best, high = picked, middle
    return best


def _within(choices: list[list[_Choice]], cycles: float, elements: int, blocks: int) -> list[_Choice] | None:
    """Return choices of at most ``cycles`` for each layer, within the budgets, by trying `PRICES`; None: none found."""
    for price in PRICES:
        picked = []
        for options in choices:
            fast = [one for one in options if one.cycles <= cycles]
            if not fast:
                return None
            picked.append(min(fast, key=lambda one, price=price: (one.elements + price * one.blocks, one.elements)))
        if sum(one.elements for one in picked) <= elements and sum(one.blocks for one in picked) <= blocks:
            return picked
    return None


def _filled(choices: list[list[_Choice]], picked: list[_Choice], elements: int, blocks: int) -> list[_Choice]:
    """Spend the rest of the budgets on the busiest layers that can use it, as layers do not overlap completely."""
    picked = list(picked)
    while True:
        for index in sorted(range(len(picked)), key=lambda index: -picked[index].cycles):
            rest = elements - sum(one.elements for one in picked), blocks - sum(one.blocks for one in picked)
            better = [one for one in choices[index] if one.cycles < picked[index].cycles
                      and one.elements - picked[index].elements <= rest[0]
                      and one.blocks - picked[index].blocks <= rest[1]]
            if better:
                picked[index] = min(better, key=lambda one: (one.elements, one.blocks))
                break
        else:
            return picked


def _limit(choices: list[list[_Choice]], found: list[_Choice], elements: int, device: Device) -> str:
    """Name what keeps the busiest layer from taking fewer cycles."""
    now = max(one.cycles for one in found)
    unbounded = 1 << 60

    def gains(lanes: int, blocks: int) -> bool:
        other = _fastest(choices, lanes, blocks)
        return other is not None and max(one.cycles for one in other) < now

    if gains(unbounded, device.blocks):
        return f"processing elements: more than {elements} would help"
    if gains(elements, unbounded):
        return f"block RAM: {device.name} has {device.blocks}"
    if gains(unbounded, unbounded):
        return f"processing elements and block RAM together: {elements}, and the {device.blocks} of {device.name}"
    busiest = max(range(len(found)), key=lambda index: found[index].cycles)
    return f"the network: layer {busiest} has every lane that it can use"


def _too_few_lanes(
    network: FloatNetwork | IntegerNetwork, choices: list[list[_Choice]], elements: int, device: Device,
) -> str | None:
    """Return a message if a larger lane budget would make the block RAMs suffice: narrow memories can take more."""
    picks = [[min(options, key=lambda one, price=price: (one.elements + price * one.blocks, one.elements))
              for options in choices] for price in PRICES]
    enough = [sum(one.elements for one in picked) for picked in picks
              if sum(one.blocks for one in picked) <= device.blocks]
    if not enough:
        return None
    return (f"lane_budget must be ≥ {min(enough)}, so that {network.name} fits the {device.blocks} block RAMs of "
            f"{device.name}, not {shown(elements)}")


def _refusal(
    network: FloatNetwork | IntegerNetwork, plain: Compilation, choices: list[list[_Choice]], device: Device, options,
) -> str:
    """Return a message that tells why the network does not fit, and the nearest choice that does."""
    layers = plain.program.network.layers
    least = [min(one.blocks for one in layer) for layer in choices]
    largest = int(np.argmax(least))
    sentence = (
        f"{network.name} must fit the {device.blocks} block RAMs of {device.name}, but takes at least {sum(least)}, "
        f"{least[largest]} of them for layer {largest} ({layers[largest].name})")
    bits = max(layer.weight_bits for layer in layers)
    nearest = [] if isinstance(network, IntegerNetwork) else [
        f"{fewer} weight bits" for fewer in range(bits - 1, 1, -1)
        if _least_blocks(compile_network(network, **{**options, "weight_bits": fewer}), device) <= device.blocks][:1]
    larger = sorted((one for one in DEVICES.values() if _least_blocks(plain, one) <= one.blocks),
                    key=lambda one: one.blocks)
    nearest += [f"{one.name}, which has {one.blocks}" for one in larger[:1]]
    return f"{sentence}; " + (f"it would fit with {' or '.join(nearest)}" if nearest else "no known device is enough")


def _least_blocks(compilation: Compilation, device: Device) -> int:
    """Return the fewest block RAMs that any mapping takes."""
    network = compilation.program.network
    return sum(
        min(device.blocks_of_all(core_spec(network, core.index, replace(core.plan.options, lanes=lanes)).memories)
            for lanes in _sensible_lanes(core))
        for core in compilation.program.cores)
