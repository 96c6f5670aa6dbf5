# SPDX-License-Identifier: MIT
"""The golden model against docs/semantics.md, written out neuron by neuron in plain Python."""

import re
from dataclasses import replace
from fractions import Fraction
from math import floor, trunc

import numpy as np
import pytest
import torch
from firstspike_arch.backend import DecidedBy
from firstspike_arch.connectivity import ConvTranspose2d, Dense
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_sim.models import golden
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.testing.random_network import (
    INPUT_KINDS,
    READOUTS,
    random_delays,
    random_inputs,
    random_network,
)


class NaiveNeuron:
    """docs/semantics.md §1, one neuron, one step at a time."""

    def __init__(self, neuron, index):
        self.neuron, self.index = neuron, index
        self.v = int(neuron.v_init[index])
        self.current = self.rise = 0
        self.last_spike, self.has_fired, self.t = 0, False, 0

    def step(self, current):
        neuron, index = self.neuron, self.index
        if neuron.current_leak_num is not None:
            num = neuron.current_leak_num if isinstance(neuron.current_leak_num, int) else int(
                neuron.current_leak_num[index])
            rounded = trunc if neuron.leak_toward_zero else floor
            before, self.current = self.current, rounded(
                Fraction(self.current * num, 2**neuron.current_leak_shift)) + current
            if neuron.current_bias:
                self.current += int(neuron.bias[index])
            current = before if neuron.current_delay else self.current
        if neuron.single_spike and self.has_fired:
            return 0, self.v
        levels = [] if neuron.theta is None else [int(theta) for theta in neuron.theta[index]]
        if neuron.theta_fall is not None:
            levels = [theta - int(neuron.theta_fall[self.t]) for theta in levels]
        subtracted = sum(levels[:1]) if neuron.reset_step is None else int(neuron.reset_step[index])
        levels, subtracted = [theta + self.rise for theta in levels], subtracted + self.rise * neuron.reset_rise
        left = 0 if neuron.v_reset is None else int(neuron.v_reset[index])
        leak_num = neuron.leak_num if isinstance(neuron.leak_num, int) else int(neuron.leak_num[index])
        rounded = trunc if neuron.leak_toward_zero else floor
        v = rounded(Fraction(self.v * leak_num, 2**neuron.leak_shift))
        if neuron.reset_delay and self.last_spike:
            v = {"subtract": v - self.last_spike * subtracted, "zero": left, "none": v}[neuron.reset]
        v += current
        if not neuron.current_bias and (self.t == 0 or not neuron.bias_once):
            v += int(neuron.bias[index])
        spike = sum(v >= theta for theta in levels)
        before = v
        if spike and not neuron.reset_delay:
            v = {"subtract": v - spike * subtracted, "zero": left, "none": v}[neuron.reset]
        if neuron.v_min is not None:
            v = max(v, neuron.v_min)
        if neuron.v_max is not None:
            v = min(v, neuron.v_max)
        self.has_fired |= spike > 0
        self.v = before if neuron.single_spike and self.has_fired else v
        if neuron.adapts:
            num = neuron.rise_leak_num if isinstance(neuron.rise_leak_num, int) else int(neuron.rise_leak_num[index])
            self.rise = floor(Fraction(self.rise * num, 2**neuron.rise_leak_shift)) + spike * int(
                neuron.theta_rise[index])
        self.last_spike, self.t = spike, self.t + 1
        return spike, before


