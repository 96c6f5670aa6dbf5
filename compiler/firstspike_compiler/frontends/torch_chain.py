# SPDX-License-Identifier: MIT
"""Chains of torch modules: what all frameworks on torch share. Each frontend adds its own neurons.

Everything is read from modules that the caller holds in memory, in float64, and nothing is trained, run or loaded.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from firstspike_arch.connectivity import Conv2d, Dense, Shape, pooled, size_of
from firstspike_arch.model import FloatLayer, FloatNetwork
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from ..errors import CompileError
from .pooled_kernel import pooled_kernel

__all__ = ["Chain", "Framework", "Neurons", "Synapses", "check_heaviside", "per_channel", "read_chain", "single"]

_IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)
_PROBE = (-1e3, -1.0, -0.5, -1e-3, -1e-6, 0.0, 1e-6, 1e-3, 0.5, 1.0, 1e3)


@dataclass(frozen=True, kw_only=True, eq=False)
class Synapses:
    """What stands in front of a layer's neurons; fields as in `FloatLayer`. ``where`` names the module."""

    where: str
    weight: np.ndarray
    bias: np.ndarray
    connectivity: Dense | Conv2d
    average_pool: bool
    low: float
    high: float
    """Of the magnitudes that come in."""

    def largest_drive(self) -> np.ndarray:
        """float64[C]: no neuron of a channel gets more in one step."""
        flat = self.weight.reshape(len(self.weight), -1)
        return np.maximum(0.0, np.maximum(flat * self.low, flat * self.high)).sum(1) + self.bias


