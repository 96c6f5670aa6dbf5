# SPDX-License-Identifier: MIT
"""The driver on the exported Verilog: every beat as the models have it, and every fault an exception, then right."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from firstspike_arch.backend import Backend, Trace
from firstspike_arch.program import Program
from firstspike_boards.axi_backend import AxiBackend
from firstspike_compiler.compile import compile_network
from firstspike_hw.axi.driver_facts import driver_facts, driver_words
from firstspike_hw.axi.registers import RESULT_BEAT_BITS, Register, result_beats
from firstspike_hw.link.frames import wire_format
from firstspike_run import (
    Accelerator,
    Answers,
    AxiDma,
    DeviceError,
    DeviceTimeoutError,
    Export,
    StreamError,
    StreamFifo,
    WrongDeviceError,
)
from firstspike_sim.boards.simulated_zynq import BusError, SimulatedZynq
from firstspike_sim.models.prediction import Prediction, predict_inputs
from firstspike_sim.stimulus import make_stimulus
from firstspike_sim.testing.random_network import random_inputs

TIMEOUT = 2e-5
"""2,000 cycles."""

INFERENCES = 12


def export(program: Program) -> Export:
    return Export(driver_facts(program), driver_words(program))


def is_as(answers: Answers | Trace, wanted: Prediction) -> bool:
    return all(np.array_equal(getattr(answers, name), getattr(wanted.trace, name))
               for name in ("classes", "steps", "decided_by", "scores"))


def result_stream(wanted: Prediction, program: Program, packet: int) -> list[tuple[int, int]]:
    """Beats of the results, from the golden model's values."""
    layout, beats = wire_format(program).result, []
    rows = zip(wanted.trace.classes, wanted.trace.steps, wanted.trace.decided_by, wanted.trace.scores, strict=True)
    for number, (label, step, decided_by, scores) in enumerate(rows, start=1):
        word, at = 0, 0
        for value, bits in ((label, layout.class_bits), (step, layout.step_bits), (decided_by, 2),
                            *((score, layout.score_bits) for score in scores)):
            word |= (int(value) & (1 << bits) - 1) << at
            at += bits
        for beat in range(result_beats(wire_format(program))):
            ends = beat == result_beats(wire_format(program)) - 1 and number % packet == 0
            beats.append((word >> RESULT_BEAT_BITS * beat & (1 << RESULT_BEAT_BITS) - 1, int(ends)))
    return beats


def altered(zynq: SimulatedZynq, change: Any) -> Any:
    """Registers whose writes to PACKET come as ``change(results)``, or not at all if that is None."""
    def write(offset: int, value: int) -> None:
        given = change(value) if offset == Register.PACKET and value < 1 << 16 else value
        if given is not None:
            zynq.registers.write(offset, given)
    return SimpleNamespace(read=zynq.registers.read, write=write)


@pytest.fixture(scope="module")
def wanted(lif) -> Prediction:
    return predict_inputs(lif, random_inputs(np.random.default_rng(9), lif.network, INFERENCES))


@pytest.fixture(scope="module")
def inputs(lif) -> np.ndarray:
    return random_inputs(np.random.default_rng(9), lif.network, INFERENCES)


@pytest.fixture(scope="module")
def zynq(lif) -> Iterator[SimulatedZynq]:
    """With DMA; the memories hold nothing at first."""
    with SimulatedZynq(lif, initialised=False) as zynq:
        yield zynq


@pytest.fixture
def device(zynq, lif) -> Accelerator:
    zynq.stall("none")
    device = Accelerator(zynq.registers, AxiDma(zynq.engine, zynq.allocate, buffer_bytes=1024), timeout=TIMEOUT,
                         now=zynq.now)
    device.load(export(lif))
    return device


def test_every_beat_is_as_the_models_have_it(zynq, device, lif, inputs, wanted):
    before = len(zynq.seen()[0]), len(zynq.seen()[1])
    answers = device.infer(inputs)
    assert is_as(answers, wanted) and len(set(answers.classes.tolist())) > 1
    assert answers.cycles >= wanted.trace.taken[-1]
    given, taken = (beats[start:] for beats, start in zip(zynq.seen(), before, strict=True))
    words = wanted.stimulus.words.tolist()
    assert given == [(word, int(place == len(words))) for place, word in enumerate(words, start=1)]
    assert taken == result_stream(wanted, lif, INFERENCES)
    counts = device.counters()
    assert (counts["words_in"], counts["inferences"], counts["packets_in"]) == (len(words), INFERENCES, 1)


