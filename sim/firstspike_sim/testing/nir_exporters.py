# SPDX-License-Identifier: MIT
"""Random networks of the frameworks that export to NIR: their own graph, and their own run.

What a framework's exporter cannot write, such as a convolution of one that writes no Flatten, is not drawn. Weights are
multiples of 1/8, and most leaks powers of two, so that float32 computes with them exactly.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from .framework_runs import run_norse, run_spikingjelly
from .random_chain import alive

__all__ = ["EXPORTERS", "Exported", "draw_alive"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Exported:
    """A network and what is known of it.

    Parameters
    ----------
    graph : nir.NIRGraph
        As the framework's exporter made it.
    options : dict
        Those of `load_nir` that it needs, beside steps and read-out.
    modules : sequence of modules
        In the order in which they run.
    shape : tuple
        Of the input of one step.
    run : function
        Inputs float32[B, T, N] → spikes float32[B, T, M] of every layer, by the framework itself.
    """

    graph: Any
    options: dict[str, Any]
    modules: Sequence[Any]
    shape: tuple[int, ...]
    run: Callable[[torch.Tensor], list[np.ndarray]]


def _drawn(rng: np.random.Generator, module: Any, low: int = -4, high: int = 6) -> Any:
    with torch.no_grad():
        for values, ends in ((module.weight, (low, high)), (module.bias, (-1, 2))):
            if values is not None:
                values.copy_(torch.tensor(rng.integers(ends[0], ends[1] + 1, tuple(values.shape)) / 8))
    return module


def _chain(
    rng: np.random.Generator, spiking: Callable[[tuple[int, ...]], Any], kinds: Any = nn, *, maps: bool = True,
    flat: bool = True, lines: bool = False, pools: Sequence[Callable[[], Any]] = (), bias: bool = True,
) -> tuple[list[Any], tuple[int, ...]]:
    """Modules in order, and the shape of their input; ``spiking`` makes neurons of a shape.

    Parameters
    ----------
    maps, flat, lines : bool
        Whether there are convolutions, dense synapses behind them, and convolutions of lines.
    pools : sequence of functions
        Make pools, of which the first is 2 × 2, side by side.
    """
    hidden, classes = int(rng.integers(4, 9)), int(rng.integers(2, 5))
    if not maps or rng.random() < 0.4:
        inputs = int(rng.integers(4, 10))
        modules = [_drawn(rng, kinds.Linear(inputs, hidden, bias=bias)), spiking((hidden,)),
                   _drawn(rng, kinds.Linear(hidden, classes, bias=bias)), spiking((classes,))]
        return modules, (inputs,)
    size, channels, wide = int(rng.choice([6, 8])), int(rng.integers(1, 3)), int(rng.integers(1, 3))
    line, whole = lines and rng.random() < 0.4, not flat or rng.random() < 0.3
    convolution, sides = (kinds.Conv1d, (size,)) if line else (kinds.Conv2d, (size, size))
    modules = [_drawn(rng, convolution(channels, 2, 3, padding=wide, dilation=wide)), spiking((2, *sides))]
    probe = torch.zeros(1, 2, *sides)
    if pools and not line and rng.random() < 0.6:
        modules.append(pools[0 if whole else int(rng.integers(len(pools)))]())
        probe = modules[-1](probe)
    if whole:
        synapses = _drawn(rng, convolution(2, classes, 3))
        return [*modules, synapses, spiking(tuple(synapses(probe).shape[1:]))], (channels, *sides)
    modules += [kinds.Flatten(), _drawn(rng, kinds.Linear(probe[0].numel(), classes)), spiking((classes,))]
    return modules, (channels, *sides)


def _numbers(rng: np.random.Generator, shape: tuple[int, ...], each: bool, *choices: float) -> torch.Tensor:
    """One of the choices for all neurons of a shape, or with ``each`` one for each channel, as a tensor of the
    shape."""
    drawn = torch.tensor(rng.choice(choices, shape[:1] if each else ()), dtype=torch.float32)
    return drawn.reshape(drawn.shape + (1,) * max(0, len(shape) - 1)).expand(shape).clone()


def _stepwise(modules: Sequence[Any], shape: tuple[int, ...], inputs: torch.Tensor, fires: Callable[[Any], bool],
              step: Callable) -> list[np.ndarray]:
    """Run step by step; ``step(module, x, state) -> (spikes, state)`` of modules that fire, from a state of None."""
    states: dict[int, Any] = {}
    records: dict[int, list[torch.Tensor]] = {index: [] for index, one in enumerate(modules) if fires(one)}
    with torch.no_grad():
        for time in range(inputs.shape[1]):
            x = inputs[:, time].reshape(-1, *shape)
            for index, module in enumerate(modules):
                if index in records:
                    x, states[index] = step(module, x, states.get(index))
                    records[index].append(x.flatten(1))
                else:
                    x = module(x)
    return [torch.stack(one, 1).numpy() for one in records.values()]


def snntorch(rng: np.random.Generator) -> Exported:
    """`Leaky`, `Synaptic`, `RLeaky` and `RSynaptic`, whose reset is one step late unless told otherwise."""
    import snntorch as snn  # pyright: ignore[reportMissingImports]
    from snntorch.export_nir import export_to_nir  # pyright: ignore[reportMissingImports]

    reset, recurrent = str(rng.choice(["subtract", "subtract", "zero"])), bool(rng.random() < 0.4)
    # RLeaky that zeroes one step late takes an input away, and what subtracts at once takes twice: both are no resets.
    late, each = reset == "subtract", bool(rng.random() < 0.5)
    # RSynaptic always zeroes one step late.
    lasts = bool(rng.random() < 0.5) and not (recurrent and reset == "zero")

    def spiking(shape: tuple[int, ...]) -> Any:
        numbers: dict[str, Any] = {
            "reset_mechanism": reset, "reset_delay": late, "init_hidden": True,
            "beta": _numbers(rng, shape, each, 0.0, 0.5, 0.75, 0.9, 1.0),
            "threshold": _numbers(rng, shape, each, 0.5, 1.0, 1.75)}
        if lasts:
            numbers["alpha"] = _numbers(rng, shape, each, 0.0, 0.25, 0.5, 0.75)
        if len(shape) > 1 or not recurrent:
            return (snn.Synaptic if lasts else snn.Leaky)(**numbers)
        kind = snn.RSynaptic if lasts else snn.RLeaky
        if rng.random() < 0.5:
            module = kind(**numbers, linear_features=int(np.prod(shape)))
            _drawn(rng, module.recurrent, -3, 3)
            return module
        weights: Any = torch.tensor(rng.integers(-4, 5, shape) / 8, dtype=torch.float32)
        return kind(**numbers, all_to_all=False, V=weights)

    modules, shape = _chain(rng, spiking, maps=not recurrent, pools=[
        lambda: nn.AvgPool2d(2), lambda: nn.AvgPool2d((1, 2)), lambda: nn.AvgPool2d(2, 1)])
    graph = export_to_nir(nn.Sequential(*modules), torch.zeros(1, *shape), ignore_dims=[0])

    def step(module: Any, x: torch.Tensor, state: tuple | None) -> tuple[torch.Tensor, tuple]:
        module.init_hidden, back = False, hasattr(module, "recurrent")
        spikes, *after = module(x, *(state or [torch.zeros_like(x)] * (1 + back + hasattr(module, "syn"))))
        return spikes, (spikes, *after) if back else tuple(after)

    options = {"reset": reset, "strict": True} | (
        {"reset_delay": late} if reset == "subtract" or recurrent or lasts else {})
    kinds = (snn.Leaky, snn.RLeaky, snn.Synaptic, snn.RSynaptic)
    neurons = [one for one in modules if isinstance(one, kinds)]
    if all(set(one.beta.flatten().tolist()) <= {0.0, 1.0} for one in neurons):
        options["dt"] = 1e-4  # tau = dt or infinite: nothing shows it
    return Exported(graph=graph, options=options, modules=modules, shape=shape, run=lambda inputs: _stepwise(
        modules, shape, inputs, lambda one: isinstance(one, kinds), step))


def spikingjelly(rng: np.random.Generator) -> Exported:
    """`IFNode`, `LIFNode` and `CUBALIFNode`; only hard resets can be exported."""
    from spikingjelly.activation_based import functional, layer, neuron  # pyright: ignore[reportMissingImports]
    from spikingjelly.activation_based.nir_exchange import export_to_nir  # pyright: ignore[reportMissingImports]

    kind, after = str(rng.choice(["if", "lif", "plain lif", "current"])), float(rng.choice([-0.25, 0.0, 0.0]))
    after = 0.0 if kind == "current" else after

    def spiking(shape: tuple[int, ...]) -> Any:
        numbers: dict[str, Any] = {"v_threshold": float(rng.choice([0.5, 1.0, 1.25])), "v_reset": after}
        if kind == "if":
            return neuron.IFNode(**numbers)
        if kind == "current":
            return neuron.CUBALIFNode(*rng.choice([0.25, 0.5, 0.75], 2).tolist(), **numbers)
        return neuron.LIFNode(tau=float(rng.choice([2.0, 3.0])), decay_input=kind == "lif", **numbers)

    modules, shape = _chain(rng, spiking, layer, lines=True, pools=[
        lambda: layer.AvgPool2d(2), lambda: layer.AvgPool2d((2, 1)), lambda: layer.AvgPool2d(2, stride=1),
        lambda: layer.AvgPool2d(2, padding=1)])
    model = nn.Sequential(*modules)
    functional.set_step_mode(model, "m")
    graph = export_to_nir(model, torch.zeros(1, 1, *shape))
    options = {"reset": "zero", "strict": False} | ({"dt": 1e-4} if kind == "lif" else {})
    if kind == "if" and after:
        options["start"] = "reset"
    if kind == "current":
        options["reset_delay"] = False
    return Exported(graph=graph, options=options, modules=modules, shape=shape,
                    run=lambda inputs: run_spikingjelly(modules, shape, inputs))


def norse(rng: np.random.Generator) -> Exported:
    """`LIFBoxCell`, `LIFCell` or `IAFCell`; times are written times dt."""
    import norse.torch as norse  # pyright: ignore[reportMissingImports]

    kind, each = str(rng.choice(["iaf", "box", "lif", "default", "default lif"])), bool(rng.random() < 0.5)
    dt = 0.001 if "default" in kind else 2.0**-10

    def spiking(shape: tuple[int, ...]) -> Any:
        size = shape if each else ()
        numbers: dict[str, Any] = {"v_th": _numbers(rng, size, each, 0.5, 0.75, 1.0)}
        if kind == "default":
            return norse.LIFBoxCell()
        if kind == "default lif":
            return norse.LIFCell(norse.LIFParameters(v_th=torch.as_tensor(0.5)))
        if kind == "iaf":
            return norse.IAFCell(norse.IAFParameters(**numbers))
        numbers |= {"tau_mem_inv": _numbers(rng, size, each, 0.25, 0.5) / dt, "v_leak": torch.zeros(size)}
        if kind == "box":
            return norse.LIFBoxCell(norse.LIFBoxParameters(**numbers), dt=dt)
        return norse.LIFCell(norse.LIFParameters(
            tau_syn_inv=_numbers(rng, size, each, 0.25, 0.5, 1.0) / dt, **numbers), dt=dt)

    modules, shape = _chain(rng, spiking, flat=False)
    graph = norse.to_nir(norse.SequentialState(*modules), torch.zeros(1, *shape), dt=dt)
    options = {"reset": "zero", "strict": True} | ({} if kind == "iaf" else {"dt": dt * dt}) | (
        {"current_rule": "jump"} if "lif" in kind else {})
    return Exported(graph=graph, options=options, modules=modules, shape=shape,
                    run=lambda inputs: run_norse(modules, shape, inputs))


def sinabs(rng: np.random.Generator) -> Exported:
    """`IAF` and `LIF`, which spike several times a step, and may be clamped."""
    import sinabs.layers as sl  # pyright: ignore[reportMissingImports]
    from sinabs.nir import to_nir  # pyright: ignore[reportMissingImports]

    kind, lowest = str(rng.choice(["iaf", "lif", "summing lif"])), float(rng.choice([-1.0, -0.5]))
    clamp, each = lowest if rng.random() < 0.7 else None, bool(rng.random() < 0.5)

    def spiking(shape: tuple[int, ...]) -> Any:
        size = shape if each else ()
        numbers: dict[str, Any] = {"spike_threshold": _numbers(rng, size, each, 0.5, 1.0), "min_v_mem": clamp,
                                   "batch_size": 1}
        if kind == "iaf":
            return sl.IAFSqueeze(**numbers)
        tau = _numbers(rng, size, each, 1 / np.log(2), 0.5 / np.log(2), 5.0)  # exp(−1/tau): 1/2, 1/4, or other
        return sl.LIFSqueeze(tau_mem=tau, norm_input=kind == "lif", **numbers)

    modules, shape = _chain(rng, spiking, pools=[
        lambda: sl.SumPool2d(2), lambda: sl.SumPool2d((1, 2)), lambda: sl.SumPool2d(2, 1)])
    graph = to_nir(nn.Sequential(*modules), torch.zeros(1, *shape))

    def run(inputs: torch.Tensor) -> list[np.ndarray]:
        x, records = inputs.flatten(0, 1).unflatten(1, shape), []
        with torch.no_grad():
            for module in modules:
                if isinstance(module, sl.LIF):
                    module.reset_states()
                    module.batch_size = len(inputs)  # pyright: ignore[reportArgumentType] - as its constructor does
                x = module(x)
                if isinstance(module, sl.LIF):
                    records.append(x.unflatten(0, inputs.shape[:2]).flatten(2).numpy())
        return records

    options = {"reset": "subtract", "strict": False, "levels": 15} | ({"v_min": clamp} if clamp is not None else {})
    options |= {} if kind == "iaf" else {"dt": 1.0, "leak_rule": "exponential"}
    return Exported(graph=graph, options=options | ({"gain": 1.0} if kind == "summing lif" else {}), modules=modules,
                    shape=shape, run=run)


def rockpool(rng: np.random.Generator) -> Exported:
    """`LIFNeuronTorch` and `LIFTorch`, which spike several times a step; their bias is not exported, and is 0."""
    from rockpool.nn.combinators import Sequential  # pyright: ignore[reportMissingImports]
    from rockpool.nn.modules import LIFNeuronTorch, LIFTorch, LinearTorch  # pyright: ignore[reportMissingImports]
    from rockpool.nn.modules.torch.nir import to_nir  # pyright: ignore[reportMissingImports]

    dt, lasts = 1e-3, bool(rng.random() < 0.5)

    def spiking(shape: tuple[int, ...]) -> Any:
        tau = dt * float(rng.choice([1 / np.log(2), 0.5 / np.log(2), 20]))  # exp(−dt/tau) is 1/2 or 1/4, or Rockpool's
        numbers = {"tau_mem": torch.tensor(tau), "dt": dt, "bias": torch.tensor(0.0),
                   "threshold": torch.tensor(float(rng.choice([0.5, 1.0])))}
        if lasts:
            return LIFTorch(shape[0], tau_syn=torch.tensor(dt * float(rng.choice([1 / np.log(2), 5]))), **numbers)
        return LIFNeuronTorch(shape[0], **numbers)

    kinds = SimpleNamespace(Linear=lambda inputs, outputs, bias: LinearTorch((inputs, outputs), has_bias=bias))
    modules, shape = _chain(rng, spiking, kinds, maps=False)
    graph = to_nir(Sequential(*modules))

    def run(inputs: torch.Tensor) -> list[np.ndarray]:
        x, records = inputs, []
        with torch.no_grad():
            for module in modules:
                module.reset_state()
                x = module(x)[0]
                if isinstance(module, LIFNeuronTorch | LIFTorch):
                    records.append(x.numpy())
        return records

    return Exported(graph=graph, options={"reset": "subtract", "strict": False, "levels": 15}, modules=modules,
                    shape=shape, run=run)


EXPORTERS = {"snntorch": snntorch, "spikingjelly": spikingjelly, "norse": norse, "sinabs": sinabs,
             "rockpool": rockpool}
"""By the name of the package, a function that draws a network."""


def draw_alive(name: str, count: int) -> Iterator[tuple[int, Exported, np.ndarray]]:
    """Yield seed, network and inputs int64[20, 6, N] of ``count`` networks of which all layers fire, but no neuron more
    than 15 times a step. Inputs are 0 … 2, of some networks −2 … 2."""
    for seed in range(40 * count):
        rng = np.random.default_rng(seed)
        one = EXPORTERS[name](rng)
        size = (20, 6, int(np.prod(one.shape)))
        inputs = rng.integers(-2 if rng.random() < 0.3 else 0, 3, size) * (rng.random(size) < 0.5)
        spikes = one.run(torch.tensor(inputs, dtype=torch.float32))
        if alive(spikes) and max(layer.max() for layer in spikes) <= 15:
            yield seed, one, inputs
            count -= 1
            if not count:
                return
    raise ValueError("networks must be alive, but hardly any is")
