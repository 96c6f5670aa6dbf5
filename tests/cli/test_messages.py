# SPDX-License-Identifier: MIT
"""Whatever is given where something else should be, the message is one short line."""

import inspect
from dataclasses import fields, replace

import firstspike as fs
import numpy as np
import pytest
import torch
from firstspike_arch.array import ArrayConfig
from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.network import IntegerNetwork, Layer
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_arch.neuron import FloatNeuron, Neuron
from firstspike_arch.real_network import real_network
from firstspike_arch.shown import shown
from firstspike_compiler.options import Options
from firstspike_train.neurons import LIF
from torch import nn

LONG = 5000
WRONG = {
    "array": np.arange(LONG) / 7, "map": np.full((3, 40, 40), np.nan), "integers": np.arange(-5, LONG),
    "list": [0.5] * LONG, "numbers": tuple(range(LONG)), "text": "x" * 300, "tensor": torch.arange(LONG) / 3,
    "dictionary": {str(key): key for key in range(LONG)}, "nested": [[1, 2, 3]] * LONG, "large": 10**60,
}


def network() -> IntegerNetwork:
    net = NetworkBuilder(4, steps=3, readout="spike_count", name="small")
    net.layer([[1, 2, -1, 0], [0, 1, 1, 2], [3, 1, 0, 0]], theta=3)
    return net.build()


def of_real(**changes) -> FloatNetwork:
    return replace(real_network(network()), **changes)


def neuron(kind, **changes):
    made = network() if kind is Neuron else of_real()
    layer = made.layers[0]
    return replace(made, layers=(replace(layer, neuron=replace(layer.neuron, **changes)),))


def layer(made, **changes):
    return replace(made, layers=(replace(made.layers[0], **changes),))


def model(**changes) -> FloatNetwork:
    options = {"in_shape": (4,), "steps": 3, "readout": "spike_count", **changes}
    return fs.from_torch(nn.Sequential(nn.Linear(4, 3), LIF(leak=0.5, theta=1.0)), **options)


def built(**changes) -> IntegerNetwork:
    net = NetworkBuilder(4, steps=3, readout="spike_count")
    net.layer(**{"weights": [[1, 2, -1, 0]], "theta": 3, **changes})
    return net.build()


def parameters(function) -> list[str]:
    return [name for name, one in inspect.signature(function).parameters.items()
            if name not in ("self", "neuron") and one.kind is not one.VAR_KEYWORD]


PLACES = {
    **{f"compile {item.name}": lambda value, name=item.name: fs.compile(of_real(), **{name: value})
       for item in fields(Options)},
    **{f"configuration {item.name}": lambda value, name=item.name: fs.compile(network()).program.with_config(
        **{name: value}) for item in fields(ArrayConfig)},
    **{f"real network {item.name}": lambda value, name=item.name: fs.compile(of_real(**{name: value}))
       for item in fields(FloatNetwork)},
    **{f"network {item.name}": lambda value, name=item.name: replace(network(), **{name: value})
       for item in fields(IntegerNetwork)},
    **{f"layer {item.name}": lambda value, name=item.name: layer(network(), **{name: value})
       for item in fields(Layer) if item.name not in ("neuron", "connectivity", "branches")},
    **{f"neuron {item.name}": lambda value, name=item.name: neuron(Neuron, **{name: value}) for item in fields(Neuron)},
    **{f"real neuron {item.name}": lambda value, name=item.name: fs.compile(neuron(FloatNeuron, **{name: value}))
       for item in fields(FloatNeuron)},
    **{f"builder {name}": lambda value, name=name: built(**{name: value})
       for name in [*parameters(NetworkBuilder.layer), "bias", "v_min", "reset", "single_spike"]},
    **{f"from_torch {name}": lambda value, name=name: fs.compile(model(**{name: value}))
       for name in ("in_shape", "steps", "readout", "input_kind", "in_max", "in_min", "input_scale", "step_weights",
                    "weight_scale", "weight_bits", "cutoff", "name")},
}


@pytest.mark.parametrize("place", PLACES)
def test_a_message_is_one_short_line(place):
    for kind, value in WRONG.items():
        try:
            PLACES[place](value)
        except Exception as error:  # whatever it is; only options of commands, which are text, need end in a sentence
            message = str(error)
            assert len(message) < 500 and "\n" not in message, f"{kind}: {message[:600]}"


def test_what_is_short_is_shown_whole():
    for value in (3, 0.5, None, "zero", (1, 2), [0.5, None], np.array([1, 2]), {"a": 1}):
        assert shown(value) == repr(value)
    assert shown(torch.zeros(3)) == "tensor([0., 0., 0.])"
    assert shown(np.zeros((3, 4), np.float32)) == "float32[3, 4]" and shown(torch.zeros(90)) == "float32[90]"
    assert shown(tuple(range(4096))) == "(0, 1, 2, 3, 4, 5, ...)"
    assert len(shown("x" * 5000)) == 80
