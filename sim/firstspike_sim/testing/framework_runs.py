# SPDX-License-Identifier: MIT
"""Runs of chains of modules in their own framework, with which imported networks are compared.

Each function takes the modules in order and inputs float32[B, T, N], starts without a state, and returns the spikes
float32[B, T, M] of every layer that the import makes: neurons, and the maximum pools of their spikes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from firstspike_train.neurons import LIF, SpikingSequential
from torch import nn

from .random_chain import Fork

__all__ = ["StateFork", "run_firstspike", "run_norse", "run_sinabs", "run_snntorch", "run_spikingjelly"]


class StateFork(Fork):
    """A `Fork` of Norse's modules, whose states are handed around."""

    def forward(self, x: torch.Tensor, state: Any = None) -> Any:
        states = [None] * len(self.paths) if state is None else state
        given = [path(x, one) for path, one in zip(self.paths, states, strict=True)]
        return self.meet([value for value, _ in given]), [after for _, after in given]


def run_firstspike(modules: Sequence[nn.Module], shape: tuple[int, ...], inputs: torch.Tensor) -> list[np.ndarray]:
    """Run a chain with our own `LIF` and `IF`, all steps at once."""
    return _recorded(SpikingSequential(*modules), (LIF,), shape, inputs)


def run_snntorch(modules: Sequence[nn.Module], shape: tuple[int, ...], inputs: torch.Tensor) -> list[np.ndarray]:
    """Run a chain with snnTorch's `Leaky`, `RLeaky`, `Synaptic` and `RSynaptic`, step by step; their states are handed
    around, or, with ``init_hidden``, kept."""
    import snntorch  # pyright: ignore[reportMissingImports]

    recurrent = (snntorch.RLeaky, snntorch.RSynaptic)
    neurons = (snntorch.Leaky, snntorch.Synaptic, *recurrent)
    chain = nn.Sequential(*modules)
    for one in chain.modules():
        if isinstance(one, neurons):
            one.reset_mem()

    def run(x: torch.Tensor) -> None:
        states: dict[int, tuple] = {}
        for value in x:
            for index, module in enumerate(chain):
                if not isinstance(module, neurons) or module.init_hidden:
                    value = module(value)
                    continue
                handed = 1 + hasattr(module, "syn") + isinstance(module, recurrent)
                spikes, *after = module(value, *states.get(index, [torch.zeros_like(value)] * handed))
                states[index] = (spikes, *after) if isinstance(module, recurrent) else tuple(after)
                value = spikes

    return _recorded(chain, neurons, shape, inputs, run)


def run_norse(modules: Sequence[nn.Module], shape: tuple[int, ...], inputs: torch.Tensor) -> list[np.ndarray]:
    """Run a chain with Norse's cells, step by step."""
    import norse.torch as norse  # pyright: ignore[reportMissingImports]

    chain = norse.SequentialState(*modules)

    def run(x: torch.Tensor) -> None:
        state = None
        for value in x:
            _, state = chain(value, state)

    cells = (norse.LIFBoxCell, norse.LIFCell, norse.LIFRecurrentCell, norse.IAFCell, norse.LSNNCell,
             norse.LSNNRecurrentCell)
    return _recorded(chain, cells, shape, inputs, run)


def run_spikingjelly(modules: Sequence[nn.Module], shape: tuple[int, ...], inputs: torch.Tensor) -> list[np.ndarray]:
    """Run a chain with SpikingJelly's nodes, in multi-step mode."""
    from spikingjelly.activation_based import functional, neuron  # pyright: ignore[reportMissingImports]

    chain = nn.Sequential(*modules)
    functional.set_step_mode(chain, "m")
    functional.reset_net(chain)
    return _recorded(chain, (neuron.BaseNode,), shape, inputs)


def run_sinabs(modules: Sequence[nn.Module], shape: tuple[int, ...], inputs: torch.Tensor) -> list[np.ndarray]:
    """Run a chain with sinabs's layers for squeezed inputs, each inference on its own, all steps at once."""
    import sinabs.layers as layers  # pyright: ignore[reportMissingImports]

    chain, records, kinds = nn.Sequential(*modules), [], (layers.LIF, layers.ALIF)
    neurons: list[Any] = [one for one in chain.modules() if isinstance(one, kinds)]
    for one in inputs:
        for module in neurons:
            module.reset_states()
        records.append(_recorded(chain, kinds, shape, one[None], lambda x: chain(x.flatten(0, 1))))
    return [np.concatenate(layer) for layer in zip(*records, strict=True)]


def _recorded(
    chain: nn.Module, neurons: tuple[type, ...], shape: tuple[int, ...], inputs: torch.Tensor,
    run: Callable[[torch.Tensor], Any] | None = None,
) -> list[np.ndarray]:
    """What neurons and maximum pools behind them give while the chain, or ``run``, takes [T, B, …], in the order in
    which they run."""
    outputs: dict[nn.Module, list[torch.Tensor]] = {}

    def record(module: nn.Module, taken: Any, given: Any) -> None:
        outputs.setdefault(module, []).append(given[0] if isinstance(given, tuple) else given)

    inside = {part for one in chain.modules() if isinstance(one, neurons) for part in one.modules() if part is not one}
    hooks = [one.register_forward_hook(record) for one in chain.modules()
             if isinstance(one, neurons) or not (one in inside or list(one.children()))]
    size, steps = inputs.shape[:2]
    try:
        with torch.no_grad():
            (run or chain)(inputs.transpose(0, 1).reshape(steps, size, *shape))
    finally:
        for hook in hooks:
            hook.remove()
    order = list(outputs)
    fired = [one for one, after in zip(order, [*order[1:], None], strict=True) if isinstance(one, neurons) or (
        isinstance(one, nn.MaxPool2d) and not isinstance(after, neurons))]
    return [torch.cat(outputs[one]).reshape(steps, size, -1).transpose(0, 1).numpy() for one in fired]
