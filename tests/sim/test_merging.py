# SPDX-License-Identifier: MIT
"""Merged spikes of pool windows: values as without merging, cycles as the timing model says, and fewer of them."""

from collections.abc import Callable
from dataclasses import replace

import firstspike as fs
import numpy as np
import pytest
from firstspike_arch.core_specs import core_spec
from firstspike_arch.layer_plan import can_merge
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.program import Program, ProgramError
from firstspike_arch.work import spread_workload, work_cycles, workload
from firstspike_compiler.errors import CompileError
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.compare import ALIVE, aliveness
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.prediction import predict_inputs


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(int(np.prod(shape))).integers(-5, 8, shape)


def magnitudes() -> tuple[IntegerNetwork, dict]:
    """Three thresholds in front of a pool of 3 × 2 on an odd map, two in front of one of 1 × 3; cores with banks send.
    """
    builder = fs.NetworkBuilder((1, 10, 11), steps=2, readout="spike_count", in_max=2)
    builder.layer(weights(3, 1, 3, 3), theta=[[9, 14, 22]] * 3, leak=0.75, padding=1)
    builder.layer(weights(4, 3, 2, 2), theta=[[20, 50]] * 4, pool=(3, 2), reset="zero", bias=3, padding=1)
    builder.layer(weights(4, 4 * 4 * 2), theta=250, pool=(1, 3))
    return builder.build(), {"lanes": [2, 2, 4], "kernel_parallel": [True, True, False]}


def dense_behind() -> tuple[IntegerNetwork, dict]:
    """Images, neurons that fire once, a dense layer behind a pool, early exit."""
    builder = fs.NetworkBuilder((1, 8, 8), steps=4, readout="first_spike", input_kind="latency")
    builder.layer(weights(5, 1, 3, 3), theta=[8, 12, 9, 20, 15], single_spike=True)
    builder.layer(weights(9, 45), theta=70, pool=2, single_spike=True)
    builder.layer(weights(4, 9), theta=4, single_spike=True)
    return builder.build(), {"lanes": [3, 4, 4], "port": "image", "early_exit": True, "kernel_parallel": [
        True, False, False]}


def signed_input() -> tuple[IntegerNetwork, dict]:
    """Polarities into a pool at the input, sums of 0 among them, without end."""
    builder = fs.NetworkBuilder((2, 6, 6), steps=2, readout="spike_count", in_min=-1, endless=True)
    builder.layer(weights(4, 2, 2, 2), theta=9, leak=0.5, pool=2, v_min=-20)
    builder.layer(weights(3, 16), theta=9, leak=0.5)
    return builder.build(), {"lanes": [4, 3]}


def numbers_bit_by_bit() -> tuple[IntegerNetwork, dict]:
    builder = fs.NetworkBuilder((2, 5, 4), steps=3, readout="potential", input_kind="direct", in_max=9)
    builder.layer(weights(4, 2, 1, 2), theta=150, pool=2)
    builder.layer(weights(3, 8))
    return builder.build(), {"lanes": [2, 3], "bit_serial": True}


def residual() -> tuple[IntegerNetwork, dict]:
    """Both sets of synapses of a layer take their spikes through pools, of different windows; those of the next only
    one, and its banks send three lines at once."""
    builder = fs.NetworkBuilder((2, 12, 8), steps=3, readout="spike_count")
    builder.layer(weights(2, 2, 3, 3), theta=9, padding=1)
    builder.layer(weights(3, 2, 3, 3), theta=12, pool=2, padding=1)
    builder.branch(weights(3, 2, 1, 1), source=-1, pool=2)
    builder.layer(weights(4, 3 * 2 * 4), theta=170, pool=(3, 1))
    builder.branch(weights(4, 2 * 12 * 8), source=0)
    return builder.build(), {"lanes": [2, 3, 2], "kernel_parallel": [True, False, False]}


def narrow() -> tuple[IntegerNetwork, dict]:
    """A window's whole sum times its weight needs more bits than the membranes, which need not hold it."""
    builder = fs.NetworkBuilder((1, 4, 4), steps=1, readout="spike_count")
    builder.layer([[127, 0, 0, 0], [0, 0, 120, 0]], theta=[256, 250], pool=2)
    return builder.build(), {"lanes": [1]}


CASES: list[Callable[[], tuple[IntegerNetwork, dict]]] = [
    magnitudes, dense_behind, signed_input, numbers_bit_by_bit, residual, narrow]


def inputs_of(network: IntegerNetwork) -> np.ndarray:
    random, batch = np.random.default_rng(5), 60 if network.steps == 1 else 3
    if network.input_kind == "latency":
        return random.integers(0, 256, (batch, network.inputs)).astype(np.uint8)
    steps = network.steps * (3 if network.endless else 1)
    shape = (batch, network.inputs) if network.input_kind == "direct" else (batch, steps, network.inputs)
    return (random.integers(network.in_min, network.in_max + 1, shape) * (random.random(shape) < 0.5)).astype(np.int16)


