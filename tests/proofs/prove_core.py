# SPDX-License-Identifier: MIT
"""Core: membranes and spikes are those of the neuron's equation, for all weights, biases, inputs and waits.

The weights are written through the program port's access, so that they may be any. Membranes of the equation are 16
bits wide, those of the core as wide as the compiler's proof allows: if they agree, nothing has wrapped.
"""

from functools import cache
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_arch.program import Program
from firstspike_compiler.compile import compile_network
from firstspike_hw.core import Core
from proof import Fault, Proof

_INPUTS, _NEURONS, _STEPS, _THETA = 2, 2, 2, 4
_WEIGHT = 3
"""Largest weight, either way."""


@cache
def _program(lanes: int, multiplies_leaks: bool, **neuron: Any) -> Program:
    """A program whose widths fit all weights: those of its own neurons are the largest and the smallest."""
    signs = np.array([1, -1])
    layer = Layer(
        name="only", weight_bits=3, weights=_WEIGHT * np.tile(signs[:, None], _INPUTS),
        neuron=Neuron(bias=_WEIGHT * signs, theta=np.full((_NEURONS, 1), _THETA), v_init=np.zeros(_NEURONS, int),
                      **neuron))
    network = IntegerNetwork(name="unit", layers=(layer,), readout="first_spike", steps=_STEPS, steps_max=_STEPS,
                             input_kind="events")
    return compile_network(network, lanes=lanes, early_exit=False, register_rows=2,
                           multiplies_leaks=multiplies_leaks).program


