# SPDX-License-Identifier: MIT
"""Every unit on its own against what its docstring says, in Amaranth's simulator and under cocotb on Verilator."""

import shutil
from itertools import pairwise

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.array import GROUP_BITS, LayerPlan
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_arch.events import ADDRESS_SHIFT, FINAL_MARKER, MARKER, TokenLayout, tokens_from_spikes
from firstspike_arch.network import Branch, IntegerNetwork, Layer, Neuron
from firstspike_arch.result import result_layout, scores_from_raw
from firstspike_arch.status import COUNTERS, STATUS_CYCLES
from firstspike_compiler.compile import compile_network
from firstspike_hw.core import Core
from firstspike_hw.counters import Counters
from firstspike_hw.emitter import Emitter
from firstspike_hw.extractor import Extractor
from firstspike_hw.guard import Guard
from firstspike_hw.latency_encoder import LatencyEncoder
from firstspike_hw.pixel_encoder import PixelEncoder
from firstspike_hw.readout import Readout, result_struct
from firstspike_hw.row_memory import RowMemory
from firstspike_hw.sequencer import Sequencer
from firstspike_hw.spike_queue import SpikeQueue
from firstspike_hw.stream_buffer import StreamBuffer
from firstspike_hw.stream_token import token_stream
from firstspike_sim.backends.unit_bench import run_unit
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.row_machine import RowMachine
from firstspike_sim.stimulus import encode_direct, encode_latency

