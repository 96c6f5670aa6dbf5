# SPDX-License-Identifier: MIT
"""A memory as bad as hardware may be: what is read of a word while it is written is wrong."""

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory, ReadPort, WritePort

__all__ = ["CollidingMemory"]


class CollidingMemory(Elaboratable):
    """In place of an Amaranth `Memory`: what is read of a word in the cycle in which it is written is the complement of
    what it was, or has another lowest bit, in turn.

    Parameters
    ----------
    **options
        Parameters of `Memory`.
    """

    def __init__(self, **options):
        self._memory, self._ports = Memory(**options), []
        self._writes: list[WritePort] = []

    def write_port(self, **options) -> WritePort:
        """Return the port of the memory."""
        self._writes.append(self._memory.write_port(**options))
        return self._writes[-1]

    def read_port(self, **options) -> ReadPort:
        """Return a port like that of the memory."""
        inside = self._memory.read_port(**options)
        outside = inside.signature.create()
        self._ports.append((inside, outside))
        return outside

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = self._memory
        turn = Signal()  # of cycles: so a word and its parity, a cycle later, do not change alike
        m.d.sync += turn.eq(~turn)
        for inside, outside in self._ports:
            read, seen = Value.cast(inside.data), Value.cast(outside.data)
            changes = Signal(len(read))
            meets = [write.en.any() & (write.addr == outside.addr) for write in self._writes]
            with m.If(outside.en):
                m.d.sync += changes.eq(Mux(Cat(meets).any(), Mux(turn, -1, 1), 0))
            m.d.comb += [inside.addr.eq(outside.addr), inside.en.eq(outside.en), seen.eq(read ^ changes)]
        return m
