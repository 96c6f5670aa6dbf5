# SPDX-License-Identifier: MIT
"""Layers of leaky integrate-and-fire neurons with one or several thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from firstspike_arch.fixed import LEAK_SHIFT
from firstspike_arch.float_network import FloatLayer
from firstspike_arch.neuron import FloatNeuron
from torch import nn

from .builder import Wiring
from .neurons import integrate
from .quantisation import integer_decay, rounded_leak, whole_steps
from .surrogates import staircase
from .synapses import Synapses

__all__ = ["LifLayer", "NeuronKind"]

THETA_MIN = 0.02


@dataclass(frozen=True, kw_only=True)
class NeuronKind:
    """Options of the neurons of a layer.

    Parameters
    ----------
    neuron : FloatNeuron
        Options that training does not change (strict, reset), and the leak at the start of training.
    theta : float
        Threshold of the layer at the start of training.
    learns : tuple of str
        Which of "theta" and "leak" are learned.
    levels : int
        Number of thresholds, and the largest magnitude of a spike.
    spacing : str
        Threshold k is k·theta ("floor"), or (k − ½)·theta ("round").
    fires : bool
        False: the neurons only integrate, without leak.
    leak_shift : int
        The quantised leak is num/2^leak_shift.
    slope, width, height :
        Shape of the surrogate gradient, as a function of the membrane in thetas; see `surrogates.staircase`.
    """

    neuron: FloatNeuron = field(default_factory=FloatNeuron)
    theta: float = 1.0
    learns: tuple[Literal["theta", "leak"], ...] = ()
    levels: int = 1
    spacing: Literal["floor", "round"] = "floor"
    fires: bool = True
    leak_shift: int = LEAK_SHIFT
    slope: str = "triangle"
    width: float = 1.0
    height: float = 1.0

    def __post_init__(self) -> None:
        neuron = self.neuron
        if neuron.given() or neuron.lasts or neuron.reset == "zero" or (
            neuron.options() != FloatNeuron(reset=neuron.reset).options()
        ):
            raise ValueError("neuron must have no more than a leak, strict, and a reset 'subtract' or 'none', not "
                             f"{neuron!r}")


class LifLayer(Synapses):
    """A layer of LIF neurons: v ← leak·v + W·s; s = thresholds reached; v ← v − s·theta, in the same step.

    When quantised, theta is a whole number of units, so that the reset is exact, and the leak is num/2^shift.
    """

    def __init__(
        self, wiring: Wiring, bits: int, kind: NeuronKind, input_scale: float = 1.0,
    ) -> None:
        super().__init__(wiring.synapses, bits, input_scale, skip=wiring.skip)
        self.kind, self.levels = kind, kind.levels
        self.theta = nn.Parameter(torch.tensor(kind.theta), requires_grad="theta" in kind.learns)
        self.leak = nn.Parameter(torch.tensor(kind.neuron.leak), requires_grad="leak" in kind.learns)

    def constrain(self) -> None:
        """Put theta and leak back into their ranges."""
        with torch.no_grad():
            self.theta.clamp_(min=THETA_MIN)
            self.leak.clamp_(0, 1)

    def distance(self, membrane: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        """Distance of a membrane from the first threshold, in thetas."""
        return membrane / theta - (0.5 if self.kind.spacing == "round" else 1.0)

    def operands(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Theta in units, and the leak, as the forward pass uses them."""
        if not self.rounds:
            return self.theta, self.leak
        theta = whole_steps(self.theta.double(), self.unit).to(self.theta.dtype)
        return theta, rounded_leak(self.leak, self.kind.leak_shift)

    def forward(self, currents: Sequence[torch.Tensor]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Spikes, [T, B, …], and pre-reset membranes of each step, from the currents [B, …] of each step."""
        kind, (theta, leak) = self.kind, self.operands()

        def fire(membrane: torch.Tensor) -> torch.Tensor:
            return staircase(
                self.distance(membrane, theta), kind.slope, kind.width, height=kind.height, levels=kind.levels,
                strict=kind.neuron.strict,
            )

        def decay(membrane: torch.Tensor) -> torch.Tensor:
            return integer_decay(membrane, leak) if self.rounds else leak * membrane

        def reset(membrane: torch.Tensor, spikes: torch.Tensor) -> torch.Tensor:
            # As in DIET-SNN's code, the reset has a gradient through theta, but not through the spike.
            return membrane - spikes.detach() * theta

        decays = "leak" in kind.learns or kind.neuron.leak != 1
        spikes, membranes = integrate(currents, fire=fire, decay=decay if decays else None,
                                      reset=reset if kind.neuron.reset == "subtract" else None)
        return torch.stack(spikes) if len(spikes) > 1 else spikes[0][None], membranes  # one step: no copy

    def layer(self) -> FloatLayer:
        """The layer to be exported, in float64; if quantised, the compiler rounds it to the integers computed here."""
        kind, channels = self.kind, self.connectivity.channels
        if not kind.fires:
            return self.exported()
        theta, leak = (value.detach().double().item() for value in self.operands())
        theta *= self.unit
        levels = theta * (np.arange(1, kind.levels + 1) - (0.5 if kind.spacing == "round" else 0.0))
        synapses = self.exported()
        neuron = replace(
            kind.neuron, leak=leak, bias=synapses.neuron.bias,
            theta=np.tile(levels, (channels, 1)) if kind.levels > 1 else np.full(channels, levels[0]),
            reset_step=np.full(channels, theta) if kind.neuron.reset == "subtract" else None)
        return replace(synapses, neuron=neuron)
