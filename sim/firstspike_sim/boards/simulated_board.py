# SPDX-License-Identifier: MIT
"""A whole board in Verilator behind a UART, for the driver that real boards have."""

from typing import Any

from firstspike_arch.program import Program
from firstspike_hw.link.uart_accelerator import UartAccelerator

from .verilated_board import VerilatedBoard

__all__ = ["SimulatedBoard"]


class SimulatedBoard(VerilatedBoard):
    """A `firstspike_hw.link.frames.Transport` to a Verilated `UartAccelerator`: every bit is on a simulated pin.

    Parameters
    ----------
    program : Program
    divisor : int
        Cycles a bit.
    options
        Of `VerilatedBoard`; a glitch: a bit is wrong on its wire, at rest too, either way.
    """

    def __init__(self, program: Program, *, divisor: int = 8, **options: Any):
        super().__init__(program, UartAccelerator, "uart_board.cpp", str(divisor), {"divisor": divisor}, **options)
        self.octets_per_second = self.clk_hz / (10 * divisor)
        self._given = bytearray()

    def write(self, data: bytes) -> None:
        self._given += data

    def read(self, seconds: float) -> bytes:
        """What comes until the end of a frame; what was written starts on its way now."""
        given, self._given = bytes(self._given), bytearray()
        return self.exchange(given, max(1, round(seconds * self.clk_hz)))
