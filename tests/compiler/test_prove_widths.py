# SPDX-License-Identifier: MIT
"""The row operations are the neuron's equation, and the width proof covers every value they produce."""

from dataclasses import replace

import numpy as np
import pytest
from firstspike_arch.bias_rows import bias_rows, has_constant_bias
from firstspike_arch.connectivity import Dense
from firstspike_arch.delaying import delayed
from firstspike_arch.fixed import bits_for_signed
from firstspike_arch.microcode import microcodes_of
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_compiler.passes.prove_widths import prove_widths
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.row_machine import RowMachine
from firstspike_sim.testing.random_network import random_connectivity, random_inputs, random_layer, random_network


def events_of(rng, network: IntegerNetwork, index: int, edges, sample: int) -> list[list[tuple[int, int, int]]]:
    """What a layer gets in each step, in a random order: (set of synapses, address, value)."""
    steps = []
    for step in range(edges[0].shape[1]):
        events = []
        for number, branch in enumerate(network.layers[index].synapses(index)):
            recurrent = branch.source == index
            if recurrent and not step:
                continue
            values = delayed(edges[branch.source + 1], branch.delays)[sample, step - recurrent]
            high = network.layout_of(branch.source).high
            for address in np.flatnonzero(values).tolist():
                left = int(values[address])
                while left:
                    part = min(left, high)
                    events.append((number, address, part))
                    left -= part
        steps.append([events[place] for place in rng.permutation(len(events))])
    return steps


def assert_within(proof, layer: Layer, machine: RowMachine, context) -> None:
    lows, highs = layer.spread(proof.lows), layer.spread(proof.highs)
    assert (machine.lows >= lows).all(), (context, machine.lows, lows)
    assert (machine.highs <= highs).all(), (context, machine.highs, highs)


@pytest.mark.thinned(2)
@pytest.mark.parametrize("block", range(10))
def test_row_operations_are_the_equation_within_the_proof(block):
    rng = np.random.default_rng(block)
    for trial in range(80):
        network = random_network(rng, maps=bool(rng.random() < 0.4))
        inputs = random_inputs(rng, network, 4)
        golden = GoldenModel(network).run(inputs, membranes=True)
        proofs = prove_widths(network)
        for index, layer in enumerate(network.layers):
            context = block, trial, index, layer.neuron
            machine = RowMachine(network, index, in_one_row=bool(trial % 2), multiplies_leaks=trial % 4 > 1)
            for sample in range(len(inputs)):
                spikes, membranes = machine.run(events_of(rng, network, index, golden.spikes, sample))
                expected = golden.spikes[index + 1][sample]
                assert np.array_equal(spikes, expected), context
                comparable = np.ones(expected.shape, dtype=bool)
                if layer.neuron.single_spike:
                    comparable[1:] = ~np.maximum.accumulate(expected > 0, axis=0)[:-1]
                assert np.array_equal(
                    membranes[comparable], golden.membranes[index][sample][comparable]
                ), context
            assert_within(proofs[index], layer, machine, context)


class WithCurrent(RowMachine):
    """Records the extremes of its currents, too."""

    def __init__(self, network: IntegerNetwork, *, in_one_row: bool):
        self.least = self.most = 0
        super().__init__(network, 0, in_one_row=in_one_row)

    def _act(self, op, operand) -> None:
        super()._act(op, operand)
        self.least, self.most = min(self.least, self._current.min()), max(self.most, self._current.max())


def test_currents_of_a_direct_input_fit_their_bits():
    """Whatever the order of the events; and some need all bits, fewer than the membrane."""
    rng = np.random.default_rng(7)
    fewer = full = 0
    for trial in range(60):
        inputs, neurons = int(rng.integers(1, 9)), int(rng.integers(1, 5))
        layer = random_layer(rng, "only", random_connectivity(rng, (inputs,), neurons))
        network = IntegerNetwork(name="n", layers=(layer,), readout="spike_count", steps=4, steps_max=4,
                                 input_kind="direct", in_min=int(rng.choice([0, -3])), in_max=int(rng.choice([5, 255])))
        proof, = prove_widths(network)
        machine = WithCurrent(network, in_one_row=bool(trial % 2))
        for upwards in (True, False):
            for target in layer.weights.reshape(layer.neurons, -1):
                wanted = target > 0 if upwards else target < 0
                values = np.where(wanted, network.in_max, network.in_min)
                order = rng.permutation(inputs) if trial % 3 else np.argsort(target)
                machine.run([[(0, address, int(values[address])) for address in order.tolist() if values[address]],
                             [], [], []])
        bits = bits_for_signed(int(machine.least), int(machine.most))
        assert bits <= proof.current_bits <= proof.bits, (trial, layer.neuron)
        fewer, full = fewer + (proof.current_bits < proof.bits), full + (bits == proof.current_bits)
    assert fewer > 20 and full > 20, (fewer, full)


