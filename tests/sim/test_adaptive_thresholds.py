# SPDX-License-Identifier: MIT
"""Adaptive thresholds: numbers worked out by hand, passes, files, messages, and real numbers beside integers."""

from dataclasses import replace

import numpy as np
import pytest
from firstspike.verb_inspect import _neuron
from firstspike_arch.checkpoint import load_network, save_network
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_arch.microcode import microcode_of
from firstspike_arch.network import IntegerNetwork, NetworkError
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_arch.neuron import FloatNeuron
from firstspike_arch.program import Program
from firstspike_arch.skipping import skips_obstacle
from firstspike_arch.work import marker_cycles
from firstspike_compiler.compile import compile_network
from firstspike_compiler.errors import CompileError
from firstspike_compiler.nir_export import save_nir
from firstspike_compiler.passes.prove_widths import prove_widths
from firstspike_sim.models.float_reference import run_float
from firstspike_sim.models.golden import GoldenModel

STEPS = 6


def one_neuron(**options) -> IntegerNetwork:
    made = NetworkBuilder(1, steps=STEPS, readout="spike_count", endless=options.pop("endless", False))
    made.layer([[7]], **{"theta": 10, "rise_leak": 0.5, "theta_rise": 9, **options})
    return made.build()


def run(network: IntegerNetwork, events: str = "111111") -> tuple[list[int], list[int]]:
    """Spikes and membranes of the neuron, with an event in each step that has a 1."""
    inputs = np.array([int(one) for one in events])[None, :, None]
    found = GoldenModel(network).run(inputs, membranes=True)
    assert found.membranes is not None
    return found.spikes[1][0, :, 0].astype(int).tolist(), found.membranes[0][0, :, 0].tolist()


def test_a_spike_raises_the_threshold_from_the_next_step_on():
    # Thresholds: 10, 10, 10 + 9, 10 + ⌊9 / 2⌋, 10 + ⌊4 / 2⌋ + 9, 10 + ⌊11 / 2⌋
    assert run(one_neuron()) == ([0, 1, 0, 1, 0, 1], [7, 14, 11, 18, 15, 22])
    assert run(one_neuron(theta_rise=0)) == ([0, 1, 1, 0, 1, 1], [7, 14, 11, 8, 15, 12])


def test_a_reset_takes_the_threshold_as_it_is_if_told_so():
    # The spike of step 3 takes 14 = 10 + ⌊9 / 2⌋.
    assert run(one_neuron(reset_rise=True)) == ([0, 1, 0, 1, 0, 1], [7, 14, 11, 18, 11, 18])
    assert run(one_neuron(reset_rise=True, reset_step=3)) == ([0, 1, 0, 1, 1, 0], [7, 14, 18, 25, 25, 18])


def test_a_rise_that_does_not_leak_is_the_sum_of_all():
    assert run(one_neuron(rise_leak=1, reset="none")) == ([0, 1, 1, 1, 0, 1], [7, 14, 21, 28, 35, 42])


def test_of_several_thresholds_the_magnitude_counts():
    # Thresholds: 10 and 12 higher by 0, 0, 2·9, ⌊18 / 2⌋, 9 // 2, …
    assert run(one_neuron(theta=[[10, 12]], reset="zero")) == ([0, 2, 0, 0, 2, 0], [7, 14, 7, 14, 21, 7])


def test_a_rise_is_of_each_channel():
    net = NetworkBuilder(1, steps=4, readout="spike_count")
    net.layer([[7], [7]], theta=7, reset="zero", theta_rise=[1, 6], rise_leak=[0.5, 1])
    spikes = GoldenModel(net.build()).run(np.ones((1, 4, 1), int)).spikes[1][0]
    assert spikes[:, 0].tolist() == [1, 0, 1, 0] and spikes[:, 1].tolist() == [1, 0, 1, 0]


