# SPDX-License-Identifier: MIT
"""Bucket sender: the second half of a latency encoder, which sends the pixels of one bucket after another."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.array import GROUP_BITS
from firstspike_arch.events import TokenLayout
from firstspike_arch.fixed import ceil_div

from .bucket_sorter import BucketsInterface, bucket_entry, buckets_signature
from .emitter import Emitter
from .integer_argument import integer_argument
from .sequencer import DropInterface, drop_signature
from .stream_token import token_stream

__all__ = ["BucketSender"]


class BucketSender(wiring.Component):
    """Sends an event for each pixel in a bucket, in ascending order, and a step marker behind each bucket.

    Throughput: one token a cycle without bubbles, also from image to image. Latency: a side full from cycle c on, its
    first token is offered in c + 2 if nothing is before it. From the cycle after ``drop`` names the image that is being
    sent, the rest of it is replaced by its final marker.

    Parameters
    ----------
    pixels : int
        Pixels of an image.
    steps : int
        The number of buckets.
    tag_bits : int
        Bits of an inference's running number.

    Members
    -------
    buckets : Out(buckets_signature(...))
    events : Out(token_stream(TokenLayout(shape=(pixels,))))
    drop : In(drop_signature(tag_bits))
    """

    buckets: BucketsInterface
    events: stream.Interface
    drop: DropInterface

    def __init__(self, *, pixels: int, steps: int, tag_bits: int):
        self._pixels, self._steps = integer_argument("pixels", pixels, 1), integer_argument("steps", steps, 1)
        self._tag_bits = integer_argument("tag_bits", tag_bits, 1)
        self._layout = TokenLayout(shape=(pixels,))
        super().__init__({
            "buckets": Out(buckets_signature(beats=ceil_div(pixels, GROUP_BITS), steps=steps)),
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
        buckets, steps = self.buckets, self._steps
        beats = ceil_div(self._pixels, GROUP_BITS)
        m.submodules.emitter = emitter = Emitter(layout=self._layout, aligned=True)
        connect(m, emitter.events, flipped(self.events))

        # Which entry of which bucket is read now.
        step, tag, dropped = Signal(range(steps)), Signal(self._tag_bits), Signal()
        filled, last_entry, last_step = Signal(range(beats + 1)), Signal(), Signal()
        sending = buckets.full.bit_select(buckets.side, 1)
        m.d.comb += [
            filled.eq(Mux(buckets.side, *(
                Array(buckets.counts[side][number] for number in range(steps))[step] for side in (1, 0)))),
            last_entry.eq((buckets.index + 1 >= filled) | dropped), last_step.eq((step == steps - 1) | dropped),
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
                        m.d.sync += [buckets.side.eq(~buckets.side), tag.eq(tag + 1)]
        chosen, group = Signal(bucket_entry(beats)), emitter.groups.payload
        m.d.comb += [
            chosen.eq(Array(buckets.entries[number] for number in range(steps))[item.step]),
            emitter.groups.valid.eq(fetched), group.marker.eq(item.marker), group.final.eq(item.final),
            group.bits.eq(Mux(item.empty, 0, chosen.mask)),
            group.single.eq(item.empty | (chosen.single & ~item.marker)), group.base.eq(chosen.beat * GROUP_BITS),
        ]
        return m
