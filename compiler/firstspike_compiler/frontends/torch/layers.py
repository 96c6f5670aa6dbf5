# SPDX-License-Identifier: MIT
"""The layers of a network that is being read, one for each module of neurons in the order in which they run."""

from dataclasses import replace
from typing import Any

import numpy as np
from firstspike_arch.connectivity import Conv2d, Dense, Shape
from firstspike_arch.float_network import FloatBranch, FloatLayer, FloatNetwork
from firstspike_arch.network import INPUT
from firstspike_arch.neuron import FloatNeuron
from firstspike_arch.shown import shown

from ...errors import CompileError
from ...passes.choose_scales import WeightScale
from .connect import passed_on
from .pools import any_spike, map_shape
from .values import OWN, Set, Spikes, Synapses

__all__ = ["Layers"]


class Layers:
    """The layers so far.

    Parameters
    ----------
    network : FloatNetwork
        The network without its layers.

    Attributes
    ----------
    names : list of str
        The module of each layer that fires.
    """

    def __init__(self, network: FloatNetwork):
        self.network = network
        self.names: list[str] = []
        self._layers: list[FloatLayer] = []
        self._shapes: list[Shape] = []
        self._normalised: dict[int, str] = {}  # layers behind a normalisation → its module

    def check_fires(self, where: str, value: Spikes | Synapses) -> None:
        """Refuse spikes, taken by ``where``, of neurons that do not fire."""
        if isinstance(value, Spikes) and any(
            one.source >= 0 and self._layers[one.source].neuron.theta is None for one in value.terms
        ):
            raise CompileError(f"{value.where} must fire, or be the last module: {where} takes its spikes")

    def add(self, where: str, neuron: FloatNeuron, synapses: Synapses) -> Spikes:
        """Add a layer of these neurons, and return the spikes that it sends."""
        _check(where, neuron)
        neuron = _with_bias(where, neuron, synapses.bias)
        index = len(self._layers)
        own = [one for one in synapses.sets if one.source == OWN]
        if own and len(synapses.shape) == 3:
            raise CompileError(f"{where} must be a vector for its own spikes to come back, not a map {synapses.shape}")
        if any(one.connectivity.in_shape != synapses.shape for one in own):
            raise CompileError(f"{where} must get back as many spikes as it has neurons, {synapses.shape}")
        sets = _merged(tuple(replace(one, source=index) if one.source == OWN else one for one in synapses.sets))
        if self.network.input_kind == "direct" and index and any(one.source == INPUT for one in sets):
            raise CompileError(f"{where} must not take the input, which is direct: such an input goes to the first "
                               "layer only")
        # The sort is stable: the first of several sets from the layer before becomes the layer's own.
        first, *others = sorted(sets, key=lambda one: one.source != index - 1)
        if first.source != index - 1:
            others = [first, *others]
            try:
                connectivity, nothing = _silent(self._shapes[-1], synapses.sums_shape)
            except ValueError:
                raise CompileError(f"{where} must take the spikes of {self.names[-1]}, which runs before it, among "
                                   "others") from None
            first = replace(first, source=index - 1, weight=nothing, connectivity=connectivity, average_pool=False,
                            delay=0)
        self._layers.append(FloatLayer(
            weight=first.weight, connectivity=first.connectivity, average_pool=first.average_pool,
            current_pool=synapses.window, delays=first.delays, neuron=neuron,
            branches=tuple(FloatBranch(source=one.source, weight=one.weight, connectivity=one.connectivity,
                                       average_pool=one.average_pool, delays=one.delays) for one in others),
        ))
        self.names.append(where)
        if synapses.normalised:
            self._normalised[index] = where
        self._shapes.append(synapses.shape)
        return Spikes.of(where, index, synapses.shape, high=float(max(1, neuron.levels)), flat=synapses.flat,
                         line=synapses.line)

    def maximum(self, where: str, module: Any, value: Spikes) -> Spikes:
        """Replace a maximum pool of spikes by a layer of neurons that any spike of their window makes fire."""
        map_shape(where, value)
        term = value.plain
        if term is None or (term.low, term.high) != (0, 1) or (
            term.source == INPUT and (self.network.input_kind == "direct" or self.network.input_scale != 1)
        ):
            raise CompileError(f"{where} must come directly behind neurons, behind synapses, or behind an input of "
                               "single spikes: the largest of other values has no counterpart")
        synapses = any_spike(where, module, value)
        if synapses is None:
            return value
        fired = self.add(where, FloatNeuron(theta=np.ones(synapses.channels), reset="zero"), synapses)
        self._layers[-1] = replace(self._layers[-1], weight_bits=2, weight_scale=1.0)
        return fired

    def limit_input(self) -> None:
        """Note that neurons do the same as theirs only while inputs keep to ``in_max``."""
        self.network = replace(self.network, in_limit=self.network.in_max)

    def end(self, value: Spikes | Synapses) -> FloatNetwork:
        """Return the network whose last module gives ``value``."""
        if isinstance(value, Spikes) and value.plain is None and self.network.readout == "spike_count":
            # Counts of pooled, scaled or joined spikes are the potentials of neurons that add them up.
            self.check_fires("the read-out", value)
            value = passed_on(value.where, value)
            self.network = replace(self.network, readout="potential")
        potential = self.network.readout == "potential"
        if isinstance(value, Synapses):
            if not potential:
                raise CompileError(f"{value.where} must be followed by neurons, or be read by its potential")
            value = self.add(value.where, FloatNeuron(reset="none"), value)
            self.names[-1] = f"the output of {self.names[-1]}"
        if not self._layers:
            raise CompileError("model must have at least one module of synapses, followed by neurons")
        for where, changes in ((value.pooled, any(one.pool is not None for one in value.terms)),
                               (value.where, any(one.delay for one in value.terms))):
            if changes:
                raise CompileError(f"{where} must be followed by synapses, or be read by its spike_count, not by "
                                   f"{self.network.readout}")
        if [one.source for one in value.terms] != [len(self._layers) - 1]:
            raise CompileError(f"{self.names[-1]} must lead to the end of the model, which takes {value.where}")
        last, neuron = self._layers[-1], self._layers[-1].neuron
        if potential and neuron.theta is not None:
            if neuron.reset != "none" or neuron.single_spike:
                raise CompileError(f"{value.where} must have no reset, or be left out, for a potential read-out")
            self._layers[-1] = replace(last, neuron=replace(neuron, theta=None, reset_step=None, strict=False))
        elif not potential and neuron.theta is None:
            raise CompileError(f"{value.where} must fire for a {self.network.readout} read-out")
        return replace(self.network, layers=tuple(self._layers))

    def scales(self, given: WeightScale | None) -> WeightScale | None:
        """The scales of all layers; one number is not for those behind a normalisation."""
        if given is None or not self._normalised:
            return given
        if isinstance(given, int | float):
            return [None if index in self._normalised or layer.weight_scale is not None else given
                    for index, layer in enumerate(self._layers)]
        for index, where in self._normalised.items():
            if index < len(given) and given[index] is not None:
                raise CompileError(f"layer {index}: weight_scale must be None, not {shown(given[index])}: the "
                                   f"normalisation before {where} gives each channel a step of its own, which "
                                   "compiling with per_channel=True finds")
        return given


