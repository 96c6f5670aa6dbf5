# SPDX-License-Identifier: MIT
"""The integer network: the one description that compiler, hardware, golden model and timing model read."""

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .connectivity import Dense, Shape, size_of
from .events import DELAY_MAX, TokenLayout
from .float_network import InputKind, Readout, windows_of
from .layer import INPUT, Branch, Layer, NetworkError
from .layer_rules import check_integer, vector, verify_layer, verify_weights
from .neuron import Neuron
from .shown import shown

__all__ = ["INPUT", "NAME_RULE", "Branch", "Edge", "IntegerNetwork", "Layer", "NetworkError", "Neuron", "is_name"]

_SCORE_LIMIT = 1 << 62
"""Scores must be smaller, to fit int64 with room for a sum."""

NAME_RULE = "1…80 letters, digits or _ . + -"
"""The rule for names of networks and layers, in words; names go into Verilog, Tcl and YAML files."""


def is_name(text: str) -> bool:
    """Whether a text follows `NAME_RULE`."""
    return re.fullmatch(r"[A-Za-z0-9_.+-]{1,80}", text) is not None


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A stream of events between cores, from layer ``source`` (−1: the input) to layer ``target``, which takes it with
    its set of synapses number ``place`` (0: the set from the layer before)."""

    source: int
    target: int
    place: int


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
    _verify_options(network)
    for index, layer in enumerate(network.layers):
        where = f"layer {index} ({layer.name})"
        verify_layer(where, layer)
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
        _verify_step_weights(network)


def _verify_options(network: IntegerNetwork) -> None:
    for what, name in [("network", network.name), *(("layer", layer.name) for layer in network.layers)]:
        if not is_name(name):
            raise NetworkError(f"name of a {what} must be {NAME_RULE}, not {shown(name)}")
    for what in ("steps", "steps_max", "cutoff", "in_min", "in_max"):
        check_integer("", what, getattr(network, what))
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


def _verify_step_weights(network: IntegerNetwork) -> None:
    weights = network.step_weights
    for step, weight in enumerate(weights):
        check_integer("", f"step_weights[{step}]", weight)
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
    verify_weights(where, branch.weights, synapses.weight_shape, layer.weight_bits)
    if branch.delays is not None:
        _verify_delays(where, network, branch)
    # Beside other synapses, some may do nothing: those from the layer before, which must be there, and any that are
    # zero in the model, too.
    if not any(np.any(one.weights) for one in layer.synapses(index)):
        raise NetworkError(f"{where}: weights must not all be zero; use more weight bits or a smaller scale")


def _verify_delays(where: str, network: IntegerNetwork, branch: Branch) -> None:
    if branch.source == INPUT and network.input_kind == "direct":
        raise NetworkError(f"{where}: delays must be of events, not of a direct input, which is the same in every step")
    delays = vector(where, "delays", branch.delays, size_of(branch.connectivity.in_shape))
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
