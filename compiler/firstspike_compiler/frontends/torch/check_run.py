# SPDX-License-Identifier: MIT
"""Runs a torch model beside what was read of it, so that no difference stays silent.

The float reference lives in another room and is handed in. The model runs in float64, on a copy, as it was read: a
chain module by module, and a ``forward`` of the user's own as it stands.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from firstspike_arch.connectivity import Shape, size_of
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from torch import nn

from ...errors import CompileError
from .framework import Call, Framework
from .models import copied, first_line, named_modules, replaced_calls
from .symbol import leaves

__all__ = ["Reference", "check_run"]

Reference = Callable[[FloatNetwork, np.ndarray], Any]
"""Function of (network, inputs) that returns ``spikes``, of the input and all layers, and ``membranes``, of the layers;
float64[B, T, M] each."""

INFERENCES = 4
OPERATIONS, STEPS = 2 << 30, 1000
"""About as many synaptic operations and steps may take part; a larger model runs fewer inferences and steps."""

TIE = 1e-4
"""Relative distance from the threshold up to which two runs may put a membrane on different sides of it."""


def check_run(
    framework: Framework, model: Any, network: FloatNetwork, names: Sequence[str], calls: Mapping[str, Call],
    reference: Reference, in_shape: Shape,
) -> None:
    """Run a model and the network read of it on a few random inputs.

    Parameters
    ----------
    framework : Framework
    model : nn.Module, or list of modules
    network : FloatNetwork
    names : sequence of str
        The module that each layer was read of.
    calls : dict
        Name of each module whose forward was followed → how it is called.
    reference : function
    in_shape : tuple
        Shape of one step's input as the model takes it.

    Raises
    ------
    CompileError
        The model cannot be run, or its spikes, or its outputs if they are no spikes, differ.
    """
    if not isinstance(network.steps, int) or network.steps < 1:
        return  # the compiler refuses it, as it does all other fields
    steps, inferences = network.steps, INFERENCES
    work = sum(map(_operations, network.layers))
    inferences = min(INFERENCES, max(1, OPERATIONS // (work * steps)))
    if "same" not in calls.values():
        steps = min(steps, STEPS, max(1, OPERATIONS // work))
    network = replace(network, steps=steps)
    result = reference(network, _inputs(network, inferences))
    source = torch.tensor(result.spikes[0]).transpose(0, 1)
    if network.input_kind == "direct":  # which stands in the first step
        source = source[:1].expand(steps, -1, -1)
    out, records, failed = None, {}, None
    for kind in (torch.float64, torch.float32):  # a forward may ask for float32
        run = _Run(framework, copied(model), calls, kind)
        try:
            out, records = run.whole(source.to(kind).unflatten(2, in_shape)), run.records
            break
        except CompileError:
            raise
        except Exception as error:
            failed = failed or error
    if failed is not None and out is None:
        raise CompileError(f"model must run, to be compared with what was read of it: {first_line(failed)}") from failed
    _compare(network, result, names, records, out, inferences)


class _Run:
    """One run of a model; the outputs of its modules are recorded by name."""

    def __init__(self, framework: Framework, model: Any, calls: Mapping[str, Call], kind: torch.dtype):
        self._framework, self._model, self._calls = framework, model, calls
        self._names: dict[int, str] = {}
        self.records: dict[str, list[torch.Tensor]] = {}
        for one in leaves(model):
            framework.reset(one.to(kind))
        for name, one in named_modules(model):
            self._names.setdefault(id(one), name)

    def whole(self, x: torch.Tensor) -> Any:
        """What the model gives for inputs [T, B, …]."""

        def recorded(original: Any, module: nn.Module, *args, **kwargs) -> Any:
            out = original(module, *args, **kwargs)
            name, value = self._names.get(id(module)), out[0] if isinstance(out, tuple) else out
            if name is not None and isinstance(value, torch.Tensor):
                self.records.setdefault(f"{name} ({type(module).__name__})", []).append(value)
            return out

        with replaced_calls(recorded), torch.no_grad():
            return self._run("model", self._model, x)

    def _run(self, path: str, model: Any, x: torch.Tensor) -> Any:
        framework = self._framework
        if isinstance(model, list | tuple):
            for index, one in enumerate(model):
                x = self._run(f"{path}[{index}]", one, x)
            return x
        inner = framework.inner(model)
        if inner is not model:
            return self._run(path, inner, x)
        if path in self._calls:
            return self._follow(model, self._calls[path], x)
        if framework.children(model) is not None:
            for name, one in model._modules.items():
                x = self._run(f"{path}.{name}", one, x)
            return x
        protocol = framework.fires(model)
        if isinstance(model, nn.Flatten):
            return x.flatten(2)
        if protocol is None:
            return model(x) if framework.all_steps(model) else model(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        if protocol.all_steps:
            return _first(model(x))
        out, handed = [], ()
        for one in x:
            given = model(one, *handed)
            handed = () if protocol.kept else given[1:]
            out.append(_first(given))
        return torch.stack(out)

    @staticmethod
    def _follow(model: nn.Module, how: Call, x: torch.Tensor) -> Any:
        if how == "all":
            return model(x)
        if how == "same":
            return model(x[0])
        out, handed = [], ()
        for one in x:
            given = model(one, *handed)
            handed = given[1:] if isinstance(given, tuple) and len(given) == 2 and not isinstance(
                given[1], torch.Tensor) else ()
            out.append(_first(given))
        return torch.stack(out)


def _first(out: Any) -> Any:
    return out[0] if isinstance(out, tuple | list) else out


def _operations(layer: FloatLayer) -> int:
    return sum(size_of(one.connectivity.out_shape) * size_of(one.connectivity.weight_shape[1:])
               for one in (layer, *layer.branches) if one.connectivity is not None)


def _inputs(network: FloatNetwork, inferences: int) -> np.ndarray:
    """Random inputs, from dense to sparse, behind the largest of all."""
    drawn = _drawn(network, inferences)
    drawn[0] = 255 if network.input_kind == "latency" else network.in_max
    return drawn


def _drawn(network: FloatNetwork, inferences: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    first = network.layers[0].connectivity
    assert first is not None
    size = size_of(first.in_shape)
    if network.input_kind == "latency":
        return rng.integers(0, 256, (inferences, size), dtype=np.uint8)
    if network.input_kind == "direct":
        return rng.integers(network.in_min, network.in_max + 1, (inferences, size))
    shape = inferences, network.steps, size
    density = np.linspace(0.9, 0.2, inferences)[:, None, None]
    return rng.integers(min(0, network.in_min), network.in_max + 1, shape) * (rng.random(shape) < density)


def _compare(
    network: FloatNetwork, result: Any, names: Sequence[str], records: Mapping[str, list[torch.Tensor]], out: Any,
    inferences: int,
) -> None:
    found = [_record(records.get(name, []), names[: depth].count(name), names.count(name), network.steps, inferences)
             for depth, name in enumerate(names)]
    parted = np.full(inferences, network.steps)  # first step of each inference in which something differs
    for depth, layer in enumerate(network.layers):
        spikes, theta = found[depth], layer.neuron.theta
        if spikes is None or theta is None or spikes.shape != result.spikes[depth + 1].shape:
            continue
        different = spikes != result.spikes[depth + 1]
        for index in np.flatnonzero(different.any((1, 2))):
            step = int(np.argmax(different[index].any(1)))
            if step >= parted[index]:
                continue  # follows from a difference before it
            parted[index] = step
            neurons = different[index, step]
            membranes = result.membranes[depth][index, step][neurons][:, None]
            levels = np.repeat(theta.reshape(len(theta), -1), len(neurons) // len(theta), axis=0)
            levels = (levels + layer.neuron.risen(result.spikes[depth + 1][index, :step])[:, None])[neurons]
            apart = np.abs(membranes - levels) > TIE * np.maximum(np.abs(levels), np.abs(membranes))
            if apart.all(1).any():
                raise _unlike(names[depth], f"its spikes differ in step {step}")
    last = network.layers[-1]
    whole = parted == network.steps
    if last.neuron.theta is not None or not whole.any():
        return
    values = _first(out)
    if not isinstance(values, torch.Tensor):
        return
    values = values.to(torch.float64).numpy()
    expected = result.membranes[-1]
    if values.shape[:2] == (network.steps, inferences):
        values, expected = values.reshape(network.steps, inferences, -1), expected.transpose(1, 0, 2)
        values = values if found[-1] is not None else values.cumsum(0)
        values, expected = values[:, whole], expected[:, whole]
    elif values.shape[0] == inferences:
        values, expected = values.reshape(inferences, -1)[whole], expected[whole, -1]
    else:
        return
    # The class is the largest: a positive factor, and a constant, are the same for all.
    line = np.stack([values.ravel(), np.ones(values.size)], 1)
    (factor, constant), *_ = np.linalg.lstsq(line, expected.ravel(), rcond=None)
    off = np.abs(values * factor + constant - expected).max()
    if factor < 0 or off > TIE * max(1e-9, float(np.abs(expected).max())):
        raise _unlike(names[-1], "its outputs differ")


def _record(
    calls: list[torch.Tensor], place: int, places: int, steps: int, inferences: int,
) -> np.ndarray | None:
    """Outputs float64[B, T, M] of neurons, of their calls; None: they were not seen, or not one by one."""
    if len(calls) == places:  # all steps in a call, [T, B, …] or [T·B, …]
        one = calls[place]
        one = one if one.shape[0] == steps and one.dim() > 2 and one.shape[1] == inferences else (
            one.unflatten(0, (steps, -1)) if one.shape[0] == steps * inferences else None)
    elif len(calls) == places * steps:
        one = torch.stack(calls[place::places])
    else:
        return None
    if one is None or one.shape[:2] != (steps, inferences):
        return None
    return one.flatten(2).transpose(0, 1).to(torch.float64).numpy()


def _unlike(where: str, what: str) -> CompileError:
    return CompileError(f"{where} must do what was read of it, but in a run of the model {what}: the model does "
                        "something there, or in front of it, that was not understood")
