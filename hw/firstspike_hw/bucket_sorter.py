# SPDX-License-Identifier: MIT
"""Bucket sorter: the first half of a latency encoder, which takes images and sorts their pixels by step."""

from typing import Protocol

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from firstspike_arch.fixed import ceil_div, latency_step
from firstspike_arch.layer_plan import GROUP_BITS

from .first_one import at_most, at_most_one
from .integer_argument import integer_argument

__all__ = ["BucketSorter", "BucketsInterface", "bucket_entry", "bucket_sides", "buckets_signature", "next_side"]


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


def bucket_entry(beats: int, reads: int = 1) -> data.StructLayout:
    """A beat with pixels in a bucket: a mask of these pixels, whether it is only one, and the number of the beat; if
    two entries are read at once, also whether it is at most two."""
    few = {"few": 1} if reads == 2 else {}
    return data.StructLayout({"mask": GROUP_BITS, "single": 1, "beat": range(beats), **few})


def bucket_sides(reads: int) -> int:
    """The number of images whose buckets are kept: one that is taken and one that is sent; with two ``reads``, one that
    waits, too."""
    return reads + 1


def buckets_signature(*, beats: int, steps: int, reads: int = 1) -> wiring.Signature:
    """The buckets of several images, one a side and step, as the unit has them that reads them. There are
    `bucket_sides`.

    ``full``: which sides hold a whole image. ``counts``: entries of every bucket, by side and step. With ``read`` high
    in cycle c, ``entries`` are those at ``index`` of all buckets of ``side`` in c + 1, by step, and stay so until the
    next ``read``. Two ``reads``: these are two entries, and ``index`` is the number of such a pair. ``frees``: the
    image of ``side`` is not needed beyond this cycle.
    """
    entries, sides = data.ArrayLayout(bucket_entry(beats, reads), reads), bucket_sides(reads)
    return wiring.Signature({
        "full": In(sides), "counts": In(data.ArrayLayout(data.ArrayLayout(range(beats + 1), steps), sides)),
        "side": Out(range(sides)), "index": Out(range(ceil_div(beats, reads))), "read": Out(1),
        "entries": In(data.ArrayLayout(entries, steps)), "frees": Out(1),
    })


def next_side(side: Value, sides: int) -> Value:
    """The side of the next image."""
    return ~side if sides == 2 else Mux(side == sides - 1, 0, side + 1)


class BucketSorter(wiring.Component):
    """Puts each pixel p ≥ cutoff into the bucket of its step, (2(T−1)(255−p)+255) // 510; brighter is earlier.

    Every step has a bucket, and a beat leaves one entry in each bucket that one of its pixels falls into. Buckets are
    double: an image is taken into one side while that of the other is read. With two ``reads``, most images are sent in
    less time than one is taken; a third side lets the next one come in while a longer one is sent. Throughput: one beat
    a cycle, also from image to image. Latency: the last beat of an image taken in cycle c, its side is full from c + 2
    on.

    Parameters
    ----------
    pixels : int
        Pixels of an image.
    steps : int
        T, the number of buckets.
    cutoff : int
        0 … 256, the darkest pixel that falls into a bucket.
    reads : int
        Entries of a bucket that are read at once, 1 or 2.

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

    def __init__(self, *, pixels: int, steps: int, cutoff: int, reads: int = 1):
        self._pixels, self._steps = integer_argument("pixels", pixels, 1), integer_argument("steps", steps, 1)
        self._cutoff, self._reads = integer_argument("cutoff", cutoff, 0, 256), integer_argument("reads", reads, 1, 2)
        super().__init__({
            "beats": In(stream.Signature(64)),
            "buckets": In(buckets_signature(beats=ceil_div(pixels, GROUP_BITS), steps=steps, reads=reads)),
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

    @property
    def reads(self) -> int:
        """Entries of a bucket that are read at once."""
        return self._reads

    def elaborate(self, platform):
        m = Module()
        beats, reads = ceil_div(self._pixels, GROUP_BITS), self._reads
        depth, sides = ceil_div(beats, reads), bucket_sides(reads)
        buckets = self.buckets
        # The side that is filled, and the beat to be taken next.
        filling, beat = Signal(range(sides)), Signal(range(beats))
        taken, last = Signal(), Signal()
        ends = Signal()  # the last beat is being sorted: its side is full from the next cycle on
        m.d.comb += [
            self.beats.ready.eq(~buckets.full.bit_select(Mux(ends, next_side(filling, sides), filling), 1)),
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
                  for side in range(sides)]
        starts = [side * depth for side in range(sides)]
        for step, mask in enumerate(masks):
            memory = Memory(shape=data.ArrayLayout(bucket_entry(beats, reads), reads), depth=sides * depth, init=[])
            m.submodules[f"bucket{step}"] = memory
            write, read = memory.write_port(granularity=1), memory.read_port()
            hit, place = sorted_valid & (mask != 0), Mux(
                sorted_first, 0, _of_side(filling, [side[step] for side in counts]))
            for entry in (write.data[number] for number in range(reads)):
                m.d.comb += [entry.beat.eq(sorted_beat), entry.mask.eq(mask), entry.single.eq(at_most_one(mask))]
                if reads == 2:
                    m.d.comb += entry.few.eq(at_most(2, mask))
            word, enable = (place, hit) if reads == 1 else (place[1:], Cat(hit & ~place[0], hit & place[0]))
            m.d.comb += [
                write.addr.eq(word + _of_side(filling, starts)), write.en.eq(enable),
                read.addr.eq(buckets.index + _of_side(buckets.side, starts)), read.en.eq(buckets.read),
                buckets.entries[step].eq(read.data),
                *(buckets.counts[side][step].eq(counts[side][step]) for side in range(sides)),
            ]
            with m.If(sorted_valid):
                m.d.sync += Array(side[step] for side in counts)[filling].eq(place + hit)
        with m.If(ends):
            m.d.sync += [filling.eq(next_side(filling, sides)), buckets.full.bit_select(filling, 1).eq(1)]
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


def _of_side(side: Value, values: list) -> Value:
    """The value of a side, of those for each."""
    return Mux(side, values[1], values[0]) if len(values) == 2 else Array(values)[side]
