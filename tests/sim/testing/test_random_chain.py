# SPDX-License-Identifier: MIT
"""The comparison with a framework's run can fail, and tells a float tie from anything else."""

import numpy as np
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_arch.neuron import FloatNeuron
from firstspike_sim.models.float_reference import run_float
from firstspike_sim.testing.random_chain import Parting, part


def test_a_difference_is_a_tie_only_at_the_threshold():
    layers = (FloatLayer(weight=np.array([[1.0, 0.0], [0.0, 1.0]]),
                         neuron=FloatNeuron(theta=np.array([1.00001, 2.0]), reset="zero")),
              FloatLayer(weight=np.eye(2), neuron=FloatNeuron(theta=np.ones(2), reset="zero")))
    network = FloatNetwork(name="x", steps=3, readout="spike_count", input_kind="events", layers=layers)
    inputs = np.array([[[1, 1], [0, 0], [1, 1]]] * 2)
    spikes = run_float(network, inputs).spikes[1:]
    assert part(network, inputs, spikes) == Parting(compared=24, ties=0, unexplained=0)
    # Neuron 0 is at its threshold in step 0 of inference 0: what layer 1 does then is a consequence.
    rounded = [one.copy() for one in spikes]
    rounded[0][0, 0, 0] = rounded[1][0, 0, 0] = 1
    assert part(network, inputs, rounded) == Parting(compared=24, ties=1, unexplained=0)
    # Neuron 1 is a whole unit below its own; in inference 1, a neuron of layer 1 is exactly at its.
    wrong = [one.copy() for one in rounded]
    wrong[0][0, 0, 1] = 1
    wrong[1][1, 2, 1] = 0
    assert part(network, inputs, wrong) == Parting(compared=24, ties=1, unexplained=1)
