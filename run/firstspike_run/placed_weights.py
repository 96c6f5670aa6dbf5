# SPDX-License-Identifier: MIT
"""External weights in a buffer, and the registers that tell a device where it is."""

from __future__ import annotations

import numpy as np

from .errors import DeviceError, MemoryReadError
from .export import Export
from .ports import Allocate, Buffer, Registers

__all__ = ["PlacedWeights"]


class PlacedWeights:
    """The buffer of a device's external weights.

    Parameters
    ----------
    registers : Registers
        Those of the accelerator.
    allocate : Allocate or None
        Makes buffers; None: there can be none.
    """

    def __init__(self, registers: Registers, allocate: Allocate | None):
        self._registers, self._allocate = registers, allocate
        self._buffer: Buffer | None = None
        self._holds = ""  # digest of the program whose weights are in the buffer

    def require(self, export: Export) -> None:
        """Raise ValueError if the network of an export has external weights, and there is no way to make a buffer."""
        if export.memory and self._allocate is None:
            raise ValueError(f"allocate must be given, such as pynq.allocate: {len(export.memory)} bytes of the "
                             f"weights of {export.network} lie in an external memory")

    def place(self, export: Export) -> None:
        """Put the weights of an export into a buffer, if they are not there, and tell the device its address.

        No inference may be inside.

        Raises
        ------
        DeviceError
            The buffer is where the device cannot read it.
        MemoryReadError
            The device has given the memory up.
        """
        if not export.memory:
            return
        facts, registers = export.facts["memory"], export.facts["registers"]
        if self._holds != facts["digest"]:
            self._fill(export)
        assert self._buffer is not None
        address = self._buffer.physical_address
        if address % facts["alignment"] or address + len(export.memory) > 1 << facts["address_bits"]:
            raise DeviceError(f"the buffer of external weights must be at a multiple of {facts['alignment']} below "
                              f"2^{facts['address_bits']}, not at {address:#x}")
        self._registers.write(registers["MEMORY_HIGH"], address >> 32)
        self._registers.write(registers["MEMORY_LOW"], address & 0xFFFF_FFFF)
        if self._registers.read(registers["MEMORY_STATUS"]) & facts["dead"]:
            raise MemoryReadError(f"the external weights cannot be read{self.state(export)}")

    def state(self, export: Export) -> str:
        """What a sentence is to end with if the device has given the memory up."""
        status = self._registers.read(export.facts["registers"]["MEMORY_STATUS"])
        return ("; the memory has not answered, and the device has given it up until it is reset together with the "
                "interconnect, as when the bitstream is loaded" if status & export.facts["memory"]["dead"] else "")

    def _fill(self, export: Export) -> None:
        """Write the weights into a buffer of their size."""
        assert self._allocate is not None
        self._buffer, self._holds = None, ""  # an earlier buffer may be freed first
        buffer = self._allocate(shape=(len(export.memory),), dtype=np.uint8)
        buffer[:] = np.frombuffer(export.memory, dtype=np.uint8)
        buffer.flush()
        self._buffer, self._holds = buffer, export.facts["memory"]["digest"]
