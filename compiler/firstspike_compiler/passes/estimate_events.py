# SPDX-License-Identifier: MIT
"""Estimate how many events each layer sends in an inference, where nobody has counted them."""

from collections.abc import Sequence

from firstspike_arch.network import IntegerNetwork

__all__ = ["estimate_events"]

PIXELS = {"direct": 0.4, "latency": 0.3}
"""Share of the pixels of an image that are bright enough for an event: between MNIST's 0.18 and Fashion-MNIST's
0.54."""

STEP_RATE, MOST = 0.1, 2.0
"""Events of a neuron, or of an address of event input, in a step, and at most in an inference. The networks of ``zoo/``
have 0.04 … 0.2 in each of few steps; recordings of 300 steps have 1 … 8 in all."""

ONCE_RATE = 0.25
"""Share of the neurons that fire, where each fires at most once. The networks of ``zoo/`` have 0.12 … 0.39."""


def estimate_events(network: IntegerNetwork, counted: Sequence[float | None] | None = None) -> tuple[float, ...]:
    """Return the expected events of the input, then of each layer, in an inference.

    Parameters
    ----------
    counted : sequence of float or None
        Events that reach each layer from the one before, where they are known.
    """
    often = min(STEP_RATE * network.steps, MOST)
    rates = [PIXELS.get(network.input_kind, often)]
    rates += [ONCE_RATE if layer.neuron.single_spike else often for layer in network.layers]
    sizes = [network.inputs, *(layer.neurons for layer in network.layers)]
    known = [*(counted or [None] * len(network.layers)), None]
    return tuple(float(size * rate if one is None else one)
                 for size, rate, one in zip(sizes, rates, known, strict=True))
