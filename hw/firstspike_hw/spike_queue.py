# SPDX-License-Identifier: MIT
"""Queue of captured spike words, between a core and its extractor."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from firstspike_arch.array import GROUP_BITS, spike_queue_depth
from firstspike_arch.fixed import ceil_div

from .core import capture_signature

__all__ = ["SpikeQueue", "word_layout"]


def word_layout(rows: int, lanes: int) -> data.StructLayout:
    """Spikes of one row, which groups have any, the number of the row, whether it ends the step and the inference."""
    return data.StructLayout({
        "final": 1, "last": 1, "row": range(rows), "occupied": ceil_div(lanes, GROUP_BITS), "spikes": lanes,
    })


class SpikeQueue(wiring.Component):
    """Holds the spike words of up to `spike_queue_depth` rows.

    A word captured in cycle c is offered from c + 1 on if the queue is one register, from c + 2 on if it is a memory.
    A row is granted its capture while words held plus the word being captured leave room. A word taken makes room: in a
    register for a capture in the next cycle, in a memory one cycle later.

    Members
    -------
    capture : In(capture_signature(rows, lanes, 0))
    words : Out(stream.Signature(word_layout(rows, lanes)))
    """

    def __init__(self, *, rows: int, lanes: int):
        self._rows, self._lanes = rows, lanes
        super().__init__({
            "capture": In(capture_signature(rows, lanes, 0)),
            "words": Out(stream.Signature(word_layout(rows, lanes))),
        })

    def elaborate(self, platform):
        m = Module()
        layout = word_layout(self._rows, self._lanes)
        depth = spike_queue_depth(self._rows)
        word, spikes = Signal(layout), self.capture.spikes
        m.d.comb += [
            word.final.eq(self.capture.final), word.last.eq(self.capture.last), word.row.eq(self.capture.row),
            word.spikes.eq(spikes),
            word.occupied.eq(Cat(
                spikes[start:start + GROUP_BITS].any() for start in range(0, self._lanes, GROUP_BITS)
            )),
        ]
        taken = self.words.valid & self.words.ready
        count = Signal(range(depth + 1))
        m.d.sync += count.eq(count + self.capture.valid - taken)
        comes, goes_on = self.capture.valid, self.capture.coming
        if depth == 1:
            m.d.comb += self.capture.grant.eq(~(comes | goes_on | (count & ~taken)))
            held = Signal(layout, reset_less=True)
            with m.If(self.capture.valid):
                m.d.sync += held.eq(word)
            m.d.comb += [self.words.valid.eq(count != 0), self.words.payload.eq(held)]
        else:
            m.d.comb += self.capture.grant.eq(Mux(
                comes & goes_on, count < depth - 2, Mux(comes | goes_on, count < depth - 1, count < depth)))
            m.submodules.words = words = Memory(shape=layout, depth=depth, init=[])
            write, read = words.write_port(), words.read_port()
            head, second = Signal(range(depth)), Signal(range(depth))
            with m.If(write.en):
                m.d.sync += write.addr.eq(write.addr + 1)
            m.d.sync += [head.eq(read.addr), self.words.valid.eq(Mux(taken, count > 1, count != 0))]
            m.d.comb += [
                second.eq(head + 1), read.addr.eq(Mux(taken, second, head)),
                # Never the word that is written: otherwise synthesis spends logic on what a collision would read.
                read.en.eq(~(write.en & Mux(taken, write.addr == second, write.addr == head))),
                write.en.eq(self.capture.valid), write.data.eq(word), self.words.payload.eq(read.data),
            ]
        return m
