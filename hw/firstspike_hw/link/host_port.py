# SPDX-License-Identifier: MIT
"""Host port: carries out one request after another, and answers it."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from firstspike_arch.events import FINAL_MARKER
from firstspike_arch.status import COUNTER_BITS, COUNTERS, PROGRAM_WORD, STATUS_CYCLES

from ..read_back import read_back_signature
from .frame_buffer import BUFFER_MAX
from .frame_octet import frame_stream
from .frames import (
    CHUNK_BYTES,
    IDENTITY,
    IDENTITY_BYTES,
    IDENTITY_MEMORY,
    LINK_COUNTERS,
    PROGRAM_PLACES,
    PROGRAM_WORD_BYTES,
    READ_ADDRESS_BYTES,
    RESPONSE,
    STAMP_BYTES,
    Kind,
    Reason,
    WireFormat,
)

__all__ = ["HostPort"]

_STATUS_BYTES = (len(COUNTERS) + len(LINK_COUNTERS)) * COUNTER_BITS // 8


class HostPort(wiring.Component):
    """Requests in, responses out, as docs/host_link.md says.

    The octets of an INFER or PROGRAM request become words: an octet a cycle, and one cycle between the last octet of
    a word and the word offered. An octet of an IDENTIFY or STATUS response comes every `STATUS_CYCLES` + 1 cycles, any
    other every cycle. Those of a chunk that is read back come like those of a STATUS response, or every
    `read_cycles` + 1 cycles if that is longer.

    The last inference of a request is always completed, with beats of zeros or a final marker: so there are as many
    results as ends of inferences were sent.

    Parameters
    ----------
    format : WireFormat
    identity : sequence of int
        Initial contents of the memory `IDENTITY`, for simulation; without them it is loaded from a file.
    read_cycles : int
        `read_cycles` of the accelerator; 0: there is no reading back, and a READ request is of unknown kind.
    needs_loading : bool
        INFER is refused while the identity, as it was written, names no program. A reset changes nothing about that.

    Members
    -------
    requests : In(frame_stream()), responses : Out(frame_stream())
    source : Out(stream.Signature(8 · word_bytes))
    result : In(stream.Signature(result bits))
    program_port : Out(stream.Signature(PROGRAM_WORD))
    read_back : Out(read_back_signature())
        If there is any.
    status_address : Out(5), status_data : In(COUNTER_BITS)
        `COUNTERS`, then `LINK_COUNTERS`.
    busy : Out(1)
        A request is being carried out.
    """

    def __init__(
        self, *, format: WireFormat, identity: Sequence[int] = (), read_cycles: int = 0, needs_loading: bool = False,
    ):
        self._format, self._identity, self._read_cycles = format, identity, read_cycles
        self._needs_loading = needs_loading
        super().__init__({
            **({"read_back": Out(read_back_signature())} if read_cycles else {}),
            "requests": In(frame_stream()), "responses": Out(frame_stream()),
            "source": Out(stream.Signature(8 * format.word_bytes)), "result": In(stream.Signature(format.result.bits)),
            "program_port": Out(stream.Signature(data.StructLayout(PROGRAM_WORD))),
            "status_address": Out(5), "status_data": In(COUNTER_BITS), "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        request, answer, octet = self.requests, self.responses, self.responses.payload.octet
        record_bytes = self._format.record_bytes
        kind, sequence, reason = Signal(8), Signal(16), Signal(Reason)
        place = Signal(range(max(IDENTITY_BYTES, _STATUS_BYTES, record_bytes) + 1))
        self._starts, self._running, self._infers = Signal(), Signal(), Signal()
        self._reads = Signal() if self._read_cycles else Const(0)
        self._ended, self._done, self._expects, self._completed = Signal(), Signal(), Signal(), Signal()
        self._full, self._chunk_said = Signal(), Signal()  # a word has all its octets; all of a chunk were said
        self._build_feeder(m)
        record = Cat(self._build_stamp(m), self.result.payload)
        said = answer.valid & answer.ready
        table, count = self._build_tables(m, kind, place, said, reason)
        m.d.comb += [self.busy.eq(~self._starts), self._infers.eq(kind == Kind.INFER.value)]
        if self._read_cycles:
            m.d.comb += self._reads.eq(kind == Kind.READ.value)
        with m.If(said):
            m.d.sync += place.eq(place + 1)

        with m.FSM():
            with m.State("KIND"):
                m.d.comb += [self._starts.eq(1), request.ready.eq(1)]
                m.d.sync += [kind.eq(request.payload.octet), reason.eq(Reason.UNKNOWN_KIND), place.eq(0)]
                with m.If(request.valid):
                    m.next = "SEQUENCE"
                    with m.If(request.payload.end):  # of a frame that did not come whole: nobody knows which
                        m.d.sync += [kind.eq(Kind.ERROR.value), reason.eq(request.payload.octet), sequence.eq(0)]
                        m.next = "HEADER"
            with m.State("SEQUENCE"):
                m.d.comb += request.ready.eq(1)
                with m.If(request.valid):
                    m.d.sync += [sequence.eq(Cat(sequence[8:], request.payload.octet)), place.eq(1)]
                    with m.If(place[0]):
                        m.d.sync += place.eq(0)
                        m.next = "HEADER"
                        with m.If(self._infers & ~self._loaded):
                            m.d.sync += [kind.eq(Kind.ERROR.value), reason.eq(Reason.NO_PROGRAM)]
            with m.State("HEADER"):
                known = Cat(kind == one.value for one in Kind if one != Kind.READ or self._read_cycles).any()
                m.d.comb += answer.valid.eq(1)
                with m.Switch(place):
                    with m.Case(0):
                        m.d.comb += octet.eq(Mux(known, kind, Kind.ERROR.value) | RESPONSE)
                    with m.Case(1):
                        m.d.comb += octet.eq(sequence[:8])
                    with m.Default():
                        m.d.comb += octet.eq(sequence[8:])
                with m.If(said & (place == 2)):
                    m.d.sync += place.eq(0)
                    m.next = "TABLE"
                    with m.If(self._infers | self._reads | (kind == Kind.PROGRAM.value)):
                        m.next = "WORDS"
            with m.State("TABLE"):
                m.d.comb += [answer.valid.eq(self._settled), octet.eq(table)]
                with m.If(said & (place == count - 1)):
                    m.next = "DRAIN"
            with m.State("WORDS"):
                m.d.comb += self._running.eq(1)
                with m.If(self._expects & self.result.valid):
                    m.d.comb += [
                        answer.valid.eq(self._stamped), octet.eq(record.word_select(place, 8)),
                        self.result.ready.eq(said & (place == record_bytes - 1)),
                    ]
                    with m.If(self.result.ready):
                        m.d.sync += place.eq(0)
                with m.Elif(self._reads & self._full):
                    m.d.comb += [answer.valid.eq(self._settled), octet.eq(table)]
                    with m.If(said & (place == CHUNK_BYTES - 1)):
                        m.d.comb += self._chunk_said.eq(1)
                        m.d.sync += place.eq(0)
                with m.Elif(self._done):
                    m.d.comb += [answer.valid.eq(1), octet.eq(self._completed)]
                    with m.If(said):
                        m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.comb += request.ready.eq(~self._ended)
                with m.If(self._ended):
                    m.next = "END"
            with m.State("END"):
                m.d.comb += [answer.valid.eq(1), answer.payload.end.eq(1)]
                with m.If(answer.ready):
                    m.next = "KIND"

        with m.If(request.valid & request.ready & request.payload.end):
            m.d.sync += self._ended.eq(1)
        with m.Elif(self._starts):
            m.d.sync += self._ended.eq(0)
        return m

    def _build_tables(self, m: Module, kind, place: Signal, said, reason: Signal) -> tuple:
        """The octet at a place of a response of fixed length, and this length."""
        m.submodules[IDENTITY.name] = memory = Memory(shape=IDENTITY.width, depth=IDENTITY.depth, init=self._identity)
        read, write, port = memory.read_port(), memory.write_port(), self.program_port
        m.d.comb += [
            write.addr.eq(port.payload.address), write.data.eq(port.payload.data),
            write.en.eq(port.valid & port.ready & (port.payload.memory == IDENTITY_MEMORY)),
        ]
        self._loaded = Const(1)
        if self._needs_loading:
            self._loaded = loaded = Signal(reset_less=True)
            first, last = (port.payload.address == place for place in PROGRAM_PLACES)
            with m.If(write.en & (first | last)):
                m.d.sync += loaded.eq((loaded & last) | port.payload.data.any())
        cycles = max(STATUS_CYCLES, self._read_cycles)
        wait, waits = Signal(range(cycles + 1)), said
        self._settled = wait == 0
        word = Mux(kind == Kind.IDENTIFY.value, read.data, self.status_data)
        if self._read_cycles:
            back = self.read_back
            waits = said | (self._reads & ~back.granted)
            m.d.comb += back.asks.eq(self._full & self._reads)
            word = Mux(self._reads, back.data, word)
        m.d.sync += wait.eq(Mux(waits, cycles, Mux(self._settled, 0, wait - 1)))
        m.d.comb += [read.addr.eq(place[2:]), read.en.eq(~write.en), self.status_address.eq(place[2:])]
        octet, count = Signal(8), Signal.like(place)
        with m.Switch(kind):
            with m.Case(Kind.IDENTIFY.value, Kind.STATUS.value, *([Kind.READ.value] if self._read_cycles else [])):
                m.d.comb += [octet.eq(word.word_select(place[:2], 8)),
                             count.eq(Mux(kind == Kind.IDENTIFY.value, IDENTITY_BYTES, _STATUS_BYTES))]
            with m.Default():
                m.d.comb += [octet.eq(reason), count.eq(1)]
        return octet, count

    def _build_feeder(self, m: Module) -> None:
        """The octets of a request, as words for the accelerator or its memories."""
        request, source, port, full = self.requests, self.source, self.program_port, self._full
        size, image_words = self._format.word_bytes, self._format.image_words
        word, count = Signal(8 * PROGRAM_WORD_BYTES), Signal(range(PROGRAM_WORD_BYTES))
        last = count == Mux(self._infers, size, Mux(self._reads, READ_ADDRESS_BYTES, PROGRAM_WORD_BYTES)) - 1
        inside = Signal(range(max(2, image_words)))  # words of an image, or whether a token came since a final marker
        expected = Signal(range(BUFFER_MAX))
        takes = self.result.valid & self.result.ready
        passes = source.valid & source.ready
        closes = Signal()
        m.d.comb += [
            source.payload.eq(word[-8 * size:]), source.valid.eq(full & self._infers & self._running),
            port.payload.eq(word), port.valid.eq(full & ~self._infers & ~self._reads & self._running),
            self._expects.eq(expected != 0), self._done.eq(self._ended & ~full & (inside == 0) & ~self._expects),
            closes.eq(inside == image_words - 1 if image_words else source.payload[:2].all()),
        ]
        with m.If(self._starts):
            m.d.sync += [self._completed.eq(0), count.eq(0)]
        with m.If(self._running & ~full):
            m.d.comb += request.ready.eq(~self._ended)
            with m.If(self._ended):
                m.d.sync += [full.eq(inside != 0), self._completed.eq(self._completed | (inside != 0)),
                             word.eq(0 if image_words else Const(FINAL_MARKER, 8 * size) << len(word) - 8 * size)]
            with m.Elif(request.valid & request.payload.end):
                m.d.sync += self._completed.eq(count != 0)
            with m.Elif(request.valid):
                m.d.sync += [word.eq(Cat(word[8:], request.payload.octet)), full.eq(last),
                             count.eq(Mux(last, 0, count + 1))]
        with m.If(passes):
            m.d.sync += inside.eq(Mux(closes, 0, inside + 1 if image_words else 1))
        with m.If(passes | (port.valid & port.ready) | self._chunk_said):
            m.d.sync += full.eq(0)
        m.d.sync += expected.eq(expected + (passes & closes) - takes)

    def _build_stamp(self, m: Module) -> Signal:
        """Cycles from a request's first word taken to its result offered."""
        clock, ticking, stamp = Signal(8 * STAMP_BYTES), Signal(), Signal(8 * STAMP_BYTES)
        self._stamped = Signal()
        with m.If(self._starts):
            m.d.sync += [ticking.eq(0), clock.eq(0)]
        with m.Elif(ticking | (self.source.valid & self.source.ready)):
            m.d.sync += [ticking.eq(1), clock.eq(clock + 1)]
        with m.If(self.result.valid & ~self._stamped):
            m.d.sync += [stamp.eq(clock), self._stamped.eq(1)]
        with m.Elif(self.result.valid & self.result.ready):
            m.d.sync += self._stamped.eq(0)
        return stamp