def test_the_proof_says_how_far_thresholds_rise_and_asks_for_a_leak_without_end():
    proof = prove_widths(one_neuron())[0]
    # Rises of 9, ⌊9 / 2⌋ + 9 = 13, 15, 16, 17; silent at 15 above 10 in step 4, and 7 more in step 5.
    assert "6 bits: -10 (neuron 0) ≤ v − theta ≤ 22 (neuron 0), and 6 bits: 0 ≤ a ≤ 17 (neuron 0), for" in str(proof)
    both = str(prove_widths(one_neuron(current_leak=0.5))[0])
    assert "6 bits: 0 (neuron 0) ≤ i ≤ 13 (neuron 0), and 0 ≤ a ≤ 17 (neuron 0), for every" in both
    endless = prove_widths(one_neuron(endless=True, leak=0.5))[0]
    slow = prove_widths(one_neuron(endless=True, leak=0.5, rise_leak=1 - 2**-12))[0]
    assert endless.rise_highs is not None and endless.rise_highs.tolist() == [17]
    assert slow.rise_highs is not None and slow.rise_highs.tolist() == [9 << 12]
    with pytest.raises(CompileError, match="rise_leak must be below 1 in an inference without end"):
        prove_widths(one_neuron(endless=True, leak=0.5, rise_leak=1))


KINDS = {"IF to zero": {"reset": "zero"}, "IF soft": {}, "LIF to zero": {"reset": "zero", "leak": 0.875},
         "LIF soft": {"leak": 0.875, "bias": 2}, "lasting": {"leak": 0.875, "current_leak": 0.75}}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lanes", [1, 3])
def test_a_rise_costs_at_most_a_pass_a_step_and_one_more_if_the_reset_takes_it(kind, lanes):
    def passes(**options) -> int:
        net = NetworkBuilder(5, steps=4, readout="spike_count")
        net.layer(np.ones((3, 5), int), theta=20, **KINDS[kind], **options)
        core = compile_network(net.build(), lanes=lanes, register_rows=2).program.cores[0]
        assert marker_cycles(core).final == core.plan.rows * (len(core.microcode.start) + len(core.microcode.final))
        return len(core.microcode.start) + len(core.microcode.step)

    plain, rises = passes(), passes(rise_leak=0.875, theta_rise=5)
    assert rises == max(plain, 2) <= plain + 1
    if "zero" not in kind:
        assert passes(rise_leak=0.875, theta_rise=5, reset_rise=True) <= plain + 2


def test_the_rise_is_as_before_the_spike_wherever_a_pass_takes_it():
    layer = one_neuron(reset_rise=True, leak=0.5).layers[0]
    for in_one_row in (False, True):
        step = microcode_of(layer, steps_max=4, in_one_row=in_one_row).step
        at = next(number for number, op in enumerate(step) if op.operand == "rise")
        assert at > 0 and all(op.rising is not None and op.rising.operand == "zero" for op in step[:at])
        assert [op.rising.operand for op in step[at:] if op.rising is not None] == ["decay", "constant"]


def real(**neuron) -> FloatNetwork:
    random = np.random.default_rng(0)
    weights = [random.integers(-7, 8, size) / 4 for size in ((6, 5), (3, 6))]
    weights[0][0, 0] = weights[1][0, 0] = 7 / 4
    options = {"theta": np.full(6, 3.0), "rise_leak": 0.5, "theta_rise": np.full(6, 0.75), **neuron}
    return FloatNetwork(
        name="real", steps=4, input_kind="events", in_max=2, readout="spike_count", layers=(
            FloatLayer(weight=weights[0], weight_bits=8, weight_scale=1 / 64, neuron=FloatNeuron(**options)),
            FloatLayer(weight=weights[1], weight_bits=4, neuron=FloatNeuron(theta=np.full(3, 2.0)))))


@pytest.mark.parametrize("options", [{}, {"reset_rise": True, "leak": 0.5}, {"strict": True, "reset": "zero"},
                                     {"rise_leak": np.array([0, 0.25, 0.5, 0.75, 1, 0.5])}])
def test_whole_steps_are_as_in_real_numbers(options):
    network, inputs = real(**options), np.random.default_rng(1).integers(0, 3, (40, 4, 5))
    made = compile_network(network)
    golden, found = GoldenModel(made.program.network).run(inputs, membranes=True), run_float(network, inputs)
    assert golden.membranes is not None
    assert np.array_equal(golden.spikes[1], found.spikes[1])
    assert np.array_equal(golden.membranes[0] / 64, found.membranes[0])
    without = real(**(options | {"rise_leak": None, "theta_rise": None, "reset_rise": False}))
    assert not np.array_equal(run_float(without, inputs).spikes[1], found.spikes[1])
    risen = network.layers[0].neuron.risen(found.spikes[1][0])
    by_hand = np.zeros(6)
    for spikes in found.spikes[1][0]:
        by_hand = by_hand * network.layers[0].neuron.rise_leak + 0.75 * spikes
    assert np.array_equal(risen, by_hand)


