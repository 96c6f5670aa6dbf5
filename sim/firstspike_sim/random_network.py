# SPDX-License-Identifier: MIT
"""Small random networks over every option of the semantics, to compare implementations on."""

from collections.abc import Sequence
from typing import Literal, TypeVar

import numpy as np
from firstspike_arch.connectivity import Conv2d, Dense, Shape, pooled
from firstspike_arch.fixed import largest_weight
from firstspike_arch.model import Readout
from firstspike_arch.network import IntegerNetwork, Layer, Neuron

__all__ = ["random_connectivity", "random_inputs", "random_layer", "random_network"]

Choice = TypeVar("Choice")

READOUTS: tuple[Readout, ...] = ("first_spike", "weighted_spikes", "potential", "spike_count")


def _pick(rng: np.random.Generator, options: Sequence[Choice]) -> Choice:
    return options[int(rng.choice(len(options)))]


def random_connectivity(rng: np.random.Generator, in_shape: Shape, neurons: int | None = None) -> Dense | Conv2d:
    """Dense onto ``neurons``, or without that number a convolution of a map."""
    pool = 1 if len(in_shape) == 1 else int(rng.integers(1, min(2, *in_shape[1:]) + 1))
    if neurons is not None:
        return Dense(in_shape=in_shape, neurons=neurons, pool=pool)
    channels, *size = pooled(in_shape, pool)
    groups = _pick(rng, [count for count in range(1, channels + 1) if channels % count == 0])
    padding = int(rng.integers(0, 2)), int(rng.integers(0, 3))
    kernel = [int(rng.integers(1, min(4, length + 2 * pad) + 1)) for length, pad in zip(size, padding, strict=True)]
    return Conv2d(
        in_shape=in_shape, channels=groups * int(rng.integers(1, 4)),
        kernel=(kernel[0], kernel[1]), stride=(int(rng.integers(1, 4)), int(rng.integers(1, 3))), padding=padding,
        groups=groups, pool=pool,
    )


def random_layer(
    rng: np.random.Generator, name: str, connectivity: Dense | Conv2d, *, fires: bool = True,
) -> Layer:
    """A layer with random weights and a random choice of every neuron option; ``fires``: it has thresholds."""
    bits = int(rng.integers(2, 9))
    limit, count = largest_weight(bits), connectivity.channels
    weights = rng.integers(-limit, limit + 1, connectivity.weight_shape)
    weights.flat[0] = weights.flat[0] or 1
    spread = max(1, limit * (weights.size // count) // 3)

    def sometimes(share: float) -> bool:
        return bool(rng.random() < share)

    def vector(low: int, high: int) -> np.ndarray:
        return rng.integers(low, high + 1, count)

    shift = int(rng.integers(0, 6)) if sometimes(0.5) else 0
    leak = {0: 1 << shift, 1: max((1 << shift) - 1, 0), 2: int(rng.integers(0, (1 << shift) + 1))}[int(rng.integers(3))]
    theta = vector(1, spread) if fires else None
    reset_step = None
    if theta is not None and sometimes(0.5):
        reset_step = np.maximum(theta - 1, 0) if sometimes(0.5) else vector(0, 2 * spread)
    v_min = int(rng.integers(-spread, spread // 2 + 1)) if sometimes(0.3) else None
    v_max = int(rng.integers(v_min if v_min is not None else -spread // 2, 2 * spread)) if sometimes(0.3) else None
    neuron = Neuron(
        bias=vector(-3 * limit, 3 * limit) if sometimes(0.5) else vector(0, 0), theta=theta,
        v_init=vector(-spread, spread) if sometimes(0.4) else vector(0, 0), reset_step=reset_step,
        leak_num=leak, leak_shift=shift, reset=_pick(rng, ("subtract", "zero", "none")),
        reset_delay=sometimes(0.3), single_spike=sometimes(0.4), bias_once=sometimes(0.3), v_min=v_min, v_max=v_max,
    )
    return Layer(name=name, weights=weights, weight_bits=bits, neuron=neuron, connectivity=connectivity)


def random_network(
    rng: np.random.Generator, *, layers_max: int = 3, neurons_max: int = 7, steps_max: int = 6,
    input_kind: Literal["latency", "events"] | None = None, readout: Readout | None = None, maps: bool = False,
) -> IntegerNetwork:
    """A verified network; what is not given is drawn. ``maps``: its input is a map, its first layers convolutions."""
    depth = int(rng.integers(1, layers_max + 1))
    sizes = rng.integers(1, neurons_max + 1, depth + 1).tolist()
    convolutions = int(rng.integers(0, depth)) if maps else 0
    shape: Shape = (int(rng.integers(1, 4)), int(rng.integers(2, 8)), int(rng.integers(2, 8))) if maps else (sizes[0],)
    readout = readout or _pick(rng, READOUTS)
    kind = input_kind or _pick(rng, ("latency", "events"))
    longest = int(rng.integers(1, steps_max + 1))
    layers: list[Layer] = []
    for index, neurons in enumerate(sizes[1:]):
        connectivity = random_connectivity(rng, shape, None if index < convolutions else neurons)
        fires = index < depth - 1 or readout != "potential"
        layers.append(random_layer(rng, f"layer{index}", connectivity, fires=fires))
        shape = connectivity.out_shape
    return IntegerNetwork(
        name="random", layers=tuple(layers), readout=readout, steps=int(rng.integers(1, longest + 1)),
        steps_max=longest, input_kind=kind, cutoff=int(rng.choice([0, 1, 100, 256])), in_max=int(rng.choice([1, 1, 3])),
        step_weights=tuple(range(2 * longest, 0, -2)) if readout == "weighted_spikes" else (),
    )


def random_inputs(rng: np.random.Generator, network: IntegerNetwork, batch: int) -> np.ndarray:
    """uint8[B, N] images, or uint8[B, T, N] spike counts of a random length, some crowded, some sparse."""
    if network.input_kind == "latency":
        images = rng.integers(0, 256, (batch, network.inputs))
        return np.where(rng.random(images.shape) < rng.random((batch, 1)), images, 255 * (images & 1)).astype(np.uint8)
    shape = (batch, int(rng.integers(1, network.steps_max + 1)), network.inputs)
    counts = rng.integers(1, network.in_max + 1, shape)
    return np.where(rng.random(shape) < rng.random((batch, 1, 1)), counts, 0).astype(np.uint8)
