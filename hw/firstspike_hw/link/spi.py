# SPDX-License-Identifier: MIT
"""SPI peripheral: three pins in, one out, and streams of octets; mode 0, highest bit first."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from .idle_pin import idle_high
from .spi_chunks import CHUNK_OCTETS

__all__ = ["SCK_CYCLES_MIN", "SpiPeripheral"]

SCK_CYCLES_MIN = 4
"""Fewest cycles of the clock in a period of sck; each of its levels must last more than one."""

_BITS = 8


class SpiPeripheral(wiring.Component):
    """Exchanges octets with a controller; what this receives are chunks, see `firstspike_hw.link.spi_chunks`.

    Throughput: an octet each way in eight periods of sck. Latency: the pins are sampled by the clock, and an octet is
    offered from three cycles after the rising edge of sck with its last bit on. One that has not been taken when the
    next comes is lost: the frame's CRC says so, as it does of an octet that was cut by deselecting.

    ``cipo`` changes two to three cycles after the *rising* edge at which the bit before it was sampled, not after the
    falling one: so sck may be as fast as a quarter of the clock, and the bit is held for two cycles. The first bit is
    there three cycles after the device was selected. A chunk is as long as there are octets, up to `CHUNK_OCTETS`.

    Members
    -------
    sck, copi : In(1), cs_n : In(1, init=1)
    cipo : Out(1)
    selected : Out(1)
        The device may drive cipo.
    received : Out(stream.Signature(8)), sent : In(stream.Signature(8))
    """

    sck: Signal
    copi: Signal
    cs_n: Signal
    cipo: Signal
    selected: Signal
    received: stream.Interface
    sent: stream.Interface

    def __init__(self):
        super().__init__({
            "sck": In(1), "copi": In(1), "cs_n": idle_high(In), "cipo": Out(1), "selected": Out(1),
            "received": Out(stream.Signature(8)), "sent": In(stream.Signature(8)),
        })

    def elaborate(self, platform):
        m = Module()
        sck, copi, deselected, before = Signal(), Signal(), Signal(init=1), Signal()
        m.submodules.sck = FFSynchronizer(self.sck, sck)
        m.submodules.copi = FFSynchronizer(self.copi, copi)
        m.submodules.cs = FFSynchronizer(self.cs_n, deselected, init=1)
        bit, octet_in, octet_out = Signal(range(_BITS)), Signal(_BITS - 1), Signal(_BITS)
        rises = sck & ~before & ~deselected
        m.d.sync += before.eq(sck)
        m.d.comb += [self.cipo.eq(octet_out[-1]), self.selected.eq(~deselected)]

        m.submodules.waiting = waiting = SyncFIFOBuffered(width=_BITS, depth=CHUNK_OCTETS + 1)
        level: Signal = waiting.level  # pyright: ignore[reportAttributeAccessIssue]  # not in amaranth-stubs
        left, is_count, count = Signal(range(CHUNK_OCTETS + 1)), Signal(), Signal(_BITS)
        begins = rises & (bit == 0)  # now the octet has left; before, the controller may still deselect
        m.d.comb += [
            waiting.w_data.eq(self.sent.payload), waiting.w_en.eq(self.sent.valid),
            self.sent.ready.eq(waiting.w_rdy), waiting.r_en.eq(begins & ~is_count),
            count.eq(Mux(level > CHUNK_OCTETS, CHUNK_OCTETS, level)),
        ]
        with m.If(self.received.ready):
            m.d.sync += self.received.valid.eq(0)
        with m.If(rises):
            m.d.sync += [bit.eq(bit + 1), octet_in.eq(Cat(copi, octet_in)), octet_out.eq(octet_out << 1)]
        with m.If(begins):
            m.d.sync += left.eq(Mux(is_count, octet_out, left - 1))
        with m.If(rises & (bit == _BITS - 1)):
            m.d.sync += [self.received.valid.eq(1), self.received.payload.eq(Cat(copi, octet_in)),
                         is_count.eq(left == 0), octet_out.eq(Mux(left == 0, count, waiting.r_data))]
        with m.If(deselected):
            m.d.sync += [bit.eq(0), is_count.eq(1), octet_out.eq(count)]
        return m
