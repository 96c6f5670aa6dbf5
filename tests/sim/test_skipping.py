# SPDX-License-Identifier: MIT
"""Skipped rows: values as without skipping, cycles as the timing model says, and fewer of them."""

from collections.abc import Callable
from dataclasses import replace

import firstspike as fs
import numpy as np
import pytest
from firstspike_arch.core_specs import core_spec
from firstspike_arch.float_network import InputKind
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.program import Program, ProgramError
from firstspike_arch.skipping import skips_obstacle
from firstspike_arch.work import marker_cycles, rows_visited, work_cycles, workload
from firstspike_boards.lut_model import core_luts
from firstspike_compiler.errors import CompileError
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.compare import ALIVE, aliveness
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.prediction import predict_inputs


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(int(np.prod(shape))).integers(-5, 8, shape)


def plain() -> tuple[IntegerNetwork, dict]:
    """Two convolutions, one bank each; rows of three lanes beside rows of two, lines that words do not divide."""
    builder = fs.NetworkBuilder((2, 6, 7), steps=5, readout="spike_count")
    builder.layer(weights(5, 2, 3, 3), theta=11, reset="zero", padding=1)
    builder.layer(weights(4, 5, 2, 2), theta=14, pool=2, reset="zero", v_reset=2, padding=1)
    builder.layer(weights(3, 4 * 4 * 4), theta=4, reset="zero")
    return builder.build(), {"lanes": [2, 4, 3]}


def banks() -> tuple[IntegerNetwork, dict]:
    """Banks that events reach in one visit, in tiles of four, and banks that take several visits; three thresholds;
    clamps, which take passes of their own."""
    builder = fs.NetworkBuilder((2, 7, 8), steps=4, readout="spike_count", in_max=2)
    builder.layer(weights(3, 2, 3, 3), theta=[[9, 14, 22]] * 3, reset="zero", padding=1, v_min=-12, v_max=30)
    builder.layer(weights(4, 3, 3, 2), theta=15, reset="zero", padding=1, v_min=-30)
    builder.layer(weights(3, 4 * 7 * 9), theta=25)
    return builder.build(), {"lanes": [3, 2, 3], "banks": [(3, 3), (1, 2), (1, 1)]}


def first_spikes() -> tuple[IntegerNetwork, dict]:
    """Images, neurons that fire once, a bias in the first step, early exit, merged spikes."""
    builder = fs.NetworkBuilder((1, 8, 8), steps=5, readout="first_spike", input_kind="latency")
    builder.layer(weights(5, 1, 3, 3), theta=[8, 12, 9, 20, 15], single_spike=True, bias=[1, -2, 3, 0, 5],
                  bias_once=True, v_init=1)
    builder.layer(weights(4, 5, 2, 2), theta=25, pool=2, single_spike=True)
    builder.layer(weights(4, 16), theta=9, single_spike=True)
    return builder.build(), {"lanes": [3, 1, 4], "port": "image", "early_exit": True, "merges": True}


def residual() -> tuple[IntegerNetwork, dict]:
    """Two streams into one layer, groups, polarities, no end."""
    builder = fs.NetworkBuilder((2, 6, 6), steps=3, readout="spike_count", in_min=-1, endless=True)
    builder.layer(weights(6, 1, 3, 3), theta=6, reset="zero", padding=1, groups=2, v_min=-20, v_max=60)
    builder.layer(weights(4, 6, 2, 2), theta=8, reset="zero", padding=1, dilation=2, v_min=-20, v_max=60)
    builder.branch(weights(4, 2, 1, 1), source=-1)
    builder.layer(weights(3, 4 * 6 * 6), theta=6, leak=0.5)
    return builder.build(), {"lanes": [2, 4, 3], "banks": [(2, 2), (1, 1), (1, 1)]}


CASES: list[Callable[[], tuple[IntegerNetwork, dict]]] = [plain, banks, first_spikes, residual]


