# SPDX-License-Identifier: MIT
"""Currents that last: numbers worked out by hand, files, messages, and real numbers beside integers."""

from dataclasses import replace

import firstspike as fs
import numpy as np
import pytest
from firstspike.verb_inspect import _neuron
from firstspike_arch.checkpoint import load_network, save_network
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_arch.microcode import microcodes_of
from firstspike_arch.network import IntegerNetwork, Layer, NetworkError
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_arch.neuron import FloatNeuron, Neuron
from firstspike_arch.program import Program
from firstspike_arch.skipping import skips_obstacle
from firstspike_arch.work import marker_cycles
from firstspike_compiler.compile import compile_network
from firstspike_compiler.errors import CompileError
from firstspike_compiler.passes.prove_widths import prove_widths
from firstspike_sim.models.float_reference import run_float
from firstspike_sim.models.golden import GoldenModel

STEPS = 5


def one_neuron(**options) -> IntegerNetwork:
    made = NetworkBuilder(1, steps=STEPS, readout="potential", endless=options.pop("endless", False))
    made.layer([[options.pop("weight", 7)]], **{"current_leak": 0.75, **options})
    return made.build()


def membranes(network: IntegerNetwork, events: list[int]) -> list[int]:
    found = GoldenModel(network).run(np.array(events)[None, :, None], membranes=True).membranes
    assert found is not None
    return found[0][0, :, 0].tolist()


def test_a_current_leaks_before_it_gets_the_events_of_a_step():
    # i: 7, ⌊5.25⌋, ⌊3.75⌋ + 7, ⌊7.5⌋, ⌊5.25⌋
    assert membranes(one_neuron(), [1, 0, 1, 0, 0]) == [7, 12, 22, 29, 34]
    assert membranes(one_neuron(leak=0.5, bias=1), [1, 0, 1, 0, 0]) == [8, 10, 16, 16, 14]


def test_a_delayed_current_is_that_of_the_step_before():
    assert membranes(one_neuron(current_delay=True), [1, 0, 1, 0, 0]) == [0, 7, 12, 22, 29]


def test_a_bias_of_the_current_leaks_with_it():
    # i: 8, ⌊6⌋ + 1, ⌊5.25⌋ + 8, ⌊9.75⌋ + 1, ⌊7.5⌋ + 1
    assert membranes(one_neuron(current_bias=True, bias=1), [1, 0, 1, 0, 0]) == [8, 15, 28, 38, 46]
    assert membranes(one_neuron(current_bias=True, bias=1, current_delay=True), [1, 0, 1, 0, 0]) == [0, 8, 15, 28, 38]


def test_a_negative_current_ends_at_minus_one():
    found = membranes(one_neuron(weight=-3, current_leak=0.5), [1, 0, 0, 0, 0])
    assert np.diff(found).tolist() == [-2, -1, -1, -1]


def random_real(seed: int) -> FloatNetwork:
    random = np.random.default_rng(seed)

    def layer(size: tuple[int, int], **neuron) -> FloatLayer:
        weight = random.integers(-7, 8, size) / 4
        weight.flat[0] = 7 / 4
        return FloatLayer(weight=weight, weight_bits=4, weight_scale=1 / 1024, neuron=FloatNeuron(**neuron))

    # In steps of 2^-10 nothing is rounded in 4 steps of leaks that are multiples of 1/4 or 1/8.
    first = layer((6, 5), theta=np.full(6, 3.0), leak=0.5, current_leak=np.array([0, 0.25, 0.5, 0.75, 1, 0.5]))
    return FloatNetwork(
        name="real", steps=3, input_kind="events", in_max=2, readout="potential", layers=(
            replace(first, weight=first.weight, weight_bits=8, weight_scale=1 / 64),
            replace(layer((3, 6), current_leak=0.5, current_delay=True, current_bias=True,
                          bias=np.array([0.25, -0.5, 1.0])), weight_bits=8, weight_scale=1 / 64)))


