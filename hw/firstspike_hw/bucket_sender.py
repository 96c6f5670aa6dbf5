# SPDX-License-Identifier: MIT
"""Bucket sender: the second half of a latency encoder, which sends the pixels of one bucket after another."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.events import TokenLayout
from firstspike_arch.fixed import ceil_div
from firstspike_arch.layer_plan import GROUP_BITS

from .bucket_sorter import BucketsInterface, bucket_entry, bucket_sides, buckets_signature, next_side
from .emitter import Emitter
from .integer_argument import integer_argument
from .sequencer import DropInterface, drop_signature
from .stream_token import token_stream

__all__ = ["BucketSender"]


class BucketSender(wiring.Component):
    """Sends an event for each pixel in a bucket, in ascending order, and a step marker behind each bucket.

    Throughput: one token a cycle without bubbles, also from image to image. Latency: a side full from cycle c on, its
    first token is offered in c + 2 if nothing is before it. With two ``slots``, two entries of a bucket are read
    at once, and their events sent as those of two groups (`Emitter`). From the cycle after ``drop`` names the image
    that is being sent, the rest of it is replaced by its final marker.

    Parameters
    ----------
    pixels : int
        Pixels of an image.
    steps : int
        The number of buckets.
    tag_bits : int
        Bits of an inference's running number.
    slots : int
        Events that a token has room for, 1 or 2.

    Members
    -------
    buckets : Out(buckets_signature(...))
    events : Out(token_stream(TokenLayout(shape=(pixels,), slots=slots)))
    drop : In(drop_signature(tag_bits))
    """

    buckets: BucketsInterface
    events: stream.Interface
    drop: DropInterface

    def __init__(self, *, pixels: int, steps: int, tag_bits: int, slots: int = 1):
        self._pixels, self._steps = integer_argument("pixels", pixels, 1), integer_argument("steps", steps, 1)
        self._tag_bits = integer_argument("tag_bits", tag_bits, 1)
        self._layout = TokenLayout(shape=(pixels,), slots=integer_argument("slots", slots, 1, 2))
        super().__init__({
            "buckets": Out(buckets_signature(beats=ceil_div(pixels, GROUP_BITS), steps=steps, reads=slots)),
            "events": Out(token_stream(self._layout)), "drop": In(drop_signature(tag_bits)),
        })

    @property
    def pixels(self) -> int:
        """Pixels of an image."""
        return self._pixels

    @property
    def steps(self) -> int:
        """The number of buckets."""
        return self._steps

    @property
    def tag_bits(self) -> int:
        """Bits of an inference's running number."""
        return self._tag_bits

    def elaborate(self, platform):
        m = Module()
        buckets, steps, reads = self.buckets, self._steps, self._layout.slots
        sides = bucket_sides(reads)
        beats = ceil_div(self._pixels, GROUP_BITS)
        m.submodules.emitter = emitter = Emitter(layout=self._layout, aligned=True)
        connect(m, emitter.events, flipped(self.events))

        # Which entry, or pair of entries, of which bucket is read now.
        step, tag, dropped = Signal(range(steps)), Signal(self._tag_bits), Signal()
        filled, last_entry, last_step = Signal(range(beats + 1)), Signal(), Signal()
        sending = buckets.full.bit_select(buckets.side, 1)
        behind = buckets.index + 1 if reads == 1 else (buckets.index + 1) << 1  # entries read, with those read now
        m.d.comb += [
            filled.eq(Array(
                Array(buckets.counts[side][number] for number in range(steps))[step] for side in range(sides)
            )[buckets.side]),
            last_entry.eq((behind >= filled) | dropped), last_step.eq((step == steps - 1) | dropped),
        ]
        m.d.sync += dropped.eq(self.drop.valid & (self.drop.tag == tag) & ~buckets.frees)

        # One cycle later: the entry itself, and what follows it.
        fetched, item = Signal(), Signal(data.StructLayout({"final": 1, "marker": 1, "empty": 1, "step": range(steps)}))
        m.d.comb += buckets.read.eq(~fetched | emitter.groups.ready)
        with m.If(buckets.read):
            m.d.sync += [
                fetched.eq(sending), item.step.eq(step), item.empty.eq((filled == 0) | dropped),
                item.marker.eq(last_entry), item.final.eq(last_entry & last_step),
            ]
            with m.If(sending):
                m.d.sync += buckets.index.eq(Mux(last_entry, 0, buckets.index + 1))
                with m.If(last_entry):
                    m.d.sync += step.eq(Mux(last_step, 0, step + 1))
                    with m.If(last_step):
                        m.d.comb += buckets.frees.eq(1)
                        m.d.sync += [buckets.side.eq(next_side(buckets.side, sides)), tag.eq(tag + 1)]
        chosen, group = Signal(data.ArrayLayout(bucket_entry(beats, reads), reads)), emitter.groups.payload
        first, fits, bits = chosen[0], chosen[0].single, Mux(item.empty, 0, chosen[0].mask)
        if reads == 2:
            two = Signal()  # the second entry is one
            with m.If(buckets.read):
                m.d.sync += two.eq((Cat(Const(1), buckets.index) < filled) & ~dropped)
            fits = Mux(two, first.single & chosen[1].single, first.few)
            bits = Cat(bits, Mux(two, chosen[1].mask, 0))
            m.d.comb += group.second_base.eq(chosen[1].beat * GROUP_BITS)
        m.d.comb += [
            chosen.eq(Array(buckets.entries[number] for number in range(steps))[item.step]),
            emitter.groups.valid.eq(fetched), group.marker.eq(item.marker), group.final.eq(item.final),
            group.bits.eq(bits), group.single.eq(item.empty | (fits & ~item.marker)),
            group.base.eq(first.beat * GROUP_BITS),
        ]
        return m
