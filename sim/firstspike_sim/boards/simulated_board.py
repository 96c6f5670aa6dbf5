# SPDX-License-Identifier: MIT
"""A whole board with a UART, simulated in Verilator and driven by the same driver as real boards."""

from typing import Any

from firstspike_arch.program import Program
from firstspike_hw.link.uart_accelerator import UartAccelerator

from .verilated_board import VerilatedBoard

__all__ = ["SimulatedBoard"]


class SimulatedBoard(VerilatedBoard):
    """A `firstspike_hw.link.frames.Transport` to a Verilated `UartAccelerator`, bit by bit on simulated pins.

    Parameters
    ----------
    program : Program
    divisor : int
        Cycles of the board's clock per bit.
    options
        Options of `VerilatedBoard`. A glitch inverts a bit on either wire, also while the wire is idle.
    """

    def __init__(self, program: Program, *, divisor: int = 8, **options: Any):
        super().__init__(program, UartAccelerator, "uart_board.cpp", str(divisor), {"divisor": divisor}, **options)
        self.octets_per_second = self.clk_hz / (10 * divisor)
        self._given = bytearray()

    def write(self, data: bytes) -> None:
        self._given += data

    def read(self, seconds: float) -> bytes:
        """Send all that was written, and return what arrives until the end of a frame."""
        given, self._given = bytes(self._given), bytearray()
        return self.exchange(given, max(1, round(seconds * self.clk_hz)))
