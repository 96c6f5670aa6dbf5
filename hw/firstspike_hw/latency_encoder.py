# SPDX-License-Identifier: MIT
"""Latency encoder: an image, eight pixels a beat, becomes spikes in the order of their steps."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.connectivity import size_of
from firstspike_arch.events import TokenLayout

from .bucket_sender import BucketSender
from .bucket_sorter import BucketSorter
from .pixel_address import pixel_address
from .sequencer import DropInterface, drop_signature
from .stream_token import token_stream

__all__ = ["LatencyEncoder"]


class LatencyEncoder(wiring.Component):
    """Sends one spike for each pixel p ≥ cutoff, at step (2(T−1)(255−p)+255) // 510; brighter is earlier.

    A `BucketSorter` takes an image while a `BucketSender` sends the one before. Throughput: one beat and one token a
    cycle without bubbles, so images may follow each other every max(beats, tokens) cycles, and a few to switch. With
    two events a token, those of two beats with pixels in a step are sent together.
    Latency: the last beat of an image taken in cycle c, its first token is offered in c + 4 if nothing is before it.

    From the cycle after ``drop`` names the image that is being sent, the rest of it is replaced by its final marker.

    Parameters
    ----------
    layout : TokenLayout
        Layout of the events; its shape is that of an image.
    steps : int
        T.
    cutoff : int
        0 … 256, the darkest pixel that has a spike.
    tag_bits : int
        Bits of an inference's running number.

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
        A part of an image is forgotten.
    """

    beats: stream.Interface
    events: stream.Interface
    drop: DropInterface
    restart: Signal
    opens: Signal
    cut: Signal

    def __init__(self, *, layout: TokenLayout, steps: int, cutoff: int, tag_bits: int):
        if layout.value_bits:
            raise ValueError(f"values of the layout of a latency encoder must be 1, not {layout.low}…{layout.high}")
        self._layout = layout
        pixels = size_of(layout.shape)
        self._sorter = BucketSorter(pixels=pixels, steps=steps, cutoff=cutoff, reads=layout.slots)
        self._sender = BucketSender(pixels=pixels, steps=steps, tag_bits=tag_bits, slots=layout.slots)
        super().__init__({
            "beats": In(stream.Signature(64)), "events": Out(token_stream(layout)),
            "drop": In(drop_signature(tag_bits)), "restart": In(1), "opens": Out(1), "cut": Out(1),
        })

    @property
    def layout(self) -> TokenLayout:
        """Layout of the events."""
        return self._layout

    @property
    def steps(self) -> int:
        """Steps of an inference."""
        return self._sorter.steps

    @property
    def cutoff(self) -> int:
        """The darkest pixel that has a spike."""
        return self._sorter.cutoff

    @property
    def tag_bits(self) -> int:
        """Bits of an inference's running number."""
        return self._sender.tag_bits

    def elaborate(self, platform):
        m = Module()
        m.submodules.sorter = sorter = self._sorter
        m.submodules.sender = sender = self._sender
        connect(m, flipped(self.beats), sorter.beats)
        connect(m, sender.buckets, sorter.buckets)
        sent = sender.events
        m.d.comb += [
            sender.drop.valid.eq(self.drop.valid), sender.drop.tag.eq(self.drop.tag),
            sorter.restart.eq(self.restart), self.opens.eq(sorter.opens), self.cut.eq(sorter.cut),
            self.events.valid.eq(sent.valid), sent.ready.eq(self.events.ready),
            self.events.payload.marker.eq(sent.payload.marker), self.events.payload.final.eq(sent.payload.final),
            self.events.payload.address.eq(pixel_address(m, self._layout, sent.payload.address)),
        ]
        if self._layout.slots == 2:
            second = sent.payload.second
            m.d.comb += [
                self.events.payload.second.valid.eq(second.valid),
                self.events.payload.second.address.eq(pixel_address(m, self._layout, second.address)),
            ]
        return m
