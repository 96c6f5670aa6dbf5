# SPDX-License-Identifier: MIT
"""FloatNetwork files: what is written is read back; every damage is one sentence."""

import json
import pickle
from dataclasses import fields, replace

import numpy as np
import pytest
from firstspike_arch.checkpoint import HEADER, CheckpointError, load_network, save_network
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_arch.file_kind import file_kind
from firstspike_arch.float_network import FloatBranch, FloatLayer, FloatNetwork
from firstspike_arch.neuron import FloatNeuron
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save

RANDOM = np.random.default_rng(0)
NETWORK = FloatNetwork(
    name="pair", steps=4, readout="weighted_spikes", step_weights=(4, 3, 2, 1), cutoff=9,
    accuracy={"test": 0.5}, recipe={"seed": 1},
    layers=(
        FloatLayer(weight=RANDOM.normal(size=(3, 5)), weight_scale=0.1, weight_bits=5, events=2.5,
                   neuron=FloatNeuron(bias=np.ones(3), theta=np.ones(3), single_spike=True)),
        FloatLayer(weight=RANDOM.normal(size=(2, 3)), gain=np.ones(2), shift=np.zeros(2),
                   neuron=FloatNeuron(theta=np.ones(2), v_min=-4.0)),
    ),
)


MAPS = FloatNetwork(
    name="maps", steps=3, readout="first_spike", input_kind="direct", in_min=-3, in_max=7, input_scale=0.5,
    layers=(
        FloatLayer(weight=RANDOM.normal(size=(2, 1, 3, 3)), neuron=FloatNeuron(
                       bias=np.ones(2), bias_once=True, theta=np.ones(2), theta_fall=np.array([0.0, 0.25, 0.5]),
                       single_spike=True),
                   connectivity=Conv2d(in_shape=(1, 6, 6), channels=2, kernel=(3, 3))),
        FloatLayer(weight=RANDOM.normal(size=(4, 8)), neuron=FloatNeuron(
                       theta=np.array([[1.0, 2.0, 3.0]] * 4), reset_step=np.ones(4), leak=0.5),
                   connectivity=Dense(in_shape=(2, 4, 4), neurons=4, pool=2), average_pool=True,
                   branches=(FloatBranch(source=0, weight=RANDOM.normal(size=(4, 32)),
                                         connectivity=Dense(in_shape=(2, 4, 4), neurons=4)),
                             FloatBranch(source=1, weight=RANDOM.normal(size=(4, 4)),
                                         connectivity=Dense(in_shape=(4,), neurons=4)))),
    ),
)


def parts(path):
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    return load_tensors(raw), json.loads(json.loads(raw[8 : 8 + size])["__metadata__"][HEADER])


LEAKS = replace(NETWORK, layers=(replace(NETWORK.layers[0], neuron=replace(
    NETWORK.layers[0].neuron, leak=np.array([1.0, 0.5, 0.1]))), NETWORK.layers[1]))


DELAYS = replace(MAPS, layers=(MAPS.layers[0], replace(
    MAPS.layers[1], delays=np.arange(32), branches=(
        replace(MAPS.layers[1].branches[0], delays=np.full(32, 4095)), MAPS.layers[1].branches[1]))))


@pytest.mark.parametrize("network", [NETWORK, MAPS, LEAKS, DELAYS])
def test_round_trip(tmp_path, network):
    path = tmp_path / "net.safetensors"
    save_network(path, network)
    read = load_network(path)
    for name in {item.name for item in fields(FloatNetwork)} - {"layers"}:
        assert getattr(read, name) == getattr(network, name)
    for got, want in zip(read.layers, network.layers, strict=True):
        assert_equal(got, want)
    assert list(tmp_path.iterdir()) == [path]


def assert_equal(got, want):
    for name, value in vars(want).items():
        if name == "branches":
            for one, other in zip(got.branches, value, strict=True):
                assert_equal(one, other)
        elif name == "neuron":
            assert_equal(got.neuron, value)
        else:
            assert np.array_equal(getattr(got, name), value), name


