# SPDX-License-Identifier: MIT
"""Search the ways to map each layer for those with the fewest cycles in the busiest layer."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from firstspike_arch.array import LayerOptions, kernel_banks
from firstspike_arch.core_spec import CoreSpec, core_spec
from firstspike_arch.fixed import ceil_div
from firstspike_arch.network import IntegerNetwork, Layer
from firstspike_arch.work import Workload, work_cycles

__all__ = ["UNLIMITED", "Banks", "Choice", "Use", "fastest", "filled", "least", "list_choices", "total"]

Banks = tuple[int, int]

UNLIMITED = 1 << 60
"""A budget that no mapping exhausts."""

ROUNDS = 40
"""Prices of what a mapping takes that are tried before the budgets count as too small."""


class Use(NamedTuple):
    """What a mapping takes, or a budget for it.

    ``elements``: processing elements. ``memory``: block RAMs of a device, or bits where none is named. ``luts``:
    look-up tables.
    """

    elements: int
    memory: int
    luts: int = 0

    def fits(self, budget: "Use") -> bool:
        return all(mine <= allowed for mine, allowed in zip(self, budget, strict=True))


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One way to map one layer, the cycles of an inference that it takes, and what it takes of the device."""

    options: LayerOptions
    cycles: float
    use: Use


def list_choices(
    network: IntegerNetwork, templates: Sequence[LayerOptions], loads: Sequence[Workload],
    use_of: Callable[[CoreSpec], Use], *, banks: Sequence[Banks | None] | None = None,
) -> list[list[Choice]]:
    """List every sensible way to map each layer, those that take least first.

    Parameters
    ----------
    templates : sequence of LayerOptions
        Options of each layer that the mapping leaves as they are.
    loads : sequence of Workload
        Events of each layer's core. Their mean over the inferences counts.
    use_of : callable
        What a core takes.
    banks : sequence of (int, int) or None
        Banks of each layer; None: they are chosen.
    """
    found = []
    for index, (layer, template, load) in enumerate(zip(network.layers, templates, loads, strict=True)):
        mean, choices = load.mean(), []
        for options in _variants(layer, template, None if banks is None else banks[index]):
            core = core_spec(network, index, options)
            choices.append(Choice(options=options, cycles=float(work_cycles(core, mean)[0]), use=use_of(core)))
        found.append(sorted(choices, key=lambda one: one.use))
    return found


def _variants(layer: Layer, template: LayerOptions, banks: Banks | None) -> Iterator[LayerOptions]:
    """All options of a layer; of the numbers of lanes, those for which one lane fewer would need more rows."""
    channels = layer.channels // layer.groups
    lanes = sorted({ceil_div(channels, rows) for rows in range(1, channels + 1)})
    for shape in dict.fromkeys([(1, 1), kernel_banks(layer)]) if banks is None else (banks,):
        for count in lanes:
            yield replace(template, lanes=count, banks=shape)


def total(picked: Sequence[Choice]) -> Use:
    """Add up what the choices take."""
    return Use(*(sum(parts) for parts in zip(*(one.use for one in picked), strict=True)))


def least(choices: Sequence[Sequence[Choice]], resource: int) -> list[Choice]:
    """For each layer, the choice that takes least of a resource, which is an index of `Use`."""
    return [min(options, key=lambda one: (one.use[resource], one.use)) for options in choices]


def fastest(choices: Sequence[Sequence[Choice]], budget: Use) -> list[Choice] | None:
    """Return the choices within the budget with the fewest cycles in the busiest layer; None: there are none.

    For a limit on the cycles, each layer takes the cheapest choice that keeps it, where what is short becomes more
    expensive until everything fits. This misses mappings now and then that would only just fit.
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
    """
    def cheapest(price: np.ndarray) -> tuple[list[int], np.ndarray]:
        places = [int(np.argmin(np.where(mask, use @ price, np.inf))) for mask, use in zip(allowed, uses, strict=True)]
        return places, sum(use[place] for place, use in zip(places, uses, strict=True)) - budget

    unit = 1 / np.maximum(budget, 1)
    for resource in range(len(budget)):
        places, excess = cheapest(np.where(np.arange(len(budget)) == resource, unit, unit * 1e-6))
        if excess[resource] > 0:  # not even the least fits
            return None
    price = unit.copy()
    for _ in range(ROUNDS):
        places, excess = cheapest(price)
        if (excess <= 0).all():
            return places
        price *= np.clip(1 + excess * unit, 0.9, 2) ** 2
    return None


def filled(choices: Sequence[Sequence[Choice]], picked: Sequence[Choice], budget: Use) -> list[Choice]:
    """Spend the rest of the budget on the busiest layers that can use it, as layers do not overlap completely."""
    picked = list(picked)
    while True:
        for index in sorted(range(len(picked)), key=lambda index: -picked[index].cycles):
            others = total([*picked[:index], *picked[index + 1 :], replace(picked[index], use=Use(0, 0, 0))])
            rest = Use(*(allowed - used for allowed, used in zip(budget, others, strict=True)))
            better = [one for one in choices[index] if one.cycles < picked[index].cycles and one.use.fits(rest)]
            if better:
                picked[index] = min(better, key=lambda one: one.use)
                break
        else:
            return picked
