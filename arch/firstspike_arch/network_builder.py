# SPDX-License-Identifier: MIT
"""Integer networks built by hand, layer by layer; nothing is scaled, rounded or clipped."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .connectivity import Conv2d, ConvTranspose2d, Dense, Shape, Window, as_shape, size_of
from .events import MAGNITUDE_MAX
from .fixed import LEAK_SHIFT_MAX, bits_for_signed, nearest_leak
from .float_network import InputKind, Readout
from .layer import INPUT, Branch, Layer, NetworkError
from .network import IntegerNetwork
from .neuron import Neuron
from .shown import shown

__all__ = ["NetworkBuilder"]

WEIGHT_BITS = (2, 8)
_PLAIN = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "output_padding": (0, 0)}
"""Options of a convolution, as a dense layer has them."""


class NetworkBuilder:
    """Builds an integer network: call `layer` or `max_pool` for each layer, `branch` for its further synapses, then
    `build`.

    Numbers may be lists, NumPy arrays or torch tensors, and must be whole. A vector has one value for each channel (for
    each neuron of a dense layer); a single number stands for all channels.

    Parameters
    ----------
    in_shape : int, (N,) or (C, H, W)
        Shape of the input.
    steps : int
    readout, input_kind, cutoff, in_min, in_max, step_weights, endless
        As in `IntegerNetwork`. By default the input is "events", at most one of each address in a step.
    steps_max : int
        Longest inference, in steps; None: ``steps``.

    Raises
    ------
    NetworkError
        A rule is broken. Every method raises it; the message names the layer and the rule.
    """

    def __init__(
        self, in_shape: int | Sequence[int], *, steps: int, readout: Readout, input_kind: InputKind = "events",
        name: str = "handmade", steps_max: int | None = None, cutoff: int = 1, in_min: int = 0, in_max: int = 1,
        step_weights: Sequence[int] = (), endless: bool = False,
    ) -> None:
        try:
            self._in_shape: Shape = as_shape(in_shape)
        except ValueError as error:
            raise NetworkError(str(error)) from None
        self._layers: list[dict[str, Any]] = []
        self._fields: dict[str, Any] = {
            "name": name, "readout": readout, "steps": steps, "steps_max": steps if steps_max is None else steps_max,
            "input_kind": input_kind, "cutoff": cutoff, "in_min": in_min, "in_max": in_max,
            "step_weights": tuple(step_weights), "endless": endless,
        }

    def layer(
        self, weights: ArrayLike, *, theta: ArrayLike | None = None, leak: ArrayLike = 1.0,
        current_leak: ArrayLike | None = None, rise_leak: ArrayLike | None = None,
        weight_bits: int | None = None, name: str | None = None, stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0, groups: int = 1, pool: int | tuple[int, int] = 1,
        dilation: int | tuple[int, int] = 1, transposed: bool = False, output_padding: int | tuple[int, int] = 0,
        current_pool: Window | int | None = None, delays: ArrayLike | None = None,
        weight_exponent: int = 0, **neuron: Any,
    ) -> int:
        """Add a layer that takes the spikes of the layer before, or the input if it is the first.

        Parameters
        ----------
        weights : int[M, N] or int[Co, Ci / groups, Kh, Kw]
            A matrix makes a dense layer, which takes a map flattened. Four dimensions make a convolution as in torch,
            with ``stride``, ``padding``, ``dilation`` and ``groups``.
        transposed : bool
            The convolution is transposed, with ``output_padding``; the weights still have the channels of the output
            first, where torch has those of the input first.
        theta : int, int[C] or int[C, n]
            Thresholds, n ascending ones for each channel. None: the layer never fires (the output layer of a potential
            read-out).
        leak : float or float[C]
            Factor of the membrane in each step, of the layer or of each channel; must be num / 2^shift exactly with
            shift ≤ 15, such as 0.875.
        current_leak : float or float[C]
            Currents last: factor of the current in each step, as ``leak``. None: they do not.
        rise_leak : float or float[C]
            Thresholds adapt, with ``theta_rise``: factor of their rise in each step, as ``leak``. None: they do not.
        weight_bits : int
            2 … 8; None: the fewest that hold the weights of the layer and its branches.
        pool : int or (int, int)
            Side of the square windows, or height and width, in which the map that comes in is sum-pooled.
        current_pool : Window or int
            Each neuron gets the largest of the sums in its window, as behind a maximum pool between a convolution and
            its neurons. A number stands for square windows of this side, side by side.
        delays : int or int[N]
            Steps by which the events of each address that comes in are late, or those of all. None: 0.
        weight_exponent : int
            One step of the weights is 2^weight_exponent steps of the membranes, 0 … 15.
        neuron
            All further fields of `Neuron`: bias, reset, v_reset, reset_delay, single_spike, v_init, v_min, …; numbers
            over the channels are int or int[C]. Fields that are not given have the defaults of `Neuron`; bias and
            v_init are then 0.

        Returns
        -------
        int
            Index of the layer, to be given as the source of later branches.
        """
        index = len(self._layers)
        weights = _whole(f"layer {index}" if name is None else f"layer {index} ({name})", "weights", weights)
        name = f"{'conv2d' if weights.ndim == 4 else 'dense'}{index}" if name is None else name
        where = f"layer {index} ({name})"
        synapses = self._synapses(
            where, index - 1, weights, pool=pool, stride=stride, padding=padding, groups=groups, dilation=dilation,
            transposed=transposed, output_padding=output_padding, delays=delays)
        channels = synapses.connectivity.channels
        num, shift = _leak(where, "leak", leak, channels)
        for kind, factor in (("current_leak", current_leak), ("rise_leak", rise_leak)):
            if factor is not None:
                neuron[f"{kind}_num"], neuron[f"{kind}_shift"] = _leak(where, kind, factor, channels)
        try:
            made = Neuron(**_numbers(where, {"bias": 0, "v_init": 0, "theta": theta, **neuron}, channels),
                          leak_num=num, leak_shift=shift)
        except TypeError as error:
            raise NetworkError(f"{where}: must have the options of Neuron: {error}") from None
        try:
            if isinstance(current_pool, int):
                current_pool = Window(kernel=_pair(current_pool), stride=_pair(current_pool))
            shape = synapses.connectivity.out_shape
            shape = shape if current_pool is None else current_pool.out_shape(shape)
        except ValueError as error:
            raise NetworkError(f"{where}: current_pool: {error}") from None
        self._layers.append({"name": name, "neuron": made, "synapses": [synapses], "bits": weight_bits, "shape": shape,
                             "pool": current_pool, "exponent": weight_exponent})
        return index

    def max_pool(
        self, kernel: int | tuple[int, int], *, stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0, name: str | None = None,
    ) -> int:
        """Add a layer that takes the maximum of the spikes of the layer before, or of an input of single spikes.

        It is a depthwise convolution with weights of 1 onto neurons with a threshold of 1, which any spike in their
        window makes fire; behind neurons that fire once, they do so, too.

        Parameters
        ----------
        kernel, stride, padding
            Of the windows, as in torch. ``stride`` None: ``kernel``, side by side.

        Returns
        -------
        int
            Index of the layer.
        """
        index = len(self._layers)
        name = f"max_pool{index}" if name is None else name
        kind, in_max = self._fields["input_kind"], self._fields["in_max"]
        if self._layers:
            neuron, shape = self._layers[-1]["neuron"], self._layers[-1]["shape"]
            single, once = neuron.levels == 1, neuron.single_spike
        else:
            shape, once = self._in_shape, kind == "latency"
            single = once or (kind, in_max) == ("events", 1)
        if len(shape) != 3 or not single:
            raise NetworkError(f"layer {index} ({name}): a max_pool must take a map of single spikes, from neurons "
                               "with one threshold or from the input")
        kernel = _pair(kernel)
        return self.layer(
            np.ones((shape[0], 1, *kernel), dtype=np.int64), theta=1, reset="zero", single_spike=once, name=name,
            stride=kernel if stride is None else stride, padding=padding, groups=shape[0])

    def branch(
        self, weights: ArrayLike, *, source: int, stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0,
        groups: int = 1, pool: int | tuple[int, int] = 1, dilation: int | tuple[int, int] = 1,
        transposed: bool = False, output_padding: int | tuple[int, int] = 0, delays: ArrayLike | None = None,
    ) -> None:
        """Add synapses onto the membranes of the last layer; the other parameters are those of `layer`.

        Parameters
        ----------
        source : int
            Index of an earlier layer, −1 for the input, or the index of the last layer itself: the synapses are then
            recurrent and take the spikes of the previous step.
        """
        if not self._layers:
            raise NetworkError("a branch must come after its layer, but there is none yet")
        last = self._layers[-1]
        where = f"layer {len(self._layers) - 1} ({last['name']})"
        if not isinstance(source, int) or not INPUT <= source < len(self._layers):
            raise NetworkError(f"{where}: source of a branch must be −1…{len(self._layers) - 1}, not {source!r}")
        weights = _whole(where, "weights", weights)
        last["synapses"].append(self._synapses(
            where, source, weights, pool=pool, stride=stride, padding=padding, groups=groups, dilation=dilation,
            transposed=transposed, output_padding=output_padding, delays=delays))

    def build(self) -> IntegerNetwork:
        """Return the network, verified."""
        layers = []
        for index, one in enumerate(self._layers):
            first, *branches = one["synapses"]
            where = f"layer {index} ({one['name']})"
            layers.append(Layer(
                name=one["name"], neuron=one["neuron"], weights=first.weights, connectivity=first.connectivity,
                branches=tuple(branches), current_pool=one["pool"], delays=first.delays,
                weight_exponent=one["exponent"],
                weight_bits=_fewest_bits(where, one["synapses"]) if one["bits"] is None else one["bits"],
            ))
        return IntegerNetwork(layers=tuple(layers), **self._fields)

    def _synapses(
        self, where: str, source: int, weights: np.ndarray, *, pool: int | tuple[int, int], groups: int,
        transposed: bool, delays: ArrayLike | None, **sides: int | tuple[int, int],
    ) -> Branch:
        shape = self._in_shape if source == INPUT else self._layers[source]["shape"]
        try:
            pairs = {name: _pair(side) for name, side in sides.items()}
            plain = not transposed and groups == 1 and pairs == _PLAIN
            if not transposed and pairs["output_padding"] != (0, 0):
                raise NetworkError(f"{where}: output_padding must be 0 unless the convolution is transposed, not "
                                   f"{shown(sides['output_padding'])}")
            if weights.ndim == 4:
                further = pairs if transposed else {name: pairs[name] for name in pairs if name != "output_padding"}
                connectivity: Dense | Conv2d = (ConvTranspose2d if transposed else Conv2d)(
                    in_shape=shape, channels=len(weights), kernel=(weights.shape[2], weights.shape[3]), groups=groups,
                    pool=pool, **further)
            elif weights.ndim == 2 and plain:
                connectivity = Dense(in_shape=shape, neurons=len(weights), pool=pool)
            else:
                raise NetworkError(f"{where}: weights must have shape (neurons, inputs), without stride, padding and "
                                   "other options of convolutions, or (channels, channels of a group, height, width), "
                                   f"not {weights.shape}")
        except NetworkError:
            raise
        except (TypeError, ValueError) as error:
            raise NetworkError(f"{where}: {error}") from None
        if weights.shape != connectivity.weight_shape:
            raise NetworkError(f"{where}: weights must have shape {connectivity.weight_shape} for the shape {shape} "
                               f"that comes in, not {weights.shape}")
        late = None if delays is None else _vector(where, "delays", delays, size_of(shape))
        return Branch(source=source, weights=weights, connectivity=connectivity, delays=late)


def _whole(where: str, name: str, value: Any) -> np.ndarray:
    """Convert whole numbers of any type to int64, or raise NetworkError."""
    try:
        array = np.asarray(value)
    except (RuntimeError, TypeError, ValueError) as error:
        raise NetworkError(f"{where}: {name} must be an array of integers: {error}") from None
    if array.dtype.kind == "f":
        wrong = array[array != np.rint(array)]  # NaN, too
        if wrong.size or np.abs(array).max(initial=0) >= 1 << 53:
            raise NetworkError(f"{where}: {name} must be whole numbers below 2^53, not "
                               f"{float(wrong[0] if wrong.size else np.abs(array).max())!r}: nothing is rounded here")
    elif array.dtype.kind not in "iu":
        raise NetworkError(f"{where}: {name} must be integers, not {array.dtype}")
    return array.astype(np.int64)


def _vector(where: str, name: str, value: Any, size: int) -> np.ndarray:
    array = _whole(where, name, value)
    if array.shape not in ((), (size,)):
        raise NetworkError(f"{where}: {name} must be one number or have shape ({size},), not {array.shape}")
    return np.broadcast_to(array, size).copy()


def _numbers(where: str, neuron: dict[str, Any], channels: int) -> dict[str, Any]:
    """Fields of `Neuron`, with each array field as int64 in its full shape."""
    made = dict(neuron)
    for name in neuron.keys() & Neuron.arrays():
        if neuron[name] is None:
            continue
        if name in Neuron.numbers("channels"):
            made[name] = _vector(where, name, neuron[name], channels)
        elif name in Neuron.numbers("thresholds"):
            made[name] = _thresholds(where, neuron[name], channels)
        else:
            made[name] = _whole(where, name, neuron[name])
    return made


def _thresholds(where: str, value: Any, size: int) -> np.ndarray:
    array = _whole(where, "theta", value)
    if array.ndim == 2:
        if len(array) != size or not 1 <= array.shape[1] <= MAGNITUDE_MAX:
            raise NetworkError(f"{where}: theta must have shape ({size},) or ({size}, n) with n = 1…{MAGNITUDE_MAX}, "
                               f"not {array.shape}")
        return array
    return _vector(where, "theta", array, size)


def _leak(where: str, name: str, leak: Any, channels: int) -> tuple[int | np.ndarray, int]:
    """Numerator and shift of a leak, or numerators int64[C] of several, which must be num / 2^shift exactly."""
    try:
        values = np.asarray(leak)
    except (RuntimeError, TypeError, ValueError) as error:
        raise NetworkError(f"{where}: {name} must be a number 0…1 or an array of them: {error}") from None
    if values.shape not in ((), (channels,)):
        raise NetworkError(f"{where}: {name} must be one number or have shape ({channels},), not {values.shape}")
    if values.dtype.kind not in "iuf":
        raise NetworkError(f"{where}: {name} must be 0…1, not {shown(leak)}" if values.ndim == 0 else
                           f"{where}: {name} must be numbers 0…1, not {values.dtype}")
    real = values.astype(np.float64)
    wrong = real[~((real >= 0) & (real <= 1))]
    if wrong.size:
        raise NetworkError(f"{where}: {name} must be 0…1, not {float(wrong.flat[0])!r}")
    num, shift = nearest_leak(real, LEAK_SHIFT_MAX)
    finer = real[num / (1 << shift) != real]
    if finer.size:
        raise NetworkError(f"{where}: {name} must be num / 2^shift exactly, with shift ≤ {LEAK_SHIFT_MAX}, not "
                           f"{float(finer.flat[0])!r}; {round(float(finer.flat[0]) * 256)} / 256 would be near")
    return num, shift


def _fewest_bits(where: str, synapses: Sequence[Branch]) -> int:
    low = min(int(one.weights.min(initial=0)) for one in synapses)
    high = max(int(one.weights.max(initial=0)) for one in synapses)
    bits = bits_for_signed(low, high)
    if bits > WEIGHT_BITS[1]:
        raise NetworkError(f"{where}: weights must be −128…127, not {low}…{high}")
    return max(WEIGHT_BITS[0], bits)


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    first, second = value
    return first, second
