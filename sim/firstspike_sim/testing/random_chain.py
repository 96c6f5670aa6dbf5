# SPDX-License-Identifier: MIT
"""Random chains of torch modules, and the comparison of two executors on them, spike for spike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from firstspike_arch.connectivity import Conv2d
from firstspike_arch.fixed import nearest_leak
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_compiler.compile import compile_network
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AvgPoolNd

from ..compare import ALIVE
from ..models.float_reference import run_float
from ..models.golden import GoldenModel

__all__ = ["Fork", "Parting", "alive", "exact_golden_spikes", "features", "fill", "part", "random_chain"]

TIE = 1e-4
"""Relative distance from the threshold up to which float32 and float64 may put a membrane on different sides of it."""


def _dyadic(rng: np.random.Generator, low: int, high: int, shape, unit: float = 1 / 8) -> torch.Tensor:
    return torch.tensor(rng.integers(low, high + 1, size=shape) * unit, dtype=torch.float32)


def fill(rng: np.random.Generator, module: Any, exact: bool) -> Any:
    """Draw the numbers of a module of synapses or normalisation; with ``exact``, float32 computes with them exactly."""
    with torch.no_grad():
        if not exact:
            for name, values in module.state_dict().items():
                if values.is_floating_point():
                    drawn = torch.tensor(rng.normal(0.1, 0.4, tuple(values.shape)), dtype=torch.float32)
                    positive = values.ndim == 1 and name in ("running_var", "weight")
                    values.copy_(drawn.abs() + 0.2 if positive else drawn)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.eps = 0.0
            module.running_var.copy_(torch.tensor(rng.choice([0.25, 1.0, 4.0], module.num_features)))
            module.running_mean.copy_(_dyadic(rng, -2, 2, module.num_features))
            module.weight.copy_(torch.tensor(rng.choice([0.5, 1.0], module.num_features)))
            module.bias.copy_(_dyadic(rng, -1, 2, module.num_features))
        else:
            module.weight.copy_(_dyadic(rng, -4, 6, tuple(module.weight.shape)))
            if module.bias is not None:
                module.bias.copy_(_dyadic(rng, -1, 2, tuple(module.bias.shape)))
    return module


class Fork(nn.Module):
    """Paths side by side, in a ``forward`` of its own.

    Parameters
    ----------
    paths : sequence of sequences of modules
        What a path gives has the shape of what it takes.
    dim : int, optional
        The dimension along which what the paths give is put one behind the other; None: it is added up.
    chain : function
        Makes one module of those of a path.
    """

    def __init__(
        self, paths: Sequence[Sequence[nn.Module]], dim: int | None, chain: Callable[..., nn.Module] = nn.Sequential,
    ):
        super().__init__()
        self.paths, self.dim = nn.ModuleList(chain(*one) for one in paths), dim

    def forward(self, x: torch.Tensor) -> Any:
        return self.meet([path(x) for path in self.paths])

    def meet(self, values: Sequence[torch.Tensor]) -> torch.Tensor:
        """What the paths give, as one."""
        first, second = values
        return first + second if self.dim is None else torch.cat((first, second), self.dim)


def random_chain(
    rng: np.random.Generator, spiking: Callable[[tuple[int, ...]], nn.Module], kinds: Any = nn, *, exact: bool = True,
    fork: Callable[..., Fork] | None = None, spikes_maximum: bool = True,
) -> tuple[list[nn.Module], tuple[int, ...]]:
    """Draw a chain of modules, in evaluation mode; return it with its in_shape.

    Parameters
    ----------
    spiking : function
        Returns a module of neurons for the shape of a number a channel: (N,), (C, 1) or (C, 1, 1).
    kinds
        Namespace with the classes Linear, Conv2d, …: `torch.nn`, or that of a framework.
    exact : bool
        All numbers are multiples of 1/8, so that float32 rounds nothing, and a membrane may be equal to its threshold.
    fork : function, optional
        Makes a `Fork` of paths and a dimension; None: there are none.
    spikes_maximum : bool
        Whether there are maximum pools of spikes.
    """
    hidden, classes = int(rng.integers(4, 9)), int(rng.integers(2, 5))
    if rng.random() < 0.4:
        inputs = int(rng.integers(4, 10))
        modules = [fill(rng, kinds.Linear(inputs, hidden, bias=bool(rng.random() < 0.7)), exact)]
        if rng.random() < 0.5:
            modules.append(fill(rng, kinds.BatchNorm1d(hidden), exact))
        modules.append(spiking((hidden,)))
        if fork is not None and rng.random() < 0.3:
            modules.extend(_paths(rng, spiking, lambda: kinds.Linear(hidden, hidden), exact, fork, (hidden,)))
        shape, whole = (inputs,), False
    else:
        modules, shape, whole = _maps(rng, spiking, kinds, exact, fork, spikes_maximum=spikes_maximum)
        if not whole:
            modules.extend([kinds.Flatten(), kinds.Dropout(0.5)])
    width, *sides = _given(modules, shape)
    if whole:  # the places of the last convolution are the classes
        last = (kinds.Conv1d if len(shape) == 2 else kinds.Conv2d)(width, classes, min(3, *sides), 2)
        modules.extend([fill(rng, last, exact), spiking((classes, *(1 for _ in last.kernel_size)))])
    else:
        modules.extend([fill(rng, kinds.Linear(width, classes), exact), spiking((classes,))])
    for module in modules:
        module.eval()
    return modules, shape


def _given(modules: Sequence[nn.Module], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of what modules give for an input of this shape."""
    probe = torch.zeros(1, *shape)
    for module in modules:
        if isinstance(module, nn.Linear | _ConvNd | _AvgPoolNd | nn.MaxPool2d | nn.Flatten):
            probe = module(probe)
        elif isinstance(module, Fork):
            probe = module.meet([probe, probe])
    return tuple(probe.shape[1:])


