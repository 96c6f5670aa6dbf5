# SPDX-License-Identifier: MIT
"""What a training method gives to the loop and to the export."""

from collections.abc import Callable
from typing import Any, Protocol, Self

import torch
from firstspike_arch.connectivity import Shape
from firstspike_arch.model import FloatLayer

from ..evidence import Evidence
from ..image_folders import Images
from ..recipe import Recipe

__all__ = ["Method"]


class Method(Protocol):
    """A torch module that trains one kind of network."""

    input_fields: dict[str, Any]
    """Of the exported `FloatNetwork`: its input."""
    step_weights: tuple[int, ...]
    parameters: Callable
    state_dict: Callable
    to: Callable
    load_state_dict: Callable

    def __init__(self, recipe: Recipe, shape: Shape, generator: torch.Generator) -> None: ...

    def loss(self, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Mean loss of uint8[B, N] images with int64[B] labels; what is random comes from the generator."""
        ...

    def constrain(self) -> None:
        """Put the parameters back into their ranges, after a step of the optimiser."""
        ...

    def evidence(self, images: Images) -> Evidence:
        """Decisions on uint8[B, N] images, without gradients."""
        ...

    def start(self, phase: str, images: Images) -> None:
        """Begin a phase of the recipe; ``images`` uint8[N, pixels] is the training set.

        In "quantised" the scales are fixed, and every forward pass is the integer network.
        """
        ...

    def real(self) -> Self:
        """A copy of the same network in real numbers (float64)."""
        ...

    def largest_membranes(self) -> list[int]:
        """What no membrane of each layer exceeds in magnitude, in units, whatever the input; quantised."""
        ...

    def layers(self) -> tuple[FloatLayer, ...]:
        """The layers, normalisation folded, in float64."""
        ...
