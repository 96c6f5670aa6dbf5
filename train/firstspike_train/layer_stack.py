# SPDX-License-Identifier: MIT
"""What all methods' networks have in common: layers in order, measured and exported alike."""

import copy
from abc import ABC, abstractmethod
from typing import Any, Self

import torch
from firstspike_arch.model import FloatLayer, Readout
from torch import nn

from .evidence import Evidence, collect
from .image_folders import Images

__all__ = ["LayerStack"]


class LayerStack(nn.Module, ABC):
    """Layers on inputs of the data set, uint8[B, N]; the last one is the output."""

    stack: list[Any]
    """`Synapses` with a ``layer()`` to export; a registered ModuleList, whose stubs forget the element type."""

    @abstractmethod
    def decide(self, images: torch.Tensor) -> tuple[dict[Readout, torch.Tensor], dict[str, float]]:
        """Classes int64[B] by read-out, and measures: of one batch."""

    def evidence(self, images: Images) -> Evidence:
        """Decisions on all images, and the means of the measures."""
        return collect(self.decide, images)

    def real(self) -> Self:
        """A copy of the network as exported, in real numbers (float64)."""
        clone = copy.deepcopy(self).double()
        for layer in clone.stack:
            layer.rounds = False
        return clone

    def layers(self) -> tuple[FloatLayer, ...]:
        """As exported, normalisation folded, in float64."""
        return tuple(layer.layer() for layer in self.stack)
