# SPDX-License-Identifier: MIT
"""Multi-threshold LIF: neurons whose spikes have a magnitude of 0 … n, for one or two steps.

From the abstract: LIF neurons with several thresholds, three shapes of an approximate derivative, T = 1 … 2. From
memory, unchecked: u[t] = leak·u[t−1] + W·o[t], a spike of floor(u / theta) up to n, and networks such as
15C5-P2-40C5-P2-300-10. Our own choices, because the paper's are not public: thresholds k·theta or (k − ½)·theta, the
soft reset by s·theta, the static current of the image added at every step, no bias, theta = 1 with weights spread to
the range of the thresholds at the start, the shapes and widths of the derivatives, both read-outs (the output's
potential, or its spikes added up), and for tasks in time, which the paper does not have, currents that last, recurrent
layers and delays.
"""

# Ref: multi-threshold LIF spiking networks trained directly (abstract); shape of the round variant after
# SpikingJelly's ILIFNode.

from typing import cast

import torch
from firstspike_arch.connectivity import Shape
from firstspike_arch.float_network import Readout
from firstspike_arch.neuron import FloatNeuron
from torch.nn import functional

from ..image_folders import Images
from ..lif import NeuronKind
from ..lif_network import LifNetwork
from ..recipe import MultiThresholdRecipe, Recipe

__all__ = ["MultiThresholdNetwork"]

CALIBRATION_BATCH = 512


class MultiThresholdNetwork(LifNetwork):
    """Hidden layers with n thresholds; the output integrates, or its neurons fire as well and their spikes are
    counted."""

    def __init__(self, recipe: Recipe, shape: Shape, generator: torch.Generator) -> None:
        method = self.method = cast(MultiThresholdRecipe, recipe.method)
        hidden = NeuronKind(
            neuron=FloatNeuron(leak=method.leak, current_leak=method.current_leak),
            leak_shift=recipe.quantisation.leak_shift, levels=method.levels, spacing=method.spacing,
            slope=method.surrogate, width=method.surrogate_width, height=method.surrogate_height, learns=method.learns,
        )
        self.counts = recipe.network.readout == "spike_count"
        super().__init__(recipe, shape, generator, hidden, hidden if self.counts else NeuronKind(fires=False))

    def start(self, phase: str, images: Images) -> None:
        """Begin a phase; "real" first scales the weights, so that the currents of a step have the recipe's ``spread``,
        half the thresholds by default."""
        if phase == "real" and not self.begun:
            total = self.steps * self.method.levels * self.method.spread
            last = total if self.counts else 1.0
            self.spread(images[:CALIBRATION_BATCH], [total] * (len(self.stack) - 1) + [last])
        super().start(phase, images)

    def score(self, hidden: list[torch.Tensor]) -> torch.Tensor:
        """The values that the read-out compares, [B, C]: the output's potential in units, or its spike counts."""
        if self.counts:
            return self.stack[-1](self.currents(self.stack[-1], hidden))[0].sum(0)
        return self.potential(hidden[-1])

    def loss(self, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Cross entropy of the potential as a real number, or of the spike counts, plus `effort`."""
        unit = 1.0 if self.counts else self.stack[-1].unit
        hidden = self.hidden(images)
        score = self.score(hidden) * (unit * self.method.score_gain)
        return functional.cross_entropy(score, labels) + self.effort(hidden)

    def decide(self, images: torch.Tensor) -> tuple[dict[Readout, torch.Tensor], dict[str, float]]:
        hidden = self.hidden(images)
        return {"spike_count" if self.counts else "potential": self.score(hidden).argmax(1)}, self.measures(hidden)