def inputs_of(network: IntegerNetwork) -> np.ndarray:
    """Few events, and steps without any."""
    random = np.random.default_rng(5)
    if network.input_kind == "latency":
        shape = 3, network.inputs
        return (random.integers(0, 256, shape) * (random.random(shape) < 0.4)).astype(np.uint8)
    shape = 3, network.steps * (3 if network.endless else 1), network.inputs
    given = random.integers(network.in_min, network.in_max + 1, shape) * (random.random(shape) < 0.1)
    given[:, 1::3] = 0
    return given.astype(np.int16)


@pytest.mark.thinned(4)
@pytest.mark.parametrize("waits", [None, 3])
@pytest.mark.parametrize("case", CASES)
def test_every_value_and_cycle_is_as_predicted(agree, case, waits):
    network, options = case()
    program = fs.compile(network, skips=True, **options).program
    prediction = agree(PysimBackend(), program, inputs_of(network), waits)
    assert all(0.005 < share <= ALIVE[1] for share in aliveness(prediction.golden.spikes)[1:])


def test_verilator_agrees(agree):
    network, options = banks()
    program = fs.compile(network, skips=True, **options).program
    agree(VerilatorBackend(optimise=False), program, inputs_of(network), 1)


@pytest.mark.parametrize("case", CASES)
def test_the_work_of_each_core_is_counted_and_less(case):
    network, options = case()
    options.pop("early_exit", None)
    skipping, other = (fs.compile(network, skips=skips, **options).program for skips in (True, False))
    prediction = predict_inputs(skipping, inputs_of(network))
    busy, shares = np.array(prediction.trace.busy), []
    for core, whole in zip(skipping.cores, other.cores, strict=True):
        load = workload(core, prediction.golden.spikes)
        work = work_cycles(core, load)
        assert work.sum() == busy[core.index]
        assert work_cycles(core, load.mean()) == pytest.approx(work.mean())
        if core.plan.options.skips:
            steps = prediction.golden.spikes[0].shape[1]
            shares.append(rows_visited(core, load.present).mean() / (core.plan.rows * (steps - 1)))
            assert work.sum() < work_cycles(whole, workload(whole, prediction.golden.spikes)).sum()
            # Without the steps, all rows are counted.
            assert (work_cycles(core, replace(load, present=())) == work_cycles(
                whole, workload(whole, prediction.golden.spikes))).all()
        else:
            assert load.present == ()
    assert len(shares) == 2 and max(shares) < 1


def test_a_step_without_events_visits_one_row():
    network, options = plain()
    program, given = fs.compile(network, skips=True, **options).program, np.zeros((2, 5, 84), dtype=np.uint8)
    busy = predict_inputs(program, given).trace.busy
    assert busy is not None
    for core in program.cores[:2]:
        assert busy[core.index] == 2 * (4 * len(core.microcode.step) + marker_cycles(core).final)


def test_skipping_is_part_of_the_hardware_and_of_the_file(tmp_path):
    network, options = plain()
    skipping, other = (fs.compile(network, skips=skips, **options).program for skips in (True, False))
    skipping.save(tmp_path / "one.program")
    again = Program.load(tmp_path / "one.program")
    assert again.architecture() == skipping.architecture() != other.architecture()
    assert [options.skips for options in again.config.layers] == [True, True, False]
    assert skipping.images() == other.images()


def test_values_do_not_depend_on_it():
    network, options = banks()
    given = inputs_of(network)
    classes = [predict_inputs(fs.compile(network, skips=skips, **options).program, given).trace.classes.tolist()
               for skips in (False, True, [False, True, False])]
    assert classes[0] == classes[1] == classes[2] == GoldenModel(network).run(given).classes.tolist()


def test_a_mapping_chooses_it_by_samples():
    network, _ = plain()
    inputs = inputs_of(network).astype(np.uint8)
    inputs[:, :, 20:] = 0
    chosen, without = (fs.map_to_device(network, inputs, device="artix-100t", lane_budget=9, **options)
                       for options in ({}, {"skips": False}))
    assert [any(options.skips for options in one.compilation.program.config.layers)
            for one in (chosen, without)] == [True, False]
    assert chosen.interval < without.interval
    assert [[options.skips for options in fs.compile(network, skips=skips).program.config.layers]
            for skips in (False, True)] == [[False] * 3, [True, True, False]]


