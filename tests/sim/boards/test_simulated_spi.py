# SPDX-License-Identifier: MIT
"""The whole way over SPI: driver → pins → accelerator → driver, equal to golden, on good wires and on bad ones."""

import firstspike as fs
import numpy as np
import pytest
from firstspike.verb_demo import shipped
from firstspike_arch.program import Program
from firstspike_boards.driver import WireBackend
from firstspike_boards.link import Link
from firstspike_boards.spi_port import SpiPort
from firstspike_hw.link.frames import wire_format
from firstspike_hw.link.spi import SCK_CYCLES_MIN
from firstspike_sim.boards.simulated_spi import SimulatedSpi
from firstspike_sim.models.prediction import Prediction, predict_inputs
from firstspike_train.data import load

VALUES = ("classes", "steps", "decided_by", "scores")
TIMEOUT = 0.01


def program(name: str, **options) -> Program:
    return fs.compile(fs.load(shipped("zoo", f"digits_{name}.safetensors")), **options).program


@pytest.fixture(scope="module")
def dense() -> Program:
    return program("ettfs", lanes=8, early_exit=True, winner="scan", register_rows=2)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return load("digits", "test")[0]


@pytest.fixture
def buses():
    opened: list[SimulatedSpi] = []

    def open_bus(one: Program, **options) -> SimulatedSpi:
        opened.append(SimulatedSpi(one, **{"optimise": False, **options}))
        return opened[-1]

    yield open_bus
    for bus in opened:
        bus.close()


def loaded(bus: SimulatedSpi, one: Program, **options) -> WireBackend:
    backend = WireBackend(Link(lambda: SpiPort(bus), **{"timeout": TIMEOUT, **options}))
    backend.write_memories(one)
    backend.load(one)
    return backend


def differing(wanted: Prediction, trace) -> list[str]:
    return [name for name in VALUES if not np.array_equal(getattr(wanted.trace, name), getattr(trace, name))]


@pytest.mark.parametrize("sck_cycles", [
    SCK_CYCLES_MIN, 4.37, pytest.param(9.5, marks=pytest.mark.slow)])
def test_results_over_spi_equal_golden_at_any_ratio_of_clocks(sck_cycles, dense, buses, images):
    wanted = predict_inputs(dense, images[:60])
    backend = loaded(buses(dense, sck_cycles=sck_cycles), dense)
    trace = backend.run(wanted.stimulus)
    assert differing(wanted, trace) == [] and len(set(trace.classes.tolist())) > 5
    assert backend.link.resent == backend.link.unreadable == 0 and trace.counters["inferences"] == 60
    assert [trace.counters[counter] for counter in ("corrupt", "overflow", "cut")] == [0, 0, 0]


def test_payload_fills_the_wire(dense, buses, images):
    bus = buses(dense)
    backend = loaded(bus, dense)
    wanted = predict_inputs(dense, images)
    start = bus.cycles
    backend.run(wanted.stimulus)
    octets = len(wire_format(dense).pack_words(wanted.stimulus.words))
    assert octets * 8 * SCK_CYCLES_MIN / (bus.cycles - start) >= 0.9


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_faults_of_pins_lose_nothing(seed, dense, buses, images):
    bus = buses(dense, glitches=2e-5, seed=seed)
    wanted = predict_inputs(dense, images[:60])
    backend = loaded(bus, dense, attempts=40)
    assert differing(wanted, backend.run(wanted.stimulus)) == []
    assert backend.link.resent > 0 and backend.counters()["corrupt"] > 0


def test_a_board_may_be_reset_between_runs(dense, buses, images):
    bus = buses(dense)
    backend = loaded(bus, dense)
    wanted = predict_inputs(dense, images[:10])
    backend.run(wanted.stimulus)
    assert not bus.busy and not bus.fault
    bus.reset()
    assert backend.counters()["inferences"] == 0
    assert differing(wanted, backend.run(wanted.stimulus)) == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), [
    ("diet", {"lanes": 4, "port": "image"}), ("multi_threshold", {"lanes": 4, "port": "image"}),
    ("latency", {"lanes": 4, "early_exit": True}),
    ("ettfs", {"lanes": 8, "early_exit": True}),  # tokens: answers longer than their requests
])
def test_networks_over_spi_with_faults(name, options, buses, images):
    one = program(name, **options)
    wanted = predict_inputs(one, images)
    backend = loaded(buses(one, glitches=1e-5, seed=1, optimise=True), one, timeout=0.1)
    assert differing(wanted, backend.run(wanted.stimulus)) == []