@pytest.mark.parametrize(("delays", "sentence"), [
    (np.full(32, 0.5), r"tensor 1.branch0.delays must be whole numbers 0…4095, not 0.5"),
    (np.full(32, 4096), r"tensor 1.branch0.delays must be whole numbers 0…4095, not 4096.0"),
    (np.zeros(4), r"tensor 1.branch0.delays must have shape \(32,\), not \(4,\)"),
])
def test_delays_that_are_none_are_named(tmp_path, delays, sentence):
    last = DELAYS.layers[1]
    wrong = replace(last, branches=(replace(last.branches[0], delays=delays), last.branches[1]))
    with pytest.raises(CheckpointError, match=sentence):
        save_network(tmp_path / "net.safetensors", replace(DELAYS, layers=(DELAYS.layers[0], wrong)))


def test_float32_is_stored_where_it_loses_nothing(tmp_path):
    path = tmp_path / "net.safetensors"
    layers = (replace(NETWORK.layers[0], weight=NETWORK.layers[0].weight.astype(np.float32)), NETWORK.layers[1])
    save_network(path, replace(NETWORK, layers=layers))
    tensors, _ = parts(path)
    assert tensors["0.weight"].dtype == np.float32 and tensors["1.weight"].dtype == np.float64
    assert load_network(path).layers[0].weight.dtype == np.float64


def test_fields_younger_than_a_file_take_their_defaults(tmp_path):
    path = tmp_path / "net.safetensors"
    save_network(path, NETWORK)
    tensors, head = parts(path)
    for name in ("in_min", "in_max", "input_scale"):
        del head[name]
    path.write_bytes(save(tensors, {HEADER: json.dumps(head)}))
    assert load_network(path).input_scale == 1.0
    del head["steps"]
    path.write_bytes(save(tensors, {HEADER: json.dumps(head)}))
    with pytest.raises(CheckpointError, match=r"net\.safetensors: steps must be given"):
        load_network(path)


@pytest.mark.parametrize(("tensor", "value", "sentence"), [
    ("0.theta_fall", np.zeros((3, 1)), r"tensor 0.theta_fall must have shape \(3,\), not \(3, 1\)"),
    ("1.leak", np.ones(4), "layer 1: leak must be a number or a tensor, not both"),
    ("1.theta", np.ones((3, 2)), r"tensor 1.theta must have shape \(4, 2\), not \(3, 2\)"),
    ("1.theta", np.ones((4, 0)), r"tensor 1.theta must have shape \(4,\), not \(4, 0\)"),
    ("1.branch0.weight", np.ones((4, 8)), r"tensor 1.branch0.weight must have shape \(4, 32\), not \(4, 8\)"),
    ("1.branch1.weight", None, "tensor 1.branch1.weight must be there, but is missing"),
    ("1.branch2.weight", np.ones((4, 4)), "tensor 1.branch2.weight must belong to one of the 2 layers"),
])
def test_bad_tensors_of_maps_are_named(tmp_path, tensor, value, sentence):
    path = tmp_path / "net.safetensors"
    save_network(path, MAPS)
    tensors, head = parts(path)
    tensors.pop(tensor, None)
    if value is not None:
        tensors[tensor] = value
    path.write_bytes(save(tensors, {HEADER: json.dumps(head)}))
    with pytest.raises(CheckpointError, match=f"net.safetensors: {sentence}"):
        load_network(path)


@pytest.mark.parametrize(("change", "sentence"), [
    ({"branches": 3}, "layer 1: branches must be a list, not 3"),
    ({"branches": [3]}, "layer 1: must be a table, not 3"),
    ({"branches": [{"source": "x"}]}, "layer 1: source must be .*, not 'x'"),
    ({"branches": [{"source": 0}]}, "layer 1: connectivity must be a table of kind"),
    ({"average_pool": 1}, "layer 1: average_pool must be .*, not 1"),
])
def test_bad_branches_are_named(tmp_path, change, sentence):
    path = tmp_path / "net.safetensors"
    save_network(path, MAPS)
    tensors, head = parts(path)
    head["layers"][1] |= change
    path.write_bytes(save(tensors, {HEADER: json.dumps(head)}))
    with pytest.raises(CheckpointError, match=f"net.safetensors: {sentence}"):
        load_network(path)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncation_is_refused(tmp_path, keep):
    path = tmp_path / "net.safetensors"
    save_network(path, NETWORK)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"net\.safetensors: must be a firstspike network, (whole|not an empty)"):
        load_network(path)


