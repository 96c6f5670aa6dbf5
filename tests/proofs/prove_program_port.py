# SPDX-License-Identifier: MIT
"""Program port: memories are written only while no inference is inside, every word once and where it belongs."""

from functools import cache
from typing import ClassVar

import numpy as np
from amaranth.hdl import Cat, Module, Signal
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_compiler.compile import compile_network
from firstspike_hw.program_port import ProgramPort
from proof import Fault, Proof

_UNIT = "firstspike_hw.program_port"


@cache
def _cores():
    """A memory of two chunks a word, and one of a single chunk."""
    builder = NetworkBuilder(5, steps=2, readout="potential")
    builder.layer(np.ones((20, 5), np.int8), theta=3)
    builder.layer(np.ones((3, 20), np.int8))
    return compile_network(builder.build(), lanes=[20, 3]).program.cores


class ProgramPortProof(Proof):
    unit = "program port"
    faults: ClassVar = {
        "no memory is written while an inference is inside": Fault(
            module=_UNIT, find="| asks | changed) & empty", replace="| asks) & empty"),
        "no inference is inside when the cores start over": Fault(
            module=_UNIT, find="empty.eq((inside == 0) & ~self.opens)", replace="empty.eq(inside == 0)"),
        "every word is written once, three cycles after it was taken, where it belongs": Fault(
            module=_UNIT, find="(given.memory == core.index)", replace="(given.memory >= core.index)"),
        "the cores start over after the last word": Fault(
            module=_UNIT, find="self.reload.eq(changed & done)", replace="self.reload.eq(changed & ~port.valid)"),
        "no word is taken while a core starts over": Fault(
            module=_UNIT, find="self.closed & ~self.reload & ~self.busy", replace="self.closed & ~self.reload"),
        "an offered word is taken soon after the last inference has left": Fault(
            module=_UNIT, find="self.closed & ~self.reload & ~self.busy",
            replace="self.closed & changed & ~self.busy"),
    }

    def build(self, m: Module) -> None:
        cores = _cores()
        m.submodules.unit = unit = ProgramPort(cores)
        self.offer(unit.words, "words")
        word, taken = unit.words.payload, unit.words.valid & unit.words.ready
        opens, closes, forgets, busy = (self.free(1, name) for name in ("opens", "closes", "forgets", "busy"))
        m.d.comb += [unit.opens.eq(opens), unit.closes.eq(closes), unit.forgets.eq(forgets), unit.busy.eq(busy)]
        most = (1 << cores[0].tag_bits) - 1
        inside = Signal(range(most + 2))
        m.d.sync += inside.eq(inside + opens - closes - forgets)
        self.assume(~(opens & unit.closed))
        self.assume((closes + forgets <= inside) & (inside + opens <= most))

        writes = Cat(getattr(unit, f"access{core.index}").write & getattr(unit, f"access{core.index}").chunk.any()
                     for core in cores)
        empty = (inside == 0) & ~opens
        self.hold("no memory is written while an inference is inside", ~writes.any() | empty)
        self.hold("no inference is inside when the cores start over", ~unit.reload | empty)
        late, later = self.past(taken), Signal.like(word)
        m.d.sync += later.eq(word)
        due, came = self.past(late), Signal.like(word)
        m.d.sync += came.eq(later)
        for core in cores:
            access, shape = getattr(unit, f"access{core.index}"), core.memory
            low = (shape.chunks - 1).bit_length()
            row, chunk = came.address[low:], came.address[:low]
            here = due & (came.memory == core.index) & (row < shape.depth) & (
                (chunk if low else 0) < shape.chunks)
            name = "every word is written once, three cycles after it was taken, where it belongs"
            self.hold(name, (access.write & access.chunk.any()) == here)
            self.hold(name, ~here | ((access.word == row) & (access.data == came.data) & (
                access.chunk == (1 << chunk if low else 1))))
            self.hold(name, ~(access.write & access.chunk.any()) | self.past(access.ahead))
        # Something was written, and the cores have not started over since.
        stale = Signal()
        with m.If(unit.reload):
            m.d.sync += stale.eq(0)
        with m.If(taken):
            m.d.sync += stale.eq(1)
        self.hold("the cores start over after the last word", ~unit.reload | (stale & ~(writes.any() | late | taken)))
        self.hold("the cores start over after the last word", ~stale | unit.closed | unit.reload)
        self.hold("no word is taken while a core starts over", ~(taken & (busy | unit.reload)))
        self.hold_soon("an offered word is taken soon after the last inference has left",
                       unit.words.valid & ~unit.words.ready & empty & ~busy, 3)
