# SPDX-License-Identifier: MIT
"""Driver for accelerators of firstspike on AXI, for the processor of a Zynq or PYNQ board. It needs NumPy only."""

from .accelerator import Accelerator
from .axi_dma import AxiDma
from .errors import (
    DeviceError,
    DeviceTimeoutError,
    ExportError,
    MemoryReadError,
    ParityError,
    StreamError,
    WrongDeviceError,
)
from .export import Export
from .mapped_registers import MappedRegisters
from .results import Answers
from .stream_fifo import StreamFifo

__all__ = [
    "Accelerator", "Answers", "AxiDma", "DeviceError", "DeviceTimeoutError", "Export", "ExportError", "MappedRegisters",
    "MemoryReadError", "ParityError", "StreamError", "StreamFifo", "WrongDeviceError",
]
