# SPDX-License-Identifier: MIT
"""Simulates a whole board in Verilator, in a child process that drives its wires (native/board.h)."""

import functools
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from amaranth.lib.wiring import Component
from firstspike_arch.program import Program
from firstspike_hw.link.linked_accelerator import LinkedAccelerator, linked_memories
from firstspike_hw.toolchain import Tool, ToolError
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP, hex_image

from ..backends.native_build import NATIVE, build_simulator
from .board_memory import BOARD, with_memory

__all__ = ["VerilatedBoard"]

_COMMAND = struct.Struct("<IIQ")
_ANSWER = struct.Struct("<IIQ")


class VerilatedBoard:
    """Base class of simulated boards. Times are in simulated seconds. External weights lie in a simple memory.

    Parameters
    ----------
    program : Program
    top : callable
        Makes the board from a `LinkedAccelerator` and the keyword arguments ``settings``.
    wires : str
        Name of the C++ source, in `NATIVE`, that drives the wires.
    pace : str
        First argument of the simulator, the speed of the wires.
    clk_hz : int
        Clock cycles per simulated second.
    buffer_bytes, initialised
        As in `LinkedAccelerator` and `linked_memories`.
    glitches : float
        Probability of a fault on a wire, at each opportunity for one.
    seed : int
        Seed of the glitches.
    optimise : bool
        Optimise the compiled code; False is faster for short runs, whose time is mostly compilation.

    Attributes
    ----------
    cycles : int
        Number of clock cycles simulated so far.
    busy, fault : bool
        Outputs of the board after the last exchange.

    Raises
    ------
    ToolError
        Verilator or the C++ compiler is missing or failed; from `exchange`: the process has ended.
    """

    def __init__(
        self, program: Program, top: Callable[..., Component], wires: str, pace: str, settings: dict[str, int], *,
        clk_hz: int = 12_000_000, buffer_bytes: int | None = None, initialised: bool = True, glitches: float = 0.0,
        seed: int = 0, optimise: bool = True,
    ):
        simulator = _simulator(program, top, wires, buffer_bytes, initialised, optimise, **settings)
        contents = linked_memories(program, buffer_bytes=buffer_bytes, clk_hz=clk_hz, initialised=initialised)
        self._folder = tempfile.TemporaryDirectory(prefix="firstspike-")
        for shape, words in contents.items():
            (Path(self._folder.name) / f"{shape.name}.hex").write_text(hex_image(list(words), shape))
        self._process = subprocess.Popen([*simulator.command, pace, repr(glitches), str(seed)],
                                         cwd=self._folder.name, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.clk_hz, self.cycles, self.busy, self.fault, self._restart = clk_hz, 0, False, False, 0

    def exchange(self, octets: bytes, cycles: int = 0) -> bytes:
        """Send octets over the wires and return the octets that come back; ``cycles`` limits the time where the wires
        do not."""
        given, taken = self._process.stdin, self._process.stdout
        assert given and taken
        try:
            given.write(_COMMAND.pack(len(octets), self._restart, cycles) + octets)
            given.flush()
        except (BrokenPipeError, ValueError):
            raise ToolError("the simulated board ended") from None
        head = taken.read(_ANSWER.size)
        if len(head) != _ANSWER.size:
            raise ToolError("the simulated board ended")
        count, status, cycles = _ANSWER.unpack(head)
        self.cycles += cycles
        self.busy, self.fault, self._restart = bool(status & 1), bool(status & 2), 0
        return taken.read(count)

    def now(self) -> float:
        return self.cycles / self.clk_hz

    def reset(self) -> None:
        """Press the board's reset button at the next exchange. Memories keep their contents, but for an external
        one."""
        self._restart = 1

    def close(self) -> None:
        """End the process and remove its folder."""
        if self._process.poll() is None:
            assert self._process.stdin and self._process.stdout
            self._process.stdin.close()
            self._process.wait(10)
            self._process.stdout.close()
        self._folder.cleanup()


@functools.lru_cache(maxsize=8)
def _simulator(
    program: Program, top: Callable[..., Component], wires: str, buffer_bytes: int | None, initialised: bool,
    optimise: bool, **settings: int,
) -> Tool:
    """Build the simulator of a board, which does not depend on the clock or the contents of the identity."""
    board = top(LinkedAccelerator(program, buffer_bytes=buffer_bytes), **settings)
    text = verilog(board, linked_memories(program, initialised=initialised))
    sources = {name: (NATIVE / name).read_text() for name in (wires, "board.h")}
    if program.external:
        return build_simulator(with_memory(text, program), sources, top=BOARD, optimise=optimise)
    return build_simulator(text, sources, top=TOP, optimise=optimise)
