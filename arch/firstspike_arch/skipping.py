# SPDX-License-Identifier: MIT
"""Skipping: whether the marker of a step may leave out the rows that no event of the step reached."""

import numpy as np

from .connectivity import Conv2d
from .network import IntegerNetwork
from .neuron import Neuron

__all__ = ["skips_obstacle"]


def skips_obstacle(network: IntegerNetwork, index: int) -> str | None:
    """Return why the core of a layer cannot skip rows (`LayerOptions.skips`); None: it can.

    It can if the parameters prove that the end of a step leaves a neuron as it is, and silent, that no event of the
    step reached: at the beginning of an inference, and after any step.
    """
    # Ref: docs/semantics.md, section 5
    layer = network.layers[index]
    neuron = layer.neuron
    if not isinstance(layer.connectivity, Conv2d):
        return "skips must be off: every event of a dense layer reaches all rows"
    if index == len(network.layers) - 1:
        return "skips must be off: the read-out asks for all neurons of the output layer in every step"
    if network.longest == 1:
        return "skips must be off: no inference has a second step"
    if network.is_static(index) or neuron.theta_fall is not None or layer.current_pool is not None:
        return "skips must be off: every step adds a current or lowers the thresholds"
    if neuron.lasts:
        return "skips must be off: currents last, so that every step changes membranes"
    if neuron.adapts:
        return "skips must be off: thresholds adapt, so that every step changes them"
    if neuron.leaky:
        return "skips must be off: the neurons leak in every step"
    if neuron.bias.any() and not neuron.bias_once:
        return "skips must be off: every step adds a bias, and not the first alone"
    start = np.asarray(neuron.v_init) + (neuron.bias if neuron.bias_once else 0)
    low, high = (bound is not None and bool((beyond(start, bound)).any())
                 for beyond, bound in ((np.less, neuron.v_min), (np.greater, neuron.v_max)))
    if (start >= neuron.first_theta).any() or low or high:
        return "skips must be off: neurons start at their threshold or outside their clamps"
    return _after_spike(neuron)


def _after_spike(neuron: Neuron) -> str | None:
    """Return why a neuron that fired may change or fire in the next step, without an event."""
    if neuron.single_spike:
        return None
    if neuron.reset == "zero" and not neuron.reset_delay:
        value = 0 if neuron.v_reset is None else neuron.v_reset
        if (value < neuron.first_theta).all():
            return None
    return ("skips must be off: a neuron that fired may be at its threshold again in the next step, unless it fires "
            "once or is reset below it, to zero or v_reset, in the same step")
