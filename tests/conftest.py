# SPDX-License-Identifier: MIT
"""Random programs and inputs that several tests run."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from firstspike_arch.network import DenseLayer, IntegerNetwork, Neuron
from firstspike_arch.program import Program
from firstspike_compiler.compile import compile_network
from firstspike_sim.compare import ALIVE, aliveness
from firstspike_sim.golden import GoldenModel

READOUTS = ("first_spike", "weighted_spikes", "potential", "spike_count")


def random_neuron(random: np.random.Generator, count: int, *, single_spike: bool, output: bool, bits: int) -> Neuron:
    """Any neuron that dense layers allow, thresholds low enough to fire."""
    limit = 2 ** (bits - 1) - 1
    shift = int(random.integers(0, 6))
    num = int(random.choice([1 << shift, (1 << shift) - 1, int(random.integers(0, (1 << shift) + 1))]))
    theta = random.integers(limit + 1, 3 * limit + 2, count)
    options = {}
    if random.random() < 0.3:
        options["v_min"] = -int(random.integers(0, 2 * limit))
    if random.random() < 0.3:
        options["v_max"] = int(random.integers(limit, 4 * limit))
    if random.random() < 0.3:
        options["reset_step"] = np.maximum(theta - random.integers(0, 2, count), 0)
    return Neuron(
        theta=None if output else theta, bias=random.integers(-limit // 2, limit + 1, count),
        v_init=random.integers(-2, 3, count), leak_num=num, leak_shift=shift,
        reset=str(random.choice(["subtract", "zero", "none"])), reset_delay=bool(random.random() < 0.3),
        single_spike=single_spike and not output, bias_once=bool(random.random() < 0.3), **options,
    )


def draw(seed: int) -> tuple[Program, np.ndarray]:
    """One program and inputs for eight inferences."""
    random = np.random.default_rng(seed)
    steps = int(random.choice([1, 2, 4, 6]))
    readout = str(random.choice(READOUTS))
    single = bool(random.random() < 0.4)
    kind = str(random.choice(["latency", "events"]))
    sizes = [int(random.integers(6, 26)), *(int(random.integers(4, 24)) for _ in range(random.integers(1, 3))), 4]
    layers = []
    for index, (before, count) in enumerate(pairwise(sizes)):
        bits = int(random.integers(2, 6))
        limit = 2 ** (bits - 1) - 1
        silent = index == len(sizes) - 2 and readout == "potential"
        layers.append(DenseLayer(
            name=f"dense{index}", weight_bits=bits, weights=random.integers(-limit // 2, limit + 1, (count, before)),
            neuron=random_neuron(random, count, single_spike=single, output=silent, bits=bits),
        ))
    network = IntegerNetwork(
        name=f"random{seed}", layers=tuple(layers), readout=readout, steps=steps, steps_max=steps, input_kind=kind,
        in_max=2 if kind == "events" else 1, step_weights=tuple(range(steps, 0, -1)),
    )
    port = str(random.choice(["events", "image"])) if kind == "latency" else "events"
    lanes = [int(random.integers(1, layer.fan_out + 1)) for layer in layers]
    program = compile_network(
        network, lanes=lanes, port=port, early_exit=network.early_exit_exact and bool(random.random() < 0.6),
        register_rows=int(random.choice([2, 8])), winner=str(random.choice(["tree", "scan"])),
    ).program
    if kind == "latency":
        return program, random.integers(0, 256, (8, sizes[0])).astype(np.uint8)
    return program, (random.random((8, steps, sizes[0])) < 0.25).astype(np.uint8) * random.integers(
        1, 3, (8, steps, sizes[0])).astype(np.uint8)


def is_alive(program: Program, inputs: np.ndarray) -> bool:
    """Every layer that has a threshold fires on 2-70 % of its neuron-steps."""
    shares = aliveness(GoldenModel(program.network).run(inputs).spikes)[1:]
    return all(
        ALIVE[0] <= share <= ALIVE[1]
        for share, layer in zip(shares, program.network.layers, strict=True) if layer.neuron.theta is not None
    )


@pytest.fixture(scope="session")
def alive_programs() -> Callable[[int, int], list[tuple[Program, np.ndarray]]]:
    """``alive_programs(first, count)``: random programs, drawn from seeds from ``first`` on, all alive."""

    def collect(first: int, count: int) -> list[tuple[Program, np.ndarray]]:
        found: list[tuple[Program, np.ndarray]] = []
        seed = first
        while len(found) < count:
            assert seed < first + 40 * count, "hardly any random network is alive"
            try:
                program, inputs = draw(seed)
            except ValueError as error:  # weights that came out as zeros, say: not a network
                assert "weights" in str(error) or "bias" in str(error), error
            else:
                if is_alive(program, inputs):
                    found.append((program, inputs))
            seed += 1
        return found

    return collect
