# SPDX-License-Identifier: MIT
"""Options that map one layer onto its core."""

from dataclasses import dataclass

from .shown import shown

__all__ = ["LayerOptions"]


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
