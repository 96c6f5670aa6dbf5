# SPDX-License-Identifier: MIT
"""Random programs and inputs that several tests run."""

from collections.abc import Callable

import numpy as np
import pytest
from firstspike_arch.program import Program
from firstspike_compiler.compile import compile_network
from firstspike_sim.compare import ALIVE, aliveness
from firstspike_sim.golden import GoldenModel
from firstspike_sim.random_network import random_inputs, random_network


def draw(seed: int, neurons_max: int = 24) -> tuple[Program, np.ndarray]:
    """One program and inputs for eight inferences."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, neurons_max=neurons_max, maps=bool(seed % 2))
    bytes_ = network.input_kind == "latency" or (network.input_kind == "direct" and network.in_min in (0, -3) and (
        network.in_max <= 127 or network.in_min == 0))
    program = compile_network(
        network, lanes=[int(rng.integers(1, layer.channels // layer.groups + 1)) for layer in network.layers],
        port=str(rng.choice(["events", "image"])) if bytes_ else "events",
        early_exit=network.earliest_decides and bool(rng.random() < 0.6), register_rows=int(rng.choice([2, 8])),
        winner=str(rng.choice(["tree", "scan"])), kernel_parallel=bool(rng.random() < 0.5),
        bit_serial=network.input_kind == "direct" and network.in_min == 0 and bool(rng.random() < 0.5),
    ).program
    return program, random_inputs(rng, network, 8)


def is_alive(program: Program, inputs: np.ndarray) -> bool:
    """Every layer that has a threshold fires on 2-70 % of its neuron-steps."""
    shares = aliveness(GoldenModel(program.network).run(inputs).spikes)[1:]
    return all(
        ALIVE[0] <= share <= ALIVE[1]
        for share, layer in zip(shares, program.network.layers, strict=True) if layer.neuron.theta is not None
    )


@pytest.fixture(scope="session")
def alive_programs() -> Callable[..., list[tuple[Program, np.ndarray]]]:
    """``alive_programs(first, count)``: random programs, drawn from seeds from ``first`` on, all alive."""

    def collect(first: int, count: int, neurons_max: int = 24) -> list[tuple[Program, np.ndarray]]:
        found: list[tuple[Program, np.ndarray]] = []
        seed = first
        while len(found) < count:
            assert seed < first + 10 * count, "hardly any random network is alive"
            program, inputs = draw(seed, neurons_max)
            if is_alive(program, inputs):
                found.append((program, inputs))
            seed += 1
        return found

    return collect
