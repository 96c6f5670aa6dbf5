# SPDX-License-Identifier: MIT
"""Mapping to a device: the lanes and banks of every layer that give the shortest interval between inferences."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.delaying import delayed
from firstspike_arch.external import external_obstacle
from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.program import Program
from firstspike_arch.shown import shown
from firstspike_arch.work import workload
from firstspike_boards.devices import DEVICES, Device
from firstspike_boards.lut_model import core_luts, entry_luts, program_luts, readout_luts
from firstspike_compiler.compile import Compilation, compile_network, remap_as
from firstspike_compiler.errors import CompileError
from firstspike_compiler.options import given_options
from firstspike_compiler.passes.search_mapping import (
    UNLIMITED,
    Choice,
    Use,
    fastest,
    filled,
    least,
    list_choices,
    processing_elements,
    total,
)
from firstspike_sim.inputs import check_inputs
from firstspike_sim.models.golden import GoldenModel, GoldenResult, Progress, unseen
from firstspike_sim.models.prediction import predict_inputs

__all__ = ["FILL", "Mapping", "device_parts", "device_use", "map_to_device", "nearest_lanes"]

SAMPLES = 32
"""Number of inferences on which the timing model measures the interval."""

TRIAL_STEPS, TRIAL_CYCLES = 60, 500_000
"""Steps that the inferences on which it compares candidates must have together, and cycles that they should have."""

FINALISTS = 2
"""Number of candidates, of those tried the best, that all samples decide between."""

SHARES = (0.8, 0.6)
"""Cycles of the other layers, over those of the busiest one, in candidates."""

EVEN = 1.02
"""Intervals within so much of the shortest count as equal; the mapping that takes least is taken."""

FILL = 0.9
"""Share of a device's look-up tables that a mapping may take: their model may be wrong by a tenth."""


