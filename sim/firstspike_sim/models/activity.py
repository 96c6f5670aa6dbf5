# SPDX-License-Identifier: MIT
"""Activity: what a network has decided by each step, how many spikes that took, and how many operations.

Operations are counted, not estimated: the golden model's spikes, each times the synapses that its address has
(borders, strides and left-over rows of pools included).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from firstspike_arch.connectivity import Conv2d, Dense, size_of
from firstspike_arch.network import INPUT, IntegerNetwork
from torch.nn import functional

from .golden import GoldenModel, decide

__all__ = ["Activity", "Operations", "fan_out", "measure_activity"]

BATCH = 200
"""Inferences whose membranes are held at a time."""


@dataclass(frozen=True, kw_only=True)
class Operations:
    """Of one layer, summed over inferences.

    Parameters
    ----------
    events : int
        Synaptic operations: a weight is read, and a membrane read and written.
    additions : int
        Accumulations: an event of magnitude m counts as m of them.
    multiplications : int
        Multiply-accumulates of a direct input: once an inference, where a number is not 0.
    dense : int
        Multiply-accumulates of the same synapses without spikes: one pass of an ANN.
    updates : int
        Neurons × steps: leak, bias, threshold and reset.
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
    """What B inferences of T steps took.

    Parameters
    ----------
    inferences : int
    classes : int64[T, B]
        The decision if the inference had ended behind each step; the last row is the network's.
    decision_steps : int64[B]
        In which the class was settled (T − 1 where the read-out waits for the end).
    spikes : float64[1 + L, T]
        Mean magnitudes of the input's and every layer's spikes in each step. Of a direct input: its numbers that are
        not 0, in step 0.
    neurons : int64[1 + L]
        Addresses of the input, neurons of every layer.
    operations : tuple of Operations
        Of every layer.
    """

    inferences: int
    classes: np.ndarray
    decision_steps: np.ndarray
    spikes: np.ndarray
    neurons: np.ndarray
    operations: tuple[Operations, ...]

    @property
    def rates(self) -> np.ndarray:
        """Mean magnitudes a neuron and step, float64[1 + L]."""
        return self.spikes.mean(1) / self.neurons


def measure_activity(network: IntegerNetwork, inputs: np.ndarray) -> Activity:
    """Run the golden model on inputs as `GoldenModel.run` takes them, and count.

    Raises
    ------
    ValueError
        Wrong shape, type or range of the inputs, or none of them.
    """
    if not len(inputs):
        raise ValueError("inputs must be at least one, not 0")
    reach = [[fan_out(branch.connectivity) for branch in layer.synapses(index)]
             for index, layer in enumerate(network.layers)]
    classes, steps, spikes = [], [], np.zeros(0)
    operations = [Operations()] * len(network.layers)
    for start in range(0, len(inputs), BATCH):
        result = GoldenModel(network).run(inputs[start : start + BATCH], membranes=True)
        assert result.membranes is not None
        fired, potentials = torch.from_numpy(result.spikes[-1]), torch.from_numpy(result.membranes[-1])
        classes.append(np.stack([
            decide(network, fired[:, :ended], potentials[:, :ended])[0].numpy()
            for ended in range(1, fired.shape[1] + 1)]))
        steps.append(result.steps)
        streams = [np.asarray(stream) for stream in result.spikes]
        if network.input_kind == "direct":
            streams[0] = streams[0] != 0
        counts = np.stack([stream.sum((0, 2), dtype=np.int64) for stream in streams])
        spikes = spikes + counts if start else counts
        operations = [
            total + _count(network, index, reach[index], streams)
            for index, total in enumerate(operations)]
    return Activity(
        inferences=len(inputs), classes=np.concatenate(classes, axis=1), decision_steps=np.concatenate(steps),
        spikes=spikes / len(inputs), neurons=np.array([network.inputs, *(layer.neurons for layer in network.layers)]),
        operations=tuple(operations),
    )


def _count(network: IntegerNetwork, index: int, reach: list[np.ndarray], streams: list[np.ndarray]) -> Operations:
    layer, (batch, steps, _) = network.layers[index], streams[0].shape
    events = additions = multiplications = 0
    for branch, fans in zip(layer.synapses(index), reach, strict=True):
        # Recurrent synapses take the spikes of the step before: those of the last one go nowhere.
        stream = streams[branch.source + 1][:, : steps - 1 if branch.source == index else steps]
        count = int((stream != 0).sum((0, 1), dtype=np.int64) @ fans)
        if branch.source == INPUT and network.input_kind == "direct":
            multiplications += count
        else:
            events += count
            additions += int(stream.sum((0, 1), dtype=np.int64) @ fans)
    return Operations(
        events=events, additions=additions, multiplications=multiplications,
        dense=batch * sum(int(fans.sum()) for fans in reach), updates=batch * steps * layer.neurons,
    )


def fan_out(synapses: Dense | Conv2d) -> np.ndarray:
    """Neurons that each input address reaches, int64[N]."""
    # The slope of the sum of all outputs, with weights of 1: torch knows the borders.
    counts = torch.zeros(1, *synapses.in_shape, dtype=torch.float64, requires_grad=True)
    pooled = functional.avg_pool2d(counts, synapses.pool, divisor_override=1) if synapses.pool > 1 else counts
    ones = torch.ones(synapses.weight_shape, dtype=torch.float64)
    if isinstance(synapses, Dense):
        total = functional.linear(pooled.flatten(1), ones).sum()
    else:
        total = functional.conv2d(pooled, ones, None, synapses.stride, synapses.padding, 1, synapses.groups).sum()
    (slope,) = torch.autograd.grad(total, counts)
    return slope.round().to(torch.int64).numpy().reshape(size_of(synapses.in_shape))