def adversarial_steps(rng, layer: Layer, steps: int, in_max: int, once: bool):
    """Events that drive one neuron as far as they can, up or down, in the worst order."""
    target = layer.weights[rng.integers(layer.neurons)]
    left = np.ones(layer.inputs, dtype=bool)
    change = rng.random() < 0.5
    upwards = rng.random() < 0.5
    result = []
    for _ in range(steps):
        if change:
            upwards = rng.random() < 0.5
        wanted = (target > 0) if upwards else (target < 0)
        if rng.random() < 0.3:
            wanted = target != 0
        if rng.random() < 0.3:
            wanted = wanted & (rng.random(layer.inputs) < 0.5)
        if once:
            wanted = wanted & left
            left = left & ~wanted
        events = np.repeat(np.nonzero(wanted)[0], 1 if once else in_max)
        order = np.argsort(target[events])
        result.append(events[order if rng.random() < 0.5 else order[::-1]])
    return result


@pytest.mark.parametrize("block", range(8))
def test_adversarial_events_stay_within_the_proof(block):
    rng = np.random.default_rng(100 + block)
    for trial in range(60):
        inputs, neurons = int(rng.integers(1, 9)), int(rng.integers(1, 5))
        layer = random_layer(rng, "only", random_connectivity(rng, (inputs,), neurons))
        once = bool(rng.integers(2))
        in_max = 1 if once else int(rng.choice([1, 4]))
        steps = int(rng.integers(1, 9))
        network = IntegerNetwork(
            name="n", layers=(layer,), readout="spike_count", steps=1, steps_max=steps,
            input_kind="latency" if once else "events", in_max=in_max,
        )
        proof, = prove_widths(network)
        machine = RowMachine(network, 0, in_one_row=bool(trial % 2))
        for _ in range(25):
            events = adversarial_steps(rng, layer, int(rng.integers(1, steps + 1)), in_max, once)
            machine.run([[(0, address, 1) for address in step.tolist()] for step in events])
        assert_within(proof, layer, machine, (block, trial, once, in_max, layer.neuron))
        for row in bias_rows(layer):
            assert (row >= proof.lows).all() and (row <= proof.highs).all()
        for op in (*microcodes_of(network)[0].step, *microcodes_of(network, in_one_row=True)[0].step):
            if op.operand == "constant":
                assert (op.values >= proof.lows).all() and (op.values <= proof.highs).all()


def integrator(weights, *, theta=10, steps=4, kind="latency", readout="spike_count", **neuron) -> IntegerNetwork:
    weights = np.array(weights)
    count = len(weights)
    values = {"bias": np.zeros(count, int), "theta": np.full(count, theta), "v_init": np.zeros(count, int)}
    layer = Layer(name="d", weights=weights, weight_bits=8, neuron=Neuron(**{**values, **neuron}))
    return IntegerNetwork(name="n", layers=(layer,), readout=readout, steps=steps, steps_max=steps, input_kind=kind)


def test_the_range_of_once_only_integrators_is_exact():
    proof, = prove_widths(integrator([[5, -3, 7], [-1, -1, 2]], single_spike=True))
    assert proof.lows.tolist() == [-13, -12] and proof.highs.tolist() == [7, 2]  # weights are operands: 7 and 2
    assert proof.bits == 5
    assert (proof.low_neuron, proof.high_neuron) == (0, 0)
    assert str(proof) == (
        "d: 5 bits: -13 (neuron 0) ≤ v − theta ≤ 7 (neuron 0) for every order of events in ≤ 4 steps, "
        "each input at most once an inference"
    )


def test_repeated_inputs_grow_with_the_steps():
    proof, = prove_widths(integrator([[5, -3]], single_spike=True, kind="events"))
    assert (proof.low, proof.high) == (-10 - 4 * 3, 4 * 5 - 10)


