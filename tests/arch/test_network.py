# SPDX-License-Identifier: MIT
"""A network that breaks a rule is refused in one sentence that names the layer and the rule."""

import dataclasses
import re

import numpy as np
import pytest
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_arch.network import Branch, IntegerNetwork, Layer, NetworkError, Neuron

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
    ({"readout": "weighted_spikes", "step_weights": (1 << 70, 2, 1)}, "step_weights must add up to a score below 2^62 "
     "if an output neuron fires in every step, not to about 2^70"),
    ({"layers": (LAYER, LAYER)}, "layer 1 (only): fan-in must have the shape (3,) of layer 0, not (4,)"),
    ({"readout": "potential"}, "layer 0 (only): the output layer of a potential read-out must have no threshold"),
    (layer({"theta": None}), "layer 0 (only): a layer without threshold must be the output of a potential read-out"),
    (layer(weight_bits=9), "layer 0 (only): weight_bits must be 2…8, not 9"),
    (layer(weight_exponent=16), "layer 0 (only): weight_exponent must be 0…15, not 16"),
    (layer(weight_exponent=1.0), "layer 0 (only): weight_exponent must be an integer, not 1.0"),
    (layer(weights=np.zeros((3, 0), int)), "layer 0 (only): weights must have shape (3, 4), not (3, 0)"),
    (layer(weights=LAYER.weights / 2), "layer 0 (only): weights must be integers, not float64"),
    (layer(weight_bits=3), "layer 0 (only): weights must be -4…3 at 3 bits, not -4…7"),
    (layer(weights=LAYER.weights * 0),
     "layer 0 (only): weights must not all be zero; use more weight bits or a smaller scale"),
    (layer({"bias": ZEROS + 0.5}), "layer 0 (only): bias must be integers, not float64"),
    (layer({"v_init": ZEROS[:2]}), "layer 0 (only): v_init must have shape (3,), not (2,)"),
    (layer({"leak_num": 3, "leak_shift": 1}),
     "layer 0 (only): leak must be num/2^shift with 0 ≤ num ≤ 2^shift and shift ≤ 15, not 3/2^1"),
    (layer({"leak_num": np.array([1, 3, 0]), "leak_shift": 1}),
     "layer 0 (only): leak must be num/2^shift with 0 ≤ num ≤ 2^shift and shift ≤ 15, not 3/2^1"),
    (layer({"leak_num": np.array([-1, 3, 0]), "leak_shift": 2}),
     "layer 0 (only): leak must be num/2^shift with 0 ≤ num ≤ 2^shift and shift ≤ 15, not -1/2^2"),
    (layer({"leak_num": np.array([1, 2]), "leak_shift": 2}), "layer 0 (only): leak_num must have shape (3,), not (2,)"),
    (layer({"leak_num": ZEROS + 0.5, "leak_shift": 2}), "layer 0 (only): leak_num must be integers, not float64"),
    (layer({"leak_num": 0.5}), "layer 0 (only): leak_num must be an integer, not 0.5"),
    (layer({"leak_shift": True}), "layer 0 (only): leak_shift must be an integer, not True"),
    (layer({"theta": np.array(5)}), "layer 0 (only): theta must have shape (3, levels), not ()"),
    (layer({"bias": np.full(3, -2**63)}), "layer 0 (only): bias must be within ±2^47, as membranes are"),
    (layer({"v_init": ZEROS + 2**47}), "layer 0 (only): v_init must be within ±2^47, as membranes are"),
    ({"readout": "weighted_spikes", "step_weights": (3, 2.0, 1)}, "step_weights[1] must be an integer, not 2.0"),
    (layer({"reset": "half"}), "layer 0 (only): reset must be subtract, zero or none, not 'half'"),
    (layer({"theta": ZEROS}), "layer 0 (only): theta must be ≥ 1, or above v_init, not 0"),
    (layer({"reset_step": ZEROS - 1}), "layer 0 (only): reset_step must be ≥ 0, not -1"),
    (layer({"v_reset": ZEROS[:2]}), "layer 0 (only): v_reset must have shape (3,), not (2,)"),
    (layer({"v_min": 3, "v_max": 2}), "layer 0 (only): v_min must not exceed v_max, not 3 > 2"),
])
def test_a_broken_rule_is_named(change, sentence):
    with pytest.raises(NetworkError, match=f"^{re.escape(sentence)}$"):
        dataclasses.replace(NETWORK, **change)


