# SPDX-License-Identifier: MIT
"""Latency coding: a learned encoder gives every feature a spike time, and the first output spike decides.

From the abstract: a latency encoder that extracts features and is trained through its spike times with a
straight-through estimator, hidden neurons that may fire several times, the decision at the first output spike with
ties broken by the membrane, and the TAD loss, which weights the supervision of each step by a confidence from the
inverse entropy of the output. Reconstructed, not the paper's text: the encoder is one layer whose static current
a = W·x + bias fires in the first step t with a ≥ theta_t, the thresholds learned, common and falling, and never if a
stays below the last one, which one step needs; each comparison has a rectangular slope around its
threshold, so that their sum over the steps is the straight line from current to spike time. Our own choices: soft reset
and ≥, a learned leak a layer, IF outputs without reset at the threshold 1, the weights of the TAD loss detached.
"""

# Ref: latency coding with a latency encoder and the temporal adaptive decision loss (abstract).

from dataclasses import replace
from typing import cast

import numpy as np
import torch
from firstspike_arch.connectivity import Conv2d, Dense, Shape
from firstspike_arch.float_network import FloatLayer, Readout
from firstspike_arch.neuron import FloatNeuron
from torch import nn
from torch.nn import functional

from ..builder import Wiring
from ..evidence import first_spike
from ..image_folders import Images
from ..lif import THETA_MIN, NeuronKind
from ..lif_network import LifNetwork
from ..quantisation import whole_steps
from ..recipe import LatencyCodingRecipe, Recipe
from ..surrogates import staircase
from ..synapses import Synapses

__all__ = ["LatencyCodingNetwork", "LatencyEncoder", "confidence"]

CALIBRATION_BATCH = 512
THETA_FIRST, THETA_LAST = 1.5, 0.4
"""Thresholds of the encoder in the first and the last step, in standard deviations of its current."""
HIDDEN_SPREAD = 2.0
EPSILON = 0.1
"""Added to an entropy before it is inverted, which bounds the weight of a step with certain output."""


