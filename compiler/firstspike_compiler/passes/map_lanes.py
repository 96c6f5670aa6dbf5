# SPDX-License-Identifier: MIT
"""Choose the lanes of each core: how many neurons a bank updates in one cycle."""

from collections.abc import Sequence

from firstspike_arch.connectivity import Conv2d, ConvTranspose2d
from firstspike_arch.fixed import ceil_div
from firstspike_arch.microcode import microcodes_of
from firstspike_arch.network import IntegerNetwork, Layer
from firstspike_arch.shown import shown

from ..errors import CompileError

__all__ = ["LANE_BUDGET", "map_lanes"]

LANE_BUDGET = 256
"""Default for the lanes of all cores together."""


def map_lanes(
    network: IntegerNetwork, *, lanes: int | Sequence[int] | None = None, lane_budget: int | None = None,
    events: Sequence[float] | None = None,
) -> tuple[int, ...]:
    """Choose the lanes of each layer.

    Parameters
    ----------
    lanes : int or sequence of int
        Lanes of every layer (a smaller layer gets as many as it can use), or one number for each layer.
    lane_budget : int
        Lanes of all layers together, if ``lanes`` is not given. They are divided so that the busiest core has the least
        work.
    events : sequence of float
        Expected input events of each layer in an inference. None: as many as the layer has inputs.

    Raises
    ------
    CompileError
        The lanes do not fit a layer, or the budget is less than one lane a layer.
    """
    layers = network.layers
    if lanes is not None and lane_budget is not None:
        raise CompileError("lanes must be given alone, or lane_budget, not both")
    if lanes is not None:
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
    budget = LANE_BUDGET if lane_budget is None else lane_budget
    if not isinstance(budget, int) or budget < len(layers):
        raise CompileError(f"lane_budget must be ≥ {len(layers)} (one a layer), not {shown(budget)}")
    work = tuple(float(layer.inputs) for layer in layers) if events is None else tuple(events)
    if len(work) != len(layers) or min(work) < 0:
        raise CompileError(f"events must be {len(layers)} numbers ≥ 0, one a layer, not {shown(work)}")
    # Cycles of a core for each row of a group: its events, and in every step every pass over all positions.
    cycles = tuple(
        count * _positions_reached(layer)
        + network.steps * len(microcode.step or microcode.final) * layer.positions * layer.groups
        for count, layer, microcode in zip(work, layers, microcodes_of(network), strict=True)
    )
    return _share_out([_most(layer) for layer in layers], cycles, budget)


def _most(layer: Layer) -> int:
    """Return the most lanes that a layer can use: its neurons, or the channels of a group at one position."""
    return layer.channels // layer.groups


def _positions_reached(layer: Layer) -> float:
    """Return the mean number of positions that an event reaches away from the border."""
    synapses = layer.connectivity
    if not isinstance(synapses, Conv2d):
        return 1.0
    if isinstance(synapses, ConvTranspose2d):  # through every tap
        return float(synapses.kernel[0] * synapses.kernel[1])
    return synapses.kernel[0] * synapses.kernel[1] / (synapses.stride[0] * synapses.stride[1])


def _share_out(neurons: list[int], work: tuple[float, ...], budget: int) -> tuple[int, ...]:
    """Divide lanes among cores: as long as the budget lasts, the busiest core gets just enough more to save one row.

    This is optimal: only the busiest core sets the interval, and lanes given to it cost no other core a row.
    """
    rows = list(neurons)
    while True:
        busiest = max(range(len(rows)), key=lambda index: work[index] * rows[index])
        if rows[busiest] == 1:
            break
        fewer = ceil_div(neurons[busiest], ceil_div(neurons[busiest], rows[busiest] - 1))
        attempt = [*rows[:busiest], fewer, *rows[busiest + 1 :]]
        if sum(ceil_div(count, row) for count, row in zip(neurons, attempt, strict=True)) > budget:
            break
        rows = attempt
    return tuple(ceil_div(count, row) for count, row in zip(neurons, rows, strict=True))
