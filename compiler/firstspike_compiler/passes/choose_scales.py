# SPDX-License-Identifier: MIT
"""Choose the scales: the real value of one integer step, for each layer or each channel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from firstspike_arch.fixed import are_whole, quantise, weight_scale
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_arch.layer import WEIGHT_EXPONENT_MAX
from firstspike_arch.shown import shown

from ..errors import CompileError
from .weight_grid import finest_multiple, grid_step, moved_to_whole

__all__ = ["Powers", "WeightScale", "choose_scales", "take_scales"]

CLIPPINGS = np.linspace(0.15, 1.0, 52)
"""Fractions of the largest weight that are tried as the clipping limit."""

Powers = Sequence[Sequence[np.ndarray]]
"""Mean squares of the inputs of the weights, for each layer and each of its sets of synapses, in a shape that
broadcasts to that of the weights."""

WeightScale = float | Sequence[float | None]
"""Real value of one step of the weights: of every layer that has none yet, or of each layer (None: not given)."""

SAMPLES_MAX = 1 << 18
"""Most weights that take part in the search; from more, evenly spaced ones are taken."""

RATE = 1 / 8
"""Mean square of what a synapse gets in a step, where no sample data say it; a bias gets 1."""

RESET = 3.0
"""How much more an error of a soft reset counts than one of a bias: it repeats in one direction with every spike. Found
with `benchmarks/scales.py`."""

_BLOCK = 1 << 20
"""Most weights, over all scales, that are tried at once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Others:
    """What, besides the weights, the membranes of some channels get or are compared with.

    Parameters
    ----------
    theta : float64[C]
        Lowest thresholds; empty if there are none.
    reset, bias : float64[C]
        What a spike takes from them, and what is added in every step; empty if nothing.
    leaking : int
        Number of leaks that round in every step, of the channels' membranes and currents.
    """

    theta: np.ndarray
    reset: np.ndarray
    bias: np.ndarray
    leaking: int

    def whole(self, scale: float) -> bool:
        """Whether nothing is rounded in steps of this scale."""
        return not self.leaking and all(bool(are_whole(one / scale).all()) for one in (self.reset, self.bias))

    def errors(self, scales: np.ndarray) -> np.ndarray:
        """Mean squares of the errors in a step, summed up, for each scale, float64[N] → float64[N]."""
        found = self.leaking * np.square(scales / 2)  # rounding toward −∞ takes half a step on average
        for numbers, rate in ((self.reset, RESET), (self.bias, 1.0)):
            steps = numbers / scales[:, None]
            found += rate * np.square((np.rint(steps) - steps) * scales[:, None]).sum(1)
        return found


def _others(layer: FloatLayer, channels: slice) -> _Others:
    neuron, none = layer.neuron, np.zeros(0)
    theta = none if neuron.theta is None else np.asarray(neuron.theta, dtype=np.float64)
    if theta.ndim != 1:  # `quantise` refuses all other wrong shapes, of the leak, too
        theta = theta.reshape(len(theta), -1)[:, :1].ravel()
    subtracts = neuron.theta is not None and not neuron.single_spike and neuron.reset == "subtract"
    reset = none if not subtracts else theta if neuron.reset_step is None else np.asarray(neuron.reset_step, float)
    leaking = 0
    for factor in (neuron.leak, 1.0 if neuron.current_leak is None else neuron.current_leak):
        leak = np.asarray(factor, dtype=np.float64)
        leak = np.broadcast_to(leak if leak.shape in ((), (len(layer.weight),)) else 1.0, len(layer.weight))[channels]
        leaking += int(np.count_nonzero((leak > 0) & (leak < 1)))
    return _Others(
        theta=theta[channels], reset=(reset if np.isfinite(reset).all() else none)[channels],
        bias=none if neuron.bias is None else np.asarray(neuron.bias, dtype=np.float64)[channels],
        leaking=leaking)


