# SPDX-License-Identifier: MIT
"""Where all numbers are multiples of a power of two, compiled networks do what torch does with real ones, exactly."""

from dataclasses import replace

import numpy as np
import pytest
from firstspike_arch.connectivity import Conv2d, Dense, size_of
from firstspike_arch.float_network import FloatBranch, FloatLayer, FloatNetwork
from firstspike_arch.neuron import FloatNeuron
from firstspike_compiler.compile import compile_network
from firstspike_sim.compare import ALIVE, aliveness
from firstspike_sim.models.float_reference import run_float
from firstspike_sim.models.golden import GoldenModel

STEPS, STEP = 3, 1 / 32
FIRST = Conv2d(in_shape=(2, 4, 5), channels=4, kernel=(3, 3), padding=(1, 1))
SECOND = Conv2d(in_shape=FIRST.out_shape, channels=4, kernel=(3, 3), padding=(1, 1), groups=2)
THIRD = Dense(in_shape=SECOND.out_shape, neurons=10, pool=2)
LAST = Dense(in_shape=(10,), neurons=4)

NETWORKS = {
    "thresholds": {},
    "strict": {"strict": True},
    "leak": {"leak": 0.5},
    "reset to zero": {"reset": "zero"},
    "late reset": {"reset_delay": True},
    "reset to values": {"reset": "zero", "v_reset": (-4, 3)},
    "late reset to values, with leak": {"reset": "zero", "v_reset": (-4, 3), "reset_delay": True, "leak": 0.5},
    "learned latency": {"encoder": True},
    "learned latency, strict": {"encoder": True, "strict": True},
    "single spikes": {"single_spike": True},
    "spikes": {"input_kind": "events", "in_min": 0, "in_max": 3},
    "weighted": {"readout": "weighted_spikes", "step_weights": (4, 2, 1)},
    "potential": {"readout": "potential"},
    "delays": {"input_kind": "events", "in_min": 0, "in_max": 3, "delays": True},
}


def network_of(
    seed: int, *, input_kind="direct", in_min=-8, in_max=7, readout="spike_count", step_weights=(), encoder=False,
    delays=False, **neuron,
) -> FloatNetwork:
    """Pixels → channels → channels, residual → average pool → dense, residual and recurrent → classes."""
    random = np.random.default_rng(seed)

    def weights(shape):
        return random.integers(-4, 6, shape) * 4 * STEP  # two leaks of a half stay whole

    def layer(synapses, low, high, levels, *branches, unit=1.0, **changes) -> FloatLayer:
        values = {
            "weight": weights(synapses.weight_shape), "connectivity": synapses, "branches": branches, "weight_bits": 8,
            "weight_scale": STEP,
        }
        numbers = {
            "theta": np.sort(random.integers(low, high, (synapses.channels, levels)) * 4 * STEP, axis=1),
            "bias": random.integers(-2, 3, synapses.channels) * 4 * STEP * unit,
        }
        if "v_reset" in neuron:
            changes["v_reset"] = random.integers(*neuron["v_reset"], synapses.channels) * 4 * STEP
        average_pool = changes.pop("average_pool", False)
        return FloatLayer(**values, average_pool=average_pool, neuron=FloatNeuron(**{**numbers, **neuron, **changes}))

    def branch(source, synapses, **changes) -> FloatBranch:
        return FloatBranch(source=source, weight=weights(synapses.weight_shape), connectivity=synapses, **changes)

    unit = 1 / 8 if input_kind == "direct" else 1.0
    first = layer(FIRST, 6, 20, 3, unit=unit)
    if encoder:
        first = layer(FIRST, 6, 7, 1, unit=unit, theta=np.full(4, 1.5), theta_fall=np.array([0, 0.5, 1.25]),
                      single_spike=True, bias_once=True, leak=1.0)
    skip = branch(0, Conv2d(in_shape=FIRST.out_shape, channels=4, kernel=(1, 1), groups=4))
    pooled = branch(0, Dense(in_shape=FIRST.out_shape, neurons=10, pool=2), average_pool=True)
    own = branch(2, Dense(in_shape=(10,), neurons=10))
    last = {"theta": None} if readout == "potential" else {}
    low, high = (2, 8) if encoder or neuron else (8, 30)  # where the first layer spikes less
    network = FloatNetwork(
        name="dyadic", steps=STEPS, input_kind=input_kind, in_min=in_min, in_max=in_max, input_scale=unit,
        readout=readout, step_weights=step_weights, layers=(
            first, layer(SECOND, low, high, 2, skip),
            layer(THIRD, 4, 16, 3, pooled, own, average_pool=True), layer(LAST, 4, 20, 2, **last)))
    return _with_delays(random, network) if delays else network


