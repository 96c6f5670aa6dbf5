# SPDX-License-Identifier: MIT
"""A Zynq whose programmable logic is simulated: registers, buffers and an engine as the driver (`firstspike_run`) has
them on a board, in front of the exported Verilog in Verilator."""

import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
from firstspike_arch.program import Program
from firstspike_hw.axi.axi_accelerator import AxiAccelerator
from firstspike_hw.axi.placed_memory import TIMEOUT
from firstspike_hw.axi.registers import Response, input_beat_bits
from firstspike_hw.link.frames import wire_format
from firstspike_hw.link.linked_accelerator import linked_memories
from firstspike_hw.toolchain import ToolError
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP, hex_image

from ..backends.cocotb_run import run_bench

__all__ = ["BusError", "SimulatedBuffer", "SimulatedZynq"]

ALIGNMENT = 64
PATIENCE = 600.0
"""Seconds to wait for the simulator, which may have to be built."""


class BusError(OSError):
    """An access to a register was answered with an error, or cut off by a reset. A processor gets a signal instead."""


class SimulatedBuffer(np.ndarray):
    """An array like those of pynq.allocate: hardware sees it after `flush`, and it sees hardware after `invalidate`."""

    physical_address: int
    _zynq: "SimulatedZynq"

    def flush(self) -> None:
        self._zynq.command("store", self.physical_address, self.tobytes().hex())

    def invalidate(self) -> None:
        octets = bytes.fromhex(self._zynq.command("fetch", self.physical_address, self.nbytes))
        self.view(np.ndarray).reshape(-1).view(np.uint8)[:] = np.frombuffer(octets, dtype=np.uint8)


