# SPDX-License-Identifier: MIT
"""The read-out and its twin, cycle by cycle."""

import numpy as np
import pytest
from firstspike_arch.layer_plan import readout_cycles
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_arch.result import result_layout
from firstspike_compiler.compile import compile_network
from firstspike_hw.readout import Readout
from firstspike_sim.testing.callable_twins import callable_twins
from firstspike_sim.timing import readout
from firstspike_sim.timing.core import ROW

STEPS, CYCLES = 3, 600
COUNT = CYCLES // STEPS + 1


def output(neurons: int, lanes: int, kind: str, winner: str, early_exit: bool, endless: bool):
    """A program whose last layer is read out so."""
    layer = Layer(
        name="only", weight_bits=4, weights=np.ones((neurons, 3), int), neuron=Neuron(
            bias=np.zeros(neurons, int), theta=None if kind == "potential" else np.ones(neurons, int),
            v_init=np.zeros(neurons, int), leak_num=1, leak_shift=int(endless)))
    network = IntegerNetwork(
        name="unit", layers=(layer,), readout=kind, steps=STEPS, steps_max=STEPS, input_kind="events",
        step_weights=tuple(range(STEPS, 0, -1)), endless=endless)
    return compile_network(network, lanes=lanes, early_exit=early_exit, winner=winner).program


def compare(
    beside, twin, *, neurons: int, lanes: int, kind: str, winner: str, early_exit: bool, often: float, willing: float,
    endless: bool = False,
) -> None:
    """Rows ask when they like; one that is granted is captured two cycles later. Without end, windows do."""
    twin = callable_twins(twin)
    program, random = output(neurons, lanes, kind, winner, early_exit, endless), np.random.default_rng(neurons)
    network, plan, layout = program.network, program.cores[-1].plan, result_layout(program)
    unit = Readout(network=network, plan=plan, layout=layout, early_exit=early_exit, scan=winner == "scan", tag_bits=8,
                   value_bits=layout.score_bits if kind in ("first_spike", "potential") else 0)
    state = twin.new_readout(early_exit=early_exit, scan=winner == "scan", earliest=network.earliest_decides,
                             rows=plan.rows, comparing=readout_cycles(plan, winner))[0]
    fired = random.random((COUNT, STEPS, plan.rows * lanes)) < 0.15
    fired[:, :, neurons:] = False
    fires = fired.any(2)
    decides = np.where(fires.any(1), fires.argmax(1), STEPS - 1)
    asked, coming, comes, results, dropped = 0, -1, -1, 0, 0

    def cycle(pins):
        nonlocal asked, coming, comes, results, dropped
        opening, asks, ready = asked % plan.rows == 0, random.random() < often, random.random() < willing
        inference, step, row = (int(part) for part in np.unravel_index(max(comes, 0), (COUNT, STEPS, plan.rows)))
        final = step == STEPS - 1
        last = row == plan.rows - 1
        captured = np.array((comes >= 0, final and not endless, False, last, row, inference, step), ROW)
        settles = comes >= 0 and step == decides[inference]
        spikes = fired[inference, step, row * lanes:(row + 1) * lanes]
        pins.set(capture_row=row, capture_last=last, capture_final=step == STEPS - 1 and not endless,
                 capture_spikes=sum(1 << int(lane) for lane in np.flatnonzero(spikes)))
        pins.set(capture_valid=comes >= 0, capture_coming=coming >= 0, capture_request=asks, capture_opening=opening,
                 result_ready=ready)
        pins.must_be(result_valid=state["offered"], drop_valid=state["drop_valid"])
        if state["drop_valid"]:
            pins.must_be(drop_tag=state["drop_inference"])
            dropped += 1
        results += bool(state["offered"] and ready)
        granted = twin.step(state, pins.cycle, captured[()], final, settles, opening, coming >= 0, ready)
        pins.must_be(capture_grant=granted)
        coming, comes = asked if asks and granted else -1, coming
        asked += asks and granted

    beside(unit, CYCLES, cycle)
    assert results > 5 and (dropped > 5) == early_exit


NAMES = ("neurons", "lanes", "kind", "winner", "early_exit", "often", "willing", "endless")
CASES = [dict(zip(NAMES, case, strict=False)) for case in (
    (5, 5, "first_spike", "tree", True, 0.8, 0.5), (5, 5, "first_spike", "scan", False, 1, 1),
    (7, 3, "first_spike", "tree", True, 1, 0.4), (7, 3, "first_spike", "scan", False, 0.9, 0.6),
    (4, 2, "spike_count", "tree", False, 0.9, 0.2), (6, 6, "potential", "scan", False, 1, 0.3),
    (1, 1, "spike_count", "tree", False, 1, 0.9), (9, 1, "weighted_spikes", "tree", False, 0.9, 0.5),
    (7, 3, "first_spike", "scan", False, 0.9, 0.6, True), (5, 5, "spike_count", "tree", False, 1, 0.4, True),
    (6, 2, "potential", "tree", False, 0.9, 0.9, True), (5, 5, "first_spike", "tree", False, 1, 0.7, True),
)]


@pytest.mark.parametrize("case", CASES)
def test_twin_equals_unit(beside, case):
    compare(beside, readout, **case)


@pytest.mark.parametrize("old, new", [
    ("cycle + 1 + readout.comparing", "cycle + readout.comparing"),
    ("cycle + 1 < readout.free_from", "cycle < readout.free_from"),
    ("(readout.offered or coming or", "(coming or"), ("readout.offered or coming or", "readout.offered or"),
    ("if readout.ends_at == cycle + 1", "if readout.ends_at == cycle"),
    ("        readout.drop_valid = False", "        readout.drop_inference = 0"),
    ("readout.rows > 1 or settles", "True"),
])
def test_a_fault_is_noticed(beside, spoiled, old, new):
    with pytest.raises(AssertionError, match="the twin says"):
        compare(beside, spoiled(readout, old, new), **CASES[0])