class CoreProof(Proof):
    unit = "core in one row, subtracting"
    cycles = 15
    lanes: ClassVar = 2
    multiplies_leaks: ClassVar = False
    neuron: ClassVar[dict[str, Any]] = {"reset": "subtract"}
    faults: ClassVar = {
        "membranes and spikes are those of the equation": Fault(
            module="firstspike_hw.core", find="totals = [(value + other)[:bits]",
            replace="totals = [(value + other)[:4]"),
        "every marker is captured once": Fault(
            module="firstspike_hw.sequencer", find="marker & (position == starts) & ~boot", replace="marker & ~boot"),
        "a token waits for nothing but its rows and grants": Fault(
            module="firstspike_hw.sequencer", find="(pass_ends & last_of_token & ~waits)",
            replace="(pass_ends & last_of_token & ~waits & ~marker)"),
    }

    def build(self, m: Module) -> None:
        program = _program(self.lanes, self.multiplies_leaks, **self.neuron)
        spec = program.cores[0]
        m.submodules.unit = core = Core(spec)
        events, token, capture = core.streams[0], core.streams[0].payload, core.capture
        # Behind the biases is the row that passes without weights read: zeros.
        used = spec.bias_word + spec.plan.rows
        words = [self.fixed(spec.memory.used_bits, f"word{place}") for place in range(used)]
        words += [Const(0, spec.memory.used_bits)] * (spec.memory.depth - used)
        ready = self._load(m, core, words)

        def weight(word: int, neuron: int) -> Value:
            bits, lane = spec.layer.weight_bits, neuron % self.lanes
            return words[word + neuron // self.lanes][lane * bits:(lane + 1) * bits].as_signed()

        walk = spec.inputs[0].walk
        weights = [[weight(walk.base + address * walk.channel_words, neuron) for address in range(_INPUTS)]
                   for neuron in range(_NEURONS)]
        biases = [weight(spec.bias_word, neuron) for neuron in range(_NEURONS)]
        for one in (*chain(*weights), *biases):
            self.assume(one >= -_WEIGHT)

        # What comes: each input once a step, at most so many steps; what is offered stays.
        came, step = Signal(_INPUTS), Signal(range(_STEPS))
        offered = Signal()
        m.d.comb += [events.valid.eq(offered & ready), token.as_value().eq(self.free(len(token.as_value()), "token"))]
        m.d.comb += offered.eq(self.free(1, "offered"))
        taken = events.valid & events.ready
        self.assume(self._stays(events))
        self.assume(~offered | token.marker | (~token.final & ~came.bit_select(token.address, 1)))
        self.assume(~(offered & token.marker & (step == _STEPS - 1)) | token.final)
        with m.If(taken):
            m.d.sync += came.eq(Mux(token.marker, 0, came | (1 << token.address)))
            with m.If(token.marker):
                m.d.sync += step.eq(Mux(token.final, 0, step + 1))
        m.d.comb += capture.grant.eq(self.free(1, "grant"))

        # The equation. A marker counts as soon as it is offered: the core captures before it takes it.
        marks, counted, opened = Signal(), Signal(), Signal()
        m.d.comb += marks.eq(events.valid & token.marker & ~counted)
        m.d.sync += [counted.eq(events.valid & token.marker & ~taken), opened.eq(ready)]
        kept = [Signal(signed(16), name=f"v{neuron}") for neuron in range(_NEURONS)]
        fired, spikes = Signal(_NEURONS), Signal(_NEURONS)
        before = []
        for neuron, v in enumerate(kept):
            start = self._leaked(0) + biases[neuron]
            now = Signal(signed(16), name=f"now{neuron}")
            m.d.comb += now.eq(Mux(opened, v, start))
            before.append(now)
            silent = fired[neuron] if self.neuron.get("single_spike") else 0
            m.d.comb += spikes[neuron].eq((now >= _THETA) & ~silent)
            left = Signal(signed(16), name=f"left{neuron}")
            m.d.comb += left.eq(Mux(spikes[neuron], self._reset(now), now))
            with m.If(marks):
                m.d.sync += v.eq(Mux(token.final, start, self._leaked(left) + biases[neuron]))
            with m.Elif(taken & ~token.marker):
                m.d.sync += v.eq(now + Array(weights[neuron])[token.address])
            with m.Else():
                m.d.sync += v.eq(now)
        with m.If(marks):
            m.d.sync += fired.eq(Mux(token.final, 0, fired | spikes))

        # Markers whose rows are not all captured, the first of them first.
        waiting, room = Signal(range(4)), 3
        expected = [Signal(1 + 17 * _NEURONS, name=f"expected{place}") for place in range(room)]
        given = Cat(token.final, spikes, *before)
        done = capture.valid & capture.last
        left = waiting - done
        for place, one in enumerate(expected):
            behind = expected[place + 1] if place + 1 < room else one
            m.d.sync += one.eq(Mux(marks & (left == place), given, Mux(done, behind, one)))
        m.d.sync += waiting.eq(left + marks)
        final, fires, membranes = expected[0][0], expected[0][1:1 + _NEURONS], expected[0][1 + _NEURONS:]
        name = "membranes and spikes are those of the equation"
        for lane in range(self.lanes):
            neuron = capture.row * self.lanes + lane
            self.hold(name, ~capture.valid | (capture.spikes[lane] == fires.bit_select(neuron, 1)))
            value = membranes.word_select(neuron, 16).as_signed()
            if not self.neuron.get("single_spike"):
                self.hold(name, ~capture.valid | (capture.values[lane] == value))
        self.hold("every marker is captured once", ~capture.valid | ((waiting != 0) & (capture.final == final)))
        self.hold("every marker is captured once", waiting <= 2)
        passes = max(len(spec.microcode.step), len(spec.microcode.final))
        refused = capture.request & ~capture.grant
        self.hold_soon("a token waits for nothing but its rows and grants",
                       events.valid & ~taken & ~refused & ~self.past(refused), spec.plan.rows * passes + 4)
        if self.neuron.get("single_spike"):
            self._hold_once(m, capture)

    def _leaked(self, v: Any) -> Any:
        """The membrane after its leak."""
        num, shift = self.neuron.get("leak_num", 1), self.neuron.get("leak_shift", 0)
        return (v * num) >> shift

    def _reset(self, v: Value) -> Value:
        """The membrane of a neuron that fires, after its reset."""
        return v - _THETA if self.neuron["reset"] == "subtract" else v * 0

    def _load(self, m: Module, core: Core, words: list) -> Signal:
        """Write all words and start the core over; returns high from then on."""
        place, access = Signal(range(len(words) + 3)), core.access
        ready, end = Signal(), len(words) + 1
        writes = (place != 0) & (place < end)
        m.d.comb += [
            access.ahead.eq(place < end - 1), access.write.eq(writes), access.chunk.eq(writes),
            access.word.eq(place - 1), access.data.eq(Array(words)[place - 1]),
            core.reload.eq((place == end) & ~core.busy & ~ready),
        ]
        with m.If(place != end):
            m.d.sync += place.eq(place + 1)
        with m.If(core.reload):
            m.d.sync += ready.eq(1)
        return ready

    def _hold_once(self, m: Module, capture) -> None:
        """A neuron fires once in an inference."""
        spent = Signal(_NEURONS)
        with m.If(capture.valid):
            m.d.sync += spent.eq(Mux(capture.last & capture.final, 0, spent | capture.spikes))
        self.hold("a neuron fires at most once in an inference", ~capture.valid | ((capture.spikes & spent) == 0))


class LeakyCoreProof(CoreProof):
    unit = "core in two rows, leaking"
    cycles = 26
    lanes: ClassVar = 1
    neuron: ClassVar[dict[str, Any]] = {"reset": "zero", "leak_num": 3, "leak_shift": 2}


class MultiplyingCoreProof(CoreProof):
    unit = "core in one row, leak multiplied"
    cycles = 18
    multiplies_leaks: ClassVar = True
    neuron: ClassVar[dict[str, Any]] = {"reset": "subtract", "leak_num": 5, "leak_shift": 3}
    faults: ClassVar = {
        **CoreProof.faults,
        "membranes and spikes are those of the equation": Fault(
            module="firstspike_hw.leak_products", find="(whole >> op.index)", replace="((whole + 1) >> op.index)"),
    }


class SingleSpikeCoreProof(CoreProof):
    unit = "core of neurons that fire once"
    neuron: ClassVar[dict[str, Any]] = {"reset": "subtract", "single_spike": True}
    faults: ClassVar = {
        **CoreProof.faults,
        "a neuron fires at most once in an inference": Fault(
            module="firstspike_hw.core", find="visible = visible & ~fired", replace="visible = visible & (~fired | 2)"),
    }