class SimulatedZynq:
    """The exported Verilog in Verilator, driven by cocotbext-axi at the will of this process.

    Parameters
    ----------
    program : Program
    engine : "dma" or "fifo"
        What moves the streams: AXI DMA, or AXI4-Stream FIFO.
    initialised : bool
        Whether the memories hold the program from the start.
    clk_hz : int
        Clock cycles per simulated second.
    memory_bytes : int
        Memory for buffers, and so for external weights.
    memory_timeout : int
        Cycles after which the accelerator gives up a memory of external weights that is silent.
    optimise : bool
        Optimise the compiled code; False is faster for short runs, whose time is mostly compilation.

    Attributes
    ----------
    registers, engine : Registers
        Registers of the accelerator, and of the engine.
    cycles : int
        Clock cycles simulated so far.

    Raises
    ------
    ToolError
        The simulator is missing or failed, or the accelerator broke a rule of the bus; from every access.
    """

    def __init__(
        self, program: Program, *, engine: Literal["dma", "fifo"] = "dma", initialised: bool = True,
        clk_hz: int = 100_000_000, memory_bytes: int = 1 << 20, memory_timeout: int = TIMEOUT, optimise: bool = False,
    ):
        contents = linked_memories(program, buffer_bytes=0, initialised=initialised)
        shapes = [*contents, *(shape for shape in program.memories() if not initialised)]
        self._folder = tempfile.TemporaryDirectory(prefix="firstspike-")
        folder = Path(self._folder.name)
        (folder / f"{TOP}.v").write_text(verilog(
            AxiAccelerator(program, memory_timeout=memory_timeout), shapes))
        for shape in shapes:
            (folder / f"{shape.name}.hex").write_text(hex_image(contents.get(shape, [0] * shape.depth), shape))
        (folder / "settings.json").write_text(json.dumps({
            "beat_bytes": input_beat_bits(wire_format(program)) // 8, "memory_bytes": memory_bytes, "engine": engine,
            "reading": bool(program.external)}))
        self.clk_hz, self.cycles, self._free, self._memory_bytes = clk_hz, 0, ALIGNMENT, memory_bytes
        self.registers: Any = SimpleNamespace(read=self._read, write=self._write)
        self.engine: Any = SimpleNamespace(
            read=lambda offset: self.command("engine read", offset),
            write=lambda offset, value: self.command("engine write", offset, value))
        with socket.socket(socket.AF_UNIX) as door:
            door.bind((folder / "socket").as_posix())
            door.listen()
            door.settimeout(1)
            self._log = (folder / "process.log").open("w+")
            self._process = subprocess.Popen([sys.executable, "-m", __name__, folder, str(int(optimise))],
                                             stdout=self._log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
            line = None
            while line is None:
                try:
                    line, _ = door.accept()
                except TimeoutError:
                    if self._process.poll() is not None:
                        raise self._ended() from None
        line.settimeout(PATIENCE)
        self._line, self._stream = line, line.makefile("rw")

    def allocate(self, shape: Any, dtype: Any = "u4") -> SimulatedBuffer:
        """Make a buffer in the simulated memory, as pynq.allocate does.

        Raises
        ------
        MemoryError
            There is no room.
        """
        buffer = np.zeros(shape, dtype=dtype).view(SimulatedBuffer)
        start, self._free = self._free, -(-(self._free + buffer.nbytes) // ALIGNMENT) * ALIGNMENT
        if self._free > self._memory_bytes:
            raise MemoryError(f"buffers must fit the {self._memory_bytes} bytes of the simulated memory")
        buffer.physical_address, buffer._zynq = start, self
        return buffer

    def now(self) -> float:
        """The simulated time in seconds."""
        return self.cycles / self.clk_hz

    def stall(self, kind: Literal["none", "random", "shut"], seed: int = 0) -> None:
        """Make all channels wait at random, or let no result be taken ("shut")."""
        self.command("stall", kind, seed)

    def break_memory(self, wrong: Sequence[tuple[int, int]] = (), *, silent: bool = False) -> None:
        """From now on, reads of external weights fail in these ranges of addresses (first, one behind the last), or are
        not answered at all; without arguments, the memory is right again.
        """
        self.command("memory", wrong, silent)

    def reset_later(self, cycles: int) -> None:
        """Reset accelerator and engine in so many cycles. Memories keep their contents."""
        self.command("reset later", cycles)

    def seen(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return the beats that went over s_axis and over m_axis since the last reset: tdata, tlast."""
        said = self.command("seen")
        return [tuple(one) for one in said["given"]], [tuple(one) for one in said["taken"]]

    def command(self, *parts: Any) -> Any:
        """Have the bench carry out a command, and return its answer; used by buffers and registers."""
        try:
            self._stream.write(json.dumps(parts) + "\n")
            self._stream.flush()
            said = self._stream.readline()
        except (OSError, ValueError):
            said = ""
        if not said:
            raise self._ended()
        answer, self.cycles, broken = json.loads(said)
        if broken:
            raise ToolError(f"the accelerator on AXI broke a rule of the bus: {broken[0]}")
        return answer

    def close(self) -> None:
        """End the simulator and remove its folder."""
        if not self._line._closed:  # type: ignore[attr-defined]
            self._stream.close()
            self._line.close()
            self._process.wait(60)
            self._log.close()
            self._folder.cleanup()

    def __enter__(self) -> "SimulatedZynq":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _read(self, offset: int) -> int:
        said, value = self.command("read", offset)
        if said != Response.OKAY:
            raise BusError(f"a read of register {offset:#x} {_fault(said)}")
        return value

    def _write(self, offset: int, value: int) -> None:
        said = self.command("write", offset, value)
        if said != Response.OKAY:
            raise BusError(f"a write of register {offset:#x} {_fault(said)}")

    def _ended(self) -> ToolError:
        self._log.flush()
        self._log.seek(0)
        return ToolError("the simulated Zynq ended:\n" + "\n".join(self._log.read().splitlines()[-12:]))


def _fault(said: int | None) -> str:
    return "was cut off by a reset" if said is None else "was answered with SLVERR"


def main() -> None:
    folder, optimise = Path(sys.argv[1]), bool(int(sys.argv[2]))
    run_bench(folder, "verilator", "firstspike_sim.backends.benches.bench_zynq", "ended.json", optimise=optimise)


if __name__ == "__main__":
    main()
