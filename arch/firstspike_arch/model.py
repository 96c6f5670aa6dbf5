# SPDX-License-Identifier: MIT
"""The real-valued network that training or a frontend hands to the compiler."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from .connectivity import Conv2d, Dense

__all__ = ["FloatLayer", "FloatNetwork", "Readout"]

Readout = Literal["first_spike", "weighted_spikes", "potential", "spike_count"]


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatLayer:
    """A layer with its neurons, in real numbers; vectors are over its channels (the neurons of a dense layer).

    v ← leak·v + W·s + bias; fires on v ≥ theta (``strict``: v > theta); then resets.

    Parameters
    ----------
    weight : float64[connectivity.weight_shape]
        Synapses, normalisation not yet folded.
    connectivity : Dense or Conv2d
        None: dense, from a vector, by the shape of the weight.
    average_pool : bool
        ``connectivity.pool`` averages instead of adding up.
    gain, shift : float64[C]
        Affine of the weight normalisation: the synapse is ``gain·standardise(weight)``, the bias gains ``shift``.
        None: the weight is used as it is.
    bias : float64[C]
        Added at every step (``bias_once``: at t = 0 only).
    theta : float64[C]
        Thresholds; None for an output layer read by its potential.
    leak : float
        1 is an integrate-and-fire neuron.
    weight_bits : int
        2 … 8. What the network was trained for; the compiler may be told otherwise.
    weight_scale : float
        Real value of one integer step, if training fixed it; None lets the compiler choose.
    """

    weight: np.ndarray
    gain: np.ndarray | None = None
    shift: np.ndarray | None = None
    bias: np.ndarray | None = None
    theta: np.ndarray | None = None
    leak: float = 1.0
    strict: bool = False
    reset: Literal["subtract", "zero", "none"] = "subtract"
    reset_delay: bool = False
    single_spike: bool = False
    bias_once: bool = False
    v_init: np.ndarray | None = None
    v_min: float | None = None
    v_max: float | None = None
    weight_bits: int = 8
    weight_scale: float | None = None
    connectivity: Dense | Conv2d | None = None
    average_pool: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatNetwork:
    """Layers in order, their input and their read-out.

    ``input_kind`` "latency": uint8 images, one spike a pixel of at least ``cutoff``; "events": spikes per step.
    ``step_weights`` are the integer w[t] of a `weighted_spikes` read-out, strictly decreasing.
    ``accuracy`` is the measured float accuracy by data split, e.g. ``{"test": 0.98}``; empty if unknown.
    """

    name: str
    steps: int
    layers: tuple[FloatLayer, ...]
    readout: Readout
    input_kind: Literal["latency", "events"] = "latency"
    cutoff: int = 1
    step_weights: tuple[int, ...] = ()
    accuracy: dict[str, float] = field(default_factory=dict)
    recipe: dict = field(default_factory=dict)
