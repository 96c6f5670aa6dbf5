# SPDX-License-Identifier: MIT
"""Program port: writing and reading back of the cores' weight memories by a host, while no inference is inside."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.fixed import CHUNK_BITS
from firstspike_arch.status import PROGRAM_WORD

from .read_back import read_back_signature
from .weight_memory import memory_access_signature

__all__ = ["ProgramPort"]


class ProgramPort(wiring.Component):
    """Writes words to the memories they name, one a cycle, and makes the cores start over after the last word.

    Words are taken only while no inference is inside. An offered word keeps new inferences out (``closed``) until it is
    written, three cycles after it is taken. When no more words come, ``reload`` is high for one cycle, and no word is
    taken until every core has started over. Memories are read back through their read ports under the same conditions.

    Parameters
    ----------
    cores : sequence of CoreSpec

    Members
    -------
    words : In(stream.Signature(PROGRAM_WORD))
        Words to write.
    opens, closes : In(1)
        An inference enters; an inference leaves.
    forgets : In(1)
        An inference that has entered will never leave.
    busy : In(1)
        A core is starting over, or is in the middle of a token.
    closed : Out(1)
        No inference may enter.
    reload : Out(1)
        The cores must start over.
    access0, access1, … : Out(memory_access_signature(core.memory))
        Accesses to the memory of each core.
    read_back : In(read_back_signature()), chunk0, chunk1, … : In(CHUNK_BITS)
        With read-back: requests of a host, and the chunk that each core's memory returns.
    """

    words: stream.Interface
    opens: Signal
    closes: Signal
    forgets: Signal
    busy: Signal
    closed: Signal
    reload: Signal
    read_back: Any

    def __init__(self, cores: Sequence[CoreSpec]):
        if not cores:
            raise ValueError("cores must be at least one, not none")
        self._cores, self._reads_back = cores, cores[0].read_back
        access = {f"access{core.index}": Out(memory_access_signature(core.memory)) for core in cores}
        chunks = {f"chunk{core.index}": In(CHUNK_BITS) for core in cores}
        super().__init__({
            "words": In(stream.Signature(data.StructLayout(PROGRAM_WORD))), "opens": In(1), "closes": In(1),
            "forgets": In(1), "busy": In(1), "closed": Out(1), "reload": Out(1), **access,
            **({"read_back": In(read_back_signature()), **chunks} if self._reads_back else {}),
        })

    @property
    def cores(self) -> Sequence[CoreSpec]:
        """The cores whose memories it reaches."""
        return self._cores

    def elaborate(self, platform):
        m = Module()
        port, reads_back = self.words, self._reads_back
        inside, changed, empty = Signal(self._cores[0].tag_bits + 1), Signal(), Signal()
        m.d.sync += inside.eq(inside + self.opens - self.closes - self.forgets)
        word, written, writing = Signal.like(port.payload), Signal(), Signal()
        asks: Value = self.read_back.asks if reads_back else Const(0)
        done = ~(port.valid | written | writing)
        # A core that is starting over reads its biases, and cannot start over again in the middle of that.
        m.d.comb += [
            empty.eq((inside == 0) & ~self.opens), port.ready.eq(self.closed & ~self.reload & ~self.busy),
        ]
        granted: Value = Const(0)
        if reads_back:
            granted = self.read_back.granted
            m.d.comb += granted.eq(asks & port.ready & ~changed)
        # An inference that has begun may enter completely; between inferences the program port has priority.
        m.d.sync += [
            self.closed.eq((port.valid | asks | changed) & empty),
            changed.eq((changed & ~done) | (port.valid & port.ready)), word.eq(port.payload),
            written.eq(port.valid & port.ready), writing.eq(written), self.reload.eq(changed & done),
        ]
        shown: Value = Const(0, CHUNK_BITS)
        for core in self._cores:
            shape, access = core.memory, getattr(self, f"access{core.index}")
            low = (shape.chunks - 1).bit_length()
            # In their registers as early as the word itself, so that its chunk comes from a register at the memory.
            given, bits = port.payload, len(access.word)
            below, named = Signal(name=f"below{core.index}"), Signal(name=f"named{core.index}")
            beyond = given.address[low:]
            m.d.sync += [
                below.eq(beyond[:bits] < shape.depth),
                named.eq((given.memory == core.index) & ~beyond[bits:].any()),
            ]
            number, there = word.address[:low], below & named
            m.d.comb += access.ahead.eq(written & named)
            m.d.sync += [
                access.data.eq(word.data), access.word.eq(word.address[low:]),
                access.write.eq(there & written), access.read.eq(there & granted),
                access.chunk.eq(Mux(
                    there & (written | granted), Cat(number == chunk for chunk in range(shape.chunks)), 0)),
            ]
            if reads_back:
                # The chunk passes a register at each core, so that it need not cross the whole device in one cycle.
                through = Signal(CHUNK_BITS, name=f"read{core.index}")
                m.d.sync += through.eq(shown | getattr(self, f"chunk{core.index}"))
                shown = through
        if reads_back:
            m.d.comb += self.read_back.data.eq(shown)
        return m
