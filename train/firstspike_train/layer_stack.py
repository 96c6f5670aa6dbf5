# SPDX-License-Identifier: MIT
"""Base class of all training methods: the interface for the training loop and the export."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from firstspike_arch.float_network import FloatLayer, Readout
from torch import nn

from .evidence import Evidence, collect
from .image_folders import Images

__all__ = ["LayerStack"]


class LayerStack(nn.Module, ABC):
    """A stack of layers that takes inputs of the data set, uint8[B, N]; the last layer is the output."""

    stack: list[Any]
    """The layers: `Synapses` with a method ``layer()`` for export, in a registered ModuleList (whose stubs lose the
    element type)."""
    input_fields: dict[str, Any]
    """Fields of the exported `FloatNetwork` that describe its input."""
    step_weights: tuple[int, ...]
    begun = False
    """Whether weights and thresholds are those of another network, so that no start fits them to the images."""

    @abstractmethod
    def start(self, phase: str, images: Images) -> None:
        """Begin a phase of the recipe; ``images`` uint8[N, pixels] is the training set.

        "quantised" fixes the scales; from then on every forward pass computes in integers.
        """

    @abstractmethod
    def loss(self, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the mean loss on images uint8[B, N] with labels int64[B]; random numbers come from the generator."""

    @abstractmethod
    def constrain(self) -> None:
        """Clamp the parameters to their ranges, after a step of the optimiser."""

    @abstractmethod
    def largest_membranes(self) -> list[int]:
        """Return a bound on the magnitude of each layer's membranes, in units, for any input; only when quantised."""

    @abstractmethod
    def decide(self, images: torch.Tensor) -> tuple[dict[Readout, torch.Tensor], dict[str, float]]:
        """Return the classes int64[B] of a batch by read-out, and measures such as spikes per image by name."""

    def evidence(self, images: Images) -> Evidence:
        """Return the decisions on all images, and the means of the measures, in evaluation mode."""
        self.eval()
        return collect(self.decide, images)

    def layers(self) -> tuple[FloatLayer, ...]:
        """The layers to be exported, with normalisation folded, in float64."""
        return tuple(layer.layer() for layer in self.stack)