@dataclass(frozen=True, kw_only=True, eq=False)
class Neurons:
    """What a frontend makes of a module of neurons; fields as in `FloatLayer`.

    ``bias`` (float64[C]) is added to that of the synapses. ``theta`` None: the module hands out its membrane.
    ``bounded``: they are these neurons only while no drive exceeds `Synapses.largest_drive`.
    """

    theta: np.ndarray | None
    leak: float
    strict: bool
    reset: str
    reset_delay: bool = False
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
    """

    name: str
    neurons: Mapping[type, Callable[[str, Any, Synapses], Neurons]]
    same: Mapping[type, type] = field(default_factory=dict)
    containers: tuple[type, ...] = ()
    inner: Callable[[nn.Module], nn.Module] = lambda module: module


def read_chain(
    framework: Framework, model: nn.Module | Sequence[nn.Module], *, in_shape: Sequence[int], **fields: Any,
) -> FloatNetwork:
    """The network of a chain of modules; ``fields`` are those of `FloatNetwork`.

    Raises
    ------
    CompileError
        The sentence names the module that has no counterpart.
    """
    fields.setdefault("name", "imported")
    try:
        empty = FloatNetwork(layers=(), **fields)
    except TypeError as error:
        raise CompileError(f"a network must have the fields of FloatNetwork: {error}") from None
    chain = Chain(framework, tuple(in_shape), empty)
    for where, module in _walk(framework, model):
        chain.take(where, module)
    return chain.end()


def _walk(framework: Framework, model: Any, path: str = "model") -> Iterator[tuple[str, nn.Module]]:
    """(name, module) of all modules that are no containers, in the order in which they run."""
    if isinstance(model, list | tuple):
        for index, child in enumerate(model):
            yield from _walk(framework, child, f"{path}[{index}]")
        return
    if not isinstance(model, nn.Module):
        raise CompileError(f"{path} must be a torch module or a list of them, not {type(model).__name__}")
    while (inner := framework.inner(model)) is not model:
        _check_hooks(f"{path} ({type(model).__name__})", model)
        model = inner
    where = f"{path} ({type(model).__name__})"
    _check_hooks(where, model)
    if type(model) in framework.containers or type(model).forward is nn.Sequential.forward:
        for name, child in model.named_children():
            yield from _walk(framework, child, f"{path}.{name}")
        return
    if path == "model":
        raise CompileError(f"{where} must be a Sequential, or the list of its modules in the order in which they run")
    yield where, model


def _check_hooks(where: str, module: nn.Module) -> None:
    if module._forward_hooks or module._forward_pre_hooks:
        raise CompileError(f"{where} must have no forward hooks: what they change cannot be seen")


class Chain:
    """The network so far, as modules are taken one by one.

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
        self._framework, self._empty = framework, empty
        self._shape, self._flat, self._pool = in_shape, False, 1
        self._low, self._high = 0.0, 1.0
        if empty.input_kind == "direct":
            self._low, self._high = empty.in_min * empty.input_scale, empty.in_max * empty.input_scale
        elif empty.input_kind == "events":
            self._high = float(empty.in_max)
        self._pending: Synapses | None = None
        self._last = self._pooled = ""  # names of the last module that fires, and of the last pool
        self._layers: list[FloatLayer] = []

    def take(self, where: str, module: nn.Module) -> None:
        """The next module."""
        kind = type(module).__bases__[0] if is_parametrized(module) else type(module)
        kind = self._framework.same.get(kind, kind)
        if self._layers and self._layers[-1].theta is None:
            raise CompileError(f"{self._last} must fire, or be the last module: {where} takes its spikes")
        if kind in _IDENTITIES:
            _check_eval(where, module)
        elif kind is nn.Flatten:
            self._flatten(where, module)
        elif kind is nn.Linear or kind is nn.Conv2d:
            self._synapses(where, module)
        elif kind is nn.BatchNorm1d or kind is nn.BatchNorm2d:
            self._normalise(where, module)
        elif kind is nn.AvgPool2d or kind is nn.AdaptiveAvgPool2d:
            self._average(where, module)
        elif kind is nn.MaxPool2d:
            self._maximum(where, module)
        else:
            self._neurons(where, module)

    def end(self) -> FloatNetwork:
        """The network; no module follows."""
        if self._pending is not None and self._empty.readout == "potential":
            self._add(Neurons(theta=None, leak=1.0, strict=False, reset="none"))
        if self._pending is not None:
            raise CompileError(f"{self._pending.where} must be followed by neurons, or be read by its potential")
        if not self._layers:
            raise CompileError("model must have at least one module of synapses, followed by neurons")
        if self._pool > 1:
            raise CompileError(f"{self._pooled} must be followed by synapses")
        last = self._layers[-1]
        if self._empty.readout == "potential" and last.theta is not None:
            if last.reset != "none":
                raise CompileError(f"{self._last} must have no reset, or be left out, for a potential read-out")
            self._layers[-1] = replace(last, theta=None, reset_step=None, strict=False)
        elif self._empty.readout != "potential" and last.theta is None:
            raise CompileError(f"{self._last} must fire for a {self._empty.readout} read-out")
        return replace(self._empty, layers=tuple(self._layers))

    def _flatten(self, where: str, module: Any) -> None:
        # With a dimension for the time in front of the batch's, start_dim is 2; of wrong ones the next fan-in differs.
        if module.start_dim not in (1, 2, -3) or module.end_dim not in (-1, 3):
            raise CompileError(f"{where} must flatten all but the batch, not dimensions {module.start_dim!r} to "
                               f"{module.end_dim!r}")
        if self._pending is not None and len(self._pending.connectivity.out_shape) == 3:
            raise CompileError(f"{where} must come behind neurons, not behind {self._pending.where}")
        self._flat = True

    def _synapses(self, where: str, module: Any) -> None:
        if self._pending is not None:
            raise CompileError(f"{where} must come behind neurons, not behind {self._pending.where}")
        weight = _array(module.weight)
        try:
            if isinstance(module, nn.Conv2d):
                connectivity: Dense | Conv2d = self._convolution(where, module)
            else:
                if len(self._shape) == 3 and not self._flat:
                    raise CompileError(f"{where} must come behind a Flatten: it would act on the rows of a map")
                connectivity = Dense(in_shape=self._shape, neurons=len(weight), pool=self._pool)
        except CompileError:
            raise
        except ValueError as error:
            raise CompileError(f"{where} must fit what comes in: {error}") from None
        if weight.shape != connectivity.weight_shape:
            raise CompileError(f"{where} must have weights of shape {connectivity.weight_shape} for what comes in, "
                               f"{pooled(self._shape, self._pool)}, not {weight.shape}")
        self._pending = Synapses(
            where=where, weight=weight, connectivity=connectivity, average_pool=self._pool > 1, low=self._low,
            high=self._high, bias=np.zeros(len(weight)) if module.bias is None else _array(module.bias),
        )
        self._pool = 1

    def _convolution(self, where: str, module: nn.Conv2d) -> Conv2d:
        if self._flat or len(self._shape) != 3:
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
            in_shape=self._shape, channels=module.out_channels, kernel=(kernel[0], kernel[1]),
            stride=_pair(module.stride), padding=_pair(padding), groups=module.groups, pool=self._pool,
        )

    def _normalise(self, where: str, module: Any) -> None:
        """y = (x − mean)/√(var + eps)·γ + β, into weight and bias."""
        synapses = self._pending
        if synapses is None:
            raise CompileError(f"{where} must come behind synapses, not behind {self._last or 'the input'}")
        _check_eval(where, module)
        if module.running_mean is None or len(module.running_mean) != len(synapses.weight):
            raise CompileError(f"{where} must have running statistics of the {len(synapses.weight)} channels of "
                               f"{synapses.where}")
        gain = 1.0 / np.sqrt(_array(module.running_var) + module.eps)
        if module.weight is not None:
            gain = gain * _array(module.weight)
        bias = (synapses.bias - _array(module.running_mean)) * gain
        if module.bias is not None:
            bias = bias + _array(module.bias)
        weight = synapses.weight * gain.reshape(-1, *[1] * (synapses.weight.ndim - 1))
        self._pending = replace(synapses, weight=weight, bias=bias)

    def _average(self, where: str, module: Any) -> None:
        shape = self._map(where)
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
            return
        if self._pending is None:
            self._pool, self._pooled = self._pool * kernel[0], where
        else:
            self._pending = _averaged(self._pending, kernel[0])

    def _maximum(self, where: str, module: Any) -> None:
        """The largest of a window of spikes is one integrate-and-fire neuron that any of them makes fire."""
        shape = self._map(where)
        if self._pending is not None or self._pool > 1 or self._high != 1 or (
            not self._layers and self._empty.input_kind == "direct"
        ):
            raise CompileError(f"{where} must come directly behind neurons, or behind an input of single spikes: the "
                               "largest of other values has no counterpart")
        kernel, stride = _pair(module.kernel_size), _pair(module.stride or module.kernel_size)
        if _pair(module.dilation) != (1, 1) or module.ceil_mode or module.return_indices:
            raise CompileError(f"{where} must have dilation 1 and neither ceil_mode nor return_indices")
        if kernel == stride == (1, 1):
            return
        try:
            connectivity = Conv2d(
                in_shape=shape, channels=shape[0], kernel=kernel, stride=stride, padding=_pair(module.padding),
                groups=shape[0],
            )
        except ValueError as error:
            raise CompileError(f"{where} must fit what comes in: {error}") from None
        ones = np.ones(shape[0])
        self._layers.append(FloatLayer(
            weight=np.ones(connectivity.weight_shape), connectivity=connectivity, theta=ones, reset="zero",
            weight_bits=2, weight_scale=1.0,
        ))
        self._shape, self._last = connectivity.out_shape, where

    def _map(self, where: str) -> Shape:
        """Shape of the map that a pool takes, pooled so far."""
        if self._pending is not None:
            shape = self._pending.connectivity.out_shape
        else:
            shape = () if self._flat else pooled(self._shape, self._pool)
        if len(shape) != 3:
            raise CompileError(f"{where} must take a map, not a vector")
        return shape

    def _neurons(self, where: str, module: nn.Module) -> None:
        kind = type(module)
        if kind not in self._framework.neurons:
            known = ", ".join(one.__name__ for one in self._framework.neurons)
            raise CompileError(f"{where} must be a module that can be mapped: Linear, Conv2d, BatchNorm1d, "
                               "BatchNorm2d, AvgPool2d, AdaptiveAvgPool2d, MaxPool2d, Flatten, Dropout, Identity, "
                               f"or of {self._framework.name}'s neurons {known}")
        if self._pending is None:
            raise CompileError(f"{where} must come behind synapses, not behind {self._last or 'the input'}")
        self._last = where
        self._add(self._framework.neurons[kind](where, module, self._pending))

    def _add(self, neurons: Neurons) -> None:
        synapses = self._pending
        assert synapses is not None
        if neurons.bounded and not self._layers and self._empty.input_kind != "latency":
            self._empty = replace(self._empty, in_limit=self._empty.in_max)
        if neurons.theta is not None and min(neurons.theta) <= 0:
            raise CompileError(f"{self._last} must have a threshold above its resting and reset potential, "
                               f"not {float(min(neurons.theta))!r} above")
        if not 0 <= neurons.leak <= 1:
            raise CompileError(f"{self._last} must keep 0 … 1 of its membrane in a step, not {neurons.leak!r}")
        bias = synapses.bias if neurons.bias is None else synapses.bias + neurons.bias
        self._layers.append(FloatLayer(
            weight=synapses.weight, bias=bias if bias.any() else None, connectivity=synapses.connectivity,
            average_pool=synapses.average_pool, theta=neurons.theta, leak=neurons.leak, strict=neurons.strict,
            reset=neurons.reset, reset_delay=neurons.reset_delay,  # pyright: ignore[reportArgumentType]
            reset_step=neurons.reset_step, v_init=neurons.v_init,
        ))
        self._shape, self._flat = synapses.connectivity.out_shape, len(synapses.connectivity.out_shape) == 1
        self._low, self._high, self._pending = 0.0, 1.0, None


def _averaged(synapses: Synapses, side: int) -> Synapses:
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
    array, shape = _array(value), synapses.connectivity.out_shape
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
