# SPDX-License-Identifier: MIT
"""Transport of the host link over SPI."""

from firstspike_hw.link.spi_chunks import SpiBus, octets_of_chunks

__all__ = ["SpiPort"]

TRANSFER_OCTETS = 256
"""Length of the longest transfer: the host sees an answer only when it ends, and a fault can spoil all of it."""

POLL_OCTETS = 16
"""Length of the shortest transfer, which asks whether anything has arrived."""


class SpiPort:
    """A `firstspike_hw.link.frames.Transport` over SPI. Each `read` makes transfers: octets go out, chunks come in.

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
            # The device repeats a chunk that the last transfer cut off, with its count.
            size = min(TRANSFER_OCTETS, max(POLL_OCTETS, len(self._given), self._announced + 1))
            octets, self._given = self._given[:size].ljust(size, b"\0"), self._given[size:]
            received, self._announced = octets_of_chunks(self._bus.transfer(octets))
            if received or self._bus.now() >= deadline:
                return received

    def now(self) -> float:
        return self._bus.now()

    def close(self) -> None:
        self._bus.close()