icarus = pytest.param("icarus", marks=pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus Verilog is not installed"))
everywhere = pytest.mark.parametrize("simulator", ["pysim", "verilator", icarus])


def also_compiled(names: str, cases: list):
    """All cases in Amaranth's simulator, the first also compiled."""
    params = [("pysim", *case) for case in cases]
    compiled = [("verilator", *cases[0]), pytest.param("icarus", *cases[0], marks=icarus.marks)]
    return pytest.mark.parametrize(("simulator", *names.split()), [*params, *compiled])


def event(address: int) -> int:
    return address << ADDRESS_SHIFT


def word(layout, **fields) -> int:
    """Bits of a struct value."""
    return layout.const(fields).as_value().value


def tokens(spikes) -> list[int]:
    spikes = np.asarray(spikes)
    return tokens_from_spikes(spikes, TokenLayout(shape=spikes.shape[2:]))[0].tolist()


@everywhere
def test_stream_buffer_passes_everything_in_order(simulator):
    sent = [event(number % 32) for number in range(200)]
    unit = StreamBuffer(token_stream(TokenLayout(shape=(32,))))
    seen = run_unit(unit, simulator, offers={"source": sent}, takes=["buffered"], cycles=700, seed=1)
    assert seen["buffered"] == sent and seen["left"] == [0]


def test_stream_buffer_passes_one_token_a_cycle():
    sent = [event(number % 32) for number in range(200)]
    unit = StreamBuffer(token_stream(TokenLayout(shape=(32,))))
    seen = run_unit(unit, "pysim", offers={"source": sent}, takes=["buffered"], cycles=201)
    assert seen["buffered"] == sent


@everywhere
def test_guard_repairs_what_is_malformed(simulator):
    good = [event(3), MARKER, event(10), FINAL_MARKER]
    sent = [
        *good, event(11), event(15), *good,  # addresses out of range
        MARKER, MARKER, MARKER, event(1), MARKER, FINAL_MARKER,  # a third step of two
        *good, event(5),  # and then silence
    ]
    unit = Guard(layout=TokenLayout(shape=(11,)), steps_max=2, timeout=40)
    seen = run_unit(unit, simulator, offers={"source": sent}, takes=["events"],
                    counts=["bad_address", "overrun", "cut", "opens"], cycles=120)
    assert seen["events"] == [*good, *good, MARKER, FINAL_MARKER, *good, event(5), FINAL_MARKER]
    assert [seen[name] for name in ("bad_address", "overrun", "cut", "opens")] == [[2], [1], [1], [5]]


@pytest.mark.parametrize("low, high", [(-3, 4), (0, 5), (1, 3)])
def test_guard_drops_values_out_of_range(low, high):
    layout = TokenLayout(shape=(11,), low=low, high=high)

    def say(value):
        return int(layout.events(np.array([3]), np.array([value]))[0])

    bits = layout.value_bits
    everything = range(-(1 << bits - 1), 1 << bits - 1) if layout.signed else range(1 << bits)
    inside = [say(value) for value in everything if low <= value <= high]
    assert 0 < len(inside) < len(everything)
    unit = Guard(layout=layout, steps_max=2, timeout=40)
    seen = run_unit(unit, "pysim", offers={"source": [*map(say, everything), MARKER, *map(say, everything),
                                                      FINAL_MARKER]},
                    takes=["events"], counts=["bad_address", "cut"], cycles=100, seed=8)
    assert seen["events"] == [*inside, MARKER, *inside, FINAL_MARKER] and seen["left"] == [0]
    assert (seen["bad_address"], seen["cut"]) == ([2 * (len(everything) - len(inside))], [0])


def test_guard_takes_events_of_the_first_step_only_once():
    sent = [event(1), event(2), MARKER, event(3), MARKER, event(4), event(5), FINAL_MARKER, event(6), FINAL_MARKER]
    unit = Guard(layout=TokenLayout(shape=(11,)), steps_max=3, timeout=40, once=True)
    seen = run_unit(unit, "pysim", offers={"source": sent}, takes=["events"], counts=["bad_address", "opens"],
                    cycles=60, seed=9)
    assert seen["events"] == [event(1), event(2), MARKER, MARKER, FINAL_MARKER, event(6), FINAL_MARKER]
    assert (seen["bad_address"], seen["opens"]) == ([3], [2])


@everywhere
def test_emitter_sends_groups_in_ascending_order(simulator):
    random = np.random.default_rng(3)
    unit = Emitter(layout=TokenLayout(shape=(64,)))
    layout = unit.groups.payload.shape()
    sent, wanted = [], []
    for number in range(60):
        base, marker = int(random.integers(0, 8)) * GROUP_BITS, number % 3 == 2
        bits = int(random.integers(0 if marker else 1, 256))
        sent.append(word(
            layout, bits=bits, base=base, marker=marker, final=marker and number % 6 == 5,
            single=bits.bit_count() + marker == 1,
        ))
        wanted += [event(base + bit) for bit in range(GROUP_BITS) if bits >> bit & 1]
        if marker:
            wanted.append(FINAL_MARKER if number % 6 == 5 else MARKER)
    full = run_unit(unit, "pysim", offers={"groups": sent}, takes=["events"], cycles=len(wanted) + 1)
    assert full["events"] == wanted  # one token a cycle, from the second on: no bubbles
    waits = run_unit(unit, simulator, offers={"groups": sent}, takes=["events"], cycles=4 * len(wanted), seed=2)
    assert waits["events"] == wanted


@pytest.mark.parametrize("low, high", [(1, 3), (-5, 9)])
def test_emitter_sends_values(low, high):
    random = np.random.default_rng(high)
    layout = TokenLayout(shape=(32,), low=low, high=high)
    unit = Emitter(layout=layout)
    sent, wanted = [], []
    for _ in range(40):
        base, values = int(random.integers(0, 4)) * GROUP_BITS, random.integers(low, high + 1, GROUP_BITS)
        bits = int(random.integers(1, 256))
        sent.append(word(
            unit.groups.payload.shape(), bits=bits, base=base, single=bits.bit_count() == 1,
            values=[int(value) & (1 << layout.value_bits) - 1 for value in values]))
        places = np.array([bit for bit in range(GROUP_BITS) if bits >> bit & 1])
        wanted += layout.events(base + places, values[places]).tolist()
    seen = run_unit(unit, "pysim", offers={"groups": sent}, takes=["events"], cycles=len(wanted) + 1)
    assert seen["events"] == wanted


def spoken(spikes, layout: TokenLayout, plan: LayerPlan | None = None) -> list[int]:
    """Tokens of magnitudes [B, T, N] as a layer sends them: row by row of its plan, in torch's order without one."""
    order = np.arange(spikes.shape[2]) if plan is None else np.argsort(plan.places())
    said = []
    for one in spikes:
        for step in one:
            neurons = order[step[order] != 0]
            said += [*layout.events(neurons, step[neurons]).tolist(), MARKER]
        said[-1] = FINAL_MARKER
    return said


@pytest.mark.parametrize("shape, lanes, banks, high", [
    ((30,), 12, (1, 1), 3), ((5, 3, 4), 5, (1, 1), 7), ((9, 5, 5), 9, (2, 3), 1), ((6, 4, 7), 3, (3, 2), 2),
])
def test_queue_and_extractor_send_magnitudes_of_all_banks(shape, lanes, banks, high):
    """Captured rows, from every bank, become events with channel, x and y of each neuron."""
    layout = TokenLayout(shape=shape, high=high)
    plan = LayerPlan(neurons=int(np.prod(shape)), lanes=lanes, membrane_bits=8, banks=banks, scattered=len(shape) == 3,
                     size=(1, 1) if len(shape) == 1 else (shape[1], shape[2]))
    random = np.random.default_rng(lanes)
    spikes = random.integers(1, high + 1, (2, 2, plan.neurons)) * (random.random((2, 2, plan.neurons)) < 0.3)
    bits = plan.word_lanes // plan.bank_count
    unit = Captured(layout, plan)
    sent = []
    for inference, step in np.ndindex(2, 2):
        rows = np.zeros((plan.rows, plan.bank_count, bits), dtype=np.int64)
        rows.ravel()[plan.places()] = spikes[inference, step]
        assert not rows[..., lanes:].any()
        for row, values in enumerate(rows[..., :lanes].reshape(plan.rows, -1)):
            sent.append(word(unit.rows.payload.shape(), last=row == plan.rows - 1, final=step == 1, row=row,
                             spikes=sum(1 << int(lane) for lane in np.flatnonzero(values)),
                             magnitudes=values.tolist() if layout.value_bits else [0] * plan.elements))
    seen = run_unit(unit, "pysim", offers={"rows": sent}, takes=["events"], seed=lanes,
                    cycles=3 * np.count_nonzero(spikes) + 4 * len(sent) + 40)
    assert seen["left"] == [0] and seen["events"] == spoken(spikes, layout, plan)


class Captured(wiring.Component):
    """Spike queue and extractor, behind rows that wait for their promise."""

    def __init__(self, layout, plan):
        self._layout, self._plan = layout, plan
        row = data.StructLayout({
            "last": 1, "final": 1, "row": range(plan.rows), "spikes": plan.elements,
            "magnitudes": data.ArrayLayout(layout.value_bits, plan.elements)})
        super().__init__({"rows": In(stream.Signature(row)), "events": Out(token_stream(layout))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = SpikeQueue(layout=self._layout, plan=self._plan)
        m.submodules.extractor = extractor = Extractor(
            layout=self._layout, lanes=self._plan.word_lanes, banks=self._plan.banks)
        connect(m, queue.words, extractor.words)
        connect(m, extractor.events, flipped(self.events))
        capture, coming = queue.capture, Signal.like(self.rows.payload)
        m.d.comb += [capture.request.eq(self.rows.valid), self.rows.ready.eq(capture.grant)]
        m.d.sync += [
            capture.coming.eq(self.rows.valid & capture.grant), coming.eq(self.rows.payload),
            capture.valid.eq(capture.coming), capture.row.eq(coming.row), capture.last.eq(coming.last),
            capture.final.eq(coming.final), capture.spikes.eq(coming.spikes),
        ]
        if self._layout.value_bits:
            m.d.sync += capture.magnitudes.eq(coming.magnitudes)
        return m


@also_compiled("lanes rows", [(11, 3), (20, 1), (64, 2)])
def test_extractor_sends_words_in_ascending_order(simulator, lanes, rows):
    random = np.random.default_rng(lanes)
    unit = Extractor(layout=TokenLayout(shape=(lanes * rows,)), lanes=lanes)
    layout = unit.words.payload.shape()
    sent, wanted = [], []
    for step in range(8):
        for row in range(rows):
            spikes = random.random(lanes) < random.choice([0, 0.1, 0.6])
            last, final = row == rows - 1, row == rows - 1 and step % 4 == 3
            groups = [spikes[start:start + GROUP_BITS].any() for start in range(0, lanes, GROUP_BITS)]
            sent.append(word(
                layout, base=row * lanes, last=last, final=final,
                spikes=sum(1 << int(lane) for lane in np.flatnonzero(spikes)),
                occupied=sum(1 << index for index, some in enumerate(groups) if some),
            ))
            wanted += [event(row * lanes + int(lane)) for lane in np.flatnonzero(spikes)]
        wanted.append(FINAL_MARKER if step % 4 == 3 else MARKER)
    seen = run_unit(unit, simulator, offers={"words": sent}, takes=["events"], cycles=4 * len(wanted) + 40, seed=4)
    assert seen["events"] == wanted and seen["left"] == [0]


@also_compiled("cutoff", [(40,), (0,)])
def test_latency_encoder_sends_brighter_pixels_earlier(simulator, cutoff):
    random = np.random.default_rng(cutoff)
    images = random.integers(0, 256, (3, 21)).astype(np.uint8)
    images[1] = 0
    padded = np.zeros((3, 24), np.uint8)
    padded[:, :21] = images
    unit = LatencyEncoder(layout=TokenLayout(shape=(21,)), steps=5, cutoff=cutoff, tag_bits=4)
    seen = run_unit(unit, simulator, offers={"beats": padded.view("<u8").reshape(-1).tolist()}, takes=["events"],
                    counts=["opens", "cut"], cycles=400, seed=7)
    assert seen["events"] == tokens(encode_latency(images, 5, cutoff))
    assert seen["opens"] == [3] and seen["cut"] == [0]


@everywhere
def test_latency_encoder_forgets_a_part_of_an_image(simulator):
    unit = LatencyEncoder(layout=TokenLayout(shape=(16,)), steps=4, cutoff=1, tag_bits=4)
    image = np.arange(16, dtype=np.uint8)[None] * 16
    beats = image.view("<u8").reshape(-1).tolist()
    seen = run_unit(unit, simulator, offers={"beats": [beats[0]]}, takes=["events"], counts=["cut"],
                    pulses={"restart": [10, 20]}, cycles=60)
    assert seen["events"] == [] and seen["cut"] == [1]


def test_latency_encoder_forgets_a_part_of_an_image_whenever_restart_comes():
    """With the beat that is taken in that cycle; the next beat is the first of an image again."""
    image = np.arange(32, dtype=np.uint8)[None] % 8 * 36  # all four beats are alike
    whole, cuts = tokens(encode_latency(image, 4, 1)), []
    for at in range(12):
        unit = LatencyEncoder(layout=TokenLayout(shape=(32,)), steps=4, cutoff=1, tag_bits=4)
        seen = run_unit(unit, "pysim", offers={"beats": beats_of(image) * 3}, takes=["events"],
                        counts=["opens", "cut"], pulses={"restart": [at]}, cycles=300)
        cuts += seen["cut"]
        # Of twelve beats one to three are forgotten: then two images are whole, and a part of one is left.
        assert seen["left"] == [0] and seen["events"] == whole * (3 - cuts[-1]) and seen["opens"] == [3 + cuts[-1]]
    assert cuts == [1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0]  # with its last beat an image is whole; two fill both banks


def beats_of(images) -> list[int]:
    """Eight pixels a beat, in two's complement."""
    padded = np.zeros((len(images), -(-images.shape[1] // 8) * 8), np.uint8)
    padded[:, :images.shape[1]] = images & 0xFF
    return padded.view("<u8").reshape(-1).tolist()


@also_compiled("shape low high", [((2, 3, 5), -7, 6), ((21,), 0, 255), ((8,), -128, 127)])
def test_pixel_encoder_sends_pixels_that_are_not_zero(simulator, shape, low, high):
    random = np.random.default_rng(high)
    layout, count = TokenLayout(shape=shape, low=low, high=high), int(np.prod(shape))
    images = random.integers(low, high + 1, (5, count)) * (random.random((5, count)) < 0.6)
    images[1] = 0
    images[2, :8] = 0
    unit = PixelEncoder(layout=layout, steps=3)
    seen = run_unit(unit, simulator, offers={"beats": beats_of(images)}, takes=["events"],
                    counts=["opens", "cut", "bad_address"], cycles=600, seed=3)
    assert seen["events"] == spoken(encode_direct(images, 3), layout) and seen["left"] == [0]
    assert (seen["opens"], seen["cut"], seen["bad_address"]) == ([5], [0], [0])


@pytest.mark.parametrize("steps", [1, 4])
def test_pixel_encoder_sends_one_token_a_cycle(steps):
    images = np.random.default_rng(4).integers(1, 256, (4, 27))
    unit = PixelEncoder(layout=TokenLayout(shape=(27,), low=0, high=255), steps=steps)
    wanted = spoken(encode_direct(images, steps), TokenLayout(shape=(27,), low=0, high=255))
    seen = run_unit(unit, "pysim", offers={"beats": beats_of(images)}, takes=["events"], cycles=len(wanted) + 2)
    assert seen["events"] == wanted  # from the third cycle on: no bubbles


def test_pixel_encoder_takes_pixels_out_of_range_for_zero():
    layout = TokenLayout(shape=(20,), low=-3, high=9)
    images = np.random.default_rng(5).integers(-3, 10, (3, 20))
    wrong = images.copy()
    images[1, [2, 5, 19]] = 0
    wrong[1, [2, 5, 19]] = 10, -4, 127
    beats = beats_of(wrong)
    beats[2] |= 0xFF << 56  # beyond the last pixel: ignored
    seen = run_unit(PixelEncoder(layout=layout, steps=2), "pysim", offers={"beats": beats}, takes=["events"],
                    counts=["opens", "cut", "bad_address"], cycles=300, seed=6)
    assert seen["events"] == spoken(encode_direct(images, 2), layout)
    assert (seen["opens"], seen["cut"], seen["bad_address"]) == ([3], [0], [2])  # two beats of four pixels


@pytest.mark.parametrize("at", [0, 1, 2, 8, 14, 15, 22, 28, 29, 30, 31, 40])
def test_pixel_encoder_ends_a_part_of_an_image_on_restart(at):
    """Whenever it comes: the tokens of the beats taken, a final marker, and then images from their first beat on."""
    layout, image = TokenLayout(shape=(32,), low=0, high=9), np.arange(32)[None] % 8  # all beats are alike
    whole = spoken(encode_direct(image, 2), layout)
    seen = run_unit(PixelEncoder(layout=layout, steps=2), "pysim", offers={"beats": beats_of(image) * 2},
                    takes=["events"], counts=["opens", "cut"], pulses={"restart": [at]}, cycles=150)
    ends = [0, *(place + 1 for place, token in enumerate(seen["events"]) if token == FINAL_MARKER)]
    inferences = [seen["events"][start:end] for start, end in pairwise(ends)]
    cut = [one for one in inferences if one != whole]
    assert seen["cut"] == [len(cut)] and seen["left"] == [0]
    assert len(cut) == (at % 30 < 15)  # of the 30 tokens of an image, one a cycle, the last beat waits for half
    if cut:
        taken = len(cut[0]) // 7  # beats, of seven pixels that are not zero
        assert len(cut) == 1 and 1 <= taken <= 3 and cut[0] == [*whole[:7 * taken], FINAL_MARKER]
        rest = 8 - taken - 4 * (len(inferences) - 1)
        assert seen["events"][ends[-1]:] == whole[:7 * rest]
        assert seen["opens"] == [len(inferences) + (rest > 0)]
    else:  # between images, or while the markers of one are sent
        assert inferences == [whole] * 2 and ends[-1] == len(seen["events"])


@everywhere
def test_counters_count(simulator):
    at = {"bad_address": list(range(3, 90, 7)), "cut": [5, 6, 7]}
    bits = {name: COUNTERS.index(name) for name in at}

    class Bench(wiring.Component):
        def __init__(self):
            self.unit = Counters()
            super().__init__({"bad_address": In(1), "cut": In(1), "right": Out(1), "beyond": Out(1)})

        def elaborate(self, platform):
            m = Module()
            m.submodules.unit = unit = self.unit
            m.d.comb += [unit.events[bits[name]].eq(getattr(self, name)) for name in at]
            m.d.comb += [unit.address.eq(bits["bad_address"]), self.right.eq(unit.data == len(at["bad_address"]))]
            return m

    seen = run_unit(Bench(), simulator, offers={}, takes=[], pulses=at, counts=["right"],
                    cycles=max(at["bad_address"]) + 2 * STATUS_CYCLES)
    assert seen["right"][0] >= STATUS_CYCLES - 1


class Hidden(wiring.Component):
    """Core, spike queue and extractor of a hidden layer; its own spikes come back if it wants them."""

    def __init__(self, program):
        self._program = program
        network = program.network
        self._sources = [branch.source for branch in network.layers[0].synapses(0)]
        streams = {f"source{place}": In(token_stream(network.layout_of(source)))
                   for place, source in enumerate(self._sources) if source != 0}
        super().__init__({**streams, "events": Out(token_stream(network.layers[0].out_layout))})

    def elaborate(self, platform):
        m = Module()
        program, network, sources = self._program, self._program.network, self._sources
        layer, plan, memory = network.layers[0], program.config.layers[0], program.memories()[0]
        m.submodules.core = core = Core(
            layer=layer, plan=plan, program=program.microcodes()[0], memory=memory, image=program.images()[memory.name],
            layouts=[network.layout_of(source) for source in sources],
            recurrent=sources.index(0) if 0 in sources else None,
        )
        m.submodules.queue = queue = SpikeQueue(layout=layer.out_layout, plan=plan)
        m.submodules.extractor = extractor = Extractor(
            layout=layer.out_layout, lanes=plan.word_lanes, banks=plan.banks)
        connect(m, core.capture, queue.capture)
        connect(m, queue.words, extractor.words)
        takers = []
        for place, source in enumerate(sources):
            if source == 0:
                takers.append(core.streams[place])
            else:
                connect(m, flipped(getattr(self, f"source{place}")), core.streams[place])
        buffers = [StreamBuffer(token_stream(layer.out_layout)) for _ in range(1 + len(takers))]
        room = Signal()
        m.d.comb += [room.eq(Cat(buffer.source.ready for buffer in buffers).all()), extractor.events.ready.eq(room)]
        for number, (buffer, taker) in enumerate(zip(buffers, [flipped(self.events), *takers], strict=True)):
            m.submodules[f"buffer{number}"] = buffer
            m.d.comb += [buffer.source.valid.eq(extractor.events.valid & room),
                         buffer.source.payload.eq(extractor.events.payload)]
            connect(m, buffer.buffered, taker)
        return m


class Output(wiring.Component):
    """Core and read-out of an output layer."""

    def __init__(self, program):
        self._program = program
        self._layout = result_layout(program)
        super().__init__({
            "source": In(token_stream(program.network.input_layout)),
            "result": Out(stream.Signature(result_struct(self._layout))),
        })

    def elaborate(self, platform):
        m = Module()
        program, network = self._program, self._program.network
        plan, memory = program.config.layers[0], program.memories()[0]
        value_bits = self._layout.score_bits if network.readout in ("first_spike", "potential") else 0
        m.submodules.core = core = Core(
            layer=network.layers[0], plan=plan, program=program.microcodes()[0], memory=memory, tag_bits=4,
            image=program.images()[memory.name], value_bits=value_bits, layouts=[network.input_layout],
        )
        m.submodules.readout = readout = Readout(
            network=network, plan=plan, layout=self._layout, value_bits=value_bits, tag_bits=4,
            early_exit=program.config.early_exit, scan=program.config.winner == "scan",
        )
        connect(m, flipped(self.source), core.events0)
        connect(m, core.capture, readout.capture)
        m.d.comb += [core.drop.valid.eq(readout.drop.valid), core.drop.tag.eq(readout.drop.tag)]
        connect(m, readout.result, flipped(self.result))
        return m


STEPS, INPUTS, NEURONS = 4, 9, 13


def one_layer(
    seed: int, *, readout: str, lanes: int, early_exit: bool = False, winner: str = "tree", levels: int = 1, **neuron,
):
    """A network of one layer, and spikes of eight inferences."""
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


@also_compiled("lanes neuron", [
    (5, {"leak_num": 3, "leak_shift": 2, "reset": "subtract"}),
    (13, {"single_spike": True}),
    (2, {"leak_num": 5, "leak_shift": 3, "reset": "zero", "reset_delay": True, "v_min": -10}),
])
def test_hidden_layer_sends_the_spikes_of_the_row_machine(simulator, lanes, neuron):
    program, spikes = one_layer(lanes, readout="spike_count", lanes=lanes, **neuron)
    machine = RowMachine(program.network, 0)
    fired = np.array([machine.run([[(0, address, 1) for address in np.flatnonzero(step)] for step in one])[0]
                      for one in spikes])
    assert 0.02 <= fired.mean() <= 0.7
    shape = program.memories()[0]
    seen = run_unit(Hidden(program), simulator, offers={"source0": tokens(spikes)}, takes=["events"],
                    images={shape: program.images()[shape.name]}, cycles=4000, seed=lanes)
    assert seen["events"] == tokens(fired) and seen["left"] == [0]


FLAT, MAP = Dense(in_shape=(9,), neurons=13), (2, 6, 5)
OWN = Dense(in_shape=(13,), neurons=13)
HIDDEN = {
    # Synapses of the layer and of its branches, options of its neurons, lanes, input
    "residual and recurrent, graded": (FLAT, [(-1, FLAT), (0, OWN)], {"levels": 3}, 5, {"in_max": 3}),
    "graded": (FLAT, [], {"levels": 5, "leak_num": 3, "leak_shift": 2}, 5, {"in_max": 5}),
    "recurrent": (FLAT, [(0, OWN)], {"single_spike": True, "leak_num": 1, "leak_shift": 1}, 3, {}),
    "recurrent in one row": (FLAT, [(0, OWN)], {"levels": 2, "reset": "zero"}, 13, {}),
    "direct": (FLAT, [], {"levels": 2}, 4, {"input_kind": "direct", "in_min": -3, "in_max": 5}),
    "learned latency": (FLAT, [], {"fall": True, "single_spike": True, "bias_once": True}, 13,
                        {"input_kind": "direct", "in_min": 0, "in_max": 5}),
    "two convolutions": (
        Conv2d(in_shape=MAP, channels=6, kernel=(3, 2), stride=(2, 1), padding=(1, 0), groups=2),
        [(-1, Conv2d(in_shape=MAP, channels=6, kernel=(2, 2), stride=(2, 1)))],
        {"levels": 2, "reset": "none"}, 2, {"in_max": 2}),
    "kernel-parallel": (Conv2d(in_shape=MAP, channels=3, kernel=(2, 3), padding=(1, 0)), [],
                        {"levels": 3, "v_min": -9}, 2, {"in_max": 2}),
    "kernel-parallel, stride, groups": (
        Conv2d(in_shape=MAP, channels=6, kernel=(3, 4), stride=(2, 1), padding=(0, 1), groups=2), [],
        {"leak_num": 5, "leak_shift": 3}, 3, {}),
}


def run_hidden(name: str, simulator: str) -> tuple[dict, list[int]]:
    """What the hidden layer of a case is seen to do, and the tokens that it must send."""
    synapses, branches, options, lanes, inputs = HIDDEN[name]
    program = hidden_program(len(name), synapses, branches, options, lanes, inputs, parallel="parallel" in name)
    network, random = program.network, np.random.default_rng(len(name))
    shape = (6, network.inputs) if network.input_kind == "direct" else (3, STEPS, network.inputs)
    given = random.integers(network.in_min or 1, network.in_max + 1, shape) * (random.random(shape) < 0.3)
    fired = GoldenModel(network).run(given.astype(np.int16)).spikes[1]
    assert 0.02 <= (fired != 0).mean() <= 0.7 and fired.max() == network.layers[0].neuron.levels
    sent = spoken(encode_direct(given, STEPS) if given.ndim == 2 else given, network.input_layout)
    offers = {f"source{place}": sent for place, branch in enumerate(network.layers[0].synapses(0)) if branch.source}
    memory = program.memories()[0]
    seen = run_unit(Hidden(program), simulator, offers=offers, takes=["events"], seed=lanes,
                    images={memory: program.images()[memory.name]}, cycles=len(sent) * (20 if branches else 12))
    return seen, spoken(fired, network.layers[0].out_layout, program.config.layers[0])


@also_compiled("name", [(name,) for name in HIDDEN])
def test_hidden_layer_sends_the_spikes_of_the_golden_model(simulator, name):
    seen, wanted = run_hidden(name, simulator)
    assert seen["left"] == [0] and seen["events"] == wanted


def test_a_bank_that_forgets_to_forward_is_noticed(monkeypatch):
    def forgetful(**options):
        return RowMemory(**{**options, "forwards": False})

    monkeypatch.setattr("firstspike_hw.core.RowMemory", forgetful)
    seen, wanted = run_hidden("kernel-parallel, stride, groups", "pysim")
    assert seen["left"] == [0] and seen["events"] != wanted


def test_spikes_that_recur_into_the_next_inference_are_noticed(monkeypatch):
    decode = Sequencer._decode

    def take_all(self, m, index):
        self._opening = Const(0)
        return decode(self, m, index)

    monkeypatch.setattr(Sequencer, "_decode", take_all)
    seen, wanted = run_hidden("recurrent", "pysim")
    assert seen["left"] == [0] and seen["events"] != wanted
    first = wanted.index(FINAL_MARKER)
    assert seen["events"][:first] == wanted[:first]  # before the first inference there were none


def hidden_program(seed: int, synapses, branches, options, lanes: int, inputs, *, parallel: bool = False):
    """The layer to be tried, and one behind it that makes it a network."""
    random, count, options = np.random.default_rng(seed), synapses.channels, dict(options)

    def weights_of(connectivity):
        return random.integers(-6, 8, connectivity.weight_shape)

    levels, falls = options.pop("levels", 1), options.pop("fall", False)
    neuron = Neuron(
        bias=random.integers(-3, 4, count), v_init=random.integers(-4, 5, count),
        theta=np.sort(random.integers(6, 14 + 6 * levels, (count, levels)), axis=1),
        theta_fall=np.arange(STEPS) * 5 if falls else None, **options)
    layer = Layer(name="tried", weight_bits=5, weights=weights_of(synapses), connectivity=synapses, neuron=neuron,
                  branches=tuple(Branch(source=source, weights=weights_of(one), connectivity=one)
                                 for source, one in branches))
    behind = Dense(in_shape=synapses.out_shape, neurons=2)
    output = Layer(name="behind", weight_bits=5, weights=weights_of(behind), connectivity=behind,
                   neuron=Neuron(bias=np.zeros(2, int), theta=np.ones(2, int), v_init=np.zeros(2, int)))
    network = IntegerNetwork(name="unit", layers=(layer, output), readout="spike_count", steps=STEPS, steps_max=STEPS,
                             **{"input_kind": "events", **inputs})
    program = compile_network(network, lanes=[lanes, 2], kernel_parallel=[parallel, False], register_rows=2).program
    assert (program.config.layers[0].bank_count > 1) == parallel
    return program


@also_compiled("readout lanes early_exit winner", [
    ("first_spike", 13, True, "tree"), ("first_spike", 4, False, "scan"), ("weighted_spikes", 5, False, "tree"),
    ("potential", 3, False, "tree"),
])
def test_output_layer_decides_like_the_golden_model(simulator, readout, lanes, early_exit, winner):
    program, spikes = one_layer(lanes, readout=readout, lanes=lanes, early_exit=early_exit, winner=winner,
                                single_spike=readout == "first_spike")
    golden = GoldenModel(program.network).run(spikes)
    assert len(set(golden.classes.tolist())) > 1
    shape, layout = program.memories()[0], result_layout(program)
    seen = run_unit(Output(program), simulator, offers={"source": tokens(spikes)}, takes=["result"],
                    images={shape: program.images()[shape.name]}, cycles=2500, seed=lanes)
    results = [layout.unpack(word) for word in seen["result"]]
    steps = np.array([result[1] for result in results])
    assert [result[0] for result in results] == golden.classes.tolist()
    assert steps.tolist() == golden.steps.tolist()
    assert [result[2] for result in results] == golden.decided_by.tolist()
    scores = scores_from_raw(program, np.array([result[3] for result in results]), steps)
    assert scores.tolist() == golden.scores.tolist()


@pytest.mark.parametrize("readout, lanes, winner, early_exit", [
    ("weighted_spikes", 13, "tree", False), ("weighted_spikes", 4, "scan", False), ("spike_count", 5, "tree", False),
    ("spike_count", 13, "scan", False), ("first_spike", 5, "tree", True),
])
def test_output_layer_counts_magnitudes(readout, lanes, winner, early_exit):
    program, spikes = one_layer(lanes, readout=readout, lanes=lanes, winner=winner, early_exit=early_exit, levels=3)
    golden = GoldenModel(program.network).run(spikes)
    assert len(set(golden.classes.tolist())) > 1 and golden.spikes[1].max() == 3
    layout = result_layout(program)
    seen = run_unit(Output(program), "pysim", offers={"source": tokens(spikes)}, takes=["result"], cycles=2500, seed=1)
    results = [layout.unpack(word) for word in seen["result"]]
    assert results == [
        (*found[:3], found[3].tolist())
        for found in zip(golden.classes, golden.steps, golden.decided_by, golden.scores, strict=True)]
