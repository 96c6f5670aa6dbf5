# SPDX-License-Identifier: MIT
"""What the driver needs of the system around a device: registers, memory that hardware reads, and streams."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

__all__ = ["Allocate", "Buffer", "Registers", "Streams"]


class Registers(Protocol):
    """Memory-mapped registers of 32 bits; pynq.MMIO is such."""

    def read(self, offset: int) -> int:
        """Return the register at an octet's offset."""
        ...

    def write(self, offset: int, value: int) -> None:
        """Write it."""
        ...


class Buffer(Protocol):
    """An array in memory that hardware reads and writes; a buffer of pynq.allocate is such."""

    physical_address: int

    def __getitem__(self, place: Any) -> Any: ...

    def __setitem__(self, place: Any, value: Any) -> None: ...

    def flush(self) -> None:
        """Let hardware see what the processor wrote."""
        ...

    def invalidate(self) -> None:
        """Let the processor see what hardware wrote."""
        ...


class Allocate(Protocol):
    """Makes a buffer, as pynq.allocate does."""

    def __call__(self, shape: tuple[int, ...], dtype: Any) -> Buffer: ...


class Streams(Protocol):
    """The way of inputs to a device and of results from it.

    Attributes
    ----------
    limit : int
        Octets that `begin` takes at most, and that come back at most.
    """

    limit: int

    def begin(self, octets: np.ndarray, result_octets: int) -> None:
        """Begin to send uint8[K] as one packet, and to take a packet of results of so many octets."""
        ...

    def done(self) -> bool:
        """Return whether both have ended. Raises StreamError if one cannot."""
        ...

    def results(self) -> np.ndarray:
        """Return the results, uint8[result_octets], once done. Raises StreamError if there are more or fewer."""
        ...

    def drain(self) -> None:
        """Take results without end and drop them. Called again and again."""
        ...

    def reset(self) -> None:
        """Stop, and forget what is under way. Raises StreamError if that is not possible."""
        ...
