# SPDX-License-Identifier: MIT
"""Estimate how many events each layer sends in an inference, where nobody has counted them."""

from collections.abc import Sequence

from firstspike_arch.network import IntegerNetwork

__all__ = ["estimate_events"]

PIXELS = {"direct": 0.4, "latency": 0.3}
"""Share of the pixels of an image that are bright enough for an event: between MNIST's 0.18 and Fashion-MNIST's
0.54."""

STEP_RATE, MOST = 0.08, 4.0
"""Events of a neuron in a step, and at most in an inference, in a layer of a thousand; or of an address of event input.
"""

ONCE_RATE = 0.3
"""Share of the neurons that fire in a layer of a thousand, where each fires at most once."""

SHRINK = 0.3
"""Neurons of larger layers fire less: by so much, as a power of their number. In the networks of ``zoo/``, of one kind,
the first layer's fire in 9 … 16 % of inferences and the last but one's in 27 … 57 %."""

EVENTS_SHRINK = 0.5
"""The same where the input is events, which leave most of a large map at rest: the layers of ``nmnist_cnn``, 4,096 to
256 neurons, send 1.6, 2.7, 10 and 7 events a neuron."""


def estimate_events(network: IntegerNetwork, counted: Sequence[float | None] | None = None) -> tuple[float, ...]:
    """Return the expected events of the input, then of each layer, in an inference.

    Parameters
    ----------
    counted : sequence of float or None
        Events that reach each layer from the one before, where they are known.
    """
    often = min(STEP_RATE * network.steps, MOST)
    rates = [PIXELS.get(network.input_kind, often)]
    for layer in network.layers:
        more = (1000 / layer.neurons) ** (EVENTS_SHRINK if network.input_kind == "events" else SHRINK)
        rates.append(min(ONCE_RATE * more, 1.0) if layer.neuron.single_spike else often * more)
    sizes = [network.inputs, *(layer.neurons for layer in network.layers)]
    known = [*(counted or [None] * len(network.layers)), None]
    return tuple(float(size * rate if one is None else one)
                 for size, rate, one in zip(sizes, rates, known, strict=True))
