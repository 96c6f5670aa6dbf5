# SPDX-License-Identifier: MIT
"""A whole board in Verilator behind an SPI controller, for the driver that real boards have."""

import functools
import struct

from firstspike_arch.program import Program
from firstspike_arch.toolchain import Tool
from firstspike_hw.linked_accelerator import LinkedAccelerator, linked_memories
from firstspike_hw.spi import SCK_CYCLES_MIN
from firstspike_hw.spi_accelerator import SpiAccelerator
from firstspike_hw.verilog import verilog

from .board_process import BoardProcess
from .native_build import NATIVE, build_simulator

__all__ = ["SimulatedSpi"]

_COMMAND = struct.Struct("<II")
_ANSWER = struct.Struct("<IIQ")


class SimulatedSpi:
    """A `firstspike_arch.spi.SpiBus` to a Verilated `SpiAccelerator`: every bit is on simulated pins.

    Time is the board's, and goes on in transfers only: these and two periods of sck before and after each.

    Parameters
    ----------
    program : Program
    sck_cycles : float
        Cycles of the board's clock in a period of sck, whole or not.
    clk_hz : int
        What a second is.
    buffer_bytes, initialised
        As of `LinkedAccelerator`.
    glitches : float
        Probability, for each bit, that it is wrong, on either wire; that an edge of sck is lost, or one comes more;
        that the board is deselected meanwhile.
    seed : int
        Of the glitches.
    optimise : bool
        Not for runs so short that compiling is what takes the time.

    Attributes
    ----------
    cycles : int
        Simulated so far.
    busy, fault : bool
        The board's lights, after the last transfer.

    Raises
    ------
    ToolError
        Verilator or the C++ compiler is missing or failed.
    """

    def __init__(
        self, program: Program, *, sck_cycles: float = SCK_CYCLES_MIN, clk_hz: int = 12_000_000,
        buffer_bytes: int | None = None, initialised: bool = True, glitches: float = 0.0, seed: int = 0,
        optimise: bool = True,
    ):
        binary = _simulator(program, buffer_bytes, initialised, optimise)
        contents = linked_memories(program, buffer_bytes=buffer_bytes, clk_hz=clk_hz, initialised=initialised)
        self._process = BoardProcess(binary, [repr(float(sck_cycles)), repr(glitches), str(seed)], contents)
        self.octets_per_second = clk_hz / (8 * sck_cycles)
        self.clk_hz, self.cycles, self.busy, self.fault, self._restart = clk_hz, 0, False, False, 0

    def transfer(self, octets: bytes) -> bytes:
        status, _, cycles = self._process.ask(_COMMAND.pack(len(octets), self._restart) + octets, _ANSWER)
        self.cycles += cycles
        self.busy, self.fault, self._restart = bool(status & 1), bool(status & 2), 0
        return self._process.read(len(octets))

    def now(self) -> float:
        return self.cycles / self.clk_hz

    def reset(self) -> None:
        """Press the board's reset button at the next transfer. Memories keep what they hold."""
        self._restart = 1

    def close(self) -> None:
        self._process.close()


@functools.lru_cache(maxsize=8)
def _simulator(program: Program, buffer_bytes: int | None, initialised: bool, optimise: bool) -> Tool:
    """Clock and contents of the identity are not in the Verilog."""
    board = SpiAccelerator(LinkedAccelerator(program, buffer_bytes=buffer_bytes))
    text = verilog(board, linked_memories(program, initialised=initialised))
    return build_simulator(text, {"spi_board.cpp": (NATIVE / "spi_board.cpp").read_text()}, optimise=optimise)
