# SPDX-License-Identifier: MIT
"""Layers of leaky integrate-and-fire neurons with one or several thresholds, and currents that may last."""

import math
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
from .delays import Delays
from .neurons import Receive, integrate
from .quantisation import integer_decay, rounded_leak, whole_steps
from .surrogates import staircase
from .synapses import Synapses

__all__ = ["Learned", "LifLayer", "NeuronKind"]

Learned = Literal["theta", "leak", "current_leak", "delays"]

THETA_MIN = 0.02


@dataclass(frozen=True, kw_only=True)
class NeuronKind:
    """Options of the neurons of a layer.

    Parameters
    ----------
    neuron : FloatNeuron
        Options that training does not change (strict, reset), and the leaks at the start of training, of the membrane
        and of currents that last.
    theta : float
        Threshold of the layer at the start of training.
    learns : tuple of str
        Which of "theta", "leak", "current_leak" and "delays" are learned.
    levels : int
        Number of thresholds, and the largest magnitude of a spike.
    spacing : str
        Threshold k is k·theta ("floor"), or (k − ½)·theta ("round").
    fires : bool
        False: the neurons only integrate, without leak.
    leak_shift : int
        Quantised leaks are num/2^leak_shift.
    slope, width, height :
        Shape of the surrogate gradient, as a function of the membrane in thetas; see `surrogates.staircase`.
    """

    neuron: FloatNeuron = field(default_factory=FloatNeuron)
    theta: float = 1.0
    learns: tuple[Learned, ...] = ()
    levels: int = 1
    spacing: Literal["floor", "round"] = "floor"
    fires: bool = True
    leak_shift: int = LEAK_SHIFT
    slope: str = "triangle"
    width: float = 1.0
    height: float = 1.0

    def __post_init__(self) -> None:
        neuron = self.neuron
        if neuron.given() or neuron.reset == "zero" or (
            neuron.options() != FloatNeuron(reset=neuron.reset).options()
        ):
            raise ValueError("neuron must have no more than leaks, strict, and a reset 'subtract' or 'none', not "
                             f"{neuron!r}")