class LatencyEncoder(Synapses):
    """Neurons with a static current a = W·x + bias, which fire once, in the first step t with a ≥ theta_t; theta_t
    falls with t."""

    def __init__(
        self, connectivity: Dense | Conv2d, bits: int, steps: int, width: float, input_scale: float = 1.0,
    ) -> None:
        super().__init__(connectivity, bits, input_scale)
        self.width = width
        self.bias = nn.Parameter(torch.zeros(connectivity.channels))
        self.last = nn.Parameter(torch.tensor(THETA_LAST))
        self.gaps = nn.Parameter(torch.full((steps - 1,), (THETA_FIRST - THETA_LAST) / max(1, steps - 1)))

    def normalise_currents(self) -> None:
        """Add batch normalisation, whose shift replaces the bias."""
        super().normalise_currents()
        self.bias.requires_grad_(False)

    def largest_current(self, largest: int) -> int:
        """Bound on the current with its bias, plus the highest threshold, from which it is subtracted."""
        bias, last, gaps = (value.detach().abs().max().item() if value.numel() else 0.0 for value in self.operands())
        return super().largest_current(largest) + int(bias + last + gaps * len(self.gaps))

    @property
    def first_threshold(self) -> torch.Tensor:
        """The lowest threshold, in real numbers."""
        return self.last.detach()

    def constrain(self) -> None:
        """Clamp the thresholds so that they are positive and fall."""
        with torch.no_grad():
            self.last.clamp_(min=THETA_MIN)
            self.gaps.clamp_(min=THETA_MIN)

    def operands(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Bias [C], the last threshold, and the T − 1 gaps between successive thresholds, in units."""
        if not self.rounds:
            return self.bias, self.last, self.gaps
        pairs = ((self.bias, -torch.inf), (self.last, 1), (self.gaps, 1))
        bias, last, gaps = (whole_steps(value.double(), self.unit, least).to(value.dtype) for value, least in pairs)
        return bias, last, gaps

    def forward(self, current: torch.Tensor) -> torch.Tensor:
        """Return spikes [T, B, …] for currents W·x, [B, …]."""
        bias, last, gaps = self.operands()
        current = current + bias.view(-1, *[1] * (current.dim() - 2))
        before, spikes = torch.zeros_like(current), []
        for step in range(len(gaps) + 1):
            # The standard deviation of the current is 1, as a real number, at the start of training.
            distance = (current - (last + gaps[step:].sum())) * self.unit
            fired = staircase(distance, "rectangle", self.width)
            spikes.append(fired - before)
            before = fired
        return torch.stack(spikes) if len(spikes) > 1 else spikes[0][None]  # one step: no copy

    def layer(self) -> FloatLayer:
        """The layer to be exported, in float64."""
        bias, last, gaps = (value.detach().double().numpy() * self.unit for value in self.operands())
        fall = np.concatenate([[0.0], np.cumsum(gaps)])
        synapses = self.exported()
        if synapses.neuron.bias is not None:
            bias = bias + synapses.neuron.bias
        return replace(synapses, neuron=FloatNeuron(
            bias=bias, bias_once=True, theta=np.full(len(bias), last + fall[-1]), theta_fall=fall, single_spike=True))


class LatencyCodingNetwork(LifNetwork):
    """A latency encoder, hidden LIF layers, and output neurons, whose first spike decides."""

    def __init__(self, recipe: Recipe, shape: Shape, generator: torch.Generator) -> None:
        method = self.method = cast(LatencyCodingRecipe, recipe.method)

        def encoder(wiring: Wiring, bits: int, kind: NeuronKind, input_scale: float) -> LatencyEncoder:
            return LatencyEncoder(wiring.synapses, bits, recipe.network.steps, method.encoder_width, input_scale)

        hidden = NeuronKind(
            neuron=FloatNeuron(leak=method.leak), leak_shift=recipe.quantisation.leak_shift, learns=method.learns,
            width=method.surrogate_width,
        )
        super().__init__(recipe, shape, generator, hidden, NeuronKind(neuron=FloatNeuron(reset="none")), encoder)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return self.stack[0](self.stack[0].current(self.pixels(images)))

    def start(self, phase: str, images: Images) -> None:
        """Begin a phase; "real" first scales the weights, so that the encoder's currents have a standard deviation of
        1, and the currents of later neurons, added up over the steps, one of a few thresholds."""
        if phase == "real" and not self.begun:
            hidden = [HIDDEN_SPREAD] * (len(self.stack) - 2)
            self.spread(images[:CALIBRATION_BATCH], [self.steps, *hidden, 1.0 / self.method.score_gain])
        super().start(phase, images)

    def outputs(self, hidden: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Spikes and membranes (in units) of the output layer, [T, B, C] each."""
        spikes, membranes = self.stack[-1](self.currents(self.stack[-1], hidden))
        return spikes, torch.stack(membranes)

    def loss(self, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Cross entropy of the output membranes, by step and weighted by `confidence` ("tad") or averaged, plus
        `effort`."""
        hidden = self.hidden(images)
        _, membranes = self.outputs(hidden)
        logits = membranes * (self.stack[-1].unit * self.method.score_gain)
        if self.method.loss == "cross_entropy":
            # Ref: S. Deng et al. 2022, "Temporal efficient training", equation 7: the output averaged, then its loss.
            return functional.cross_entropy(logits.mean(0), labels) + self.effort(hidden)
        losses = torch.stack([functional.cross_entropy(step, labels, reduction="none") for step in logits])
        return (confidence(logits.detach()) * losses).sum(0).mean() + self.effort(hidden)

    def decide(self, images: torch.Tensor) -> tuple[dict[Readout, torch.Tensor], dict[str, float]]:
        hidden = self.hidden(images)
        spikes, membranes = self.outputs(hidden)
        found = first_spike(spikes.cummax(0).values > 0, membranes)
        measures = {
            **self.measures(hidden),
            "decision_step": found["step"].double().mean().item(),
            "output_silent": (~found["at"].any(1)).double().mean().item(),
        }
        return {"first_spike": found["classes"]}, measures


def confidence(logits: torch.Tensor) -> torch.Tensor:
    """Weights of the steps, [T, B], whose sum over T is 1: inverse entropies of the softmax of logits [T, B, C]."""
    log = torch.log_softmax(logits, 2)
    inverse = 1 / (EPSILON - (log.exp() * log).sum(2))
    return inverse / inverse.sum(0)
