# SPDX-License-Identifier: MIT
"""Comparisons of frameworks' own runs with imported networks, in real numbers and in integers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from firstspike_sim.float_reference import run_float
from firstspike_sim.random_chain import alive, exact_golden_spikes

NETWORKS, INPUTS, STEPS, IN_MAX = 20, 10, 6, 2


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tensors here are tiny: threads of torch would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True, kw_only=True)
class Exactness:
    """What was compared: networks, neuron-steps in float, and neuron-steps in integers."""

    networks: int
    real: int
    integer: int
    integer_networks: int


@pytest.fixture
def exactly():
    """``exactly(draw)``: `NETWORKS` living networks, `INPUTS` inputs each, float and integer.

    ``draw(rng)`` gives the imported network and ``run(inputs[B, T, N]) -> [spikes[B, T, M], …]``, the framework's own.
    """

    def check(draw: Callable) -> Exactness:
        networks = real = integer = integer_networks = 0
        for seed in range(30 * NETWORKS):
            rng = np.random.default_rng(seed)
            network, run = draw(rng)
            size = int(np.prod(network.layers[0].connectivity.in_shape))
            inputs = rng.integers(0, IN_MAX + 1, size=(INPUTS, STEPS, size)) * (rng.random((INPUTS, STEPS, size)) < 0.5)
            with torch.no_grad():
                expected = run(torch.tensor(inputs, dtype=torch.float32))
            if not alive(expected):
                continue
            actual = run_float(network, inputs).spikes[1:]
            assert len(actual) == len(expected)
            for layer, (one, other) in enumerate(zip(expected, actual, strict=True)):
                assert np.array_equal(one, other), f"seed {seed}, layer {layer}"
            real += sum(one.size for one in expected)
            compared = exact_golden_spikes(network, inputs)
            for layer, (one, other) in enumerate(zip(expected, compared, strict=False)):
                assert np.array_equal(one[:, : other.shape[1]], other), f"seed {seed}, layer {layer} in integers"
            integer += sum(one.size for one in compared)
            integer_networks += bool(compared)
            networks += 1
            if networks == NETWORKS:
                break
        result = Exactness(networks=networks, real=real, integer=integer, integer_networks=integer_networks)
        print(result)
        return result

    return check
