# SPDX-License-Identifier: MIT
"""A network whose scores stand for step weights."""

import numpy as np
import pytest
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_arch.program import Program
from firstspike_compiler.compile import compile_network


@pytest.fixture(scope="session")
def weighted() -> Program:
    random = np.random.default_rng(3)
    layer = Layer(name="dense", weight_bits=4, weights=random.integers(-3, 8, (70, 20)), neuron=Neuron(
        bias=np.zeros(70, int), theta=random.integers(8, 24, 70), v_init=np.zeros(70, int), single_spike=True))
    network = IntegerNetwork(name="weighted", layers=(layer,), readout="weighted_spikes", steps=6, steps_max=6,
                             step_weights=(32, 17, 9, 4, 2, 1))
    return compile_network(network, lanes=[10]).program
