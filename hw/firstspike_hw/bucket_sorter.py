# SPDX-License-Identifier: MIT
"""Bucket sorter: the first half of a latency encoder, which takes images and sorts their pixels by step."""

from typing import Protocol

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from firstspike_arch.array import GROUP_BITS
from firstspike_arch.fixed import ceil_div, latency_step

from .first_one import at_most_one
from .integer_argument import integer_argument

__all__ = ["BucketSorter", "BucketsInterface", "bucket_entry", "buckets_signature"]


class BucketsInterface(Protocol):
    """Members of `buckets_signature`."""

    full: Signal
    counts: data.View
    side: Signal
    index: Signal
    read: Signal
    entries: data.View
    frees: Signal
    signature: wiring.Signature


def bucket_entry(beats: int) -> data.StructLayout:
    """A beat with pixels in a bucket: a mask of these pixels, whether it is only one, and the number of the beat."""
    return data.StructLayout({"mask": GROUP_BITS, "single": 1, "beat": range(beats)})


def buckets_signature(*, beats: int, steps: int) -> wiring.Signature:
    """The buckets of two images, one a side and step, as the unit has them that reads them.

    ``full``: which sides hold a whole image. ``counts``: entries of every bucket, by side and step. With ``read`` high
    in cycle c, ``entries`` are those at ``index`` of all buckets of ``side`` in c + 1, by step, and stay so until the
    next ``read``. ``frees``: the image of ``side`` is not needed beyond this cycle.
    """
    return wiring.Signature({
        "full": In(2), "counts": In(data.ArrayLayout(data.ArrayLayout(range(beats + 1), steps), 2)),
        "side": Out(1), "index": Out(range(beats)), "read": Out(1),
        "entries": In(data.ArrayLayout(bucket_entry(beats), steps)), "frees": Out(1),
    })


class BucketSorter(wiring.Component):
    """Puts each pixel p ≥ cutoff into the bucket of its step, (2(T−1)(255−p)+255) // 510; brighter is earlier.

    Every step has a bucket, and a beat leaves one entry in each bucket that one of its pixels falls into. Buckets are
    double: an image is taken into one side while that of the other is read. Throughput: one beat a cycle, and two
    cycles behind the last of an image. Latency: the last beat of an image taken in cycle c, its side is full from
    c + 2 on.

    Parameters
    ----------
    pixels : int
        Pixels of an image.
    steps : int
        T, the number of buckets.
    cutoff : int
        0 … 256, the darkest pixel that falls into a bucket.

    Members
    -------
    beats : In(stream.Signature(64))
        Pixel k of an image is byte k % 8 of beat k // 8; pixels beyond the last are ignored.
    buckets : In(buckets_signature(...))
    restart : In(1)
        Forget an image of which only a part has come; a beat that is taken in this cycle belongs to it.
    opens : Out(1)
        The first beat of an image is taken.
    cut : Out(1)
        A part of an image is forgotten.
    """

    beats: stream.Interface
    buckets: BucketsInterface
    restart: Signal
    opens: Signal
    cut: Signal

    def __init__(self, *, pixels: int, steps: int, cutoff: int):
        self._pixels, self._steps = integer_argument("pixels", pixels, 1), integer_argument("steps", steps, 1)
        self._cutoff = integer_argument("cutoff", cutoff, 0, 256)
        super().__init__({
            "beats": In(stream.Signature(64)),
            "buckets": In(buckets_signature(beats=ceil_div(pixels, GROUP_BITS), steps=steps)),
            "restart": In(1), "opens": Out(1), "cut": Out(1),
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
    def cutoff(self) -> int:
        """The darkest pixel that falls into a bucket."""
        return self._cutoff

    def elaborate(self, platform):
        m = Module()
        beats = ceil_div(self._pixels, GROUP_BITS)
        buckets = self.buckets
        filling, beat = Signal(), Signal(range(beats))  # the side that is filled, and the beat to be taken next
        taken, last = Signal(), Signal()
        ends = Signal()  # the last beat is being sorted: its side is full from the next cycle on
        m.d.comb += [
            self.beats.ready.eq(~buckets.full.bit_select(filling, 1) & ~ends),
            taken.eq(self.beats.valid & self.beats.ready), last.eq(beat == beats - 1),
            self.opens.eq(taken & (beat == 0)), self.cut.eq(self.restart & Mux(taken, ~last, beat != 0)),
        ]
        with m.If(self.cut):
            m.d.sync += beat.eq(0)
        with m.Elif(taken):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))

        # One cycle later: a mask of the beat's pixels for each bucket.
        sorted_valid, sorted_first, sorted_beat = Signal(), Signal(), Signal(range(beats))
        masks = [Signal(GROUP_BITS, name=f"mask{step}") for step in range(self._steps)]
        m.d.sync += [
            sorted_valid.eq(taken), sorted_first.eq(beat == 0), sorted_beat.eq(beat), ends.eq(taken & last),
            *(mask.eq(inside) for mask, inside in zip(masks, self._masks(last), strict=True)),
        ]
        counts = [[Signal(range(beats + 1), name=f"count{side}_{step}") for step in range(self._steps)]
                  for side in range(2)]
        for step, mask in enumerate(masks):
            memory = Memory(shape=bucket_entry(beats), depth=2 * beats, init=[])
            m.submodules[f"bucket{step}"] = memory
            write, read = memory.write_port(), memory.read_port()
            hit, place = sorted_valid & (mask != 0), Mux(
                sorted_first, 0, Mux(filling, counts[1][step], counts[0][step]))
            m.d.comb += [
                write.addr.eq(place + Mux(filling, beats, 0)), write.en.eq(hit), write.data.beat.eq(sorted_beat),
                write.data.mask.eq(mask), write.data.single.eq(at_most_one(mask)),
                read.addr.eq(buckets.index + Mux(buckets.side, beats, 0)), read.en.eq(buckets.read),
                buckets.entries[step].eq(read.data),
                *(buckets.counts[side][step].eq(counts[side][step]) for side in range(2)),
            ]
            with m.If(sorted_valid):
                m.d.sync += Array([counts[0][step], counts[1][step]])[filling].eq(place + hit)
        with m.If(ends):
            m.d.sync += [filling.eq(~filling), buckets.full.bit_select(filling, 1).eq(1)]
        with m.If(buckets.frees):
            m.d.sync += buckets.full.bit_select(buckets.side, 1).eq(0)
        return m

    def _masks(self, last: Value) -> list[Value]:
        """Which pixels of the beat that is offered fall into each bucket; with ``last`` it is the image's last."""
        beyond = -self._pixels % GROUP_BITS
        present: Value = Const((1 << GROUP_BITS) - 1, GROUP_BITS)
        if beyond:
            present = Mux(last, Const((1 << (GROUP_BITS - beyond)) - 1, GROUP_BITS), present)
        octets = [self.beats.payload.word_select(index, 8) for index in range(GROUP_BITS)]
        masks = []
        # Comparisons against the edges of the steps are shared: brighter than edge t − 1, not brighter than edge t.
        for step in range(self._steps):
            here = [pixel for pixel in range(self._cutoff, 256) if latency_step(pixel, self._steps) == step]
            masks.append(present & Cat(
                ((octet >= here[0]) & (octet <= here[-1])) if here else Const(0) for octet in octets))
        return masks
