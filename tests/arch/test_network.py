# SPDX-License-Identifier: MIT
"""A network that breaks a rule is refused in one sentence that names the layer and the rule."""

import dataclasses
import re

import numpy as np
import pytest
from firstspike_arch.network import IntegerNetwork, Layer, NetworkError, Neuron

ZEROS = np.zeros(3, dtype=np.int64)
NEURON = Neuron(bias=ZEROS, theta=ZEROS + 5, v_init=ZEROS)
LAYER = Layer(name="only", weights=np.arange(12).reshape(3, 4) - 4, weight_bits=4, neuron=NEURON)
NETWORK = IntegerNetwork(name="good", layers=(LAYER,), readout="spike_count", steps=2, steps_max=3)


def layer(neuron=None, **change) -> dict:
    changed = dataclasses.replace(LAYER, neuron=dataclasses.replace(NEURON, **(neuron or {})), **change)
    return {"layers": (changed,)}


@pytest.mark.parametrize(("change", "sentence"), [
    ({"name": "two\nlines"}, r"name of a network must be 1…80 letters, digits or _ . + -, not 'two\nlines'"),
    (layer(name='a"b'), "name of a layer must be 1…80 letters, digits or _ . + -, not 'a\"b'"),
    ({"layers": ()}, "a network must have at least one layer, not 0"),
    ({"steps": 4}, "steps must be 1 ≤ steps ≤ steps_max ≤ 4096, not steps=4, steps_max=3"),
    ({"steps_max": 5000}, "steps must be 1 ≤ steps ≤ steps_max ≤ 4096, not steps=2, steps_max=5000"),
    ({"input_kind": "sound"}, "input_kind must be 'latency', 'events' or 'direct', not 'sound'"),
    ({"readout": "loudest"}, "readout must be first_spike, weighted_spikes, potential or spike_count, not 'loudest'"),
    ({"in_max": 256}, "in_max must be 1…255, not 256"),
    ({"cutoff": 257}, "cutoff must be 0…256, not 257"),
    ({"readout": "weighted_spikes", "step_weights": (3, 2, 2)},
     "step_weights must be 3 positive, strictly decreasing integers, not (3, 2, 2)"),
    ({"layers": (LAYER, LAYER)}, "layer 1 (only): fan-in must have the shape (3,) of layer 0, not (4,)"),
    ({"readout": "potential"}, "layer 0 (only): the output layer of a potential read-out must have no threshold"),
    (layer({"theta": None}), "layer 0 (only): a layer without threshold must be the output of a potential read-out"),
    (layer(weight_bits=9), "layer 0 (only): weight_bits must be 2…8, not 9"),
    (layer(weights=np.zeros((3, 0), int)), "layer 0 (only): weights must have shape (3, 4), not (3, 0)"),
    (layer(weights=LAYER.weights / 2), "layer 0 (only): weights must be integers, not float64"),
    (layer(weight_bits=3), "layer 0 (only): weights must be -4…3 at 3 bits, not -4…7"),
    (layer(weights=LAYER.weights * 0),
     "layer 0 (only): weights must not all be zero; use more weight bits or a smaller scale"),
    (layer({"bias": ZEROS + 0.5}), "layer 0 (only): bias must be integers, not float64"),
    (layer({"v_init": ZEROS[:2]}), "layer 0 (only): v_init must have shape (3,), not (2,)"),
    (layer({"leak_num": 3, "leak_shift": 1}),
     "layer 0 (only): leak must be num/2^shift with 0 ≤ num ≤ 2^shift and shift ≤ 15, not 3/2^1"),
    (layer({"reset": "half"}), "layer 0 (only): reset must be subtract, zero or none, not 'half'"),
    (layer({"theta": ZEROS}), "layer 0 (only): theta must be ≥ 1, not 0"),
    (layer({"reset_step": ZEROS - 1}), "layer 0 (only): reset_step must be ≥ 0, not -1"),
    (layer({"v_min": 3, "v_max": 2}), "layer 0 (only): v_min must not exceed v_max, not 3 > 2"),
])
def test_a_broken_rule_is_named(change, sentence):
    with pytest.raises(NetworkError, match=f"^{re.escape(sentence)}$"):
        dataclasses.replace(NETWORK, **change)