def _with_delays(random, network: FloatNetwork) -> FloatNetwork:
    def late(one):
        return replace(one, delays=random.integers(0, STEPS, size_of(one.connectivity.in_shape)))

    return replace(network, layers=tuple(
        replace(late(layer), branches=tuple(map(late, layer.branches))) for layer in network.layers))


def inputs_of(network: FloatNetwork, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    shape = (24, 40) if network.input_kind == "direct" else (24, STEPS, 40)
    return random.integers(network.in_min, network.in_max + 1, shape) * (random.random(shape) < 0.5)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_whole_steps_spikes_as_in_real_numbers(name):
    classes = set()
    for seed in range(2):
        network = network_of(seed, **NETWORKS[name])
        inputs = inputs_of(network, seed)
        compilation = compile_network(network)
        for rounding in compilation.roundings:
            assert (rounding.weight_error, rounding.saturated, rounding.bias_error, rounding.theta_error,
                    rounding.reset_error, rounding.leak_error) == (0, 0, 0, 0, 0, 0)
        golden = GoldenModel(compilation.program.network).run(inputs, membranes=True)
        wanted = run_float(network, inputs)
        assert all(ALIVE[0] <= share <= 0.9 for share in aliveness(golden.spikes)[1:len(network.layers)])
        for index, layer in enumerate(compilation.program.network.layers):
            assert np.array_equal(golden.spikes[index + 1], wanted.spikes[index + 1]), (seed, index)
            assert np.array_equal(golden.membranes[index] * layer.scale, wanted.membranes[index]), (seed, index)
        assert np.array_equal(golden.classes, wanted.classes)
        classes |= set(wanted.classes.tolist())
        assert max(edge.max() for edge in wanted.spikes[2:]) > 1  # some neuron reaches several thresholds at once
    assert len(classes) > 1


@pytest.mark.parametrize("index", range(3))
def test_a_weight_off_by_a_step_is_noticed(index):
    network = network_of(0)
    inputs = inputs_of(network, 0)
    layer = network.layers[index]
    weight = layer.weight + STEP
    layers = (*network.layers[:index], replace(layer, weight=weight), *network.layers[index + 1:])
    golden = GoldenModel(compile_network(network).program.network).run(inputs)
    other = run_float(replace(network, layers=layers), inputs)
    assert not np.array_equal(golden.spikes[index + 1], other.spikes[index + 1])


@pytest.mark.parametrize("index", [1, 2])
def test_a_branch_left_out_is_noticed(index):
    network = network_of(0)
    inputs = inputs_of(network, 0)
    golden = GoldenModel(compile_network(network).program.network).run(inputs)
    layer = network.layers[index]
    for number in range(len(layer.branches)):
        kept = replace(layer, branches=(*layer.branches[:number], *layer.branches[number + 1:]))
        other = run_float(replace(network, layers=(*network.layers[:index], kept, *network.layers[index + 1:])), inputs)
        assert not np.array_equal(golden.spikes[index + 1], other.spikes[index + 1])


@pytest.mark.parametrize(("kind", "shape", "sentence"), [
    ("latency", (2, 6), r"^inputs must have shape \(batch, 5\), not \(2, 6\)$"),
    ("events", (2, 5), r"^inputs must have shape \(batch, steps, 5\), not \(2, 5\)$"),
])
def test_inputs_of_another_shape_are_refused(kind, shape, sentence):
    layer = FloatLayer(weight=np.ones((3, 5)), neuron=FloatNeuron(theta=np.ones(3)))
    network = FloatNetwork(name="n", steps=2, readout="spike_count", input_kind=kind, layers=(layer,))
    with pytest.raises(ValueError, match=sentence):
        run_float(network, np.zeros(shape, np.uint8))
