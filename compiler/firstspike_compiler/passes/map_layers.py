# SPDX-License-Identifier: MIT
"""Map each layer onto its core: how many neurons a bank updates in one cycle, and how many banks there are."""

from collections.abc import Sequence
from dataclasses import replace

from firstspike_arch.array import LayerOptions
from firstspike_arch.core_spec import CoreSpec, core_spec
from firstspike_arch.network import IntegerNetwork, Layer
from firstspike_arch.shown import shown
from firstspike_arch.work import spread_workload

from ..errors import CompileError
from .estimate_events import estimate_events
from .search_mapping import UNLIMITED, Banks, Use, fastest, least, list_choices, total

__all__ = ["LANE_BUDGET", "MEMORY_FACTOR", "map_layers"]

LANE_BUDGET = 256
"""Default for the processing elements of all cores together."""

MEMORY_FACTOR = 2
"""Memory that a mapping without a device may take, over the least that any mapping takes: banks keep copies of a
kernel."""


def map_layers(
    network: IntegerNetwork, templates: Sequence[LayerOptions], *, lanes: int | Sequence[int] | None = None,
    lane_budget: int | None = None, events: Sequence[float | None] | None = None,
    banks: Sequence[Banks | None] | None = None,
) -> tuple[LayerOptions, ...]:
    """Choose the lanes and banks of each layer.

    Without ``lanes``, the mapping is the one with the fewest cycles in the busiest layer, and of those the one that
    takes least, within the budget and `MEMORY_FACTOR` times the least memory.

    Parameters
    ----------
    templates : sequence of LayerOptions
        The other options of each layer.
    lanes : int or sequence of int
        Lanes of every layer (a smaller layer gets as many as it can use), or one number for each layer. Banks that are
        not given are then one a layer.
    lane_budget : int
        Processing elements of all layers together, if ``lanes`` is not given.
    events : sequence of float or None
        Expected input events of each layer in an inference. None: estimated, see `estimate_events`.
    banks : sequence of (int, int) or None
        Banks of each layer; None: they are chosen.

    Raises
    ------
    CompileError
        The lanes do not fit a layer, or the budget is less than one processing element a bank.
    """
    layers = network.layers
    if lanes is not None and lane_budget is not None:
        raise CompileError("lanes must be given alone, or lane_budget, not both")
    if lanes is not None:
        given = [None] * len(layers) if banks is None else banks
        return tuple(replace(template, lanes=count, banks=one or (1, 1))
                     for template, count, one in zip(templates, _checked(layers, lanes), given, strict=True))
    budget = LANE_BUDGET if lane_budget is None else lane_budget
    if not isinstance(budget, int) or budget < len(layers):
        raise CompileError(f"lane_budget must be ≥ {len(layers)} (one a layer), not {shown(budget)}")
    if events is not None and (len(events) != len(layers) or min(one or 0 for one in events) < 0):
        raise CompileError(f"events must be {len(layers)} numbers ≥ 0, one a layer, not {shown(tuple(events))}")
    expected = estimate_events(network, events)
    loads = [spread_workload(core_spec(network, index, template), network.steps, expected)
             for index, template in enumerate(templates)]
    choices = list_choices(network, templates, loads, _use, banks=banks)
    memory = MEMORY_FACTOR * total(least(choices, 1)).memory
    found = fastest(choices, Use(budget, memory, UNLIMITED))
    if found is None:
        fewest = total(least(choices, 0)).elements
        if fewest > budget:
            raise CompileError(f"lane_budget must be ≥ {fewest} (one a bank), not {shown(budget)}")
        found = fastest(choices, Use(budget, UNLIMITED, UNLIMITED))
    assert found is not None  # within the elements alone, one a bank always fits
    return tuple(one.options for one in found)


def _use(core: CoreSpec) -> Use:
    """What a core takes of a device that is not known."""
    return Use(core.plan.elements, sum(memory.depth * memory.used_bits for memory in core.memories))


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