def test_once_only_follows_from_single_spike_layers():
    rng = np.random.default_rng(3)
    network = random_network(rng, layers_max=1, input_kind="events", readout="spike_count")
    first = network.layers[0]
    second = random_layer(rng, "second", random_connectivity(rng, (first.neurons,), 3))
    for single in (False, True):
        layers = (replace(first, neuron=replace(first.neuron, single_spike=single)), second)
        proof = prove_widths(replace(network, layers=layers))[1]
        assert ("at most once an inference" in proof.inputs) is single


def test_long_inferences_with_leak_reach_a_fixed_point():
    network = integrator([[5, -3]], kind="events", steps=4096, leak_num=3, leak_shift=2)
    proof, = prove_widths(network)
    assert proof.bits <= 8


def driven(network: IntegerNetwork, steps: list[list[int]]):
    """The proof of the only layer, and the row machine after events at these addresses in each step."""
    machine = RowMachine(network, 0)
    machine.run([[(0, address, 1) for address in step] for step in steps])
    return prove_widths(network)[0], machine


@pytest.mark.parametrize("clamps", [{"v_max": 3}, {"v_min": -40, "v_max": 3}, {"leak_num": 1, "leak_shift": 1}])
def test_a_delayed_reset_subtracts_from_what_a_clamp_or_leak_has_left(clamps):
    """v = 11 fires and becomes 3; the next step takes it to −7 by the reset, and to −22: further than all weights."""
    network = integrator([[11, -15]], reset_delay=True, **clamps)
    proof, machine = driven(network, [[0], [1]])
    assert machine.lows.min() < -15 - 10
    assert_within(proof, network.layers[0], machine, clamps)


@pytest.mark.parametrize("neuron", [
    {"leak_num": 15, "leak_shift": 4, "bias": np.array([5]), "reset": "subtract"},
    {"leak_num": 3, "leak_shift": 2, "bias": np.array([5]), "reset": "subtract"},
    {"leak_num": 7, "leak_shift": 3, "bias": np.array([2]), "reset": "zero"},
])
def test_a_bias_goes_on_to_grow_when_two_steps_have_the_same_interval(neuron):
    """Behind a leak, the bound of two steps in a row can be the same membrane."""
    network = integrator([[5]], steps=24, reset_delay=True, **neuron)
    for last in range(24):
        proof, machine = driven(network, [*[[]] * last, [0], *[[]] * (23 - last)])
        assert_within(proof, network.layers[0], machine, (neuron, last))


def test_a_clamp_above_0_lifts_membranes_in_every_step():
    network = integrator([[5, -30, 4]], v_min=20, reset="none")
    proof, machine = driven(network, [[1], [], [0, 2], []])
    assert machine.highs.max() == 20 + 5 + 4 - 10
    assert_within(proof, network.layers[0], machine, "v_min")


def test_all_pixels_of_a_pool_reach_the_same_weight():
    dense = Dense(in_shape=(1, 2, 4), neurons=2, pool=2)
    layer = Layer(name="d", weights=np.array([[5, -3], [-7, 2]]), weight_bits=4, connectivity=dense, neuron=Neuron(
        bias=np.zeros(2, int), theta=np.full(2, 99), v_init=np.zeros(2, int)))
    proof, = prove_widths(IntegerNetwork(
        name="n", layers=(layer,), readout="spike_count", steps=1, steps_max=1, input_kind="latency"))
    assert proof.lows.tolist() == [4 * -3 - 99, 4 * -7 - 99] and proof.high == 5  # an operand


@pytest.mark.parametrize("power", range(2, 7))
def test_a_range_that_ends_at_a_power_of_two_has_all_its_bits(power):
    for more in (-1, 0, 1, 2):
        network = integrator([[-(1 << power) - more + 1, -1]], theta=1, steps=1)
        proof, machine = driven(network, [[0, 1]])
        assert proof.low == machine.lows.min() == -(1 << power) - more - 1
        assert proof.bits == next(bits for bits in range(2, 20) if -(1 << bits - 1) <= proof.low)


@pytest.mark.parametrize(("bias", "operands"), [(16 * 127, ["weight"] * 16), (16 * 127 + 1, ["constant"])])
def test_a_bias_beyond_its_rows_is_a_constant(bias, operands):
    network = integrator([[1]], bias=np.array([bias]), theta=5000, reset="none")
    (program,), (layer,) = microcodes_of(network), network.layers
    assert [op.operand for op in program.step] == operands and has_constant_bias(layer) == (operands == ["constant"])
    proof, = prove_widths(network)
    first = bias if has_constant_bias(layer) else 0  # a part of the first value
    assert (proof.lows.item(), proof.highs.item()) == (first - 5000, 1 + 4 * bias - 5000)


