# SPDX-License-Identifier: MIT
"""Requests of beats, and writes, on the native port of LiteDRAM's controller."""

from typing import Protocol

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from ..beat_streams import BEATS_BITS, beat_width, is_aligned, request_stream, response_stream, write_stream
from .sdram_core import SdramChip

__all__ = ["QUEUE_WORDS", "NativeInterface", "SdramPort", "native_port"]

QUEUE_WORDS = 64
"""Words that may be under way: more than pass between a command and its word, refresh included."""


class NativeInterface(Protocol):
    """Members of `native_port`."""

    cmd_valid: Signal
    cmd_ready: Signal
    cmd_we: Signal
    cmd_addr: Signal
    wdata_valid: Signal
    wdata_ready: Signal
    wdata_we: Signal
    wdata_data: Signal
    rdata_valid: Signal
    rdata_ready: Signal
    rdata_data: Signal
    signature: wiring.Signature


def native_port(chip: SdramChip) -> wiring.Signature:
    """LiteDRAM's native port, a word at a time, as its user has it: commands; words to write, which are taken some
    cycles behind their command; and words that were read, which must be taken when they come."""
    bits = 8 * chip.octets
    return wiring.Signature({
        "cmd_valid": Out(1), "cmd_ready": In(1), "cmd_we": Out(1), "cmd_addr": Out(chip.word_address_bits),
        "wdata_valid": Out(1), "wdata_ready": In(1), "wdata_we": Out(chip.octets), "wdata_data": Out(bits),
        "rdata_valid": In(1), "rdata_ready": Out(1), "rdata_data": In(bits),
    })


