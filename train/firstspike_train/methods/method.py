# SPDX-License-Identifier: MIT
"""What a training method gives to the loop and to the export."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from firstspike_arch.model import FloatLayer, Readout

from ..recipe import Recipe

__all__ = ["Evidence", "Method"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What a network says about images.

    Parameters
    ----------
    classes : dict of int64[B]
        By read-out.
    measures : dict of float
        Means over the images that a report shows, by name.
    """

    classes: dict[Readout, np.ndarray]
    measures: dict[str, float]


class Method(Protocol):
    """A torch module that trains one kind of network."""

    step_weights: tuple[int, ...]
    parameters: Callable
    state_dict: Callable
    load_state_dict: Callable

    def __init__(self, recipe: Recipe, inputs: int, classes: int, generator: torch.Generator) -> None: ...

    def loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean loss of uint8[B, N] images with int64[B] labels."""
        ...

    def evidence(self, images: torch.Tensor) -> Evidence:
        """Decisions on uint8[B, N] images, without gradients."""
        ...

    def start_quantisation(self) -> None:
        """Fix the scales; from now on every forward pass is the integer network."""
        ...

    def real(self) -> "Method":
        """A copy of the same network in real numbers, as it is exported."""
        ...

    def layers(self) -> tuple[FloatLayer, ...]:
        """The layers, normalisation folded, in float64."""
        ...
