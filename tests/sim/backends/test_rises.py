# SPDX-License-Identifier: MIT
"""Adaptive thresholds in hardware, beside all that a step does to a membrane, in all places that hold rows."""

from dataclasses import replace

import numpy as np
import pytest
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_compiler.compile import compile_network
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.compare import ALIVE
from firstspike_sim.models.golden import GoldenModel

LEAKS = {"none": 1, "shift": 0.875, "ratio": [0.625, 1, 0.75, 0.5, 0.25, 0.875, 0.125, 0.9375], "gone": 0}
KINDS = {
    "reset by the rise": {"reset_rise": True, "leak": 0.75},
    "reset by the rise alone": {"reset_rise": True, "reset_step": 0},
    "reset by the rise, and 1": {"reset_rise": True, "reset_step": 1, "bias": [1, 0, 2, 1, -1, 0, 1, 2]},
    "reset to zero": {"reset": "zero"},
    "reset to a value": {"reset": "zero", "v_reset": -3, "leak": 0.5, "current_leak": 0.5, "bias": 1},
    "late reset": {"reset_delay": True, "v_min": -7, "v_max": 60},
    "no reset": {"reset": "none", "leak": 0.625},
    "several thresholds": {"theta": np.arange(8)[:, None] + [9, 14, 25]},
    "several thresholds, and recurrent": {"theta": np.arange(8)[:, None] + [9, 25], "leak": 0.5, "reset": "zero"},
}


def drawn(kind: str, leak: str, seed: int):
    rng, options = np.random.default_rng(seed), dict(KINDS[kind])
    net = NetworkBuilder(6, steps=6, readout="spike_count")
    options.setdefault("theta", np.arange(8) + 9)
    net.layer(rng.integers(-2, 8, (8, 6)), rise_leak=LEAKS[leak], theta_rise=rng.integers(0, 9, 8), **options)
    if "recurrent" in kind:
        net.branch(rng.integers(-3, 4, (8, 8)), source=0)
    net.layer(rng.integers(-2, 5, (2, 8)), theta=6)
    return net.build(), (rng.random((4, 6, 6)) < 0.6).astype(np.uint8)


CASES = [(kind, rows) for kind in KINDS for rows in (1, 2, 8)]
"""One row and two rows of registers, and a memory."""


@pytest.mark.parametrize(("kind", "rows"), [
    pytest.param(*case, marks=[] if number % 4 in (0, 3) else pytest.mark.slow) for number, case in enumerate(CASES)])
def test_every_place_and_kind(kind, rows, agree):
    """With the leaks in turn."""
    at = list(KINDS).index(kind) + rows
    tried = (drawn(kind, list(LEAKS)[at % 4], seed) for seed in range(50))
    network, inputs = next(one for one in tried if rises_matter(*one))
    program = compile_network(network, lanes=[8 // rows, 2], register_rows=2).program
    plan = program.cores[0].plan
    assert (plan.in_one_row, plan.in_registers) == (rows == 1, rows < 8)
    agree(PysimBackend(), program, inputs, seed=rows if at % 2 else None)


def rises_matter(network, inputs) -> bool:
    """Whether the first layer fires, neither rarely nor often, with all magnitudes, and would do so otherwise if its
    thresholds did not rise, or if the reset did not take that."""
    first, spikes = network.layers[0], GoldenModel(network).run(inputs).spikes[1]
    others = [{"theta_rise": 0 * first.neuron.theta_rise}, {"reset_rise": False}][: 1 + first.neuron.reset_rise]
    fires = spikes.max() == first.neuron.levels and ALIVE[0] < float((spikes > 0).mean()) < ALIVE[1]
    return fires and all(
        (GoldenModel(replace(network, layers=(replace(first, neuron=replace(first.neuron, **one)), *network.layers[1:]))
                     ).run(inputs).spikes[1] != spikes).any() for one in others)


def test_a_pool_of_currents_is_as_wide_as_membranes_beside_small_rises(agree):
    rng = np.random.default_rng(0)
    net = NetworkBuilder((2, 3, 4), steps=4, readout="spike_count")
    net.layer(rng.integers(-20, 40, (3, 2, 2, 2)), theta=60, current_pool=2, theta_rise=1, rise_leak=0.5, reset="zero")
    net.layer(rng.integers(-2, 5, (2, 3)), theta=6)
    inputs = (rng.random((4, 4, 24)) < 0.5).astype(np.uint8)
    program = compile_network(net.build(), lanes=[2, 2]).program
    assert ALIVE[0] < GoldenModel(program.network).run(inputs).spikes[1].mean() < ALIVE[1]
    agree(PysimBackend(), program, inputs, seed=None)