class SdramPort(wiring.Component):
    """Reads requests word by word and joins the words to beats, the first word lowest; writes beats between requests.

    Every word has room in a queue before it is asked for, as the controller waits for no one. A request that is not
    aligned, is for no beat, or ends beyond the chip's last address is answered by errors: from its first beat on, or
    from the first beyond. A request waits until the chip is started.

    Latency and throughput are the controller's, which refreshes the chip and opens rows: of a long request, close to a
    word a cycle (`benchmarks/sdram.py`); the last word taken in cycle c, its beat is offered in c + 3 at the earliest.
    A write takes about ten cycles a word.

    Parameters
    ----------
    chip : SdramChip
    data_bits : int
        Bits of a beat: 32, 64 or 128.

    Members
    -------
    requests : In(request_stream()), responses : Out(response_stream(data_bits))
    writes : In(write_stream(data_bits))
        Written in order. What is written by the time that a request is taken is read.
    native : Out(native_port(chip))
    """

    requests: stream.Interface
    responses: stream.Interface
    writes: stream.Interface
    native: NativeInterface

    def __init__(self, chip: SdramChip, *, data_bits: int):
        self._chip, self._data_bits = chip, beat_width(data_bits)
        super().__init__({
            "requests": In(request_stream()), "responses": Out(response_stream(data_bits)),
            "writes": In(write_stream(data_bits)), "native": Out(native_port(chip)),
        })

    @property
    def chip(self) -> SdramChip:
        """The chip."""
        return self._chip

    @property
    def data_bits(self) -> int:
        """Bits of a beat."""
        return self._data_bits

    def elaborate(self, platform):
        m = Module()
        native, bits = self.native, 8 * self._chip.octets
        words = self._data_bits // bits
        shift, octet_bits = (words - 1).bit_length(), (self._chip.octets - 1).bit_length()
        layout = data.StructLayout({"data": bits, "ends": 1, "error": 1})
        m.submodules.ends = ends = SyncFIFO(width=1, depth=QUEUE_WORDS)  # of the words that were asked for
        m.submodules.queue = queue = SyncFIFOBuffered(width=layout.size, depth=QUEUE_WORDS + 1)
        place, left = Signal(self._chip.word_address_bits), Signal(BEATS_BITS + shift)
        refused, given = Signal(), Signal(layout)
        room = Signal(range(QUEUE_WORDS + 1), init=QUEUE_WORDS)
        reads, makes = Signal(), Signal()  # a word is asked for; an error is made
        request, write, behind = self.requests.payload, self.writes.payload, place + 1
        m.d.comb += [
            native.cmd_addr.eq(place), native.rdata_ready.eq(1), native.wdata_we.eq(~0),
            ends.w_data.eq(left == 1), ends.w_en.eq(reads), ends.r_en.eq(native.rdata_valid),
            given.data.eq(native.rdata_data), given.ends.eq(Mux(makes, left == 1, ends.r_data)), given.error.eq(makes),
            queue.w_data.eq(given), queue.w_en.eq(native.rdata_valid | makes),
        ]
        m.d.sync += room.eq(room - (reads | makes) + (queue.r_rdy & queue.r_en))
        with m.FSM():
            with m.State("REST"):
                m.d.comb += self.requests.ready.eq(~self.writes.valid)
                m.d.sync += refused.eq(~is_aligned(request, self._data_bits)
                                       | request.address[self._chip.address_bits:].any())
                with m.If(self.writes.valid & write.address[self._chip.address_bits:].any()):
                    m.d.comb += self.writes.ready.eq(1)
                with m.Elif(self.writes.valid):
                    m.d.sync += [place.eq(write.address[octet_bits + shift:] << shift), left.eq(words)]
                    m.next = "WRITE"
                with m.Elif(self.requests.valid):
                    m.d.sync += [place.eq(request.address[octet_bits:]),
                                 left.eq(Mux(request.beats.any(), request.beats, 1) << shift)]
                    m.next = "READ"
            with m.State("READ"):
                # An error is made when no word is under way that comes before it.
                m.d.comb += [native.cmd_valid.eq(~refused & room.any()), reads.eq(native.cmd_valid & native.cmd_ready),
                             makes.eq(refused & room.any() & ~ends.r_rdy)]
                with m.If(reads | makes):
                    m.d.sync += [place.eq(behind), left.eq(left - 1), refused.eq(refused | behind[len(place)])]
                    with m.If(left == 1):
                        m.next = "REST"
            with m.State("WRITE"):
                m.d.comb += [native.cmd_valid.eq(1), native.cmd_we.eq(1), native.wdata_valid.eq(1)]
                with m.If(native.cmd_ready):
                    m.next = "WRITTEN"
            with m.State("WRITTEN"):
                m.d.comb += native.wdata_valid.eq(1)
                with m.If(native.wdata_ready):
                    m.d.comb += self.writes.ready.eq(left == 1)
                    m.d.sync += [place.eq(behind), left.eq(left - 1)]
                    m.next = "WRITE"
                    with m.If(left == 1):
                        m.next = "REST"
        m.d.comb += native.wdata_data.eq(write.data.word_select(place[:shift], bits))
        self._build_beats(m, queue, layout, words)
        return m

    def _build_beats(self, m: Module, queue: SyncFIFOBuffered, layout: data.StructLayout, words: int) -> None:
        """Join words to beats."""
        out, word = self.responses, data.View(layout, queue.r_data)
        count, beat, failed = Signal(range(words)), Signal(self._data_bits), Signal()
        takes, fills = queue.r_rdy & queue.r_en, count == words - 1
        m.d.comb += [queue.r_en.eq(~out.valid | out.ready), out.payload.data.eq(beat)]
        with m.If(out.ready):
            m.d.sync += out.valid.eq(0)
        with m.If(takes):
            m.d.sync += [beat.eq(Cat(beat[len(word.data):], word.data)), count.eq(Mux(fills, 0, count + 1)),
                         out.valid.eq(fills), out.payload.last.eq(word.ends), out.payload.error.eq(failed | word.error),
                         failed.eq((failed | word.error) & ~word.ends)]
