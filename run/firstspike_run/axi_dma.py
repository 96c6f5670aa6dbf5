# SPDX-License-Identifier: MIT
"""AXI DMA without scatter-gather: MM2S carries inputs to s_axis, S2MM carries results from m_axis.

# Ref: AMD PG021, "AXI DMA LogiCORE IP Product Guide", Direct Register Mode.
"""

from __future__ import annotations

import numpy as np

from .errors import StreamError
from .ports import Allocate, Registers

__all__ = ["AxiDma"]

MM2S, S2MM = 0x00, 0x30  # first register of each channel; the rest are offsets from it
CONTROL, STATUS, ADDRESS, ADDRESS_HIGH, LENGTH = 0x00, 0x04, 0x18, 0x1C, 0x28
RUN, RESET = 1 << 0, 1 << 2
HALTED, IDLE = 1 << 0, 1 << 1
FAULTS = {1 << 4: "internal error (a packet longer than its buffer)", 1 << 5: "error of the memory",
          1 << 6: "address that no memory has"}

RESET_READS = 1000
"""A reset takes some cycles; an engine that does not answer within so many reads has no clock."""


class AxiDma:
    """Streams by way of an AXI DMA.

    Parameters
    ----------
    registers : Registers
        Those of the engine, such as ``overlay.axi_dma_0``.
    allocate : Allocate
        Makes buffers, such as ``pynq.allocate``. Two are made, of ``limit`` octets each.
    length_bits : int
        "Width of buffer length register" of the engine; it is 14 unless chosen otherwise in the design.
    buffer_bytes : int
        Most octets of a buffer.

    Raises
    ------
    ValueError
        ``length_bits`` is out of range.
    """

    def __init__(self, registers: Registers, allocate: Allocate, *, length_bits: int = 14,
                 buffer_bytes: int = 1 << 20):
        if not 8 <= length_bits <= 26:
            raise ValueError(f"length_bits must be 8…26, not {length_bits}")
        self._registers = registers
        self.limit = min((1 << length_bits) - 1, buffer_bytes) // 8 * 8
        self._given = allocate(shape=(self.limit,), dtype=np.uint8)
        self._taken = allocate(shape=(self.limit,), dtype=np.uint8)
        self._wanted = 0

    def begin(self, octets: np.ndarray, result_octets: int) -> None:
        """Start both channels, the one for results first."""
        self._given[: len(octets)] = octets
        self._given.flush()
        self._receive(result_octets)
        self._start(MM2S, self._given.physical_address, len(octets))

    def done(self) -> bool:
        """Return whether both channels are idle."""
        sent, taken = self._is_idle(MM2S), self._is_idle(S2MM)  # both, as each may have failed
        return sent and taken

    def results(self) -> np.ndarray:
        """Return what S2MM wrote."""
        taken = self._registers.read(S2MM + LENGTH)
        if taken != self._wanted:
            raise StreamError(f"a packet of results must have {self._wanted} bytes, not {taken}: something else has "
                              "changed or reset the device meanwhile")
        self._taken.invalidate()
        return np.array(self._taken[:taken])

    def drain(self) -> None:
        """Let S2MM write over its buffer, again and again."""
        status = self._registers.read(S2MM + STATUS)
        if status & (HALTED | IDLE) or any(status & bit for bit in FAULTS):
            if not status & IDLE:
                self.reset()
            self._receive(self.limit)

    def reset(self) -> None:
        """Reset the engine; a reset of one channel is one of both."""
        self._registers.write(MM2S + CONTROL, RESET)
        for _ in range(RESET_READS):
            if not self._registers.read(MM2S + CONTROL) & RESET:
                return
        raise StreamError("the DMA engine must end its reset, but does not: has it a clock?")

    def _receive(self, octets: int) -> None:
        self._wanted = octets
        self._start(S2MM, self._taken.physical_address, octets)

    def _start(self, channel: int, address: int, octets: int) -> None:
        write = self._registers.write
        write(channel + CONTROL, RUN)
        write(channel + ADDRESS, address & 0xFFFF_FFFF)
        write(channel + ADDRESS_HIGH, address >> 32)
        write(channel + LENGTH, octets)

    def _is_idle(self, channel: int) -> bool:
        status = self._registers.read(channel + STATUS)
        faults = [what for bit, what in FAULTS.items() if status & bit]
        if faults or status & HALTED:
            raise StreamError(f"{'MM2S' if channel == MM2S else 'S2MM'} of the DMA engine must run, but has stopped: "
                              f"{', '.join(faults) or 'it was reset'}")
        return bool(status & IDLE)
