# SPDX-License-Identifier: MIT
"""Answer table: the payload of responses whose length is fixed, and of chunks that are read back."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from firstspike_arch.status import COUNTER_BITS, PROGRAM_WORD, STATUS_CYCLES

from ..integer_argument import integer_argument
from ..read_back import ReadBackInterface, read_back_signature
from .frames import IDENTITY, IDENTITY_BYTES, IDENTITY_MEMORY, PROGRAM_PLACES, Kind, Reason, status_names

__all__ = ["AnswerTable"]


class AnswerTable(wiring.Component):
    """Looks up the octet at a place of the identity, of the counters, of a chunk, or of an error.

    Latency: the octet is ``settled`` `STATUS_CYCLES` cycles after the place has moved on, or `read_cycles` if that is
    longer and memories can be read back; a chunk's from when reading is granted. Throughput: one octet each time.

    Parameters
    ----------
    identity : sequence of int
        Initial contents of the memory `IDENTITY`, for simulation; without them it is loaded from a file.
    read_cycles : int
        `read_cycles` of the accelerator; 0: there is no reading back.
    needs_loading : bool
        Before the identity has been written it names no program, whatever its memory holds.
    external : bool
        The same after each reset, as the external memory may have lost the weights meanwhile; and the identity is
        answered so. There is one counter more.

    Members
    -------
    kind : In(8)
        Kind of the request.
    place : In(range(octets))
        Number of the octet, below the length of the longest response.
    reason : In(Reason)
        Payload of an error.
    moves : In(1)
        The place is another from the next cycle on.
    word_written : In(1), word : In(PROGRAM_WORD)
        A word of the program port is taken; the identity is memory number `IDENTITY_MEMORY`.
    chunk_asked : In(1)
        A place to be read stands at the program port. Only with reading back, as ``reads`` is.
    reads : In(1)
        The request is for chunks.
    status_address : Out(5), status_data : In(COUNTER_BITS)
        As `status_names` has them.
    read_back : Out(read_back_signature())
        Only with reading back.
    octet : Out(8)
    length : Out(range(octets + 1))
        Octets of the response, where it is not a chunk.
    settled : Out(1)
        ``octet`` is that at ``place``.
    loaded : Out(1)
        The identity names a program, as far as it was written.
    """

    kind: Signal
    place: Signal
    reason: Signal
    moves: Signal
    word_written: Signal
    word: data.View
    chunk_asked: Signal
    reads: Signal
    status_address: Signal
    status_data: Signal
    read_back: ReadBackInterface
    octet: Signal
    length: Signal
    settled: Signal
    loaded: Signal

    def __init__(
        self, *, identity: Sequence[int] = (), read_cycles: int = 0, needs_loading: bool = False,
        external: bool = False, parity: bool = False,
    ):
        if len(identity) > IDENTITY.depth:
            raise ValueError(f"identity must have at most {IDENTITY.depth} words, not {len(identity)}")
        self._identity, self._needs_loading, self._external = identity, needs_loading or external, external
        self._read_cycles = integer_argument("read_cycles", read_cycles, 0)
        self._status_bytes = len(status_names(external=external, parity=parity)) * COUNTER_BITS // 8
        super().__init__({
            "kind": In(8), "place": In(range(self.octets)), "reason": In(Shape.cast(Reason)), "moves": In(1),
            "word_written": In(1), "word": In(data.StructLayout(PROGRAM_WORD)),
            **({"read_back": Out(read_back_signature()), "reads": In(1), "chunk_asked": In(1)} if read_cycles else {}),
            "status_address": Out(5), "status_data": In(COUNTER_BITS), "octet": Out(8),
            "length": Out(range(self.octets + 1)), "settled": Out(1), "loaded": Out(1),
        })

    @property
    def identity(self) -> Sequence[int]:
        """Initial contents of the memory `IDENTITY`, for simulation."""
        return self._identity

    @property
    def octets(self) -> int:
        """Octets of the longest response of fixed length."""
        return max(IDENTITY_BYTES, self._status_bytes)

    @property
    def read_cycles(self) -> int:
        """Cycles from a place to its chunk; 0: there is no reading back."""
        return self._read_cycles

    @property
    def needs_loading(self) -> bool:
        """Whether the device holds no program before one is written."""
        return self._needs_loading

    def elaborate(self, platform):
        m = Module()
        m.submodules[IDENTITY.name] = memory = Memory(shape=IDENTITY.width, depth=IDENTITY.depth, init=self._identity)
        read, write = memory.read_port(), memory.write_port()
        m.d.comb += [
            write.addr.eq(self.word.address), write.data.eq(self.word.data),
            write.en.eq(self.word_written & (self.word.memory == IDENTITY_MEMORY)),
            # Never both in one cycle: otherwise synthesis spends logic on what a collision would read.
            read.addr.eq(self.place[2:]), read.en.eq(~write.en), self.status_address.eq(self.place[2:]),
        ]
        if self._needs_loading:
            loaded = Signal(reset_less=not self._external)
            first, last = (self.word.address == place for place in PROGRAM_PLACES)
            with m.If(write.en & (first | last)):
                m.d.sync += loaded.eq((loaded & last) | self.word.data.any())
            m.d.comb += self.loaded.eq(loaded)
        else:
            m.d.comb += self.loaded.eq(1)

        is_identity = self.kind == Kind.IDENTIFY.value
        held: Value = read.data
        if self._external:
            hidden = Cat(self.place[2:] == place for place in PROGRAM_PLACES).any() & ~self.loaded
            held = Mux(hidden, 0, held)
        word, waits, kinds = Mux(is_identity, held, self.status_data), self.moves, [Kind.IDENTIFY, Kind.STATUS]
        if self._read_cycles:
            m.d.comb += self.read_back.asks.eq(self.chunk_asked)
            waits = self.moves | (self.reads & ~self.read_back.granted)
            word, kinds = Mux(self.reads, self.read_back.data, word), [*kinds, Kind.READ]
        cycles = max(STATUS_CYCLES, self._read_cycles)
        wait = Signal(range(cycles + 1))
        m.d.sync += wait.eq(Mux(waits, cycles, Mux(self.settled, 0, wait - 1)))
        m.d.comb += self.settled.eq(wait == 0)
        with m.Switch(self.kind):
            with m.Case(*(kind.value for kind in kinds)):
                m.d.comb += [self.octet.eq(word.word_select(self.place[:2], 8)),
                             self.length.eq(Mux(is_identity, IDENTITY_BYTES, self._status_bytes))]
            with m.Default():
                m.d.comb += [self.octet.eq(self.reason), self.length.eq(1)]
        return m
