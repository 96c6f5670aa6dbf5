# SPDX-License-Identifier: MIT
"""A program file gives the whole program back, whatever kinds of synapses and neurons it has, or says what is wrong."""

import re
from dataclasses import replace

import numpy as np
import pytest
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.program import Program, ProgramError
from firstspike_compiler.compile import compile_network
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
    return found


def test_a_file_gives_the_program_back(tmp_path):
    seen = set()
    for seed in range(40):
        program = program_of(seed)
        program.save(tmp_path / "program.fsp")
        again = Program.load(tmp_path / "program.fsp")
        assert again.config == program.config and again.digest() == program.digest()
        assert again.images() == program.images() and again.network.edges() == program.network.edges()
        for mine, other in zip(again.microcodes(), program.microcodes(), strict=True):
            assert len(mine.passes) == len(other.passes) and np.array_equal(mine.init, other.init)
        seen |= facts(program.network) | {"banks" for plan in program.config.layers if plan.bank_count > 1}
    assert seen == {"latency", "events", "direct", "residual", "recurrent", "encoder", "graded", "banks"}
    assert [path.name for path in tmp_path.iterdir()] == ["program.fsp"]


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


def test_a_plan_must_be_that_of_its_layer():
    program = next(one for one in map(program_of, range(1, 99, 2)) if one.config.layers[0].bank_count > 1)
    plan, *others = program.config.layers
    for wrong in (replace(plan, forwards=False), replace(plan, scattered=False), replace(plan, recurrent=True)):
        with pytest.raises(ProgramError, match=f"^layer 0: plan must be {re.escape(str(plan))}, not "):
            program.with_config(layers=(wrong, *others))
    with pytest.raises(ValueError, match=r"^banks must be \(1, 1\) or \(\d, \d\), not \(9, 9\)$"):
        program.with_config(layers=(replace(plan, banks=(9, 9)), *others))
