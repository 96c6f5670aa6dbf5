# SPDX-License-Identifier: MIT
"""Latency encoder: every pixel that is bright enough spikes once, in the step of its brightness."""

from typing import ClassVar

from amaranth.hdl import Array, Module, Mux, Signal
from firstspike_arch.events import TokenLayout
from firstspike_arch.fixed import latency_step
from firstspike_hw.latency_encoder import LatencyEncoder
from proof import Fault, Proof

_SORTER, _SENDER = "firstspike_hw.bucket_sorter", "firstspike_hw.bucket_sender"
_PIXELS, _STEPS, _CUTOFF, _TAG_BITS = 9, 3, 40, 3


class LatencyEncoderProof(Proof):
    unit = "latency encoder"
    cycles = 12
    slots: ClassVar = 1
    faults: ClassVar = {
        "every pixel spikes once, in its step, if it is bright enough": Fault(
            module=_SORTER, find="(octet >= here[0])", replace="(octet > here[0])"),
        "the pixels of a step leave in the order of their numbers": Fault(
            module=_SENDER, find="group.base.eq(first.beat * GROUP_BITS)", replace="group.base.eq(0)"),
        "every image has all its markers, the last of them final": Fault(
            module=_SENDER, find="last_step.eq((step == steps - 1) | dropped)",
            replace="last_step.eq((step == steps - 2) | dropped)"),
        "what waits stays as it is": Fault(
            module="firstspike_hw.emitter", find="with m.Elif(move):\n            # Behind",
            replace="with m.Else():\n            # Behind"),
        "no image is taken while there is no room": Fault(
            module=_SORTER, find="self.beats.ready.eq(~buckets.full.bit_select(Mux(ends, next_side(filling, sides), "
            "filling), 1))", replace="self.beats.ready.eq(1)"),
    }

    def build(self, m: Module) -> None:
        layout = TokenLayout(shape=(_PIXELS,), slots=self.slots)
        m.submodules.unit = unit = LatencyEncoder(layout=layout, steps=_STEPS, cutoff=_CUTOFF, tag_bits=_TAG_BITS)
        beats, events, token = unit.beats, unit.events, unit.events.payload
        self.offer(beats, "beats", patient=False)
        self.take(events, "events")
        taken, passes = beats.valid & beats.ready, events.valid & events.ready

        # One pixel of one image is followed; nothing is dropped.
        pixel = self.fixed(range(_PIXELS), "pixel")
        self.assume(pixel < _PIXELS)
        beat, started, ended = Signal(), Signal(_TAG_BITS), Signal(_TAG_BITS)
        chosen, followed, known, bright, due = Signal(), Signal(_TAG_BITS), Signal(), Signal(), Signal(range(_STEPS))
        m.d.sync += [beat.eq(beat ^ taken), started.eq(started + (taken & beat)),
                     ended.eq(ended + (passes & token.marker & token.final))]
        picks = taken & ~beat & self.free(1, "chosen") & ~chosen
        with m.If(picks):
            m.d.sync += [chosen.eq(1), followed.eq(started)]
        octet = beats.payload.word_select(pixel[:3], 8)
        with m.If(taken & (beat == pixel[3]) & (picks | (chosen & (started == followed) & beat))):
            m.d.sync += [known.eq(1), bright.eq(octet >= _CUTOFF),
                         due.eq(Array(latency_step(value, _STEPS) for value in range(256))[octet])]
        here = chosen & (ended == followed)
        step, sent, last, some = Signal(range(_STEPS + 1)), Signal(), Signal(4), Signal()
        slots = [(events.valid & ~token.marker, token.address)]
        if self.slots == 2:
            slots.append((events.valid & token.second.valid, token.second.address))
        hits = [valid & (address == pixel) for valid, address in slots]
        with m.If(passes):
            with m.If(token.marker):
                m.d.sync += [step.eq(Mux(token.final, 0, step + 1)), some.eq(0)]
                with m.If(token.final):
                    m.d.sync += sent.eq(0)
            with m.Else():
                m.d.sync += [last.eq(slots[-1][1] if self.slots == 1 else Mux(slots[1][0], slots[1][1], slots[0][1])),
                             some.eq(1), sent.eq(sent | (here & sum(hits).any()))]
        name = "every pixel spikes once, in its step, if it is bright enough"
        self.hold(name, ~(here & sum(hits).any()) | (~sent & known & bright & (step == due) & (sum(hits) == 1)))
        self.hold(name, ~(here & events.valid & token.marker & (step == due) & bright & known) | sent)
        name = "the pixels of a step leave in the order of their numbers"
        self.hold(name, ~slots[0][0] | ((slots[0][1] < _PIXELS) & (~some | (slots[0][1] > last))))
        if self.slots == 2:
            self.hold(name, ~slots[1][0] | (slots[0][0] & (slots[1][1] > slots[0][1]) & (slots[1][1] < _PIXELS)))
        name = "every image has all its markers, the last of them final"
        self.hold(name, ~(events.valid & token.marker) | (token.final == (step == _STEPS - 1)))
        self.hold(name, ~events.valid | (started != ended))
        self.hold("no image is taken while there is no room",
                  (started - ended)[:_TAG_BITS] <= self.slots + 2)
        self.hold_stays(events)
