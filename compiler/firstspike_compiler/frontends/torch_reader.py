# SPDX-License-Identifier: MIT
"""Networks of torch modules: what all frameworks on torch share. Each frontend adds its own neurons.

Everything is read from modules that the caller holds in memory, in float64, and nothing is trained or loaded. A chain
is not run either; a ``forward`` with branches is followed once, by `torch.fx`, with symbols in place of tensors.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Required, TypedDict, Unpack

import numpy as np
import torch
from firstspike_arch.connectivity import Conv2d, Dense, Shape, pooled, size_of
from firstspike_arch.model import FloatBranch, FloatLayer, FloatNetwork, InputKind, Readout
from firstspike_arch.network import INPUT
from torch import fx, nn
from torch.nn.utils.parametrize import is_parametrized

from ..errors import CompileError
from .pooled_kernel import pooled_kernel

__all__ = [
    "Fields", "Framework", "Neurons", "Synapses", "check_heaviside", "per_channel", "read_modules", "single",
]

_IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)
_MAPPED = (nn.Linear, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.MaxPool2d,
           nn.Flatten, *_IDENTITIES)
_ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
"""In a ``forward``: functions, and names of methods."""
_FLATTEN = (torch.flatten, "flatten")
_PROBE = (-1e3, -1.0, -0.5, -1e-3, -1e-6, 0.0, 1e-6, 1e-3, 0.5, 1.0, 1e3)
PASSED_ON_MAX = 4096
"""Spikes of a vector that reach neurons one to one: more would be a matrix of mostly zeros."""


class Fields(TypedDict, total=False):
    """Fields of `FloatNetwork` that no model says.

    Parameters
    ----------
    steps : int
    readout : str
        "potential": of a model that ends in synapses, whose outputs are added up over the steps, or in neurons that do
        not fire, of which the last membrane counts.
    input_kind : str
        By default "events".
    in_max : int
        Most events of an address in one step, or largest number of a direct input.
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
    accuracy: dict[str, float]
    recipe: dict


@dataclass(frozen=True, kw_only=True, eq=False)
class _Spikes:
    """What a layer, or the input, sends, on its way to synapses; ``where`` names the module.

    ``low`` and ``high`` are of its magnitudes; ``pooled`` names the last average pool on the way.
    """

    where: str
    source: int
    shape: Shape
    flat: bool
    low: float
    high: float
    pool: int = 1
    pooled: str = ""

    @property
    def out_shape(self) -> Shape:
        shape = pooled(self.shape, self.pool)
        return (size_of(shape),) if self.flat else shape


@dataclass(frozen=True, kw_only=True, eq=False)
class _Set:
    """Synapses from one source; fields as in `FloatBranch`. ``low`` and ``high``: of the magnitudes that come in."""

    source: int
    weight: np.ndarray
    connectivity: Dense | Conv2d
    average_pool: bool
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Synapses:
    """What stands in front of a layer's neurons: one set of synapses, or several whose currents add up.

    ``where`` names the last module. ``bias`` is float64[C].
    """

    where: str
    sets: tuple[_Set, ...]
    bias: np.ndarray

    @property
    def out_shape(self) -> Shape:
        """Of the neurons."""
        return self.sets[0].connectivity.out_shape

    @property
    def channels(self) -> int:
        return self.sets[0].connectivity.channels

    def largest_drive(self) -> np.ndarray:
        """float64[C]: no neuron of a channel gets more in one step."""
        drive = self.bias
        for one in self.sets:
            flat = one.weight.reshape(len(one.weight), -1)
            drive = drive + np.maximum(0.0, np.maximum(flat * one.low, flat * one.high)).sum(1)
        return drive

    def scaled(self, gain: np.ndarray) -> "Synapses":
        """Times a factor for each channel, float64[C]."""
        return replace(self, bias=self.bias * gain, sets=tuple(
            replace(one, weight=one.weight * gain.reshape(-1, *[1] * (one.weight.ndim - 1))) for one in self.sets))


