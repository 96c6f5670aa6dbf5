# SPDX-License-Identifier: MIT
"""Base of the methods that train `LifLayer`s: direct input, a stack of layers, read-outs, quantisation, export."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from firstspike_arch.connectivity import Shape, size_of
from torch import nn

from .builder import build_layers
from .delays import Delays
from .image_folders import PIXEL_MAX, Images
from .layer_stack import LayerStack
from .lif import LifLayer, NeuronKind
from .recipe import Recipe

__all__ = ["LifNetwork"]

Make = Callable[..., Any]


class LifNetwork(LayerStack):
    """A stack of `LifLayer`s, of which the last is the output.

    A pixel p of an image is a direct input of value p/255; events of recordings are spikes.

    Parameters
    ----------
    recipe : Recipe
    shape : (C, H, W)
        Shape of an image, or of the events of a step.
    generator : torch.Generator
        Source of the first weights.
    hidden, output : NeuronKind
        Neurons of the hidden layers and of the output layer.
    first : callable
        Makes the first layer, from the arguments of `LifLayer`.
    """

    step_weights: tuple[int, ...] = ()

    def __init__(
        self, recipe: Recipe, shape: Shape, generator: torch.Generator, hidden: NeuronKind, output: NeuronKind,
        first: Make = LifLayer,
    ) -> None:
        super().__init__()
        self.recipe, self.steps = recipe, recipe.network.steps
        self.recorded, self.input_max = recipe.data.step_us > 0, recipe.data.count_max
        self.input_fields: dict[str, Any] = {"input_kind": "events", "in_max": self.input_max}
        input_scale = 1.0
        if not self.recorded:
            self.input_max, input_scale = PIXEL_MAX, 1 / PIXEL_MAX
            self.input_fields = {"input_kind": "direct", "in_min": 0, "in_max": PIXEL_MAX, "input_scale": input_scale}
        wirings = build_layers(recipe.network.layers, shape)
        layers = nn.ModuleList()
        for index, (wiring, bits) in enumerate(zip(wirings, recipe.quantisation.weight_bits, strict=True)):
            kind = output if index == len(wirings) - 1 else hidden
            layers.append(LifLayer(wiring, bits, kind) if index else first(wiring, bits, kind, input_scale))
            self.initialise(cast(LifLayer, layers[-1]), generator)
            # The output layer is not normalised, because its potential has no bias.
            if recipe.network.normalisation == "batch" and index < len(wirings) - 1:
                cast(LifLayer, layers[-1]).normalise_currents()
            # An image is the same in every step, and what only integrates has no use for the time of a spike.
            if recipe.network.delays and kind.fires and (index or self.recorded):
                cast(LifLayer, layers[-1]).delays = Delays(
                    size_of(wiring.synapses.in_shape), recipe.network.delays, "delays" in kind.learns, generator)
        self.stack = cast(list[LifLayer], layers)

    def initialise(self, layer: LifLayer, generator: torch.Generator) -> None:
        """Draw the first weights of a layer, as Kaiming does; recurrent ones such that a neuron gets about a theta when
        all others fire."""
        with torch.no_grad():
            layer.weight.normal_(0, (2 / layer.fan_in) ** 0.5, generator=generator)
            if layer.loop_weight is not None:
                layer.loop_weight.normal_(0, len(layer.loop_weight) ** -0.5 / layer.endurance, generator=generator)

    def pixels(self, images: torch.Tensor) -> torch.Tensor:
        """Images uint8[B, N] in the shape and type that the first layer takes."""
        return images.to(self.stack[0].weight).view(len(images), *self.stack[0].connectivity.in_shape)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Spikes of the first layer, [T, B, …]."""
        return self.stack[0](self.input_currents(images))[0]

    def input_currents(self, images: torch.Tensor) -> Sequence[torch.Tensor]:
        """Currents [B, …] of the first layer in each step; for images they are the same in all steps."""
        first = self.stack[0]
        if not self.recorded:
            return [first.current(self.pixels(images))] * self.steps
        events = images.to(first.weight).view(len(images), self.steps, -1)
        if first.delays is not None:
            events = first.delays(events.transpose(0, 1)).transpose(0, 1)
        current = first.current(events.reshape(-1, *first.connectivity.in_shape))  # B·T
        return current.unflatten(0, (len(images), self.steps)).unbind(1)

    def hidden(
        self, images: torch.Tensor, visit: Callable[[torch.Tensor], torch.Tensor] = lambda spikes: spikes,
    ) -> list[torch.Tensor]:
        """Spikes [T, B, …] of every layer but the last; ``visit`` may change those of a layer before the next one takes
        them."""
        found = [visit(self.encode(images))]
        for layer in self.stack[1:-1]:
            found.append(visit(layer(self.currents(layer, found))[0]))
        return found

    @staticmethod
    def sources(layer: LifLayer, found: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The spikes that a layer takes, out of those of all layers before it: the last ones, as its delays let them
        come, and those for its skip."""
        last = found[-1] if layer.delays is None else layer.delays(found[-1])
        return [last] if layer.skip is None else [last, found[layer.skip.source]]

    def currents(self, layer: LifLayer, found: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Currents [B, …] of a layer in each step, computed at once from the spikes [T, B, …] of all layers before
        it."""
        current = layer.current(*(spikes.flatten(0, 1) for spikes in self.sources(layer, found)))
        return current.unflatten(0, found[-1].shape[:2]).unbind(0) if self.steps > 1 else [current]

    def potential(self, spikes: torch.Tensor) -> torch.Tensor:
        """Membranes [B, C], in units, after T steps of an output layer that only integrates."""
        return self.stack[-1].current(spikes.sum(0))

    @staticmethod
    def measures(hidden: list[torch.Tensor]) -> dict[str, float]:
        """For each hidden layer, spikes per image (a magnitude of s counts as s) and the share of neuron-steps that
        fire."""
        found = {}
        for index, spikes in enumerate(hidden):
            found[f"layer{index}_spikes"] = spikes.sum().item() / spikes.shape[1]
            found[f"layer{index}_firing"] = (spikes > 0).double().mean().item()
        return found

    def effort(self, hidden: list[torch.Tensor]) -> torch.Tensor | float:
        """Loss on the spikes of all hidden layers: their mean number per neuron, times the recipe's ``spike_loss``."""
        weight = self.recipe.training.spike_loss
        if not weight:
            return 0.0
        return weight * sum(spikes.sum() for spikes in hidden) / sum(spikes[0].numel() for spikes in hidden)

    def start(self, phase: str, images: Images) -> None:
        """Begin a phase of training; ``images`` is the training set."""
        if phase == "quantised":
            with torch.no_grad():
                for layer in self.stack:
                    layer.fix_scale()

    def constrain(self) -> None:
        for layer in self.stack:
            layer.constrain()

    @torch.no_grad()
    def spread(self, images: torch.Tensor, totals: Sequence[float]) -> None:
        """Scale the weights of each layer so that it starts neither silent nor saturated.

        The currents of a layer, added up over the steps as long as they last, then have the standard deviation in
        ``totals``, in thetas, over all neurons and images of the batch.
        """
        found: list[torch.Tensor] = []
        for layer, total in zip(self.stack, totals, strict=True):
            if found and layer.normalisation is None:  # linear: one product for all steps
                current = layer.current(*(spikes.sum(0) for spikes in self.sources(layer, found)))
            else:
                currents = self.currents(layer, found) if found else self.input_currents(images)
                current = sum(currents, torch.zeros(()))
            layer.stretch(total / (current.std() * layer.endurance))
            if layer is not self.stack[-1]:
                found.append(layer(self.currents(layer, found))[0] if found else self.encode(images))

    @torch.no_grad()
    def largest_membranes(self) -> list[int]:
        levels = [getattr(layer, "levels", 1) for layer in self.stack]
        return [layer.largest_membrane(self.input_max if index == 0 else max(levels[:index]), self.steps)
                for index, layer in enumerate(self.stack)]