THIRD = Dense(in_shape=(3,), neurons=3)
BRANCH = Branch(source=0, weights=np.eye(3, dtype=np.int64), connectivity=THIRD)
SECOND = Layer(name="second", weights=BRANCH.weights, weight_bits=4, neuron=NEURON)
SILENT = dataclasses.replace(NEURON, theta=None)
MAP = Layer(
    name="map", weights=np.ones((2, 2, 1, 1), dtype=np.int64), weight_bits=4,
    connectivity=Conv2d(in_shape=(2, 2, 1), channels=2, kernel=(1, 1)),
    neuron=Neuron(bias=ZEROS[:2], theta=ZEROS[:2] + 5, v_init=ZEROS[:2]))


def second(neuron=None, *, first=LAYER, **branch) -> dict:
    """Two layers, the last with a branch."""
    branches = (dataclasses.replace(BRANCH, **branch),) if branch else ()
    changed = dataclasses.replace(SECOND, neuron=dataclasses.replace(NEURON, **(neuron or {})), branches=branches)
    return {"layers": (first, changed)}


def encoder(fall=(0, 1, 1), *, direct=True, alone=False, **neuron) -> dict:
    """A learned latency encoder, and a layer behind it."""
    options = {"single_spike": True, "bias_once": True, "theta_fall": np.array(fall), **neuron}
    first = dataclasses.replace(LAYER, neuron=dataclasses.replace(NEURON, **options))
    return {"layers": (first,) if alone else (first, SECOND), "input_kind": "direct" if direct else "latency"}


@pytest.mark.parametrize("change", [
    second(source=0), second(source=1), second(source=1, weights=BRANCH.weights * 0),
    second(source=-1, connectivity=Dense(in_shape=(4,), neurons=3), weights=LAYER.weights),
    second(source=0, delays=ZEROS), second(source=0, delays=np.array([0, 9, 4095])), second(source=1, delays=ZEROS + 2),
    encoder(), *({**layer(), "input_kind": kind, "in_min": -256, "in_max": 255} for kind in ("direct", "events")),
    layer({"theta": np.arange(1, 46).reshape(3, 15)}), layer({"theta": np.full((3, 2), 4)}),
])
def test_what_keeps_the_rules_is_a_network(change):
    network = dataclasses.replace(NETWORK, **change)
    assert len(network.edges()) == sum(1 + len(one.branches) for one in network.layers)