@pytest.mark.parametrize(("tensor", "value", "sentence"), [
    ("0.weight", np.full((3, 5), np.nan), "tensor 0.weight must be finite"),
    ("0.weight", np.zeros((3, 5), dtype=np.int32),
     r"tensor 0.weight must be float64, float32 or packed \(U8\), not I32"),
    ("0.bias", np.ones(4), r"tensor 0.bias must have shape \(3,\), not \(4,\)"),
    ("1.weight", np.ones((2, 4)),
     r"tensor 1.weight must have inputs of the shape \(3,\) that layer 0 gives, not \(4,\)"),
    ("1.weight", np.ones(2), r"tensor 1.weight must have shape \(neurons, inputs\), not \(2,\)"),
    ("1.weight", None, "tensor 1.weight must be there, but is missing"),
    ("2.weight", np.ones((2, 2)), "tensor 2.weight must belong to one of the 2 layers"),
])
def test_bad_tensors_are_named(tmp_path, tensor, value, sentence):
    path = tmp_path / "net.safetensors"
    save_network(path, NETWORK)
    tensors, head = parts(path)
    tensors.pop(tensor, None)
    if value is not None:
        tensors[tensor] = value
    path.write_bytes(save(tensors, {HEADER: json.dumps(head)}))
    with pytest.raises(CheckpointError, match=f"net.safetensors: {sentence}"):
        load_network(path)


@pytest.mark.parametrize(("change", "sentence"), [
    ({"format": 2}, "must be a firstspike network of format 1"),
    ({"steps": "8"}, "steps must be .*int.*, not '8'"),
    ({"steps": 0}, "steps must be at least 1, not 0"),
    ({"readout": "best"}, "readout must be .*first_spike.*, not 'best'"),
    ({"accuracy": {"test": float("nan")}}, "accuracy.test must be a finite number, not nan"),
    ({"step_weights": [1.5]}, r"step_weights\[0\] must be a valid integer, not 1.5"),
    ({"layers": []}, "layers must be a list of at least one layer"),
    ({"layers": [3]}, "layer 0: must be a table, not 3"),
])
def test_bad_fields_are_named(tmp_path, change, sentence):
    path = tmp_path / "net.safetensors"
    save_network(path, NETWORK)
    tensors, head = parts(path)
    path.write_bytes(save(tensors, {HEADER: json.dumps(head | change)}))
    with pytest.raises(CheckpointError, match=sentence):
        load_network(path)


def test_missing_files_and_unwritable_networks(tmp_path):
    with pytest.raises(CheckpointError, match="none: cannot be read: No such file"):
        load_network(tmp_path / "none")
    bad = replace(NETWORK, layers=(replace(NETWORK.layers[0], neuron=FloatNeuron(theta=np.full(3, np.inf))),))
    with pytest.raises(CheckpointError, match=r"tensor 0\.theta must be finite"):
        save_network(tmp_path / "bad", bad)
    with pytest.raises(CheckpointError, match="must be finite and fit JSON"):
        save_network(tmp_path / "bad", replace(NETWORK, accuracy={"test": float("nan")}))
    assert not list(tmp_path.iterdir())


def test_a_length_that_begins_like_a_pickle_is_none(tmp_path):
    for length in (0x80, 0x280, 0x480):
        (tmp_path / "x").write_bytes(length.to_bytes(8, "little")[:5])
        assert file_kind(tmp_path / "x") == ""
    (tmp_path / "x").write_bytes(pickle.dumps([1], 4))
    assert file_kind(tmp_path / "x").startswith("a Python pickle")
