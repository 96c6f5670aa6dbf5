# SPDX-License-Identifier: MIT
"""Weight memory of a core: a word for every row of an event, behind two registers."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Protocol

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.fixed import CHUNK_BITS
from firstspike_arch.memory import MemoryShape

__all__ = ["AccessInterface", "WeightMemory", "memory_access_signature"]


class AccessInterface(Protocol):
    """Members of `memory_access_signature`."""

    word: Signal
    chunk: Signal
    ahead: Signal
    write: Signal
    data: Signal
    read: Signal


def memory_access_signature(shape: MemoryShape) -> wiring.Signature:
    """A chunk of a memory word, one bit of ``chunk`` or none, to ``write`` or to ``read``.

    ``ahead`` is high in the cycle before any ``write``.
    """
    return wiring.Signature({
        "word": Out(range(shape.depth)), "chunk": Out(shape.chunks),
        "ahead": Out(1), "write": Out(1), "data": Out(CHUNK_BITS), "read": Out(1),
    })


class WeightMemory(wiring.Component):
    """``weights`` are those at ``word``, two cycles later in which the stages moved.

    The memory's output goes into a register beside it: block RAM is slow. Weights are written and read back through
    ``access``, not while an inference is inside.

    Parameters
    ----------
    spec : CoreSpec
    image : sequence of int
        Initial words, for simulation; empty for Verilog, which loads a file.

    Members
    -------
    word : In(range(words))
    free : In(1)
        The stages move at the end of this cycle.
    moves : In(1)
        They will move at the end of the next.
    weights : Out(used bits of a word)
    access : In(memory_access_signature(spec.memory))
    chunk : Out(CHUNK_BITS)
        Of a ``read``, two cycles after it; 0 if none is chosen. With ``spec.read_back``.
    """

    word: Signal
    free: Signal
    moves: Signal
    weights: Signal
    access: AccessInterface
    chunk: Signal

    def __init__(self, spec: CoreSpec, image: Sequence[int] = ()):
        self._spec, self._image = spec, image
        super().__init__({
            "word": In(range(spec.memory.depth)), "free": In(1), "moves": In(1),
            "weights": Out(spec.memory.used_bits), "access": In(memory_access_signature(spec.memory)),
            **({"chunk": Out(CHUNK_BITS)} if spec.read_back else {}),
        })

    def elaborate(self, platform):
        m = Module()
        shape, access = self._spec.memory, self.access
        m.submodules[shape.name] = memory = Memory(shape=shape.width, depth=shape.depth, init=self._image)
        read, write = memory.read_port(), memory.write_port(granularity=CHUNK_BITS)
        reads = Signal()
        m.d.sync += reads.eq(self.moves & ~access.ahead)
        address = Signal(range(shape.depth))
        lends: Value = Const(0)
        if self._spec.read_back:
            lends = access.read
        if shape.single_port:
            lends = lends | access.write
        m.d.comb += [
            address.eq(Mux(lends, access.word, self.word)), read.addr.eq(address),
            # Never both in one cycle: otherwise synthesis spends logic on what a collision would read.
            read.en.eq(reads), write.en.eq(Mux(access.write & ~reads, access.chunk, 0)),
            write.addr.eq(address if shape.single_port else access.word),
            write.data.eq(access.data.replicate(shape.chunks)),
        ]
        # Two flip-flops in a row: the first next to the memory, whose output is slow, the second next to the adder.
        weights = Signal(shape.used_bits, reset_less=True)
        m.d.comb += self.weights.eq(weights)
        with m.If(self.free):
            m.d.sync += weights.eq(read.data)
        if self._spec.read_back:  # not at the memory's own output: on ECP5 the register is a part of the block RAM
            chunks = [weights[low:low + CHUNK_BITS] for low in range(0, shape.used_bits, CHUNK_BITS)]
            m.d.comb += self.chunk.eq(reduce(or_, (
                Mux(chosen, chunk, 0) for chosen, chunk in zip(access.chunk, chunks, strict=True))))
        return m
