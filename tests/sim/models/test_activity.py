# SPDX-License-Identifier: MIT
"""Operations counted one synapse at a time, decisions of inferences that end early, and the energy estimate."""

from dataclasses import replace

import numpy as np
import pytest
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_compiler.compile import compile_network
from firstspike_sim.models.activity import Operations, fan_out, measure_activity
from firstspike_sim.models.energy import FP32, INT8, compute_energy, memory_traffic
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.testing.random_network import random_inputs, random_network


def naive_fan_out(synapses):
    """Pixel by pixel, tap by tap."""
    if isinstance(synapses, Dense):
        if len(synapses.in_shape) == 1:
            return np.full(synapses.in_shape[0], synapses.neurons)
        _, height, width = synapses.in_shape
        side = synapses.pool
        kept = (np.arange(height) < height // side * side)[:, None] & (np.arange(width) < width // side * side)
        return np.broadcast_to(kept * synapses.neurons, synapses.in_shape).ravel()
    counts = np.zeros(synapses.in_shape, dtype=int)
    _, height, width = synapses.in_shape
    _, tall, wide = synapses.out_shape
    for y in range(height):
        for x in range(width):
            row, column = y // synapses.pool, x // synapses.pool
            if row >= height // synapses.pool or column >= width // synapses.pool:
                continue
            reached = sum(
                0 <= row + synapses.padding[0] - v * synapses.stride[0] < synapses.kernel[0]
                and 0 <= column + synapses.padding[1] - u * synapses.stride[1] < synapses.kernel[1]
                for v in range(tall) for u in range(wide))
            counts[:, y, x] = reached * synapses.channels // synapses.groups
    return counts.ravel()


@pytest.mark.parametrize("synapses", [
    Dense(in_shape=(5,), neurons=7), Dense(in_shape=(2, 5, 4), neurons=3, pool=2),
    Conv2d(in_shape=(2, 7, 6), channels=4, kernel=(3, 2)),
    Conv2d(in_shape=(2, 7, 6), channels=4, kernel=(3, 3), padding=(1, 1), stride=(2, 1), groups=2),
    Conv2d(in_shape=(3, 9, 8), channels=6, kernel=(2, 3), padding=(0, 2), stride=(1, 2), groups=3, pool=2),
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
