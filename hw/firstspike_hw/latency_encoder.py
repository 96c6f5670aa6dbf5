# SPDX-License-Identifier: MIT
"""Latency encoder: an image, eight pixels a beat, becomes spikes in the order of their steps."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from firstspike_arch.array import GROUP_BITS
from firstspike_arch.connectivity import size_of
from firstspike_arch.events import TokenLayout
from firstspike_arch.fixed import ceil_div, latency_step

from .emitter import Emitter
from .first_one import at_most_one
from .pixel_address import pixel_address
from .sequencer import drop_signature
from .stream_token import token_stream

__all__ = ["LatencyEncoder"]


class LatencyEncoder(wiring.Component):
    """One spike a pixel p ≥ cutoff, at step (2(T−1)(255−p)+255) // 510; brighter is earlier.

    A bucket sort: every step has a bucket, and a beat leaves its number and a mask of eight pixels in each bucket that
    one of them falls into. Buckets are double: an image is taken, one beat a cycle, while the one before is sent, one
    token a cycle without bubbles. So images may follow each other every max(beats, spikes + T) cycles, and a few to
    switch; the last beat of an image taken in cycle c, its first token is offered in c + 4 if nothing is before it.

    From the cycle after ``drop`` names the image that is being sent, the rest of it is replaced by its final marker.

    Members
    -------
    beats : In(stream.Signature(64))
        Pixel k of an image is byte k % 8 of beat k // 8; pixels beyond the last are ignored.
    events : Out(token_stream(layout))
    drop : In(drop_signature(tag_bits))
    restart : In(1)
        Forget an image of which only a part has come; a beat that is taken in this cycle belongs to it.
    opens : Out(1)
        The first beat of an image is taken.
    cut : Out(1)
        A part of an image was forgotten.
    """

    def __init__(self, *, layout: TokenLayout, steps: int, cutoff: int, tag_bits: int):
        self._layout, self._steps, self._cutoff, self._tag_bits = layout, steps, cutoff, tag_bits
        super().__init__({
            "beats": In(stream.Signature(64)), "events": Out(token_stream(layout)),
            "drop": In(drop_signature(tag_bits)), "restart": In(1), "opens": Out(1), "cut": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        pixels = size_of(self._layout.shape)
        count = ceil_div(pixels, GROUP_BITS)
        steps = self._steps
        m.submodules.emitter = emitter = Emitter(layout=TokenLayout(shape=(pixels,)))
        sent = emitter.events
        m.d.comb += [
            self.events.valid.eq(sent.valid), sent.ready.eq(self.events.ready),
            self.events.payload.marker.eq(sent.payload.marker), self.events.payload.final.eq(sent.payload.final),
            self.events.payload.address.eq(pixel_address(m, self._layout, sent.payload.address)),
        ]
        full = Signal(2)
        entry = data.StructLayout({"mask": GROUP_BITS, "single": 1, "beat": range(count)})

        # Taking beats.
        bank, beat = Signal(), Signal(range(count))
        bank_full = full.bit_select(bank, 1)
        taken, last = Signal(), Signal()
        ends = Signal()  # the last beat is being sorted: its bank is full from the next cycle on
        m.d.comb += [
            self.beats.ready.eq(~bank_full & ~ends), taken.eq(self.beats.valid & self.beats.ready),
            last.eq(beat == count - 1), self.opens.eq(taken & (beat == 0)),
        ]
        m.d.comb += self.cut.eq(self.restart & Mux(taken, ~last, beat != 0))
        with m.If(self.cut):
            m.d.sync += beat.eq(0)
        with m.Elif(taken):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))

        sorted_valid, sorted_first, sorted_beat = Signal(), Signal(), Signal(range(count))
        masks = [Signal(GROUP_BITS, name=f"mask{step}") for step in range(steps)]
        at = [[pixel for pixel in range(self._cutoff, 256) if latency_step(pixel, steps) == step]
              for step in range(steps)]
        present = Const((1 << GROUP_BITS) - 1, GROUP_BITS)
        beyond = count * GROUP_BITS - pixels
        if beyond:
            present = Mux(last, Const((1 << (GROUP_BITS - beyond)) - 1, GROUP_BITS), present)
        m.d.sync += [sorted_valid.eq(taken), sorted_first.eq(beat == 0), sorted_beat.eq(beat)]
        bytes_ = [self.beats.payload.word_select(index, 8) for index in range(GROUP_BITS)]
        # Comparisons against the edges of the steps are shared: brighter than edge t − 1, not brighter than edge t.
        for step in range(steps):
            inside = Cat(
                ((byte >= at[step][0]) & (byte <= at[step][-1])) if at[step] else Const(0) for byte in bytes_
            )
            m.d.sync += masks[step].eq(inside & present)

        counts = [[Signal(range(count + 1), name=f"count{side}_{step}") for step in range(steps)] for side in range(2)]
        m.d.sync += ends.eq(taken & last)
        with m.If(ends):
            m.d.sync += [bank.eq(~bank), full.bit_select(bank, 1).eq(1)]

        # Sending.
        side, step, index = Signal(), Signal(range(steps)), Signal(range(count))
        reads = []
        for number in range(steps):
            memory = Memory(shape=entry, depth=2 * count, init=[])
            m.submodules[f"bucket{number}"] = memory
            write, read = memory.write_port(), memory.read_port()
            reads.append(read)
            fill = Mux(bank, counts[1][number], counts[0][number])
            hit = sorted_valid & (masks[number] != 0)
            place = Mux(sorted_first, 0, fill)
            m.d.comb += [
                write.addr.eq(place + Mux(bank, count, 0)), write.data.beat.eq(sorted_beat),
                write.data.mask.eq(masks[number]), write.data.single.eq(at_most_one(masks[number])), write.en.eq(hit),
                read.addr.eq(index + Mux(side, count, 0)),
            ]
            with m.If(sorted_valid):
                m.d.sync += Array([counts[0][number], counts[1][number]])[bank].eq(place + hit)
        filled = Signal(range(count + 1))
        m.d.comb += filled.eq(Mux(side, Array(counts[1])[step], Array(counts[0])[step]))
        tag, dropped = Signal(self._tag_bits), Signal()
        fetch_ready, last_entry, last_step = Signal(), Signal(), Signal()
        fetched, item = Signal(), Signal(data.StructLayout({
            "final": 1, "marker": 1, "empty": 1, "step": range(steps),
        }))
        m.d.comb += [
            fetch_ready.eq(~fetched | emitter.groups.ready),
            last_entry.eq((index + 1 >= filled) | dropped), last_step.eq((step == steps - 1) | dropped),
        ]
        sending, ends_image = full.bit_select(side, 1), Signal()
        m.d.sync += dropped.eq(self.drop.valid & (self.drop.tag == tag) & ~ends_image)
        with m.If(fetch_ready):
            m.d.sync += [
                fetched.eq(sending), item.step.eq(step), item.empty.eq((filled == 0) | dropped),
                item.marker.eq(last_entry), item.final.eq(last_entry & last_step),
            ]
            with m.If(sending):
                m.d.sync += index.eq(Mux(last_entry, 0, index + 1))
                with m.If(last_entry):
                    m.d.sync += step.eq(Mux(last_step, 0, step + 1))
                    with m.If(last_step):
                        m.d.comb += ends_image.eq(1)
                        m.d.sync += [full.bit_select(side, 1).eq(0), side.eq(~side), tag.eq(tag + 1)]
        for read in reads:
            m.d.comb += read.en.eq(fetch_ready)
        chosen = Signal(entry)
        m.d.comb += [
            chosen.eq(Array(read.data for read in reads)[item.step]),
            emitter.groups.valid.eq(fetched), emitter.groups.payload.marker.eq(item.marker),
            emitter.groups.payload.final.eq(item.final),
            emitter.groups.payload.bits.eq(Mux(item.empty, 0, chosen.mask)),
            emitter.groups.payload.single.eq(item.empty | (chosen.single & ~item.marker)),
            emitter.groups.payload.base.eq(chosen.beat * GROUP_BITS),
        ]
        return m
