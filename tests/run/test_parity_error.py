# SPDX-License-Identifier: MIT
"""Words that do not fit their parity: what the driver says of them, and that weights are written again."""

from collections.abc import Callable

import numpy as np
import pytest
from firstspike_arch.memory import MemoryShape
from firstspike_arch.program import Program
from firstspike_arch.status import PARITY_COUNT_MAX
from firstspike_compiler.compile import compile_network
from firstspike_hw.axi.driver_facts import driver_facts, driver_words
from firstspike_hw.axi.registers import Register, counters_of
from firstspike_run import Accelerator, AxiDma, Export, ParityError
from firstspike_sim.boards.simulated_zynq import SimulatedZynq
from firstspike_sim.models.golden import GoldenModel


@pytest.fixture(scope="module")
def guarded(lif) -> Program:
    return compile_network(lif.network, lanes=[5, 3], protect="parity").program


class Device:
    """Registers and streams of a device that counts what ``errors`` says in each transfer, and gives zeros."""

    limit = 15  # an inference in each transfer

    def __init__(self, program: Program, errors: list[int]):
        facts = driver_facts(program)
        self.identity, self.errors, self.written = bytes.fromhex(facts["identity"]["octets"]), errors, 0
        self.counts, self._size = dict.fromkeys(counters_of(program), 0), 0
        self.reset = self.drain = lambda: None

    def read(self, offset: int) -> int:
        if offset < len(self.identity):
            return int.from_bytes(self.identity[offset : offset + 4], "little")
        self.counts["cycles"] += 100_000
        return self.counts[[*self.counts][(offset - Register.COUNTERS) // 4]]

    def write(self, offset: int, value: int) -> None:
        if offset == Register.PROGRAM_DATA:
            self.written += 1
            self.counts |= {"parity_errors": 0, "parity_cores": 0}
        elif offset == Register.PACKET:
            self._results = value

    def begin(self, octets: np.ndarray, size: int) -> None:
        self.counts["inferences"] += self._results
        errors = self.errors.pop(0)
        self.counts["parity_errors"] = min(PARITY_COUNT_MAX, self.counts["parity_errors"] + errors)
        self.counts["parity_cores"] |= 2 * (errors > 0)
        self._size = size

    def done(self) -> bool:
        return True

    def results(self) -> np.ndarray:
        return np.zeros(self._size, np.uint8)


INPUTS = np.zeros((3, 5, 13), int)
SENTENCE = (r"^words in the memories of b must be as they were written, but do not fit their parity: the results of {} "
            r"of 3 inferences, from {} on, are not to be trusted; load writes the weights again$")


def test_inferences_with_words_that_do_not_fit_are_named(guarded):
    device, export = Device(guarded, [0, 7, 0, 0, 0, 0]), Export(driver_facts(guarded), driver_words(guarded))
    driver = Accelerator(device, device)
    driver.load(export)
    barrier = device.written
    with pytest.raises(ParityError, match=SENTENCE.format(1, 1)) as error:
        driver.infer(INPUTS)
    assert error.value.inferences == [1] and len(error.value.answers.classes) == 3
    driver.load(export)
    assert device.written == 2 * barrier + len(export.port_words) and device.counts["parity_errors"] == 0
    driver.load(export)
    assert device.written == 2 * barrier + len(export.port_words)
    assert len(driver.infer(INPUTS).classes) == 3


def test_a_full_counter_is_an_error_although_it_does_not_move(guarded):
    device, export = Device(guarded, [0, 0, 0]), Export(driver_facts(guarded), driver_words(guarded))
    driver = Accelerator(device, device)
    driver.load(export)
    device.counts |= {"parity_errors": PARITY_COUNT_MAX, "parity_cores": 2}
    with pytest.raises(ParityError, match=SENTENCE.format(3, 0)):
        driver.infer(INPUTS)


@pytest.mark.slow
def test_a_struck_device_is_right_again_after_loading(guarded, monkeypatch):
    """The exported Verilog, of which weights and biases of a layer have a flipped bit; it reads biases at once."""
    name, stored = guarded.memories()[1].name, MemoryShape.stored
    flip: Callable = lambda self, word: stored(self, word) ^ (word > 0 and self.name == name)  # noqa: E731
    monkeypatch.setattr(MemoryShape, "stored", flip)
    inputs = np.random.default_rng(1).integers(0, 2, (4, 5, 13))
    export = Export(driver_facts(guarded), driver_words(guarded))
    with SimulatedZynq(guarded) as zynq:
        monkeypatch.undo()
        driver = Accelerator(zynq.registers, AxiDma(zynq.engine, zynq.allocate), timeout=2e-5, now=zynq.now)
        places = [Register.COUNTERS + 4 * place for place in range(len(counters_of(guarded)))]
        assert [zynq.registers.read(place) > 0 for place in places[-2:]] == [True, True]
        assert zynq.registers.read(places[-1]) == 1 << 1
        driver.load(export)
        assert np.array_equal(driver.infer(inputs).scores, GoldenModel(guarded.network).run(inputs).scores)
        assert driver.counters()["parity_errors"] == 0
