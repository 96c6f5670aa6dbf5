# SPDX-License-Identifier: MIT
"""Wrong spikes and cycles by how leaks round, from fast to slow: `python benchmarks/leaks.py`.

Layers of random weights of 8 bits, real numbers against the integers that they compile to: membranes that round down,
to the nearest, as the compiler chooses, without a leak, and with leaks that are multiplications.
"""

from itertools import product

import firstspike as fs
import numpy as np
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_arch.neuron import FloatNeuron
from firstspike_compiler.compile import Compilation
from firstspike_sim.models.float_reference import run_float
from firstspike_sim.models.prediction import predict_inputs
from table import Row, publish

TAUS = (1.25, 4, 10, 20, 100, 400, 5000)
NEURONS, FAN, INPUTS, RATE, LANES = 20, 40, 12, 0.1, 4
STEPS, THETAS, SEEDS = (10, 100), (1.0, 4.0), range(3)
"""Thresholds in standard deviations of a weight."""


def network_of(tau: float, reset: str, steps: int, theta: float, seed: int, *, leaks: bool = True) -> FloatNetwork:
    weight = np.random.default_rng(seed).normal(0.1, 1, (NEURONS, FAN))
    neuron = FloatNeuron(theta=np.full(NEURONS, theta), reset=reset, leak=1 - 1 / tau if leaks else 1.0)
    return FloatNetwork(name="random", steps=steps, readout="spike_count", input_kind="events",
                        layers=(FloatLayer(weight=weight, neuron=neuron),))


def cycles(compilation: Compilation, inputs: np.ndarray) -> float:
    """Mean cycles of a step."""
    return float(predict_inputs(compilation.program, inputs).trace.decided[-1] / inputs[..., 0].size)


def main() -> None:
    rows = []
    for reset, tau in product(("zero", "subtract"), TAUS):
        found, took, bits = [], [], []
        for steps, theta, seed in product(STEPS, THETAS, SEEDS):
            network = network_of(tau, reset, steps, theta, seed)
            inputs = (np.random.default_rng(seed).random((INPUTS, steps, FAN)) < RATE).astype(np.int64)
            expected = run_float(network, inputs).spikes[1]
            made = [*(fs.compile(network, lanes=LANES, leak_rounding=one) for one in ("floor", "nearest", None)),
                    fs.compile(network_of(tau, reset, steps, theta, seed, leaks=False), lanes=LANES),
                    fs.compile(network, lanes=LANES, multiplies_leaks=True)]
            found.append([100 * np.mean(fs.infer(one.program, inputs).spikes[1] != expected) for one in made])
            took.append([cycles(one, inputs) for one in made])
            bits.append([one.proofs[0].bits for one in made])
        (down, nearest, chosen, none, multiplied), (slow, fast, own, _, one_pass), width = (
            np.mean(one, axis=0) for one in (found, took, bits))
        rows.append(Row(
            what=f"wrong spikes by leaks, reset {reset}, τ = {tau:g} steps", floor=f"≤ {down:.2f} %, rounding down",
            met=chosen <= down and multiplied == chosen and one_pass <= own, measured=(
                f"{chosen:.2f} %; to the nearest {nearest:.2f} %, without a leak {none:.2f} %; "
                f"{own:.1f} cycles a step, with multipliers {one_pass:.1f}, down {slow:.1f}, nearest {fast:.1f}; "
                f"{width[2]:.1f} bits, down {width[0]:.1f}")))
    publish("leaks", rows)


if __name__ == "__main__":
    main()
