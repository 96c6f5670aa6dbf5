# SPDX-License-Identifier: MIT
"""Networks without spikes that others learn from: convolutions, batch normalisation, rectifiers, average pools."""

# Ref: G. Hinton, O. Vinyals, J. Dean, "Distilling the knowledge in a neural network", 2015. Here the temperature is the
# teacher's alone, so that its answer is a target like any other, whatever the loss of a method.

import torch
from firstspike_arch.connectivity import Conv2d
from torch import nn
from torch.nn import functional

from .builder import build_layers
from .convolution import convolve
from .evidence import EVALUATION_BATCH
from .image_folders import PIXEL_MAX, Images
from .normalisation import BatchNormalisation
from .recipe import Recipe, TeacherRecipe

__all__ = ["Teacher"]


class _Convolution(nn.Conv2d):
    """A convolution in the way that is fastest for its shape."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        stride, padding = (self.stride[0], self.stride[1]), (int(self.padding[0]), int(self.padding[1]))
        found = convolve(input, self.weight, stride, padding, self.groups)
        return found if self.bias is None else found + self.bias.view(-1, 1, 1)


class Teacher(nn.Module):
    """Network without spikes, with the layers of a recipe's ``teacher``.

    Parameters
    ----------
    recipe : Recipe
        Recipe of the whole training; it must have a teacher.
    generator : torch.Generator
        Source of the first weights.
    """

    def __init__(self, recipe: Recipe, teacher: TeacherRecipe, generator: torch.Generator) -> None:
        super().__init__()
        self.shape, self.recipe = recipe.shape, teacher
        wirings = build_layers(teacher.layers, recipe.shape)
        parts: list[nn.Module] = []
        for index, wiring in enumerate(wirings):
            synapses, last = wiring.synapses, index == len(wirings) - 1
            if synapses.pool_size > 1:
                parts.append(nn.AvgPool2d(synapses.pool_sides))
            if isinstance(synapses, Conv2d):
                shape = synapses.weight_shape
                layer = _Convolution(shape[1], shape[0], synapses.kernel, synapses.stride, synapses.padding, bias=last)
            else:
                parts.append(nn.Flatten())
                layer = nn.Linear(synapses.weight_shape[1], synapses.neurons, bias=last)
            with torch.no_grad():
                layer.weight.normal_(0, (2 / layer.weight[0].numel()) ** 0.5, generator=generator)
                if layer.bias is not None:
                    layer.bias.zero_()
            parts.append(layer)
            if not last:
                parts += [BatchNormalisation(synapses.channels), nn.ReLU()]
        self.layers = nn.Sequential(*parts)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits float[B, classes] of uint8[B, N] images."""
        first = next(self.parameters())
        return self.layers(images.to(first).view(-1, *self.shape) / PIXEL_MAX)

    def loss(self, images: torch.Tensor, targets: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Cross entropy with the targets."""
        return functional.cross_entropy(self(images), targets)

    def constrain(self) -> None:
        """Nothing is bounded."""

    @torch.no_grad()
    def taught(self, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Targets float32[B, classes] and its own answers on the images, by the recipe's shares."""
        answer = torch.softmax(self(images).float() / self.recipe.temperature, 1)
        return targets.lerp(answer, self.recipe.share)

    @torch.no_grad()
    def accuracy(self, images: Images, labels: torch.Tensor) -> float:
        """Share of images whose largest logit is that of their label."""
        answers = [self(batch).argmax(1).cpu() for batch in images.split(EVALUATION_BATCH)]
        return (torch.cat(answers) == labels).double().mean().item()
