# SPDX-License-Identifier: MIT
"""A program file gives the whole program back, whatever kinds of synapses and neurons it has, or says what is wrong."""

import re
from dataclasses import replace

import numpy as np
import pytest
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_arch.program import Program, ProgramError
from firstspike_arch.status import MEMORIES_MAX
from firstspike_compiler.compile import compile_network
from firstspike_compiler.errors import CompileError
from firstspike_sim.testing.random_network import random_network


def program_of(seed: int) -> Program:
    network = random_network(np.random.default_rng(seed), maps=bool(seed % 2))
    return compile_network(network, lanes=2, kernel_parallel=True).program


def facts(network: IntegerNetwork) -> set[str]:
    """Which kinds of things are in a network."""
    found = {network.input_kind}
    for index, layer in enumerate(network.layers):
        found |= {"recurrent" if branch.source == index else "residual" for branch in layer.branches}
        found |= {"encoder"} if layer.neuron.theta_fall is not None else set()
        found |= {"graded"} if layer.neuron.levels > 1 else set()
        found |= {"pooled"} if layer.current_pool is not None else set()
    return found


def test_a_file_gives_the_program_back(tmp_path):
    seen = set()
    for seed in range(60):
        program = program_of(seed)
        program.save(tmp_path / "program.fsp")
        again = Program.load(tmp_path / "program.fsp")
        assert again.config == program.config and again.digest() == program.digest()
        assert again.images() == program.images() and again.network.edges() == program.network.edges()
        for mine, other in zip(again.cores, program.cores, strict=True):
            assert mine.hardware() == other.hardware() and mine.memories == other.memories
        seen |= facts(program.network) | {"banks" for core in program.cores if core.plan.bank_count > 1}
    assert seen == {"latency", "events", "direct", "residual", "recurrent", "encoder", "graded", "banks", "pooled"}
    assert [path.name for path in tmp_path.iterdir()] == ["program.fsp"]


def test_options_at_their_defaults_change_no_digest():
    """So builds stay valid when the compiler gets a new option."""
    program = compile_network(random_network(np.random.default_rng(3)), lanes=1).program
    config = program._describe()[0]["config"]
    assert set(config) == {"layers"} and all(
        set(options) <= {"lanes", "membrane_bits", "current_bits", "banks"} for options in config["layers"])
    first, *others = program.config.layers
    changed = program.with_config(layers=(replace(first, register_rows=2), *others), timeout=9)
    config = changed._describe()[0]["config"]
    assert config["layers"][0]["register_rows"] == 2 and config["timeout"] == 9 and changed.digest() != program.digest()


def test_every_number_of_a_program_is_in_its_digest():
    for seed in range(40):
        program = program_of(seed)
        for index, layer in enumerate(program.network.layers):
            for branch in layer.branches:
                other = replace(branch, weights=np.roll(branch.weights, 1))
                layers = list(program.network.layers)
                layers[index] = replace(layer, branches=tuple(
                    other if one is branch else one for one in layer.branches))
                changed = replace(program, network=replace(program.network, layers=tuple(layers)))
                assert changed.digest() != program.digest() or np.array_equal(other.weights, branch.weights)


def test_options_must_fit_their_layer():
    program = next(one for one in map(program_of, range(1, 99, 2)) if one.cores[0].plan.bank_count > 1)
    options, *others = program.config.layers
    where = rf"^layer 0 \({re.escape(program.network.layers[0].name)}\)"
    with pytest.raises(ProgramError, match=rf"{where}: banks must be \(1, 1\) to \(\d, \d\), not \(9, 9\)$"):
        program.with_config(layers=(replace(options, banks=(9, 9)), *others))
    with pytest.raises(ProgramError, match=rf"{where}: lanes must be 1…\d+ \(the channels of a group\), not 99$"):
        program.with_config(layers=(replace(options, lanes=99), *others))
    with pytest.raises(ProgramError, match=r"^config must have options for each of the \d layers, not 1$"):
        program.with_config(layers=(options,))


def test_the_same_hardware_has_the_same_architecture():
    """Other weights, scales and names are the same hardware; an option, a threshold or a source is not."""
    for seed in range(20):
        program = program_of(seed)
        layers = list(program.network.layers)
        layers[-1] = replace(layers[-1], name="other", scale=7.0, weights=np.roll(layers[-1].weights, 1))
        same = replace(program, network=replace(program.network, name="other", layers=tuple(layers)))
        assert same.architecture() == program.architecture() and same.digest() != program.digest()
        assert [core.hardware() for core in same.cores] == [core.hardware() for core in program.cores]
        options = program.config.layers[-1]
        wider = (*program.config.layers[:-1], replace(options, membrane_bits=options.membrane_bits + 1))
        assert program.with_config(layers=wider).architecture() != program.architecture()
        if len(layers) == 1:
            continue
        neuron = layers[0].neuron  # a hidden layer has thresholds
        layers[0] = replace(layers[0], neuron=replace(neuron, theta=neuron.theta + 1))
        other = replace(program, network=replace(program.network, layers=tuple(layers)))
        assert other.architecture() != program.architecture()


def chain(depth: int) -> IntegerNetwork:
    net = NetworkBuilder(2, steps=2, readout="spike_count")
    for _ in range(depth):
        net.layer([[1, 1], [1, 0]], theta=1)
    return net.build()


def test_every_memory_has_a_number_of_its_own():
    program = compile_network(chain(MEMORIES_MAX), lanes=1).program
    assert len(np.unique(program.port_words() >> np.uint64(56))) == MEMORIES_MAX
    with pytest.raises(CompileError, match=r"^a program must have at most 255 layers, whose memories the program port "
                                           r"can name, not 256$"):
        compile_network(chain(MEMORIES_MAX + 1), lanes=1)


def test_every_weight_has_an_address():
    net = NetworkBuilder(4200, steps=2, readout="potential")
    net.layer(np.ones((4200, 4200), np.int8))
    with pytest.raises(CompileError, match=r"^layer 0 \(dense0\): weights must lie at 2\^24 addresses of the program "
                                           r"port, not 34414592: give it more lanes, whose words are fewer and wider$"):
        compile_network(net.build(), lanes=1)
