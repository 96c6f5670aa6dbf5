# SPDX-License-Identifier: MIT
"""Merges the torch modules between two layers of neurons: synapses, normalisations, pools and additions.

Every function takes ``where``, the name of the module for `CompileError` messages, and the value that comes in.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from firstspike_arch.connectivity import Conv2d, Dense, Shape, pooled, size_of
from torch import nn

from ..errors import CompileError
from .one_to_one import one_to_one
from .pooled_kernel import pooled_kernel

__all__ = [
    "Spikes", "Synapses", "add_up", "as_pair", "average", "check_eval", "check_heaviside", "connect", "flatten",
    "map_shape", "normalise", "per_channel", "reach", "single",
]

_PROBE = (-1e3, -1.0, -0.5, -1e-3, -1e-6, 0.0, 1e-6, 1e-3, 0.5, 1.0, 1e3)


@dataclass(frozen=True, kw_only=True, eq=False)
class Spikes:
    """The spikes of a layer or of the input, on their way to synapses.

    ``where`` names the module that sends them. Magnitudes are ``low`` … ``high``. ``pool`` is the side of the average
    pools on the way, together, and ``pooled`` names the last of them. ``flat``: a map is taken as a vector.
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
    """Synapses from one source; fields as in `FloatBranch`. The magnitudes that come in are ``low`` … ``high``."""

    source: int
    weight: np.ndarray
    connectivity: Dense | Conv2d
    average_pool: bool
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Synapses:
    """The synapses of a layer's neurons: one set, or several whose currents add up.

    ``where`` names the last module that was merged in. ``bias`` is float64[C]. ``normalised``: a normalisation gave the
    weights of each channel a factor of its own.
    """

    where: str
    sets: tuple[_Set, ...]
    bias: np.ndarray
    normalised: bool = False

    @property
    def out_shape(self) -> Shape:
        """Shape of the neurons, (N,) or (C, H, W)."""
        return self.sets[0].connectivity.out_shape

    @property
    def channels(self) -> int:
        return self.sets[0].connectivity.channels

    def largest_drive(self) -> np.ndarray:
        """Largest current that a neuron of each channel can get in one step, float64[C]."""
        drive = self.bias
        for one in self.sets:
            flat = one.weight.reshape(len(one.weight), -1)
            drive = drive + np.maximum(0.0, np.maximum(flat * one.low, flat * one.high)).sum(1)
        return drive

    def scaled(self, gain: np.ndarray) -> "Synapses":
        """The synapses with weights and bias multiplied by a factor for each channel, float64[C]."""
        return replace(self, bias=self.bias * gain, sets=tuple(
            replace(one, weight=one.weight * gain.reshape(-1, *[1] * (one.weight.ndim - 1))) for one in self.sets))


def flatten(where: str, module: nn.Flatten, value: Spikes | Synapses) -> Spikes | Synapses:
    """Take a map as a vector; a vector is returned as it is."""
    # start_dim is 2 if time has a dimension before the batch's; if it is wrong, the next fan-in does not fit.
    if module.start_dim not in (1, 2, -3) or module.end_dim not in (-1, 3):
        raise CompileError(f"{where} must flatten all but the batch, not dimensions {module.start_dim!r} to "
                           f"{module.end_dim!r}")
    if isinstance(value, Spikes):
        return replace(value, flat=True)
    if len(value.out_shape) == 3:
        raise CompileError(f"{where} must come behind neurons, not behind {value.where}")
    return value


def connect(where: str, module: Any, value: Spikes | Synapses) -> Synapses:
    """The synapses of a Linear or Conv2d that takes spikes."""
    if isinstance(value, Synapses):
        raise CompileError(f"{where} must come behind neurons, not behind {value.where}")
    weight = as_array(module.weight)
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
    return reach(where, value, weight, connectivity,
                    np.zeros(len(weight)) if module.bias is None else as_array(module.bias))


def add_up(where: str, left: Spikes | Synapses, right: Spikes | Synapses) -> Synapses:
    """Add currents onto the same neurons; spikes become currents by one-to-one synapses."""
    one, other = (side if isinstance(side, Synapses) else _passed_on(where, side) for side in (left, right))
    if one.out_shape != other.out_shape:
        raise CompileError(f"{where} must add up equal shapes, not {one.out_shape} and {other.out_shape}")
    return Synapses(where=where, sets=(*one.sets, *other.sets), bias=one.bias + other.bias,
                    normalised=one.normalised or other.normalised)


def normalise(where: str, module: Any, value: Spikes | Synapses) -> Synapses:
    """Fold y = (x − mean)/√(var + eps)·γ + β into weights and bias."""
    if isinstance(value, Spikes):
        raise CompileError(f"{where} must come behind synapses, not behind {value.where}")
    check_eval(where, module)
    if module.running_mean is None or len(module.running_mean) != value.channels:
        raise CompileError(f"{where} must have running statistics of the {value.channels} channels of "
                           f"{value.where}")
    gain = 1.0 / np.sqrt(as_array(module.running_var) + module.eps)
    if module.weight is not None:
        gain = gain * as_array(module.weight)
    value = replace(value, bias=value.bias - as_array(module.running_mean), normalised=True).scaled(gain)
    return value if module.bias is None else replace(value, bias=value.bias + as_array(module.bias))