def naive_weight(branch, neuron, address):
    """docs/semantics.md §1: the weight from an input address to a neuron; 0 if there is no synapse."""
    synapses = branch.connectivity
    if isinstance(synapses, Dense) and len(synapses.in_shape) == 1:
        return int(branch.weights[neuron, address])
    channels, height, width = synapses.in_shape
    channel, y, x = address // (height * width), address // width % height, address % width
    down, across = (synapses.pool, synapses.pool) if isinstance(synapses.pool, int) else synapses.pool
    y, x, height, width = y // down, x // across, height // down, width // across
    if y >= height or x >= width:
        return 0
    if isinstance(synapses, Dense):
        return int(branch.weights[neuron, (channel * height + y) * width + x])
    _, rows, columns = synapses.out_shape
    output, out_y, out_x = neuron // (rows * columns), neuron // columns % rows, neuron % columns
    group = output // (synapses.channels // synapses.groups)
    local = channel - group * (channels // synapses.groups)
    if not 0 <= local < channels // synapses.groups:
        return 0
    for tap_y, tap_x in np.ndindex(synapses.kernel):
        reached = True
        for axis, (tap, here, there) in enumerate(((tap_y, y, out_y), (tap_x, x, out_x))):
            here, there = (there, here) if isinstance(synapses, ConvTranspose2d) else (here, there)
            reached &= here == there * synapses.stride[axis] - synapses.padding[axis] + tap * synapses.dilation[axis]
        if reached:
            return int(branch.weights[output, local, tap_y, tap_x])
    return 0


def naive_windows(layer):
    """The sums that each neuron takes the largest of, as lists of indices."""
    pool = layer.current_pool
    if pool is None:
        return [[index] for index in range(layer.neurons)]
    channels, height, width = layer.sums_shape
    _, rows, columns = layer.out_shape
    return [
        [(channel * height + y) * width + x
         for y in range(row * pool.stride[0] - pool.padding[0], height + pool.kernel[0] * pool.dilation[0])[
             : pool.kernel[0] * pool.dilation[0] : pool.dilation[0]] if 0 <= y < height
         for x in range(column * pool.stride[1] - pool.padding[1], width + pool.kernel[1] * pool.dilation[1])[
             : pool.kernel[1] * pool.dilation[1] : pool.dilation[1]] if 0 <= x < width]
        for channel in range(channels) for row in range(rows) for column in range(columns)]


def naive_run(network, sample):
    """(spikes per edge, membranes per layer) as nested lists [t][neuron] of one inference."""
    if network.input_kind == "latency":
        at = [round((1 - Fraction(int(p), 255)) * (network.steps - 1)) if p >= network.cutoff else None for p in sample]
        edge = [[int(a == t) for a in at] for t in range(network.steps)]
    elif network.input_kind == "direct":
        edge = [[int(x) for x in sample]] + [[0] * len(sample)] * (network.steps - 1)
    else:
        edge = [[int(count) for count in row] for row in sample]
    edges, membranes = [edge], []
    for number, layer in enumerate(network.layers):
        neurons = [NaiveNeuron(layer.neuron, index // layer.positions) for index in range(layer.neurons)]
        windows = naive_windows(layer)
        fired, potentials = [], []
        for t in range(len(edge)):
            results = []
            for index, neuron in enumerate(neurons):
                sums = [0] * len(windows[index])
                for branch in layer.synapses(number):
                    rows = [[], *fired] if branch.source == number else edges[branch.source + 1]
                    row = rows[0 if network.is_static(number) else t]
                    if branch.delays is not None:
                        row = [rows[t - late][a] if t - late >= 0 and rows[t - late] else 0
                               for a, late in enumerate(branch.delays)]
                    for place, target in enumerate(windows[index]):
                        sums[place] += 2**layer.weight_exponent * sum(
                            naive_weight(branch, target, a) * count for a, count in enumerate(row) if count)
                results.append(neuron.step(max(sums)))
            fired.append([int(spike) for spike, _ in results])
            potentials.append([v for _, v in results])
        edges.append(fired)
        membranes.append(potentials)
    return edges, membranes


def naive_decide(network, spikes, potentials):
    """docs/semantics.md §3: (class, step, decided_by, scores)."""
    last, classes = len(spikes) - 1, range(network.classes)
    totals = [sum(row[c] for row in spikes) for c in classes]
    output = network.layers[-1].neuron
    single = output.single_spike and output.levels == 1
    step, candidates, several = last, list(classes), False
    first = next((t for t, row in enumerate(spikes) if any(row)), None)
    if network.readout == "first_spike":
        if first is not None:
            step = first
            candidates = [c for c in classes if spikes[step][c]]
            several = len(candidates) > 1
        scores = potentials[step]
    elif network.readout == "potential":
        scores = potentials[last]
    elif network.readout == "spike_count":
        scores = totals
    else:
        if single and first is not None:
            step = first
        scores = [sum(network.step_weights[t] * spikes[t][c] for t in range(step + 1)) for c in classes]
    best = max(scores[c] for c in candidates)
    winners = [c for c in candidates if scores[c] == best]
    if network.readout != "potential" and not any(totals):
        by = DecidedBy.SILENT
    elif len(winners) > 1:
        by = DecidedBy.TIE_BY_INDEX
    else:
        by = DecidedBy.TIE_BY_MEMBRANE if several else DecidedBy.PLAIN
    return winners[0], step, by, scores


def compare(network, inputs):
    result = GoldenModel(network).run(inputs, membranes=True)
    lean = GoldenModel(network).run(torch.from_numpy(inputs))
    assert lean.membranes is None
    for sample, values in enumerate(inputs):
        spikes, membranes = naive_run(network, values)
        for edge, expected in zip(result.spikes, spikes, strict=True):
            assert edge[sample].tolist() == expected
        for layer, expected in zip(result.membranes, membranes, strict=True):
            assert layer[sample].tolist() == expected
        size = network.steps_max if network.endless else len(spikes[-1])
        windows = range(0, len(spikes[-1]), size)
        for number, start in enumerate(windows, sample * len(windows)):
            label, step, by, scores = naive_decide(
                network, spikes[-1][start:start + size], membranes[-1][start:start + size])
            for found in (result, lean):
                assert found.classes[number] == label and found.steps[number] == step
                assert found.decided_by[number] == by
                assert found.scores[number].tolist() == scores
    assert len(result.classes) == len(inputs) * len(windows)
    for left, right in zip(result.spikes, lean.spikes, strict=True):
        assert np.array_equal(left, right)
    return result


@pytest.mark.thinned(4)
@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("kind", INPUT_KINDS)
def test_random_networks_mean_what_the_semantics_say(kind, readout):
    rng = np.random.default_rng([READOUTS.index(readout), INPUT_KINDS.index(kind)])
    seen = set()
    for _ in range(90):
        network = random_network(rng, input_kind=kind, readout=readout, maps=bool(rng.random() < 0.4))
        seen.update(compare(network, random_inputs(rng, network, 4)).decided_by.tolist())
    expected = {DecidedBy.PLAIN, DecidedBy.TIE_BY_INDEX}
    if readout != "potential":
        expected.add(DecidedBy.SILENT)
    if readout == "first_spike":
        expected.add(DecidedBy.TIE_BY_MEMBRANE)
    assert seen == expected


def test_random_delays_mean_what_the_semantics_say():
    rng, late = np.random.default_rng(18), 0
    for _ in range(120):
        kind = INPUT_KINDS[int(rng.integers(len(INPUT_KINDS)))]
        network = random_network(rng, input_kind=kind, maps=bool(rng.random() < 0.3))
        delayed = random_delays(rng, network)
        inputs = random_inputs(rng, network, 3)
        found = compare(delayed, inputs)
        now = GoldenModel(network).run(inputs)
        late += any(not np.array_equal(one, other) for one, other in zip(found.spikes, now.spikes, strict=True))
    assert late >= 30


def output_of(weights, *, theta=5, steps=3, readout="first_spike", **neuron) -> IntegerNetwork:
    count = len(weights)
    values = {"bias": np.zeros(count, int), "theta": np.full(count, theta), "v_init": np.zeros(count, int)}
    layer = Layer(
        name="out", weights=np.array(weights), weight_bits=8, neuron=Neuron(**{**values, **neuron}),
    )
    return IntegerNetwork(
        name="n", layers=(layer,), readout=readout, steps=steps, steps_max=steps, input_kind="events",
        step_weights=(4, 2, 1) if readout == "weighted_spikes" else (),
    )


def test_what_decided_is_told_apart():
    events = np.zeros((4, 3, 2), np.uint8)
    events[0, 1] = 1, 0  # only neuron 0
    events[1, 1] = 1, 1  # both, neuron 1 higher
    events[2, 2] = 0, 1  # both, equal
    network = output_of([[6, 7], [0, 7]], single_spike=True)
    result = GoldenModel(network).run(events)
    assert result.steps.tolist() == [1, 1, 2, 2]
    assert result.classes.tolist() == [0, 0, 0, 0]
    assert result.decided_by.tolist() == [
        DecidedBy.PLAIN, DecidedBy.TIE_BY_MEMBRANE, DecidedBy.TIE_BY_INDEX, DecidedBy.SILENT,
    ]
    assert result.scores.tolist() == [[6, 0], [13, 7], [7, 7], [0, 0]]


def test_a_single_spike_freezes_the_membrane_before_its_reset():
    network = output_of([[6, 7]], single_spike=True, leak_num=1, leak_shift=1, v_max=3)
    result = GoldenModel(network).run(np.array([[[1, 0], [1, 1], [0, 1]]], np.uint8), membranes=True)
    assert result.membranes[0][0, :, 0].tolist() == [6, 6, 6]
    assert result.spikes[1][0, :, 0].tolist() == [True, False, False]


@pytest.mark.parametrize("kind", ["latency", "events"])
def test_a_sample_means_the_same_in_any_batch(kind, monkeypatch):
    rng = np.random.default_rng(7)
    for _ in range(10):
        network = random_network(rng, input_kind=kind)
        inputs = random_inputs(rng, network, 9)
        together = GoldenModel(network).run(inputs, membranes=True)
        monkeypatch.setattr(golden, "CHUNK_ELEMENTS", 1)
        apart = GoldenModel(network).run(inputs, membranes=True)
        monkeypatch.undo()
        for name in ("classes", "steps", "decided_by", "scores"):
            assert np.array_equal(getattr(together, name), getattr(apart, name))
        for left, right in zip(together.spikes + together.membranes, apart.spikes + apart.membranes, strict=True):
            assert np.array_equal(left, right)


def test_an_empty_batch_is_an_answer():
    result = GoldenModel(output_of([[6, 7]])).run(np.zeros((0, 3, 2), np.uint8))
    assert result.classes.shape == (0,) and result.spikes[1].shape == (0, 3, 1)


@pytest.mark.parametrize("fan_in", [560, 640, 1200])  # sums of a step beyond 2^24, of which two lie below 2^25
def test_sums_beyond_float32_are_exact(fan_in):
    rng = np.random.default_rng(11)
    network = output_of(rng.integers(110, 128, (30, fan_in)), readout="spike_count")
    neuron = replace(network.layers[0].neuron, theta=None)
    network = replace(
        network, in_max=255, readout="potential", layers=(replace(network.layers[0], neuron=neuron),),
    )
    counts = rng.integers(254, 256, (2, 3, fan_in)).astype(np.uint8)
    result = GoldenModel(network).run(counts)
    expected = counts.astype(np.int64).sum(1) @ network.layers[0].weights.T
    assert expected.max() // 3 > 1 << 24 and (expected.max() // 3 < 1 << 25) == (fan_in < 1000)
    assert np.array_equal(result.scores, expected)


@pytest.mark.parametrize("steps", [2, 70])
@pytest.mark.parametrize("leak", [{}, {"leak_num": 32767, "leak_shift": 15}])
def test_membranes_beyond_int32_are_exact(leak, steps):
    """Membranes, or only what a leak makes of them before it shifts."""
    network = output_of(np.full((3, 1200), 127), readout="spike_count", steps=steps)
    layer = network.layers[0]
    layer = replace(layer, neuron=replace(layer.neuron, theta=None, **leak))
    network = replace(network, readout="potential", in_max=255, layers=(layer,))
    scores = GoldenModel(network).run(np.full((1, steps, 1200), 255, np.uint8)).scores
    expected, left = 0, Fraction(leak.get("leak_num", 1), 1 << leak.get("leak_shift", 0))
    for _ in range(steps):
        expected = floor(expected * left) + 1200 * 127 * 255
    assert (expected > 1 << 31) == (steps == 70) and scores.tolist() == [[expected] * 3]


def test_few_spikes_and_many_add_up_to_the_same(monkeypatch):
    rng = np.random.default_rng(13)
    for _ in range(10):
        network = random_network(rng, input_kind="latency", maps=False)
        inputs = random_inputs(rng, network, 9)
        results = []
        for share in (0.0, 1.0):
            monkeypatch.setattr(golden, "FEW", share)
            results.append(GoldenModel(network).run(inputs, membranes=True))
        for left, right in zip(results[0].membranes, results[1].membranes, strict=True):
            assert np.array_equal(left, right)


@pytest.mark.parametrize("wrong, sentence", [
    (np.zeros((2, 3), np.uint8), "inputs must be spike counts of shape (batch, 1…3 steps, 2), not (2, 3)"),
    (np.zeros((2, 4, 2), np.uint8), "inputs must be spike counts of shape (batch, 1…3 steps, 2), not (2, 4, 2)"),
    (np.zeros((2, 0, 2), np.uint8), "inputs must be spike counts of shape (batch, 1…3 steps, 2), not (2, 0, 2)"),
    (np.zeros((2, 3, 2), np.float32), "inputs must be integers, not float32: these are whole, and can be converted"),
    (np.full((2, 3, 2), 2), "inputs must be spike counts 0…1, not 2…2"),
    (np.full((2, 3, 2), -1), "inputs must be spike counts 0…1, not -1…-1"),
])
def test_wrong_events_end_in_a_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        GoldenModel(output_of([[6, 7]])).run(wrong)


@pytest.mark.parametrize("wrong, found", [
    (np.zeros((2, 3), np.uint8), "uint8 of shape (2, 3)"),
    (np.zeros((2, 2), np.int64), "int64 of shape (2, 2)"),
    (np.zeros(2, np.uint8), "uint8 of shape (2,)"),
])
def test_wrong_images_end_in_a_sentence(wrong, found):
    network = replace(output_of([[6, 7]]), input_kind="latency")
    sentence = f"inputs must be uint8 images of shape (batch, 2), not {found}"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        GoldenModel(network).run(wrong)