@pytest.mark.thinned(4)
@pytest.mark.parametrize("waits", [None, 3])
@pytest.mark.parametrize("case", CASES)
def test_every_value_and_cycle_is_as_predicted(agree, case, waits):
    network, options = case()
    program, given = fs.compile(network, merges=True, **options).program, inputs_of(network)
    prediction = agree(PysimBackend(), program, given, waits)
    assert all(ALIVE[0] <= share <= ALIVE[1] for share, layer in zip(
        aliveness(prediction.golden.spikes)[1:], network.layers, strict=True) if layer.neuron.theta is not None)


@pytest.mark.parametrize("case", CASES)
def test_the_work_of_each_core_is_counted_and_less(case):
    network, options = case()
    options.pop("early_exit", None)
    merged, plain = (fs.compile(network, merges=merges, **options).program for merges in (True, False))
    prediction = predict_inputs(merged, inputs_of(network))
    busy, saved = np.array(prediction.trace.busy), 0
    for core, other in zip(merged.cores, plain.cores, strict=True):
        work = work_cycles(core, workload(core, prediction.golden.spikes)).sum()
        assert work == busy[core.index]
        saved += can_merge(core.layer) and work < work_cycles(
            other, workload(other, prediction.golden.spikes)).sum()
    assert saved == sum(map(can_merge, network.layers)) > 0


def test_membranes_need_not_hold_what_a_window_adds_at_once():
    network, _ = narrow()
    core, = fs.compile(network, merges=True, lanes=1).program.cores
    window = 4 * int(network.layers[0].weights.max())
    assert window > 1 << core.plan.membrane_bits - 1


def test_a_band_is_what_the_sender_sends_together():
    network, options = residual()
    mergings = [[one.merging and one.merging.lines for one in core.inputs]
                for core in fs.compile(network, merges=True, **options).program.cores]
    assert mergings == [[None], [3, 1], [1, None]]  # of the first core, three lines: two pairs and half of the next
    assert [one.merging and one.merging.lines for one in core_spec(
        network, 1, fs.compile(network, merges=True, **options).program.config.layers[1]).inputs] == [1, 1]


def test_the_estimate_of_merged_events_lies_between_apart_and_together():
    """Without samples, spikes are taken to be closer together than at random: fewer windows have one. All windows have
    one if all neurons fire."""
    network, options = dense_behind()
    core = fs.compile(network, merges=True, **options).program.cores[1]
    windows, steps = 45, 4
    for share in (0.02, 0.3):
        random = np.random.default_rng(1).random((40, steps, 5, 6, 6)) < share
        events = {}
        for name, maps in (("apart", random), ("together", random[..., ::2, ::2].repeat(2, -1).repeat(2, -2))):
            spikes = maps.reshape(40, steps, 180)
            events[name] = workload(core, [spikes[:, :, :64], spikes, spikes]).events[0].sum(1).mean()
        estimate = spread_workload(core, steps, [0, 180 * steps * share, 0]).events[0].sum()
        assert events["together"] < estimate < events["apart"]
    assert spread_workload(core, steps, [0, 180 * steps, 0]).events[0].sum() == windows * steps


def test_merging_is_part_of_the_hardware_and_of_the_file(tmp_path):
    network, options = magnitudes()
    merged, plain = (fs.compile(network, merges=merges, **options).program for merges in (True, False))
    merged.save(tmp_path / "one.program")
    again = Program.load(tmp_path / "one.program")
    assert again.architecture() == merged.architecture() != plain.architecture()
    assert [options.merges for options in again.config.layers] == [False, True, True]
    assert merged.images() == plain.images()
    more = [len(core.memories) - len(other.memories) for core, other in zip(merged.cores, plain.cores, strict=True)]
    assert more == [0, 3, 3]


@pytest.mark.parametrize(("wanted", "sentence"), [
    ([True, False], "merges must be true or false, or that for each of the 3 layers, not [True, False]"),
    ("yes", "merges must be true or false, or that for each of the 3 layers, not 'yes'"),
    ([1, 0, 0], "merges must be true or false, or that for each of the 3 layers, not [1, 0, 0]"),
    ([True, True, False], "layer 0 (conv2d0): merges must be off: no set of synapses of the layer takes its spikes "
     "through a sum or average pool"),
])
def test_merging_is_refused_in_one_sentence(wanted, sentence):
    network, options = magnitudes()
    with pytest.raises(CompileError) as refusal:
        fs.compile(network, merges=wanted, **options)
    assert str(refusal.value) == sentence


def test_a_program_refuses_it_too():
    program = fs.compile(magnitudes()[0], lanes=1).program
    first, *others = program.config.layers
    with pytest.raises(ProgramError, match=r"^layer 0 \(conv2d0\): merges must be off"):
        program.with_config(layers=(replace(first, merges=True), *others))


def test_values_do_not_depend_on_it():
    network, options = residual()
    given = inputs_of(network)
    classes = [predict_inputs(fs.compile(network, merges=merges, **options).program, given).trace.classes.tolist()
               for merges in (False, True, [False, True, False])]
    assert classes[0] == classes[1] == classes[2] == GoldenModel(network).run(given).classes.tolist()
