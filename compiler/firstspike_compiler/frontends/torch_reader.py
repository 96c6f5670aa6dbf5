# SPDX-License-Identifier: MIT
"""Reads networks of torch modules. All frontends for frameworks on torch share it; each adds its own neurons.

Numbers are read, as float64, from modules that the caller holds in memory; nothing is trained or loaded. A chain is not
run; a ``forward`` with branches is traced once by `torch.fx`, with symbols in place of tensors.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Required, TypedDict, Unpack

import numpy as np
import torch
from firstspike_arch.connectivity import Conv2d, Shape, as_shape
from firstspike_arch.float_network import FloatBranch, FloatLayer, FloatNetwork, InputKind, Readout
from firstspike_arch.network import INPUT
from firstspike_arch.neuron import FloatNeuron
from torch import fx, nn
from torch.nn.utils.parametrize import is_parametrized

from ..errors import CompileError
from ..passes.choose_scales import WeightScale, take_scales
from .torch_synapses import (
    Spikes,
    Synapses,
    add_up,
    as_pair,
    average,
    check_eval,
    connect,
    flatten,
    map_shape,
    normalise,
    reach,
)

__all__ = ["Fields", "Framework", "read_modules"]

_IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)
_MAPPED = (nn.Linear, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.MaxPool2d,
           nn.Flatten, *_IDENTITIES)
_ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
"""Functions and names of methods that add in a ``forward``."""
_FLATTEN = (torch.flatten, "flatten")


class Fields(TypedDict, total=False):
    """Fields of `FloatNetwork` that a model does not contain.

    Parameters
    ----------
    steps : int
    readout : str
        "potential" reads a model that ends in synapses, whose outputs are added up over the steps, or in neurons that
        do not fire, whose membranes after the last step count.
    input_kind : str
        Default "events".
    in_max : int
        Most events of an address in one step, or largest number of a direct input; default 1.
    weight_scale, weight_bits
        Real value of one step of the weights and their bits, as quantisation-aware training fixed them: one number, or
        one (or None) for each layer, see `take_scales`. One number is for layers without a BatchNorm, after which each
        channel has a step of its own.
    """

    name: str
    steps: Required[int]
    readout: Required[Readout]
    input_kind: InputKind
    cutoff: int
    in_min: int
    in_max: int
    input_scale: float
    step_weights: tuple[int, ...]
    weight_scale: WeightScale
    weight_bits: int | Sequence[int]
    accuracy: dict[str, float]
    recipe: dict


@dataclass(frozen=True, kw_only=True, eq=False)
class Framework:
    """Describes the modules of a framework.

    Parameters
    ----------
    name : str
    neurons : dict
        Class of neurons → function of (where, module, `Synapses`) that returns a `FloatNeuron`. Its bias is added to
        that of the synapses. Without theta, the output of the module is its membrane.
    same : dict
        Class → the class of torch that does the same in every step.
    containers : tuple of type
        Classes besides `torch.nn.Sequential` whose children run one after the other in every step.
    inner : function of module
        Returns the module inside a wrapper, or the module itself if it is not a wrapper.
    branches : bool
        Neurons take and give a single tensor, so that a ``forward`` of the user's own can be traced.
    stateful : function of module
        Returns whether neurons keep their membranes from one call to the next; they may then be used only once.
    bounded : function of module
        Returns whether the `FloatNeuron` does the same as the module only while no current exceeds
        `Synapses.largest_drive`.
    """

    name: str
    neurons: Mapping[type, Callable[[str, Any, Synapses], FloatNeuron]]
    same: Mapping[type, type] = field(default_factory=dict)
    containers: tuple[type, ...] = ()
    inner: Callable[[nn.Module], nn.Module] = lambda module: module
    branches: bool = False
    stateful: Callable[[Any], bool] = lambda module: False
    bounded: Callable[[Any], bool] = lambda module: False


def read_modules(
    framework: Framework, model: nn.Module | Sequence[nn.Module], *, in_shape: int | Sequence[int],
    **fields: Unpack[Fields],
) -> FloatNetwork:
    """Read the network of a model in evaluation mode.

    Parameters
    ----------
    framework : Framework
    model : nn.Sequential, or list of modules
        The modules in the order in which they run in one step; with ``framework.branches`` also any module whose
        ``forward`` only calls modules, adds what they give (`x + y`) and flattens.
    in_shape : N, (N,) or (C, H, W)
    fields
        See `Fields`.

    Raises
    ------
    CompileError
        A module has no counterpart; the message names it.
    """
    weight_scale, weight_bits = fields.pop("weight_scale", None), fields.pop("weight_bits", None)
    try:
        empty = FloatNetwork(layers=(), **{"name": "imported", "input_kind": "events", **fields})
    except TypeError as error:
        raise CompileError(f"a network must have the fields of FloatNetwork: {error}") from None
    try:
        shape = as_shape(in_shape)
    except ValueError as error:
        raise CompileError(str(error)) from None
    reader = _Reader(framework, shape, empty)
    network = reader.read(model)
    return take_scales(network, reader.scales(weight_scale), weight_bits)


def _check_hooks(where: str, module: nn.Module) -> None:
    if module._forward_hooks or module._forward_pre_hooks:
        raise CompileError(f"{where} must have no forward hooks: what they change cannot be seen")


class _OneLevel(fx.Tracer):
    """Traces a ``forward``, but not those of the modules that it calls."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