def test_with_waits_on_all_channels_and_in_parts(zynq, device, lif, inputs, wanted):
    zynq.stall("random", seed=4)
    small = Accelerator(zynq.registers, AxiDma(zynq.engine, zynq.allocate, buffer_bytes=176), timeout=TIMEOUT,
                        now=zynq.now)
    small.load(export(lif))
    before = small.counters()["packets_in"], *(len(beats) for beats in zynq.seen())
    assert is_as(small.infer(inputs), wanted)
    parts = small.counters()["packets_in"] - before[0]
    given, taken = (beats[start:] for beats, start in zip(zynq.seen(), before[1:], strict=True))
    assert parts > 1 and sum(last for _, last in given) == sum(last for _, last in taken) == parts
    assert [word for word, _ in given] == wanted.stimulus.words.tolist()
    with pytest.raises(ValueError, match="inference 0 must have at most 16 bytes each way"):
        tiny = Accelerator(zynq.registers, AxiDma(zynq.engine, zynq.allocate, buffer_bytes=16), timeout=TIMEOUT,
                           now=zynq.now)
        tiny.load(export(lif))
        tiny.infer(inputs)


def test_events_are_the_same_inferences(device, inputs, wanted):
    recordings = [np.stack(np.nonzero(one), axis=1) for one in inputs]
    assert is_as(device.infer_events(recordings, steps=inputs.shape[1]), wanted)


def test_other_weights_are_written_once(zynq, device, lif, rolled_lif, inputs, wanted):
    other = predict_inputs(rolled_lif, inputs)
    assert not np.array_equal(other.trace.scores, wanted.trace.scores)
    device.load(export(rolled_lif))
    assert is_as(device.infer(inputs), other)
    cycles = zynq.cycles
    device.load(export(rolled_lif))
    assert zynq.cycles - cycles < 500  # only the identity is read
    device.load(export(lif))
    assert is_as(device.infer(inputs), wanted)


def test_a_reset_in_the_middle_is_noticed_and_weights_stay(zynq, device, inputs, wanted):
    zynq.reset_later(500)
    with pytest.raises(DeviceError, match=r"it was reset|nothing has moved"):
        device.infer(inputs)
    assert is_as(device.infer(inputs), wanted)
    zynq.reset_later(30)
    with pytest.raises(BusError, match="was cut off by a reset"):
        device.counters()
    assert is_as(device.infer(inputs), wanted)


def with_registers(zynq: SimulatedZynq, registers: Any, lif: Program) -> Accelerator:
    device = Accelerator(registers, AxiDma(zynq.engine, zynq.allocate, buffer_bytes=1024), timeout=TIMEOUT,
                         now=zynq.now)
    device.load(export(lif))
    return device


def test_it_is_a_backend_as_all_others(zynq, device, lif, rolled_lif, inputs, wanted):
    backend: Backend = AxiBackend(device)
    backend.load(rolled_lif)
    backend.load(lif)
    trace = backend.run(wanted.stimulus)
    assert is_as(trace, wanted) and len(trace.accepted) == len(wanted.stimulus.words)
    assert trace.counters["inferences"] >= INFERENCES
    with pytest.raises(ValueError, match="gaps and sink_stalls must be None on AXI"):
        backend.run(make_stimulus(lif, inputs, gaps=np.ones(len(wanted.stimulus.words), int)))


def test_a_packet_of_results_without_its_tlast_is_noticed(zynq, device, lif, inputs, wanted):
    late = with_registers(zynq, altered(zynq, lambda results: results + 1), lif)
    with pytest.raises(StreamError, match=r"S2MM .* internal error \(a packet longer than its buffer\)"):
        late.infer(inputs)
    device.recover()
    assert is_as(device.infer(inputs), wanted)


def test_a_packet_of_results_that_ends_too_early_is_noticed(zynq, device, lif, inputs, wanted):
    early = with_registers(zynq, altered(zynq, lambda results: 2), lif)
    with pytest.raises(DeviceTimeoutError, match=rf"nothing has moved for 2e-05 s, with {INFERENCES} results to come "
                       rf"in one packet; the device has counted \d+ words and \d+ results"):
        early.infer(inputs)  # no one takes the third
    size = 8 * result_beats(wire_format(lif))
    early.recover()
    with pytest.raises(StreamError, match=f"must have {3 * size} bytes, not {2 * size}: something else has changed"):
        early.infer(inputs[:3])
    device.recover()
    assert is_as(device.infer(inputs), wanted)


def test_a_device_whose_results_no_one_takes_times_out(zynq, device, inputs, wanted):
    zynq.stall("shut")
    with pytest.raises(DeviceTimeoutError, match="nothing has moved"):
        device.infer(inputs)
    zynq.stall("none")
    assert is_as(device.infer(inputs), wanted)


def test_a_device_that_repairs_its_input_is_an_error(device, lif, inputs, wanted):
    words, starts = wanted.stimulus.words.copy(), wanted.stimulus.starts
    words[0] = 13 << 2  # no such neuron
    with pytest.raises(DeviceError, match=r"but had to repair some: bad_address 1$"):
        device.run(words, starts)
    # An inference that is longer than the longest, and one that is cut by the end of the packet.
    with pytest.raises(DeviceError, match=r"had to repair some: overrun 1, completed 1$"):
        device.run(np.array([2, 2, 2, 2, 2, 2, 3, 2]), np.array([0, 7, 8]))
    assert is_as(device.infer(inputs), wanted)