def _check(where: str, neuron: FloatNeuron) -> None:
    if neuron.theta is not None and np.min(neuron.theta) <= 0:
        raise CompileError(f"{where} must have a threshold above its resting and reset potential, "
                           f"not {float(np.min(neuron.theta))!r} above")
    for what, leak in (("membrane", neuron.leak), ("current", neuron.current_leak),
                       ("thresholds' rise", neuron.rise_leak)):
        kept = np.ravel(0.0 if leak is None else leak)
        wrong = kept[~((kept >= 0) & (kept <= 1))]
        if wrong.size:
            raise CompileError(f"{where} must keep 0 … 1 of its {what} in a step, not {float(wrong[0])!r}")


def _with_bias(where: str, neuron: FloatNeuron, bias: np.ndarray) -> FloatNeuron:
    """The neurons with the bias of their synapses, which reaches what their weights reach: the current, if it lasts."""
    if neuron.current_leak is not None and not np.any(neuron.current_leak) and not neuron.current_delay:
        neuron = replace(neuron, current_leak=None)
    if neuron.current_leak is not None and bias.any():
        if neuron.bias is not None and neuron.bias.any():
            raise CompileError(f"{where} must have synapses without a bias: its resting potential is a bias of its "
                               "membranes, and a layer has one, of its currents or of its membranes")
        return replace(neuron, bias=bias, current_bias=True)
    total = bias if neuron.bias is None else bias + neuron.bias
    return replace(neuron, bias=total if total.any() else None)


def _merged(sets: tuple[Set, ...]) -> tuple[Set, ...]:
    """The sets, those from the same source through the same connectivity and as late as one."""
    found: list[Set] = []
    for one in sets:
        same = [place for place, other in enumerate(found) if other.source == one.source and (
            other.connectivity == one.connectivity and other.average_pool == one.average_pool
            and other.delay == one.delay)]
        if same:
            found[same[0]] = replace(found[same[0]], weight=found[same[0]].weight + one.weight)
        else:
            found.append(one)
    return tuple(found)


def _silent(in_shape: Shape, out_shape: Shape) -> tuple[Dense | Conv2d, np.ndarray]:
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
