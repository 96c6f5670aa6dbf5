# SPDX-License-Identifier: MIT
"""A whole board in Verilator behind an SPI controller, for the driver that real boards have."""

from typing import Any

from firstspike_arch.program import Program
from firstspike_hw.link.spi import SCK_CYCLES_MIN
from firstspike_hw.link.spi_accelerator import SpiAccelerator

from .verilated_board import VerilatedBoard

__all__ = ["SimulatedSpi"]


class SimulatedSpi(VerilatedBoard):
    """A `firstspike_hw.link.spi_chunks.SpiBus` to a Verilated `SpiAccelerator`: every bit is on simulated pins.

    Time goes on in transfers only: these and two periods of sck before and after each.

    Parameters
    ----------
    program : Program
    sck_cycles : float
        Cycles of the board's clock in a period of sck, whole or not.
    options
        Of `VerilatedBoard`; a glitch, for each bit: it is wrong, on either wire; an edge of sck is lost, or one comes
        more; the board is deselected meanwhile.
    """

    def __init__(self, program: Program, *, sck_cycles: float = SCK_CYCLES_MIN, **options: Any):
        super().__init__(program, SpiAccelerator, "spi_board.cpp", repr(float(sck_cycles)), {}, **options)
        self.octets_per_second = self.clk_hz / (8 * sck_cycles)

    def transfer(self, octets: bytes) -> bytes:
        return self.exchange(octets)
