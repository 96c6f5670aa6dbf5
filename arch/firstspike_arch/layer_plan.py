# SPDX-License-Identifier: MIT
"""Placement of a layer's neurons in rows, lanes and banks, and what follows from it."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from .banks import check_banks, reach
from .connectivity import Conv2d, Dense
from .fixed import ceil_div
from .layer import Layer
from .layer_options import LayerOptions
from .shown import shown

__all__ = ["GROUP_BITS", "ROW_CYCLES", "LayerPlan", "can_merge", "readout_cycles", "spike_queue_depth"]

GROUP_BITS = 8
"""Number of neighbouring spikes that the extractor examines in one cycle."""

ROW_CYCLES = 3
"""Cycles after which a row can be visited again, if its sums are not forwarded and its memory is near the lanes."""


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """Placement of a layer's neurons: the rows, lanes and banks that follow from the layer and its options.

    Parameters
    ----------
    options : LayerOptions
    neurons : int
        Neurons of the layer. In a dense layer, neuron r·lanes + p is lane p of row r.
    size : (int, int)
        Height and width of a convolution's output. A dense layer has one position.
    sums : (int, int)
        Height and width of the map of sums that a pool of currents takes; (0, 0): there is none.
    groups : int
        Groups of channels. A row holds up to ``lanes`` channels of one group at one position.
    scattered : bool
        Whether an event may visit only some rows, in any order, as in a convolution.
    forwards : bool
        Whether a row may be visited again in the next cycle, so that sums are forwarded before they are written.
    recurrent : bool
        Whether the layer takes its own spikes, so that the queue must have room for those of a whole step.

    Raises
    ------
    ValueError
        There are more lanes than channels in a group.
    """

    options: LayerOptions
    neurons: int
    size: tuple[int, int] = (1, 1)
    sums: tuple[int, int] = (0, 0)
    groups: int = 1
    scattered: bool = False
    forwards: bool = False
    recurrent: bool = False

    @classmethod
    def of(cls, layer: Layer, index: int, options: LayerOptions) -> "LayerPlan":
        """Make the plan of the layer with number ``index``.

        Raises
        ------
        ValueError
            There are more lanes than channels in a group, ``banks`` that the layer cannot have, nothing that ``merges``
            could merge, or ``forwards`` for a dense layer.
        """
        synapses = layer.connectivity
        if options.merges and not can_merge(layer):
            raise ValueError("merges must be off: no set of synapses of the layer takes its spikes through a sum or "
                             "average pool")
        if options.forwards and not isinstance(synapses, Conv2d):
            raise ValueError("forwards must be off: every event of a dense layer visits all rows")
        check_banks(layer, options.banks)
        size, sums = (1, 1), (0, 0)
        if isinstance(synapses, Conv2d):
            size = layer.out_shape[1:]
            sums = (0, 0) if layer.current_pool is None else layer.sums_shape[1:]
        plan = cls(
            options=options, neurons=layer.neurons, size=(size[0], size[1]), sums=(sums[0], sums[1]),
            groups=layer.groups, scattered=isinstance(synapses, Conv2d),
            recurrent=any(branch.source == index for branch in layer.branches),
        )
        return replace(plan, forwards=options.forwards or any(
            plan.revisits(one.connectivity) for one in (layer, *layer.branches)))

    def __post_init__(self) -> None:
        if self.lanes > self.group_channels:
            limit = "the layer's neurons" if self.positions == 1 else "the channels of a group"
            raise ValueError(f"lanes must be 1…{self.group_channels} ({limit}), not {shown(self.lanes)}")

    @property
    def lanes(self) -> int:
        """Processing elements of a bank."""
        return self.options.lanes

    @property
    def banks(self) -> tuple[int, int]:
        """Banks down and across."""
        return self.options.banks

    @property
    def rotates(self) -> tuple[bool, bool]:
        """Whether words of weights are rotated down and across, among several banks."""
        (down, across), (several_down, several_across) = self.options.rotates, (banks > 1 for banks in self.banks)
        return down and several_down, across and several_across

    @property
    def membrane_bits(self) -> int:
        """Width of a stored membrane."""
        return self.options.membrane_bits

    @property
    def current_bits(self) -> int:
        """Width of a stored current, and of a rise."""
        return self.options.current_bits or self.options.membrane_bits

    @property
    def bit_serial(self) -> bool:
        """Whether an event is walked once for each bit of its value that is 1."""
        return self.options.bit_serial

    @property
    def positions(self) -> int:
        """Number of pixels of the output; 1 for a dense layer."""
        return self.size[0] * self.size[1]

    @property
    def bank_count(self) -> int:
        return self.banks[0] * self.banks[1]

    @property
    def elements(self) -> int:
        """Number of processing elements: the lanes of all banks."""
        return self.lanes * self.bank_count

    @property
    def word_lanes(self) -> int:
        """Width of a spike word: the lanes; of several banks, each is filled up to whole groups of `GROUP_BITS`."""
        return self.lanes if self.bank_count == 1 else self.bank_count * ceil_div(self.lanes, GROUP_BITS) * GROUP_BITS

    @property
    def tiles(self) -> tuple[int, int]:
        """How often the banks fit into the output, down and across, rounded up."""
        return ceil_div(self.size[0], self.banks[0]), ceil_div(self.size[1], self.banks[1])

    @property
    def group_channels(self) -> int:
        """Channels of a group."""
        return self.neurons // (self.positions * self.groups)

    @property
    def group_rows(self) -> int:
        """Rows of a group at one position."""
        return ceil_div(self.group_channels, self.lanes)

    @property
    def position_rows(self) -> int:
        """Rows of all groups at one position."""
        return self.groups * self.group_rows

    @property
    def rows(self) -> int:
        """Rows of a bank."""
        return self.tiles[0] * self.tiles[1] * self.position_rows

    @property
    def sum_rows(self) -> int:
        """Rows of the sums that a pool of currents takes; 0: there is none."""
        return self.sums[0] * self.sums[1] * self.position_rows

    @property
    def walk_rows(self) -> int:
        """Rows that are visited: of the membranes, or, where the currents are pooled, of the sums if they have more."""
        return max(self.rows, self.sum_rows)

    def row_of_channel(self, channel: np.ndarray) -> np.ndarray:
        """Return the row, among those at one position, that holds a channel, int64."""
        group, local = np.divmod(channel, self.group_channels)
        return group * self.group_rows + local // self.lanes

    def channels_of_rows(self) -> np.ndarray:
        """Return the channel in each lane of the rows at a position, int64[position_rows, lanes]; −1: none."""
        channel = np.arange(self.group_rows * self.lanes).reshape(self.group_rows, self.lanes)
        channel = np.where(channel < self.group_channels, channel, -1)
        groups = np.arange(self.groups)[:, None, None] * self.group_channels
        return np.where(channel < 0, -1, channel + groups).reshape(self.position_rows, self.lanes)

    @property
    def aligned(self) -> bool:
        """Whether every row begins at a channel whose number is a multiple of `GROUP_BITS`."""
        return not (self.channels_of_rows()[:, 0] % GROUP_BITS).any()

    def channel_rows(self, synapses: Conv2d) -> tuple[int, np.ndarray]:
        """Return the number of rows that an event visits at one position, and the first of them for each input channel.

        With branches, the groups of a convolution can differ from those of the rows.
        """
        inputs, group_outputs = synapses.in_shape[0], synapses.channels // synapses.groups
        first, last = (self.row_of_channel(np.arange(synapses.groups) * group_outputs + offset)
                       for offset in (0, group_outputs - 1))
        count = int((last - first).max()) + 1
        return count, np.minimum(first, self.position_rows - count)[np.arange(inputs) // (inputs // synapses.groups)]

    def revisits(self, synapses: Dense | Conv2d) -> bool:
        """Return whether every event of a convolution visits fewer than `ROW_CYCLES` rows, so that one that visits the
        same rows as the event before it would always wait.

        Where others visit more, those at the border of the map may still visit fewer (`LayerOptions.forwards`).
        """
        if not isinstance(synapses, Conv2d):
            return False
        return math.prod(self._visits(synapses)) < ROW_CYCLES and self.channel_rows(synapses)[0] < ROW_CYCLES

    def row_spacing(self, synapses: Dense | Conv2d) -> int:
        """Return after how many visits an event can visit a row that the event before it visited, if their pixels are
        in one line, as they usually are: the first that it visits may have been the last position across."""
        if not isinstance(synapses, Conv2d):
            return self.rows
        down, across = self._visits(synapses)
        return (down * across - (across - 1)) * self.channel_rows(synapses)[0]

    def _visits(self, synapses: Conv2d) -> tuple[int, ...]:
        """Return how many positions an event visits down and across, one after the other."""
        return tuple(ceil_div(one, banks) for one, banks in zip(reach(synapses), self.banks, strict=True))

    def places(self) -> np.ndarray:
        """Return row·word_lanes + bit of each neuron's place in the spike words, in torch's order, int64[neurons]."""
        row, bank, lane = self._rows_banks_lanes()
        return row * self.word_lanes + bank * (self.word_lanes // self.bank_count) + lane

    def neurons_of_rows(self) -> np.ndarray:
        """Return the neuron, numbered in torch's order, in each element of each row, int64[rows, elements]; −1: none.
        """
        row, bank, lane = self._rows_banks_lanes()
        neurons = np.full((self.rows, self.elements), -1, dtype=np.int64)
        neurons[row, bank * self.lanes + lane] = np.arange(self.neurons)
        return neurons

    def _rows_banks_lanes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row, bank and lane of each neuron, in torch's order."""
        channel, y, x = (part.ravel() for part in np.indices((self.groups * self.group_channels, *self.size)))
        row = (y // self.banks[0] * self.tiles[1] + x // self.banks[1]) * self.position_rows
        bank = y % self.banks[0] * self.banks[1] + x % self.banks[1]
        return row + self.row_of_channel(channel), bank, channel % self.group_channels % self.lanes

    @property
    def in_registers(self) -> bool:
        """Whether the membranes are in registers, not in a memory."""
        return self.rows <= self.options.register_rows and not self.scattered

    @property
    def in_one_row(self) -> bool:
        """Whether all neurons are in one row of registers, so that a pass follows the previous one at once."""
        return self.rows == 1 and self.in_registers


def can_merge(layer: Layer) -> bool:
    """Whether the layer takes spikes through a pool, of which those of a window can be merged."""
    return any(one.connectivity.pool_size > 1 for one in (layer, *layer.branches))


def spike_queue_depth(plan: LayerPlan) -> int:
    """Return how many spike words a core's queue holds: one, or those of two steps rounded up to a power of two, ≤ 256.

    The queue of a recurrent layer holds at least one step: the layer takes no spike of a step before all are captured.
    """
    if plan.rows == 1:
        return 1
    return min(1 << (2 * plan.rows - 1).bit_length(), max(256, plan.recurrent << (plan.rows - 1).bit_length()))


def readout_cycles(plan: LayerPlan, winner: Literal["tree", "scan"]) -> int:
    """Return the cycles that the read-out takes to compare the neurons of a row with each other and earlier rows."""
    if winner == "scan":
        return plan.elements
    levels = (plan.elements - 1).bit_length()
    return max(levels, 1) if plan.rows == 1 else levels + 1