class LifLayer(Synapses):
    """A layer of LIF neurons: v ← leak·v + W·s; s = thresholds reached; v ← v − s·theta, in the same step.

    A recurrent layer's own spikes of the step before are among W·s. Where currents last, v ← leak·v + i, with
    i ← current_leak·i + W·s. When quantised, theta is a whole number of units, so that the reset is exact, and leaks
    are num/2^shift.
    """

    delays: Delays | None
    """Delays of the spikes that the layer takes from the one before."""

    def __init__(
        self, wiring: Wiring, bits: int, kind: NeuronKind, input_scale: float = 1.0,
    ) -> None:
        super().__init__(wiring.synapses, bits, input_scale, skip=wiring.skip, loop=wiring.loop)
        self.kind, self.levels = kind, kind.levels
        self.theta = nn.Parameter(torch.tensor(kind.theta), requires_grad="theta" in kind.learns)
        self.leak = nn.Parameter(torch.tensor(kind.neuron.leak), requires_grad="leak" in kind.learns)
        self.current_leak = None if kind.neuron.current_leak is None else nn.Parameter(
            torch.tensor(kind.neuron.current_leak), requires_grad="current_leak" in kind.learns)
        self.delays = None

    def constrain(self) -> None:
        """Put theta, leaks and delays back into their ranges."""
        with torch.no_grad():
            self.theta.clamp_(min=THETA_MIN)
            self.leak.clamp_(0, 1)
            if self.current_leak is not None:
                self.current_leak.clamp_(0, 1)
        if self.delays is not None:
            self.delays.constrain()

    def distance(self, membrane: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        """Distance of a membrane from the first threshold, in thetas."""
        return membrane / theta - (0.5 if self.kind.spacing == "round" else 1.0)

    def operands(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Theta in units, the leak, and that of currents (None: they do not last), as the forward pass uses them."""
        if not self.rounds:
            return self.theta, self.leak, self.current_leak
        theta = whole_steps(self.theta.double(), self.unit).to(self.theta.dtype)
        lasting = None if self.current_leak is None else rounded_leak(self.current_leak, self.kind.leak_shift)
        return theta, rounded_leak(self.leak, self.kind.leak_shift), lasting

    @property
    def first_threshold(self) -> torch.Tensor:
        """The lowest threshold, in real numbers."""
        return self.theta.detach() * (0.5 if self.kind.spacing == "round" else 1.0)

    @property
    def endurance(self) -> float:
        """Number of steps for which a current lasts, at most 100: its sum over all steps, beside that of the first."""
        return 1.0 if self.current_leak is None else 1 / max(1 - self.current_leak.item(), 0.01)

    def received(self, lasting: torch.Tensor | None) -> Receive | None:
        """Make what adds, to the current of a step, those of the layer's own spikes and of the steps before."""
        if self.loop_weight is None and lasting is None:
            return None
        weight = None if self.loop_weight is None else self.computed(self.loop_weight.double())
        before: list[torch.Tensor] = []

        def receive(current: torch.Tensor, fired: list[torch.Tensor]) -> torch.Tensor:
            if weight is not None and fired:
                current = current + self.own_current(weight, fired[-1])
            if lasting is not None:
                current = self.decayed(before.pop(), lasting) + current if before else current
                before.append(current)
            return current

        return receive

    def decayed(self, values: torch.Tensor, leak: torch.Tensor) -> torch.Tensor:
        """What a step leaves of membranes or currents, by a leak of `operands`."""
        return integer_decay(values, leak) if self.rounds else leak * values

    def forward(self, currents: Sequence[torch.Tensor]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Spikes, [T, B, …], and pre-reset membranes of each step, from the currents [B, …] of each step."""
        kind, (theta, leak, lasting) = self.kind, self.operands()

        def fire(membrane: torch.Tensor) -> torch.Tensor:
            return staircase(
                self.distance(membrane, theta), kind.slope, kind.width, height=kind.height, levels=kind.levels,
                strict=kind.neuron.strict,
            )

        def decay(membrane: torch.Tensor) -> torch.Tensor:
            return self.decayed(membrane, leak)

        def reset(membrane: torch.Tensor, spikes: torch.Tensor) -> torch.Tensor:
            # As in DIET-SNN's code, the reset has a gradient through theta, but not through the spike.
            return membrane - spikes.detach() * theta

        decays = "leak" in kind.learns or kind.neuron.leak != 1
        spikes, membranes = integrate(currents, fire=fire, decay=decay if decays else None,
                                      reset=reset if kind.neuron.reset == "subtract" else None,
                                      receive=self.received(lasting))
        return torch.stack(spikes) if len(spikes) > 1 else spikes[0][None], membranes  # one step: no copy

    @torch.no_grad()
    def largest_membrane(self, largest: int, steps: int) -> int:
        """Bound on the magnitude of membranes after so many steps: leaks only shrink it, by rounding down to the next
        integer, and resets only take from it."""
        current = self.largest_current(largest, self.levels)
        _, leak, lasting = self.operands()
        if lasting is None:
            return steps * current
        kept = membrane = 0
        for _ in range(steps):
            kept = math.ceil(kept * lasting.item()) + current
            membrane = math.ceil(membrane * leak.item()) + kept
        return membrane

    def layer(self) -> FloatLayer:
        """The layer to be exported, in float64; if quantised, the compiler rounds it to the integers computed here."""
        kind, channels = self.kind, self.connectivity.channels
        if not kind.fires:
            return self.exported()
        theta, leak, lasting = (None if value is None else value.detach().double().item()
                                for value in self.operands())
        assert theta is not None and leak is not None
        theta *= self.unit
        levels = theta * (np.arange(1, kind.levels + 1) - (0.5 if kind.spacing == "round" else 0.0))
        synapses = self.exported()
        bias = synapses.neuron.bias
        neuron = replace(
            kind.neuron, leak=leak, current_leak=lasting, bias=bias,
            current_bias=bias is not None and lasting is not None,
            theta=np.tile(levels, (channels, 1)) if kind.levels > 1 else np.full(channels, levels[0]),
            reset_step=np.full(channels, theta) if kind.neuron.reset == "subtract" else None)
        return replace(synapses, neuron=neuron, delays=None if self.delays is None else self.delays.exported())
