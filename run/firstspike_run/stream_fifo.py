# SPDX-License-Identifier: MIT
"""AXI4-Stream FIFO: a processor writes inputs and reads results word by word, without DMA.

Between the FIFO, whose streams have 32 bits, and the device, AXI4-Stream data width converters make the device's beats.

# Ref: AMD PG080, "AXI4-Stream FIFO LogiCORE IP Product Guide", store-and-forward mode.
"""

from __future__ import annotations

import numpy as np

from .errors import StreamError
from .ports import Registers

__all__ = ["StreamFifo"]

INTERRUPTS, SEND_RESET, SEND_ROOM, SEND_DATA, SEND_LENGTH = 0x00, 0x08, 0x0C, 0x10, 0x14
TAKE_RESET, TAKE_COUNT, TAKE_DATA, TAKE_LENGTH = 0x18, 0x1C, 0x20, 0x24
RESET_KEY = 0xA5
SENT = 1 << 27
WORD = 4


class StreamFifo:
    """Streams by way of an AXI4-Stream FIFO.

    Parameters
    ----------
    registers : Registers
        Those of the FIFO.
    depth : int
        Words of each of its two memories, as chosen in the design.
    """

    def __init__(self, registers: Registers, *, depth: int = 512):
        self._registers = registers
        self.limit = (depth - 4) // 2 * 2 * WORD  # of a depth, four words are not to be used
        self._wanted, self._sent, self._found = 0, True, np.zeros(0, dtype=np.uint8)

    def begin(self, octets: np.ndarray, result_octets: int) -> None:
        """Write a packet into the FIFO; giving its length sends it."""
        self._wanted, self._sent, self._found = result_octets, False, np.zeros(0, dtype=np.uint8)
        words = np.zeros(-(-len(octets) // WORD) * WORD, dtype=np.uint8)
        words[: len(octets)] = octets
        room = self._registers.read(SEND_ROOM)
        if room < len(words) // WORD:
            raise StreamError(f"the FIFO must have room for {len(words) // WORD} words, not {room}: has it that depth?")
        self._registers.write(INTERRUPTS, SENT)
        for word in words.view("<u4").tolist():
            self._registers.write(SEND_DATA, word)
        self._registers.write(SEND_LENGTH, len(octets))

    def done(self) -> bool:
        """Return whether the packet has gone, and that of results has come."""
        self._sent = self._sent or bool(self._registers.read(INTERRUPTS) & SENT)
        if not len(self._found) and self._registers.read(TAKE_COUNT):
            octets = self._registers.read(TAKE_LENGTH)
            words = [self._registers.read(TAKE_DATA) for _ in range(-(-octets // WORD))]
            self._found = np.array(words, dtype="<u4").view(np.uint8)[:octets]
        return self._sent and len(self._found) > 0

    def results(self) -> np.ndarray:
        """Return the packet of results."""
        if len(self._found) != self._wanted:
            raise StreamError(f"a packet of results must have {self._wanted} bytes, not {len(self._found)}: something "
                              "else has changed or reset the device meanwhile")
        return self._found

    def drain(self) -> None:
        """Empty the side of the results."""
        self._registers.write(TAKE_RESET, RESET_KEY)

    def reset(self) -> None:
        """Empty both sides."""
        self._registers.write(SEND_RESET, RESET_KEY)
        self._registers.write(TAKE_RESET, RESET_KEY)
