# SPDX-License-Identifier: MIT
"""Search the ways to map each layer for those with the fewest cycles in the busiest layer."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from firstspike_arch.banks import bank_shapes, reach
from firstspike_arch.connectivity import Conv2d
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.core_specs import can_multiply_leaks, core_spec, pairs_obstacle
from firstspike_arch.external import external_buffers
from firstspike_arch.fixed import ceil_div
from firstspike_arch.layer_options import LayerOptions
from firstspike_arch.layer_plan import LayerPlan, can_merge
from firstspike_arch.memory import LUT_RAM_DEPTH
from firstspike_arch.network import IntegerNetwork, Layer
from firstspike_arch.skipping import skips_obstacle
from firstspike_arch.work import Workload, row_waits, rows_visited, work_cycles

__all__ = ["UNLIMITED", "Choice", "Use", "dimensions", "fastest", "filled", "least", "list_choices",
           "processing_elements", "total", "with_buffers"]

Banks = tuple[int, int]

UNLIMITED = 1 << 60
"""A budget that no mapping exhausts."""

FACTORS = np.array([(1, *one) for one in product(2.0 ** np.arange(-6, 7, 2), repeat=3)])
"""Prices of what a mapping takes, relative to those at which all budgets are worth the same."""

LUT_RAM_MOST = 512
"""Rows up to which a mapping may keep membranes in LUT RAM: block RAM holds so many in any case."""

MARKERS = 300
"""Markers, of whole inferences, for which the rows are counted that they would not skip; it takes long."""

NEAR = 0.45
"""Share of a map within which the events of a step are, where nobody knows: of event cameras 0.2 … 0.7."""

CYCLE_DIGITS = 3
"""Decimals to which mean cycles are rounded: sums differ in their last bits from one processor to another, and a tie
must not be decided by them."""

ROUNDS = 4
"""How often closer prices are tried before the budgets count as too small."""


class Use(NamedTuple):
    """What a mapping takes, or a budget for it.

    ``elements``: processing elements; one that takes two events a cycle counts twice. ``memory``: block RAMs of a
    device, or bits where none is named. ``luts``: look-up tables. ``multipliers``: hardware multipliers.
    """

    elements: int
    memory: int
    luts: int = 0
    multipliers: int = 0

    def fits(self, budget: "Use") -> bool:
        return all(mine <= allowed for mine, allowed in zip(self, budget, strict=True))


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One way to map one layer.

    Parameters
    ----------
    options : LayerOptions
    work : float
        Cycles that an inference takes in the layer's core.
    tokens : float
        Cycles that it takes in the streams before the core.
    use : Use
        What the core takes.
    fetch : float
        Cycles that the external memory would take for an inference if every layer filled its beats as this one does.
    waits : float
        Cycles in which the events of an inference wait for each other's rows; an estimate, and rather too large.
    """

    options: LayerOptions
    work: float
    tokens: float
    use: Use
    fetch: float = 0.0
    waits: float = 0.0

    @property
    def cycles(self) -> float:
        """The largest of them: a core that is faster than its streams, or than the memory, waits."""
        return max(self.work + self.waits, self.tokens, self.fetch)


def dimensions(network: IntegerNetwork, index: int, template: LayerOptions) -> dict[str, list[Any]]:
    """Return the options of a layer that a mapping chooses beside its lanes, and their values, the plainest first."""
    layer = network.layers[index]
    alone = "external" if template.external else pairs_obstacle(
        network, index, single_port=template.single_port, bit_serial=template.bit_serial)
    return {
        "banks": bank_shapes(layer),
        "rotates": list(product((False, True), repeat=2)),
        "merges": [False, True] if can_merge(layer) and not template.external else [False],
        "events_per_cycle": [1, 2] if alone is None else [1],
        "skips": [False, True] if skips_obstacle(network, index) is None else [False],
        "forwards": [False, True] if isinstance(layer.connectivity, Conv2d) else [False],
        "multiplies_leaks": [False, True] if can_multiply_leaks(network, index) else [False],
        "lut_ram": list(product((False, True), repeat=2)),
    }


def with_buffers(network: IntegerNetwork, index: int, options: LayerOptions, beat_bits: int) -> LayerOptions:
    """Return options of a layer with external weights with as many buffers as its slices ask for; others unchanged."""
    if not options.external:
        return options
    fetching = core_spec(network, index, options, beat_bits=beat_bits).fetching
    assert fetching is not None
    return replace(options, external=external_buffers(fetching.beats))


def _all_slices(core: CoreSpec) -> float:
    return core.fetching.slices if core.fetching else 0


