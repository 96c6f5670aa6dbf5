# SPDX-License-Identifier: MIT
"""Pixel encoder: an event for each pixel that is not 0, with its value, then the markers of all steps."""

from typing import ClassVar

from amaranth.hdl import Module, Mux, Signal
from firstspike_arch.events import TokenLayout
from firstspike_hw.pixel_encoder import PixelEncoder
from proof import Fault, Proof

_UNIT = "firstspike_hw.pixel_encoder"
_PIXELS, _STEPS = 9, 2


class PixelEncoderProof(Proof):
    unit = "pixel encoder"
    cycles = 12
    faults: ClassVar = {
        "every pixel leaves once, if it is not 0, with its value": Fault(
            module=_UNIT, find="present & inside)", replace="present)"),
        "pixels leave in the order of their numbers": Fault(
            module=_UNIT, find="held.base.eq(beat * GROUP_BITS)", replace="held.base.eq(0)"),
        "every image has all its markers, the last of them final": Fault(
            module=_UNIT, find="left.eq(self._steps - 1)", replace="left.eq(self._steps)"),
        "a part of an image ends with a final marker": Fault(
            module=_UNIT, find="(left == 1) | closing", replace="left == 1"),
        "what waits stays as it is": Fault(
            module="firstspike_hw.emitter", find="with m.Elif(move):\n            # Behind",
            replace="with m.Else():\n            # Behind"),
        "a beat waits for nothing but tokens": Fault(
            module=_UNIT, find="m.d.sync += ending.eq(0)", replace="m.d.sync += ending.eq(ending)"),
    }

    def build(self, m: Module) -> None:
        layout = TokenLayout(shape=(_PIXELS,), low=0, high=200)
        m.submodules.unit = unit = PixelEncoder(layout=layout, steps=_STEPS)
        beats, events, token = unit.beats, unit.events, unit.events.payload
        self.offer(beats, "beats", patient=False)
        self.take(events, "events")
        m.d.comb += unit.restart.eq(self.free(1, "restart"))
        taken, passes = beats.valid & beats.ready, events.valid & events.ready

        # One pixel of one image is followed: images are counted as they begin, and as they end.
        pixel = self.fixed(range(_PIXELS), "pixel")
        self.assume(pixel < _PIXELS)
        beat, started, chosen = Signal(), Signal(3), Signal()
        followed, value, known = Signal(3), Signal(8), Signal()
        opens = taken & (beat == 0)
        with m.If(unit.cut):
            m.d.sync += beat.eq(0)
        with m.If(taken):
            m.d.sync += beat.eq(~beat)
        ended = Signal(3)
        m.d.sync += [started.eq(started + opens), ended.eq(ended + (passes & token.marker & token.final))]
        picks = opens & self.free(1, "chosen") & ~chosen
        with m.If(picks):
            m.d.sync += [chosen.eq(1), followed.eq(started)]
        octet = beats.payload.word_select(pixel[:3], 8)
        with m.If(taken & (beat == pixel[3]) & (picks | (chosen & (started == followed + 1) & beat))):
            m.d.sync += [known.eq(1), value.eq(Mux(octet > 200, 0, octet))]
        here = chosen & (ended == followed)  # the image that leaves is the one that is followed
        step, sent, last, some = Signal(range(_STEPS + 1)), Signal(), Signal(4), Signal()
        with m.If(passes):
            with m.If(token.marker):
                m.d.sync += [step.eq(Mux(token.final, 0, step + 1)), some.eq(0)]
                with m.If(token.final):
                    m.d.sync += sent.eq(0)
            with m.Else():
                m.d.sync += [last.eq(token.address), some.eq(1)]
                with m.If(here & (token.address == pixel)):
                    m.d.sync += sent.eq(1)
        event, name = events.valid & ~token.marker, "every pixel leaves once, if it is not 0, with its value"
        self.hold(name, ~(event & here & (token.address == pixel)) | (
            ~sent & known & (token.value == value) & (value != 0) & (step == 0)))
        self.hold(name, ~(events.valid & here & token.marker & (step == 0) & known & (value != 0)) | sent)
        self.hold("pixels leave in the order of their numbers",
                  ~event | ((token.address < _PIXELS) & (~some | (token.address > last))))
        broken = Signal()  # the image that is followed was cut
        with m.If(unit.cut & chosen & (started == followed + 1)):
            m.d.sync += broken.eq(1)
        name = "every image has all its markers, the last of them final"
        self.hold(name, ~(events.valid & here & token.marker & ~broken) | (token.final == (step == _STEPS - 1)))
        self.hold(name, ~events.valid | (started != ended))
        self.hold("a part of an image ends with a final marker",
                  ~(events.valid & here & token.marker & broken) | (token.final & (step == 0)))
        self.hold_stays(events)
        self.hold_soon("a beat waits for nothing but tokens",
                       beats.valid & ~beats.ready & ~events.valid & ~unit.restart, 2)

