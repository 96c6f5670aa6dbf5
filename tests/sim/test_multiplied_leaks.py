# SPDX-License-Identifier: MIT
"""Leaks that are multiplications: values as by halves, cycles as the timing model says, and one pass a leak."""

from dataclasses import replace

import firstspike as fs
import numpy as np
import pytest
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.program import Program
from firstspike_boards.devices import DEVICES
from firstspike_boards.lut_model import core_luts
from firstspike_compiler.errors import CompileError
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.compare import ALIVE, aliveness
from firstspike_sim.models.prediction import predict_inputs

SLOW = np.array([230, 13, 256, 0, 77, 141]) / 256
"""A leak for each channel, also none, and one of 0."""

NEURONS = {
    "leak": {"leak": 230 / 256},
    "reset to 0, bias": {"leak": 115 / 128, "reset": "zero", "v_reset": 1, "bias": 2},
    "each channel": {"leak": SLOW, "reset_delay": True},
    "toward 0": {"leak": 3001 / 4096, "leak_toward_zero": True, "v_min": -20},
    "current": {"leak": 230 / 256, "current_leak": SLOW},
    "current toward 0": {"leak": 0.75, "current_leak": 45 / 64, "leak_toward_zero": True},
    "rise": {"leak": 5 / 8, "theta_rise": 5, "rise_leak": 200 / 256},
    "current and rise": {"current_leak": 39 / 64, "current_delay": True, "theta_rise": 3, "rise_leak": SLOW},
}
MAPS = {
    "one row": {"lanes": [6, 4]},
    "registers": {"lanes": [2, 4]},
    "memory": {"lanes": [1, 4], "register_rows": 2},
    "map": {"lanes": [4, 4], "register_rows": 2},
    "banks": {"lanes": [2, 4], "banks": [(2, 2), (1, 1)]},
}


def network_of(neuron: str, place: str, steps: int = 6) -> IntegerNetwork:
    mapped = place in ("map", "banks")
    builder = fs.NetworkBuilder((2, 4, 4) if mapped else 9, steps=steps, readout="spike_count")
    weights = np.random.default_rng(len(neuron)).integers(-5, 9, (6, 2, 3, 3) if mapped else (6, 9))
    builder.layer(weights, theta=25 if mapped else 11, **NEURONS[neuron])
    builder.layer(np.random.default_rng(5).integers(-4, 7, (4, 6 * 2 * 2 if mapped else 6)), theta=12 if mapped else 7)
    return builder.build()


def compiled(neuron: str, place: str, multiplies: bool | list[bool] | None = True) -> Program:
    return fs.compile(network_of(neuron, place), multiplies_leaks=multiplies, **MAPS[place]).program


def inputs_of(network: IntegerNetwork) -> np.ndarray:
    return (np.random.default_rng(6).random((3, network.steps, network.inputs)) < 0.4).astype(np.uint8)


@pytest.mark.thinned(4)
@pytest.mark.parametrize("place", MAPS)
@pytest.mark.parametrize("neuron", NEURONS)
def test_every_value_and_cycle_is_as_predicted(agree, neuron, place):
    program = compiled(neuron, place)
    assert program.cores[0].microcode.leak_products and not program.cores[1].microcode.leak_products
    prediction = agree(PysimBackend(), program, inputs_of(program.network), len(place) % 2 or None)
    assert all(ALIVE[0] <= share <= ALIVE[1] for share in aliveness(prediction.golden.spikes)[1:])


def test_a_leak_behind_a_pool_of_currents_is_multiplied(agree):
    random = np.random.default_rng(4)
    builder = fs.NetworkBuilder((2, 6, 6), steps=5, readout="spike_count")
    builder.layer(random.integers(-5, 9, (6, 2, 3, 3)), theta=40, leak=230 / 256, current_pool=2)
    builder.layer(random.integers(-4, 7, (4, 6 * 2 * 2)), theta=20)
    network = builder.build()
    program = fs.compile(network, multiplies_leaks=True, lanes=[2, 4]).program
    prediction = agree(PysimBackend(), program, inputs_of(network), 1)
    assert all(ALIVE[0] <= share <= ALIVE[1] for share in aliveness(prediction.golden.spikes)[1:])


@pytest.mark.slow
@pytest.mark.parametrize("place", MAPS)
def test_verilator_agrees(agree, place):
    for neuron in NEURONS:
        program = compiled(neuron, place)
        agree(VerilatorBackend(optimise=False), program, inputs_of(program.network), 1)