def list_choices(
    network: IntegerNetwork, templates: Sequence[LayerOptions], load_of: Callable[[CoreSpec], Workload],
    use_of: Callable[[CoreSpec], Use], *, given: Sequence[Mapping[str, Any]] | None = None, beat_bits: int = 64,
    slices_of: Callable[[CoreSpec], float] = _all_slices,
) -> list[list[Choice]]:
    """List the sensible ways to map each layer, those that take least first.

    Parameters
    ----------
    templates : sequence of LayerOptions
        Options of each layer that the mapping leaves as they are.
    load_of : callable
        Events of a core; their mean over the inferences counts. They depend on nothing but the layer and whether spikes
        are merged or come in pairs, and rows are skipped.
    use_of : callable
        What a core takes.
    given : sequence of mappings
        Options of each layer that are not to be chosen, of those in `dimensions`.
    beat_bits : int
        Width of the external memory's responses.
    slices_of : callable
        Slices of the external memory that an inference reads for a core.
    """
    found, beats = [], []
    for index, (layer, template) in enumerate(zip(network.layers, templates, strict=True)):
        values = dimensions(network, index, template)
        if given is not None:
            values |= {name: [value] for name, value in given[index].items()}
        loads: dict[tuple, Workload] = {}
        touched: dict[tuple, float] = {}
        choices, slices = [], None
        stores = values.pop("lut_ram")
        for banks, lanes in _sizes(layer, index, template, values.pop("banks")):
            for chosen in product(*values.values()):
                options = replace(template, lanes=lanes, banks=banks, **dict(zip(values, chosen, strict=True)))
                if any(turns and count == 1 for turns, count in zip(options.rotates, banks, strict=True)):
                    continue  # as without
                options = with_buffers(network, index, options, beat_bits)
                core = core_spec(network, index, options, beat_bits=beat_bits)
                stream = options.merges, options.events_per_cycle, options.skips
                if stream not in loads:
                    loads[stream] = load_of(core).mean()
                load = loads[stream]
                waits = float(row_waits(core, load)[0])
                if options.forwards:
                    plain = replace(core, plan=LayerPlan.of(layer, index, replace(options, forwards=False)))
                    if not row_waits(plain, load)[0]:
                        continue  # as without
                work = float(work_cycles(core, replace(load, present=()))[0])
                if options.skips:
                    if (banks, stream) not in touched:
                        touched[banks, stream] = _touched(core, load)
                    rows = (load.steps - 1) * core.plan.rows - touched[banks, stream] * core.plan.position_rows
                    work -= rows * len(core.microcode.step)
                fetch = 0.0
                if core.fetching is not None:
                    slices = slices_of(core) if slices is None else slices
                    fetch = slices * core.fetching.beats
                for lut_ram in stores:
                    there = replace(options, lut_ram=lut_ram)
                    core = replace(core, plan=replace(core.plan, options=there))
                    if _fits_lut_ram(core):
                        choices.append(Choice(
                            options=there, work=round(work, CYCLE_DIGITS), use=use_of(core), fetch=fetch,
                            tokens=round(float(load.tokens[0]), CYCLE_DIGITS), waits=round(waits, CYCLE_DIGITS)))
        found.append(sorted(choices, key=lambda one: one.use))
        beats.append(min(one.fetch for one in choices))
    # All layers share the memory.
    return [[replace(one, fetch=round(one.fetch / least * sum(beats), CYCLE_DIGITS)) if least else one
             for one in choices] for choices, least in zip(found, beats, strict=True)]


def _fits_lut_ram(core: CoreSpec) -> bool:
    """Whether the core has what its plan wants in LUT RAM, in memories that would else be block RAM, and not fill it.
    """
    membranes, others = [], []
    for memory in core.memories:
        (membranes if "_membranes" in memory.name else others).append(memory)
    return all(not wanted or any(one.lut_ram and LUT_RAM_DEPTH < one.depth <= LUT_RAM_MOST for one in memories)
               for wanted, memories in zip(core.plan.options.lut_ram, (membranes, others), strict=True))