def test_whole_steps_are_as_in_real_numbers():
    for seed in range(5):
        network = random_real(seed)
        inputs = np.random.default_rng(seed).integers(0, 3, (20, 3, 5))
        made = compile_network(network)
        golden, real = GoldenModel(made.program.network).run(inputs, membranes=True), run_float(network, inputs)
        assert golden.membranes is not None and golden.spikes[1].any()
        for index, layer in enumerate(made.program.network.layers):
            assert np.array_equal(golden.membranes[index] * layer.scale, real.membranes[index])
        without = replace(network, layers=tuple(replace(one, neuron=replace(
            one.neuron, current_leak=None, current_delay=False, current_bias=False)) for one in network.layers))
        assert not np.array_equal(run_float(without, inputs).membranes[0], real.membranes[0])


def test_the_leak_of_currents_is_rounded_as_leaks_are_and_reported():
    network = random_real(0)
    last = replace(network.layers[1], neuron=FloatNeuron(current_leak=0.3))
    made = compile_network(replace(network, layers=(network.layers[0], last)))
    assert [item.current_leak for item in made.roundings] == ["0/4…4/4", "77/256"]
    assert made.roundings[0].current_leak_error == 0 and made.roundings[1].current_leak_error == 77 / 256 - 0.3
    assert "leak of currents 77/256 off by +0.00078" in made.passes[4].text
    slow = replace(last, neuron=FloatNeuron(current_leak=0.999))
    made = compile_network(replace(network, layers=(network.layers[0], slow)), leak_shift_max=4)
    assert "current_leak 0.999, a time constant of 1000 steps, became 1/1: none at all" in made.passes[4].text
    with pytest.raises(CompileError, match=r"layer 1: current_leak must be 0…1, not 1\.5"):
        compile_network(replace(network, layers=(network.layers[0], replace(last, neuron=FloatNeuron(
            current_leak=1.5)))))


def test_a_leak_of_zero_is_a_current_that_does_not_last():
    network = random_real(0)
    none = replace(network.layers[1], neuron=FloatNeuron(current_leak=0.0))
    made = compile_network(replace(network, layers=(network.layers[0], none)))
    assert not made.program.network.layers[1].neuron.lasts


def test_files_keep_it_and_files_without_it_are_as_they_were(tmp_path):
    network = random_real(1)
    save_network(tmp_path / "a", network)
    again = load_network(tmp_path / "a")
    assert np.array_equal(again.layers[0].neuron.current_leak, network.layers[0].neuron.current_leak)
    assert (again.layers[1].neuron.current_leak, again.layers[1].neuron.current_delay) == (0.5, True)
    program = compile_network(network).program
    program.save(tmp_path / "p")
    loaded = Program.load(tmp_path / "p")
    assert loaded.digest() == program.digest()
    assert loaded.network.layers[0].neuron.current_leak_num.tolist() == [0, 1, 2, 3, 4, 2]
    plain = replace(network, layers=tuple(replace(one, neuron=FloatNeuron(theta=one.neuron.theta))
                                          for one in network.layers))
    save_network(tmp_path / "b", plain)
    assert b"current_leak" in (tmp_path / "a").read_bytes()
    assert b"current_" not in (tmp_path / "b").read_bytes().replace(b"current_pool", b"")
    compile_network(plain).program.save(tmp_path / "q")
    assert b"current_leak" not in (tmp_path / "q").read_bytes()
    fs.save(program.network, tmp_path / "c")
    assert compile_network(fs.load(tmp_path / "c")).program.network.layers[1].neuron.current_leak == 0.5


@pytest.mark.parametrize("options, message", [
    ({"current_leak": None, "current_delay": True}, "current_leak_num must be given with current_delay, not None"),
    ({"current_leak": None, "current_bias": True}, "current_leak_num must be given with current_bias, not None"),
    ({"current_bias": True, "bias_once": True}, "bias_once must be False with current_bias, not True"),
    ({"current_leak": 0.3}, r"current_leak must be num / 2\^shift"),
    ({"current_leak": None, "current_leak_num": 3, "current_leak_shift": 1}, r"current_leak must be num/2\^shift with"),
    ({"current_leak": [0.5, 0.5]}, r"current_leak must be one number or have shape \(1,\), not \(2,\)"),
])
def test_wrong_options_are_refused(options, message):
    with pytest.raises(NetworkError, match=message):
        one_neuron(**options)