def _maps(
    rng: np.random.Generator, spiking: Callable[[tuple[int, ...]], nn.Module], kinds: Any, exact: bool,
    fork: Callable[..., Fork] | None, *, spikes_maximum: bool,
) -> tuple[list[nn.Module], tuple[int, ...], bool]:
    """Draw a convolution of maps or lines with its neurons, and pools around it; the last tells whether another
    convolution may follow."""
    side, channels = int(rng.integers(12, 15)), int(rng.integers(1, 3))
    line, plain = rng.random() < 0.2, rng.random() < 0.5
    modules, shape = [], (channels, side) if line else (channels, side, side)
    normalisation, convolution = (kinds.BatchNorm1d, kinds.Conv1d) if line else (kinds.BatchNorm2d, kinds.Conv2d)
    padding, one = int(rng.integers(0, 2)), (2, 1) if line else (2, 1, 1)
    if rng.random() < 0.3:  # windows apart need a convolution without padding
        modules.append(_average(rng, kinds, line=line, plain=plain or padding > 0, where="front"))
    if plain:
        synapses = convolution(channels, 2, 3, padding=padding)
    elif rng.random() < 0.6 or modules:
        dilation, groups = int(rng.integers(1, 3)), int(rng.choice([1, channels]))
        synapses = convolution(
            channels, 2, 2 if line else (2, 3), padding=padding, dilation=dilation, groups=groups)
    else:
        stride = int(rng.integers(1, 3))
        synapses = (kinds.ConvTranspose1d if line else kinds.ConvTranspose2d)(
            channels, 2, 3, padding=padding, stride=stride, output_padding=int(rng.integers(0, stride)))
    modules.append(fill(rng, synapses, exact))
    if rng.random() < 0.4:
        modules.append(fill(rng, normalisation(2), exact))
    pooled, least = rng.random(), min(_given(modules, shape)[1:])
    if pooled < 0.45 and not line and least > 2:
        modules.append(_maximum(rng, kinds))
    elif pooled < 0.65 and least > 1 and not isinstance(synapses, nn.ConvTranspose1d | nn.ConvTranspose2d):
        modules.append(_average(rng, kinds, line=line, plain=plain, where="currents"))
    modules.append(spiking(one))
    if fork is not None and rng.random() < 0.3:
        modules.extend(_paths(rng, spiking, lambda: convolution(2, 2, 3, padding=1), exact, fork, one))
    whole = rng.random() < 0.25
    if rng.random() < 0.7 and min(_given(modules, shape)[1:]) > 1:
        maxima = spikes_maximum and not line and not isinstance(modules[-1], Fork) and rng.random() < 0.5
        modules.append(kinds.MaxPool2d(2) if maxima else _average(
            rng, kinds, line=line, plain=plain or whole, where="behind"))
    return modules, shape, whole


