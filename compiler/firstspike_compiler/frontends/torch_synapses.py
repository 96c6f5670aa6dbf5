# SPDX-License-Identifier: MIT
"""Merges the torch modules between two layers of neurons: synapses, normalisations, pools and additions.

Every function takes ``where``, the name of the module for `CompileError` messages, and the value that comes in.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from firstspike_arch.connectivity import Conv2d, ConvTranspose2d, Dense, Shape, Window, pool_sides, size_of
from firstspike_arch.shown import shown
from torch import nn

from ..errors import CompileError
from .map_pool import MapPool, adaptive_pool, pool_currents, take_pool, window_pool
from .one_to_one import one_to_one

__all__ = [
    "OWN", "Spikes", "Synapses", "Term", "add_up", "as_array", "as_pair", "average", "check_eval", "check_heaviside",
    "connect", "currents", "flatten", "join", "largest", "late", "map_shape", "merged", "multiply", "normalise",
    "passed_on", "per_channel", "reach", "scale", "silent", "single", "vote",
]

OWN = -2
"""Source of the spikes that the neurons themselves sent in the step before."""

_LINES = (nn.Conv1d, nn.ConvTranspose1d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)

_PROBE = (-1e3, -1.0, -0.5, -1e-3, -1e-6, 0.0, 1e-6, 1e-3, 0.5, 1.0, 1e3)


@dataclass(frozen=True, kw_only=True, eq=False)
class Term:
    """The spikes of one layer or of the input, as a part of `Spikes`.

    ``shape`` is that of the sender. Magnitudes are ``low`` … ``high``, times ``gain``. ``pool`` are the average pools
    on the way, together. ``first`` is the place of its first value among the values of the whole. The spikes come
    ``delay`` steps late.
    """

    source: int
    shape: Shape
    low: float
    high: float
    gain: float = 1.0
    pool: MapPool | None = None
    first: int = 0
    delay: int = 0

    @property
    def out_shape(self) -> Shape:
        """Shape after the pools, (N,) or (C, H, W)."""
        return self.shape if self.pool is None else self.pool.shape(self.shape)

    @property
    def size(self) -> int:
        return size_of(self.out_shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Spikes:
    """Spikes on their way to synapses: those of one layer or of the input, or of several, joined or added up.

    ``where`` names the module that sends them, and ``pooled`` the last pool on the way. ``shape`` is (N,) or (C, H, W),
    after the pools; ``flat``: a map is taken as a vector; ``line``: a map of height 1 is taken as (C, L).
    """

    where: str
    terms: tuple[Term, ...]
    shape: Shape
    flat: bool
    pooled: str = ""
    line: bool = False

    @property
    def out_shape(self) -> Shape:
        return _seen(self.shape, flat=self.flat, line=self.line)

    @property
    def plain(self) -> Term | None:
        """The spikes themselves, if they are those of one layer, neither pooled nor scaled nor late."""
        one = self.terms[0]
        return one if len(self.terms) == 1 and one.pool is None and one.gain == 1 and not one.delay else None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Set:
    """Synapses from one source; fields as in `FloatBranch`. The magnitudes that come in are ``low`` … ``high``."""

    source: int
    weight: np.ndarray
    connectivity: Dense | Conv2d
    average_pool: bool
    low: float
    high: float
    delay: int = 0

    @property
    def delays(self) -> np.ndarray | None:
        """The delay of each address, int64[N]; None: there is none."""
        return np.full(size_of(self.connectivity.in_shape), self.delay) if self.delay else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Synapses:
    """The synapses of a layer's neurons: one set, or several whose currents add up.

    ``where`` names the last module that was merged in. ``bias`` is float64[C]. ``flat``: a map is taken as a vector;
    ``line``: a map of height 1 is taken as (C, L). ``normalised``: a normalisation gave the weights of each channel a
    factor of its own. ``window``: the neurons get the largest of the sums in each window.
    """

    where: str
    sets: tuple[_Set, ...]
    bias: np.ndarray
    flat: bool = False
    line: bool = False
    normalised: bool = False
    window: Window | None = None

    @property
    def sums_shape(self) -> Shape:
        """Shape of the sums, (N,) or (C, H, W)."""
        return self.sets[0].connectivity.out_shape

    @property
    def shape(self) -> Shape:
        """Shape of the neurons, (N,) or (C, H, W)."""
        return self.sums_shape if self.window is None else self.window.out_shape(self.sums_shape)

    @property
    def out_shape(self) -> Shape:
        return _seen(self.shape, flat=self.flat, line=self.line)

    @property
    def channels(self) -> int:
        return self.sets[0].connectivity.channels

    def largest_drive(self, lasting: np.ndarray | float = 0.0) -> np.ndarray:
        """Largest current that a neuron of each channel can get in one step, float64[C]; of currents that last, with
        a leak of ``lasting``, the most that they come near to."""
        drive = self.bias
        for one in self.sets:
            flat = one.weight.reshape(len(one.weight), -1)
            shared = 1 if one.average_pool else math.prod(pool_sides(one.connectivity.pool))  # a sum of whole windows
            drive = drive + shared * np.maximum(0.0, np.maximum(flat * one.low, flat * one.high)).sum(1)
        with np.errstate(divide="ignore"):
            return np.where(drive > 0, drive / (1.0 - np.broadcast_to(lasting, drive.shape)), drive)

    def scaled(self, gain: np.ndarray) -> "Synapses":
        """The synapses with weights and bias multiplied by a factor for each channel, float64[C]."""
        return replace(self, bias=self.bias * gain, sets=tuple(
            replace(one, weight=one.weight * gain.reshape(-1, *[1] * (one.weight.ndim - 1))) for one in self.sets))


def _seen(shape: Shape, *, flat: bool, line: bool) -> Shape:
    """The shape that torch sees."""
    return (size_of(shape),) if flat else (shape[0], shape[2]) if line else shape


def merged(sets: tuple[_Set, ...]) -> tuple[_Set, ...]:
    """The sets, those from the same source through the same connectivity and as late as one."""
    found: list[_Set] = []
    for one in sets:
        same = [place for place, other in enumerate(found) if other.source == one.source and (
            other.connectivity == one.connectivity and other.average_pool == one.average_pool
            and other.delay == one.delay)]
        if same:
            found[same[0]] = replace(found[same[0]], weight=found[same[0]].weight + one.weight)
        else:
            found.append(one)
    return tuple(found)


def flatten(where: str, module: nn.Flatten, value: Spikes | Synapses) -> Spikes | Synapses:
    """Take a map as a vector; a vector is returned as it is."""
    # start_dim is 2 if time has a dimension before the batch's; if it is wrong, the next fan-in does not fit.
    if module.start_dim not in (1, 2, -3) or module.end_dim not in (-1, 3):
        raise CompileError(f"{where} must flatten all but the batch, not dimensions {shown(module.start_dim)} to "
                           f"{shown(module.end_dim)}")
    return replace(value, flat=len(value.shape) == 3)


def connect(where: str, module: Any, value: Spikes | Synapses) -> Synapses:
    """The synapses of a Linear or a convolution that takes spikes, or of a Linear that takes currents of another."""
    weight = as_array(module.weight)
    if isinstance(module, _LINES):
        weight = weight[:, :, None]
    if isinstance(module, _TRANSPOSED):  # torch has the channels of the input first
        groups = weight.reshape(module.groups, -1, *weight.shape[1:])
        weight = groups.swapaxes(1, 2).reshape(-1, *groups.shape[1:2], *weight.shape[2:])
    bias = np.zeros(len(weight)) if module.bias is None else as_array(module.bias)
    if weight.ndim == 4:
        return _convolve(where, module, weight, bias, value)
    return multiply(where, weight, bias, value)


def multiply(where: str, weight: np.ndarray, bias: np.ndarray, value: Spikes | Synapses) -> Synapses:
    """The dense synapses W·x + b of spikes, or of the currents of dense synapses; float64[M, N] and float64[M]."""
    if len(value.out_shape) > 1:
        raise CompileError(f"{where} must come behind a Flatten: it would act on the rows of a map")
    if weight.shape[1:] != value.out_shape:
        raise CompileError(f"{where} must have weights of shape {(len(weight), *value.out_shape)} for what comes in, "
                           f"{value.shape}, not {weight.shape}")
    if isinstance(value, Synapses):
        if value.window is not None or not all(isinstance(one.connectivity, Dense) for one in value.sets):
            raise CompileError(f"{where} must come behind neurons, not behind {value.where}")
        return Synapses(where=where, bias=weight @ value.bias + bias, sets=tuple(replace(
            one, weight=weight @ one.weight, connectivity=replace(one.connectivity, neurons=len(weight)))
            for one in value.sets))
    return Synapses(where=where, bias=bias, sets=tuple(
        _set(where, one, weight[:, one.first : one.first + one.size],
             Dense(in_shape=one.out_shape, neurons=len(weight))) for one in value.terms))


def _convolve(
    where: str, module: Any, weight: np.ndarray, bias: np.ndarray, value: Spikes | Synapses,
) -> Synapses:
    """The synapses of a convolution, with its weights in our order, float64[Co, Ci/groups, Kh, Kw]."""
    if isinstance(value, Synapses):
        raise CompileError(f"{where} must come behind neurons, not behind {value.where}")
    if len(value.out_shape) == 1:
        raise CompileError(f"{where} must take a map, not a vector")
    if value.line != isinstance(module, _LINES):
        raise CompileError(f"{where} must take {'(C, H, W)' if value.line else '(C, L)'}, not {value.out_shape}")
    if len(value.terms) > 1 and module.groups > 1 and any(one.size != size_of(value.shape) for one in value.terms):
        raise CompileError(f"{where} must have groups 1 behind channels that were joined, not {module.groups}")
    if module.in_channels != value.shape[0]:
        expected = (len(weight), value.shape[0] // module.groups, *weight.shape[2:])
        raise CompileError(f"{where} must have weights of shape {expected} for what comes in, {value.shape}, not "
                           f"{weight.shape}")
    sets = []
    for one in value.terms:
        first, channels = one.first // size_of(value.shape[1:]), one.shape[0]
        part = weight if channels == value.shape[0] else weight[:, first : first + channels]
        try:
            sets.append(_set(where, one, part, _convolution(where, module, one)))
        except CompileError:
            raise
        except ValueError as error:
            raise CompileError(f"{where} must fit what comes in: {error}") from None
    return Synapses(where=where, sets=tuple(sets), bias=bias, line=value.line)


def _set(where: str, one: Term, weight: np.ndarray, connectivity: Dense | Conv2d) -> _Set:
    """Synapses that take what comes out of the pools behind one sender."""
    try:
        weight, connectivity, averages = take_pool(one.pool, one.shape, weight, connectivity)
    except ValueError as error:
        raise CompileError(f"{where} {error}") from None
    return _Set(source=one.source, weight=weight * one.gain, connectivity=connectivity, average_pool=averages,
                low=one.low, high=one.high, delay=one.delay)


def late(where: str, steps: int, value: Spikes | Synapses) -> Spikes | Synapses:
    """The same, some steps later."""
    if isinstance(value, Spikes):
        return replace(value, where=where, terms=tuple(replace(one, delay=one.delay + steps) for one in value.terms))
    if steps and value.bias.any():
        raise CompileError(f"{where} must be in front of synapses with a bias, which is there from the first step on")
    return replace(value, where=where, sets=tuple(replace(one, delay=one.delay + steps) for one in value.sets))


def largest(where: str, module: Any, value: Synapses) -> Synapses:
    """The largest of the currents in each window of a MaxPool2d."""
    _check_no_window(where, value)
    map_shape(where, value)
    window = Window(kernel=as_pair(module.kernel_size), stride=as_pair(module.stride or module.kernel_size),
                    padding=as_pair(module.padding), dilation=as_pair(module.dilation), ceil_mode=module.ceil_mode)
    try:
        window.out_shape(value.sums_shape)
    except ValueError as error:
        raise CompileError(f"{where} must fit what comes in: {error}") from None
    return replace(value, where=where, window=window)


def _check_no_window(where: str, value: Spikes | Synapses) -> None:
    if isinstance(value, Synapses) and value.window is not None:
        raise CompileError(f"{where} must come before {value.where}, which takes the largest of currents for neurons "
                           "directly behind it")


def add_up(where: str, left: Spikes | Synapses, right: Spikes | Synapses) -> Spikes | Synapses:
    """Add spikes, or currents onto the same neurons; spikes that are added to currents reach them one to one."""
    _check_no_window(where, left)
    _check_no_window(where, right)
    if left.out_shape != right.out_shape:
        raise CompileError(f"{where} must add up equal shapes, not {left.out_shape} and {right.out_shape}")
    if isinstance(left, Spikes) and isinstance(right, Spikes):
        if left.shape != right.shape:
            left, right = (replace(one, shape=one.out_shape) for one in (left, right))
        return replace(left, where=where, terms=(*left.terms, *right.terms))
    one, other = (side if isinstance(side, Synapses) else passed_on(where, side) for side in (left, right))
    if one.shape != other.shape:
        raise CompileError(f"{where} must add up equal shapes, not {one.shape} and {other.shape}")
    return Synapses(where=where, sets=(*one.sets, *other.sets), bias=one.bias + other.bias, flat=one.flat,
                    line=one.line, normalised=one.normalised or other.normalised)


def currents(where: str, left: Synapses, right: Synapses) -> Synapses:
    """The sum of currents onto the same neurons."""
    value = add_up(where, left, right)
    assert isinstance(value, Synapses)
    return value


def join(where: str, values: list[Spikes | Synapses]) -> Spikes:
    """Put the channels of spikes one behind the other."""
    terms: list[Term] = []
    first = 0
    for value in values:
        if isinstance(value, Synapses):
            raise CompileError(f"{where} must join spikes, not the currents of {value.where}")
        terms.extend(replace(one, first=first + one.first) for one in value.terms)
        first += size_of(value.shape)
    shape, line = values[0].shape, values[0].line
    vector = len(values[0].out_shape) == 1
    return Spikes(where=where, terms=tuple(terms), flat=False, line=line and not vector,
                  shape=(first,) if vector else (first // size_of(shape[1:]), *shape[1:]))


def scale(where: str, factor: np.ndarray, value: Spikes | Synapses) -> Spikes | Synapses:
    """Multiply by a number, or currents by one for each channel."""
    if isinstance(value, Synapses):
        factors = per_channel(where, "factor", factor, value)
        if factors.min() < 0:
            _check_no_window(where, value)
        return replace(value.scaled(factors), where=where)
    if factor.ndim or not np.isfinite(factor):
        raise CompileError(f"{where} must scale the spikes of {value.where} by one finite number")
    return replace(value, where=where, terms=tuple(replace(one, gain=one.gain * float(factor)) for one in value.terms))


def vote(where: str, size: int, value: Spikes | Synapses) -> Synapses:
    """The mean of each ``size`` neurons of a vector, side by side; those left over count nowhere."""
    if len(value.out_shape) != 1 or value.out_shape[0] < size:
        raise CompileError(f"{where} must take a vector of at least {size}, not {value.out_shape}")
    classes = value.out_shape[0] // size
    weight = np.zeros((classes, *value.out_shape))
    weight[:, : classes * size] = np.kron(np.eye(classes), np.full(size, 1 / size))
    return multiply(where, weight, np.zeros(classes), value)


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
    if gain.min() < 0:  # the largest would become the smallest
        _check_no_window(where, value)
    value = replace(value, bias=value.bias - as_array(module.running_mean), normalised=True).scaled(gain)
    return value if module.bias is None else replace(value, bias=value.bias + as_array(module.bias))


def average(where: str, module: Any, value: Spikes | Synapses) -> Spikes | Synapses:
    """Merge an average pool of spikes or of currents."""
    shape = map_shape(where, value)
    _check_no_window(where, value)
    if value.line != isinstance(module, nn.AvgPool1d | nn.AdaptiveAvgPool1d):
        raise CompileError(f"{where} must take {'(C, H, W)' if value.line else '(C, L)'}, not {value.out_shape}")
    try:
        pool = _pool(module, (shape[1], shape[2]))
        if not pool.changes:
            return value
        if isinstance(value, Spikes):
            old, new = size_of(shape[1:]), size_of(pool.size)
            return replace(value, shape=pool.shape(shape), pooled=where, terms=tuple(
                replace(one, pool=pool.behind(one.pool), first=one.first // old * new) for one in value.terms))
        sets = []
        for one in value.sets:
            weight, connectivity = pool_currents(pool, one.weight, one.connectivity)
            sets.append(replace(one, weight=weight, connectivity=connectivity))
    except ValueError as error:
        raise CompileError(f"{where} {error}") from None
    return replace(value, sets=tuple(sets), bias=value.bias if pool.gain == 1 else value.bias * float(pool.gain))


def _pool(module: Any, size: tuple[int, int]) -> MapPool:
    """An average pool of torch, of a map of this height and width."""
    line = isinstance(module, nn.AvgPool1d | nn.AdaptiveAvgPool1d)

    def pair(value: Any, across: int) -> tuple[int, int]:
        return (across, as_pair(value)[1]) if line else as_pair(value)

    if isinstance(module, nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d):
        given = module.output_size if isinstance(module.output_size, tuple) else (module.output_size,) * 2
        wanted = (None, given[-1]) if line else given
        down, across = (length if one is None else one for one, length in zip(wanted, size, strict=True))
        return adaptive_pool(size, (down, across))
    return window_pool(
        size, pair(module.kernel_size, 1), pair(module.stride or module.kernel_size, 1), pair(module.padding, 0),
        ceil_mode=module.ceil_mode, count_include_pad=module.count_include_pad,
        divisor=getattr(module, "divisor_override", None))


def reach(where: str, value: Spikes, weight: np.ndarray, connectivity: Dense | Conv2d) -> Synapses:
    """The synapses that take the spikes of one layer with this weight."""
    return Synapses(where=where, bias=np.zeros(len(weight)), sets=(
        _set(where, value.terms[0], weight, connectivity),))


def passed_on(where: str, value: Spikes) -> Synapses:
    """Synapses from each spike to the neuron at its own place."""
    channels, size = value.shape[0], size_of(value.shape)
    try:
        if all(one.size == size for one in value.terms):
            each = [(one, *one_to_one(one.out_shape, flat=value.flat)) for one in value.terms]
            return Synapses(where=where, bias=np.zeros(len(each[0][2])), line=value.line, sets=tuple(
                _set(where, one, ones, connectivity) for one, connectivity, ones in each))
        if len(value.out_shape) == 1:
            return multiply(where, one_to_one(value.out_shape)[1], np.zeros(size), value)
    except ValueError as error:
        raise CompileError(f"{where} must add up less: {error}") from None
    identity = (nn.Conv1d if value.line else nn.Conv2d)(channels, channels, 1, bias=False)
    return _convolve(where, identity, np.eye(channels)[:, :, None, None], np.zeros(channels), value)


def silent(in_shape: Shape, out_shape: Shape) -> tuple[Dense | Conv2d, np.ndarray]:
    """Connectivity and weights of synapses that do nothing, for neurons that take no spikes of the layer before.

    Raises
    ------
    ValueError
        The neurons are a map, and the layer before is a vector.
    """
    if len(out_shape) == 1:
        dense = Dense(in_shape=in_shape, neurons=out_shape[0])
        return dense, np.zeros(dense.weight_shape)
    if len(in_shape) == 1:
        raise ValueError("a map cannot take spikes of a vector")
    axes = []
    for length, out in zip(in_shape[1:], out_shape[1:], strict=True):
        padding = max(0, -(-(out - length) // 2))
        stride = max(1, (length - 1) // (out - 1)) if out > 1 else 1
        axes.append((length + 2 * padding - stride * (out - 1), stride, padding))
    kernel, stride, padding = zip(*axes, strict=True)
    groups = int(np.gcd(in_shape[0], out_shape[0]))
    maps = Conv2d(in_shape=in_shape, channels=out_shape[0], kernel=kernel, stride=stride, padding=padding,
                  groups=groups)
    return maps, np.zeros(maps.weight_shape)


def _convolution(where: str, module: Any, value: Term) -> Conv2d:
    if module.padding_mode != "zeros":
        raise CompileError(f"{where} must have padding_mode 'zeros', not {module.padding_mode!r}: what it repeats at "
                           "the border has no synapses of its own")
    padding = module.padding
    if isinstance(padding, str):
        reach = [step * (side - 1) for side, step in zip(module.kernel_size, module.dilation, strict=True)]
        if padding == "same" and any(length % 2 for length in reach):
            raise CompileError(f"{where} must have a kernel of odd sides for padding 'same', not "
                               f"{tuple(module.kernel_size)}")
        padding = tuple(length // 2 if padding == "same" else 0 for length in reach)
    line = isinstance(module, _LINES)

    def pair(given: Any, across: int) -> tuple[int, int]:
        return (across, as_pair(given)[1]) if line else as_pair(given)

    options: dict[str, Any] = {
        "in_shape": value.out_shape, "channels": module.out_channels, "kernel": pair(module.kernel_size, 1),
        "stride": pair(module.stride, 1), "padding": pair(padding, 0), "dilation": pair(module.dilation, 1),
        "groups": module.groups,
    }
    if isinstance(module, _TRANSPOSED):
        return ConvTranspose2d(**options, output_padding=pair(module.output_padding, 0))
    return Conv2d(**options)


def map_shape(where: str, value: Spikes | Synapses) -> Shape:
    """Shape (C, H, W) of the map that reaches a pool, after the pools before it; a vector raises CompileError."""
    if len(value.out_shape) == 1:
        raise CompileError(f"{where} must take a map, not a vector")
    return value.shape


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
        spread = np.broadcast_to(array, shape).reshape(synapses.channels, -1)
    except ValueError:
        raise CompileError(f"{where} must have a {name} that fits its neurons {shape}, not one of shape "
                           f"{array.shape}") from None
    if not np.isfinite(spread).all():
        raise CompileError(f"{where} must have a finite {name}, not {shown(value)}")
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
        raise CompileError(f"{where} must have one finite {name} for all its neurons, not {shown(value)}")
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
    first, second = (value, value) if isinstance(value, int) else value if len(value) == 2 else (value[0], value[0])
    return int(first), int(second)
