# SPDX-License-Identifier: MIT
"""Host port: carries out one request after another, and answers it."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.status import COUNTER_BITS, PROGRAM_WORD

from ..beat_streams import request_stream, response_stream, write_stream
from ..read_back import ReadBackInterface, read_back_signature
from .answer_table import AnswerTable
from .frame_octet import frame_stream
from .frames import CHUNK_BYTES, RESPONSE, Kind, Reason, WireFormat
from .memory_loader import MemoryLoader
from .result_stamp import ResultStamp
from .word_feeder import WordFeeder

__all__ = ["HostPort"]


class HostPort(wiring.Component):
    """Takes requests and sends responses, as docs/host_link.md says.

    A `WordFeeder` makes words of a request's octets, a `ResultStamp` times results, an `AnswerTable` holds answers of
    fixed length, a `MemoryLoader` writes an external memory; between them stands a state machine:

    =========  =========================================  =================================================
    state      what happens                               until
    =========  =========================================  =================================================
    KIND       the kind of a request is taken             it is there; an end in its place (a frame that did
                                                          not come whole) leads to HEADER at once
    SEQUENCE   its number is taken                        both octets are
    HEADER     kind and number of the response are sent   all three octets are; INFER, PROGRAM and READ lead
                                                          to WORDS, MEMORY to MEMORY, all others to TABLE
    TABLE      the payload of fixed length is sent        its last octet is
    WORDS      words are fed; results or chunks are sent  the request has ended and all its results are sent,
                                                          and so is the octet behind them
    MEMORY     beats are written and read back            the octets behind them are sent
    DRAIN      the rest of the request is taken           its end is
    END        the end of the response is sent            it is taken
    =========  =========================================  =================================================

    Throughput: an octet of a request a cycle, and one cycle between the last octet of a word and the word offered. An
    octet of an IDENTIFY or STATUS response comes every `STATUS_CYCLES` + 1 cycles, any other every cycle; those of a
    chunk that is read back come like those of a STATUS response, or every `read_cycles` + 1 cycles if that is longer.

    The last inference of a request is always completed, with beats of zeros or a final marker: so there are as many
    results as ends of inferences were sent.

    Parameters
    ----------
    format : WireFormat
        Sizes of words and results.
    identity : sequence of int
        Initial contents of the memory `IDENTITY`, for simulation; without them it is loaded from a file.
    read_cycles : int
        `read_cycles` of the accelerator; 0: there is no reading back, and a READ request is of unknown kind.
    needs_loading : bool
        INFER is refused while the identity, as it was written, names no program. A reset changes nothing about that.
    memory_bits : int
        Bits of a beat of an external memory to be written; 0: there is none, and a MEMORY request is of unknown kind.
        With one, INFER is refused from each reset until a program is written (`AnswerTable`).
    parity : bool
        Whether a STATUS response has the counters of words that do not fit their parity.

    Members
    -------
    requests : In(frame_stream()), responses : Out(frame_stream())
    source : Out(stream.Signature(8 * word_bytes))
    result : In(stream.Signature(result bits))
    program_port : Out(stream.Signature(PROGRAM_WORD))
    read_back : Out(read_back_signature())
        Only with reading back.
    memory_writes : Out(write_stream(memory_bits)), memory_requests : Out(request_stream()),
    memory_responses : In(response_stream(memory_bits))
        Only with an external memory.
    status_address : Out(5), status_data : In(COUNTER_BITS)
        As `status_names` has them.
    busy : Out(1)
        A request is being carried out.
    """

    requests: stream.Interface
    responses: stream.Interface
    source: stream.Interface
    result: stream.Interface
    program_port: stream.Interface
    read_back: ReadBackInterface
    memory_writes: stream.Interface
    memory_requests: stream.Interface
    memory_responses: stream.Interface
    status_address: Signal
    status_data: Signal
    busy: Signal

    def __init__(
        self, *, format: WireFormat, identity: Sequence[int] = (), read_cycles: int = 0, needs_loading: bool = False,
        memory_bits: int = 0, parity: bool = False,
    ):
        self._format = format
        self._feeder = WordFeeder(
            word_bytes=format.word_bytes, image_words=format.image_words, window_steps=format.window_steps)
        self._table = AnswerTable(identity=identity, read_cycles=read_cycles, needs_loading=needs_loading,
                                  external=bool(memory_bits), parity=parity)
        self._loader = MemoryLoader(data_bits=memory_bits) if memory_bits else None
        super().__init__({
            **({"memory_writes": Out(write_stream(memory_bits)), "memory_requests": Out(request_stream()),
                "memory_responses": In(response_stream(memory_bits))} if memory_bits else {}),
            **({"read_back": Out(read_back_signature())} if read_cycles else {}),
            "requests": In(frame_stream()), "responses": Out(frame_stream()),
            "source": Out(stream.Signature(8 * format.word_bytes)), "result": In(stream.Signature(format.result.bits)),
            "program_port": Out(stream.Signature(data.StructLayout(PROGRAM_WORD))),
            "status_address": Out(5), "status_data": In(COUNTER_BITS), "busy": Out(1),
        })

    @property
    def format(self) -> WireFormat:
        """Sizes of words and results."""
        return self._format

    @property
    def identity(self) -> Sequence[int]:
        """Initial contents of the memory `IDENTITY`, for simulation."""
        return self._table.identity

    @property
    def read_cycles(self) -> int:
        """Cycles from a place to its chunk; 0: there is no reading back."""
        return self._table.read_cycles

    @property
    def needs_loading(self) -> bool:
        """Whether INFER is refused before a program is written."""
        return self._table.needs_loading

    @property
    def memory_bits(self) -> int:
        """Bits of a beat of the external memory; 0: there is none."""
        return self._loader.data_bits if self._loader else 0

    def elaborate(self, platform):
        m = Module()
        request, answer, octet = self.requests, self.responses, self.responses.payload.octet
        record_bytes, reads_back = self._format.record_bytes, bool(self.read_cycles)
        m.submodules.feeder = feeder = self._feeder
        m.submodules.table = table = self._table
        m.submodules.stamp = stamp = ResultStamp()
        kind, sequence, reason = Signal(8), Signal(16), Signal(Reason)
        place = Signal(range(max(table.octets, record_bytes) + 1))
        idle, ended, moves, infers = Signal(), Signal(), Signal(), Signal()
        reads: Value = Signal() if reads_back else Const(0)
        connect(m, feeder.words, flipped(self.source))
        connect(m, feeder.program_port, flipped(self.program_port))
        port, result_taken = self.program_port, self.result.valid & self.result.ready
        m.d.comb += [
            self.busy.eq(~idle), infers.eq(kind == Kind.INFER.value), moves.eq(answer.valid & answer.ready),
            feeder.octets.valid.eq(request.valid), feeder.octets.payload.eq(request.payload),
            feeder.starts.eq(idle), feeder.infers.eq(infers), feeder.reads.eq(reads), feeder.ended.eq(ended),
            feeder.result_taken.eq(result_taken),
            stamp.starts.eq(idle), stamp.word_taken.eq(self.source.valid & self.source.ready),
            stamp.result_valid.eq(self.result.valid), stamp.result_taken.eq(result_taken),
            table.kind.eq(kind), table.place.eq(place), table.reason.eq(reason), table.moves.eq(moves),
            table.word_written.eq(port.valid & port.ready), table.word.eq(port.payload),
            self.status_address.eq(table.status_address), table.status_data.eq(self.status_data),
        ]
        if reads_back:
            connect(m, table.read_back, flipped(self.read_back))
            m.d.comb += [reads.eq(kind == Kind.READ.value), table.reads.eq(reads),
                         table.chunk_asked.eq(feeder.full & reads)]
        if self._loader:
            m.submodules.loader = loader = self._loader
            connect(m, loader.writes, flipped(self.memory_writes))
            connect(m, loader.requests, flipped(self.memory_requests))
            connect(m, flipped(self.memory_responses), loader.responses)
            m.d.comb += [loader.octets.valid.eq(request.valid), loader.octets.payload.eq(request.payload),
                         loader.starts.eq(idle)]
            with m.If(loader.octets.ready):  # in MEMORY
                m.d.comb += request.ready.eq(1)
        record = Cat(stamp.stamp, self.result.payload)
        with m.If(moves):
            m.d.sync += place.eq(place + 1)

        with m.FSM():
            with m.State("KIND"):
                m.d.comb += [idle.eq(1), request.ready.eq(1)]
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
                        with m.If(infers & ~table.loaded):
                            m.d.sync += [kind.eq(Kind.ERROR.value), reason.eq(Reason.NO_PROGRAM)]
            with m.State("HEADER"):
                absent = {Kind.READ: not reads_back, Kind.MEMORY: self._loader is None}
                known = Cat(kind == one.value for one in Kind if not absent.get(one)).any()
                m.d.comb += answer.valid.eq(1)
                with m.Switch(place):
                    with m.Case(0):
                        m.d.comb += octet.eq(Mux(known, kind, Kind.ERROR.value) | RESPONSE)
                    with m.Case(1):
                        m.d.comb += octet.eq(sequence[:8])
                    with m.Default():
                        m.d.comb += octet.eq(sequence[8:])
                with m.If(moves & (place == 2)):
                    m.d.sync += place.eq(0)
                    m.next = "TABLE"
                    with m.If(infers | reads | (kind == Kind.PROGRAM.value)):
                        m.next = "WORDS"
                    if self._loader:
                        with m.If(kind == Kind.MEMORY.value):
                            m.next = "MEMORY"
            with m.State("TABLE"):
                m.d.comb += [answer.valid.eq(table.settled), octet.eq(table.octet)]
                with m.If(moves & (place == table.length - 1)):
                    m.next = "DRAIN"
            with m.State("WORDS"):
                m.d.comb += feeder.running.eq(1)
                with m.If(feeder.expects & self.result.valid):
                    m.d.comb += [
                        answer.valid.eq(stamp.stamped), octet.eq(record.word_select(place, 8)),
                        self.result.ready.eq(moves & (place == record_bytes - 1)),
                    ]
                    with m.If(self.result.ready):
                        m.d.sync += place.eq(0)
                with m.Elif(reads & feeder.full):
                    m.d.comb += [answer.valid.eq(table.settled), octet.eq(table.octet)]
                    with m.If(moves & (place == CHUNK_BYTES - 1)):
                        m.d.comb += feeder.chunk_sent.eq(1)
                        m.d.sync += place.eq(0)
                with m.Elif(feeder.done):
                    m.d.comb += [answer.valid.eq(1), octet.eq(feeder.completed)]
                    with m.If(moves):
                        m.next = "DRAIN"
            if self._loader:
                with m.State("MEMORY"):
                    m.d.comb += [self._loader.running.eq(1), answer.valid.eq(self._loader.answer.valid),
                                 octet.eq(self._loader.answer.payload), self._loader.answer.ready.eq(answer.ready)]
                    with m.If(self._loader.answered):
                        m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.comb += request.ready.eq(~ended)
                with m.If(ended):
                    m.next = "END"
            with m.State("END"):
                m.d.comb += [answer.valid.eq(1), answer.payload.end.eq(1)]
                with m.If(answer.ready):
                    m.next = "KIND"

        with m.If(feeder.octets.ready):  # in WORDS
            m.d.comb += request.ready.eq(1)
        with m.If(request.valid & request.ready & request.payload.end):
            m.d.sync += ended.eq(1)
        with m.Elif(idle):
            m.d.sync += ended.eq(0)
        return m
