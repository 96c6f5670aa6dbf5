# SPDX-License-Identifier: MIT
"""Map each layer onto its core: how many neurons a bank updates in one cycle, and how many banks there are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.layer_options import LayerOptions
from firstspike_arch.network import IntegerNetwork, Layer
from firstspike_arch.shown import shown
from firstspike_arch.work import spread_workload

from ..errors import CompileError
from .estimate_events import estimate_events
from .search_mapping import UNLIMITED, Use, fastest, least, list_choices, processing_elements, total, with_buffers

__all__ = ["LANE_BUDGET", "MEMORY_BITS", "MEMORY_FACTOR", "map_layers"]

LANE_BUDGET = 256
"""Default for the processing elements of all cores together."""

MEMORY_FACTOR = 2
"""Memory that a mapping without a device may take, over the least that any mapping takes: banks keep copies of a
kernel."""

MEMORY_BITS = 1 << 19
"""Memory that such a mapping may take in any case, in bits: half of what small devices have."""


LUTS_AN_ELEMENT = 100
"""LUTs for each element of the budget of such a mapping, more than it can take: they weigh against memory only."""


def map_layers(
    network: IntegerNetwork, templates: Sequence[LayerOptions], *, lanes: int | Sequence[int] | None = None,
    lane_budget: int | None = None, events: Sequence[float | None] | None = None,
    given: Sequence[Mapping[str, Any]] | None = None, beat_bits: int = 64,
) -> tuple[LayerOptions, ...]:
    """Choose the lanes and banks of each layer.

    Without ``lanes``, the mapping is the one with the fewest cycles in the busiest layer, and of those the one that
    takes least, within the budget and `MEMORY_FACTOR` times the least memory (or `MEMORY_BITS`).

    Parameters
    ----------
    templates : sequence of LayerOptions
        The other options of each layer.
    lanes : int or sequence of int
        Lanes of every layer (a smaller layer gets as many as it can use), or one number for each layer. Options that
        are not given are then the plainest: one bank, no merging.
    lane_budget : int
        Processing elements of all layers together, if ``lanes`` is not given.
    events : sequence of float or None
        Expected input events of each layer in an inference. None: estimated, see `estimate_events`.
    given : sequence of mappings
        Options of each layer that are not to be chosen: ``banks``, ``rotates``, ``merges``, …
    beat_bits : int
        Width of the responses of the external memory, if layers have their weights there.

    Raises
    ------
    CompileError
        The lanes do not fit a layer, or the budget is less than one processing element a bank.
    """
    layers = network.layers
    if lanes is not None and lane_budget is not None:
        raise CompileError("lanes must be given alone, or lane_budget, not both")
    if lanes is not None:
        chosen = [replace(template, lanes=count, **one) for template, count, one in zip(
            templates, _checked(layers, lanes), given or [{}] * len(layers), strict=True)]
        try:
            return tuple(with_buffers(network, index, one, beat_bits) for index, one in enumerate(chosen))
        except ValueError as error:
            raise CompileError(str(error)) from None
    budget = LANE_BUDGET if lane_budget is None else lane_budget
    if not isinstance(budget, int) or budget < len(layers):
        raise CompileError(f"lane_budget must be ≥ {len(layers)} (one a layer), not {shown(budget)}")
    if events is not None and (len(events) != len(layers) or min(one or 0 for one in events) < 0):
        raise CompileError(f"events must be {len(layers)} numbers ≥ 0, one a layer, not {shown(tuple(events))}")
    expected = estimate_events(network, events)
    # Two events a cycle take a second port of the weights, and some devices have none; nor have all LUT RAM, or
    # multipliers.
    plain = {"events_per_cycle": 1, "lut_ram": (False, False), "multiplies_leaks": False}
    given = [{**plain, **one} for one in given or [{}] * len(layers)]
    choices = list_choices(
        network, templates, lambda core: spread_workload(core, network.steps, expected), _use, given=given,
        beat_bits=beat_bits)
    memory = max(MEMORY_FACTOR * total(least(choices, "memory")).memory, MEMORY_BITS)
    luts = LUTS_AN_ELEMENT * budget  # not a limit, but a price
    found = fastest(choices, Use(budget, memory, luts, UNLIMITED))
    if found is None:
        fewest = total(least(choices, "elements")).elements
        if fewest > budget:
            raise CompileError(f"lane_budget must be ≥ {fewest} (one a bank), not {shown(budget)}")
        found = fastest(choices, Use(budget, UNLIMITED, UNLIMITED, UNLIMITED))
    assert found is not None  # within the elements alone, one a bank always fits
    return tuple(one.options for one in found)


def _use(core: CoreSpec) -> Use:
    """What a core takes of a device that is not known."""
    plan = core.plan
    turned = sum(banks - 1 for banks, turns in zip(plan.banks, plan.rotates, strict=True) if turns)
    return Use(processing_elements(core),
               sum(memory.depth * memory.stored_bits * memory.read_ports for memory in core.memories),
               plan.elements * ((2 + plan.options.forwards) * plan.membrane_bits + core.layer.weight_bits * turned))


def _checked(layers: Sequence[Layer], lanes: int | Sequence[int]) -> tuple[int, ...]:
    """The lanes of each layer as given."""
    if isinstance(lanes, int):
        if lanes < 1:
            raise CompileError(f"lanes must be ≥ 1, not {shown(lanes)}")
        return tuple(min(lanes, _most(layer)) for layer in layers)
    chosen = tuple(lanes)
    if len(chosen) != len(layers):
        raise CompileError(f"lanes must be one number, or one for each of the {len(layers)} layers, not "
                           f"{shown(chosen)}")
    for index, (count, layer) in enumerate(zip(chosen, layers, strict=True)):
        if not isinstance(count, int) or not 1 <= count <= _most(layer):
            limit = "its neurons" if layer.positions == 1 else "its channels in a group"
            raise CompileError(
                f"layer {index} ({layer.name}): lanes must be 1…{_most(layer)} ({limit}), not {shown(count)}"
            )
    return chosen


def _most(layer: Layer) -> int:
    """Return the most lanes that a layer can use: its neurons, or the channels of a group at one position."""
    return layer.channels // layer.groups