@dataclass(frozen=True, kw_only=True, eq=False)
class Neurons:
    """What a frontend makes of a module of neurons; fields as in `FloatLayer`.

    ``bias`` (float64[C]) is added to that of the synapses. ``theta`` (float64[C] or float64[C, n]) None: the module
    hands out its membrane.
    ``bounded``: they are these neurons only while no drive exceeds `Synapses.largest_drive`.
    """

    theta: np.ndarray | None
    leak: float
    strict: bool
    reset: Literal["subtract", "zero", "none"]
    reset_delay: bool = False
    single_spike: bool = False
    reset_step: np.ndarray | None = None
    v_init: np.ndarray | None = None
    bias: np.ndarray | None = None
    bounded: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Framework:
    """How a framework says things.

    Parameters
    ----------
    name : str
    neurons : dict
        Class of neurons → function of (where, module, `Synapses`) that makes `Neurons` of one.
    same : dict
        Classes that do in every step what a class of torch does.
    containers : tuple of type
        Classes, further to `torch.nn.Sequential`, whose children run one after the other in every step.
    inner : function of module
        What a wrapper wraps; the module itself if it is none.
    branches : bool
        Neurons take and give one tensor, so that a ``forward`` of the user's own can be followed.
    stateful : bool
        Neurons keep their membranes from one call to the next: none may have two places.
    """

    name: str
    neurons: Mapping[type, Callable[[str, Any, Synapses], Neurons]]
    same: Mapping[type, type] = field(default_factory=dict)
    containers: tuple[type, ...] = ()
    inner: Callable[[nn.Module], nn.Module] = lambda module: module
    branches: bool = False
    stateful: bool = False


def read_modules(
    framework: Framework, model: nn.Module | Sequence[nn.Module], *, in_shape: Sequence[int], **fields: Unpack[Fields],
) -> FloatNetwork:
    """The network of a model in evaluation mode.

    Parameters
    ----------
    framework : Framework
    model : nn.Sequential, or list of modules
        In the order in which they run in one step; with ``framework.branches`` also any module whose ``forward`` calls
        modules, adds up what they give (`x + y`) and flattens.
    in_shape : (N,) or (C, H, W)
    fields
        As in `Fields`.

    Raises
    ------
    CompileError
        The sentence names the module that has no counterpart.
    """
    try:
        empty = FloatNetwork(layers=(), **{"name": "imported", "input_kind": "events", **fields})
    except TypeError as error:
        raise CompileError(f"a network must have the fields of FloatNetwork: {error}") from None
    return _Reader(framework, tuple(in_shape), empty).read(model)


def _check_hooks(where: str, module: nn.Module) -> None:
    if module._forward_hooks or module._forward_pre_hooks:
        raise CompileError(f"{where} must have no forward hooks: what they change cannot be seen")


