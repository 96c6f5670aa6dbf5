# SPDX-License-Identifier: MIT
"""Random chains of torch modules, and what it takes for two executors to agree on them spike for spike.

All numbers are multiples of powers of two, so that float32 rounds nothing; a membrane may meet its threshold exactly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from firstspike_arch.fixed import nearest_leak
from firstspike_arch.model import FloatLayer, FloatNetwork
from firstspike_compiler.compile import compile_network
from firstspike_sim.compare import ALIVE
from firstspike_sim.float_reference import run_float
from firstspike_sim.golden import GoldenModel
from torch import nn

NETWORKS, INPUTS, STEPS, IN_MAX = 20, 10, 6, 2


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tensors here are tiny: threads of torch would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True, kw_only=True)
class Exactness:
    """What was compared: networks, neuron-steps in float, and neuron-steps in integers."""

    networks: int
    real: int
    integer: int
    integer_networks: int


def dyadic(rng: np.random.Generator, low: int, high: int, shape, unit: float = 1 / 8) -> torch.Tensor:
    return torch.tensor(rng.integers(low, high + 1, size=shape) * unit, dtype=torch.float32)


def fill(rng: np.random.Generator, module: nn.Module) -> nn.Module:
    """A module of synapses, or a normalisation, with numbers that float32 computes exactly."""
    with torch.no_grad():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.eps = 0.0
            module.running_var.copy_(torch.tensor(rng.choice([0.25, 1.0, 4.0], module.num_features)))
            module.running_mean.copy_(dyadic(rng, -2, 2, module.num_features))
            module.weight.copy_(torch.tensor(rng.choice([0.5, 1.0], module.num_features)))
            module.bias.copy_(dyadic(rng, -1, 2, module.num_features))
        else:
            module.weight.copy_(dyadic(rng, -4, 6, tuple(module.weight.shape)))
            if module.bias is not None:
                module.bias.copy_(dyadic(rng, -1, 2, tuple(module.bias.shape)))
    return module


def chain(rng: np.random.Generator, spiking: Callable[[], nn.Module], kinds=nn) -> tuple[list[nn.Module], tuple]:
    """Modules and in_shape; ``kinds`` has the classes Linear, Conv2d, …"""
    hidden, classes = int(rng.integers(4, 9)), int(rng.integers(2, 5))
    if rng.random() < 0.4:
        inputs = int(rng.integers(4, 10))
        modules = [fill(rng, kinds.Linear(inputs, hidden, bias=bool(rng.random() < 0.7)))]
        if rng.random() < 0.5:
            modules.append(fill(rng, kinds.BatchNorm1d(hidden)))
        modules.append(spiking())
        shape, width = (inputs,), hidden
    else:
        side, channels = int(rng.integers(12, 15)), int(rng.integers(1, 3))
        modules, shape = [], (channels, side, side)
        if rng.random() < 0.3:
            modules.append(kinds.AvgPool2d(2))
        modules.append(fill(rng, kinds.Conv2d(channels, 2, 3, padding=int(rng.integers(0, 2)))))
        if rng.random() < 0.4:
            modules.append(fill(rng, kinds.BatchNorm2d(2)))
        if rng.random() < 0.3:
            modules.append(kinds.AvgPool2d(2))
        modules.append(spiking())
        if rng.random() < 0.7:
            modules.append(kinds.AvgPool2d(2) if rng.random() < 0.5 else kinds.MaxPool2d(2))
        modules.extend([kinds.Flatten(), kinds.Dropout(0.5)])
        probe = torch.zeros(1, *shape)
        for module in modules:
            same = not isinstance(module, nn.Conv2d | nn.AvgPool2d | nn.MaxPool2d | nn.Flatten)
            probe = probe if same else module(probe)
        width = probe.shape[1]
    modules.extend([fill(rng, kinds.Linear(width, classes)), spiking()])
    for module in modules:
        module.eval()
    return modules, shape


def alive(spikes: Sequence[np.ndarray]) -> bool:
    return all(ALIVE[0] <= float((one > 0).mean()) <= ALIVE[1] for one in spikes)


def fine(layer: FloatLayer) -> tuple[FloatLayer, int]:
    """The layer with 8-bit weights of which each number is a whole number of steps; the longest exact inference."""
    values = np.concatenate([np.ravel(one) for one in (
        layer.weight, layer.bias, layer.theta, layer.reset_step, layer.v_init) if one is not None])
    # An average pool divides weights and steps alike: all else stays a whole number of the smaller steps.
    whole = next(bits for bits in range(30) if not ((values * 2**bits) % 1).any())
    spare = int(np.floor(np.log2(127 / max(1.0, float(np.abs(layer.weight).max()) * 2**whole))))
    num, shift = nearest_leak(layer.leak, 8)
    if spare < 0 or num / 2**shift != layer.leak:
        return layer, 0
    longest = 1 << 20 if shift == 0 else spare // shift + (layer.v_init is None)
    return replace(layer, weight_bits=8, weight_scale=2.0 ** -(whole + (spare if shift else 0))), longest


@pytest.fixture
def exactly():
    """``exactly(draw)``: `NETWORKS` living networks, `INPUTS` inputs each, float and integer.

    ``draw(rng)`` gives the imported network and ``run(inputs[B, T, N]) -> [spikes[B, T, M], …]``, the framework's own.
    """

    def check(draw: Callable) -> Exactness:
        networks = real = integer = integer_networks = 0
        for seed in range(30 * NETWORKS):
            rng = np.random.default_rng(seed)
            network, run = draw(rng)
            size = int(np.prod(network.layers[0].connectivity.in_shape))
            inputs = rng.integers(0, IN_MAX + 1, size=(INPUTS, STEPS, size)) * (rng.random((INPUTS, STEPS, size)) < 0.5)
            with torch.no_grad():
                expected = run(torch.tensor(inputs, dtype=torch.float32))
            if not alive(expected):
                continue
            actual = run_float(network, inputs).spikes[1:]
            assert len(actual) == len(expected)
            for layer, (one, other) in enumerate(zip(expected, actual, strict=True)):
                assert np.array_equal(one, other), f"seed {seed}, layer {layer}"
            real += sum(one.size for one in expected)
            compared = golden_spikes(network, inputs)
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


def golden_spikes(network: FloatNetwork, inputs: np.ndarray) -> list[np.ndarray]:
    """Of the compiled network, as many steps as 8-bit weights leave room for; none if they do not."""
    layers, longest = zip(*map(fine, network.layers), strict=True)
    steps = min(STEPS, *longest)
    if steps < 1:
        return []
    program = compile_network(replace(network, layers=layers, steps=steps), lanes=1).program
    return list(GoldenModel(program.network).run(inputs[:, :steps]).spikes[1:])


@pytest.fixture
def random_chain():
    return chain