def test_its_look_up_tables_are_counted():
    network, options = banks()
    skipping, other = (fs.compile(network, skips=skips, **options).program.cores for skips in (True, False))
    for inputs in (4, 6):
        more = [(core_luts(core, inputs) - core_luts(same, inputs)) / core.plan.rows
                for core, same in zip(skipping, other, strict=True)]
        # Four rows are marked at once in 3 × 3 banks, two in 1 × 2.
        assert more[0] > more[1] > 3 and more[2] == 0 and [core.tiles_reached for core in skipping] == [4, 2, 1]


@pytest.mark.parametrize(("wanted", "sentence"), [
    ([True, False], "skips must be true or false, or that for each of the 3 layers, not [True, False]"),
    ("yes", "skips must be true or false, or that for each of the 3 layers, not 'yes'"),
    ([False, False, True],
     "layer 2 (dense2): skips must be off: every event of a dense layer reaches all rows"),
])
def test_skipping_is_refused_in_one_sentence(wanted, sentence):
    network, options = plain()
    with pytest.raises(CompileError) as refusal:
        fs.compile(network, skips=wanted, **options)
    assert str(refusal.value) == sentence


def test_a_program_refuses_it_too():
    program = fs.compile(plain()[0], lanes=1).program
    *others, last = program.config.layers
    with pytest.raises(ProgramError, match=r"^layer 2 \(dense2\): skips must be off"):
        program.with_config(layers=(*others, replace(last, skips=True)))


def one_layer(*, steps: int = 3, kind: InputKind = "events", behind: bool = True, **neuron) -> IntegerNetwork:
    builder = fs.NetworkBuilder((1, 4, 4), steps=steps, readout="spike_count", input_kind=kind)
    builder.layer(weights(2, 1, 2, 2), **{"theta": 9, "reset": "zero"} | neuron)
    if behind:
        builder.layer(weights(2, 2 * 3 * 3), theta=20)
    return builder.build()


@pytest.mark.parametrize(("options", "reason"), [
    ({}, None), ({"v_min": -3, "v_max": 8}, None), ({"v_init": 8}, None), ({"bias": 8, "bias_once": True}, None),
    ({"reset": "none", "single_spike": True}, None), ({"v_reset": 8}, None), ({"theta": [[9, 9]] * 2}, None),
    ({"behind": False}, "the read-out asks for all neurons of the output layer in every step"),
    ({"steps": 1}, "no inference has a second step"),
    ({"kind": "direct"}, "every step adds a current or lowers the thresholds"),
    ({"leak": 0.5}, "the neurons leak in every step"),
    ({"bias": 1}, "every step adds a bias, and not the first alone"),
    ({"v_init": [0, 9]}, "neurons start at their threshold or outside their clamps"),
    ({"v_init": 1, "v_min": 2}, "neurons start at their threshold or outside their clamps"),
    ({"v_init": 1, "v_max": 0}, "neurons start at their threshold or outside their clamps"),
    ({"bias": [8, 9], "bias_once": True}, "neurons start at their threshold or outside their clamps"),
    ({"reset": "subtract"}, "a neuron that fired"), ({"reset": "none"}, "a neuron that fired"),
    ({"v_reset": 9}, "a neuron that fired"), ({"reset_delay": True}, "a neuron that fired"),
])
def test_only_neurons_that_rest_can_be_skipped(options, reason):
    obstacle = skips_obstacle(one_layer(**options), 0)
    assert obstacle is None if reason is None else obstacle is not None and obstacle.startswith(
        f"skips must be off: {reason}")


def test_a_core_refuses_it_alone():
    network = one_layer(leak=0.5)
    options = fs.compile(network, lanes=1).program.config.layers[0]
    with pytest.raises(ValueError, match=r"^skips must be off: the neurons leak in every step$"):
        core_spec(network, 0, replace(options, skips=True))
