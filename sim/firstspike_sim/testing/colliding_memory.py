# SPDX-License-Identifier: MIT
"""A memory as bad as hardware may be: what is read of a word while it is written is wrong."""

from amaranth.hdl import Elaboratable, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory, ReadPort, WritePort

__all__ = ["CollidingMemory"]


class CollidingMemory(Elaboratable):
    """In place of an Amaranth `Memory` with at most one write port: reads the complement of a word in the cycle in
    which it is written.

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
        for inside, outside in self._ports:
            collides = Signal()
            with m.If(outside.en):
                m.d.sync += collides.eq(Value.cast(
                    0 if not self._writes else self._writes[0].en.any() & (self._writes[0].addr == outside.addr)))
            read, seen = Value.cast(inside.data), Value.cast(outside.data)
            m.d.comb += [inside.addr.eq(outside.addr), inside.en.eq(outside.en),
                         seen.eq(Mux(collides, ~read, read))]
        return m
