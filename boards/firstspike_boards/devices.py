# SPDX-License-Identifier: MIT
"""FPGAs by name: how many block RAMs and look-up tables they have, and the shapes of the block RAMs."""

from collections.abc import Iterable
from dataclasses import dataclass

from firstspike_arch.fixed import ceil_div
from firstspike_arch.memory import LUT_RAM_DEPTH, MemoryShape

__all__ = ["DEVICES", "Device"]


@dataclass(frozen=True, kw_only=True)
class Device:
    """An FPGA.

    Parameters
    ----------
    name : str
    blocks : int
        Number of block RAMs.
    shapes : tuple of (int, int)
        Shapes (depth, width) that a block RAM can be configured as.
    lut_depth : int
        Depth up to which a memory becomes LUT RAM by itself. 0: the device has none.
    lut_cells : int
        Cells of LUT RAM, of 16 × 4 bits, up to which synthesis prefers them to a block RAM. 0: the depth alone decides.
    luts : int
        Number of look-up tables.
    lut_inputs : int
        Inputs of a look-up table, 4 or 6.
    multipliers : int
        Number of hardware multipliers. 0: there are none, or the open tools do not use them; a multiplication then
        takes look-up tables.
    large_blocks : int
        Number of large RAMs, which have one port and no initial contents.
    large_shape : (int, int)
        Depth and width of a large RAM.
    dual_width : int
        Greatest width of a block RAM that reads two words at once. 0: it reads one, and two blocks hold the same.
    """

    name: str
    blocks: int
    shapes: tuple[tuple[int, int], ...]
    lut_depth: int = LUT_RAM_DEPTH
    lut_cells: int = 0
    luts: int
    lut_inputs: int = 4
    multipliers: int = 0
    large_blocks: int = 0
    large_shape: tuple[int, int] = (1, 1)
    dual_width: int = 18

    def blocks_of(self, memory: MemoryShape) -> int:
        """Count the block RAMs that a memory takes; 0 if it becomes LUT RAM or large RAM."""
        return 0 if self.makes_lut_ram(memory) or self.large_blocks_of(memory) else self._blocks_of(memory)

    def makes_lut_ram(self, memory: MemoryShape) -> bool:
        """Whether a memory becomes LUT RAM, by itself or as it must."""
        if memory.lut_ram or memory.depth > self.lut_depth:
            return memory.lut_ram and self.lut_depth > 0
        cells = ceil_div(memory.depth, 16) * ceil_div(memory.stored_bits, 4)
        return not self.lut_cells or cells <= self.lut_cells * self._blocks_of(memory)

    def _blocks_of(self, memory: MemoryShape) -> int:
        """Count the block RAMs that a memory takes that becomes block RAM."""
        # Each chunk of a word has a write enable of its own, so no block holds parts of two chunks.
        whole, rest = divmod(memory.stored_bits, memory.chunk_bits) if memory.loadable else (0, memory.used_bits)
        shapes, copies = self.shapes, 1
        if memory.read_ports == 2 and self.dual_width:
            shapes = tuple((depth, width) for depth, width in shapes if width <= self.dual_width)
        elif memory.read_ports == 2:
            copies = 2
        return copies * min(
            ceil_div(memory.depth, depth) * (whole * ceil_div(memory.chunk_bits, width) + ceil_div(rest, width))
            for depth, width in shapes)

    def large_blocks_of(self, memory: MemoryShape) -> int:
        """Count the large RAMs that a memory takes."""
        depth, width = self.large_shape
        return ceil_div(memory.depth, depth) * ceil_div(memory.stored_bits, width) * bool(
            memory.single_port and self.large_blocks)

    def blocks_of_all(self, memories: Iterable[MemoryShape]) -> int:
        """Count the block RAMs that several memories take."""
        return sum(self.blocks_of(memory) for memory in memories)


# Ref: family data sheets (Lattice FPGA-DS-02012, FPGA-DS-02008; Gowin DS117; AMD DS180, UG473)
_ECP5 = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
_ICE40 = ((256, 16), (512, 8), (1024, 4), (2048, 2))
_GOWIN = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
_XILINX7 = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
_CELLS = 21  # Ref: measured with yosys 0.69: 21 cells are LUT RAM, 24 a block, on ECP5 and on Gowin

DEVICES = {device.name: device for device in (
    Device(name="ecp5-25", blocks=56, shapes=_ECP5, luts=24288, lut_cells=_CELLS, multipliers=28),
    Device(name="ecp5-85", blocks=208, shapes=_ECP5, luts=83640, lut_cells=_CELLS, multipliers=156),
    Device(name="ice40-up5k", blocks=30, shapes=_ICE40, lut_depth=0, luts=5280,
           large_blocks=4, large_shape=(16384, 16), dual_width=0),
    Device(name="gw1n-9", blocks=26, shapes=_GOWIN, luts=8640, lut_cells=_CELLS),
    Device(name="artix-35t", blocks=100, shapes=_XILINX7, luts=20800, lut_inputs=6, multipliers=90),
    Device(name="artix-100t", blocks=270, shapes=_XILINX7, luts=63400, lut_inputs=6, multipliers=240),
    Device(name="artix-200t", blocks=730, shapes=_XILINX7, luts=134600, lut_inputs=6, multipliers=740),
    Device(name="zynq-7020", blocks=280, shapes=_XILINX7, luts=53200, lut_inputs=6, multipliers=220),
)}
"""Devices by name. A 36-kbit block of AMD counts as two of 18 kbit."""
