# SPDX-License-Identifier: MIT
"""Quantise a real network whose scales are chosen into an integer network."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from firstspike_arch.connectivity import Dense
from firstspike_arch.fixed import (
    LEAK_ERROR_MAX,
    LEAK_SHIFT_MAX,
    are_whole,
    leak_error,
    nearest_leak,
    sufficient_shift,
    threshold_above,
    threshold_at_least,
    weight_range,
)
from firstspike_arch.fixed import quantise as quantise_weights
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_arch.network import Branch, IntegerNetwork, Layer, NetworkError
from firstspike_arch.neuron import FloatNeuron, Neuron
from firstspike_arch.shown import shown

from ..errors import CompileError

CURRENT_LOSS_MAX = 0.05
"""Largest share of the threshold that rounding a lasting current down should take from a membrane in the long run."""

RISE_ERROR_MAX = 0.05
"""Largest share of what a spike adds to adaptive thresholds that rounding it should take or add."""

__all__ = ["Rounding", "quantise", "whole_weights"]


STEPS_MAX = 1 << 53
"""Largest number of steps; float64 holds every integer up to it."""


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """Rounding errors of one layer.

    Parameters
    ----------
    layer : str
    scale : float
        Real value of one integer step; the mean, where each channel has its own.
    weight_error : float
        Root mean square of the rounding and clipping errors of the weights, in steps.
    saturated : int
        Number of weights that were clipped.
    bias_error, reset_error : float
        Largest rounding error of a bias, and of what a reset subtracts or leaves, in steps.
    theta_error : float
        Largest distance by which a threshold was rounded up, in steps. It changes no spike by itself.
    leak : str
        The quantised leak, as "num/2^shift" with the power written out, such as "7/8"; "3/8…7/8" where channels differ.
    leak_error : float
        num/2^shift minus the real leak; that of the channel where it is largest in magnitude.
    current_leak, current_leak_error : str, float
        The same of the leak of currents; "" and 0 where they do not last.
    rise_leak, rise_leak_error : str, float
        The same of the leak of what adaptive thresholds rise by; "" and 0 where they do not adapt.
    warnings : tuple of str
        Sentences about leaks that are others in integers.
    """

    layer: str
    scale: float
    weight_error: float
    saturated: int
    bias_error: float
    theta_error: float
    reset_error: float
    leak: str
    leak_error: float
    current_leak: str = ""
    current_leak_error: float = 0.0
    rise_leak: str = ""
    rise_leak_error: float = 0.0
    warnings: tuple[str, ...] = ()


def quantise(
    network: FloatNetwork, *, in_min: int | None = None, in_max: int | None = None, steps_max: int | None = None,
    leak_shift_max: int | None = None, endless: bool | None = None,
) -> tuple[IntegerNetwork, tuple[Rounding, ...]]:
    """Round a network to integers; return it and the rounding errors of each layer.

    Parameters
    ----------
    network : FloatNetwork
        Network with normalisation folded and ``weight_scale`` set in every layer.
    in_min, in_max : int
        Least and largest number of an input address, in a step ("events" input) or in all ("direct"); None: those of
        the network.
    steps_max : int
        Longest inference, in steps; None: that of the network.
    endless : bool
        Whether the read-out decides on one window of ``steps_max`` steps after another, see `IntegerNetwork`; None: as
        in the network.
    leak_shift_max : int
        Largest shift of a leak num/2^shift, 0 … 15; each bit may cost a pass over all rows in every step. None: a leak
        that is num/2^15 is kept exactly; any other gets the smallest shift from 8 on with which 1 − leak, and so the
        time constant, is off by at most 2 %.

    Raises
    ------
    CompileError
        A number does not fit or a rule of `IntegerNetwork` is broken; the message names the layer and the rule.
    """
    limit = LEAK_SHIFT_MAX if leak_shift_max is None else leak_shift_max
    if not isinstance(limit, int) or not 0 <= limit <= LEAK_SHIFT_MAX:
        raise CompileError(f"leak_shift_max must be 0…{LEAK_SHIFT_MAX}, not {shown(leak_shift_max)}")
    in_min = network.in_min if in_min is None else in_min
    in_max = network.in_max if in_max is None else in_max
    if network.in_limit is not None and isinstance(in_min, int) and in_min < network.in_min:
        raise CompileError(f"in_min must be at least {network.in_min}, for which the model was imported, not {in_min}: "
                           "with less, its neurons mean something else; import it again with that in_min")
    if network.in_limit is not None and isinstance(in_max, int) and in_max > network.in_limit:
        raise CompileError(f"in_max must be at most {network.in_limit}, for which the model was imported, not "
                           f"{in_max}: with more, its neurons mean something else; import it again with that in_max")
    if steps_max is None:
        steps_max = network.steps if network.steps_max is None else network.steps_max
    pairs = [_quantise(index, layer, leak_shift_max, trained=bool(network.recipe))
             for index, layer in enumerate(network.layers)]
    try:
        integer = IntegerNetwork(
            name=network.name, layers=tuple(layer for layer, _ in pairs), readout=network.readout,
            steps=network.steps, steps_max=steps_max,
            input_kind=network.input_kind, cutoff=network.cutoff, in_min=in_min,
            in_max=in_max,
            step_weights=tuple(network.step_weights), endless=network.endless if endless is None else endless,
        )
    except NetworkError as error:
        raise CompileError(str(error)) from None
    return integer, tuple(rounding for _, rounding in pairs)


def _quantise(
    index: int, layer: FloatLayer, leak_shift_max: int | None, *, trained: bool,
) -> tuple[Layer, Rounding]:
    where, scale, bits = f"layer {index}", layer.weight_scale, layer.weight_bits
    if scale is None:
        raise CompileError(f"{where}: weight_scale must be chosen before quantising, not None")
    count = len(layer.weight)
    sets = [np.asarray(one.weight, dtype=np.float64) for one in (layer, *layer.branches)]
    scales = np.broadcast_to(np.asarray(scale, dtype=np.float64), count)
    neuron = layer.neuron
    for name, values in [*(("weight", one) for one in sets), *neuron.given().items()]:
        largest = float(np.abs(values).max()) if np.size(values) else 0.0
        if np.isfinite(largest) and not largest <= STEPS_MAX * scales.min():
            raise CompileError(f"{where}: {name} must be at most 2^53 steps of {scales.min():.3g}, not {largest:.3g}")
    real_steps = _in_steps(layer)
    integers = whole_weights(layer)
    for real, whole in zip(real_steps, integers, strict=True):
        if real.any() and not whole.any():
            raise CompileError(f"{where}: weights must not all be rounded to zero; use more weight bits or a smaller "
                               "scale")
    steps = np.concatenate([weight.ravel() for weight in real_steps])
    whole = np.concatenate([weights.ravel() for weights in integers])
    errors, saturated = whole - steps, int(np.count_nonzero(whole != np.rint(steps)))
    leak = _Leak(where, "leak", neuron.leak, count, leak_shift_max)
    lasting, current = None, {}
    if neuron.current_leak is not None and (np.asarray(neuron.current_leak).any() or neuron.current_delay):
        lasting = _Leak(where, "current_leak", neuron.current_leak, count, leak_shift_max)
        current = {"current_leak_num": lasting.num, "current_leak_shift": lasting.shift}
    elif neuron.current_leak is not None:
        neuron = replace(neuron, current_bias=False)  # currents that are gone after each step do not last
    falling = None
    if neuron.rise_leak is not None:
        falling = _Leak(where, "rise_leak", neuron.rise_leak, count, leak_shift_max)
        current |= {"rise_leak_num": falling.num, "rise_leak_shift": falling.shift}
    numbers, off = _round_numbers(where, neuron, scales)
    connectivity = layer.connectivity or Dense(in_shape=sets[0].shape[1:], neurons=count)
    name = f"{type(connectivity).__name__.lower()}{index}" if layer.name is None else layer.name
    integer = Layer(
        name=name, weights=integers[0], weight_bits=bits, scale=float(np.mean(scale)), connectivity=connectivity,
        current_pool=layer.current_pool, weight_exponent=layer.weight_exponent, delays=layer.delays,
        branches=tuple(Branch(source=branch.source, weights=weights, connectivity=branch.connectivity,
                              delays=branch.delays)
                       for branch, weights in zip(layer.branches, integers[1:], strict=True)),
        neuron=Neuron(**neuron.options(), **numbers, leak_num=leak.num, leak_shift=leak.shift, **current),
    )
    return integer, Rounding(
        layer=name, scale=float(np.mean(scale)), saturated=saturated,
        weight_error=float(np.sqrt(np.mean(np.square(errors)))),
        bias_error=off["bias"], theta_error=abs(off.get("theta", 0.0)),
        reset_error=max((off[name] for name in off.keys() - {"bias", "theta", "theta_rise", "v_init"}), default=0.0),
        leak=str(leak), leak_error=leak.error,
        current_leak="" if lasting is None else str(lasting),
        current_leak_error=0.0 if lasting is None else lasting.error,
        rise_leak="" if falling is None else str(falling), rise_leak_error=0.0 if falling is None else falling.error,
        warnings=(*leak.warnings(), *(() if lasting is None else lasting.warnings()),
                  *(() if falling is None else falling.warnings()),
                  # Training in integers has taken it into account.
                  *(() if trained else _lost_by_currents(integer.neuron, layer.weight_exponent)),
                  *_lost_by_rises(neuron, integer.neuron, scales, layer.weight_exponent)),
    )


def _lost_by_rises(real: FloatNeuron, neuron: Neuron, scales: np.ndarray, exponent: int) -> Iterable[str]:
    """Yield how far thresholds are off as what they rise by is rounded, if it is much."""
    if real.theta_rise is None or neuron.rise_leak is None:
        return
    steps = np.asarray(real.theta_rise) / scales
    # Half a step in each step, which the rise keeps for 1/(1 − leak) steps.
    rounds = (np.mod(neuron.rise_leak, 1) > 0) & (steps > 0)
    lost = 0.5 * rounds / np.maximum(1 - neuron.rise_leak, 1 / (1 << LEAK_SHIFT_MAX))
    off = np.abs(np.rint(steps) - steps)
    low, added = lost / np.maximum(neuron.first_theta, 1), np.divide(off, steps, out=np.zeros_like(off), where=off > 0)
    for share, limit, what in (
        (low, CURRENT_LOSS_MAX, "what thresholds rise by rounds down, which takes about {0:.3g} steps from a threshold "
                                "of {1} in the long run"),
        (added, RISE_ERROR_MAX, "a spike raises a threshold by {2:.3g} steps, which are rounded to {3}"),
    ):
        worst = int(share.argmax())
        if share[worst] > limit:
            more = exponent + int(np.ceil(np.log2(share[worst] / limit)))
            said = what.format(np.broadcast_to(lost, share.shape)[worst], neuron.first_theta[worst], steps[worst],
                               int(np.rint(steps[worst])))
            yield f"{said}; weight_exponent must be {more} for less than {limit:.0%} of it"


def _lost_by_currents(neuron: Neuron, exponent: int) -> Iterable[str]:
    """Yield how much less membranes get in the long run as their currents round down, if it is much beside the
    threshold."""
    if neuron.current_leak is None or neuron.theta is None or neuron.leak_toward_zero:
        return
    rounds = np.mod(neuron.current_leak, 1) > 0
    # Half a step in each step, which the current keeps for 1/(1 − leak) steps, and the membrane what it gets.
    lost = 0.5 * rounds / np.maximum((1 - neuron.current_leak) * (1 - neuron.leak), 1 / (1 << LEAK_SHIFT_MAX))
    share = np.broadcast_to(lost / np.maximum(neuron.first_theta, 1), neuron.first_theta.shape)
    worst = int(share.argmax())
    if share[worst] > CURRENT_LOSS_MAX:
        more = exponent + int(np.ceil(np.log2(share[worst] / CURRENT_LOSS_MAX)))
        yield (f"currents round down, which takes about {np.broadcast_to(lost, share.shape)[worst]:.3g} steps from a "
               f"membrane in the long run, beside a threshold of {neuron.first_theta[worst]}; weight_exponent must be "
               f"{more} for less than {CURRENT_LOSS_MAX:.0%} of it")


class _Leak:
    """The leak of a layer's membranes, or of its currents, rounded to num/2^shift.

    Parameters
    ----------
    name : str
        Its field.
    leak : float or float64[C]
        The real one, of the layer or of each channel.
    count : int
        Channels of the layer.
    shift_max : int or None
        As of `quantise`.

    Attributes
    ----------
    num, shift : int or int64[C], int
    """

    def __init__(self, where: str, name: str, leak: float | np.ndarray, count: int, shift_max: int | None):
        values = np.asarray(leak, dtype=np.float64)
        values = _vector(where, name, values, count) if values.ndim else values
        wrong = values[~((values >= 0) & (values <= 1))]
        if wrong.size:
            raise CompileError(f"{where}: {name} must be 0…1, not {float(wrong.flat[0])!r}")
        self._name, self._real = name, values
        self._limit = sufficient_shift(values) if shift_max is None else shift_max
        self.num, self.shift = nearest_leak(values, self._limit)

    def __str__(self) -> str:
        ends = np.unique([np.min(self.num), np.max(self.num)])
        return "…".join(f"{one}/{1 << self.shift}" for one in ends)

    @property
    def error(self) -> float:
        """num/2^shift minus the real leak; that of the channel where it is largest in magnitude."""
        return float(max(np.ravel(self.num / (1 << self.shift) - self._real), key=abs))

    def warnings(self) -> Iterable[str]:
        """Yield where it is off by more than `LEAK_ERROR_MAX`."""
        share, real = np.ravel(leak_error(self._real, self.num, self.shift)), np.ravel(self._real)
        worst = int(share.argmax())
        if share[worst] > LEAK_ERROR_MAX:
            kept, whole, needed = int(np.ravel(self.num)[worst]), 1 << self.shift, sufficient_shift(real[worst])
            found = "none at all" if kept == whole else f"{whole / (whole - kept):.4g} steps"
            better = f"; leak_shift_max must be {needed} to come near" if needed > self._limit else ""
            yield (f"{self._name} {real[worst]:.7g}, a time constant of {1 / (1 - real[worst]):.4g} steps, became "
                   f"{kept}/{whole}: {found}{better}")


def _in_steps(layer: FloatLayer) -> list[np.ndarray]:
    """Each set of a layer's weights, in steps of its scale."""
    steps = np.broadcast_to(np.asarray(layer.weight_scale, dtype=np.float64), len(layer.weight)) * (
        2.0**layer.weight_exponent)
    return [np.asarray(one.weight, dtype=np.float64) / steps.reshape(-1, *[1] * (one.weight.ndim - 1))
            for one in (layer, *layer.branches)]


