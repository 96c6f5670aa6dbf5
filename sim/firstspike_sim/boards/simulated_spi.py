# SPDX-License-Identifier: MIT
"""A whole board with SPI, simulated in Verilator and driven by the same driver as real boards."""

from typing import Any

from firstspike_arch.program import Program
from firstspike_hw.link.spi import SCK_CYCLES_MIN
from firstspike_hw.link.spi_accelerator import SpiAccelerator

from .verilated_board import VerilatedBoard

__all__ = ["SimulatedSpi"]


class SimulatedSpi(VerilatedBoard):
    """A `firstspike_hw.link.spi_chunks.SpiBus` to a Verilated `SpiAccelerator`, bit by bit on simulated pins.

    Simulated time passes only during transfers, and for two periods of sck before and after each.

    Parameters
    ----------
    program : Program
    sck_cycles : float
        Cycles of the board's clock per period of sck; need not be whole.
    options
        Options of `VerilatedBoard`. A glitch spoils a bit in one of four ways: the bit is wrong on either wire; an edge
        of sck is lost; an edge is added; the board is deselected meanwhile.
    """

    def __init__(self, program: Program, *, sck_cycles: float = SCK_CYCLES_MIN, **options: Any):
        super().__init__(program, SpiAccelerator, "spi_board.cpp", repr(float(sck_cycles)), {}, **options)
        self.octets_per_second = self.clk_hz / (8 * sck_cycles)

    def transfer(self, octets: bytes) -> bytes:
        return self.exchange(octets)