class _OneLevel(fx.Tracer):
    """Follows a ``forward``, but not those of the modules that it calls."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


class _Reader:
    """The network so far, as modules are taken in the order in which they run.

    Parameters
    ----------
    framework : Framework
    in_shape : (N,) or (C, H, W)
    empty : FloatNetwork
        All but the layers.
    """

    def __init__(self, framework: Framework, in_shape: Shape, empty: FloatNetwork):
        if len(in_shape) not in (1, 3) or not all(isinstance(size, int) and size > 0 for size in in_shape):
            raise CompileError(f"in_shape must be (N,) or (C, H, W), each at least 1, not {in_shape!r}")
        self._framework, self._empty, self._in_shape = framework, empty, in_shape
        self._layers: list[FloatLayer] = []
        self._names: list[str] = []  # of the modules that fire, one a layer
        self._seen: set[int] = set()  # modules of neurons

    def read(self, model: Any) -> FloatNetwork:
        """The network of a whole model."""
        low, high = 0.0, 1.0
        if self._empty.input_kind == "direct":
            low, high = self._empty.in_min * self._empty.input_scale, self._empty.in_max * self._empty.input_scale
        elif self._empty.input_kind == "events":
            high = float(self._empty.in_max)
        return self._end(self._run("model", model, _Spikes(
            where="the input", source=INPUT, shape=self._in_shape, flat=False, low=low, high=high)))

    def _run(self, path: str, model: Any, value: _Spikes | Synapses) -> _Spikes | Synapses:
        """What a module gives, from what it takes."""
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
        """Whether a module is of further modules and the user's own: not torch's, the framework's, or such neurons."""
        kinds = tuple(self._framework.neurons)
        packages = {"torch", *(kind.__module__.partition(".")[0] for kind in kinds)}
        return (any(True for _ in model.children()) and not isinstance(model, kinds)
                and type(model).__module__.partition(".")[0] not in packages)

    def _follow(self, path: str, where: str, model: nn.Module, value: _Spikes | Synapses) -> _Spikes | Synapses:
        """A ``forward`` of the user's own."""
        rule = f"{where} must have a forward that takes one tensor, calls modules, adds and flattens, and no more"
        try:
            graph = _OneLevel().trace(model)
        except Exception as error:  # whatever a forward does with a symbol that is no tensor
            raise CompileError(f"{rule}: {error}".splitlines()[0]) from None
        values: dict[fx.Node, _Spikes | Synapses] = {}
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
                values[node] = self._add_up(f"{path}.{node.name}", *(values[one] for one in node.args))
            elif call and node.target in _FLATTEN and len(taken) == 1 and node.args[0] in values:
                sides = {"start_dim": 0, **dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False))}
                values[node] = self._flatten(f"{path}.{node.name}", nn.Flatten(**{**sides, **node.kwargs}), taken[0])
            elif node.op == "output" and plain:
                return taken[0]
            else:
                raise CompileError(f"{rule}: not {node.name} ({node.op} of {node.target})")
        raise AssertionError("a graph of torch.fx ends in its output")

    def _take(self, where: str, module: Any, kind: type, value: _Spikes | Synapses) -> _Spikes | Synapses:
        """What a module of a kind of torch's, or of neurons, makes of a value."""
        if isinstance(value, _Spikes) and value.source != INPUT and self._layers[value.source].theta is None:
            raise CompileError(f"{value.where} must fire, or be the last module: {where} takes its spikes")
        if kind in _IDENTITIES:
            _check_eval(where, module)
            return value
        if kind is nn.Flatten:
            return self._flatten(where, module, value)
        if kind is nn.Linear or kind is nn.Conv2d:
            return self._synapses(where, module, value)
        if kind is nn.BatchNorm1d or kind is nn.BatchNorm2d:
            return self._normalise(where, module, value)
        if kind is nn.AvgPool2d or kind is nn.AdaptiveAvgPool2d:
            return self._average(where, module, value)
        if kind is nn.MaxPool2d:
            return self._maximum(where, module, value)
        return self._neurons(where, module, value)

    def _end(self, value: _Spikes | Synapses) -> FloatNetwork:
        """The network; no module follows."""
        potential = self._empty.readout == "potential"
        if isinstance(value, Synapses):
            if not potential:
                raise CompileError(f"{value.where} must be followed by neurons, or be read by its potential")
            value = self._fire(value.where, Neurons(theta=None, leak=1.0, strict=False, reset="none"), value)
        if not self._layers:
            raise CompileError("model must have at least one module of synapses, followed by neurons")
        if value.pool > 1:
            raise CompileError(f"{value.pooled} must be followed by synapses")
        if value.source != len(self._layers) - 1:
            raise CompileError(f"{self._names[-1]} must lead to the end of the model, which takes {value.where}")
        last = self._layers[-1]
        if potential and last.theta is not None:
            if last.reset != "none" or last.single_spike:
                raise CompileError(f"{value.where} must have no reset, or be left out, for a potential read-out")
            self._layers[-1] = replace(last, theta=None, reset_step=None, strict=False)
        elif not potential and last.theta is None:
            raise CompileError(f"{value.where} must fire for a {self._empty.readout} read-out")
        return replace(self._empty, layers=tuple(self._layers))

    def _flatten(self, where: str, module: nn.Flatten, value: _Spikes | Synapses) -> _Spikes | Synapses:
        # With a dimension for the time in front of the batch's, start_dim is 2; of wrong ones the next fan-in differs.
        if module.start_dim not in (1, 2, -3) or module.end_dim not in (-1, 3):
            raise CompileError(f"{where} must flatten all but the batch, not dimensions {module.start_dim!r} to "
                               f"{module.end_dim!r}")
        if isinstance(value, _Spikes):
            return replace(value, flat=True)
        if len(value.out_shape) == 3:
            raise CompileError(f"{where} must come behind neurons, not behind {value.where}")
        return value

    def _synapses(self, where: str, module: Any, value: _Spikes | Synapses) -> Synapses:
        if isinstance(value, Synapses):
            raise CompileError(f"{where} must come behind neurons, not behind {value.where}")
        weight = _array(module.weight)
        try:
            if isinstance(module, nn.Conv2d):
                connectivity: Dense | Conv2d = _convolution(where, module, value)
            else:
                if len(value.shape) == 3 and not value.flat:
                    raise CompileError(f"{where} must come behind a Flatten: it would act on the rows of a map")
                connectivity = Dense(in_shape=value.shape, neurons=len(weight), pool=value.pool)
        except CompileError:
            raise
        except ValueError as error:
            raise CompileError(f"{where} must fit what comes in: {error}") from None
        if weight.shape != connectivity.weight_shape:
            raise CompileError(f"{where} must have weights of shape {connectivity.weight_shape} for what comes in, "
                               f"{pooled(value.shape, value.pool)}, not {weight.shape}")
        return _reached(where, value, weight, connectivity,
                        np.zeros(len(weight)) if module.bias is None else _array(module.bias))

    def _add_up(self, where: str, left: _Spikes | Synapses, right: _Spikes | Synapses) -> Synapses:
        """Currents onto the same neurons; spikes that are added to them reach each neuron of their own place."""
        one, other = (side if isinstance(side, Synapses) else _passed_on(where, side) for side in (left, right))
        if one.out_shape != other.out_shape:
            raise CompileError(f"{where} must add up equal shapes, not {one.out_shape} and {other.out_shape}")
        return Synapses(where=where, sets=(*one.sets, *other.sets), bias=one.bias + other.bias)

    def _normalise(self, where: str, module: Any, value: _Spikes | Synapses) -> Synapses:
        """y = (x − mean)/√(var + eps)·γ + β, into weight and bias."""
        if isinstance(value, _Spikes):
            raise CompileError(f"{where} must come behind synapses, not behind {value.where}")
        _check_eval(where, module)
        if module.running_mean is None or len(module.running_mean) != value.channels:
            raise CompileError(f"{where} must have running statistics of the {value.channels} channels of "
                               f"{value.where}")
        gain = 1.0 / np.sqrt(_array(module.running_var) + module.eps)
        if module.weight is not None:
            gain = gain * _array(module.weight)
        value = replace(value, bias=value.bias - _array(module.running_mean)).scaled(gain)
        return value if module.bias is None else replace(value, bias=value.bias + _array(module.bias))

    def _average(self, where: str, module: Any, value: _Spikes | Synapses) -> _Spikes | Synapses:
        shape = _map(where, value)
        if isinstance(module, nn.AdaptiveAvgPool2d):
            side = _pair(module.output_size)
            kernel = stride = (shape[1] // side[0], shape[2] // side[1])
            whole = (side[0] * kernel[0], side[1] * kernel[1]) == shape[1:] and kernel[0] == kernel[1] and kernel[0]
            if not whole:
                raise CompileError(f"{where} must divide a map of {shape[1]} × {shape[2]} into equal squares, not into "
                                   f"{side[0]} × {side[1]}")
        else:
            kernel, stride = _pair(module.kernel_size), _pair(module.stride or module.kernel_size)
            if (kernel != stride or kernel[0] != kernel[1] or any(_pair(module.padding)) or module.ceil_mode
                    or module.divisor_override is not None or kernel[0] > min(shape[1:])):
                raise CompileError(f"{where} must have square windows side by side inside the map, with no padding, "
                                   "ceil_mode or divisor_override")
        if kernel[0] == 1:
            return value
        if isinstance(value, _Spikes):
            return replace(value, pool=value.pool * kernel[0], pooled=where)
        return replace(value, sets=tuple(_averaged(one, kernel[0]) for one in value.sets))

    def _maximum(self, where: str, module: Any, value: _Spikes | Synapses) -> _Spikes:
        """The largest of a window of spikes is one integrate-and-fire neuron that any of them makes fire."""
        shape = _map(where, value)
        if isinstance(value, Synapses) or value.pool > 1 or value.high != 1 or (
            value.source == INPUT and self._empty.input_kind == "direct"
        ):
            raise CompileError(f"{where} must come directly behind neurons, or behind an input of single spikes: the "
                               "largest of other values has no counterpart")
        kernel, stride = _pair(module.kernel_size), _pair(module.stride or module.kernel_size)
        if _pair(module.dilation) != (1, 1) or module.ceil_mode or module.return_indices:
            raise CompileError(f"{where} must have dilation 1 and neither ceil_mode nor return_indices")
        if kernel == stride == (1, 1):
            return value
        try:
            connectivity = Conv2d(
                in_shape=shape, channels=shape[0], kernel=kernel, stride=stride, padding=_pair(module.padding),
                groups=shape[0],
            )
        except ValueError as error:
            raise CompileError(f"{where} must fit what comes in: {error}") from None
        synapses = _reached(where, value, np.ones(connectivity.weight_shape), connectivity, np.zeros(shape[0]))
        fired = self._fire(where, Neurons(theta=np.ones(shape[0]), leak=1.0, strict=False, reset="zero"), synapses)
        self._layers[-1] = replace(self._layers[-1], weight_bits=2, weight_scale=1.0)
        return fired

    def _neurons(self, where: str, module: nn.Module, value: _Spikes | Synapses) -> _Spikes:
        kind = type(module)
        if kind not in self._framework.neurons:
            known = ", ".join(one.__name__ for one in self._framework.neurons)
            raise CompileError(f"{where} must be a module that can be mapped: Linear, Conv2d, BatchNorm1d, "
                               "BatchNorm2d, AvgPool2d, AdaptiveAvgPool2d, MaxPool2d, Flatten, Dropout, Identity, "
                               f"or of {self._framework.name}'s neurons {known}")
        if isinstance(value, _Spikes):
            raise CompileError(f"{where} must come behind synapses, not behind {value.where}")
        if self._framework.stateful and id(module) in self._seen:
            raise CompileError(f"{where} must have one place in the model: its membranes go on from call to call")
        self._seen.add(id(module))
        return self._fire(where, self._framework.neurons[kind](where, module, value), value)

    def _fire(self, where: str, neurons: Neurons, synapses: Synapses) -> _Spikes:
        """Add a layer; what it sends."""
        if neurons.bounded and any(one.source == INPUT for one in synapses.sets) and (
            self._empty.input_kind != "latency"
        ):
            self._empty = replace(self._empty, in_limit=self._empty.in_max)
        if neurons.theta is not None and np.min(neurons.theta) <= 0:
            raise CompileError(f"{where} must have a threshold above its resting and reset potential, "
                               f"not {float(np.min(neurons.theta))!r} above")
        if not 0 <= neurons.leak <= 1:
            raise CompileError(f"{where} must keep 0 … 1 of its membrane in a step, not {neurons.leak!r}")
        index = len(self._layers)
        # Stable: of several sets from the layer before, the first is the layer's own.
        first, *others = sorted(synapses.sets, key=lambda one: one.source != index - 1)
        if first.source != index - 1:
            before = self._names[-1] if self._names else "the input"
            raise CompileError(f"{where} must take the spikes of {before}, which runs before it, among others")
        bias = synapses.bias if neurons.bias is None else synapses.bias + neurons.bias
        self._layers.append(FloatLayer(
            weight=first.weight, bias=bias if bias.any() else None, connectivity=first.connectivity,
            average_pool=first.average_pool, theta=neurons.theta, leak=neurons.leak, strict=neurons.strict,
            reset=neurons.reset, reset_delay=neurons.reset_delay, single_spike=neurons.single_spike,
            reset_step=neurons.reset_step, v_init=neurons.v_init,
            branches=tuple(FloatBranch(source=one.source, weight=one.weight, connectivity=one.connectivity,
                                       average_pool=one.average_pool) for one in others),
        ))
        self._names.append(where)
        levels = 1 if neurons.theta is None or neurons.theta.ndim == 1 else neurons.theta.shape[1]
        return _Spikes(where=where, source=index, shape=synapses.out_shape, flat=len(synapses.out_shape) == 1, low=0.0,
                       high=float(levels))


def _reached(
    where: str, value: _Spikes, weight: np.ndarray, connectivity: Dense | Conv2d, bias: np.ndarray,
) -> Synapses:
    """Synapses that take these spikes."""
    return Synapses(where=where, bias=bias, sets=(_Set(
        source=value.source, weight=weight, connectivity=connectivity, average_pool=value.pool > 1, low=value.low,
        high=value.high),))


def _passed_on(where: str, value: _Spikes) -> Synapses:
    """Synapses of weight 1 from each place to the same."""
    shape = value.out_shape
    if len(shape) == 3:
        connectivity = Conv2d(in_shape=value.shape, channels=shape[0], kernel=(1, 1), groups=shape[0], pool=value.pool)
        return _reached(where, value, np.ones(connectivity.weight_shape), connectivity, np.zeros(shape[0]))
    if shape[0] > PASSED_ON_MAX:
        raise CompileError(f"{where} must add at most {PASSED_ON_MAX} spikes of a vector, not {shape[0]}")
    dense = Dense(in_shape=value.shape, neurons=shape[0], pool=value.pool)
    return _reached(where, value, np.eye(shape[0]), dense, np.zeros(shape[0]))


def _convolution(where: str, module: nn.Conv2d, value: _Spikes) -> Conv2d:
    if value.flat or len(value.shape) != 3:
        raise CompileError(f"{where} must take a map, not a vector")
    if module.padding_mode != "zeros" or tuple(module.dilation) != (1, 1):
        raise CompileError(f"{where} must have padding_mode 'zeros' and dilation 1, not {module.padding_mode!r} "
                           f"and {tuple(module.dilation)}")
    kernel, padding = tuple(module.kernel_size), module.padding
    if isinstance(padding, str):
        if padding == "same" and any(size % 2 == 0 for size in kernel):
            raise CompileError(f"{where} must have a kernel of odd sides for padding 'same', not {kernel}")
        padding = [(size - 1) // 2 if padding == "same" else 0 for size in kernel]
    return Conv2d(
        in_shape=value.shape, channels=module.out_channels, kernel=(kernel[0], kernel[1]),
        stride=_pair(module.stride), padding=_pair(padding), groups=module.groups, pool=value.pool,
    )


def _map(where: str, value: _Spikes | Synapses) -> Shape:
    """Shape of the map that a pool takes, pooled so far."""
    if len(value.out_shape) != 3:
        raise CompileError(f"{where} must take a map, not a vector")
    return value.out_shape


def _averaged(synapses: _Set, side: int) -> _Set:
    """Convolution, then the mean of side × side of its outputs."""
    assert isinstance(synapses.connectivity, Conv2d)
    weight, connectivity = pooled_kernel(synapses.weight, synapses.connectivity, side)
    return replace(synapses, weight=weight / side**2, connectivity=connectivity)


def per_channel(where: str, name: str, value: Any, synapses: Synapses) -> np.ndarray:
    """float64[C] from a number or a tensor that torch would broadcast to the neurons.

    Raises
    ------
    CompileError
        Another shape, or neurons of one channel that differ.
    """
    array, shape = _array(value), synapses.out_shape
    if array.ndim > len(shape) and array.shape[: array.ndim - len(shape)] == (1,) * (array.ndim - len(shape)):
        array = array.reshape(array.shape[array.ndim - len(shape) :])
    try:
        spread = np.broadcast_to(array, shape).reshape(shape[0], size_of(shape) // shape[0])
    except ValueError:
        raise CompileError(f"{where} must have a {name} that fits its neurons {shape}, not one of shape "
                           f"{array.shape}") from None
    if not np.isfinite(spread).all():
        raise CompileError(f"{where} must have a finite {name}, not {value!r}")
    if (spread != spread[:, :1]).any():
        raise CompileError(f"{where} must have the same {name} for all neurons of a channel")
    return spread[:, 0].copy()


def single(where: str, name: str, value: Any) -> float:
    """A number that all neurons of a layer share.

    Raises
    ------
    CompileError
    """
    array = _array(value)
    if not array.size or (array != array.flat[0]).any() or not np.isfinite(array.flat[0]):
        raise CompileError(f"{where} must have one finite {name} for all its neurons, not {value!r}")
    return float(array.flat[0])


def check_heaviside(where: str, fire: Callable[[torch.Tensor], torch.Tensor], *, at_zero: bool) -> None:
    """Refuse a surrogate that is no step function going forward.

    Raises
    ------
    CompileError
    """
    with torch.no_grad():
        values = torch.tensor(_PROBE)
        fired = fire(values)
    if not torch.equal(fired, ((values >= 0) if at_zero else (values > 0)).to(fired.dtype)):
        raise CompileError(f"{where} must have a surrogate that is 1 for {'≥' if at_zero else '>'} 0 and else 0")


def _check_eval(where: str, module: nn.Module) -> None:
    if module.training:
        raise CompileError(f"{where} must be in evaluation mode: call model.eval() first")


def _array(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().to(torch.float64).numpy()
    return np.array(value, dtype=np.float64)


def _pair(value: Any) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else value
    return int(first), int(second)