class _Reader:
    """Builds the layers of a network from modules, taken in the order in which they run.

    Parameters
    ----------
    framework : Framework
    in_shape : (N,) or (C, H, W)
    empty : FloatNetwork
        The network without its layers.
    """

    def __init__(self, framework: Framework, in_shape: Shape, empty: FloatNetwork):
        self._framework, self._empty, self._in_shape = framework, empty, in_shape
        self._layers: list[FloatLayer] = []
        self._names: list[str] = []  # of the modules that fire, one a layer
        self._seen: set[int] = set()  # modules of neurons
        self._normalised: dict[int, str] = {}  # layers behind a normalisation → its module

    def read(self, model: Any) -> FloatNetwork:
        """The network of a whole model."""
        low, high = 0.0, 1.0
        if self._empty.input_kind == "direct":
            low, high = self._empty.in_min * self._empty.input_scale, self._empty.in_max * self._empty.input_scale
        elif self._empty.input_kind == "events":
            high = float(self._empty.in_max)
        return self._end(self._run("model", model, Spikes(
            where="the input", source=INPUT, shape=self._in_shape, flat=False, low=low, high=high)))

    def scales(self, given: WeightScale | None) -> WeightScale | None:
        """The scales of all layers; one number is not for those behind a normalisation."""
        if given is None or not self._normalised:
            return given
        if isinstance(given, int | float):
            return [None if index in self._normalised or layer.weight_scale is not None else given
                    for index, layer in enumerate(self._layers)]
        for index, where in self._normalised.items():
            if index < len(given) and given[index] is not None:
                raise CompileError(f"layer {index}: weight_scale must be None, not {given[index]!r}: the normalisation "
                                   f"before {where} gives each channel a step of its own, which compiling with "
                                   "per_channel=True finds")
        return given

    def _run(self, path: str, model: Any, value: Spikes | Synapses) -> Spikes | Synapses:
        """Return what a module gives for the value that it takes."""
        if isinstance(model, list | tuple):
            for index, child in enumerate(model):
                value = self._run(f"{path}[{index}]", child, value)
            return value
        if not isinstance(model, nn.Module):
            raise CompileError(f"{path} must be a torch module or a list of them, not {type(model).__name__}")
        while (inner := self._framework.inner(model)) is not model:
            _check_hooks(f"{path} ({type(model).__name__})", model)
            model = inner
        where = f"{path} ({type(model).__name__})"
        _check_hooks(where, model)
        if type(model) in self._framework.containers or type(model).forward is nn.Sequential.forward:
            for name, child in model._modules.items():  # named_children leaves out what is there a second time
                value = self._run(f"{path}.{name}", child, value)
            return value
        kind = type(model).__bases__[0] if is_parametrized(model) else type(model)
        kind = self._framework.same.get(kind, kind)
        if self._framework.branches and kind not in _MAPPED and self._is_users(model):
            return self._follow(path, where, model, value)
        if path == "model":
            raise CompileError(f"{where} must be a Sequential, or the list of its modules in the order in which they "
                               "run")
        return self._take(where, model, kind, value)

    def _is_users(self, model: nn.Module) -> bool:
        """Whether a module contains modules and is of the user's own class, not one of torch, of the framework or of
        its neurons."""
        kinds = tuple(self._framework.neurons)
        packages = {"torch", *(kind.__module__.partition(".")[0] for kind in kinds)}
        return (any(True for _ in model.children()) and not isinstance(model, kinds)
                and type(model).__module__.partition(".")[0] not in packages)

    def _follow(self, path: str, where: str, model: nn.Module, value: Spikes | Synapses) -> Spikes | Synapses:
        """Trace a ``forward`` of the user's own, and return what it gives."""
        rule = f"{where} must have a forward that takes one tensor, calls modules, adds and flattens, and no more"
        check_eval(where, model)  # its forward may depend on the mode
        try:
            graph = _OneLevel().trace(model)
        except Exception as error:  # whatever a forward does with a symbol that is no tensor
            raise CompileError(f"{rule}: {error}".splitlines()[0]) from None
        values: dict[fx.Node, Spikes | Synapses] = {}
        for node in graph.nodes:
            taken = [values[one] for one in node.all_input_nodes if one in values]
            plain = not node.kwargs and len(taken) == len(node.args) == len([one for one in node.args
                                                                             if isinstance(one, fx.Node)])
            call = node.op in ("call_function", "call_method")
            if node.op == "placeholder" and not values:
                values[node] = value
            elif node.op == "call_module" and plain and len(taken) == 1:
                values[node] = self._run(f"{path}.{node.target}", model.get_submodule(str(node.target)), taken[0])
            elif call and node.target in _ADDITIONS and plain and len(node.args) == 2:
                left, right = (self._check_fires(f"{path}.{node.name}", values[one]) for one in node.args)
                values[node] = add_up(f"{path}.{node.name}", left, right)
            elif call and node.target in _FLATTEN and len(taken) == 1 and node.args[0] in values:
                sides = {"start_dim": 0, **dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False))}
                values[node] = flatten(f"{path}.{node.name}", nn.Flatten(**{**sides, **node.kwargs}), taken[0])
            elif node.op == "output" and plain:
                return taken[0]
            else:
                raise CompileError(f"{rule}: not {node.name} ({node.op} of {node.target})")
        raise AssertionError("a graph of torch.fx ends in its output")

    def _take(self, where: str, module: Any, kind: type, value: Spikes | Synapses) -> Spikes | Synapses:
        """Return what a module of torch or of neurons gives for a value; ``kind`` is its class, or that of torch it
        equals."""
        self._check_fires(where, value)
        if kind in _IDENTITIES:
            check_eval(where, module)
            return value
        if kind is nn.Flatten:
            return flatten(where, module, value)
        if kind is nn.Linear or kind is nn.Conv2d:
            return connect(where, module, value)
        if kind is nn.BatchNorm1d or kind is nn.BatchNorm2d:
            return normalise(where, module, value)
        if kind is nn.AvgPool2d or kind is nn.AdaptiveAvgPool2d:
            return average(where, module, value)
        if kind is nn.MaxPool2d:
            return self._maximum(where, module, value)
        return self._neurons(where, module, value)

    def _check_fires(self, where: str, value: Spikes | Synapses) -> Spikes | Synapses:
        if isinstance(value, Spikes) and value.source != INPUT and self._layers[value.source].neuron.theta is None:
            raise CompileError(f"{value.where} must fire, or be the last module: {where} takes its spikes")
        return value

    def _end(self, value: Spikes | Synapses) -> FloatNetwork:
        """Return the network whose last module gives ``value``."""
        potential = self._empty.readout == "potential"
        if isinstance(value, Synapses):
            if not potential:
                raise CompileError(f"{value.where} must be followed by neurons, or be read by its potential")
            value = self._fire(value.where, FloatNeuron(reset="none"), value)
        if not self._layers:
            raise CompileError("model must have at least one module of synapses, followed by neurons")
        if value.pool > 1:
            raise CompileError(f"{value.pooled} must be followed by synapses")
        if value.source != len(self._layers) - 1:
            raise CompileError(f"{self._names[-1]} must lead to the end of the model, which takes {value.where}")
        last, neuron = self._layers[-1], self._layers[-1].neuron
        if potential and neuron.theta is not None:
            if neuron.reset != "none" or neuron.single_spike:
                raise CompileError(f"{value.where} must have no reset, or be left out, for a potential read-out")
            self._layers[-1] = replace(last, neuron=replace(neuron, theta=None, reset_step=None, strict=False))
        elif not potential and neuron.theta is None:
            raise CompileError(f"{value.where} must fire for a {self._empty.readout} read-out")
        return replace(self._empty, layers=tuple(self._layers))

    def _maximum(self, where: str, module: Any, value: Spikes | Synapses) -> Spikes:
        """Replace a maximum pool of spikes by a layer of integrate-and-fire neurons, which any spike of their window
        makes fire."""
        shape = map_shape(where, value)
        if isinstance(value, Synapses) or value.pool > 1 or value.high != 1 or (
            value.source == INPUT and self._empty.input_kind == "direct"
        ):
            raise CompileError(f"{where} must come directly behind neurons, or behind an input of single spikes: the "
                               "largest of other values has no counterpart")
        kernel, stride = as_pair(module.kernel_size), as_pair(module.stride or module.kernel_size)
        if as_pair(module.dilation) != (1, 1) or module.ceil_mode or module.return_indices:
            raise CompileError(f"{where} must have dilation 1 and neither ceil_mode nor return_indices")
        if kernel == stride == (1, 1):
            return value
        try:
            connectivity = Conv2d(
                in_shape=shape, channels=shape[0], kernel=kernel, stride=stride, padding=as_pair(module.padding),
                groups=shape[0],
            )
        except ValueError as error:
            raise CompileError(f"{where} must fit what comes in: {error}") from None
        synapses = reach(where, value, np.ones(connectivity.weight_shape), connectivity, np.zeros(shape[0]))
        fired = self._fire(where, FloatNeuron(theta=np.ones(shape[0]), reset="zero"), synapses)
        self._layers[-1] = replace(self._layers[-1], weight_bits=2, weight_scale=1.0)
        return fired

    def _neurons(self, where: str, module: nn.Module, value: Spikes | Synapses) -> Spikes:
        kind = type(module)
        if kind not in self._framework.neurons:
            known = ", ".join(one.__name__ for one in self._framework.neurons)
            raise CompileError(f"{where} must be a module that can be mapped: Linear, Conv2d, BatchNorm1d, "
                               "BatchNorm2d, AvgPool2d, AdaptiveAvgPool2d, MaxPool2d, Flatten, Dropout, Identity, "
                               f"or of {self._framework.name}'s neurons {known}")
        if isinstance(value, Spikes):
            raise CompileError(f"{where} must come behind synapses, not behind {value.where}")
        if id(module) in self._seen and self._framework.stateful(module):
            raise CompileError(f"{where} must have one place in the model: its membranes go on from call to call")
        self._seen.add(id(module))
        fired = self._fire(where, self._framework.neurons[kind](where, module, value), value)
        if self._framework.bounded(module) and any(one.source == INPUT for one in value.sets) and (
            self._empty.input_kind != "latency"
        ):
            self._empty = replace(self._empty, in_limit=self._empty.in_max)
        return fired

    def _fire(self, where: str, neuron: FloatNeuron, synapses: Synapses) -> Spikes:
        """Add a layer of these neurons, and return the spikes that it sends."""
        if neuron.theta is not None and np.min(neuron.theta) <= 0:
            raise CompileError(f"{where} must have a threshold above its resting and reset potential, "
                               f"not {float(np.min(neuron.theta))!r} above")
        if not 0 <= neuron.leak <= 1:
            raise CompileError(f"{where} must keep 0 … 1 of its membrane in a step, not {neuron.leak!r}")
        index = len(self._layers)
        # The sort is stable: the first of several sets from the layer before becomes the layer's own.
        first, *others = sorted(synapses.sets, key=lambda one: one.source != index - 1)
        if first.source != index - 1:
            before = self._names[-1] if self._names else "the input"
            raise CompileError(f"{where} must take the spikes of {before}, which runs before it, among others")
        bias = synapses.bias if neuron.bias is None else synapses.bias + neuron.bias
        self._layers.append(FloatLayer(
            weight=first.weight, connectivity=first.connectivity, average_pool=first.average_pool,
            neuron=replace(neuron, bias=bias if bias.any() else None),
            branches=tuple(FloatBranch(source=one.source, weight=one.weight, connectivity=one.connectivity,
                                       average_pool=one.average_pool) for one in others),
        ))
        self._names.append(where)
        if synapses.normalised:
            self._normalised[index] = where
        return Spikes(where=where, source=index, shape=synapses.out_shape, flat=len(synapses.out_shape) == 1, low=0.0,
                      high=float(max(1, neuron.levels)))
