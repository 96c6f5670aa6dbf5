# SPDX-License-Identifier: MIT
"""The real-valued network that training or a frontend hands to the compiler."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from .connectivity import Conv2d, Dense, Shape, Window
from .neuron import FloatNeuron

__all__ = ["FloatBranch", "FloatLayer", "FloatNetwork", "InputKind", "LeakRounding", "Readout", "windows_of"]

Readout = Literal["first_spike", "weighted_spikes", "potential", "spike_count"]
InputKind = Literal["latency", "events", "direct"]
LeakRounding = Literal["nearest", "floor"]


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatBranch:
    """A second set of synapses onto a layer's membranes; see `firstspike_arch.network.Branch`.

    Parameters
    ----------
    source : int
        Index of the layer whose spikes the synapses take: an earlier layer, or the layer itself (recurrent).
    weight : float64[connectivity.weight_shape]
    connectivity : Dense or Conv2d
    average_pool : bool
        ``connectivity.pool`` averages instead of adding up.
    delays : int64[N]
        Delay of the events of each address of the source, in steps, as in `firstspike_arch.network.Branch`. None: all
        are 0.
    """

    source: int
    weight: np.ndarray
    connectivity: Dense | Conv2d
    average_pool: bool = False
    delays: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatLayer:
    """Synapses onto one set of neurons, in real numbers; vectors have one value for each channel (neuron of a dense
    layer).

    Parameters
    ----------
    weight : float64[connectivity.weight_shape]
        Weights of the synapses, before normalisation is folded in.
    neuron : FloatNeuron
    connectivity : Dense or Conv2d
        None: dense, from a vector; the sizes are those of the weight.
    average_pool : bool
        ``connectivity.pool`` averages instead of adding up.
    max_pool : bool
        ``connectivity.pool`` takes the maximum, which is the first spike of a window: its neurons must fire once.
    current_pool : Window
        Maximum pool of the currents, see `firstspike_arch.network.Layer`.
    delays : int64[N]
        Delay of the events of each address of the layer before, in steps, as in `firstspike_arch.network.Branch`; with
        ``max_pool``, in front of the pool. None: all are 0.
    gain, shift : float64[C]
        Affine of the weight normalisation: the synapse is ``gain·standardise(weight)``, and ``shift`` is added to the
        neurons' bias. None: the weight is used as it is.
    name : str
        Name of the layer in reports and hardware; None: made from its kind and index.
    weight_exponent : int
        Whole weights count in 2^weight_exponent of the steps in which everything else on the membranes does, see
        `firstspike_arch.network.Layer`.
    weight_bits : int
        Bits that the network was trained for, 2 … 8; the compiler may be told others.
    weight_scale : float or float64[C]
        Real value of one integer step of the membranes, if training fixed it; None: the compiler chooses. Only the
        compiler makes a scale for each channel; no checkpoint holds one.
    events : float
        Mean number of events that reach the layer from the one before in an inference, as counted after training; the
        compiler shares out processing elements by it. None: unknown.
    """

    weight: np.ndarray
    neuron: FloatNeuron = field(default_factory=FloatNeuron)
    gain: np.ndarray | None = None
    shift: np.ndarray | None = None
    weight_bits: int = 8
    weight_exponent: int = 0
    weight_scale: float | np.ndarray | None = None
    connectivity: Dense | Conv2d | None = None
    average_pool: bool = False
    max_pool: bool = False
    current_pool: Window | None = None
    branches: tuple[FloatBranch, ...] = ()
    name: str | None = None
    events: float | None = None
    delays: np.ndarray | None = None


def windows_of(steps: int, size: int) -> list[slice]:
    """Divide the steps of an inference into windows of ``size`` steps; the last may have fewer."""
    return [slice(start, min(start + size, steps)) for start in range(0, steps, size)]


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatNetwork:
    """Layers in order, their input and their read-out.

    Parameters
    ----------
    steps : int
        Number of steps of an inference.
    steps_max : int
        Longest inference, in steps; None: ``steps``.
    readout, cutoff, in_min, in_max, endless
        As in `firstspike_arch.network.IntegerNetwork`.
    input_kind : "latency", "events" or "direct"
        "latency": uint8 images; each pixel of at least ``cutoff`` spikes once. "events": integers x in
        ``in_min`` … ``in_max`` in every step, such as spike counts; synapses take x·``input_scale``. "direct":
        integers x in ``in_min`` … ``in_max``; the first layer gets their current W·(x·``input_scale``) in every step
        (only at t = 0 if its neurons have ``theta_fall``).
    step_weights : tuple of int
        Weight w[t] of a spike in step t for the "weighted_spikes" read-out, strictly decreasing.
    in_limit : int
        Largest ``in_max`` for which an imported network does the same as its model; None: any.
    leak_rounding : "nearest" or "floor"
        How membranes in integers round as they leak, if training or another tool fixed it; None: the compiler chooses.
    accuracy : dict
        Measured float accuracy by data split, such as ``{"test": 0.98}``; empty if unknown.
    recipe : dict
        Recipe with which the network was trained; empty if there was none.
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
    steps_max: int | None = None
    step_weights: tuple[int, ...] = ()
    endless: bool = False
    in_limit: int | None = None
    leak_rounding: LeakRounding | None = None
    accuracy: dict[str, float] = field(default_factory=dict)
    recipe: dict = field(default_factory=dict)

    @property
    def input_shape(self) -> Shape:
        first = self.layers[0]
        return np.shape(first.weight)[1:] if first.connectivity is None else first.connectivity.in_shape

    def windows(self, steps: int) -> list[slice]:
        """The steps on which each result of an inference of so many steps decides."""
        size = self.steps if self.steps_max is None else self.steps_max
        return windows_of(steps, size if self.endless else steps)
