# SPDX-License-Identifier: MIT
"""External weights on a Zynq: the driver puts them into memory, the exported Verilog reads them over m_axi."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_arch.program import Program
from firstspike_boards.axi_backend import AxiBackend
from firstspike_compiler.compile import compile_network
from firstspike_hw.axi.driver_facts import driver_facts, driver_memory, driver_words
from firstspike_hw.axi.registers import Register
from firstspike_run import Accelerator, AxiDma, DeviceError, DeviceTimeoutError, Export, MemoryReadError
from firstspike_sim.boards.simulated_zynq import BusError, SimulatedZynq
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.stimulus import make_stimulus

CHANNEL = 3
"""A channel of the input, in which only the last inferences have spikes."""


def program_of(seed: int) -> Program:
    """A convolution, whose slices take 18 beats and so two or three bursts, and a dense layer; both are external."""
    random = np.random.default_rng(seed)
    net = NetworkBuilder((4, 3, 3), steps=2, readout="potential")
    net.layer(random.integers(-4, 8, (2, 4, 3, 3)), theta=20, padding=1, weight_bits=4)
    net.layer(random.integers(-7, 8, (5, 18)), theta=None, weight_bits=4)
    return compile_network(net.build(), lanes=[1, 5], external=[0, 1]).program


PROGRAM, OTHER = program_of(2), program_of(3)
INPUTS = np.random.default_rng(3).integers(0, 2, (4, 2, 36), dtype=np.uint8)
INPUTS[:2, :, 9 * CHANNEL:] = 0
GOLDEN = {program: GoldenModel(program.network).run(INPUTS) for program in (PROGRAM, OTHER)}


def export(program: Program) -> Export:
    return Export(driver_facts(program), driver_words(program), driver_memory(program))


def right(answers: Any, which: slice = slice(None), program: Program = PROGRAM) -> bool:
    """Whether they are those of these inferences."""
    golden = GOLDEN[program]
    return np.array_equal(answers.scores, golden.scores[which]) and np.array_equal(
        answers.classes, golden.classes[which])


@pytest.fixture(scope="module")
def zynq() -> Iterator[SimulatedZynq]:
    with SimulatedZynq(PROGRAM, memory_bytes=1 << 17, memory_timeout=300) as zynq:
        zynq.allocate(shape=(100,))  # so that no address is 0
        yield zynq


def driver(zynq: SimulatedZynq, registers: Any = None, buffer_bytes: int = 1024) -> Accelerator:
    return Accelerator(registers or zynq.registers, AxiDma(zynq.engine, zynq.allocate, buffer_bytes=buffer_bytes),
                       allocate=zynq.allocate, timeout=2e-5, now=zynq.now)


@pytest.fixture
def device(zynq) -> Accelerator:
    zynq.stall("none")
    zynq.break_memory()
    device = driver(zynq)
    device.load(export(PROGRAM))
    return device


def test_every_result_is_as_the_golden_model_has_it(zynq, device):
    answers = device.infer(INPUTS)
    assert right(answers) and len(set(answers.classes.tolist())) > 1
    zynq.stall("random", seed=6)
    assert right(device.infer(INPUTS))
    counts = device.counters()
    assert (counts["faults"], counts["read_errors"]) == (0, 0)
    backend = AxiBackend(device)
    backend.load(PROGRAM)
    assert right(backend.run(make_stimulus(PROGRAM, INPUTS[3:])), slice(3, 4))


def end_of_slice(zynq: SimulatedZynq) -> int:
    """Address behind the weights of `CHANNEL`."""
    fetching = PROGRAM.external[0].fetching
    assert fetching is not None
    return zynq.registers.read(Register.MEMORY_LOW) + fetching.base + (CHANNEL + 1) * fetching.octets


def test_inferences_whose_weights_cannot_be_read_are_named(zynq, device):
    small = driver(zynq, buffer_bytes=80)
    small.load(export(PROGRAM))
    end, before = end_of_slice(zynq), small.counters()
    zynq.break_memory([(end - 16, end - 8)])  # a beat, and with it the last one
    with pytest.raises(MemoryReadError, match=r"read without errors, but 4 slices were not: the results of 2 of 4 "
                       r"inferences, from 2 on, are not to be trusted$") as error:
        small.infer(INPUTS)
    answers = error.value.answers
    assert answers is not None and error.value.inferences == [2, 3] and not right(answers)
    assert np.array_equal(answers.scores[:2], GOLDEN[PROGRAM].scores[:2])
    after = small.counters()
    assert [after[name] - before[name] for name in ("faults", "read_errors")] == [4, 4 * 2]
    assert right(small.infer(INPUTS[:2]), slice(2))  # which do not read that slice
    zynq.break_memory()
    assert right(small.infer(INPUTS[2:]), slice(2, 4))


def test_a_memory_that_does_not_answer_is_given_up_until_a_reset(zynq, device):
    zynq.break_memory(silent=True)
    with pytest.raises(MemoryReadError, match=r"of 1 of 1 inferences, from 0 on, are not to be trusted; the memory has "
                       "not answered, and the device has given it up until it is reset"):
        device.infer(INPUTS[:1])
    zynq.break_memory()
    for again in (lambda: device.infer(INPUTS), lambda: driver(zynq).load(export(PROGRAM))):
        with pytest.raises(MemoryReadError, match="the external weights cannot be read; the memory has not answered"):
            again()
    zynq.reset_later(1)
    with pytest.raises(BusError):
        zynq.registers.read(Register.MEMORY_STATUS)
    assert zynq.registers.read(Register.MEMORY_STATUS) == 0
    assert right(device.infer(INPUTS[:1]), slice(1))  # which tells the address anew
    assert zynq.registers.read(Register.MEMORY_STATUS) == 1


def test_nothing_runs_before_the_address_is_known(zynq, device):
    zynq.reset_later(1)
    with pytest.raises(BusError):
        zynq.registers.read(Register.CONTROL)
    mute = SimpleNamespace(read=zynq.registers.read, write=lambda offset, value: (
        None if offset == Register.MEMORY_LOW else zynq.registers.write(offset, value)))
    late = driver(zynq, mute)
    late.load(export(PROGRAM))
    with pytest.raises(DeviceTimeoutError, match="nothing has moved for 2e-05 s, with 1 results to come in one packet; "
                       "the device has counted 0 words and 0 results"):
        late.infer(INPUTS[:1])
    device.recover()  # from what the other has left
    assert right(device.infer(INPUTS[:1]), slice(1))


def test_an_address_that_cannot_be_is_refused(zynq, device):
    registers, address = zynq.registers, zynq.registers.read(Register.MEMORY_LOW)
    for register, value in ((Register.MEMORY_LOW, address + 32), (Register.MEMORY_HIGH, 1 << 8)):
        with pytest.raises(BusError, match="was answered with SLVERR"):
            registers.write(register, value)
    registers.write(Register.MEMORY_HIGH, 0xA5)
    assert (registers.read(Register.MEMORY_LOW), registers.read(Register.MEMORY_HIGH)) == (address, 0xA5)
    with pytest.raises(BusError, match="SLVERR"):
        registers.write(Register.MEMORY_STATUS, 0)
    for place in (address + 8, (1 << 40) - 64):
        def somewhere(shape, dtype, place=place):
            buffer = zynq.allocate(shape, dtype)
            buffer.physical_address, buffer.flush = place, lambda: None
            return buffer
        lost = Accelerator(registers, AxiDma(zynq.engine, zynq.allocate, buffer_bytes=64), allocate=somewhere,
                           now=zynq.now)
        with pytest.raises(DeviceError, match=rf"must be at a multiple of 64 below 2\^40, not at {place:#x}"):
            lost.load(export(PROGRAM))
    nowhere = Accelerator(registers, AxiDma(zynq.engine, zynq.allocate, buffer_bytes=64), now=zynq.now)
    with pytest.raises(ValueError, match=r"allocate must be given, such as pynq.allocate: \d+ bytes of the weights"):
        nowhere.load(export(PROGRAM))
    assert right(device.infer(INPUTS[:1]), slice(1))


def test_other_weights_go_to_a_buffer_of_their_own(device):
    assert PROGRAM.architecture() == OTHER.architecture()
    assert (GOLDEN[PROGRAM].scores != GOLDEN[OTHER].scores).any(1).all()
    device.load(export(OTHER))
    assert right(device.infer(INPUTS), program=OTHER)