@pytest.mark.parametrize("neuron", NEURONS)
def test_values_stay_and_each_leak_is_one_pass(neuron):
    halving, multiplying = (compiled(neuron, "registers", one) for one in (None, True))
    given = inputs_of(halving.network)
    slow, fast = (predict_inputs(program, given).trace for program in (halving, multiplying))
    assert slow.classes.tolist() == fast.classes.tolist() and slow.intervals.mean() > fast.intervals.mean()
    assert halving.images() == multiplying.images()
    code, options = multiplying.cores[0].microcode, NEURONS[neuron]
    cheap = np.array_equal(options.get("leak", 0.75), 0.75)  # a pass through the adder
    assert set(code.leak_products) == {
        *(["membrane"] if not cheap else []), *(["trace"] if "current_leak" in options else []),
        *(["rise"] if "rise_leak" in options else [])}
    ops = [one for op in (*code.start, *code.step) for one in (op, op.beside, op.rising) if one is not None]
    assert sum(one.operand == "product" for one in ops) == len(code.leak_products)
    assert not any(one.halve or one.operand == "shadow" for one in ops)


def test_it_is_part_of_the_hardware_and_of_the_file(tmp_path):
    multiplying, other = (compiled("leak", "registers", one) for one in (True, None))
    multiplying.save(tmp_path / "one.program")
    again = Program.load(tmp_path / "one.program")
    assert again.architecture() == multiplying.architecture() != other.architecture()
    assert [options.multiplies_leaks for options in again.config.layers] == [True, False]


def test_a_mapping_chooses_it_where_there_are_multipliers():
    network = network_of("current and rise", "registers", steps=20)
    given = inputs_of(network)
    found = {device: fs.map_to_device(network, given, device=device, lane_budget=8) for device in (
        "artix-35t", "ice40-up5k")}
    kinds = {device: [one.multiplies_leaks for one in mapping.compilation.program.config.layers]
             for device, mapping in found.items()}
    assert kinds == {"artix-35t": [True, False], "ice40-up5k": [False, False]}
    lanes = found["artix-35t"].compilation.program.config.layers[0].lanes
    assert found["artix-35t"].multipliers == 2 * lanes  # of the current and of the rise
    assert found["ice40-up5k"].multipliers == 0 and not DEVICES["ice40-up5k"].multipliers
    without = fs.map_to_device(network, given, device="artix-35t", lane_budget=8, multiplies_leaks=False)
    assert found["artix-35t"].interval < without.interval and without.multipliers == 0


def test_multipliers_are_counted_by_width():
    program = compiled("leak", "registers")
    core = program.cores[0]
    assert core.leak_multipliers == core.plan.elements and not program.cores[1].leak_multipliers
    for bits, each in ((18, 1), (19, 2), (35, 2), (36, 3)):
        plan = replace(core.plan, options=replace(core.plan.options, membrane_bits=bits))
        assert replace(core, plan=plan).leak_multipliers == each * core.plan.elements
    assert core_luts(core, 4) < core_luts(compiled("leak", "registers", None).cores[0], 4)


@pytest.mark.parametrize(("wanted", "sentence"), [
    ([True], "multiplies_leaks must be true or false, or that for each of the 2 layers, not [True]"),
    ([True, True], "layer 1 (dense1): multiplies_leaks must be off: no leak of the layer takes more passes than with a "
     "multiplier"),
    (1, "multiplies_leaks must be true or false, or that for each of the 2 layers, not 1"),
])
def test_it_is_refused_in_one_sentence(wanted, sentence):
    with pytest.raises(CompileError) as refusal:
        compiled("leak", "registers", wanted)
    assert str(refusal.value) == sentence


def test_the_report_says_what_halving_costs():
    halving, multiplying = (fs.compile(network_of("leak", "registers"), multiplies_leaks=one, **MAPS["registers"])
                            for one in (None, True))
    passes = [len(one.program.cores[0].microcode.step) for one in (halving, multiplying)]
    hint = f"dense0: {passes[0]} passes at the end of a step; with leaks multiplied (multiplies_leaks) {passes[1]}"
    assert hint in halving.report() and "dense1: " not in halving.report().split("passes at the end")[-1]
    assert "leaks multiplied" in multiplying.report() and "passes at the end" not in multiplying.report()


def test_cheap_leaks_are_as_before():
    """A leak of 1 − 2^−k is a pass through the adder; a quarter is halved twice, once in a pass there is anyway."""
    for leak in (0.0, 0.25, 0.5, 0.75, 1.0, 255 / 256):
        builder = fs.NetworkBuilder(3, steps=4, readout="spike_count")
        builder.layer([[1, 2, 3]], theta=3, leak=leak)
        network = builder.build()
        plain, multiplying = (fs.compile(network, multiplies_leaks=one).program for one in (None, True))
        assert plain.architecture() == multiplying.architecture() and not multiplying.cores[0].leak_multipliers