def take_scales(
    network: FloatNetwork, given: WeightScale | None, weight_bits: int | Sequence[int | None] | None = None,
) -> FloatNetwork:
    """The same network with ``weight_scale`` as given, and ``weight_bits`` where there was no scale for other bits.

    Raises
    ------
    CompileError
        A scale is not a positive number, or there is not one number for each layer.
    """
    bits = _for_each(network, "weight_bits", weight_bits)
    scales = _for_each(network, "weight_scale", given)
    if isinstance(given, int | float):
        scales = [given if layer.weight_scale is None else None for layer in network.layers]
    layers = []
    for index, (layer, scale, width) in enumerate(zip(network.layers, scales, bits, strict=True)):
        if scale is not None:
            if not (isinstance(scale, int | float) and np.isfinite(scale) and scale > 0):
                raise CompileError(f"layer {index}: weight_scale must be a positive number, not {shown(scale)}")
            layer = replace(layer, weight_scale=float(scale))
        elif layer.weight_scale is not None:
            width = None
        layers.append(layer if width is None else replace(layer, weight_bits=width))
    return replace(network, layers=tuple(layers))


def _for_each(network: FloatNetwork, name: str, given: Any) -> list[Any]:
    """What is given as one number for all layers, or as one for each, as a list."""
    count = len(network.layers)
    if given is None or isinstance(given, int | float):
        return [given] * count
    numbers = list(given) if isinstance(given, Sequence | np.ndarray) and np.ndim(given) == 1 else []
    if len(numbers) != count:
        raise CompileError(f"{name} must be one number or one for each of the {count} layers, not "
                           f"{len(numbers) if numbers else type(given).__name__}")
    return numbers


def choose_scales(
    network: FloatNetwork, weight_bits: int | Sequence[int] | None = None, *, per_channel: bool = False,
    percentile: float | None = None, powers: Powers | None = None,
) -> FloatNetwork:
    """The same network with ``weight_scale`` (and ``weight_bits``, if given) set in every layer.

    A scale that training fixed is kept, unless the bits differ from those it was fixed for. Weights that are whole
    numbers of one step already, which quantisation-aware training leaves, get that step (or a fraction of it, if biases
    or what a reset subtracts are then nearer and the bits suffice): they lose nothing.

    Otherwise the scale is chosen that gives the least squared error of what membranes get: of weights, by rounding and
    clipping together, of what a soft reset subtracts, and of biases and of half a step, which a leak loses on average,
    in every step. Thresholds take no part: those of integers fire at the same membranes, see `threshold_at_least`.

    Parameters
    ----------
    weight_bits : int or sequence of int
        Bits of the weights, 2 … 8, for all layers or for each; None: those in the network.
    per_channel : bool
        Choose a scale for each channel, except in layers whose channels must share one: the output layer, whose
        membranes are compared, and layers with clamps or a learned latency encoder.
    percentile : float
        Instead of minimising the error of the weights, clip those above this percentile (weighted by ``powers``),
        50 … 100.
    powers : Powers
        Mean squares of the inputs on sample data, by which errors of weights count. None: `RATE` for all.

    Raises
    ------
    CompileError
        Bits or percentile out of range, a scale that is not positive, or weights that are all zero.
    """
    count, bits = len(network.layers), _for_each(network, "weight_bits", weight_bits)
    if percentile is not None and not (isinstance(percentile, int | float) and 50 <= percentile <= 100):
        raise CompileError(f"percentile must be 50…100, not {shown(percentile)}")
    return replace(network, layers=tuple(
        _choose(
            f"layer {index}", layer, layer.weight_bits if bits[index] is None else bits[index], percentile=percentile,
            per_channel=per_channel and index < count - 1, powers=None if powers is None else powers[index])
        for index, layer in enumerate(network.layers)
    ))


def _choose(
    where: str, layer: FloatLayer, bits: int | None, *, percentile: float | None, per_channel: bool,
    powers: Sequence[np.ndarray] | None,
) -> FloatLayer:
    """The layer with its bits and the step of its membranes."""
    if not isinstance(bits, int) or not 2 <= bits <= 8:
        raise CompileError(f"{where}: weight_bits must be 2…8, not {shown(bits)}")
    if not isinstance(layer.weight_exponent, int) or not 0 <= layer.weight_exponent <= WEIGHT_EXPONENT_MAX:
        raise CompileError(f"{where}: weight_exponent must be 0…{WEIGHT_EXPONENT_MAX}, not "
                           f"{shown(layer.weight_exponent)}")
    if layer.weight_scale is not None and bits == layer.weight_bits:
        scale = layer.weight_scale
        if not (np.isfinite(scale) and scale > 0):
            raise CompileError(f"{where}: weight_scale must be a positive number, not {shown(scale)}")
        return replace(layer, weight_scale=float(scale))
    unit = 2.0**layer.weight_exponent
    return replace(layer, weight_bits=bits, weight_scale=_weight_step(
        where, layer, bits, percentile=percentile, per_channel=per_channel, powers=powers) / unit)


