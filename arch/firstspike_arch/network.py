# SPDX-License-Identifier: MIT
"""The integer network: the one description that compiler, hardware, golden model and timing model read."""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, get_args

import numpy as np

from .connectivity import Conv2d, Dense, Shape, Window, size_of
from .events import DELAY_MAX, MAGNITUDE_MAX, TokenLayout
from .fixed import LEAK_SHIFT_MAX
from .float_network import InputKind, Readout, windows_of
from .neuron import Neuron, Reset
from .shown import shown

__all__ = [
    "INPUT", "NAME_RULE", "WEIGHT_EXPONENT_MAX", "Branch", "IntegerNetwork", "Layer", "Edge", "NetworkError", "Neuron",
    "is_name",
]

INPUT = -1
"""Index of the network's input, where the source of synapses is given."""

_LIMIT = 1 << 47
"""Numbers on a membrane must be smaller in magnitude: a membrane has at most 48 bits, and fits int64 after the
multiplication by ``leak_num``."""

WEIGHT_EXPONENT_MAX = 15
"""Largest `Layer.weight_exponent`."""

_SCORE_LIMIT = 1 << 62
"""Scores must be smaller, to fit int64 with room for a sum."""

NAME_RULE = "1…80 letters, digits or _ . + -"
"""The rule for names of networks and layers, in words; names go into Verilog, Tcl and YAML files."""


class NetworkError(ValueError):
    """A network breaks a rule; the message names the layer and the rule."""


def is_name(text: str) -> bool:
    """Whether a text follows `NAME_RULE`."""
    return re.fullmatch(r"[A-Za-z0-9_.+-]{1,80}", text) is not None


