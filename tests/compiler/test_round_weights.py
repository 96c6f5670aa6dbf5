# SPDX-License-Identifier: MIT
from dataclasses import replace

import firstspike as fs
import numpy as np
import pytest
from firstspike.verb_demo import shipped
from firstspike_arch.checkpoint import CheckpointError, load_network
from firstspike_compiler.errors import CompileError
from firstspike_compiler.round_weights import round_weights
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

HEADER = "firstspike_network"
KINDS = ["ettfs", "diet", "latency", "multi_threshold"]  # a normalisation with gains, average pools, direct input


def sizes(path):
    """Type and first side of each tensor, by name."""
    with safe_open(path, "np") as file:
        parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        return {name: (part.get_dtype(), part.get_shape()[0]) for name, part in parts.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_network_is_smaller_and_compiles_to_the_same_program(kind, tmp_path):
    path = shipped("zoo", f"digits_{kind}.safetensors")
    network, packed = fs.load(path), tmp_path / "packed.safetensors"
    fs.save(round_weights(network), packed)
    weights = [(layer.weight.size, layer.weight_bits) for layer in network.layers]
    assert [sizes(packed)[f"{index}.weight"] for index in range(len(weights))] == [
        ("U8", -(-size * bits // 8)) for size, bits in weights]
    again = fs.load(packed)
    before, now = fs.compile(network, lanes=4).program, fs.compile(again, lanes=4).program
    assert before.digest() == now.digest()
    assert (again.accuracy, again.recipe) == (network.accuracy, network.recipe)
    fs.save(again, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == packed.read_bytes()


def test_branches_and_exponents_are_packed_too(tmp_path):
    network = fs.NetworkBuilder(6, steps=4, readout="spike_count")
    network.layer(np.arange(30).reshape(5, 6) % 7 - 3, theta=9, weight_exponent=2)
    network.branch(np.eye(5, dtype=int), source=0)
    network.layer(np.ones((2, 5), dtype=int), theta=4)
    fs.save(network.build(), tmp_path / "n.safetensors")
    assert {name: dtype for name, (dtype, _) in sizes(tmp_path / "n.safetensors").items() if "weight" in name} == {
        "0.weight": "U8", "0.branch0.weight": "U8", "1.weight": "U8"}
    assert fs.compile(fs.load(tmp_path / "n.safetensors"), lanes=2).program.digest() == fs.compile(
        network.build(), lanes=2).program.digest()


def test_a_network_whose_steps_the_compiler_chooses_is_refused():
    network = fs.load(shipped("zoo", "digits_diet.safetensors"))
    layers = tuple(replace(layer, weight_scale=None) for layer in network.layers)
    with pytest.raises(CompileError, match=r"^layer 0: weight_scale must be one number that training fixed, not None"):
        round_weights(replace(network, layers=layers))


@pytest.mark.parametrize(("old", "new", "sentence"), [
    ('"packed": {"weight": [8, 1, 3, 3]}', '"packed": {"weight": [8, 1, 3, 4]}', "tensor 0.weight must have 72 octets, "
     "for 96 weights of 6 bits, not 54"),
    ('"packed": {"weight": [8, 1, 3, 3]}', '"packed": {"weight": [8, 1, 3, -3]}',
     "layer 0: packed must be shapes of weights, by name, not"),
    ('"packed": {"weight": [8, 1, 3, 3]}', '"packed": {"bias": [8, 1, 3, 3]}',
     r"tensor 0.bias must be packed \(U8\), as its layer says, but is not"),
    ('"packed": {"weight": [8, 1, 3, 3]}', '"packed": {"branch0.weight": [8, 1, 3, 3]}',
     r"tensor 0.branch0.weight must be packed \(U8\), as its layer says, but is missing"),
    ('"packed": {"weight": [8, 1, 3, 3]}, ', "",
     "tensor 0.weight must be float64 or float32, or its layer must say that"),
])
def test_a_header_that_does_not_fit_its_tensors_is_refused(old, new, sentence, tmp_path):
    path = tmp_path / "n.safetensors"
    fs.save(round_weights(fs.load(shipped("zoo", "digits_diet.safetensors"))), path)
    with safe_open(path, "np") as file:
        head = file.metadata()[HEADER]
    assert old in head
    save_file(load_file(path), path, {HEADER: head.replace(old, new, 1)})
    with pytest.raises(CheckpointError, match=sentence):
        load_network(path)