def average(where: str, module: Any, value: Spikes | Synapses) -> Spikes | Synapses:
    """Merge an average pool of spikes or of currents."""
    shape = map_shape(where, value)
    if isinstance(module, nn.AdaptiveAvgPool2d):
        given = module.output_size if isinstance(module.output_size, tuple) else (module.output_size,) * 2
        side = tuple(size if one is None else one for one, size in zip(given, shape[1:], strict=True))
        if min(side) < 1:
            raise CompileError(f"{where} must divide a map into at least one square, not into {side[0]} × {side[1]}")
        kernel = stride = (shape[1] // side[0], shape[2] // side[1])
        whole = (side[0] * kernel[0], side[1] * kernel[1]) == shape[1:] and kernel[0] == kernel[1] and kernel[0]
        if not whole:
            raise CompileError(f"{where} must divide a map of {shape[1]} × {shape[2]} into equal squares, not into "
                               f"{side[0]} × {side[1]}")
    else:
        kernel, stride = as_pair(module.kernel_size), as_pair(module.stride or module.kernel_size)
        if (kernel != stride or kernel[0] != kernel[1] or any(as_pair(module.padding)) or module.ceil_mode
                or module.divisor_override is not None or kernel[0] > min(shape[1:])):
            raise CompileError(f"{where} must have square windows side by side inside the map, with no padding, "
                               "ceil_mode or divisor_override")
    if kernel[0] == 1:
        return value
    if isinstance(value, Spikes):
        return replace(value, pool=value.pool * kernel[0], pooled=where)
    return replace(value, sets=tuple(_averaged(one, kernel[0]) for one in value.sets))


def reach(
    where: str, value: Spikes, weight: np.ndarray, connectivity: Dense | Conv2d, bias: np.ndarray,
) -> Synapses:
    """The set of synapses that takes these spikes with this weight."""
    return Synapses(where=where, bias=bias, sets=(_Set(
        source=value.source, weight=weight, connectivity=connectivity, average_pool=value.pool > 1, low=value.low,
        high=value.high),))


def _passed_on(where: str, value: Spikes) -> Synapses:
    try:
        connectivity, ones = one_to_one(value.shape, value.pool, flat=value.flat)
    except ValueError as error:
        raise CompileError(f"{where} must add up less: {error}") from None
    return reach(where, value, ones, connectivity, np.zeros(len(ones)))


def _convolution(where: str, module: nn.Conv2d, value: Spikes) -> Conv2d:
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
        stride=as_pair(module.stride), padding=as_pair(padding), groups=module.groups, pool=value.pool,
    )


def map_shape(where: str, value: Spikes | Synapses) -> Shape:
    """Shape of the map that reaches a pool, after the pools before it; a vector raises CompileError."""
    if len(value.out_shape) != 3:
        raise CompileError(f"{where} must take a map, not a vector")
    return value.out_shape


def _averaged(synapses: _Set, side: int) -> _Set:
    """The convolution that gives the means of side × side outputs of a convolution."""
    assert isinstance(synapses.connectivity, Conv2d)
    weight, connectivity = pooled_kernel(synapses.weight, synapses.connectivity, side)
    return replace(synapses, weight=weight / side**2, connectivity=connectivity)


def per_channel(where: str, name: str, value: Any, synapses: Synapses) -> np.ndarray:
    """float64[C] from a number, or from a tensor that torch would broadcast to the neurons.

    Raises
    ------
    CompileError
        The shape does not fit, a value is not finite, or neurons of one channel differ.
    """
    array, shape = as_array(value), synapses.out_shape
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
    """The number that all neurons of a layer share.

    Raises
    ------
    CompileError
        Values differ or are not finite.
    """
    array = as_array(value)
    if not array.size or (array != array.flat[0]).any() or not np.isfinite(array.flat[0]):
        raise CompileError(f"{where} must have one finite {name} for all its neurons, not {value!r}")
    return float(array.flat[0])


def check_heaviside(where: str, fire: Callable[[torch.Tensor], torch.Tensor], *, at_zero: bool) -> None:
    """Check that the forward function of a surrogate is a step function.

    Raises
    ------
    CompileError
        It is not: 1 for x > 0, and for x = 0 if ``at_zero``, and 0 otherwise.
    """
    with torch.no_grad():
        values = torch.tensor(_PROBE)
        fired = fire(values)
    if not torch.equal(fired, ((values >= 0) if at_zero else (values > 0)).to(fired.dtype)):
        raise CompileError(f"{where} must have a surrogate that is 1 for {'≥' if at_zero else '>'} 0 and else 0")


def check_eval(where: str, module: nn.Module) -> None:
    """Raise CompileError for a module in training mode."""
    if module.training:
        raise CompileError(f"{where} must be in evaluation mode: call model.eval() first")


def as_array(value: Any) -> np.ndarray:
    """A number, array or tensor as a float64 array."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().to(torch.float64).numpy()
    return np.array(value, dtype=np.float64)


def as_pair(value: Any) -> tuple[int, int]:
    """An option of torch, one number or two, as (vertical, horizontal)."""
    first, second = (value, value) if isinstance(value, int) else value
    return int(first), int(second)