def test_passes_and_proof_of_a_bias_of_the_current():
    rng, seen = np.random.default_rng(0), set()
    for trial in range(120):
        network = random_network(rng, maps=bool(rng.random() < 0.3))
        if not any(layer.neuron.lasts for layer in network.layers):
            continue
        network = replace(network, layers=tuple(
            replace(one, neuron=replace(one.neuron, bias_once=False, current_bias=True,
                                        bias=one.neuron.bias * int(rng.choice([1, 60]))))
            if one.neuron.lasts else one for one in network.layers))
        inputs = random_inputs(rng, network, 3)
        golden = GoldenModel(network).run(inputs, membranes=True)
        for index, (layer, proof) in enumerate(zip(network.layers, prove_widths(network), strict=True)):
            machine = RowMachine(network, index, in_one_row=bool(trial % 2))
            for sample in range(len(inputs)):
                spikes, _ = machine.run(events_of(rng, network, index, golden.spikes, sample))
                assert np.array_equal(spikes, golden.spikes[index + 1][sample]), (trial, index, layer.neuron)
            for least, most, low, high in ((machine.lows, machine.highs, proof.lows, proof.highs), *(
                    [(machine.trace_lows, machine.trace_highs, proof.trace_lows, proof.trace_highs)]
                    if layer.neuron.lasts else [])):
                assert (least >= layer.spread(low)).all() and (most <= layer.spread(high)).all(), (trial, index)
            if layer.neuron.current_bias:
                seen |= {"static" * network.is_static(index), "pool" * (layer.current_pool is not None),
                         "constant" * has_constant_bias(layer), "delay" * layer.neuron.current_delay}
    assert seen == {"", "static", "pool", "constant", "delay"}


def test_adaptive_thresholds():
    rng, seen = np.random.default_rng(0), set()
    for trial in range(150):
        network = random_network(rng, input_kind="events", readout="spike_count", layers_max=2, steps_max=8)
        if not any(layer.neuron.adapts for layer in network.layers):
            continue
        inputs = random_inputs(rng, network, 4)
        golden = GoldenModel(network).run(inputs, membranes=True)
        for index, (layer, proof) in enumerate(zip(network.layers, prove_widths(network), strict=True)):
            machine = RowMachine(network, index, in_one_row=bool(trial % 2))
            for sample in range(len(inputs)):
                spikes, _ = machine.run(events_of(rng, network, index, golden.spikes, sample))
                assert np.array_equal(spikes, golden.spikes[index + 1][sample]), (trial, index, layer.neuron)
            assert_within(proof, layer, machine, (trial, index))
            if proof.rise_highs is not None:
                assert (machine.rise_highs <= layer.spread(proof.rise_highs)).all(), (trial, index)
                assert 2**(proof.current_bits - 1) > proof.rise_highs.max() and proof.bits >= proof.current_bits
                seen |= {neuron_kind for neuron_kind, has in (
                    ("taken", layer.neuron.reset_rise), ("levels", layer.neuron.levels > 1),
                    ("never falls", np.all(layer.neuron.rise_leak == 1)), ("rises", machine.rise_highs.any())) if has}
    assert seen == {"taken", "levels", "never falls", "rises"}


def test_a_membrane_below_a_threshold_that_has_risen_grows_on():
    builder = NetworkBuilder(2, steps=3, readout="spike_count")
    builder.layer([[60, 20]], theta=70, theta_rise=25, rise_leak=0.5, reset="zero")
    network = builder.build()
    found = GoldenModel(network).run(np.ones((1, 3, 2), dtype=np.uint8), membranes=True)
    assert found.membranes is not None
    # Thresholds: 70, 70 + ⌊25 / 2⌋, 70 + ⌊12 / 2⌋
    assert found.spikes[1].ravel().tolist() == [1, 0, 1] and found.membranes[0].ravel().tolist() == [80, 80, 160]
    (proof,) = prove_widths(network)
    assert 160 - 70 <= proof.highs.max() <= 25 - 1 + 60 + 20  # before the rise leaks
