# SPDX-License-Identifier: MIT
"""Runs of chains of modules in their own framework, with which imported networks are compared.

Each function takes the modules in order and inputs float32[B, T, N], starts without a state, and returns the spikes
float32[B, T, M] of every layer that the import makes: neurons, and the maximum pools between them.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from firstspike_train.neurons import LIF, SpikingSequential
from torch import nn

__all__ = ["run_firstspike", "run_norse", "run_snntorch", "run_spikingjelly"]


def run_firstspike(modules: Sequence[nn.Module], shape: tuple[int, ...], inputs: torch.Tensor) -> list[np.ndarray]:
    """Run a chain with our own `LIF` and `IF`, all steps at once."""
    x, records = inputs.transpose(0, 1).reshape(inputs.shape[1], inputs.shape[0], *shape), []
    with torch.no_grad():
        for module in modules:
            x = SpikingSequential(module)(x)
            if isinstance(module, LIF | nn.MaxPool2d):
                records.append(x.flatten(2).transpose(0, 1).numpy())
    return records


def run_snntorch(modules: Sequence[nn.Module], shape: tuple[int, ...], inputs: torch.Tensor) -> list[np.ndarray]:
    """Run a chain with snnTorch's `Leaky`, `RLeaky` and `Synaptic`, step by step."""
    import snntorch  # pyright: ignore[reportMissingImports]

    def step(module: nn.Module, x: torch.Tensor, state: tuple | None):
        handed = 1 if isinstance(module, snntorch.Leaky) else 2
        spikes, *after = module(x, *(state or [torch.zeros_like(x)] * handed))
        return spikes, (spikes, *after) if isinstance(module, snntorch.RLeaky) else tuple(after)

    return _run(modules, shape, inputs, (snntorch.Leaky, snntorch.RLeaky, snntorch.Synaptic), step)


def run_norse(modules: Sequence[nn.Module], shape: tuple[int, ...], inputs: torch.Tensor) -> list[np.ndarray]:
    """Run a chain with Norse's cells, step by step."""
    import norse.torch as norse  # pyright: ignore[reportMissingImports]

    cells = (norse.LIFBoxCell, norse.LIFCell, norse.IAFCell)
    return _run(modules, shape, inputs, cells, lambda module, x, state: module(x, state))


def run_spikingjelly(modules: Sequence[nn.Module], shape: tuple[int, ...], inputs: torch.Tensor) -> list[np.ndarray]:
    """Run a chain with SpikingJelly's nodes, in multi-step mode."""
    from spikingjelly.activation_based import functional, neuron  # pyright: ignore[reportMissingImports]

    model = nn.Sequential(*modules)
    functional.set_step_mode(model, "m")
    functional.reset_net(model)
    x, records = inputs.transpose(0, 1).reshape(inputs.shape[1], inputs.shape[0], *shape), []
    with torch.no_grad():
        for module in model:
            x = module(x)
            if isinstance(module, neuron.BaseNode | nn.MaxPool2d):
                records.append(x.flatten(2).transpose(0, 1).numpy())
    return records


def _run(
    modules: Sequence[nn.Module], shape: tuple[int, ...], inputs: torch.Tensor, neurons: tuple[type, ...],
    step: Callable,
) -> list[np.ndarray]:
    states: dict[int, object] = {}
    records: dict[int, list[torch.Tensor]] = {
        index: [] for index, one in enumerate(modules) if isinstance(one, (*neurons, nn.MaxPool2d))}
    with torch.no_grad():
        for time in range(inputs.shape[1]):
            x = inputs[:, time].reshape(-1, *shape)
            for index, module in enumerate(modules):
                if isinstance(module, neurons):
                    x, states[index] = step(module, x, states.get(index))
                else:
                    x = module(x)
                if index in records:
                    records[index].append(x.flatten(1))
    return [torch.stack(one, 1).numpy() for one in records.values()]