@pytest.mark.parametrize(("change", "sentence"), [
    (second(source=2), "layer 1 (second): synapses must come from the layer itself, a layer before it, or the input "
                       "(−1), not from layer 2"),
    (second(source=-2), "layer 1 (second): synapses must come from the layer itself, a layer before it, or the input "
                        "(−1), not from layer -2"),
    (second(source=-1), "layer 1 (second): fan-in must have the shape (4,) of the input, not (3,)"),
    (second(source=0, connectivity=Dense(in_shape=(4,), neurons=3)),
     "layer 1 (second): fan-in must have the shape (3,) of layer 0, not (4,)"),
    (second(source=0, connectivity=Dense(in_shape=(3,), neurons=2)),
     "layer 1 (second): synapses must reach neurons of the shape (3,), not (2,)"),
    (second(source=0, weights=np.ones((3, 2), dtype=np.int64)),
     "layer 1 (second): weights must have shape (3, 3), not (3, 2)"),
    (second(source=0, weights=BRANCH.weights * 8), "layer 1 (second): weights must be -8…7 at 4 bits, not 0…8"),
    (second(source=0, weights=BRANCH.weights / 2), "layer 1 (second): weights must be integers, not float64"),
    ({**second({"theta": None}, source=1), "readout": "potential"},
     "layer 1 (second): recurrent synapses must have spikes to take, but the layer has no threshold"),
    ({"layers": (dataclasses.replace(MAP, branches=(
        Branch(source=0, weights=MAP.weights, connectivity=MAP.connectivity),)), SECOND)},
     "layer 0 (map): recurrent synapses must be dense, of a dense layer"),
    ({**second(source=-1, connectivity=Dense(in_shape=(4,), neurons=3), weights=LAYER.weights),
      "input_kind": "direct"},
     "layer 1 (second): a direct input must go to the first layer only, which must have no branches"),
    ({"layers": (dataclasses.replace(LAYER, branches=(BRANCH,)),), "input_kind": "direct"},
     "layer 0 (only): a direct input must go to the first layer only, which must have no branches"),
    (second(source=0, delays=ZEROS[:2]), "layer 1 (second): delays must have shape (3,), not (2,)"),
    (second(source=0, delays=ZEROS + 0.5), "layer 1 (second): delays must be integers, not float64"),
    (second(source=0, delays=ZEROS - 1), "layer 1 (second): delays must be 0…4095 steps, not -1"),
    (second(source=1, delays=ZEROS + 4096), "layer 1 (second): delays must be 0…4095 steps, not 4096"),
    ({"layers": (dataclasses.replace(LAYER, delays=np.ones(4, dtype=np.int64)),), "input_kind": "direct"},
     "layer 0 (only): delays must be of events, not of a direct input, which is the same in every step"),
    ({"in_min": -1}, "in_min must be −256…0 for events and direct input and 0 for latency, not -1"),
    ({"in_min": -257, "input_kind": "direct"},
     "in_min must be −256…0 for events and direct input and 0 for latency, not -257"),
    ({"in_min": 1, "input_kind": "direct"},
     "in_min must be −256…0 for events and direct input and 0 for latency, not 1"),
    ({"in_max": 0, "input_kind": "direct"}, "in_max must be 1…255, not 0"),
    (layer({"theta": np.arange(1, 49).reshape(3, 16)}), "layer 0 (only): theta must be 1…15 thresholds, not 16"),
    (layer({"theta": np.zeros((3, 0), dtype=np.int64)}), "layer 0 (only): theta must be 1…15 thresholds, not 0"),
    (layer({"theta": np.array([[1, 2], [3, 3], [4, 3]])}),
     "layer 0 (only): theta must ascend from one level to the next"),
    (layer({"theta": np.ones((2, 2), dtype=np.int64)}), "layer 0 (only): theta must have shape (3,), not (2,)"),
    (encoder(direct=False),
     "layer 0 (only): theta_fall must be of the first layer, of a direct input, before another layer"),
    (encoder(alone=True),
     "layer 0 (only): theta_fall must be of the first layer, of a direct input, before another layer"),
    ({**second({"theta_fall": np.zeros(3, dtype=np.int64), "single_spike": True, "bias_once": True}),
      "input_kind": "direct"},
     "layer 1 (second): theta_fall must be of the first layer, of a direct input, before another layer"),
    (encoder((0, 1)), "layer 0 (only): theta_fall must be 3 ascending integers from 0, not array([0, 1])"),
    (encoder((1, 1, 2)), "layer 0 (only): theta_fall must be 3 ascending integers from 0, not array([1, 1, 2])"),
    (encoder((0, 2, 1)), "layer 0 (only): theta_fall must be 3 ascending integers from 0, not array([0, 2, 1])"),
    (encoder((0, 0.5, 1)),
     "layer 0 (only): theta_fall must be 3 ascending integers from 0, not array([0. , 0.5, 1. ])"),
    *((encoder(**wrong), "layer 0 (only): a layer with theta_fall must have single_spike, bias_once and one "
                         "threshold, and no leak, lasting currents, adaptive thresholds or clamps")
      for wrong in ({"single_spike": False}, {"bias_once": False}, {"leak_shift": 1}, {"v_min": -4}, {"v_max": 9},
                    {"theta": np.arange(1, 7).reshape(3, 2)})),
])
def test_a_broken_rule_of_branches_inputs_and_thresholds_is_named(change, sentence):
    with pytest.raises(NetworkError, match=f"^{re.escape(sentence)}$"):
        dataclasses.replace(NETWORK, **change)
