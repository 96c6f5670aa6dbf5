# SPDX-License-Identifier: MIT
"""DIET-SNN: direct input, a learned leak and threshold for each layer, few steps, weights from a trained ANN.

As in the authors' code: mem = leak·mem + W·s (the leak before the input), a spike where mem > theta, mem −= theta in
the same step without a slope through the spike, no bias, the image as the current of every step, average pools on
spikes, dropout masks that last an inference, an output that integrates W·s without leak; the ANN (ReLU, no bias,
average pools) trained first; thresholds from the 99.7 percentile of the currents, layer by layer, times a scaling
factor; the slope γ·max(0, 1 − |mem/theta − 1|); leaks clamped to at most 1; cross entropy of the output's potential.
Our own choices: batch normalisation of the ANN, where a recipe asks for it, folded into weights and a bias that the
spiking network goes on learning; pixels are not normalised (as in the code for MNIST), AdamW with one cycle instead of
Adam with steps or cosines, dropout also before a pool (the code's pools replace it), thresholds bounded below by a
small positive number, and everything in integers: a threshold is a whole number of steps and a leak num/2^shift.
"""

# Ref: N. Rathi, K. Roy, "DIET-SNN"; github.com/nitin-rathi/DIET-SNN at 4c7527b: self_models/vgg_spiking.py, snn.py,
# ann.py.

from typing import cast

import torch
from firstspike_arch.connectivity import Dense, Shape, size_of
from firstspike_arch.float_network import Readout
from firstspike_arch.neuron import FloatNeuron
from torch import nn
from torch.nn import functional

from ..image_folders import Images
from ..lif import LifLayer, NeuronKind
from ..lif_network import LifNetwork
from ..normalisation import BatchNormalisation
from ..recipe import DietRecipe, Recipe
from ..teacher import Teacher

__all__ = ["DietNetwork", "percentile"]

CALIBRATION_BATCH = 512
CALIBRATION_STEPS = 100
CALIBRATION_NUMBERS = 1 << 27
"""Most membranes of one layer, over all steps and images, during calibration (512 MiB, of several arrays at once);
large networks use fewer images."""


class DietNetwork(LifNetwork):
    """The spiking network; during pretraining, an ANN with the same weights."""

    def __init__(self, recipe: Recipe, shape: Shape, generator: torch.Generator) -> None:
        method = self.method = cast(DietRecipe, recipe.method)
        hidden = NeuronKind(
            neuron=FloatNeuron(leak=method.leak, strict=True), leak_shift=recipe.quantisation.leak_shift,
            learns=method.learns, slope="triangle", height=method.surrogate_height,
        )
        self.analogue = True
        super().__init__(recipe, shape, generator, hidden, NeuronKind(fires=False))

    @torch.no_grad()
    def adopt(self, teacher: Teacher) -> None:
        """Take over the weights of a network without spikes that has the same layers, but for the bias of its
        output."""
        weighted = [part for part in teacher.layers if isinstance(part, nn.Conv2d | nn.Linear)]
        normalised = [part for part in teacher.layers if isinstance(part, BatchNormalisation)]
        for layer, part in zip(self.stack, weighted, strict=True):
            layer.weight.copy_(part.weight)
        for layer, part in zip(self.stack[:-1], normalised, strict=True):
            assert layer.normalisation is not None
            layer.normalisation.load_state_dict(part.state_dict())

    def initialise(self, layer: LifLayer, generator: torch.Generator) -> None:
        # As in the authors' code: N(0, √(2/(k²·C))) for a convolution to C channels, N(0, 0.01) for a dense layer.
        dense = isinstance(layer.connectivity, Dense)
        fan_out = layer.weight[0, 0].numel() * layer.connectivity.channels
        with torch.no_grad():
            layer.weight.normal_(0, 0.01 if dense else (2 / fan_out) ** 0.5, generator=generator)

    def start(self, phase: str, images: Images) -> None:
        """Begin a phase; before the spiking network is trained, its thresholds are taken from currents on
        ``images``."""
        self.analogue = phase == "pretraining"
        if not self.analogue:
            for layer in self.stack:
                layer.fold()
        if phase == "real" and not self.begun:
            largest = max(size_of(layer.connectivity.out_shape) for layer in self.stack)
            self.calibrate(images[:min(CALIBRATION_BATCH, 1 + CALIBRATION_NUMBERS // (CALIBRATION_STEPS * largest))])
        super().start(phase, images)

    @torch.no_grad()
    def calibrate(self, images: torch.Tensor) -> None:
        """Set the thresholds of the hidden layers, in order, to the largest percentile of the currents of any step,
        scaled."""
        steps, leaks = self.steps, [layer.leak.item() for layer in self.stack]
        self.steps = CALIBRATION_STEPS
        for layer in self.stack:
            layer.leak.fill_(1.0)
        share, found = self.method.percentile / 100, []
        for layer in self.stack[:-1]:
            if found:
                currents = self.currents(layer, found)
                layer.theta.fill_(max(percentile(current, share) for current in currents))
                found.append(layer(currents)[0])
            else:
                layer.theta.fill_(percentile(layer.current(self.pixels(images)), share))
                found.append(self.encode(images))
        for layer, leak in zip(self.stack, leaks, strict=True):
            layer.leak.fill_(leak)
            layer.theta.mul_(self.method.scaling)
        self.steps = steps
        self.constrain()

    def rectified(self, images: torch.Tensor, generator: torch.Generator | None) -> list[torch.Tensor]:
        """Activations of the ANN's hidden layers, [1, B, …], in the shape of spikes of a single step."""
        found: list[torch.Tensor] = []
        for layer in self.stack[:-1]:
            inputs = [spikes[0] for spikes in self.sources(layer, found)] if found else [self.pixels(images)]
            found.append(self.dropped(functional.relu(layer.current(*inputs))[None], generator))
        return found

    def dropped(self, spikes: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        """Spikes [T, B, …] after dropout; each image has its own mask, which is the same in all steps."""
        share = self.method.dropout
        if generator is None or not share:
            return spikes
        kept = torch.rand(spikes.shape[1:], generator=generator) >= share
        return spikes * (kept.to(spikes) / (1 - share))

    def loss(self, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Cross entropy of the output's potential, plus `effort` if the network spikes."""
        if self.analogue:
            hidden = self.rectified(images, generator)
        else:
            hidden = self.hidden(images, lambda spikes: self.dropped(spikes, generator))
        loss = functional.cross_entropy(self.potential(hidden[-1]) * self.stack[-1].unit, labels)
        return loss if self.analogue else loss + self.effort(hidden)

    def decide(self, images: torch.Tensor) -> tuple[dict[Readout, torch.Tensor], dict[str, float]]:
        hidden = self.rectified(images, None) if self.analogue else self.hidden(images)
        return {"potential": self.potential(hidden[-1]).argmax(1)}, self.measures(hidden)


def percentile(currents: torch.Tensor, share: float) -> float:
    """The element below which a share of all elements lies, without interpolation, as in the authors' code."""
    flat = currents.flatten()
    return flat.kthvalue(1 + round(share * (flat.numel() - 1))).values.item()
