# SPDX-License-Identifier: MIT
"""The rules for a layer of an integer network, and for its neurons.

Every function takes ``where``, the layer's name for messages.
"""

from typing import Any, get_args

import numpy as np

from .connectivity import Shape
from .events import MAGNITUDE_MAX
from .fixed import LEAK_SHIFT_MAX, weight_range
from .layer import WEIGHT_EXPONENT_MAX, Layer, NetworkError
from .neuron import Neuron, Reset
from .shown import shown

__all__ = ["check_integer", "vector", "verify_layer", "verify_weights"]

_LIMIT = 1 << 47
"""Numbers on a membrane must be smaller in magnitude: a membrane has at most 48 bits, and fits int64 after the
multiplication by ``leak_num``."""


def verify_layer(where: str, layer: Layer) -> None:
    """Raise NetworkError unless a layer follows the rules that need no other layer; those of weights are apart."""
    if layer.current_pool is not None:
        try:
            layer.current_pool.out_shape(layer.sums_shape)
        except ValueError as error:
            raise NetworkError(f"{where}: current_pool: {error}") from None
    if not isinstance(layer.weight_bits, int) or not 2 <= layer.weight_bits <= 8:
        raise NetworkError(f"{where}: weight_bits must be 2…8, not {shown(layer.weight_bits)}")
    check_integer(f"{where}: ", "weight_exponent", layer.weight_exponent)
    if not 0 <= layer.weight_exponent <= WEIGHT_EXPONENT_MAX:
        raise NetworkError(f"{where}: weight_exponent must be 0…{WEIGHT_EXPONENT_MAX}, not "
                           f"{shown(layer.weight_exponent)}")
    _verify_neuron(where, layer.neuron, layer.channels)


def _verify_neuron(where: str, neuron: Neuron, count: int) -> None:
    """Check the neurons of a layer of ``count`` channels."""
    _verify_leak(where, "leak", neuron.leak_num, neuron.leak_shift, count)
    if neuron.current_leak_num is not None:
        _verify_leak(where, "current_leak", neuron.current_leak_num, neuron.current_leak_shift, count)
    elif alone := next((name for name in ("current_delay", "current_bias", "current_leak_shift")
                        if getattr(neuron, name)), None):
        raise NetworkError(f"{where}: current_leak_num must be given with {alone}, not None")
    if neuron.current_bias and neuron.bias_once:
        raise NetworkError(f"{where}: bias_once must be False with current_bias, not True")
    for name in neuron.numbers("channels", "layer"):
        _verify_numbers(where, name, neuron, count)
    _verify_rise(where, neuron, count)
    if neuron.reset not in get_args(Reset):
        raise NetworkError(f"{where}: reset must be subtract, zero or none, not {shown(neuron.reset)}")
    for what, value in neuron.options().items():
        if isinstance(getattr(Neuron, what), bool) and not isinstance(value, bool):
            raise NetworkError(f"{where}: {what} must be True or False, not {shown(value)}")
    if neuron.theta is not None:
        _verify_thresholds(where, neuron, neuron.theta, count)
    if neuron.reset_step is not None and np.min(neuron.reset_step) < 0:
        raise NetworkError(f"{where}: reset_step must be ≥ 0, not {int(np.min(neuron.reset_step))}")
    if neuron.v_min is not None and neuron.v_max is not None and neuron.v_min > neuron.v_max:
        raise NetworkError(f"{where}: v_min must not exceed v_max, not {neuron.v_min} > {neuron.v_max}")


def _verify_thresholds(where: str, neuron: Neuron, theta: np.ndarray, count: int) -> None:
    if np.ndim(theta) != 2:
        raise NetworkError(f"{where}: theta must have shape ({count}, levels), not {np.shape(theta)}")
    if not 1 <= neuron.levels <= MAGNITUDE_MAX:
        raise NetworkError(f"{where}: theta must be 1…{MAGNITUDE_MAX} thresholds, not {neuron.levels}")
    for level in range(neuron.levels):
        vector(where, "theta", theta[:, level], count)
    # Membranes may count from below 0 (`leak_origin`), and thresholds with them.
    if ((theta < 1) & (theta <= np.reshape(neuron.v_init, (-1, 1)))).any():
        raise NetworkError(f"{where}: theta must be ≥ 1, or above v_init, not {int(np.min(theta))}")
    if (np.diff(theta, axis=1) < 0).any():
        raise NetworkError(f"{where}: theta must ascend from one level to the next")


