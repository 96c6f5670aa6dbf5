# SPDX-License-Identifier: MIT
"""Work of one core: its cycles for the events and step ends of an inference, if nothing ever waits."""

from collections.abc import Sequence

import numpy as np
from firstspike_arch.array import LayerPlan
from firstspike_arch.microcode import Microcode
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.walk import walks_of

__all__ = ["core_work", "events_of"]


def events_of(network: IntegerNetwork, index: int, spikes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Mean events of an inference at each address, float64[N], for each set of synapses of a layer.

    ``spikes`` as in `GoldenResult.spikes`.
    """
    return [(spikes[branch.source + 1] != 0).sum(1).mean(0) for branch in network.layers[index].synapses(index)]


def core_work(
    network: IntegerNetwork, index: int, plan: LayerPlan, marker: Microcode, events: Sequence[np.ndarray],
) -> float:
    """Mean cycles of an inference: the rows that each event visits, and the passes at the end of each step."""
    layer = network.layers[index]
    cycles = float(network.steps * Microcode.issue_cycles(marker.step or marker.final, plan))
    for walk, branch, counts in zip(walks_of(layer, plan)[0], layer.synapses(index), events, strict=True):
        _, _, y_counts, x_counts = walk.visits(branch.connectivity.in_shape)
        cycles += float(counts @ np.maximum(y_counts * x_counts * walk.reach, 1))
    return cycles
