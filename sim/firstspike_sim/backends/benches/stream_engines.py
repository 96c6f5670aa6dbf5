# SPDX-License-Identifier: MIT
"""Models of what moves words between a processor's memory and AXI streams: AXI DMA, and AXI4-Stream FIFO.

They know nothing of the driver: registers and their effects are those of the vendor's guides. Both take the words of a
stream from a `Monitor`, which sees every transfer on the pins, and offer words through cocotbext-axi.

# Ref: AMD PG021, "AXI DMA LogiCORE IP Product Guide"; PG080, "AXI4-Stream FIFO LogiCORE IP Product Guide".
"""

from typing import Any

__all__ = ["AxiDmaModel", "StreamFifoModel"]

BEAT_BYTES = 8
"""Of the results' stream."""


class _Engine:
    """What both share: the words that were taken since it was last reset, and a way to stop the sender."""

    def __init__(self, bench: Any, beat_bytes: int):
        self.bench, self.beat_bytes, self.first = bench, beat_bytes, 0

    def beats(self) -> list:
        """Beats taken from m_axis, as (cycle, data, last), that are not dealt with yet."""
        return self.bench.monitor.beats[self.first:]

    def send(self, octets: bytes) -> None:
        size = self.beat_bytes
        self.bench.source.send_nowait([int.from_bytes(octets[at:at + size], "little")
                                       for at in range(0, len(octets), size)])

    def stop_sending(self) -> None:
        self.bench.source.clear()
        self.bench.source.assert_reset()

    def reset(self) -> None:
        self.stop_sending()
        self.first = len(self.bench.monitor.beats)


class AxiDmaModel(_Engine):
    """AXI DMA in direct register mode; results are taken while a transfer to memory is under way.

    A packet longer than its buffer halts the channel with an internal error, one without end never completes.
    """

    def __init__(self, bench: Any, beat_bytes: int, memory: bytearray):
        super().__init__(bench, beat_bytes)
        self.memory = memory
        self.reset()

    def reset(self) -> None:
        super().reset()
        self.runs, self.faults, self.idle = [False, False], [0, 0], [False, False]
        self.address, self.length, self.armed = [0, 0], [0, 0], False

    def takes(self) -> bool:
        """Whether tready may be high: a buffer waits and has room, and the end of the packet has not come."""
        beats = self.beats()
        return self.armed and len(beats) * BEAT_BYTES < self.length[1] and not any(last for _, _, last in beats)

    def read(self, offset: int) -> int:
        channel, register = divmod(offset, 0x30)
        self._settle()
        return {0x00: int(self.runs[channel]), 0x04: int(not self.runs[channel]) | self.idle[channel] << 1
                | self.faults[channel], 0x28: self.length[channel]}.get(register, 0)

    def write(self, offset: int, value: int) -> None:
        channel, register = divmod(offset, 0x30)
        self._settle()
        if register == 0x00:
            if value & 1 << 2:
                self.reset()
            else:
                self.runs[channel] = bool(value & 1)
        elif register == 0x18:
            self.address[channel] = self.address[channel] >> 32 << 32 | value
        elif register == 0x1C:
            self.address[channel] = self.address[channel] & 0xFFFF_FFFF | value << 32
        elif register == 0x28 and self.runs[channel]:
            self.length[channel], self.idle[channel] = value, False
            if channel == 0:
                self.send(bytes(self.memory[self.address[0]:self.address[0] + value]))
            else:
                self.armed, self.first = True, len(self.bench.monitor.beats)

    def _settle(self) -> None:
        """Bring the registers up to date with the pins."""
        if self.runs[0] and self.length[0] and self.bench.source.idle():
            self.idle[0] = True
        if not self.armed:
            return
        beats = self.beats()
        if beats and beats[-1][2]:
            octets = b"".join(data.to_bytes(BEAT_BYTES, "little") for _, data, _ in beats)
            self.memory[self.address[1]:self.address[1] + len(octets)] = octets
            self.length[1], self.idle[1], self.armed = len(octets), True, False
        elif len(beats) * BEAT_BYTES >= self.length[1]:
            self.faults[1], self.runs[1], self.armed = 1 << 4, False, False


class StreamFifoModel(_Engine):
    """AXI4-Stream FIFO, with width converters between its 32 bits and the beats of the accelerator."""

    DEPTH = 512

    def __init__(self, bench: Any, beat_bytes: int):
        super().__init__(bench, beat_bytes)
        self.reset()

    def reset(self) -> None:
        super().reset()
        self.given, self.sending, self.sent, self.taken = bytearray(), False, False, b""

    def takes(self) -> bool:
        """Whether tready may be high: there is room, and the packet before has been read."""
        beats = self.beats()
        return len(beats) * BEAT_BYTES < 4 * self.DEPTH and not any(last for _, _, last in beats)

    def read(self, offset: int) -> int:
        self._settle()
        if offset == 0x00:
            return self.sent << 27
        if offset == 0x0C:
            return 0 if self.sending else self.DEPTH - 4 - len(self.given) // 4
        if offset == 0x1C:
            return len(self.taken) // 4
        if offset == 0x24:
            return len(self.taken)
        if offset == 0x20:
            word, self.taken = self.taken[:4], self.taken[4:]
            return int.from_bytes(word, "little")
        return 0

    def write(self, offset: int, value: int) -> None:
        self._settle()
        if offset == 0x00:
            self.sent = self.sent and not value >> 27 & 1
        elif offset == 0x10:
            self.given += value.to_bytes(4, "little")
        elif offset == 0x14:
            self.send(bytes(self.given[:value]))
            self.given, self.sending = bytearray(), True
        elif offset == 0x08 and value == 0xA5:
            self.stop_sending()
            self.given, self.sending = bytearray(), False
        elif offset == 0x18 and value == 0xA5:
            self.first, self.taken = len(self.bench.monitor.beats), b""

    def _settle(self) -> None:
        if self.sending and self.bench.source.idle():
            self.sending, self.sent = False, True
        beats = self.beats()
        if beats and beats[-1][2] and not self.taken:
            self.taken = b"".join(data.to_bytes(BEAT_BYTES, "little") for _, data, _ in beats)
            self.first += len(beats)
