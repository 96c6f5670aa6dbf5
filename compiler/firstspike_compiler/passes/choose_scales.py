# SPDX-License-Identifier: MIT
"""Choose the scales: the real value of one integer step, for each layer or each channel."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from firstspike_arch.fixed import quantise, weight_scale
from firstspike_arch.float_network import FloatLayer, FloatNetwork

from ..errors import CompileError

__all__ = ["Powers", "choose_scales"]

CLIPPINGS = np.linspace(0.15, 1.0, 52)
"""Fractions of the largest weight that are tried as the clipping limit."""

Powers = Sequence[Sequence[np.ndarray]]
"""Mean squares of the inputs of the weights, for each layer and each of its sets of synapses, in a shape that
broadcasts to that of the weights."""

SAMPLES_MAX = 1 << 18
"""Most weights that take part in the search; from more, evenly spaced ones are taken."""


def choose_scales(
    network: FloatNetwork, weight_bits: int | Sequence[int] | None = None, *, per_channel: bool = False,
    percentile: float | None = None, powers: Powers | None = None,
) -> FloatNetwork:
    """The same network with ``weight_scale`` (and ``weight_bits``, if given) set in every layer.

    A scale that training fixed is kept, unless the bits differ from those it was fixed for. Otherwise the scale is
    chosen that gives the least squared error of the weights, by rounding and clipping together. If all neurons that
    share a scale have one threshold (or subtract one amount in a soft reset), the scale is then moved to the nearest
    one in which that is a whole number of steps.

    Parameters
    ----------
    weight_bits : int or sequence of int
        Bits of the weights, 2 … 8, for all layers or for each; None: those in the network.
    per_channel : bool
        Choose a scale for each channel, except in layers whose channels must share one: the output layer, whose
        membranes are compared, and layers with clamps or a learned latency encoder.
    percentile : float
        Instead of minimising the error, clip the weights above this percentile (weighted by ``powers``), 50 … 100.
    powers : Powers
        Mean squares of the inputs on sample data, by which errors are weighted. None: all errors count alike.

    Raises
    ------
    CompileError
        Bits or percentile out of range, a scale that is not positive, or weights that are all zero.
    """
    count = len(network.layers)
    bits = [weight_bits] * count if weight_bits is None or isinstance(weight_bits, int) else list(weight_bits)
    if len(bits) != count:
        raise CompileError(f"weight_bits must be one number or one for each of the {count} layers, not {weight_bits!r}")
    if percentile is not None and not (isinstance(percentile, int | float) and 50 <= percentile <= 100):
        raise CompileError(f"percentile must be 50…100, not {percentile!r}")
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
    if not isinstance(bits, int) or not 2 <= bits <= 8:
        raise CompileError(f"{where}: weight_bits must be 2…8, not {bits!r}")
    if layer.weight_scale is not None and bits == layer.weight_bits:
        scale = layer.weight_scale
        if not (np.isfinite(scale) and scale > 0):
            raise CompileError(f"{where}: weight_scale must be a positive number, not {scale!r}")
        return replace(layer, weight_scale=float(scale))
    sets = [np.asarray(one.weight) for one in (layer, *layer.branches)]
    shared = not per_channel or layer.neuron.shares_numbers
    weight = _rows(sets, shared)
    if not weight.any():
        raise CompileError(f"{where}: weight must not be zero everywhere")
    power = None if powers is None else _rows(
        [np.broadcast_to(one, weights.shape) for one, weights in zip(powers, sets, strict=True)], shared)
    every = -(-weight.size // SAMPLES_MAX)
    columns = slice(None, None, every)
    scale = _scales(weight[:, columns], None if power is None else power[:, columns], np.abs(weight).max(1), bits,
                    percentile)
    steps = layer.neuron.theta if layer.neuron.reset_step is None else layer.neuron.reset_step
    if steps is not None:
        scale = _whole_steps(np.asarray(steps), scale)
    return replace(layer, weight_bits=bits, weight_scale=float(scale[0]) if shared else scale)


def _rows(sets: list[np.ndarray], shared: bool) -> np.ndarray:
    """Weights with one row for each scale: float64[1, N] if all share one, else float64[C, N]."""
    if shared:
        return np.concatenate([one.ravel() for one in sets])[None]
    return np.concatenate([one.reshape(len(one), -1) for one in sets], axis=1)


def _scales(
    weight: np.ndarray, power: np.ndarray | None, largest: np.ndarray, bits: int, percentile: float | None,
) -> np.ndarray:
    """A scale for each row, float64[rows]; a row of zeros is treated as if its largest weight were the mean of the
    others'."""
    if power is None or not power.any():
        power = np.ones_like(weight)
    largest = np.where(largest > 0, largest, largest[largest > 0].mean())
    if percentile is not None:
        order = np.argsort(np.abs(weight), axis=1)
        sums = np.take_along_axis(power, order, 1).cumsum(1)
        last = np.minimum((sums < sums[:, -1:] * percentile / 100).sum(1), weight.shape[1] - 1)
        kept = np.abs(np.take_along_axis(weight, order, 1)[np.arange(len(weight)), last])
        return weight_scale(np.where(kept > 0, kept, largest), bits)
    scales = weight_scale(largest, bits)[:, None] * CLIPPINGS
    errors = np.stack([
        (np.square(quantise(weight, one[:, None], bits) * one[:, None] - weight) * power).sum(1) for one in scales.T
    ], 1)
    return scales[np.arange(len(scales)), errors.argmin(1)]


def _whole_steps(theta: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Scales moved to the nearest in which thresholds are whole numbers, if all neurons that share a scale share a
    threshold."""
    theta = theta[:, :1].ravel() if theta.ndim == 2 else theta
    if len(scale) == 1:
        theta = np.unique(theta)
    if theta.shape != scale.shape:
        return scale
    fits = np.isfinite(theta) & (theta > 0)
    ratio = np.divide(theta, scale, out=np.ones_like(scale), where=fits)
    return np.where(fits, theta / np.maximum(1, np.rint(ratio)), scale)
