# SPDX-License-Identifier: MIT
"""Weight memory of a core: a word for every row of an event, followed by two registers."""

from collections.abc import Sequence
from typing import Protocol

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.fixed import CHUNK_BITS
from firstspike_arch.memory import MemoryShape
from firstspike_arch.parity import parity_bits

from .collisions import UNUSED
from .parity import mismatch_of, parity_of
from .weight_fill import FillInterface, fill_signature

__all__ = ["AccessInterface", "WeightMemory", "memory_access_signature", "rotated"]


class AccessInterface(Protocol):
    """Members of `memory_access_signature`."""

    word: Signal
    chunk: Signal
    ahead: Signal
    write: Signal
    data: Signal
    read: Signal


def memory_access_signature(shape: MemoryShape) -> wiring.Signature:
    """Return the signature to ``write`` or ``read`` a chunk of a memory word.

    One bit of ``chunk`` selects the chunk while one of this memory is written or read; else none is set, and ``write``
    and ``read`` are low. ``ahead`` is high in the cycle before a chunk is written, which a memory that others write,
    too, needs to know.
    """
    return wiring.Signature({
        "word": Out(range(shape.depth)), "chunk": Out(shape.chunks),
        "ahead": Out(1), "write": Out(1), "data": Out(CHUNK_BITS), "read": Out(1),
    })


def rotated(word: Value, turn: Value, banks: tuple[int, int], axis: int) -> Value:
    """Rotate the parts of a word, one for each bank: down (``axis`` 0) or across (1), by ``turn`` banks."""
    count, width = banks[axis], len(word) // (banks[0] * banks[1])
    parts = {(y, x): word[(y * banks[1] + x) * width:(y * banks[1] + x + 1) * width]
             for y in range(banks[0]) for x in range(banks[1])}
    return Cat(
        Array(parts[((y - by) % count, x) if axis == 0 else (y, (x - by) % count)] for by in range(count))[turn]
        for y, x in parts)