Tried = tuple[float, Use, Compilation]
"""Interval, what is taken, and the mapping."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mapping:
    """A compilation for a device.

    Parameters
    ----------
    compilation : Compilation
    interval : float
        Mean interval between inferences on the samples in cycles, by the timing model; at least what the external
        memory takes for an inference.
    elements, blocks, luts, multipliers : int
        Number of processing elements, block RAMs, look-up tables (by `firstspike_boards.lut_model`) and hardware
        multipliers that the mapping takes.
    limit : str
        What limits the interval: one of these, several of them, the external memory or the network.
    octets : float
        Mean octets that an inference of the samples reads from the external memory.
    """

    compilation: Compilation
    interval: float
    elements: int
    blocks: int
    luts: int
    multipliers: int
    limit: str
    octets: float = 0.0


def map_to_device(
    network: FloatNetwork | IntegerNetwork, inputs: np.ndarray, *, device: str, lane_budget: int | None,
    progress: Progress = unseen, **options,
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
    lane_budget : int or None
        Processing elements of all layers together. None: as many as the device's look-up tables allow.
    progress : callable
        Called as ``progress(done, total)``, counts of candidates that the timing model tries, from when they are known.
    options
        Further options of `compile_network`. Those of the mapping, such as ``merges``, are then not chosen. With
        ``external`` "auto", weights go to an external memory until the rest fits the block RAM, the largest first.

    Raises
    ------
    CompileError
        The network does not fit; the message names the nearest choice that does.
    """
    if device not in DEVICES:
        raise CompileError(f"device must be one of {', '.join(DEVICES)}, not {shown(device)}")
    chip = DEVICES[device]
    auto = options.get("external") == "auto"
    options |= {"external": ()} if auto else {}
    plain = compile_network(network, lanes=1, **options)
    if auto:
        options["external"] = _outside(plain.program, chip)
        plain = compile_network(network, lanes=1, **options)
    integer, samples = plain.program.network, check_inputs(plain.program.network, inputs, some=True)[:SAMPLES]
    if lane_budget is not None and lane_budget < len(integer.layers):
        raise CompileError(f"lane_budget must be ≥ {len(integer.layers)} (one a layer), not {shown(lane_budget)}")
    golden = GoldenModel(integer).run(samples)
    given = given_options(integer, plain.options)
    if not chip.lut_depth:
        if any(any(one.get("lut_ram", ())) for one in given):
            raise CompileError(f"lut_ram must be off: {device} has no LUT RAM")
        given = [{"lut_ram": (False, False), **one} for one in given]
    if not chip.multipliers:  # of look-up tables, one would be the longest path
        given = [{"multiplies_leaks": False, **one} for one in given]
    budget = _budget(plain.program, lane_budget, chip)
    while True:
        choices = _choices(plain.program, golden.spikes, chip, given=given)
        found = fastest(choices, budget)
        candidates = list(_candidates(plain, choices, budget, chip))
        if not auto or (found and candidates):
            break
        more = _outside(plain.program, chip, more=1)
        if len(more) == len(plain.options.external):
            break
        plain = compile_network(network, lanes=1, **options | {"external": more})
    if found is None or not candidates:
        raise CompileError(_too_few_lanes(plain.program, choices, budget, chip)
                           or _refusal(network, plain, choices, budget, chip, options))
    least = max(2, TRIAL_STEPS // integer.steps)
    few = samples[:1 + max(least, round(TRIAL_CYCLES / max(one.cycles for one in found)))]
    golden_few = GoldenModel(integer).run(few)
    finalists = min(FINALISTS, len(candidates))
    steps = itertools.count(1)

    def tried(one: tuple[Compilation, Use], inputs: np.ndarray, golden: GoldenResult) -> Tried:
        interval = _interval(one[0].program, inputs, golden)
        progress(next(steps), len(candidates) + finalists)
        return interval, one[1], one[0]

    trials = [tried(one, few, golden_few) for one in candidates]
    interval, use, compilation = _best_first([tried((compilation, use), samples, golden)
                                              for _, use, compilation in _best_first(trials)[:finalists]])[0]
    octets = _octets_read(compilation.program, golden.spikes)
    cycles = octets / (compilation.program.config.beat_bits // 8)
    array = max(max(one.work, one.tokens) for one in found)
    limit = (f"the external memory: what an inference reads takes {cycles:.0f} cycles of it, the busiest layer "
             f"{array:.0f}" if cycles > array else _limit(choices, found, budget, chip))
    # Layers take turns at the memory: with few samples, some have read all before others begin.
    return Mapping(compilation=compilation, interval=max(interval, cycles), elements=use.elements, blocks=use.memory,
                   luts=round(program_luts(compilation.program, chip.lut_inputs)), multipliers=use.multipliers,
                   limit=limit, octets=octets)


def _outside(program: Program, device: Device, more: int = 0) -> tuple[int, ...]:
    """Return the layers whose weights must go to an external memory, the largest first, so that the bits of all others
    fit the block RAM; and ``more`` than have gone there already, as far as there are some."""
    network = program.network
    bits = {index: layer.weight_bits * sum(one.weights.size for one in (layer, *layer.branches))
            for index, layer in enumerate(network.layers)}
    gone = [core.index for core in program.external]
    able = sorted((index for index in bits if index not in gone and external_obstacle(network, index) is None),
                  key=lambda index: -bits[index])
    capacity = device.blocks * max(depth * width for depth, width in device.shapes)
    while able and (more > 0 or sum(bits[index] for index in bits if index not in gone) > capacity):
        gone.append(able.pop(0))
        more -= 1
    return tuple(sorted(gone))


def _octets_read(program: Program, spikes: Sequence[np.ndarray]) -> float:
    """Return the mean octets that an inference reads from the external memory."""
    return sum(_slices_read(core, spikes) * core.fetching.octets for core in program.external if core.fetching)


def _slices_read(core: CoreSpec, spikes: Sequence[np.ndarray]) -> float:
    """Return the mean slices that a core reads from the external memory for an inference."""
    assert core.fetching is not None
    line = core.inputs[0].delaying
    return float(core.fetching.slices_read(delayed(np.asarray(spikes[core.index]), line and line.delays)).mean())


def _best_first(tried: list[Tried]) -> list[Tried]:
    """Sort mappings by their intervals, those as good as the best (`EVEN`) by what they take."""
    limit = min(interval for interval, *_ in tried) * EVEN
    return sorted(tried, key=lambda one: (0, one[1], one[0]) if one[0] <= limit else (1, one[0], one[1]))


def _interval(program: Program, samples: np.ndarray, golden: GoldenResult) -> float:
    """Return the mean cycles between inferences, or those of the only one."""
    trace = predict_inputs(program, samples, golden=golden).trace
    return float(trace.intervals.mean() if len(trace.taken) > 1 else trace.taken[0])


def _candidates(
    plain: Compilation, choices: list[list[Choice]], budget: Use, device: Device,
) -> Iterator[tuple[Compilation, Use]]:
    """Yield mappings within the budget that the timing model is to decide between, and what they take.

    As layers do not overlap completely, the fewest cycles in the busiest layer are not always the shortest interval:
    there are also mappings in which the others, or all beside a stream that is the busiest, have fewer cycles. And as
    events wait for rows less often than is estimated, there are some for which none waits.
    """
    seen = set()
    plans = product([(None, 1.0, 1.0), *product([None, *range(len(choices))], SHARES, (1.0,)),
                     *product((None,), (1.0, *SHARES), (0.0,))], (False, True))
    for (main, share, waiting), spend in plans:
        weighted = [
            [replace(one, work=one.work / (1 if main == index else share), waits=one.waits * waiting) for one in some]
            for index, some in enumerate(choices)]
        allowed = budget
        while found := fastest(weighted, allowed):
            chosen = filled(weighted, found, allowed) if spend else found
            picked = tuple(one.options for one in chosen)
            if picked in seen:
                break
            seen.add(picked)
            compilation = remap_as(plain, picked)
            use = _use_of_all(compilation.program, device)
            if use.fits(budget):
                yield compilation, use
                break
            # What a layer takes depends a little on the one before: a merger's memories do, for instance.
            excess = (max(0, real - counted) for real, counted in zip(use, total(chosen), strict=True))
            allowed = Use(*(most - more for most, more in zip(allowed, excess, strict=True)))


def nearest_lanes(program: Program, device: Device, blocks: int) -> list[int] | None:
    """Return lanes of every layer with which the memories of the cores take at most ``blocks`` block RAMs.

    They take no more elements in all than the program does now, and the fewest cycles in the busiest layer that this
    allows if every neuron fires. None: there are no such lanes.
    """
    network = program.network
    everyone = [np.ones((1, 1, size), dtype=bool)
                for size in (network.inputs, *(layer.neurons for layer in network.layers))]
    given = [{"banks": (1, 1), "rotates": (False, False), "merges": options.merges,
              "events_per_cycle": options.events_per_cycle, "skips": options.skips, "forwards": options.forwards,
              "multiplies_leaks": options.multiplies_leaks, "lut_ram": options.lut_ram}
             for options in program.config.layers]
    choices = _choices(program, everyone, device, given=given)
    found = fastest(choices, Use(sum(map(processing_elements, program.cores)), blocks, UNLIMITED, UNLIMITED))
    return None if found is None else [one.options.lanes for one in found]


def _choices(program: Program, spikes: Sequence[np.ndarray], device: Device, **fixed) -> list[list[Choice]]:
    """List every sensible way to map each layer to a device."""
    return list_choices(program.network, program.config.layers, lambda core: workload(core, spikes),
                        lambda core: _use_of(core, program, device), beat_bits=program.config.beat_bits,
                        slices_of=lambda core: _slices_read(core, spikes), **fixed)


def _use_of(core: CoreSpec, program: Program, device: Device) -> Use:
    """What a core takes of a device, that of the output layer with its read-out."""
    luts, multiplied = core_luts(core, device.lut_inputs), core.plan.elements * core.multiplies
    if not device.multipliers:
        luts += multiplied * core.layer.weight_bits * max(layout.value_bits for layout in core.layouts)
        luts += core.plan.elements * sum(
            (core.plan.membrane_bits if store == "membrane" else core.plan.current_bits) * op.index
            for store, op in core.microcode.leak_products.items())
    multiplied += core.leak_multipliers
    if core.index == len(program.cores) - 1:
        luts += readout_luts(program.network, program.config, core, device.lut_inputs)
    return Use(processing_elements(core), device.blocks_of_all(core.memories), round(luts),
               multiplied if device.multipliers else 0)


def _use_of_all(program: Program, device: Device) -> Use:
    return Use(*(sum(parts) for parts in zip(*(_use_of(core, program, device) for core in program.cores), strict=True)))


def _budget(program: Program, elements: int | None, device: Device) -> Use:
    """What the cores and the read-out may take of a device."""
    luts = round(device.luts * FILL - entry_luts(program, device.lut_inputs))
    return Use(UNLIMITED if elements is None else elements, device.blocks, luts, device.multipliers)


def _limit(choices: list[list[Choice]], found: list[Choice], budget: Use, device: Device) -> str:
    """Name what keeps the busiest layer from taking fewer cycles: the fewest budgets that would have to be larger."""
    now = max(one.cycles for one in found)
    has = {"elements": f"processing elements: more than {budget.elements} would help",
           "memory": f"block RAM: {device.name} has {device.blocks}", "luts": f"LUTs: {device.name} has {device.luts}",
           "multipliers": f"multipliers: {device.name} has {device.multipliers}"}
    bounded = [name for name in has if getattr(budget, name) < UNLIMITED]
    for count in range(1, len(bounded) + 1):
        for short in combinations(bounded, count):
            other = fastest(choices, budget._replace(**dict.fromkeys(short, UNLIMITED)))
            if other is not None and max(one.cycles for one in other) < now:
                return " and ".join(has[name] for name in short)
    busiest = max(range(len(found)), key=lambda index: found[index].cycles)
    if found[busiest].tokens > found[busiest].work:
        return f"the network: layer {busiest} has its events at one a cycle"
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
    network: FloatNetwork | IntegerNetwork, plain: Compilation, choices: list[list[Choice]], budget: Use,
    device: Device, options,
) -> str:
    """Return a message that tells why the network does not fit, and the nearest choice that does."""
    program = plain.program
    names = {"memory": "block RAMs", "luts": "LUTs", "multipliers": "multipliers"}
    needed = {name: [getattr(one.use, name) for one in least(choices, name)] for name in names}
    short = next((name for name in names if sum(needed[name]) > getattr(budget, name)), None)
    if short is None:
        sentence = (f"{network.name} must fit the {device.blocks} block RAMs and the {device.luts} LUTs of "
                    f"{device.name} together")
    else:
        parts = needed[short]
        largest = max(range(len(parts)), key=lambda index: parts[index])
        sentence = (
            f"{network.name} must fit the {getattr(budget, short)} {names[short]} of {device.name}, but takes at least "
            f"{sum(parts)}, {parts[largest]} of them for layer {largest} ({program.network.layers[largest].name})")
    nearest = []
    if short == "memory" and not isinstance(network, IntegerNetwork):
        bits = max(layer.weight_bits for layer in program.network.layers)
        nearest += [
            f"{fewer} weight bits" for fewer in range(bits - 1, 1, -1)
            if _could_fit(compile_network(network, **{**options, "lanes": 1, "weight_bits": fewer}).program, device)
        ][:1]
    larger = sorted((one for one in DEVICES.values() if _could_fit(program, one)), key=lambda one: one.blocks)
    if short is None:  # each of them is enough by itself, so that only a device with more of both tells something
        more = [one for one in larger if one.blocks > device.blocks and one.luts > device.luts]
        return f"{sentence}; " + next(
            (f"{one.name}, which has {one.blocks} and {one.luts}, may be enough" for one in more),
            "no known device has more of both")
    nearest += [f"{one.name}, which has {one.blocks}" for one in larger[:1]]
    return f"{sentence}; " + (f"it would fit with {' or '.join(nearest)}" if nearest else "no known device is enough")


def _could_fit(program: Program, device: Device) -> bool:
    """Whether some mapping takes at most what a device has, of each resource by itself."""
    silence = [np.zeros((1, 1, size), dtype=bool)
               for size in (program.network.inputs, *(layer.neurons for layer in program.network.layers))]
    choices, budget = _choices(program, silence, device), _budget(program, None, device)
    return all(getattr(total(least(choices, name)), name) <= getattr(budget, name) for name in Use._fields)


def device_use(program: Program, device: Device) -> Use:
    """What a whole accelerator takes of a device: its cores and read-out, and what no mapping changes."""
    use = _use_of_all(program, device)
    return use._replace(luts=use.luts + round(entry_luts(program, device.lut_inputs)))


def device_parts(program: Program, device: Device) -> list[tuple[str, Use]]:
    """What each layer takes of a device, the last with the read-out; then, as "input and host", all that no mapping
    changes."""
    parts = [(core.layer.name, _use_of(core, program, device)) for core in program.cores]
    return [*parts, ("input and host", Use(0, 0, round(entry_luts(program, device.lut_inputs))))]
