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

import numpy as np
import torch
from firstspike_arch.float_network import FloatLayer, FloatNetwork

from .lif import LifLayer
from .lif_network import LifNetwork
from .normalisation import EPSILON

__all__ = ["TransferError", "transfer"]


class TransferError(ValueError):
    """A network cannot be the beginning of another; the message says where they differ."""


@torch.no_grad()
def transfer(network: FloatNetwork, module: LifNetwork, images: torch.Tensor) -> None:
    """Let a module begin with the weights, biases and thresholds of a trained network.

    Each hidden layer of the module has as many channels as that of the network, or a multiple of them if its neurons
    have a single threshold. A neuron of the network is then represented by all its copies, thresholds and steps. In one
    step, the module computes the same if there are as many of them as the network's neurons have thresholds; otherwise
    these are spread over the same range, and training must mend the difference.

    Parameters
    ----------
    network : FloatNetwork
        Network for images, of layers one behind the other.
    module : LifNetwork
        Network of a recipe with batch normalisation, before its training in real numbers. The normalisation begins with
        mean and deviation of the images.
    images : uint8[B, N]
        Some training images.

    Raises
    ------
    TransferError
        The networks differ in more than channels and thresholds.
    """
    layers, stack, steps = network.layers, module.stack, module.steps
    if network.input_kind != "direct" or module.recorded or len(layers) != len(stack):
        raise TransferError(f"must have a direct input and {len(stack)} layers, as the recipe, not the input "
                            f"'{network.input_kind}' and {len(layers)} layers")
    if steps > 1 and not isinstance(stack[0], LifLayer):
        raise TransferError(f"must begin a network of one step, as its encoder does not spike again, not of {steps}")
    copies, worth = 1, 1.0  # how many neurons stand for one of the layer before, and for how much a spike of them
    found: list[torch.Tensor] = []
    for index, (layer, target) in enumerate(zip(layers, stack, strict=True)):
        weight = _repeated(layer, copies) * worth
        is_last = index == len(stack) - 1
        many = 1 if is_last else max(1, target.weight.shape[0] // weight.shape[0])
        shape = (weight.shape[0] * many, *weight.shape[1:])
        if shape != tuple(target.weight.shape) or layer.branches or target.skip is not None or target.loop is not None:
            raise TransferError(f"must have weights of layer {index} of which copies have the recipe's shape "
                                f"{_shown(target.weight.shape)}, and no branches, not {_shown(layer.weight.shape)}")
        if is_last:
            target.weight.copy_(weight / (steps * getattr(module.recipe.method, "score_gain", 1.0)))
            break
        levels = getattr(target, "levels", 1)
        if target.normalisation is None or (many > 1 and levels > 1):
            raise TransferError("must begin a recipe with normalisation = 'batch' and, where it has more channels, "
                                "neurons of one threshold")
        # Normalised weights may have any size: they get that of first weights, for which learning rates are made.
        size = (2 / target.fan_in) ** 0.5 / weight.square().mean().sqrt()
        target.weight.copy_((weight * size).repeat(many, *[1] * (weight.dim() - 1)))
        count = many * levels * steps
        thresholds, gap = _spread(layer, count)
        lowest = thresholds[:, ::levels * steps].T.reshape(-1)  # of each copy
        _normalise(module, target, found, images, lowest * size, (gap * size).repeat(many))
        found.append(target(module.currents(target, found))[0] if found else module.encode(images))
        copies, worth = many, max(1, layer.neuron.levels) * steps / count


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
    module: LifNetwork, target: LifLayer, found: list[torch.Tensor], images: torch.Tensor, lowest: torch.Tensor,
    gap: torch.Tensor,
) -> None:
    """Choose gain and shift of each channel so that a current of ``lowest`` reaches the layer's threshold in the last
    step, and one higher by ``gap`` the next threshold, or the same one twice."""
    normalisation, target.normalisation = target.normalisation, None
    assert normalisation is not None
    currents = torch.stack([*(module.currents(target, found) if found else module.input_currents(images)[:1])])
    target.normalisation = normalisation
    axes = [axis for axis in range(currents.dim()) if axis != 2]
    variance, mean = torch.var_mean(currents, dim=axes)
    normalisation.mean.copy_(mean)
    normalisation.variance.copy_(variance)
    gap = gap.to(mean) * module.steps
    normalisation.gain.copy_((variance + EPSILON).sqrt() / gap)
    normalisation.shift.copy_((mean - lowest.to(mean)) / gap + target.first_threshold / module.steps)


def _shown(shape: tuple[int, ...] | torch.Size) -> str:
    return " × ".join(map(str, shape))
