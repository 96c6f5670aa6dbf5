# SPDX-License-Identifier: MIT
"""A whole board in Verilator, UART and all, for the driver that real boards have."""

import functools
import struct

from firstspike_arch.program import Program
from firstspike_arch.toolchain import Tool
from firstspike_hw.linked_accelerator import LinkedAccelerator, linked_memories
from firstspike_hw.uart_accelerator import UartAccelerator
from firstspike_hw.verilog import verilog

from .board_process import BoardProcess
from .native_build import NATIVE, build_simulator

__all__ = ["SimulatedBoard"]

_COMMAND = struct.Struct("<IIQ")
_ANSWER = struct.Struct("<IIQ")


class SimulatedBoard:
    """A `firstspike_arch.frames.Transport` to a Verilated `UartAccelerator`: every bit is on a simulated pin.

    Time is the board's.

    Parameters
    ----------
    program : Program
    divisor : int
        Cycles a bit.
    clk_hz : int
        What a second is.
    buffer_bytes, initialised
        As of `LinkedAccelerator`.
    glitches : float
        Probability that a bit is wrong on its wire, at rest too, either way.
    seed : int
        Of the glitches.
    optimise : bool
        Not for runs so short that compiling is what takes the time.

    Attributes
    ----------
    cycles : int
        Simulated so far.
    busy, fault : bool
        The board's lights, after the last read.

    Raises
    ------
    ToolError
        Verilator or the C++ compiler is missing or failed.
    """

    def __init__(
        self, program: Program, *, divisor: int = 8, clk_hz: int = 12_000_000, buffer_bytes: int | None = None,
        initialised: bool = True, glitches: float = 0.0, seed: int = 0, optimise: bool = True,
    ):
        binary = _simulator(program, divisor, buffer_bytes, initialised, optimise)
        self.octets_per_second = clk_hz / (10 * divisor)
        self.clk_hz, self.cycles, self.busy, self.fault = clk_hz, 0, False, False
        contents = linked_memories(program, buffer_bytes=buffer_bytes, clk_hz=clk_hz, initialised=initialised)
        self._process = BoardProcess(binary, [str(divisor), repr(glitches), str(seed)], contents)
        self._given, self._restart = bytearray(), 0

    def write(self, data: bytes) -> None:
        self._given += data

    def read(self, seconds: float) -> bytes:
        """What comes until the end of a frame; what was written starts on its way now."""
        command = _COMMAND.pack(len(self._given), self._restart, max(1, round(seconds * self.clk_hz)))
        count, status, cycles = self._process.ask(command + self._given, _ANSWER)
        self._given, self._restart = bytearray(), 0
        self.cycles += cycles
        self.busy, self.fault = bool(status & 1), bool(status & 2)
        return self._process.read(count)

    def now(self) -> float:
        return self.cycles / self.clk_hz

    def reset(self) -> None:
        """Press the board's reset button at the next read. Memories keep what they hold."""
        self._restart = 1

    def close(self) -> None:
        self._process.close()


@functools.lru_cache(maxsize=8)
def _simulator(
    program: Program, divisor: int, buffer_bytes: int | None, initialised: bool, optimise: bool,
) -> Tool:
    """Clock and contents of the identity are not in the Verilog."""
    board = UartAccelerator(LinkedAccelerator(program, buffer_bytes=buffer_bytes), divisor=divisor)
    text = verilog(board, linked_memories(program, initialised=initialised))
    return build_simulator(text, {"board.cpp": (NATIVE / "board.cpp").read_text()}, optimise=optimise)