def _paths(
    rng: np.random.Generator, spiking: Callable[[tuple[int, ...]], nn.Module], synapses: Callable[[], nn.Module],
    exact: bool, fork: Callable[..., Fork], shape: tuple[int, ...],
) -> list[nn.Module]:
    """Draw synapses with a path past them, in front of neurons, or two paths with neurons of their own."""
    if rng.random() < 0.4:
        return [fork([[fill(rng, synapses(), exact)], [nn.Identity()]], None), spiking(shape)]
    dim = None if rng.random() < 0.5 else -len(shape)
    return [fork([[fill(rng, synapses(), exact), spiking(shape)] for _ in range(2)], dim)]


def _maximum(rng: np.random.Generator, kinds: Any) -> nn.Module:
    """Draw a maximum pool of currents."""
    return kinds.MaxPool2d(**[
        {"kernel_size": 2}, {"kernel_size": 2, "stride": 1}, {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": (1, 2)}, {"kernel_size": 3, "ceil_mode": True}, {"kernel_size": 2, "dilation": 2},
    ][int(rng.integers(6))])


def _average(rng: np.random.Generator, kinds: Any, *, line: bool, plain: bool, where: str) -> nn.Module:
    """Draw an average pool in front of a convolution, of its currents, or behind neurons, before dense synapses. Its
    divisors are powers of two."""
    pool = kinds.AvgPool1d if line else kinds.AvgPool2d
    if plain:
        return pool(2)
    made = [lambda: pool(2), lambda: pool(2, stride=1)]
    if where != "front":
        made.append(lambda: pool(2, stride=3))
    if not line:
        made.append(lambda: pool((1, 2)))
    if where == "behind":
        made += [lambda: pool(2, ceil_mode=True), lambda: pool(2, stride=1, padding=1, count_include_pad=False),
                 lambda: pool(4, stride=2, padding=1)]
    return made[int(rng.integers(0, len(made)))]()


def features(modules: Sequence[nn.Module], network: FloatNetwork) -> set[str]:
    """Names of what a chain and its imported network have beside square kernels, pools side by side and one number a
    layer."""
    inside: list[Any] = [one for module in modules for one in module.modules()]
    pools: list[Any] = [one for one in inside if isinstance(one, _AvgPoolNd | nn.LPPool2d)]
    neurons = [layer.neuron for layer in network.layers]
    has = {
        "maximum of currents": any(layer.current_pool is not None for layer in network.layers),
        "delays": any(one.delays is not None for layer in network.layers for one in (layer, *layer.branches)),
        "lasting currents": any(one.current_leak is not None for one in neurons),
        "adaptive thresholds": any(one.adapts for one in neurons),
        "numbers per channel": any(np.ptp(one.leak) > 0 for one in neurons) or any(
            one.theta is not None and (one.theta != one.theta[0]).any() for one in neurons),
        "dilation": any(isinstance(one, _ConvNd) and max(one.dilation) > 1 for one in inside),
        "transposed convolution": any(isinstance(one, nn.ConvTranspose1d | nn.ConvTranspose2d) for one in inside),
        "lines": any(isinstance(one, nn.Conv1d | nn.ConvTranspose1d) for one in inside),
        "other windows of averages": any(
            np.ptp(one.kernel_size) > 0 or one.stride not in (None, one.kernel_size) or one.ceil_mode
            or np.max(getattr(one, "padding", 0)) > 0 for one in pools),
        "recurrence": any(
            branch.source == index for index, layer in enumerate(network.layers) for branch in layer.branches),
        "paths side by side": any(isinstance(one, Fork) for one in inside),
        "signed events": network.in_min < 0,
        "a convolution as the output": isinstance(network.layers[-1].connectivity, Conv2d),
    }
    return {name for name, there in has.items() if there}


def alive(spikes: Sequence[np.ndarray]) -> bool:
    """Whether every layer fires in 2 … 70 % of its neuron-steps."""
    return all(ALIVE[0] <= float((one > 0).mean()) <= ALIVE[1] for one in spikes)


@dataclass(frozen=True, kw_only=True)
class Parting:
    """Differences between two runs in real numbers.

    Parameters
    ----------
    compared : int
        Number of neuron-steps compared.
    ties : int
        Number of inferences whose first difference is at a membrane equal to its threshold up to rounding.
    unexplained : int
        Number of inferences whose first difference is anywhere else.
    """

    compared: int
    ties: int
    unexplained: int


def part(network: FloatNetwork, inputs: np.ndarray, expected: Sequence[np.ndarray]) -> Parting:
    """Compare the spikes [B, T, M] of all layers with those of the float reference.

    Only the first difference of an inference counts, because later ones may be its consequences: it is a tie if every
    neuron that differs, in the first layer and step with a difference, has a membrane within `TIE` of its threshold.
    """
    result = run_float(network, inputs)
    assert len(expected) == len(network.layers), "one spike train a layer"
    steps = [(one != other) for one, other in zip(expected, result.spikes[1:], strict=True)]
    ties = unexplained = 0
    for index in np.flatnonzero(np.any([one.any((1, 2)) for one in steps], axis=0)):
        step, depth = min((int(np.argmax(one[index].any(1))), depth) for depth, one in enumerate(steps)
                          if one[index].any())
        layer, membranes = network.layers[depth], result.membranes[depth][index, step]
        theta = layer.neuron.theta
        assert theta is not None
        theta = np.repeat(theta.reshape(len(theta), -1), len(membranes) // len(theta), axis=0)
        theta = theta + layer.neuron.risen(result.spikes[depth + 1][index, :step])[:, None]
        at_tie = (np.abs(membranes[:, None] - theta) <= TIE * np.maximum(np.abs(theta), np.abs(membranes[:, None]))
                  ).any(1)
        explained = at_tie[steps[depth][index, step]].all()
        ties, unexplained = ties + int(explained), unexplained + int(not explained)
    return Parting(compared=sum(one.size for one in steps), ties=ties, unexplained=unexplained)


def _fine(layer: FloatLayer) -> tuple[FloatLayer, int]:
    """The layer with 8-bit weights and a scale in which all its numbers are whole, and the longest inference that is
    exact."""
    parts = layer, *layer.branches
    pools = [one.connectivity.pool_size if one.average_pool and one.connectivity else 1 for one in parts]
    # An average pool divides weights and scale alike; all other numbers remain whole in the smaller steps, in which
    # the weights of branches may be larger.
    weights = np.concatenate([np.ravel(one.weight) * pools[0] / pool for one, pool in zip(parts, pools, strict=True)])
    values = np.concatenate([weights, *(np.ravel(one) for one in layer.neuron.given().values())])
    whole = next(bits for bits in range(30) if not ((values * 2**bits) % 1).any())
    spare = int(np.floor(np.log2(127 / max(1.0, float(np.abs(weights).max()) * 2**whole))))
    shift = 0
    leaks = (layer.neuron.leak, layer.neuron.current_leak, layer.neuron.rise_leak)
    for leak in (0.0 if one is None else one for one in leaks):
        num, needed = nearest_leak(leak, 8)
        if np.any(num / 2**needed != leak):
            return layer, 0
        shift = max(shift, needed)  # a step's leaks take so many bits together: each number leaks once
    if spare < 0:
        return layer, 0
    longest = 1 << 20 if shift == 0 else spare // shift + (layer.neuron.v_init is None)
    return replace(layer, weight_bits=8, weight_scale=2.0 ** -(whole + (spare if shift else 0))), longest


def exact_golden_spikes(network: FloatNetwork, inputs: np.ndarray) -> list[np.ndarray]:
    """Spikes [B, T, M] of the layers of an ``exact`` chain by the golden model, quantised without rounding.

    T is the number of steps for which 8-bit weights are exact, at most that of the inputs; the list is empty if it is
    0.
    """
    layers, longest = zip(*map(_fine, network.layers), strict=True)
    steps = min(inputs.shape[1], *longest)
    if steps < 1:
        return []
    program = compile_network(replace(network, layers=layers, steps=steps), lanes=1).program
    return list(GoldenModel(program.network).run(inputs[:, :steps]).spikes[1:])