def test_the_proof_says_both_widths_and_asks_for_a_leak_without_end():
    text = str(prove_widths(one_neuron(leak=0.5))[0])
    assert "-1 (neuron 0) ≤ v − theta ≤ 36 (neuron 0), and 6 bits: 0 (neuron 0) ≤ i ≤ 21 (neuron 0), for every" in text
    endless = prove_widths(one_neuron(leak=0.5, endless=True))[0]
    assert endless.trace_highs.tolist() == [25] and endless.highs[0] == 49
    with pytest.raises(CompileError, match="current_leak must be below 1 in an inference without end"):
        prove_widths(one_neuron(leak=0.5, current_leak=1, endless=True))


KINDS = [
    {"leak_num": 7, "leak_shift": 3}, {"reset": "zero"}, {"single_spike": True}, {"reset_delay": True, "v_min": -9},
    {"leak_num": 5, "leak_shift": 3, "bias": np.full(3, 2)}, {"bias": np.full(3, 400)}, {"levels": 3},
]


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("delay", [False, True])
@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_a_current_costs_one_pass_a_step(options, delay, lanes):
    options, count = dict(options), 3
    theta = 20 + np.arange(count)[:, None] + 7 * np.arange(options.pop("levels", 1))
    neuron = Neuron(**{"bias": np.zeros(count, int), "v_init": np.zeros(count, int), "theta": theta, **options})
    lasting = replace(neuron, current_leak_num=15, current_leak_shift=4, current_delay=delay)
    cycles = []
    for one in (neuron, lasting):
        network = IntegerNetwork(
            name="two", readout="spike_count", steps=4, steps_max=4, input_kind="events", layers=(
                Layer(name="one", weights=np.ones((count, 5), int), weight_bits=4, neuron=one),))
        core = compile_network(network, lanes=lanes, register_rows=2).program.cores[0]
        cycles.append(marker_cycles(core))
    rows = -(-count // lanes)
    assert cycles[1].start == 0 and cycles[1].step == cycles[0].step + rows
    assert cycles[1].final == cycles[0].final + rows * (not delay)


def test_the_leak_of_a_current_of_any_ratio_hides_behind_that_of_the_membrane():
    def passes(**options) -> int:
        code = microcodes_of(one_neuron(leak=11 / 16, **options))[0]
        return len(code.start) + len(code.step)

    without = passes(current_leak=None)
    assert passes(current_leak=13 / 16) == without + 1
    # The trace is saved and halved once for each bit, the first time with the pass that takes it.
    assert passes(current_leak=13 / 4096) == 12 > without + 1


def test_rounding_that_takes_much_is_said():
    network = random_real(0)
    slow = FloatNeuron(theta=np.full(6, 3.0), leak=0.96875, current_leak=0.9375)
    first = replace(network.layers[0], neuron=slow)
    text = compile_network(replace(network, layers=(first, network.layers[1]))).passes[4].text
    assert "dense0: currents round down, which takes about 256 steps from a membrane" in text
    assert "threshold of 192; weight_exponent must be 5 for less than 5% of it" in text
    finer = replace(first, weight_scale=1 / 64 / 32, weight_exponent=5)
    text = compile_network(replace(network, layers=(finer, network.layers[1]))).passes[4].text
    assert "round down" not in text


def test_rows_are_not_skipped():
    net = NetworkBuilder((1, 4, 4), steps=4, readout="spike_count")
    net.layer(np.ones((1, 1, 2, 2), int), theta=2, reset="zero", current_leak=0.5)
    net.layer(np.ones((2, 9), int), theta=2)
    assert skips_obstacle(net.build(), 0) == "skips must be off: currents last, so that every step changes membranes"


def test_inspect_says_it():
    assert _neuron(random_real(0).layers[1].neuron) == "IF, currents leak 0.5, a step late, with the bias, no threshold"
    assert "leak 0.5, currents leak 0…1, fires at ≥ 3" in _neuron(random_real(0).layers[0].neuron)
