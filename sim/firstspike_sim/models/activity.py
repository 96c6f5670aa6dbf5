# SPDX-License-Identifier: MIT
"""Activity of a network: its decision by each step, its spikes and its operations.

Operations are counted, not estimated: each spike of the golden model counts with the number of synapses of its address,
which accounts for borders, strides and rows that pools leave out.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from firstspike_arch.connectivity import Conv2d, Dense, size_of
from firstspike_arch.events import SHIFT_ADD_MAX
from firstspike_arch.network import INPUT, IntegerNetwork

from .golden import GoldenModel, Progress, decide, unseen
from .synaptic_sums import synaptic_sums

__all__ = ["Activity", "Operations", "fan_out", "measure_activity"]

BATCH = 200
"""Number of inferences whose membranes are held in memory at a time."""


@dataclass(frozen=True, kw_only=True)
class Operations:
    """Operations of one layer, summed over inferences.

    Parameters
    ----------
    events : int
        Synaptic operations, each of which reads a weight, and reads and writes a membrane.
    additions : int
        Accumulations: an event of magnitude m counts as m.
    multiplications : int
        Multiply-accumulates of a direct input, once an inference for each number that is not 0, and of events whose
        numbers are below −1 or beyond 15.
    dense : int
        Multiply-accumulates of the same synapses without spikes, as in one pass of an ANN.
    updates : int
        Neuron updates (leak, bias, threshold and reset): neurons × steps.
    """

    events: int = 0
    additions: int = 0
    multiplications: int = 0
    dense: int = 0
    updates: int = 0

    def __add__(self, other: Self) -> "Operations":
        return Operations(
            events=self.events + other.events, additions=self.additions + other.additions,
            multiplications=self.multiplications + other.multiplications, dense=self.dense + other.dense,
            updates=self.updates + other.updates,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Activity:
    """Activity of a network of L layers in B inferences of T steps.

    Parameters
    ----------
    inferences : int
    classes : int64[T, B]
        Decision if the inference ended after each step; the last row is the network's decision.
    decision_steps : int64[B]
        Step in which the class was settled; T − 1 if the read-out waits for the end.
    spikes : float64[1 + L, T]
        Spikes of the input and of every layer in each step: their magnitudes added up, mean over the inferences. Of
        an input of numbers that are multiplied, those other than 0 are counted.
    neurons : int64[1 + L]
        Number of addresses of the input, and of neurons of every layer.
    operations : tuple of Operations
        Operations of every layer.
    lowest, highest : int64[L]
        Least and largest v − theta of each layer at the end of a step, before its reset.
    """

    inferences: int
    classes: np.ndarray
    decision_steps: np.ndarray
    spikes: np.ndarray
    neurons: np.ndarray
    operations: tuple[Operations, ...]
    lowest: np.ndarray
    highest: np.ndarray

    @property
    def rates(self) -> np.ndarray:
        """Mean magnitude of the spikes per neuron and step, float64[1 + L]."""
        return self.spikes.mean(1) / self.neurons


def measure_activity(
    network: IntegerNetwork, inputs: np.ndarray, progress: Progress = unseen,
) -> Activity:
    """Run the golden model on inputs, as `GoldenModel.run` takes them, and count spikes and operations.

    ``progress(done, total)`` is called with counts of inferences.

    Raises
    ------
    ValueError
        The inputs have a wrong shape, type or range, or there are none.
    """
    if network.endless:
        raise ValueError("network must have a last step for its activity to be measured, not be endless")
    if not len(inputs):
        raise ValueError("inputs must be at least one, not 0")
    reach = [[fan_out(branch.connectivity) for branch in layer.synapses(index)]
             for index, layer in enumerate(network.layers)]
    classes, steps, spikes, reached = [], [], np.zeros(0), []
    operations = [Operations()] * len(network.layers)
    for start in range(0, len(inputs), BATCH):
        result = GoldenModel(network).run(inputs[start : start + BATCH], membranes=True)
        assert result.membranes is not None
        fired, potentials = torch.from_numpy(result.spikes[-1]), torch.from_numpy(result.membranes[-1])
        classes.append(np.stack([
            decide(network, fired[:, :ended], potentials[:, :ended])[0].numpy()
            for ended in range(1, fired.shape[1] + 1)]))
        steps.append(result.steps)
        stored = [membranes - layer.spread(np.asarray(layer.neuron.first_theta, dtype=np.int64))
                  for layer, membranes in zip(network.layers, result.membranes, strict=True)]
        reached.append([(one.min(), one.max()) for one in stored])
        streams = [np.asarray(stream) for stream in result.spikes]
        streams[0] = streams[0] != 0 if _multiplies(network) else np.abs(streams[0])
        counts = np.stack([stream.sum((0, 2), dtype=np.int64) for stream in streams])
        spikes = spikes + counts if start else counts
        operations = [
            total + _count(network, index, reach[index], streams)
            for index, total in enumerate(operations)]
        progress(min(start + BATCH, len(inputs)), len(inputs))
    return Activity(
        inferences=len(inputs), classes=np.concatenate(classes, axis=1), decision_steps=np.concatenate(steps),
        spikes=spikes / len(inputs), neurons=np.array([network.inputs, *(layer.neurons for layer in network.layers)]),
        operations=tuple(operations), lowest=np.array(reached)[:, :, 0].min(0),
        highest=np.array(reached)[:, :, 1].max(0),
    )


def _multiplies(network: IntegerNetwork) -> bool:
    """Whether the input has numbers that are multiplied, instead of counts or polarities that are added."""
    return network.input_kind == "direct" or network.in_min < -1 or network.in_max > SHIFT_ADD_MAX


def _count(network: IntegerNetwork, index: int, reach: list[np.ndarray], streams: list[np.ndarray]) -> Operations:
    layer, (batch, steps, _) = network.layers[index], streams[0].shape
    events = additions = multiplications = 0
    for branch, fans in zip(layer.synapses(index), reach, strict=True):
        # Recurrent synapses take the spikes of the step before, so those of the last step have no effect.
        stream = streams[branch.source + 1][:, : steps - 1 if branch.source == index else steps]
        count = int((stream != 0).sum((0, 1), dtype=np.int64) @ fans)
        if branch.source == INPUT and _multiplies(network):
            multiplications += count
        else:
            events += count
            additions += int(stream.sum((0, 1), dtype=np.int64) @ fans)
    return Operations(
        events=events, additions=additions, multiplications=multiplications,
        dense=batch * sum(int(fans.sum()) for fans in reach), updates=batch * steps * layer.neurons,
    )


def fan_out(synapses: Dense | Conv2d) -> np.ndarray:
    """Count the neurons that each input address reaches, int64[N]."""
    # The gradient of the sum of all outputs with weights of 1, in which torch takes care of the borders.
    counts = torch.zeros(1, *synapses.in_shape, dtype=torch.float64, requires_grad=True)
    total = synaptic_sums(synapses, torch.ones(synapses.weight_shape, dtype=torch.float64), counts).sum()
    (slope,) = torch.autograd.grad(total, counts)
    return slope.round().to(torch.int64).numpy().reshape(size_of(synapses.in_shape))