def _weight_step(
    where: str, layer: FloatLayer, bits: int, *, percentile: float | None, per_channel: bool,
    powers: Sequence[np.ndarray] | None,
) -> float | np.ndarray:
    """The real value of one step of the weights, of the layer or of each channel, float64[C]."""
    sets = [np.asarray(one.weight) for one in (layer, *layer.branches)]
    shared = not per_channel or layer.neuron.shares_numbers
    if not any(one.any() for one in sets):
        raise CompileError(f"{where}: weight must not be zero everywhere")
    rows = _rows(sets, shared=True)
    # A step that all channels have in common is taken for all, so that what they share stays the same number.
    everything = _others(layer, slice(None))
    whole = None if percentile is not None else _whole_scale(rows[0], everything, bits)
    if whole is not None:
        return whole
    power = None if powers is None else [
        np.broadcast_to(one, weights.shape) for one, weights in zip(powers, sets, strict=True)]
    if shared:
        return _least_error(rows[0], None if power is None else _rows(power, shared=True)[0], everything, bits,
                            percentile)
    rows = _rows(sets, shared=False)
    received = [None] * len(rows) if power is None else _rows(power, shared=False)
    scales = np.zeros(len(rows))
    for channel in np.flatnonzero(rows.any(1)):
        row, others = rows[channel], _others(layer, slice(channel, channel + 1))
        whole = None if percentile is not None else _whole_scale(row, others, bits)
        scales[channel] = _least_error(row, received[channel], others, bits, percentile) if whole is None else whole
    # A channel without weights has biases at most; it gets what the others have on average.
    return np.where(scales > 0, scales, scales[scales > 0].mean())


def _rows(sets: list[np.ndarray], *, shared: bool) -> np.ndarray:
    """Weights with one row for each scale: float64[1, N] if all share one, else float64[C, N]."""
    if shared:
        return np.concatenate([one.ravel() for one in sets])[None]
    return np.concatenate([one.reshape(len(one), -1) for one in sets], axis=1)


def _whole_scale(row: np.ndarray, others: _Others, bits: int) -> float | None:
    """The scale in which all weights, and thresholds that all channels share, are whole; None: there is none."""
    step = grid_step(row, bits)
    if step is None:
        return None
    candidates = step / np.arange(1, finest_multiple(row, step, bits) + 1)
    for numbers in (others.theta, others.reset):
        if len(np.unique(numbers)) == 1 and np.isfinite(numbers[0]):
            candidates = moved_to_whole(candidates, float(numbers[0]))
    exact = [one for one in candidates.tolist() if others.whole(one)]
    return exact[0] if exact else float(candidates[int(np.argmin(others.errors(candidates)))])


def _least_error(
    row: np.ndarray, power: np.ndarray | None, others: _Others, bits: int, percentile: float | None,
) -> float:
    """The scale with the least squared error, or the one that clips above a percentile."""
    largest = float(np.abs(row).max())
    if power is None or not power.any():
        power = np.full_like(row, RATE)
    if percentile is not None:
        limit = _percentile(row, power, percentile)
        return float(weight_scale(limit if limit > 0 else largest, bits))
    candidates = weight_scale(largest, bits) * CLIPPINGS
    if len(np.unique(others.reset)) == 1 and others.reset[0] > 0:
        whole = others.reset[0] / np.maximum(1, np.rint(others.reset[0] / candidates))
        candidates = np.unique(np.concatenate([candidates, whole]))
    every = -(-row.size // SAMPLES_MAX)
    row, power = row[::every], power[::every]
    # No product of matrices: the order in which that adds up, and with it the scale, depends on the processor.
    errors = [every * (np.square(quantise(row, scales, bits) * scales - row) * power).sum(1)
              for scales in np.array_split(candidates[:, None], -(-len(candidates) * row.size // _BLOCK))]
    return float(candidates[int(np.argmin(np.concatenate(errors) + others.errors(candidates)))])


def _percentile(row: np.ndarray, power: np.ndarray, percentile: float) -> float:
    """The magnitude up to which weights receive this percentage of the power."""
    order = np.argsort(np.abs(row), kind="stable")
    sums = power[order].cumsum()
    last = min(int((sums < sums[-1] * percentile / 100).sum()), row.size - 1)
    return float(np.abs(row[order[last]]))
