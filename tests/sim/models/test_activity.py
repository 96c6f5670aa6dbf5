# SPDX-License-Identifier: MIT
"""Operations counted one synapse at a time, decisions of inferences that end early, and the energy estimate."""

from dataclasses import replace

import numpy as np
import pytest
from firstspike_arch.connectivity import Conv2d, ConvTranspose2d, Dense, pool_sides
from firstspike_compiler.compile import compile_network
from firstspike_compiler.passes.prove_widths import prove_widths
from firstspike_sim.models.activity import Operations, fan_out, measure_activity
from firstspike_sim.models.energy import FP32, INT8, compute_energy, memory_traffic
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.testing.random_network import random_inputs, random_network


def naive_fan_out(synapses):
    """Pixel by pixel, tap by tap."""
    if len(synapses.in_shape) == 1:
        return np.full(synapses.in_shape[0], synapses.neurons)
    sides = pool_sides(synapses.pool)
    sizes = [length // side for length, side in zip(synapses.in_shape[1:], sides, strict=True)]
    counts = np.zeros(synapses.in_shape, dtype=int)
    for place in np.ndindex(synapses.in_shape[1:]):
        pixel = [at // side for at, side in zip(place, sides, strict=True)]
        if any(at >= size for at, size in zip(pixel, sizes, strict=True)):
            continue
        if isinstance(synapses, Dense):
            counts[:, *place] = synapses.neurons
        else:
            reached = [naive_reach(synapses, axis, at) for axis, at in enumerate(pixel)]
            counts[:, *place] = reached[0] * reached[1] * synapses.channels // synapses.groups
    return counts.ravel()


def naive_reach(synapses, axis, at):
    """How many outputs along an axis a pixel reaches, each through a tap of its own."""
    stride, padding, dilation = synapses.stride[axis], synapses.padding[axis], synapses.dilation[axis]
    return sum(
        output == at * stride - padding + tap * dilation if isinstance(synapses, ConvTranspose2d)
        else at == output * stride - padding + tap * dilation
        for output in range(synapses.out_shape[1 + axis]) for tap in range(synapses.kernel[axis]))


@pytest.mark.parametrize("synapses", [
    Dense(in_shape=(5,), neurons=7), Dense(in_shape=(2, 5, 4), neurons=3, pool=2),
    Conv2d(in_shape=(2, 7, 6), channels=4, kernel=(3, 2)),
    Conv2d(in_shape=(2, 7, 6), channels=4, kernel=(3, 3), padding=(1, 1), stride=(2, 1), groups=2),
    Conv2d(in_shape=(3, 9, 8), channels=6, kernel=(2, 3), padding=(0, 2), stride=(1, 2), groups=3, pool=(2, 3)),
    Conv2d(in_shape=(2, 9, 8), channels=4, kernel=(3, 2), padding=(1, 0), stride=(2, 1), dilation=(2, 3)),
    ConvTranspose2d(in_shape=(2, 3, 4), channels=2, kernel=(3, 2), padding=(1, 0), stride=(2, 3), dilation=(1, 2)),
])
def test_fan_out_is_that_of_every_tap(synapses):
    assert np.array_equal(fan_out(synapses), naive_fan_out(synapses))


def multiplied(network) -> bool:
    return network.input_kind == "direct" or network.in_min < -1 or network.in_max > 15


@pytest.mark.parametrize("seed", range(12))
def test_counts_and_decisions_of_random_networks(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng, neurons_max=16, maps=bool(seed % 2))
    inputs = random_inputs(rng, network, 6)
    activity, golden = measure_activity(network, inputs), GoldenModel(network).run(inputs)
    assert np.array_equal(activity.classes[-1], golden.classes) and activity.inferences == 6
    assert np.array_equal(activity.decision_steps, golden.steps)
    for index, (layer, counted) in enumerate(zip(network.layers, activity.operations, strict=True)):
        events = additions = multiplications = 0
        for branch in layer.synapses(index):
            fans, edge = naive_fan_out(branch.connectivity), golden.spikes[branch.source + 1].astype(int)
            edge = edge[:, :-1] if branch.source == index else edge
            if branch.source < 0 and multiplied(network):
                multiplications += int(((edge != 0) * fans).sum())
            else:
                events, additions = events + int(((edge != 0) * fans).sum()), additions + int(np.abs(edge * fans).sum())
        steps = golden.spikes[0].shape[1]
        assert (counted.events, counted.additions, counted.multiplications, counted.updates) == (
            events, additions, multiplications, 6 * steps * layer.neurons)
        assert counted.dense == 6 * sum(naive_fan_out(branch.connectivity).sum() for branch in layer.synapses(index))
    spikes = [np.abs(edge.astype(int)) > 0 if index == 0 and multiplied(network) else np.abs(edge.astype(int))
              for index, edge in enumerate(golden.spikes)]
    assert np.allclose(activity.spikes, [edge.sum((0, 2)) / 6 for edge in spikes])
    membranes = GoldenModel(network).run(inputs, membranes=True).membranes
    stored = [one - layer.spread(layer.neuron.first_theta)
              for layer, one in zip(network.layers, membranes, strict=True)]
    assert activity.lowest.tolist() == [one.min() for one in stored]
    assert activity.highest.tolist() == [one.max() for one in stored]
    for low, high, proof in zip(activity.lowest, activity.highest, prove_widths(network), strict=True):
        assert proof.low <= low <= high <= proof.high


def test_a_decision_by_then_is_that_of_a_shorter_inference():
    rng = np.random.default_rng(3)
    network = random_network(rng, neurons_max=16, maps=False)
    while network.input_kind != "events":
        network = random_network(rng, neurons_max=16, maps=False)
    counts = random_inputs(rng, network, 8)
    whole = measure_activity(network, counts)
    for ended in range(1, counts.shape[1] + 1):
        shorter = GoldenModel(replace(network, steps=ended)).run(counts[:, :ended])
        assert np.array_equal(whole.classes[ended - 1], shorter.classes)


def test_energy_is_operations_times_constants():
    operations = [Operations(events=5, additions=10, multiplications=3), Operations(events=1, additions=1)]
    assert compute_energy(operations, FP32) == pytest.approx(3 * 4.6 + 11 * 0.9)
    assert compute_energy(operations, INT8) == pytest.approx(3 * 0.23 + 11 * 0.03)


def test_memory_traffic_is_at_the_programs_widths():
    rng = np.random.default_rng(0)
    program = compile_network(random_network(rng, neurons_max=16), lanes=1).program
    plans, layers = program.config.layers, program.network.layers
    operations = [Operations(events=7, multiplications=2, updates=5)] * len(layers)
    traffic = memory_traffic(program, operations)
    assert traffic.weight_bits == sum(9 * layer.weight_bits for layer in layers)
    assert traffic.membrane_bits == sum(2 * 14 * plan.membrane_bits for plan in plans)
    assert traffic.energy_pj == pytest.approx((traffic.weight_bits + traffic.membrane_bits) * 10 / 64)


def test_no_input_is_refused():
    network = random_network(np.random.default_rng(0))
    with pytest.raises(ValueError, match="inputs must be at least one, not 0"):
        measure_activity(network, np.zeros((0, network.inputs), dtype=np.uint8))
