# SPDX-License-Identifier: MIT
"""Finds what cannot be meant in the layers of a NIR file: leaks that do nothing, thresholds that nothing reaches."""

import numpy as np
from firstspike_arch.connectivity import Dense
from firstspike_arch.float_network import FloatBranch, FloatLayer, FloatNetwork

__all__ = ["implausible"]

SLOW, LOST = 0.999, 0.1
"""A leak above SLOW is a mistake if all steps of an inference together lose less than LOST."""


def implausible(network: FloatNetwork, likely: str) -> list[str]:
    """One sentence for each thing that a wrong ``dt`` gives; ``likely`` is the dt that the file speaks for, if any."""
    hint = f"; by the file, dt could be {likely}" if likely else ""
    found = []
    for index, layer in enumerate(network.layers):
        for what, factor in (("leak", layer.neuron.leak), ("leak of currents", layer.neuron.current_leak)):
            leak = 0.0 if factor is None else float(np.max(factor))
            if SLOW < leak < 1 and leak**network.steps > 1 - LOST:
                found.append(
                    f"layer {index}: a {what} of {leak:.6g} does next to nothing in {network.steps} steps{hint}")
        if layer.neuron.theta is None:
            continue
        theta = np.asarray(layer.neuron.theta, dtype=np.float64).reshape(len(layer.weight), -1)[:, 0]
        # The most that positive weights and bias could bring if everything in front spiked in every step.
        most = _drive(network, index, layer)
        for factor in (layer.neuron.leak, 0.0 if layer.neuron.current_leak is None else layer.neuron.current_leak):
            leaks = np.broadcast_to(factor, theta.shape)
            most = most * np.where(
                leaks == 1, network.steps, (1 - leaks**network.steps) / np.maximum(1 - leaks, 1e-300))
        if (most < theta).all():
            best = int(np.argmax(most / theta))
            found.append(f"layer {index}: no neuron can fire: {network.steps} steps bring at most {most[best]:.3g}, "
                         f"the threshold is {theta[best]:.3g}{hint}")
    return found


def _drive(network: FloatNetwork, index: int, layer: FloatLayer) -> np.ndarray:
    """Upper bound of what a step brings to a channel's membranes, float64[C]."""
    drive = np.zeros(len(layer.weight)) if layer.neuron.bias is None else np.maximum(layer.neuron.bias, 0)
    sets: list[tuple[int, FloatLayer | FloatBranch]] = [(index - 1, layer), *((one.source, one)
                                                                              for one in layer.branches)]
    for source, one in sets:
        low, high = 0.0, 1.0
        if source < 0:
            low, high = network.in_min * network.input_scale, network.in_max * network.input_scale
            low, high = (low, high) if network.input_kind == "direct" else (min(0.0, low), high)
        else:
            high = float(network.layers[source].neuron.levels)
        weight = np.asarray(one.weight, dtype=np.float64)
        weight = weight.reshape(len(weight), -1)
        synapses = one.connectivity or Dense(in_shape=weight.shape[1:], neurons=len(weight))
        pooled = 1 if one.average_pool or getattr(one, "max_pool", False) else synapses.pool_size
        drive = drive + pooled * np.maximum(weight * low, weight * high).sum(1)
    return drive