def test_what_is_rounded_is_reported():
    text = compile_network(real(rise_leak=0.3)).passes[4].text
    assert "leak of thresholds 77/256 off by +0.00078" in text and "warning" not in text
    text = compile_network(real(rise_leak=0.96875)).passes[4].text
    assert "what thresholds rise by rounds down, which takes about 16 steps from a threshold of 192 in the" in text
    assert "weight_exponent must be 1 for less than 5% of it" in text
    text = compile_network(real(theta_rise=np.full(6, 0.02))).passes[4].text
    assert "a spike raises a threshold by 1.28 steps, which are rounded to 1; weight_exponent must be 3 for" in text
    with pytest.raises(CompileError, match=r"layer 0: rise_leak must be 0…1, not 1\.5"):
        compile_network(real(rise_leak=1.5))


def test_files_keep_it_and_files_without_it_are_as_they_were(tmp_path):
    network = real(reset_rise=True)
    save_network(tmp_path / "a", network)
    again = load_network(tmp_path / "a").layers[0].neuron
    assert (again.rise_leak, again.reset_rise, again.theta_rise.tolist()) == (0.5, True, [0.75] * 6)
    program = compile_network(network).program
    program.save(tmp_path / "p")
    loaded = Program.load(tmp_path / "p")
    assert loaded.digest() == program.digest() and loaded.network.layers[0].neuron.theta_rise.tolist() == [48] * 6
    plain = compile_network(replace(network, layers=(replace(network.layers[0], neuron=FloatNeuron(
        theta=np.full(6, 3.0))), network.layers[1]))).program
    plain.save(tmp_path / "q")
    assert b"rise" in (tmp_path / "p").read_bytes() and b"rise" not in (tmp_path / "q").read_bytes()
    assert plain.architecture() != program.architecture()


@pytest.mark.parametrize(("options", "message"), [
    ({"rise_leak": None}, "rise_leak_num must be given with theta_rise, not None"),
    ({"theta_rise": None}, "theta_rise must be given with rise_leak_num, not None"),
    ({"theta_rise": None, "rise_leak": None, "reset_rise": True}, "theta_rise must be given with reset_rise, not None"),
    ({"theta_rise": -1}, "theta_rise must be ≥ 0, not -1"),
    ({"rise_leak": 0.3}, r"rise_leak must be num / 2\^shift"),
    ({"single_spike": True}, "theta_rise must be of neurons with a threshold that may fire more than once"),
    ({"reset_rise": True, "reset": "zero"}, "reset_rise must be of one threshold and of the reset 'subtract' without"),
    ({"reset_rise": True, "reset_delay": True}, "reset_rise must be of one threshold and of the reset 'subtract'"),
    ({"reset_rise": True, "theta": [[10, 12]]}, "reset_rise must be of one threshold and of the reset 'subtract'"),
    ({"reset_rise": 1}, "reset_rise must be True or False, not 1"),
])
def test_wrong_options_are_refused(options, message):
    with pytest.raises(NetworkError, match=message):
        one_neuron(**options)


def test_what_cannot_say_or_do_it_refuses(tmp_path):
    net = NetworkBuilder((1, 4, 4), steps=4, readout="spike_count")
    net.layer(np.ones((1, 1, 2, 2), int), theta=2, reset="zero", theta_rise=1, rise_leak=0.5)
    net.layer(np.ones((2, 9), int), theta=2)
    assert skips_obstacle(net.build(), 0) == "skips must be off: thresholds adapt, so that every step changes them"
    with pytest.raises(CompileError, match="rise"):
        save_nir(one_neuron(), tmp_path / "x.nir")


def test_inspect_says_it():
    text = _neuron(one_neuron(reset_rise=True).layers[0].neuron)
    assert text == "IF, fires at ≥ 10, thresholds rise by 9, which leaks 0.5, and which the reset takes, reset subtract"
