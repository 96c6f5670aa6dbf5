# SPDX-License-Identifier: MIT
"""What the loop and the export need of a method, and what all of them have in common: layers in order."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from firstspike_arch.float_network import FloatLayer, Readout
from torch import nn

from .evidence import Evidence, collect
from .image_folders import Images

__all__ = ["LayerStack"]


class LayerStack(nn.Module, ABC):
    """Layers on inputs of the data set, uint8[B, N]; the last one is the output."""

    stack: list[Any]
    """`Synapses` with a ``layer()`` to export; a registered ModuleList, whose stubs forget the element type."""
    input_fields: dict[str, Any]
    """Of the exported `FloatNetwork`: its input."""
    step_weights: tuple[int, ...]

    @abstractmethod
    def start(self, phase: str, images: Images) -> None:
        """Begin a phase of the recipe; ``images`` uint8[N, pixels] is the training set.

        In "quantised" the scales are fixed, and every forward pass is the integer network.
        """

    @abstractmethod
    def loss(self, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Mean loss of uint8[B, N] images with int64[B] labels; what is random comes from the generator."""

    @abstractmethod
    def constrain(self) -> None:
        """Put the parameters back into their ranges, after a step of the optimiser."""

    @abstractmethod
    def largest_membranes(self) -> list[int]:
        """What no membrane of each layer exceeds in magnitude, in units, whatever the input; quantised."""

    @abstractmethod
    def decide(self, images: torch.Tensor) -> tuple[dict[Readout, torch.Tensor], dict[str, float]]:
        """Classes int64[B] by read-out, and measures: of one batch."""

    def evidence(self, images: Images) -> Evidence:
        """Decisions on all images, and the means of the measures."""
        self.eval()
        return collect(self.decide, images)

    def layers(self) -> tuple[FloatLayer, ...]:
        """As exported, normalisation folded, in float64."""
        return tuple(layer.layer() for layer in self.stack)
