# SPDX-License-Identifier: MIT
"""A trained network as the beginning of one with other neurons: thresholds become channels, or steps.

A neuron with n thresholds sends a spike of magnitude 0 … n. That is the sum of n neurons with the same weights and one
threshold each, and about the number of spikes in n steps of a neuron that gets the same current in each. So a narrow
network with several thresholds and one step, which learns fast, is the beginning of a wide one, or of one with several
steps, whose training then goes on from there.
"""

# Ref: T. Chen, I. Goodfellow, J. Shlens, "Net2Net: accelerating learning via knowledge transfer", 2016, for wider
# networks with the same function; here copies of a neuron differ by their thresholds.
# Ref: T. Bu et al., "Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural networks", 2022,
# for activations of several levels as numbers of spikes.

from dataclasses import dataclass

import numpy as np
import torch
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_arch.float_network import FloatLayer, FloatNetwork

from .lif import LifLayer
from .lif_network import LifNetwork
from .methods.ettfs import EttfsLayer, EttfsNetwork
from .normalisation import EPSILON

__all__ = ["TransferError", "transfer"]


class TransferError(ValueError):
    """A network cannot be the beginning of another; the message says where they differ."""


@torch.no_grad()
def transfer(network: FloatNetwork, module: LifNetwork | EttfsNetwork, images: torch.Tensor) -> None:
    """Let a module begin with the weights, biases and thresholds of a trained network.

    Each hidden layer of the module has as many channels as that of the network, or a multiple of them if its neurons
    have a single threshold. A neuron of the network is then represented by all its copies, thresholds and, unless they
    fire only once, steps. In one step, the module computes the same if there are as many of them as the network's
    neurons have thresholds; otherwise these are spread over the same range, and training must mend the difference. In
    a network whose neurons fire once, the copies have fired by the last step as they would in one step, unless they
    fire before what holds them back has come.

    Parameters
    ----------
    network : FloatNetwork
        Network for images, of layers one behind the other.
    module : LifNetwork or EttfsNetwork
        Network of a recipe with a direct input, before its training in real numbers: with batch normalisation, which
        begins with mean and deviation of the images, or with bare weights (ettfs).
    images : uint8[B, N]
        Some training images.

    Raises
    ------
    TransferError
        The networks differ in more than channels, thresholds and steps.
    """
    layers, stack = network.layers, module.stack
    kind = module.input_fields["input_kind"]
    if not network.input_kind == kind == "direct" or len(layers) != len(stack):
        raise TransferError(f"must have a direct input and {len(stack)} layers, as must the recipe, whose input is "
                            f"'{kind}', not the input '{network.input_kind}' and {len(layers)} layers")
    if isinstance(module, LifNetwork) and module.steps > 1 and not isinstance(stack[0], LifLayer):
        raise TransferError("must begin a network of one step, as its encoder does not spike again, not of "
                            f"{module.steps}")
    many = 1
    worth = 1.0  # what a spike stands for
    found: list[torch.Tensor] = []
    for index, (layer, target) in enumerate(zip(layers, stack, strict=True)):
        weight = _repeated(layer, many) * worth
        is_last = index == len(stack) - 1
        many = 1 if is_last else max(1, target.weight.shape[0] // weight.shape[0])
        shape = (weight.shape[0] * many, *weight.shape[1:])
        if shape != tuple(target.weight.shape) or layer.branches or target.skip is not None or target.loop is not None:
            raise TransferError(f"must have weights of layer {index} of which copies have the recipe's shape "
                                f"{_shown(target.weight.shape)}, and no branches, not {_shown(layer.weight.shape)}")
        others = (layer.gain, layer.max_pool or None, layer.current_pool, layer.delays)
        if _windows(layer.connectivity) != _windows(target.connectivity) or any(one is not None for one in others):
            raise TransferError(f"must have the recipe's padding, strides and average pools in layer {index}, and "
                                "neither delays, other pools nor weights that are not normalised yet")
        if is_last:
            _conclude(module, weight)
            break
        levels = getattr(target, "levels", 1)
        if many > 1 and levels > 1:
            raise TransferError("must begin a recipe whose neurons have one threshold, where it has more channels")
        steps = 1 if isinstance(target, EttfsLayer) else module.steps
        count = many * levels * steps
        thresholds, gap = _spread(layer, count)
        part = _Part(weight=weight.repeat(many, *[1] * (weight.dim() - 1)), gap=gap.repeat(many),
                     lowest=thresholds[:, ::levels * steps].T.reshape(-1))
        worth = max(1, layer.neuron.levels) * steps / count
        if isinstance(target, EttfsLayer):
            _shift(target, part)
        elif isinstance(module, LifNetwork):
            found.append(_normalise(module, target, part, found, images))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """Weights of all copies of a layer, the current at which each channel first fires, [C], and the difference to the
    current at which a further spike stands for it, [C]."""

    weight: torch.Tensor
    lowest: torch.Tensor
    gap: torch.Tensor

    @property
    def size(self) -> torch.Tensor:
        """What makes the weights as large as first weights, for which learning rates are made."""
        return (2 / self.weight[0].numel()) ** 0.5 / self.weight.square().mean().sqrt()


def _windows(synapses: Dense | Conv2d | None) -> tuple:
    """Return what places the windows of kernel and pool."""
    if synapses is None:
        return (1, 1), (1, 1), (0, 0)
    return synapses.pool_sides, getattr(synapses, "stride", (1, 1)), getattr(synapses, "padding", (0, 0))


def _repeated(layer: FloatLayer, copies: int) -> torch.Tensor:
    """Weights for inputs of which there are several copies, one behind the other: channels come first in addresses."""
    weight = torch.from_numpy(np.asarray(layer.weight)).float()
    return weight.repeat(1, copies, *[1] * (weight.dim() - 2))


def _spread(layer: FloatLayer, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return so many thresholds of a current, [C, count], over the range of the layer's own, and their gap, [C]."""
    neuron = layer.neuron
    if neuron.theta is None:
        raise TransferError("must have thresholds in all layers but the last")
    theta = torch.from_numpy(np.asarray(neuron.theta)).float().reshape(layer.weight.shape[0], -1)
    own = theta.shape[1]
    step = (theta[:, -1] - theta[:, 0]) / (own - 1) if own > 1 else theta[:, 0]
    gap = step * own / count
    thresholds = (theta[:, 0] - step / 2)[:, None] + gap[:, None] * (torch.arange(count) + 0.5)
    if neuron.bias is not None:
        thresholds = thresholds - torch.from_numpy(np.asarray(neuron.bias)).float()[:, None]
    return thresholds, gap


def _normalise(
    module: LifNetwork, target: LifLayer, part: _Part, found: list[torch.Tensor], images: torch.Tensor,
) -> torch.Tensor:
    """Set weights and normalisation of a layer, so that a current of ``lowest`` in each step reaches its threshold in
    the last one; return its spikes."""
    normalisation = target.normalisation
    if normalisation is None:
        raise TransferError("must begin a recipe with normalisation = 'batch'")
    target.weight.copy_(part.weight * part.size)
    target.normalisation = None
    currents = torch.stack([*(module.currents(target, found) if found else module.input_currents(images)[:1])])
    target.normalisation = normalisation
    axes = [axis for axis in range(currents.dim()) if axis != 2]
    variance, mean = torch.var_mean(currents, dim=axes)
    normalisation.mean.copy_(mean)
    normalisation.variance.copy_(variance)
    lowest, gap = (value.to(mean) * part.size for value in (part.lowest, part.gap * module.steps))
    normalisation.gain.copy_((variance + EPSILON).sqrt() / gap)
    normalisation.shift.copy_((mean - lowest) / gap + target.first_threshold / module.steps)
    return target(module.currents(target, found))[0] if found else module.encode(images)


def _shift(target: EttfsLayer, part: _Part) -> None:
    """Set weights, gain and shift of a layer, so that a current of ``lowest`` reaches its threshold in the last step,
    when all inputs have fired, or an image has been added up."""
    if target.normalise or not target.gain.requires_grad:
        raise TransferError("must begin a recipe with normalise = false and affine = true, whose weights are bare")
    target.weight.copy_(part.weight * part.size)
    target.gain.copy_(1 / (part.gap * part.size * (target.steps if target.direct else 1)))
    target.shift.copy_((target.theta.cpu() - part.lowest / part.gap) / target.steps)


def _conclude(module: LifNetwork | EttfsNetwork, weight: torch.Tensor) -> None:
    """Set the weights of the output layer, whose membranes after the last step are the scores."""
    last = module.stack[-1]
    if isinstance(module, EttfsNetwork):
        last.weight.copy_(weight)
        return
    last.weight.copy_(weight / (module.steps * getattr(module.recipe.method, "score_gain", 1.0)))


def _shown(shape: tuple[int, ...] | torch.Size) -> str:
    return " × ".join(map(str, shape))