def whole_weights(layer: FloatLayer) -> list[np.ndarray]:
    """Each set of the weights of a folded layer in whole steps of its scale, int64.

    Those that are whole already, and that the hardware holds, are kept as they are; otherwise all of the layer, or of a
    channel with a scale of its own, are rounded and clipped as in training.
    """
    sets, bits, shared = _in_steps(layer), layer.weight_bits, not isinstance(layer.weight_scale, np.ndarray)
    low, high = weight_range(bits)
    fits = np.array([all(bool((are_whole(row) & (np.rint(row) >= low) & (np.rint(row) <= high)).all()) for row in rows)
                     for rows in zip(*sets, strict=True)])
    kept = np.full_like(fits, fits.all()) if shared else fits
    return [np.where(kept.reshape(-1, *[1] * (weight.ndim - 1)), np.rint(weight), quantise_weights(weight, 1.0, bits))
            .astype(np.int64) for weight in sets]


def _round_numbers(where: str, neuron: FloatNeuron, scales: np.ndarray) -> tuple[dict[str, Any], dict[str, float]]:
    """All fields in units of the membrane as whole steps, and the largest rounding error of each, in steps."""
    count = len(scales)
    numbers: dict[str, Any] = {}
    off: dict[str, float] = {}
    given = {"bias": np.zeros(count), "v_init": np.zeros(count), **neuron.given()}
    theta = None if neuron.theta is None else _thresholds(where, neuron.theta, neuron.v_init, count)
    # A soft reset needs a reset_step of its own if it differs from the first threshold, also if only rounding makes it
    # so.
    subtracts = theta is not None and neuron.reset == "subtract" and not neuron.single_spike
    given.pop("reset_step", None)
    if theta is not None and subtracts:
        given["reset_step"] = theta[:, 0] if neuron.reset_step is None else neuron.reset_step
    for name, value in given.items():
        if name in neuron.numbers("layer"):
            numbers[name] = _clamp(where, name, value, scales)
        elif name in neuron.numbers("channels"):
            steps = _vector(where, name, value, count) / scales
            numbers[name] = np.rint(steps).astype(np.int64)
            off[name] = float(np.abs(numbers[name] - steps).max())
    if theta is not None:
        numbers["theta"], off["theta"] = _round_thresholds(theta, neuron.strict, scales)
        if subtracts and np.array_equal(numbers["reset_step"], numbers["theta"][:, 0]):
            numbers["reset_step"] = None
        if neuron.theta_fall is not None:
            numbers["theta_fall"] = _round_fall(where, theta, neuron, float(scales[0]))
    return numbers, off


