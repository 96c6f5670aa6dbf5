# SPDX-License-Identifier: MIT
"""Configuration of the array: options for each layer and for the accelerator, and the geometry that follows."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from .connectivity import Conv2d, Dense
from .fixed import ceil_div
from .layer import Layer
from .shown import shown

__all__ = [
    "GROUP_BITS", "ROW_CYCLES", "ArrayConfig", "LayerOptions", "LayerPlan", "bank_shapes", "can_merge", "kernel_banks",
    "reach", "readout_cycles", "spike_queue_depth",
]

GROUP_BITS = 8
"""Number of neighbouring spikes that the extractor examines in one cycle."""

ROW_CYCLES = 3
"""Cycles after which a row can be visited again, if its sums are not forwarded."""


@dataclass(frozen=True, kw_only=True)
class LayerOptions:
    """Options that map one layer onto its core. The layout that follows from them is its `LayerPlan`.

    Parameters
    ----------
    lanes : int
        Processing elements of a bank. They work through the neurons row by row.
    membrane_bits : int
        Width of the stored membrane, 2…48: at least the width that the proof asks for.
    current_bits : int
        Width of the stored current of a direct input, or one that lasts, and of the rise of adaptive thresholds, up to
        ``membrane_bits``: at least what the proof asks for. 0: as of the membrane.
    register_rows : int
        Largest number of rows for which the membranes are a ring of registers. With more rows they are a memory: block
        RAM, or LUT RAM if it is shallow. 2 suits a device without LUT RAM.
    lut_ram : (bool, bool)
        Whether that memory, and the memories of what goes with the membranes (currents, spikes), are LUT RAM even if
        they have more than `LUT_RAM_DEPTH` rows. Block RAM holds 512 rows or more, and is wasted on fewer. It takes no
        cycle, and for each bit and 64 rows 1.7 LUTs of six inputs, or 9 of four.
    banks : (int, int)
        Kernel-parallel banks, down and across, at most `kernel_banks`. A row then holds so many neighbouring positions,
        each in a bank of lanes of its own. An event visits as many of the positions that it reaches at once, and each
        bank has its own row for it. The kernel is stored once for each place that the window of an event can have among
        the banks: weights take as many times more memory as there are banks.
    rotates : (bool, bool)
        Along which axis, down and across, the kernel is stored once and each word rotated to the banks, instead of a
        copy for each place; without effect where there is a single bank. For B banks along an axis, weights take B
        times less memory, and each bit of each lane's weight a multiplexer of B inputs: for 3 banks 1 LUT of six inputs
        or 2 of four, for 5 banks 2 or 4. It takes no cycle.
    bit_serial : bool
        For an input of numbers: an event is walked once for each bit of its value that is 1, with shifted weights. Then
        there are no multipliers.
    single_port : bool
        Whether the weight memory has a single port for reads and writes and no initial contents, so that a host must
        load it. It can then be one of the large RAMs that some devices have.
    merges : bool
        Whether the spikes of a pool window in a step reach the core as one event, whose value is their sum: of every
        stream that is pooled. It costs three small memories for each stream, and in each lane the product of weight and
        value: for up to 4 an adder, more for more.
    events_per_cycle : int
        1, or 2: the core takes up to two events at once, and adds the sum of their weights. That is for a dense layer
        whose only input is a vector (`pairs_obstacle`). What sends to the core sends two events a cycle if it can: the
        encoder of images, or the core before. It costs an adder of the weights' width a lane, and a second port that
        reads the weights: the block RAM of most devices has one if no more than half of its width is used, others take
        a copy of the memory.
    skips : bool
        Whether the marker of a step visits only the rows that an event of the step reached, and row 0. That is for a
        convolution whose parameters prove that it would leave all others as they are (`skips_obstacle`). It costs a
        register and 3 LUTs (of 4 inputs) a row, or 8 with several banks, and up to four cycles a step; it pays where
        few rows are reached.
    forwards : bool
        Whether the sums of a convolution are forwarded to an event that visits the same row in the next two cycles. It
        has no effect where they are anyway, as events visit only one row or two. Without it such an event waits, as
        events at the border of a map do that visit fewer rows than others. It costs a multiplexer and a flip-flop for
        each bit of a row of membranes.
    multiplies_leaks : bool
        Whether leaks of membranes, lasting currents and rises that else take several passes of a step, one for each bit
        of their shift, are a multiplication by ``leak_num`` in one pass: in most layers all leaks but 0, 1/4, 1 and
        1 − 2^−k. It costs a multiplexer for each bit of these numbers, and in each lane a multiplier for each of them,
        two if it has more than 18 bits.
    external : int
        0, or 2, 4, 8, 16 or 32: the weights are in an external memory (`firstspike_arch.external`), and so many buffers
        on the chip hold what an input channel takes. Biases stay on the chip. That is for a layer with one set of
        synapses (`external_obstacle`).
    parity : bool
        Whether the memories of the core, those of weights, biases, membranes and what goes with them, carry parity
        (`firstspike_arch.parity`), and words that do not fit it are counted when they are read. It takes no cycle; for
        each 8 bits of a word of weights, or of a row in a memory, a bit of memory, two flip-flops and about 4 LUTs, and
        a flip-flop for each bit of such a row.

    Raises
    ------
    ValueError
        An option is out of range; the message names it.
    """

    lanes: int
    membrane_bits: int
    current_bits: int = 0
    register_rows: int = 8
    lut_ram: tuple[bool, bool] = (False, False)
    banks: tuple[int, int] = (1, 1)
    rotates: tuple[bool, bool] = (False, False)
    bit_serial: bool = False
    single_port: bool = False
    merges: bool = False
    events_per_cycle: int = 1
    skips: bool = False
    forwards: bool = False
    multiplies_leaks: bool = False
    external: int = 0
    parity: bool = False

    def __post_init__(self) -> None:
        if self.lanes < 1:
            raise ValueError(f"lanes must be at least 1, not {shown(self.lanes)}")
        if not 2 <= self.membrane_bits <= 48:
            raise ValueError(f"membrane_bits must be 2…48, not {shown(self.membrane_bits)}")
        if not (self.current_bits == 0 or 2 <= self.current_bits <= self.membrane_bits):
            raise ValueError(f"current_bits must be 2…{self.membrane_bits}, or 0, not {shown(self.current_bits)}")
        if self.register_rows < 2:
            raise ValueError(f"register_rows must be at least 2, not {shown(self.register_rows)}")
        if min(self.banks) < 1:
            raise ValueError(f"banks must be at least (1, 1), not {shown(self.banks)}")
        if self.events_per_cycle not in (1, 2) or isinstance(self.events_per_cycle, bool):
            raise ValueError(f"events_per_cycle must be 1 or 2, not {shown(self.events_per_cycle)}")
        if self.external not in (0, 2, 4, 8, 16, 32) or isinstance(self.external, bool):
            raise ValueError(f"external must be 2, 4, 8, 16 or 32 buffers, or 0, not {shown(self.external)}")


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
        _check_banks(layer, options.banks)
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
        visits = math.prod(ceil_div(one, banks) for one, banks in zip(reach(synapses), self.banks, strict=True))
        return visits < ROW_CYCLES and self.channel_rows(synapses)[0] < ROW_CYCLES

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


@dataclass(frozen=True, kw_only=True)
class ArrayConfig:
    """Options of an accelerator: those of its cores and of its ports.

    Parameters
    ----------
    layers : tuple of LayerOptions
        Options for each layer, in order.
    port : "events" or "image"
        Input port: a token stream, or 64-bit beats of eight pixels followed by an encoder.
    early_exit : bool
        Whether the class is decided at the first step that settles it, and the rest of the inference is dropped.
    winner : "tree" or "scan"
        How the read-out finds the winning neuron: a tournament over the lanes, or a single comparator that takes one
        neuron a cycle.
    timeout : int
        Cycles of silence in the middle of an inference, 1…2^32 − 1, after which the input guard ends it; 0: never, so
        that live input may pause for as long as it likes.
    read_back : bool
        Whether a host can read weights and biases back.
    ordered : bool
        Whether the input guard drops, and counts, an event whose neuron is not behind those of all events of its step
        before it. No address then comes twice in a step, and membranes stay within their proven widths whatever comes.
    beat_bits : int
        Width of the external memory's responses, 32, 64 or 128; without effect if no layer is external.
    """

    layers: tuple[LayerOptions, ...]
    port: Literal["events", "image"] = "events"
    early_exit: bool = False
    winner: Literal["tree", "scan"] = "tree"
    timeout: int = 0
    read_back: bool = False
    ordered: bool = False
    beat_bits: int = 64

    def __post_init__(self) -> None:
        for name, known in (("port", ("events", "image")), ("winner", ("tree", "scan"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be {known[0]!r} or {known[1]!r}, not {shown(getattr(self, name))}")
        if self.beat_bits not in (32, 64, 128):
            raise ValueError(f"beat_bits must be 32, 64 or 128, not {shown(self.beat_bits)}")
        for name in ("early_exit", "read_back", "ordered"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise ValueError(f"{name} must be true or false, not {shown(getattr(self, name))}")
        if not isinstance(self.timeout, int) or isinstance(self.timeout, bool) or not 0 <= self.timeout < 1 << 32:
            raise ValueError(f"timeout must be 1…2^32 − 1 cycles, or 0 for none, not {shown(self.timeout)}")


def reach(synapses: Dense | Conv2d) -> tuple[int, int]:
    """Return the largest number of output positions that an event reaches, down and across."""
    if not isinstance(synapses, Conv2d):
        return 1, 1
    down, across = (ceil_div(synapses.kernel[axis], abs(synapses.neighbours(axis)[1])) for axis in (0, 1))
    return min(down, synapses.out_shape[1]), min(across, synapses.out_shape[2])


def bank_shapes(layer: Layer) -> list[tuple[int, int]]:
    """Return all banks that a layer can have, down and across: up to as many as there are positions that an event
    reaches.

    Where outputs that an event reaches lie at a distance, as with a dilation, banks have no factor in common with it:
    two outputs would be in one bank. Only (1, 1) is left for a dense layer, for a kernel of one pixel and for a layer
    with a pool of currents.
    """
    sets = [one.connectivity for one in (layer, *layer.branches) if isinstance(one.connectivity, Conv2d)]
    if not sets or layer.current_pool is not None:
        return [(1, 1)]
    down, across = (
        [banks for banks in range(1, 1 + max(reach(one)[axis] for one in sets))
         if all(math.gcd(banks, one.neighbours(axis)[0]) == 1 for one in sets)]
        for axis in (0, 1))
    return [(one, other) for one in down for other in across]


def kernel_banks(layer: Layer) -> tuple[int, int]:
    """Return the most of `bank_shapes`; an event then reaches its outputs in as few visits as possible, mostly one."""
    return bank_shapes(layer)[-1]


def _check_banks(layer: Layer, banks: tuple[int, int]) -> None:
    """Raise ValueError unless the layer can have so many banks."""
    if banks in bank_shapes(layer):
        return
    most = kernel_banks(layer)
    if all(one <= limit for one, limit in zip(banks, most, strict=True)):
        raise ValueError(f"banks must have no factor in common with the distance of outputs that an event reaches, as "
                         f"{most} has none, not {banks}")
    raise ValueError(f"banks must be {'' if most == (1, 1) else '(1, 1) to '}{most}, not {banks}")


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
