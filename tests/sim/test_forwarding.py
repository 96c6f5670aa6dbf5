# SPDX-License-Identifier: MIT
"""Forwarded sums: values as without them, cycles as the timing model says, and no event waits for another's rows."""

from dataclasses import replace

import firstspike as fs
import numpy as np
import pytest
from firstspike_arch.core_specs import core_spec
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.program import Program
from firstspike_arch.work import row_waits, work_cycles, workload
from firstspike_boards.lut_model import core_luts
from firstspike_compiler.errors import CompileError
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.compare import ALIVE, aliveness
from firstspike_sim.models.prediction import predict_inputs

OPTIONS = {
    # An event in the middle takes three visits of the banks, at the border one or two.
    "banks": {"lanes": [3, 4], "banks": [(2, 5), (1, 1)]},
    "a row a visit": {"lanes": [3, 4], "banks": [(1, 1), (1, 1)]},
    "two rows a visit": {"lanes": [2, 4], "banks": [(3, 3), (1, 1)]},
    "merged": {"lanes": [3, 4], "banks": [(2, 5), (1, 1)], "merges": True},
}


def network_of(name: str) -> IntegerNetwork:
    pool = 2 if name == "merged" else 1
    builder = fs.NetworkBuilder((2, 9 * pool, 9 * pool), steps=2, readout="spike_count")
    weights = np.random.default_rng(4).integers(-3, 5, (3, 2, 5, 5))
    builder.layer(weights, theta=40 if pool == 1 else 130, reset="zero", pool=pool)
    builder.layer(np.random.default_rng(5).integers(-4, 7, (4, 3 * 5 * 5)), theta=9)
    return builder.build()


def compiled(name: str, forwards: bool | list[bool] | None) -> Program:
    return fs.compile(network_of(name), forwards=forwards, **OPTIONS[name]).program


def inputs_of(network: IntegerNetwork) -> np.ndarray:
    return (np.random.default_rng(6).random((2, network.steps, network.inputs)) < 0.3).astype(np.uint8)


@pytest.mark.thinned(4)
@pytest.mark.parametrize("waits", [None, 3])
@pytest.mark.parametrize("name", OPTIONS)
def test_every_value_and_cycle_is_as_predicted(agree, name, waits):
    program = compiled(name, True)
    assert program.cores[0].plan.forwards and not program.cores[1].plan.forwards
    prediction = agree(PysimBackend(), program, inputs_of(program.network), waits)
    assert all(ALIVE[0] <= share <= ALIVE[1] for share in aliveness(prediction.golden.spikes)[1:])


@pytest.mark.slow
def test_verilator_agrees(agree):
    program = compiled("banks", True)
    agree(VerilatorBackend(optimise=False), program, inputs_of(program.network), 1)


@pytest.mark.parametrize("name", OPTIONS)
def test_no_event_waits_for_rows_and_values_stay(name):
    """Without forwarding, events wait; less than is estimated, as here some share no row with the one before."""
    plain, forwarding = compiled(name, False), compiled(name, True)
    given = inputs_of(plain.network)
    slow, fast = (predict_inputs(program, given) for program in (plain, forwarding))
    assert slow.trace.classes.tolist() == fast.trace.classes.tolist()
    core = forwarding.cores[0]
    load = workload(core, fast.golden.spikes)
    waits = row_waits(plain.cores[0], load)
    assert not row_waits(core, load).any() and not row_waits(plain.cores[1], workload(
        plain.cores[1], fast.golden.spikes)).any()
    assert (work_cycles(core, load) == work_cycles(plain.cores[0], load)).all()
    saved = float(slow.trace.intervals.mean() - fast.trace.intervals.mean())
    assert 0 < saved <= waits.mean()


def test_where_events_visit_one_row_or_two_sums_are_forwarded_anyway():
    for wanted in (None, False, True):
        program = fs.compile(network_of("banks"), lanes=[3, 4], banks=[(5, 5), (1, 1)], forwards=wanted).program
        assert [core.plan.forwards for core in program.cores] == [True, False]


def test_forwarding_is_part_of_the_hardware_and_of_the_file(tmp_path):
    forwarding, other = compiled("banks", True), compiled("banks", None)
    forwarding.save(tmp_path / "one.program")
    again = Program.load(tmp_path / "one.program")
    assert again.architecture() == forwarding.architecture() != other.architecture()
    assert [options.forwards for options in again.config.layers] == [True, False]
    assert forwarding.images() == other.images()


def test_a_mapping_chooses_it_where_look_up_tables_allow():
    network = network_of("banks")
    given = inputs_of(network)
    options = {"device": "artix-100t", "lane_budget": 40, "banks": [(2, 5), (1, 1)]}
    chosen, without = (fs.map_to_device(network, given, **options, **more) for more in ({}, {"forwards": False}))
    assert [[one.forwards for one in found.compilation.program.config.layers] for found in (chosen, without)] == [
        [True, False], [False, False]]
    assert chosen.interval < without.interval and chosen.luts > without.luts


def test_its_look_up_tables_are_counted():
    forwarding, plain = (compiled("banks", forwards).cores for forwards in (True, False))
    bits = plain[0].plan.elements * plain[0].plan.membrane_bits
    for inputs in (4, 6):
        more = [core_luts(core, inputs) - core_luts(same, inputs) for core, same in zip(forwarding, plain, strict=True)]
        assert 0.5 * bits < more[0] < 3 * bits and more[1] == 0


@pytest.mark.parametrize(("wanted", "sentence"), [
    ([True], "forwards must be true or false, or that for each of the 2 layers, not [True]"),
    ([False, True], "layer 1 (dense1): forwards must be off: every event of a dense layer visits all rows"),
])
def test_forwarding_is_refused_in_one_sentence(wanted, sentence):
    with pytest.raises(CompileError) as refusal:
        compiled("banks", wanted)
    assert str(refusal.value) == sentence


def test_a_core_refuses_it_alone():
    program = compiled("banks", None)
    with pytest.raises(ValueError, match=r"^forwards must be off: every event of a dense layer visits all rows$"):
        core_spec(program.network, 1, replace(program.config.layers[1], forwards=True))