def _round_thresholds(theta: np.ndarray, strict: bool, scales: np.ndarray) -> tuple[np.ndarray, float]:
    """The least integers at which the neurons fire, int64[C, n], and the largest distance by which they were rounded
    up."""
    rule = threshold_above if strict else threshold_at_least
    whole = np.array([[rule(value, one) for value in values]
                      for values, one in zip(theta.tolist(), scales.tolist(), strict=True)], dtype=np.int64)
    return whole, float(np.max(whole - strict - theta / scales[:, None], initial=0.0))


def _round_fall(where: str, theta: np.ndarray, neuron: FloatNeuron, scale: float) -> np.ndarray:
    """How much lower the threshold is in each step than in the first, in steps of ``scale``, int64[T]."""
    falling = np.array([0.0, *np.asarray(neuron.theta_fall).tolist()])
    levels, _ = _round_thresholds(theta[:, :1] - falling, neuron.strict, np.full(len(theta), scale))
    fall = levels[:, :1] - levels[:, 1:]
    if (fall != fall[0]).any():
        raise CompileError(f"{where}: theta must be the same for all neurons of a layer with theta_fall, or be whole "
                           "steps, as theta_fall")
    return fall[0]


def _thresholds(where: str, theta: np.ndarray, v_init: np.ndarray | None, count: int) -> np.ndarray:
    """Thresholds as float64[C, n], checked."""
    least = np.zeros(count)
    if v_init is not None:  # membranes may count from below 0, and thresholds with them
        least = np.minimum(least, _vector(where, "v_init", v_init, count))
    levels = np.asarray(theta, dtype=np.float64)
    levels = levels[:, None] if levels.ndim == 1 else levels
    if levels.ndim != 2 or len(levels) != count or not levels.size:
        raise CompileError(f"{where}: theta must have shape ({count},) or ({count}, levels), not {np.shape(theta)}")
    for level in levels.T:
        if (_vector(where, "theta", level, count) <= least).any():
            raise CompileError(f"{where}: theta must be > 0, or above v_init, not {float(level.min())!r}")
    return levels


def _vector(where: str, name: str, value: np.ndarray, size: int) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    if array.shape != (size,):
        raise CompileError(f"{where}: {name} must have shape ({size},), not {array.shape}")
    if not np.isfinite(array).all():
        raise CompileError(f"{where}: {name} must be finite, not {float(array[~np.isfinite(array)][0])!r}")
    return array


def _clamp(where: str, name: str, value: float, scales: np.ndarray) -> int:
    if (scales != scales[0]).any():
        raise CompileError(f"{where}: weight_scale must be one number for a layer with {name}, not one a channel")
    if not np.isfinite(value):
        raise CompileError(f"{where}: {name} must be finite, or None for no clamp, not {shown(value)}")
    return round(value / float(scales[0]))