def _verify_leak(where: str, name: str, num: int | np.ndarray, shift: int, count: int) -> None:
    """Check a leak num/2^shift, of which num is one number, or one for each of ``count`` channels."""
    check_integer(f"{where}: ", f"{name}_shift", shift)
    if isinstance(num, np.ndarray):
        vector(where, f"{name}_num", num, count)
    else:
        check_integer(f"{where}: ", f"{name}_num", num)
    low, high = int(np.min(num)), int(np.max(num))
    if not 0 <= shift <= LEAK_SHIFT_MAX or low < 0 or high > 1 << shift:
        raise NetworkError(f"{where}: {name} must be num/2^shift with 0 ≤ num ≤ 2^shift and shift ≤ {LEAK_SHIFT_MAX}, "
                           f"not {low if low < 0 else high}/2^{shift}")


def _verify_rise(where: str, neuron: Neuron, count: int) -> None:
    """Check thresholds that adapt, if they do."""
    given = [name for name in ("theta_rise", "rise_leak_num", "rise_leak_shift", "reset_rise")
             if (value := getattr(neuron, name)) is not None and (isinstance(value, np.ndarray) or value)]
    if not given:
        return
    if neuron.theta_rise is None or neuron.rise_leak_num is None:
        name = "theta_rise" if neuron.theta_rise is None else "rise_leak_num"
        raise NetworkError(f"{where}: {name} must be given with {given[0]}, not None")
    _verify_leak(where, "rise_leak", neuron.rise_leak_num, neuron.rise_leak_shift, count)
    if (least := int(neuron.theta_rise.min())) < 0:
        raise NetworkError(f"{where}: theta_rise must be ≥ 0, not {least}")
    if neuron.theta is None or neuron.single_spike:
        raise NetworkError(f"{where}: theta_rise must be of neurons with a threshold that may fire more than once")
    if neuron.reset_rise and (neuron.reset != "subtract" or neuron.reset_delay or neuron.levels > 1):
        raise NetworkError(f"{where}: reset_rise must be of one threshold and of the reset 'subtract' without "
                           "reset_delay")


def _verify_numbers(where: str, name: str, neuron: Neuron, count: int) -> None:
    """Check a number of the whole layer, or a vector over the channels; thresholds and steps are checked elsewhere."""
    value = getattr(neuron, name)
    if name in Neuron.numbers("layer"):
        if value is not None:
            check_integer(f"{where}: ", name, value)
    elif value is not None or name in ("bias", "v_init"):
        vector(where, name, value, count)


def verify_weights(where: str, weights: np.ndarray, shape: Shape, bits: int) -> None:
    """Raise NetworkError unless weights have this shape, and so many bits are enough for them."""
    weights = np.asarray(weights)
    if weights.shape != shape:
        raise NetworkError(f"{where}: weights must have shape {shape}, not {weights.shape}")
    if weights.dtype.kind not in "iu":
        raise NetworkError(f"{where}: weights must be integers, not {weights.dtype}")
    low, high = weight_range(bits)
    if weights.min() < low or weights.max() > high:
        raise NetworkError(
            f"{where}: weights must be {low}…{high} at {bits} bits, not {weights.min()}…{weights.max()}"
        )


def check_integer(where: str, name: str, value: object) -> None:
    """Raise NetworkError unless a number is an integer."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise NetworkError(f"{where}{name} must be an integer, not {shown(value)}")


def vector(where: str, name: str, value: Any, size: int) -> np.ndarray:
    """Numbers on a membrane as int64[size]; NetworkError if they are not."""
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise NetworkError(f"{where}: {name} must be integers, not {array.dtype}")
    if array.shape != (size,):
        raise NetworkError(f"{where}: {name} must have shape ({size},), not {array.shape}")
    if max(-int(array.min()), int(array.max())) >= _LIMIT:
        raise NetworkError(f"{where}: {name} must be within ±2^{_LIMIT.bit_length() - 1}, as membranes are")
    return array.astype(np.int64)