def test_a_device_that_gets_other_weights_meanwhile_is_an_error(zynq, device, rolled_lif, inputs):
    other = driver_words(rolled_lif)
    place = 4 * export(rolled_lif).facts["identity"]["program"][0] // 16  # the digest's first word
    word = int(other[-16 + place])
    zynq.registers.write(Register.PROGRAM_ADDRESS, word >> 32)
    zynq.registers.write(Register.PROGRAM_DATA, word & 0xFFFF_FFFF)
    with pytest.raises(WrongDeviceError, match="must keep the program of lif during a run, but now reports another"):
        device.infer(inputs)


def test_results_that_were_given_to_another_are_noticed(zynq, device, lif, inputs):
    """As the counter tells: it stands still, or runs ahead."""
    at = Register.COUNTERS + 4 * export(lif).facts["counters"].index("inferences")
    reads = iter([0] + [0xFFFF_FFFF] * 1000)
    said = SimpleNamespace(write=zynq.registers.write,
                           read=lambda offset: next(reads) if offset == at else zynq.registers.read(offset))
    device._registers = said
    with pytest.raises(DeviceError, match=f"must count the {INFERENCES} results that it gave, not 4294967295: it was "
                       "reset, or something else uses it"):
        device.infer(inputs)


def test_a_device_for_another_network_is_refused(zynq, lif):
    other = compile_network(lif.network, lanes=[10, 6]).program
    device = Accelerator(zynq.registers, AxiDma(zynq.engine, zynq.allocate, buffer_bytes=1024), timeout=TIMEOUT,
                         now=zynq.now)
    with pytest.raises(WrongDeviceError, match=rf"must be built for lif \(architecture {other.architecture()[:16]}\), "
                       rf"not for lif \(architecture {lif.architecture()[:16]}\)"):
        device.load(export(other))
    with pytest.raises(RuntimeError, match="load an export first"):
        device.infer(np.zeros((1, 5, 13), int))


def test_what_is_inside_a_large_network_is_given_time_to_come_out(zynq, device, lif, inputs, wanted):
    """As if an inference could take longer than a word may wait at the program port."""
    slow = export(lif)
    slow.facts["drain_cycles"] = 1500
    early = with_registers(zynq, altered(zynq, lambda results: 2), lif)
    with pytest.raises(DeviceError):
        early.infer(inputs)
    cycles = zynq.cycles
    fresh = Accelerator(zynq.registers, AxiDma(zynq.engine, zynq.allocate, buffer_bytes=1024), timeout=TIMEOUT,
                        now=zynq.now)
    fresh.load(slow)
    assert zynq.cycles - cycles > 1500
    assert is_as(fresh.infer(inputs), wanted)


@pytest.fixture(scope="module")
def fifo(lif) -> Iterator[SimulatedZynq]:
    with SimulatedZynq(lif, engine="fifo", initialised=False) as zynq:
        yield zynq


@pytest.mark.slow
def test_by_way_of_a_fifo(fifo, lif, inputs):
    some = inputs[:3]
    wanted = predict_inputs(lif, some)
    device = Accelerator(fifo.registers, StreamFifo(fifo.engine), timeout=TIMEOUT, now=fifo.now)
    device.load(export(lif))
    assert is_as(device.infer(some), wanted)
    given, taken = fifo.seen()
    words = wanted.stimulus.words.tolist()
    assert given == [(word, int(place == len(words))) for place, word in enumerate(words, start=1)]
    assert taken == result_stream(wanted, lif, 3)
    late = Accelerator(altered(fifo, lambda results: results + 1), StreamFifo(fifo.engine), timeout=TIMEOUT,
                       now=fifo.now)
    late.load(export(lif))
    with pytest.raises(DeviceTimeoutError, match="nothing has moved"):
        late.infer(some)
    device.recover()
    assert is_as(device.infer(some), wanted)


@pytest.mark.slow
def test_by_way_of_a_fifo_with_waits_and_a_reset(lif, rolled_lif, inputs, wanted):
    with SimulatedZynq(lif, engine="fifo") as zynq:
        device = Accelerator(zynq.registers, StreamFifo(zynq.engine), timeout=TIMEOUT, now=zynq.now)
        device.load(export(lif))
        assert is_as(device.infer(inputs), wanted)
        device.load(export(rolled_lif))
        zynq.stall("random", seed=5)
        assert is_as(device.infer(inputs), predict_inputs(rolled_lif, inputs))
        zynq.reset_later(900)
        with pytest.raises((DeviceError, BusError)):
            device.infer(inputs)
        zynq.stall("none")
        assert is_as(device.infer(inputs), predict_inputs(rolled_lif, inputs))
