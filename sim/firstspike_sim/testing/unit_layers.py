# SPDX-License-Identifier: MIT
"""Small programs for single cores, and components of a few units that make up a layer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_arch.events import TokenLayout
from firstspike_arch.layer_plan import LayerPlan
from firstspike_arch.network import Branch, IntegerNetwork, Layer, Neuron
from firstspike_arch.network import Readout as ReadoutRule
from firstspike_arch.program import Program
from firstspike_arch.result import result_layout
from firstspike_compiler.compile import compile_network
from firstspike_hw.core import Core
from firstspike_hw.extractor import Extractor
from firstspike_hw.readout import Readout, result_struct
from firstspike_hw.spike_queue import SpikeQueue
from firstspike_hw.stream_buffer import StreamBuffer
from firstspike_hw.stream_token import token_stream

__all__ = ["CapturedRows", "HiddenLayer", "OutputLayer", "one_layer", "two_layers"]

STEPS, INPUTS, NEURONS = 4, 9, 13
"""Sizes of the networks here, where their connectivity does not determine them."""


def one_layer(
    seed: int, *, readout: ReadoutRule, lanes: int, early_exit: bool = False, winner: str = "tree", levels: int = 1,
    **neuron: Any,
) -> tuple[Program, np.ndarray]:
    """A program with one layer, and input spikes uint8[8, T, N] for it.

    ``levels`` is the number of thresholds; ``neuron`` are further options of the neurons; the others are options of the
    program.
    """
    random = np.random.default_rng(seed)
    layer = Layer(
        name="only", weight_bits=5, weights=random.integers(-12, 16, (NEURONS, INPUTS)), neuron=Neuron(
            bias=random.integers(-3, 6, NEURONS), theta=None if readout == "potential" else np.sort(
                random.integers(10, 40, (NEURONS, levels)), axis=1), v_init=random.integers(-4, 5, NEURONS), **neuron),
    )
    network = IntegerNetwork(
        name="unit", layers=(layer,), readout=readout, steps=STEPS, steps_max=STEPS, input_kind="events",
        step_weights=tuple(range(STEPS, 0, -1)),
    )
    program = compile_network(network, lanes=lanes, early_exit=early_exit, winner=winner, register_rows=2).program
    return program, (random.random((8, STEPS, INPUTS)) < 0.35).astype(np.uint8)


def two_layers(
    seed: int, synapses: Dense | Conv2d, *, branches: Sequence[tuple[int, Dense | Conv2d]] = (),
    neuron: Mapping[str, Any], lanes: int, inputs: Mapping[str, Any], banks: tuple[int, int] = (1, 1),
    rotates: tuple[bool, bool] = (False, False),
) -> Program:
    """A program with a hidden layer to be tested, and an output layer.

    Parameters
    ----------
    synapses : Dense or Conv2d
        Connectivity of the hidden layer; its weights are random.
    branches : sequence of (int, Dense or Conv2d)
        Further synapses onto it, as (source, connectivity).
    neuron : mapping
        Options of its neurons, and ``levels``, their number of thresholds, ``fall``, whether thresholds fall with the
        steps, ``current_pool``, and ``weight_exponent``, by which all numbers on the membranes are scaled, too.
    lanes : int
        Lanes of its core.
    inputs : mapping
        Options of the `IntegerNetwork`.
    banks : (int, int)
        Kernel-parallel banks of its core.
    rotates : (bool, bool)
        Along which axes its kernel is rotated to them.
    """
    random, count, options = np.random.default_rng(seed), synapses.channels, dict(neuron)
    pool = options.pop("current_pool", None)

    def weights_of(connectivity: Dense | Conv2d) -> np.ndarray:
        return random.integers(-6, 8, connectivity.weight_shape)

    levels, falls = options.pop("levels", 1), options.pop("fall", False)
    exponent = options.pop("weight_exponent", 0)
    neurons = Neuron(**{
        "bias": random.integers(-3, 4, count), "v_init": random.integers(-4, 5, count),
        "theta": np.sort(random.integers(6, 14 + 6 * levels, (count, levels)), axis=1),
        "theta_fall": np.arange(STEPS) * 5 if falls else None, **options})
    neurons = replace(neurons, **{name: value << exponent for name, value in neurons.given().items()})
    layer = Layer(name="tried", weight_bits=5, weights=weights_of(synapses), connectivity=synapses, neuron=neurons,
                  weight_exponent=exponent, current_pool=pool,
                  branches=tuple(Branch(source=source, weights=weights_of(one), connectivity=one)
                                 for source, one in branches))
    behind = Dense(in_shape=layer.out_shape, neurons=2)
    output = Layer(name="behind", weight_bits=5, weights=weights_of(behind), connectivity=behind,
                   neuron=Neuron(bias=np.zeros(2, int), theta=np.ones(2, int), v_init=np.zeros(2, int)))
    network = IntegerNetwork(name="unit", layers=(layer, output), readout="spike_count", steps=STEPS, steps_max=STEPS,
                             **{"input_kind": "events", **inputs})
    return compile_network(network, lanes=[lanes, 2], banks=[banks, (1, 1)], rotates=[rotates, False],
                           register_rows=2).program


class CapturedRows(wiring.Component):
    """Spike queue and extractor, for rows that wait for their grant as in a core."""

    rows: stream.Interface
    events: stream.Interface

    def __init__(self, layout: TokenLayout, plan: LayerPlan):
        self._layout, self._plan = layout, plan
        row = data.StructLayout({
            "last": 1, "final": 1, "row": range(plan.rows), "spikes": plan.elements,
            "magnitudes": data.ArrayLayout(layout.value_bits, plan.elements)})
        super().__init__({"rows": In(stream.Signature(row)), "events": Out(token_stream(layout))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = SpikeQueue(layout=self._layout, plan=self._plan)
        m.submodules.extractor = extractor = Extractor(
            layout=self._layout, lanes=self._plan.word_lanes, banks=self._plan.banks,
            aligned=self._plan.aligned)
        connect(m, queue.words, extractor.words)
        connect(m, extractor.events, flipped(self.events))
        capture, coming = queue.capture, Signal.like(self.rows.payload)
        m.d.comb += [capture.request.eq(self.rows.valid), self.rows.ready.eq(capture.grant)]
        m.d.sync += [
            capture.coming.eq(self.rows.valid & capture.grant), coming.eq(self.rows.payload),
            capture.valid.eq(capture.coming), capture.row.eq(coming.row), capture.last.eq(coming.last),
            capture.final.eq(coming.final), capture.spikes.eq(Mux(capture.coming, coming.spikes, 0)),
        ]
        if self._layout.value_bits:
            m.d.sync += capture.magnitudes.eq(coming.magnitudes)
        return m


class HiddenLayer(wiring.Component):
    """Core, spike queue and extractor of a program's first layer; if it is recurrent, its spikes are fed back.

    Members
    -------
    source0, source1, … : In(token_stream(layout))
        The streams that its synapses take, without the one of its own spikes.
    events : Out(token_stream(layout))
    """

    events: stream.Interface

    def __init__(self, program: Program):
        self._program, self._spec = program, program.cores[0]
        streams = {f"source{place}": In(token_stream(one.layout))
                   for place, one in enumerate(self._spec.inputs) if not one.recurrent}
        super().__init__({**streams, "events": Out(token_stream(self._spec.out_layout))})

    def elaborate(self, platform):
        m = Module()
        spec = self._spec
        layout, plan = spec.out_layout, spec.plan
        m.submodules.core = core = Core(spec, self._program.images()[spec.memory.name])
        m.submodules.queue = queue = SpikeQueue(layout=layout, plan=plan)
        m.submodules.extractor = extractor = Extractor(
            layout=layout, lanes=plan.word_lanes, banks=plan.banks, aligned=plan.aligned)
        connect(m, core.capture, queue.capture)
        connect(m, queue.words, extractor.words)
        takers: list[Any] = [flipped(self.events)]
        for place, one in enumerate(spec.inputs):
            if one.recurrent:
                takers.append(core.streams[place])
            else:
                connect(m, flipped(getattr(self, f"source{place}")), core.streams[place])
        buffers = [StreamBuffer(token_stream(layout)) for _ in takers]
        room = Signal()
        m.d.comb += [room.eq(Cat(buffer.source.ready for buffer in buffers).all()), extractor.events.ready.eq(room)]
        for number, (buffer, taker) in enumerate(zip(buffers, takers, strict=True)):
            m.submodules[f"buffer{number}"] = buffer
            m.d.comb += [buffer.source.valid.eq(extractor.events.valid & room),
                         buffer.source.payload.eq(extractor.events.payload)]
            connect(m, buffer.buffered, taker)
        return m


class OutputLayer(wiring.Component):
    """Core and read-out of a program of one layer."""

    source: stream.Interface
    result: stream.Interface

    def __init__(self, program: Program):
        self._program, self._layout = program, result_layout(program)
        super().__init__({
            "source": In(token_stream(program.network.input_layout)),
            "result": Out(stream.Signature(result_struct(self._layout))),
        })

    def elaborate(self, platform):
        m = Module()
        program, spec = self._program, self._program.cores[0]
        m.submodules.core = core = Core(spec, program.images()[spec.memory.name])
        m.submodules.readout = readout = Readout(
            network=program.network, plan=spec.plan, layout=self._layout, value_bits=spec.value_bits,
            tag_bits=spec.tag_bits, early_exit=program.config.early_exit, scan=program.config.winner == "scan",
        )
        connect(m, flipped(self.source), core.streams[0])
        connect(m, core.capture, readout.capture)
        m.d.comb += [core.drop.valid.eq(readout.drop.valid), core.drop.tag.eq(readout.drop.tag)]
        connect(m, readout.result, flipped(self.result))
        return m
