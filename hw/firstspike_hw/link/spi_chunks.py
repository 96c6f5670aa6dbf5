# SPDX-License-Identifier: MIT
"""SPI as a stream of octets both ways, for hardware and driver alike.

To the device every octet of a transfer is one of the stream; hosts that have nothing to send fill up with zeros, which
mean nothing between frames. From the device come chunks: an octet with the number of octets of the stream that follow,
0…255, and these. A transfer, while the device is selected, begins with a chunk's count; what it cuts off comes in the
next.

# Ref: Motorola S12SPIV3/D, "SPI Block Guide V03.06", 2003: clock polarity 0, phase 0 ("mode 0").
"""

from typing import Protocol

__all__ = ["CHUNK_OCTETS", "SpiBus", "octets_of_chunks"]

CHUNK_OCTETS = 255
"""Octets of the longest chunk."""


class SpiBus(Protocol):
    """A host's SPI controller, or a simulated one; time is in seconds, as the device has it.

    A controller that is gone raises OSError.
    """

    octets_per_second: float

    def transfer(self, octets: bytes) -> bytes:
        """Select the device, send octets while as many are received, and deselect it; returns what was received."""
        ...

    def now(self) -> float:
        """The time."""
        ...

    def close(self) -> None:
        """Give the controller back."""
        ...


def octets_of_chunks(transfer: bytes) -> tuple[bytes, int]:
    """The octets of the stream in what a transfer received, and how many more the last chunk announced."""
    octets, place = bytearray(), 0
    while place < len(transfer):
        count, place = transfer[place], place + 1
        octets += transfer[place : place + count]
        place += count
    return bytes(octets), place - len(transfer)