def _check_integer(where: str, name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise NetworkError(f"{where}{name} must be an integer, not {shown(value)}")


def _vector(where: str, name: str, value: Any, size: int) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise NetworkError(f"{where}: {name} must be integers, not {array.dtype}")
    if array.shape != (size,):
        raise NetworkError(f"{where}: {name} must have shape ({size},), not {array.shape}")
    if max(-int(array.min()), int(array.max())) >= _LIMIT:
        raise NetworkError(f"{where}: {name} must be within ±2^{_LIMIT.bit_length() - 1}, as membranes are")
    return array.astype(np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Branch:
    """A set of synapses onto a layer's membranes.

    Parameters
    ----------
    source : int
        Index of the layer whose spikes the synapses take, or −1 for the network's input. If it is the layer's own
        index, the synapses are recurrent: they take the spikes of the previous step (none at t = 0).
    weights : int64[connectivity.weight_shape]
    connectivity : Dense or Conv2d
    delays : int64[N]
        Steps by which the events of each address of the source come later, 0 … `DELAY_MAX`, in torch's order: those of
        step t are taken in step t + delay (recurrent: t + 1 + delay), or never if the inference ends before. Several
        sets of synapses may take one source with delays of their own. None: all are 0.
    """

    source: int
    weights: np.ndarray
    connectivity: Dense | Conv2d
    delays: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A stream of events between cores, from layer ``source`` (−1: the input) to layer ``target``, which takes it with
    its set of synapses number ``place`` (0: the set from the layer before)."""

    source: int
    target: int
    place: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """Synapses onto one set of neurons.

    Parameters
    ----------
    weights : int64[connectivity.weight_shape]
        Weights of the synapses from the layer before, or from the network's input for the first layer, each
        −2^(weight_bits − 1) … 2^(weight_bits − 1) − 1.
    connectivity : Dense or Conv2d
        None: dense, from a vector; the sizes are those of the weights.
    branches : tuple of Branch
        Further synapses onto the same membranes, from earlier layers (residual) or from the layer itself (recurrent).
    weight_bits : int
        2 … 8.
    current_pool : Window
        Maximum pool of the currents: a neuron gets the largest of its window's sums Σ W·s of the step, all sets of
        synapses added up. None: each neuron gets its own sum.
    delays : int64[N]
        Delays of the synapses from the layer before, see `Branch`.
    weight_exponent : int
        One step of the weights is 2^weight_exponent steps of the membranes, 0 … 15: weights stay small beside membranes
        with so many more bits after the point. Everything else counts in steps of the membranes.
    scale : float
        Real value of one integer step of this layer's membranes (the mean, where channels differ). Only reports use
        it.
    """

    name: str
    weights: np.ndarray
    weight_bits: int
    neuron: Neuron
    scale: float = 1.0
    connectivity: Dense | Conv2d = None  # pyright: ignore[reportAssignmentType] - never None after __post_init__
    branches: tuple[Branch, ...] = ()
    current_pool: Window | None = None
    delays: np.ndarray | None = None
    weight_exponent: int = 0

    def __post_init__(self) -> None:
        if self.connectivity is None:
            shape = np.shape(self.weights)
            if len(shape) != 2 or 0 in shape:
                raise NetworkError(f"layer {self.name}: weights must have shape (neurons, fan-in), not {shape}")
            object.__setattr__(self, "connectivity", Dense(in_shape=(shape[1],), neurons=shape[0]))

    def synapses(self, index: int) -> tuple[Branch, ...]:
        """All sets of synapses of the layer, which has this index in its network; the set from the layer before comes
        first."""
        first = Branch(source=index - 1, weights=self.weights, connectivity=self.connectivity, delays=self.delays)
        return (first, *self.branches)

    @property
    def in_shape(self) -> Shape:
        return self.connectivity.in_shape

    @property
    def weight_unit(self) -> int:
        """Number of steps of the membranes that one step of the weights is."""
        return 1 << self.weight_exponent

    @property
    def sums_shape(self) -> Shape:
        """Shape of the sums Σ W·s, before a pool of the currents."""
        return self.connectivity.out_shape

    @property
    def out_shape(self) -> Shape:
        return self.sums_shape if self.current_pool is None else self.current_pool.out_shape(self.sums_shape)

    @property
    def out_layout(self) -> TokenLayout:
        """Token layout of the stream that the layer sends."""
        return TokenLayout(shape=self.out_shape, high=max(1, self.neuron.levels))

    @property
    def inputs(self) -> int:
        """Number of addresses of the stream that the layer takes."""
        return size_of(self.in_shape)

    @property
    def neurons(self) -> int:
        return size_of(self.out_shape)

    @property
    def channels(self) -> int:
        """Length of the neuron's vectors: neurons of a dense layer, channels of a convolution."""
        return self.connectivity.channels

    @property
    def positions(self) -> int:
        """Number of pixels of an output map; 1 for a dense layer."""
        return self.neurons // self.channels

    @property
    def groups(self) -> int:
        """Number of groups into which a convolution divides its channels; 1 for a dense layer."""
        return getattr(self.connectivity, "groups", 1)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Repeat a value of each channel for all its neurons, […, C] → […, M]."""
        return np.repeat(values, self.positions, axis=-1)


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerNetwork:
    """A feed-forward graph of layers in order, with its input and read-out; verified on construction.

    Parameters
    ----------
    steps_max : int
        Longest inference, in steps.
    steps : int
        Number of steps of an inference whose length does not follow from the input (latency and direct input).
    input_kind : "latency", "events" or "direct"
        "latency": uint8 images; each pixel of at least ``cutoff`` spikes once. "events": in every step a number
        ``in_min`` … ``in_max`` from each address, such as a count of spikes, a polarity, or a sample of a signal.
        "direct": integers ``in_min`` … ``in_max``; the first layer gets their current Σ W·x in every step (only at
        t = 0 if it is a learned latency encoder).
    readout : "first_spike", "weighted_spikes", "potential" or "spike_count"
    endless : bool
        An inference need not end: the read-out decides on one window of ``steps_max`` steps after another, as if each
        were an inference, and membranes go on. For "events" input.
    step_weights : tuple of int
        Weight w[t] of a spike in step t for the "weighted_spikes" read-out: positive, strictly decreasing, at least
        ``steps_max`` of them.
    """

    name: str
    layers: tuple[Layer, ...]
    readout: Readout
    steps: int
    steps_max: int
    input_kind: InputKind = "latency"
    cutoff: int = 1
    in_min: int = 0
    in_max: int = 1
    step_weights: tuple[int, ...] = ()
    endless: bool = False

    def __post_init__(self) -> None:
        verify(self)

    @property
    def inputs(self) -> int:
        return self.layers[0].inputs

    @property
    def input_shape(self) -> Shape:
        return self.layers[0].in_shape

    @property
    def input_layout(self) -> TokenLayout:
        """Token layout of the stream that the network takes."""
        if self.input_kind == "latency":
            return TokenLayout(shape=self.input_shape)
        # An event that is counted is at least 1; a number of a direct input may be 0, and is then no event.
        low = 1 if self.input_kind == "events" and self.in_min == 0 else self.in_min
        return TokenLayout(shape=self.input_shape, low=low, high=self.in_max)

    def edges(self) -> tuple[Edge, ...]:
        """All edges, layer by layer, in the order in which benches and traces number them."""
        return tuple(
            Edge(source=branch.source, target=index, place=place)
            for index, layer in enumerate(self.layers) for place, branch in enumerate(layer.synapses(index))
        )

    def layout_of(self, source: int) -> TokenLayout:
        """Token layout of the stream that layer ``source``, or the input (−1), sends."""
        return self.input_layout if source == INPUT else self.layers[source].out_layout

    def largest(self, source: int) -> int:
        """Largest magnitude that layer ``source``, or the input (−1), sends from one address in one step."""
        if source != INPUT:
            return max(1, self.layers[source].neuron.levels)
        return 1 if self.input_kind == "latency" else max(-self.in_min, self.in_max)

    @property
    def longest(self) -> int | None:
        """Longest inference, in steps; None: it need not end."""
        return None if self.endless else self.steps_max

    def windows(self, steps: int) -> list[slice]:
        """The steps on which each result of an inference of so many steps decides."""
        return windows_of(steps, self.steps_max if self.endless else steps)

    @property
    def bit_by_bit(self) -> bool:
        """Whether the first layer can add its input bit by bit (`LayerOptions.bit_serial`): numbers, none of them
        negative, from one set of synapses."""
        return self.in_min == 0 and bool(self.input_layout.value_bits) and not self.layers[0].branches

    def is_static(self, index: int) -> bool:
        """Whether the synapses of a layer give the same current in every step."""
        return index == 0 and self.input_kind == "direct" and self.layers[0].neuron.theta_fall is None

    @property
    def classes(self) -> int:
        return self.layers[-1].neurons

    @property
    def earliest_decides(self) -> bool:
        """Whether the first step in which an output neuron fires decides the class."""
        output = self.layers[-1].neuron
        return self.readout == "first_spike" or (
            self.readout == "weighted_spikes" and output.single_spike and output.levels == 1
        )


def verify(network: IntegerNetwork) -> None:
    """Raise NetworkError, naming layer and rule, unless the network is well formed."""
    if not network.layers:
        raise NetworkError("a network must have at least one layer, not 0")
    for what, name in [("network", network.name), *(("layer", layer.name) for layer in network.layers)]:
        if not is_name(name):
            raise NetworkError(f"name of a {what} must be {NAME_RULE}, not {shown(name)}")
    for what in ("steps", "steps_max", "cutoff", "in_min", "in_max"):
        _check_integer("", what, getattr(network, what))
    if not 1 <= network.steps <= network.steps_max <= 4096:
        raise NetworkError(
            f"steps must be 1 ≤ steps ≤ steps_max ≤ 4096, not steps={network.steps}, steps_max={network.steps_max}"
        )
    if network.input_kind not in ("latency", "events", "direct"):
        raise NetworkError(f"input_kind must be 'latency', 'events' or 'direct', not {shown(network.input_kind)}")
    if network.readout not in ("first_spike", "weighted_spikes", "potential", "spike_count"):
        raise NetworkError(
            "readout must be first_spike, weighted_spikes, potential or spike_count, "
            f"not {shown(network.readout)}"
        )
    if not 1 <= network.in_max <= 255:
        raise NetworkError(f"in_max must be 1…255, not {shown(network.in_max)}")
    if not -256 <= network.in_min <= 0 or (network.in_min and network.input_kind == "latency"):
        raise NetworkError(f"in_min must be −256…0 for events and direct input and 0 for latency, not "
                           f"{shown(network.in_min)}")
    if not isinstance(network.endless, bool):
        raise NetworkError(f"endless must be True or False, not {shown(network.endless)}")
    if network.endless and network.input_kind != "events":
        raise NetworkError(f"input_kind must be 'events' of an endless network, not {network.input_kind!r}")
    if network.endless and network.layers[-1].neuron.single_spike:
        raise NetworkError("single_spike must be off in the output layer of an endless network, of which every window "
                           "is read")
    if not 0 <= network.cutoff <= 256:
        raise NetworkError(f"cutoff must be 0…256, not {shown(network.cutoff)}")
    for index, layer in enumerate(network.layers):
        where = f"layer {index} ({layer.name})"
        _verify_layer(where, layer)
        for branch in layer.synapses(index):
            _verify_branch(network, where, index, branch)
        last = index == len(network.layers) - 1
        if layer.neuron.theta is None and not (last and network.readout == "potential"):
            raise NetworkError(f"{where}: a layer without threshold must be the output of a potential read-out")
        if last and network.readout == "potential" and layer.neuron.theta is not None:
            raise NetworkError(f"{where}: the output layer of a potential read-out must have no threshold")
        if layer.neuron.theta_fall is not None:
            _verify_encoder(network, where, index)
    if network.readout == "weighted_spikes":
        weights = network.step_weights
        for step, weight in enumerate(weights):
            _check_integer("", f"step_weights[{step}]", weight)
        if len(weights) < network.steps_max or min(weights, default=0) < 1 or any(
            later >= earlier for earlier, later in pairwise(weights)
        ):
            raise NetworkError(
                f"step_weights must be {network.steps_max} positive, strictly decreasing integers, not {shown(weights)}"
            )
        largest = sum(weights[:network.steps_max]) * network.layers[-1].neuron.levels
        if largest >= _SCORE_LIMIT:
            raise NetworkError(f"step_weights must add up to a score below 2^{_SCORE_LIMIT.bit_length() - 1} if an "
                               f"output neuron fires in every step, not to about 2^{largest.bit_length() - 1}")


def _verify_branch(network: IntegerNetwork, where: str, index: int, branch: Branch) -> None:
    layer, synapses, recurrent = network.layers[index], branch.connectivity, branch.source == index
    if not INPUT <= branch.source <= index:
        raise NetworkError(f"{where}: synapses must come from the layer itself, a layer before it, or the input (−1), "
                           f"not from layer {shown(branch.source)}")
    shape = network.layout_of(branch.source).shape
    if synapses.in_shape != shape:
        sender = "the input" if branch.source == INPUT else f"layer {branch.source}"
        raise NetworkError(f"{where}: fan-in must have the shape {shape} of {sender}, not {synapses.in_shape}")
    if synapses.out_shape != layer.sums_shape:
        raise NetworkError(f"{where}: synapses must reach neurons of the shape {layer.sums_shape}, "
                           f"not {synapses.out_shape}")
    if recurrent and not (isinstance(synapses, Dense) and len(shape) == 1):
        raise NetworkError(f"{where}: recurrent synapses must be dense, of a dense layer")
    if recurrent and layer.neuron.theta is None:
        raise NetworkError(f"{where}: recurrent synapses must have spikes to take, but the layer has no threshold")
    if layer.branches and network.input_kind == "direct" and (index == 0 or branch.source == INPUT):
        raise NetworkError(f"{where}: a direct input must go to the first layer only, which must have no branches")
    _verify_weights(where, branch.weights, synapses.weight_shape, layer.weight_bits)
    if branch.delays is not None:
        _verify_delays(where, network, branch)
    # Beside other synapses, some may do nothing: those from the layer before, which must be there, and any that are
    # zero in the model, too.
    if not any(np.any(one.weights) for one in layer.synapses(index)):
        raise NetworkError(f"{where}: weights must not all be zero; use more weight bits or a smaller scale")


def _verify_delays(where: str, network: IntegerNetwork, branch: Branch) -> None:
    if branch.source == INPUT and network.input_kind == "direct":
        raise NetworkError(f"{where}: delays must be of events, not of a direct input, which is the same in every step")
    delays = _vector(where, "delays", branch.delays, size_of(branch.connectivity.in_shape))
    wrong = delays[(delays < 0) | (delays > DELAY_MAX)]
    if wrong.size:
        raise NetworkError(f"{where}: delays must be 0…{DELAY_MAX} steps, not {int(wrong[0])}")


def _verify_encoder(network: IntegerNetwork, where: str, index: int) -> None:
    """Raise NetworkError unless a layer with ``theta_fall`` is a valid learned latency encoder."""
    neuron = network.layers[index].neuron
    fall = np.asarray(neuron.theta_fall)
    if index or network.input_kind != "direct" or len(network.layers) == 1:
        raise NetworkError(f"{where}: theta_fall must be of the first layer, of a direct input, before another layer")
    if fall.dtype.kind not in "iu" or fall.shape[:1] < (network.steps_max,) or fall.ndim != 1 or fall[0] != 0 or (
        np.diff(fall) < 0
    ).any():
        raise NetworkError(f"{where}: theta_fall must be {network.steps_max} ascending integers from 0, "
                           f"not {shown(neuron.theta_fall)}")
    lives = neuron.leaky or neuron.lasts or neuron.adapts or neuron.clamped
    if lives or not neuron.single_spike or neuron.levels != 1 or not neuron.bias_once:
        raise NetworkError(f"{where}: a layer with theta_fall must have single_spike, bias_once and one threshold, "
                           f"and no leak, lasting currents, adaptive thresholds or clamps")


def _verify_weights(where: str, weights: np.ndarray, shape: Shape, bits: int) -> None:
    weights = np.asarray(weights)
    if weights.shape != shape:
        raise NetworkError(f"{where}: weights must have shape {shape}, not {weights.shape}")
    if weights.dtype.kind not in "iu":
        raise NetworkError(f"{where}: weights must be integers, not {weights.dtype}")
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if weights.min() < low or weights.max() > high:
        raise NetworkError(
            f"{where}: weights must be {low}…{high} at {bits} bits, not {weights.min()}…{weights.max()}"
        )


def _verify_layer(where: str, layer: Layer) -> None:
    if layer.current_pool is not None:
        try:
            layer.current_pool.out_shape(layer.sums_shape)
        except ValueError as error:
            raise NetworkError(f"{where}: current_pool: {error}") from None
    if not isinstance(layer.weight_bits, int) or not 2 <= layer.weight_bits <= 8:
        raise NetworkError(f"{where}: weight_bits must be 2…8, not {shown(layer.weight_bits)}")
    _check_integer(f"{where}: ", "weight_exponent", layer.weight_exponent)
    if not 0 <= layer.weight_exponent <= WEIGHT_EXPONENT_MAX:
        raise NetworkError(f"{where}: weight_exponent must be 0…{WEIGHT_EXPONENT_MAX}, not "
                           f"{shown(layer.weight_exponent)}")
    neuron, count = layer.neuron, layer.channels
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
        if np.ndim(neuron.theta) != 2:
            raise NetworkError(f"{where}: theta must have shape ({count}, levels), not {np.shape(neuron.theta)}")
        if not 1 <= neuron.levels <= MAGNITUDE_MAX:
            raise NetworkError(f"{where}: theta must be 1…{MAGNITUDE_MAX} thresholds, not {neuron.levels}")
        for level in range(neuron.levels):
            _vector(where, "theta", neuron.theta[:, level], count)
        # Membranes may count from below 0 (`leak_origin`), and thresholds with them.
        if ((neuron.theta < 1) & (neuron.theta <= np.reshape(neuron.v_init, (-1, 1)))).any():
            raise NetworkError(f"{where}: theta must be ≥ 1, or above v_init, not {int(np.min(neuron.theta))}")
        if (np.diff(neuron.theta, axis=1) < 0).any():
            raise NetworkError(f"{where}: theta must ascend from one level to the next")
    if neuron.reset_step is not None and np.min(neuron.reset_step) < 0:
        raise NetworkError(f"{where}: reset_step must be ≥ 0, not {int(np.min(neuron.reset_step))}")
    if neuron.v_min is not None and neuron.v_max is not None and neuron.v_min > neuron.v_max:
        raise NetworkError(f"{where}: v_min must not exceed v_max, not {neuron.v_min} > {neuron.v_max}")


def _verify_leak(where: str, name: str, num: int | np.ndarray, shift: int, count: int) -> None:
    """Check a leak num/2^shift, of which num is one number, or one for each of ``count`` channels."""
    _check_integer(f"{where}: ", f"{name}_shift", shift)
    if isinstance(num, np.ndarray):
        _vector(where, f"{name}_num", num, count)
    else:
        _check_integer(f"{where}: ", f"{name}_num", num)
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
            _check_integer(f"{where}: ", name, value)
    elif value is not None or name in ("bias", "v_init"):
        _vector(where, name, value, count)
