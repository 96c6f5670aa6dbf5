# SPDX-License-Identifier: MIT
"""An SPI controller as a transport."""

from firstspike_hw.link.spi_chunks import SpiBus, octets_of_chunks

__all__ = ["SpiPort"]

TRANSFER_OCTETS = 256
"""Of the longest transfer: an answer that has come is not seen before its end, and a fault can spoil all of it."""

POLL_OCTETS = 16
"""Of the shortest, which asks whether anything has come."""


class SpiPort:
    """A `firstspike_hw.link.frames.Transport` over SPI: octets go out, and chunks come in, while it is read.

    Parameters
    ----------
    bus : SpiBus
    """

    def __init__(self, bus: SpiBus):
        self._bus, self._given, self._announced = bus, b"", 0
        self.octets_per_second = bus.octets_per_second

    def write(self, data: bytes) -> None:
        self._given += data

    def read(self, seconds: float) -> bytes:
        deadline = self._bus.now() + seconds
        while True:
            # A chunk that the last transfer has cut off comes again, with its count.
            size = min(TRANSFER_OCTETS, max(POLL_OCTETS, len(self._given), self._announced + 1))
            octets, self._given = self._given[:size].ljust(size, b"\0"), self._given[size:]
            received, self._announced = octets_of_chunks(self._bus.transfer(octets))
            if received or self._bus.now() >= deadline:
                return received

    def now(self) -> float:
        return self._bus.now()

    def close(self) -> None:
        self._bus.close()
