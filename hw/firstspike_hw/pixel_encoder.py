# SPDX-License-Identifier: MIT
"""Pixel encoder: an image, eight pixels a beat, becomes the events of a direct input and the markers of its steps."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.connectivity import size_of
from firstspike_arch.events import TokenLayout
from firstspike_arch.fixed import ceil_div
from firstspike_arch.layer_plan import GROUP_BITS

from .emitter import Emitter, group_struct
from .first_one import at_most_one
from .integer_argument import integer_argument
from .pixel_address import pixel_address
from .stream_token import token_stream

__all__ = ["PixelEncoder"]


class PixelEncoder(wiring.Component):
    """Sends an event for each pixel that is not 0, with its value, in the order of their numbers; then T step markers.

    Throughput: one token a cycle without bubbles; a beat without such a pixel costs one cycle. Latency: a beat taken in
    cycle c, its first token is offered in c + 2 if nothing is before it. A pixel out of range is taken for 0
    (``bad_address``).

    Parameters
    ----------
    layout : TokenLayout
        Layout of the events; its shape is that of an image, its range that of the pixels.
    steps : int
        T.

    Members
    -------
    beats : In(stream.Signature(64))
        Pixel k of an image is byte k % 8 of beat k // 8, in two's complement if there are negative values; pixels
        beyond the last are ignored.
    events : Out(token_stream(layout))
    restart : In(1)
        End an image of which only a part has come with a final marker.
    opens : Out(1)
        The first beat of an image is taken.
    cut : Out(1)
        An image is ended so.
    bad_address : Out(1)
        A beat with a pixel out of range is taken.
    """

    beats: stream.Interface
    events: stream.Interface
    restart: Signal
    opens: Signal
    cut: Signal
    bad_address: Signal

    def __init__(self, *, layout: TokenLayout, steps: int):
        low, high = (-128, 127) if layout.signed else (0, 255)
        if layout.low < low or layout.high > high:
            raise ValueError(f"pixels of a pixel encoder must lie in {low}…{high}, not in {layout.low}…{layout.high}")
        self._layout, self._steps = layout, integer_argument("steps", steps, 1)
        super().__init__({
            "beats": In(stream.Signature(64)), "events": Out(token_stream(layout)), "restart": In(1), "opens": Out(1),
            "cut": Out(1), "bad_address": Out(1),
        })

    @property
    def layout(self) -> TokenLayout:
        """Layout of the events."""
        return self._layout

    @property
    def steps(self) -> int:
        """Steps of an inference."""
        return self._steps

    def elaborate(self, platform):
        m = Module()
        layout, pixels = self._layout, size_of(self._layout.shape)
        count = ceil_div(pixels, GROUP_BITS)
        numbers = TokenLayout(shape=(pixels,), low=layout.low, high=layout.high)
        m.submodules.emitter = emitter = Emitter(layout=numbers, aligned=True)
        sent = emitter.events
        m.d.comb += [
            self.events.valid.eq(sent.valid), sent.ready.eq(self.events.ready),
            self.events.payload.marker.eq(sent.payload.marker), self.events.payload.final.eq(sent.payload.final),
            self.events.payload.value.eq(sent.payload.value),
            self.events.payload.address.eq(pixel_address(m, layout, sent.payload.address)),
        ]
        beat, left = Signal(range(count)), Signal(range(self._steps + 1))  # left: markers to be sent
        held = Signal(group_struct(numbers), reset_less=True)
        valid, load, taken = Signal(), Signal(), Signal()
        last, ending, closing = Signal(), Signal(), Signal()
        octets = [self.beats.payload.word_select(index, 8) for index in range(GROUP_BITS)]
        values = [octet.as_signed() if layout.signed else octet for octet in octets]
        present = Cat((beat * GROUP_BITS + index) < pixels for index in range(GROUP_BITS))
        inside = Cat((value >= layout.low) & (value <= layout.high) for value in values)
        bits = Signal(GROUP_BITS)
        m.d.comb += [
            bits.eq(Cat(octet.any() for octet in octets) & present & inside), last.eq(beat == count - 1),
            load.eq(~valid | emitter.groups.ready), closing.eq(ending & (beat != 0)),
            self.beats.ready.eq(load & (left == 0) & ~ending), taken.eq(self.beats.valid & self.beats.ready),
            self.opens.eq(taken & (beat == 0)), self.cut.eq(load & closing),
            self.bad_address.eq(taken & (present & ~inside).any()),
            emitter.groups.valid.eq(valid), emitter.groups.payload.eq(held),
        ]
        with m.If(load):
            m.d.sync += [valid.eq((left != 0) | closing), held.bits.eq(0), held.marker.eq(1), held.single.eq(1),
                         held.final.eq((left == 1) | closing), left.eq(Mux(left == 0, 0, left - 1))]
            with m.If(closing):
                m.d.sync += beat.eq(0)
            with m.If(left == 0):
                m.d.sync += ending.eq(0)
        with m.If(taken):
            m.d.sync += [
                valid.eq(bits.any() | last), held.bits.eq(bits), held.base.eq(beat * GROUP_BITS), held.marker.eq(last),
                held.single.eq(Mux(last, bits == 0, at_most_one(bits))), held.final.eq(last & (self._steps == 1)),
                beat.eq(Mux(last, 0, beat + 1)),
                *(held.values[index].eq(value) for index, value in enumerate(values)),
            ]
            with m.If(last):
                m.d.sync += left.eq(self._steps - 1)
        with m.If(self.restart):
            m.d.sync += ending.eq(1)
        return m
