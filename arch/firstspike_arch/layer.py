# SPDX-License-Identifier: MIT
"""A layer of an integer network: synapses onto one set of neurons."""

from dataclasses import dataclass

import numpy as np

from .connectivity import Conv2d, Dense, Shape, Window, size_of
from .events import TokenLayout
from .neuron import Neuron

__all__ = ["INPUT", "WEIGHT_EXPONENT_MAX", "Branch", "Layer", "NetworkError"]

INPUT = -1
"""Index of the network's input, where the source of synapses is given."""

WEIGHT_EXPONENT_MAX = 15
"""Largest `Layer.weight_exponent`."""


class NetworkError(ValueError):
    """A network breaks a rule; the message names the layer and the rule."""


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
