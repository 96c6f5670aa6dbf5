# SPDX-License-Identifier: MIT
"""Share of wrong spikes that integers cost, by how scales are chosen: `python benchmarks/scales.py`.

Layers of random weights, real numbers against the integers that they compile to. Beside the compiler's scales: the
least squared error of the weights alone, and that moved to make thresholds whole. And weights that are whole already,
as quantisation-aware training leaves them, by the compiler and by the least squared error.
"""

from itertools import product

import firstspike as fs
import numpy as np
from firstspike_arch.fixed import quantise, weight_scale
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_arch.neuron import FloatNeuron
from firstspike_sim.models.float_reference import run_float
from table import Row, publish

NEURONS, INPUTS, RATE = 32, 16, 0.1
FANS, STEPS, BITS, LEAKS = (16, 64, 128), (8, 50), (3, 4, 8), (1.0, 0.9, 0.5)
THETAS = (0.3, 0.6, 1.4, 2.4, 3.5, 10.45)
"""Thresholds, in steps of the least squared error."""


def least_squares(weight: np.ndarray, bits: int) -> float:
    scales = weight_scale(np.abs(weight).max(), bits) * np.linspace(0.15, 1, 52)
    return min(scales.tolist(), key=lambda one: float(np.square(quantise(weight, one, bits) * one - weight).sum()))


def wrong(network: FloatNetwork, inputs: np.ndarray, scale: float | None) -> float:
    """Percentage of neuron-steps that differ from real numbers."""
    golden = fs.infer(fs.compile(network, weight_scale=scale, lanes=1).program, inputs)
    return 100 * float(np.mean(golden.spikes[1] != run_float(network, inputs).spikes[1]))


def main() -> None:
    rows = []
    for reset in ("zero", "subtract"):
        for leak in LEAKS:
            found = []
            for seed, (fan, steps, bits, theta) in enumerate(product(FANS, STEPS, BITS, THETAS)):
                random = np.random.default_rng(seed)
                weight = random.normal(0.3 * (seed % 2), 1, (NEURONS, fan))
                step = least_squares(weight, bits)
                neuron = FloatNeuron(theta=np.full(NEURONS, theta * step), reset=reset, leak=leak)
                network = FloatNetwork(name="random", steps=steps, readout="spike_count", input_kind="events", layers=(
                    FloatLayer(weight=weight, weight_bits=bits, neuron=neuron),))
                inputs = (random.random((INPUTS, steps, fan)) < RATE).astype(np.int64)
                whole = theta * step / max(1, round(theta))
                found.append([wrong(network, inputs, scale) for scale in (None, step, whole)])
            ours, squares, moved = np.mean(found, axis=0)
            rows.append(Row(
                what=f"wrong spikes by quantising, reset {reset}, leak {leak}",
                floor=f"≤ {min(moved, squares):.2f} %", met=ours <= min(moved, squares), measured=(
                    f"{ours:.2f} %; by the weights alone {squares:.2f} %, thresholds whole {moved:.2f} %")))
    found = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        step = np.float32(random.uniform(0.02, 0.2))
        weight = (random.integers(-8, 8, (NEURONS, 40)).astype(np.float32) * step).astype(np.float64)
        network = FloatNetwork(name="trained", steps=8, readout="spike_count", input_kind="events", layers=(
            FloatLayer(weight=weight, weight_bits=4, neuron=FloatNeuron(
                theta=np.full(NEURONS, 10.5 * step), reset="zero")),))
        inputs = (random.random((INPUTS, 8, 40)) < RATE).astype(np.int64)
        found.append([wrong(network, inputs, scale) for scale in (None, least_squares(weight, 4))])
    ours, squares = np.mean(found, axis=0)
    rows.append(Row(what="wrong spikes of 4 bits by quantisation-aware training", floor="0 %",
                    measured=f"{ours:.2f} %; by least squares {squares:.2f} %", met=ours == 0))
    publish("scales", rows)


if __name__ == "__main__":
    main()
