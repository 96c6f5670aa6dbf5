# SPDX-License-Identifier: MIT
"""Random programs and inputs that several tests run; frameworks' own runs against what is imported of them."""

import gc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_arch.program import Program
from firstspike_compiler.compile import compile_network
from firstspike_sim.compare import ALIVE, aliveness
from firstspike_sim.models.float_reference import run_float
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.testing.network_options import varied
from firstspike_sim.testing.random_chain import alive, exact_golden_spikes
from firstspike_sim.testing.random_network import random_inputs
from firstspike_sim.testing.random_program import random_program


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz", type=int, metavar="N", help="damaged inputs for each parser, test_fuzz_parsers.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test marked ``thinned(n)``, the quick tests run every n-th case; if its lists of cases are crossed, those on
    every n-th diagonal, so that each case of each list is among them."""
    seen = Counter()
    for item in items:
        if mark := item.get_closest_marker("thinned"):
            function = item.nodeid.split("[")[0]
            lists = [len(one.args[1]) for one in item.iter_markers("parametrize")]
            if _diagonal(seen[function], lists) % mark.args[0]:
                item.add_marker(pytest.mark.slow)
            seen[function] += 1


def _diagonal(number: int, lists: list[int]) -> int:
    """Sum of the places of a case in its lists, of so many cases each, the last of which runs fastest."""
    diagonal = 0
    for count in reversed(lists):
        number, place = divmod(number, count)
        diagonal += place
    return diagonal + number


NETWORKS, INPUTS, STEPS, IN_MAX = 20, 10, 6, 2
"""Of `exactly`."""


def draw(seed: int, neurons_max: int = 24) -> tuple[Program, np.ndarray]:
    """One program and inputs for eight inferences."""
    rng = np.random.default_rng(seed)
    program = random_program(rng, neurons_max=neurons_max, maps=bool(seed % 2), nearest=seed % 3 == 0,
                             pairs=seed % 4 < 2, skips=seed % 5 > 0)
    return program, random_inputs(rng, program.network, 8)


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


@pytest.fixture(scope="session")
def varied_programs(alive_programs) -> list[tuple[Program, np.ndarray]]:
    """The random programs that CI runs in simulators, with inputs: 25 of 90, in which every option is."""
    programs = alive_programs(0, 90)
    return [programs[index] for index in varied([program for program, _ in programs], 25)]


@pytest.fixture(scope="session")
def lif() -> Program:
    """Leak, bias at every step, soft reset; two rows a core."""
    random = np.random.default_rng(8)

    def layer(name, count, before):
        return Layer(name=name, weight_bits=5, weights=random.integers(-9, 16, (count, before)), neuron=Neuron(
            bias=random.integers(-3, 6, count), theta=np.full(count, 30), v_init=np.zeros(count, int),
            leak_num=7, leak_shift=3, reset="subtract"))

    network = IntegerNetwork(name="lif", layers=(layer("a", 10, 13), layer("b", 6, 10)), readout="spike_count",
                             steps=5, steps_max=5, input_kind="events")
    return compile_network(network, lanes=[5, 3]).program


@pytest.fixture(scope="session")
def rolled_lif(lif) -> Program:
    """The same with other weights and biases."""
    layers = [replace(layer, weights=np.roll(layer.weights, 1, axis=0), neuron=replace(
        layer.neuron, bias=np.roll(layer.neuron.bias, 1))) for layer in lif.network.layers]
    return replace(lif, network=replace(lif.network, layers=tuple(layers)))


@pytest.fixture(scope="session", autouse=True)
def few_collections():
    """What is imported stays, and designs are large: to look for unused objects among them takes a third of a test."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Where tensors are tiny, threads of torch would only wait for each other; in processes that tests start, too."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@dataclass(frozen=True, kw_only=True)
class Exactness:
    """What was compared: networks, neuron-steps in float, and neuron-steps in integers."""

    networks: int
    real: int
    integer: int
    integer_networks: int


@pytest.fixture
def exactly():
    """``exactly(draw)``: `NETWORKS` living networks, `INPUTS` inputs each, float and integer.

    ``draw(rng)`` gives the imported network and ``run(inputs[B, T, N]) -> [spikes[B, T, M], …]``, the framework's own.
    Inputs are 0 … `IN_MAX`, or, if the network's can be negative, all that it takes, times its ``input_scale``.
    """

    def check(draw: Callable) -> Exactness:
        networks = real = integer = integer_networks = 0
        for seed in range(30 * NETWORKS):
            rng = np.random.default_rng(seed)
            network, run = draw(rng)
            size = int(np.prod(network.layers[0].connectivity.in_shape))
            high = network.in_max if network.in_min else IN_MAX
            inputs = rng.integers(network.in_min, high + 1, size=(INPUTS, STEPS, size)) * (
                rng.random((INPUTS, STEPS, size)) < 0.5)
            with torch.no_grad():
                expected = run(torch.tensor(inputs * network.input_scale, dtype=torch.float32))
            if not alive(expected):
                continue
            actual = run_float(network, inputs).spikes[1:]
            assert len(actual) == len(expected)
            for layer, (one, other) in enumerate(zip(expected, actual, strict=True)):
                assert np.array_equal(one, other), f"seed {seed}, layer {layer}"
            real += sum(one.size for one in expected)
            compared = exact_golden_spikes(network, inputs)
            for layer, (one, other) in enumerate(zip(expected, compared, strict=False)):
                assert np.array_equal(one[:, : other.shape[1]], other), f"seed {seed}, layer {layer} in integers"
            integer += sum(one.size for one in compared)
            integer_networks += bool(compared)
            networks += 1
            if networks == NETWORKS:
                break
        result = Exactness(networks=networks, real=real, integer=integer, integer_networks=integer_networks)
        print(result)
        return result

    return check