def _touched(core: CoreSpec, load: Workload) -> float:
    """Return how many tiles of an inference have rows that an event reached in their step, the last step apart: of some
    inferences, if it is known where their events are, else expected if they are spread over `NEAR` of the map."""
    plan = core.plan
    if load.present:
        some = max(1, MARKERS // load.steps)
        return float(rows_visited(core, [one[:some] for one in load.present]).mean()) / plan.position_rows
    tiles, events = math.prod(plan.tiles), sum(float(one.sum()) for one in load.events) / load.steps
    reached = math.prod((one + banks - 1) / banks for one, banks in zip(
        reach(core.inputs[0].connectivity), plan.banks, strict=True))
    near = max(1.0, NEAR * tiles)
    return (load.steps - 1) * near * (1 - (1 - min(1.0, reached / near)) ** events)


def _sizes(layer: Layer, index: int, template: LayerOptions, shapes: Sequence[Banks]) -> list[tuple[Banks, int]]:
    """List banks and lanes of a layer, without those that are no better than others in any respect.

    These respects are the visits of an event, the rows that a marker visits, processing elements and banks.
    """
    channels = layer.channels // layer.groups
    lanes = sorted({ceil_div(channels, rows) for rows in range(1, channels + 1)})  # one fewer would need more rows
    reached = np.max([reach(one.connectivity) for one in (layer, *layer.branches)], axis=0)
    sizes, marks = [], []
    for banks, count in product(shapes, lanes):
        plan = LayerPlan.of(layer, index, replace(template, lanes=count, banks=banks))
        visits = int(np.prod(-(-reached // banks))) * plan.group_rows
        sizes.append((banks, count))
        marks.append((visits, plan.rows, plan.elements, plan.bank_count))
    table = np.array(marks)
    worse = [bool(((table <= mark).all(1) & (table < mark).any(1)).any()) for mark in table]
    return [size for size, drop in zip(sizes, worse, strict=True) if not drop]


def processing_elements(core: CoreSpec) -> int:
    """Return the weights that a core can add in a cycle: its lanes, twice if they take two events."""
    return core.plan.elements * core.plan.options.events_per_cycle


def total(picked: Sequence[Choice]) -> Use:
    """Add up what the choices take."""
    return Use(*(sum(parts) for parts in zip(*(one.use for one in picked), strict=True)))


def least(choices: Sequence[Sequence[Choice]], resource: str) -> list[Choice]:
    """For each layer, the choice that takes least of a resource, which is a field of `Use`."""
    return [min(options, key=lambda one: (getattr(one.use, resource), one.use)) for options in choices]


def fastest(choices: Sequence[Sequence[Choice]], budget: Use) -> list[Choice] | None:
    """Return the choices within the budget with the fewest cycles in the busiest layer; None: there are none.

    For a limit on the cycles, each layer takes the cheapest choice that keeps it, at prices that are searched until
    everything fits. This misses mappings now and then that would only just fit.
    """
    cycles = [np.array([one.cycles for one in options]) for options in choices]
    uses = [np.array([one.use for one in options], dtype=float) for options in choices]
    limits = np.unique(np.concatenate(cycles))
    low, high, best = int(np.searchsorted(limits, max(one.min() for one in cycles))), len(limits), None
    while low < high:
        middle = (low + high) // 2
        picked = _within([one <= limits[middle] for one in cycles], uses, np.array(budget, dtype=float))
        if picked is None:
            low = middle + 1
        else:
            best, high = picked, middle
    return None if best is None else [options[place] for options, place in zip(choices, best, strict=True)]


def _within(allowed: list[np.ndarray], uses: list[np.ndarray], budget: np.ndarray) -> list[int] | None:
    """Return the place of a choice for each layer, among those allowed, that together fit the budget; None: none found.

    Each layer takes what is cheapest by some prices: those at which all fits best are tried again, with closer ones.
    """
    taken = [np.where(mask[:, None], use, np.inf) for mask, use in zip(allowed, uses, strict=True)]
    if (sum(use.min(0) for use in taken) > budget).any():  # not even the least of each
        return None
    unit = 1 / np.maximum(budget, 1)
    centre, factors = unit, FACTORS
    for _ in range(ROUNDS):
        prices = centre * factors
        places = np.array([np.argmin(np.where(mask[:, None], _costs(use, prices), np.inf), axis=0)
                           for mask, use in zip(allowed, uses, strict=True)])
        shares = sum(use[place] for place, use in zip(places, uses, strict=True)) * unit
        worst = shares.max(1)
        if (fits := worst <= 1).any():
            return places[:, np.argmin(np.where(fits, shares.sum(1), np.inf))].tolist()
        centre, factors = prices[worst.argmin()], factors ** 0.5
    return None


def _costs(uses: np.ndarray, prices: np.ndarray) -> np.ndarray:
    """Return what each use costs at each of the prices, the same on every processor and for equal uses: the order in
    which a matrix product adds up depends on both."""
    return functools.reduce(np.add, (np.outer(use, price) for use, price in zip(uses.T, prices.T, strict=True)))


def filled(choices: Sequence[Sequence[Choice]], picked: Sequence[Choice], budget: Use) -> list[Choice]:
    """Spend the rest of the budget on the busiest layers that can use it, as layers do not overlap completely."""
    picked = list(picked)
    while True:
        for index in sorted(range(len(picked)), key=lambda index: -picked[index].cycles):
            others = total([*picked[:index], *picked[index + 1 :], replace(picked[index], use=Use(0, 0))])
            rest = Use(*(allowed - used for allowed, used in zip(budget, others, strict=True)))
            better = [one for one in choices[index] if one.cycles < picked[index].cycles and one.use.fits(rest)]
            if better:
                picked[index] = min(better, key=lambda one: one.use)
                break
        else:
            return picked
