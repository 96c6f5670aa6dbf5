# SPDX-License-Identifier: MIT
"""Quantise: the real network, its scales chosen, becomes the integer network."""

from dataclasses import dataclass

import numpy as np
from firstspike_arch.connectivity import Dense
from firstspike_arch.fixed import LEAK_SHIFT_MAX, largest_weight, nearest_leak, threshold_above, threshold_at_least
from firstspike_arch.fixed import quantise as quantise_weights
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_arch.network import Branch, IntegerNetwork, Layer, NetworkError, Neuron

from ..errors import CompileError

__all__ = ["Rounding", "quantise"]


STEPS_MAX = 1 << 53
"""Up to which float64 holds every integer."""


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """What quantising one layer changed.

    Parameters
    ----------
    layer : str
    scale : float
        Real value of one integer step; the mean, where each channel has its own.
    weight_error : float
        Root mean square of the weights' rounding and clipping errors, in steps.
    saturated : int
        Weights that were clipped.
    bias_error, reset_error : float
        Largest rounding error of a bias, and of what a soft reset subtracts, in steps.
    theta_error : float
        Largest distance by which a threshold moved up to a whole number, in steps: no spike changes by it.
    leak : str
        "num/2^shift".
    leak_error : float
        num/2^shift minus the real leak.
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


def quantise(
    network: FloatNetwork, *, in_max: int | None = None, steps_max: int | None = None,
    leak_shift_max: int = LEAK_SHIFT_MAX,
) -> tuple[IntegerNetwork, tuple[Rounding, ...]]:
    """The integer network, and what rounding changed.

    Parameters
    ----------
    network : FloatNetwork
        Normalisation folded, ``weight_scale`` set in every layer.
    in_max : int
        Largest count of an input address in a step ("events" input), or largest number ("direct"); None: the network's.
    steps_max : int
        Longest inference; None: the network's steps.
    leak_shift_max : int
        0 … 15: how fine a leak may be; each bit may cost a pass over the neurons at every step.

    Raises
    ------
    CompileError
        The sentence names layer and rule.
    """
    if not isinstance(leak_shift_max, int) or not 0 <= leak_shift_max <= 15:
        raise CompileError(f"leak_shift_max must be 0…15, not {leak_shift_max!r}")
    in_max = network.in_max if in_max is None else in_max
    if network.in_limit is not None and isinstance(in_max, int) and in_max > network.in_limit:
        raise CompileError(f"in_max must be at most {network.in_limit}, for which the model was imported, not "
                           f"{in_max}: with more, its neurons mean something else; import it again with that in_max")
    pairs = [_quantise(index, layer, leak_shift_max) for index, layer in enumerate(network.layers)]
    try:
        integer = IntegerNetwork(
            name=network.name, layers=tuple(layer for layer, _ in pairs), readout=network.readout,
            steps=network.steps, steps_max=network.steps if steps_max is None else steps_max,
            input_kind=network.input_kind, cutoff=network.cutoff, in_min=network.in_min,
            in_max=in_max,
            step_weights=tuple(network.step_weights),
        )
    except NetworkError as error:
        raise CompileError(str(error)) from None
    return integer, tuple(rounding for _, rounding in pairs)


def _quantise(index: int, layer: FloatLayer, leak_shift_max: int) -> tuple[Layer, Rounding]:
    where, scale, bits = f"layer {index}", layer.weight_scale, layer.weight_bits
    if scale is None:
        raise CompileError(f"{where}: weight_scale must be chosen before quantising, not None")
    count = len(layer.weight)
    sets = [np.asarray(one.weight, dtype=np.float64) for one in (layer, *layer.branches)]
    scales = np.broadcast_to(np.asarray(scale, dtype=np.float64), count)
    vectors = {name: getattr(layer, name) for name in ("bias", "theta", "reset_step", "theta_fall", "v_init")}
    for name, values in [*(("weight", one) for one in sets), *vectors.items()]:
        largest = 0.0 if values is None or not np.size(values) else float(np.abs(values).max())
        if np.isfinite(largest) and not largest <= STEPS_MAX * scales.min():
            raise CompileError(f"{where}: {name} must be at most 2^53 steps of {scales.min():.3g}, not {largest:.3g}")
    real_steps = [weight / scales.reshape(-1, *[1] * (weight.ndim - 1)) for weight in sets]
    integers = [quantise_weights(weight, 1.0, bits).astype(np.int64) for weight in real_steps]
    steps = np.concatenate([weight.ravel() for weight in real_steps])
    errors = np.concatenate([weights.ravel() for weights in integers]) - steps
    saturated = int(np.count_nonzero(np.abs(np.rint(steps)) > largest_weight(bits)))
    bias = _vector(where, "bias", layer.bias, count) / scales
    if not 0 <= layer.leak <= 1:
        raise CompileError(f"{where}: leak must be 0…1, not {layer.leak!r}")
    num, shift = nearest_leak(layer.leak, leak_shift_max)
    theta = reset_step = fall = None
    theta_error = reset_error = 0.0
    if layer.theta is not None:
        real = _thresholds(where, layer.theta, count)
        rule = threshold_above if layer.strict else threshold_at_least
        theta = np.array([[rule(value, one) for value in values]
                          for values, one in zip(real.tolist(), scales.tolist(), strict=True)], dtype=np.int64)
        theta_error = float(np.max(theta - layer.strict - real / scales[:, None], initial=0.0))
        if layer.reset == "subtract" and not layer.single_spike:
            step = _vector(where, "reset_step", real[:, 0] if layer.reset_step is None else layer.reset_step, count)
            whole = np.rint(step / scales).astype(np.int64)
            reset_error = float(np.abs(whole - step / scales).max())
            reset_step = None if np.array_equal(whole, theta[:, 0]) else whole
        if layer.theta_fall is not None:
            if (real != real[0]).any():
                raise CompileError(f"{where}: theta must be the same for all neurons of a layer with theta_fall")
            falling = [rule(float(real[0, 0] - fall), float(scales[0]))
                       for fall in np.asarray(layer.theta_fall).tolist()]
            fall = theta[0, 0] - np.array(falling, dtype=np.int64)
    v_init = np.rint(_vector(where, "v_init", layer.v_init, count) / scales).astype(np.int64)
    connectivity = layer.connectivity or Dense(in_shape=sets[0].shape[1:], neurons=count)
    name = f"{type(connectivity).__name__.lower()}{index}"
    integer = Layer(
        name=name, weights=integers[0], weight_bits=bits, scale=float(np.mean(scale)), connectivity=connectivity,
        branches=tuple(Branch(source=branch.source, weights=weights, connectivity=branch.connectivity)
                       for branch, weights in zip(layer.branches, integers[1:], strict=True)),
        neuron=Neuron(
            bias=np.rint(bias).astype(np.int64), theta=theta, v_init=v_init, reset_step=reset_step,
            leak_num=num, leak_shift=shift, reset=layer.reset, reset_delay=layer.reset_delay,
            single_spike=layer.single_spike, bias_once=layer.bias_once, theta_fall=fall,
            v_min=_clamp(where, "v_min", layer.v_min, scales), v_max=_clamp(where, "v_max", layer.v_max, scales),
        ),
    )
    return integer, Rounding(
        layer=name, scale=float(np.mean(scale)), saturated=saturated,
        weight_error=float(np.sqrt(np.mean(np.square(errors)))),
        bias_error=float(np.abs(np.rint(bias) - bias).max()), theta_error=abs(theta_error), reset_error=reset_error,
        leak=f"{num}/{1 << shift}", leak_error=num / (1 << shift) - layer.leak,
    )


def _thresholds(where: str, theta: np.ndarray, count: int) -> np.ndarray:
    """float64[C, n]."""
    levels = np.asarray(theta, dtype=np.float64)
    levels = levels[:, None] if levels.ndim == 1 else levels
    if levels.ndim != 2 or len(levels) != count or not levels.size:
        raise CompileError(f"{where}: theta must have shape ({count},) or ({count}, levels), not {np.shape(theta)}")
    for level in levels.T:
        if _vector(where, "theta", level, count).min() <= 0:
            raise CompileError(f"{where}: theta must be > 0, not {float(level.min())!r}")
    return levels


def _vector(where: str, name: str, value: np.ndarray | None, size: int) -> np.ndarray:
    if value is None:
        return np.zeros(size)
    array = np.asarray(value, dtype=np.float64)
    if array.shape != (size,):
        raise CompileError(f"{where}: {name} must have shape ({size},), not {array.shape}")
    if not np.isfinite(array).all():
        raise CompileError(f"{where}: {name} must be finite, not {float(array[~np.isfinite(array)][0])!r}")
    return array


def _clamp(where: str, name: str, value: float | None, scales: np.ndarray) -> int | None:
    if value is None:
        return None
    if (scales != scales[0]).any():
        raise CompileError(f"{where}: weight_scale must be one number for a layer with {name}, not one a channel")
    if not np.isfinite(value):
        raise CompileError(f"{where}: {name} must be finite, or None for no clamp, not {value!r}")
    return round(value / float(scales[0]))
