# SPDX-License-Identifier: MIT
"""The real-valued network that training or a frontend hands to the compiler."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from .connectivity import Conv2d, Dense
from .neuron import FloatNeuron

__all__ = ["FloatBranch", "FloatLayer", "FloatNetwork", "InputKind", "Readout"]

Readout = Literal["first_spike", "weighted_spikes", "potential", "spike_count"]
InputKind = Literal["latency", "events", "direct"]


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatBranch:
    """A second set of synapses onto a layer's membranes; see `firstspike_arch.network.Branch`.

    Parameters
    ----------
    source : int
        Index of the layer whose spikes it takes: an earlier one, or the layer itself (recurrent).
    weight : float64[connectivity.weight_shape]
    connectivity : Dense or Conv2d
    average_pool : bool
        ``connectivity.pool`` averages instead of adding up.
    """

    source: int
    weight: np.ndarray
    connectivity: Dense | Conv2d
    average_pool: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatLayer:
    """Synapses onto one set of neurons, in real numbers; vectors are over its channels (the neurons of a dense layer).

    Parameters
    ----------
    weight : float64[connectivity.weight_shape]
        Synapses, normalisation not yet folded.
    neuron : FloatNeuron
    connectivity : Dense or Conv2d
        None: dense, from a vector, by the shape of the weight.
    average_pool : bool
        ``connectivity.pool`` averages instead of adding up.
    max_pool : bool
        ``connectivity.pool`` takes the maximum: the first spike of a window, from neurons that fire once.
    gain, shift : float64[C]
        Affine of the weight normalisation: the synapse is ``gain·standardise(weight)``, and ``shift`` is added to the
        neurons' bias. None: the weight is used as it is.
    weight_bits : int
        2 … 8. What the network was trained for; the compiler may be told otherwise.
    weight_scale : float or float64[C]
        Real value of one integer step, if training fixed it; None lets the compiler choose. One a channel: from the
        compiler only, no checkpoint holds it.
    """

    weight: np.ndarray
    neuron: FloatNeuron = field(default_factory=FloatNeuron)
    gain: np.ndarray | None = None
    shift: np.ndarray | None = None
    weight_bits: int = 8
    weight_scale: float | np.ndarray | None = None
    connectivity: Dense | Conv2d | None = None
    average_pool: bool = False
    max_pool: bool = False
    branches: tuple[FloatBranch, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatNetwork:
    """Layers in order, their input and their read-out.

    ``input_kind`` "latency": uint8 images, one spike a pixel of at least ``cutoff``; "events": spikes per step;
    "direct": integers x in ``in_min`` … ``in_max``, of which the first layer gets the current W·(x·``input_scale``),
    the same in every step (into neurons with ``theta_fall``: once).
    ``step_weights`` are the integer w[t] of a `weighted_spikes` read-out, strictly decreasing.
    ``in_limit``: what was imported means the same as its model only for an ``in_max`` up to this; None: for any.
    ``accuracy`` is the measured float accuracy by data split, e.g. ``{"test": 0.98}``; empty if unknown.
    """

    name: str
    steps: int
    layers: tuple[FloatLayer, ...]
    readout: Readout
    input_kind: InputKind = "latency"
    cutoff: int = 1
    in_min: int = 0
    in_max: int = 1
    input_scale: float = 1.0
    step_weights: tuple[int, ...] = ()
    in_limit: int | None = None
    accuracy: dict[str, float] = field(default_factory=dict)
    recipe: dict = field(default_factory=dict)