class WeightMemory(wiring.Component):
    """Weight memory with a latency of two cycles in which the stages move, and a throughput of one word a cycle.

    The memory's output goes into a register beside it, as block RAM is slow, and then into a second one. Weights are
    written and read back through ``access``, only while no inference is inside. The memory is read whenever the stages
    move, also while the same word is written, as nobody uses what is read then.

    If all that the core adds are words as they are (`CoreSpec.adds_words`), there is no operand register behind that
    one: a register in front of the memory takes its place, as the wires to many blocks of RAM are long, and the latency
    is three cycles, in the last of which the stages need not move. With a `CoreSpec.address_stage`, there is such a
    register, too; it holds the word of the row in that stage.

    Weights that come from an external memory are written, a beat a cycle, by ``fill``, at any time: never to a word
    that is about to be read. A host's writes go first.

    If the core takes two events at once, a second port reads the word of the second event beside the first; it shares
    its address with the writes, so that both ports of one block RAM are enough.

    With parity (`MemoryShape.parity`), every write of a chunk writes its bits, too, and a word is checked once it is in
    the last register, in two cycles of its own.

    Parameters
    ----------
    spec : CoreSpec
    image : sequence of int
        Initial words, for simulation; empty for Verilog, which loads a file.

    Members
    -------
    word : In(range(words))
        Address of the word to fetch.
    second_word : In(range(words)), second : In(1)
        With two events at once: the word of the second one, to be fetched beside the first; and, one cycle later in
        which the stages move, whether there is one.
    free : In(1)
        The stages move at the end of this cycle.
    turn : In(range(banks down))
        By how many banks the word at the memory's output is rotated down, if words are rotated along both axes. It is 0
        while a host reads.
    weights : Out(used bits of a word)
        Fetched word.
    second_weights : Out(used bits of a word)
        With two events at once: the word of the second one; 0 without one.
    access : In(memory_access_signature(spec.memory))
        Writes and reads of a host.
    chunk : Out(CHUNK_BITS)
        Chunk read, two cycles after ``access.read``; 0 if none is chosen. Only with ``spec.read_back``.
    fill : In(fill_signature(fetching, words))
        With external weights: writes of a beat.
    live : In(1), mismatch : Out(1)
        With parity: ``weights``, and ``second_weights``, are of a row that leaves its stage; and, two cycles later,
        they did not fit their parity.
    """

    word: Signal
    second_word: Signal
    second: Signal
    free: Signal
    turn: Signal
    weights: Signal
    second_weights: Signal
    access: AccessInterface
    chunk: Signal
    fill: FillInterface
    live: Signal
    mismatch: Signal

    def __init__(self, spec: CoreSpec, image: Sequence[int] = ()):
        self._spec, self._image = spec, image
        super().__init__({
            "word": In(range(spec.memory.depth)), "free": In(1),
            "weights": Out(spec.memory.used_bits), "access": In(memory_access_signature(spec.memory)),
            **({"chunk": Out(CHUNK_BITS)} if spec.read_back else {}), **({
                "second_word": In(range(spec.memory.depth)), "second": In(1),
                "second_weights": Out(spec.memory.used_bits)} if spec.pairs else {}),
            **({"turn": In(range(spec.plan.banks[0]))} if spec.plan.rotates == (True, True) else {}),
            **({"fill": In(fill_signature(spec.fetching, spec.memory.depth))} if spec.fetching else {}),
            **({"live": In(1), "mismatch": Out(1)} if spec.parity else {}),
        })

    @property
    def spec(self) -> CoreSpec:
        """The core that it belongs to."""
        return self._spec

    def elaborate(self, platform):
        m = Module()
        shape, access = self._spec.memory, self.access
        m.submodules[shape.name] = memory = Memory(
            shape=shape.width, depth=shape.depth, init=[shape.stored(word) for word in self._image], attrs=UNUSED)
        read, write = memory.read_port(), memory.write_port(granularity=shape.chunk_bits)
        mismatches: list[Value] = []
        late = self._spec.adds_words
        address = Signal(range(shape.depth))
        word: Value = self.word
        if late or self._spec.address_stage:
            word = Signal(range(shape.depth), reset_less=True)
            with m.If(self.free):
                m.d.sync += word.eq(self.word)
        lends: Value = Const(0)
        writes: Value = access.chunk
        if self._spec.read_back:
            lends, writes = access.read, Mux(access.read, 0, access.chunk)
        if shape.single_port:
            lends = lends | access.write
        m.d.comb += [address.eq(Mux(lends, access.word, word)), read.addr.eq(address), read.en.eq(self.free)]
        if not self._spec.fetching:
            m.d.comb += [write.en.eq(writes), write.data.eq(self._stored(access.data.replicate(shape.chunks)))]
        if self._spec.pairs:
            second = memory.read_port()
            m.d.comb += [
                write.addr.eq(Mux(access.write, access.word, self.second_word)), second.addr.eq(write.addr),
                second.en.eq(self.free),
            ]
            held = Signal(shape.used_bits, reset_less=True)
            m.d.comb += self.second_weights.eq(held)
            with m.If(self.free):
                m.d.sync += held.eq(Mux(self.second, self._data(second.data), 0))
            if shape.parity:
                mismatches.append(self._checked(m, "second_", Mux(self.second, second.data, 0), held))
        elif self._spec.fetching:
            chunks, fill, beat = shape.chunks, self.fill, self._spec.fetching.beat_bits // CHUNK_BITS
            data = Cat(fill.data.word_select(chunk % beat, CHUNK_BITS) for chunk in range(chunks))
            calm = Signal(init=1)
            m.d.sync += calm.eq(~access.ahead)
            m.d.comb += [
                write.addr.eq(Mux(calm, fill.word, access.word)),
                write.en.eq(Mux(calm, fill.chunks, access.chunk)),
                write.data.eq(self._stored(Mux(calm, data, access.data.replicate(chunks)))),
            ]
        else:
            m.d.comb += write.addr.eq(address if shape.single_port else access.word)
        # Two registers in a row: the first beside the memory, whose output is slow, the second beside the adders.
        weights = Signal(shape.used_bits, reset_less=True)
        m.d.comb += self.weights.eq(weights)
        fetched = self._data(read.data)[:shape.used_bits]
        if self._spec.plan.rotates == (True, True):
            fetched = rotated(fetched, self.turn, self._spec.plan.banks, 0)
        with m.If(self.free | late):
            m.d.sync += weights.eq(fetched)
        if shape.parity:
            mismatches.append(self._checked(
                m, "", read.data, None if self._spec.plan.rotates == (True, True) else weights))
            m.d.comb += self.mismatch.eq(Cat(mismatches).any())
        if self._spec.read_back:  # not at the memory's own output: on ECP5 the register is a part of the block RAM
            places = [weights[bit::CHUNK_BITS] for bit in range(CHUNK_BITS)]  # of each bit, that of every chunk
            m.d.comb += self.chunk.eq(Cat((access.chunk[:len(bits)] & bits).any() for bits in places))
        return m

    def _stored(self, data: Value) -> Value:
        """Return chunks as the memory holds them: each with its parity behind its used bits."""
        shape = self._spec.memory
        if not shape.parity:
            return data
        found = []
        for chunk, bits in enumerate(shape.data_bits):
            one = data[chunk * CHUNK_BITS:chunk * CHUNK_BITS + bits]
            found.append(Cat(one, parity_of(one), Const(0, shape.chunk_bits - bits - parity_bits(bits))))
        return Cat(found)

    def _data(self, stored: Value) -> Value:
        """Return the data of a word that the memory holds."""
        shape = self._spec.memory
        if not shape.parity:
            return stored
        return Cat(stored[chunk * shape.chunk_bits:][:bits] for chunk, bits in enumerate(shape.data_bits))

    def _checked(self, m: Module, name: str, stored: Value, word: Value | None) -> Value:
        """Check a word at the memory's output once it is in the register ``word``; None: there is none that holds it as
        it is."""
        shape, mismatches = self._spec.memory, []
        moves = self.free | self._spec.adds_words
        if word is None:
            word = Signal(shape.used_bits, name=f"{name}checked", reset_less=True)
            with m.If(moves):
                m.d.sync += word.eq(self._data(stored))
        kept = Signal(shape.stored_bits - shape.used_bits, name=f"{name}kept", reset_less=True)
        with m.If(moves):
            m.d.sync += kept.eq(Cat(stored[chunk * shape.chunk_bits:][bits:bits + parity_bits(bits)]
                                    for chunk, bits in enumerate(shape.data_bits)))
        first = 0
        for chunk, bits in enumerate(shape.data_bits):
            mismatches.append(mismatch_of(
                m, f"{name}{chunk}_", word[chunk * CHUNK_BITS:][:bits], kept[first:first + parity_bits(bits)],
                self.live))
            first += parity_bits(bits)
        return Cat(mismatches).any()
