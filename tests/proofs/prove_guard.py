# SPDX-License-Identifier: MIT
"""Guard: whatever comes, what goes on is a well-formed stream; and a well-formed stream goes on as it is."""

from typing import ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal
from firstspike_arch.events import TokenLayout
from firstspike_hw.guard import Guard
from proof import Fault, Proof

_UNIT = "firstspike_hw.guard"


class GuardProof(Proof):
    unit = "guard of a map"
    layout: ClassVar = TokenLayout(shape=(3, 2, 3), low=-2, high=1)
    steps: ClassVar = 3
    options: ClassVar = {"timeout": 4, "spare_bits": 1}
    faults: ClassVar = {
        "events that go on are in range": Fault(
            module=_UNIT, find="outside, low = outside | (fields[-1] >= size), low + bits", replace="low = low + bits"),
        "no inference has more steps than allowed": Fault(
            module=_UNIT, find="& (step == self._steps_max - 1)", replace="& (step == self._steps_max)"),
        "what waits stays as it is, unless its inference breaks off": Fault(
            module=_UNIT, find="ending.eq(open_next), silence.eq(0)]",
            replace="ending.eq(open_next), is_open.eq(0), step.eq(0)]"),
        "a well-formed stream goes on as it is, at once": Fault(
            module=_UNIT, find="self.source.valid & ~swallow & ~ending",
            replace="self.source.valid & ~swallow & ~is_open"),
        "a restart ends an open inference with a final marker": Fault(
            module=_UNIT, find="ending.eq(open_next)", replace="ending.eq(is_open & ~passed)"),
        "silence ends an open inference": Fault(
            module=_UNIT, find="breaks = self.restart | (silence == self._timeout)", replace="breaks = self.restart"),
        "repairs are told": Fault(
            module=_UNIT, find="self.cut.eq(passed & ending)", replace="self.cut.eq(passed & is_open)"),
    }

    def build(self, m: Module) -> None:
        layout, spare = self.layout, self.options.get("spare_bits", 0)
        m.submodules.unit = unit = Guard(layout=layout, steps_max=self.steps, **self.options)
        source, events = unit.source, unit.events
        self.offer(source, "source", patient=True)
        self.take(events, "events")
        restart, kept_out = self.free(1, "restart"), self.free(1, "kept_out")
        m.d.comb += [unit.restart.eq(restart), unit.kept_out.eq(kept_out)]
        token, out = source.payload, events.payload
        taken, passes = source.valid & source.ready, events.valid & events.ready

        def in_range(one):
            """Whether the event of a token is allowed by the layout."""
            allowed, low = 1, 0
            for bits, size in zip(layout.field_bits, layout.field_sizes, strict=True):
                allowed, low = allowed & (one.address[low:low + bits] < size), low + bits
            return allowed & (one.value >= layout.low) & (one.value <= layout.high)

        # Steps of the inference that goes on, and of the one that comes.
        step, is_open = Signal(range(self.steps + 1)), Signal()
        with m.If(passes):
            m.d.sync += is_open.eq(~(out.marker & out.final))
            with m.If(out.marker):
                m.d.sync += step.eq(Mux(out.final, 0, step + 1))
        self.hold("events that go on are in range", ~events.valid | out.marker | in_range(out))
        self.hold("no inference has more steps than allowed", step < self.steps)
        self.hold("no inference has more steps than allowed",
                  ~(events.valid & out.marker & (step == self.steps - 1)) | out.final)
        # So far everything was well formed, and nothing broke an inference off.
        well = Signal(init=1)
        right = in_range(token) & (token.spare == 0 if spare else 1)
        now = well & ~(source.valid & (Mux(
            token.marker, ~token.final & (step == self.steps - 1), ~right)))
        silent = Signal(range(self.options["timeout"] + 1))
        breaks = restart | (silent == self.options["timeout"])
        m.d.sync += well.eq(now & ~breaks)
        m.d.sync += silent.eq(Mux(source.valid | kept_out | ~is_open | breaks, 0, silent + 1))
        waits = self.past(events.valid & ~events.ready & ~breaks)
        self.hold("what waits stays as it is, unless its inference breaks off",
                  ~waits | (events.valid & (self.past(out) == out.as_value())))
        same = out.as_value() == token.as_value()[:len(out.as_value())]
        name = "a well-formed stream goes on as it is, at once"
        self.hold(name, ~now | (events.valid == source.valid))
        self.hold(name, ~(now & source.valid) | (same & (source.ready == events.ready)))
        self.hold(name, ~now | ~Cat(unit.bad_address, unit.overrun, unit.cut).any())

        cut = self.past(restart) & is_open
        self.hold("a restart ends an open inference with a final marker",
                  ~cut | (events.valid & out.marker & out.final & ~source.ready))
        self.hold("silence ends an open inference",
                  ~self.past(silent == self.options["timeout"]) | ~is_open | (events.valid & out.marker & out.final))
        self.hold("repairs are told", unit.opens == (passes & ~is_open))
        self.hold("repairs are told", ~(passes & ~unit.cut & ~unit.overrun) | (taken & same))
        self.hold("repairs are told", ~(unit.cut | unit.overrun) | (passes & out.marker & out.final))
        self.hold("repairs are told", ~unit.bad_address | (taken & ~token.marker & ~right))


class OrderedGuardProof(Proof):
    unit = "guard of ordered numbers of the first step"
    faults: ClassVar = {
        "the events of a step come in order, each neuron once": Fault(
            module=_UNIT, find="neuron <= last", replace="neuron < last"),
        "events are in the first step only": Fault(
            module=_UNIT, find="outside = outside | (step != 0)", replace="outside = outside | (step > 1)"),
    }

    def build(self, m: Module) -> None:
        layout = TokenLayout(shape=(2, 2, 3))
        m.submodules.unit = unit = Guard(layout=layout, steps_max=3, timeout=0, once=True, ordered=True)
        self.offer(unit.source, "source", patient=False)
        self.take(unit.events, "events")
        m.d.comb += unit.restart.eq(self.free(1, "restart"))
        out, passes = unit.events.payload, unit.events.valid & unit.events.ready
        neuron = (out.address[0] * 2 + out.address[3]) * 3 + out.address[1:3]
        last, some, later = Signal(4), Signal(), Signal()
        with m.If(passes):
            m.d.sync += [last.eq(neuron), some.eq(~out.marker), later.eq((later | out.marker) & ~out.final)]
        event = unit.events.valid & ~out.marker
        self.hold("the events of a step come in order, each neuron once", ~(event & some) | (neuron > last))
        self.hold("events are in the first step only", ~event | ~later)
