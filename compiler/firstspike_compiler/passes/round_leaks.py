# SPDX-License-Identifier: MIT
"""Let leaks round to the nearest by hardware that rounds down: membranes count from below 0."""

from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
from firstspike_arch.fixed import leak_origin
from firstspike_arch.float_network import LeakRounding
from firstspike_arch.network import IntegerNetwork, Layer
from firstspike_arch.neuron import Neuron
from firstspike_arch.shown import shown

from ..errors import CompileError

__all__ = ["RoundedLeak", "round_leaks", "rounded_down"]

SLOW = 3 / 4
"""The least leak for which the compiler chooses to round to the nearest. Below, rounding down takes no more than 1 1/2
steps from a membrane in the long run, and is not worse for spikes (`benchmarks/leaks.py`)."""


@dataclass(frozen=True, kw_only=True)
class RoundedLeak:
    """How the membranes of one layer round as they leak.

    Parameters
    ----------
    layer : str
    rounding : "nearest" or "floor"
        None: nothing is rounded, or both are the same.
    text : str
        The same in words, and why; or that the neurons round toward 0.
    warnings : tuple of str
        Sentences about membranes that leak less in a step than rounding takes or hides.
    """

    layer: str
    rounding: LeakRounding | None
    text: str
    warnings: tuple[str, ...] = ()


def round_leaks(
    network: IntegerNetwork, rounding: LeakRounding | None = None,
) -> tuple[IntegerNetwork, tuple[RoundedLeak, ...]]:
    """Choose how each layer rounds as it leaks; return the network and what was chosen.

    A layer rounds down as it is, or toward 0 where its neurons do. It rounds to the nearest if its membranes count
    from −k (`leak_origin`): v_init, thresholds, resets to a value, and clamps are lower by k, and a reset still
    subtracts the same.

    Parameters
    ----------
    network : IntegerNetwork
        Membranes count from 0, as `quantise` makes them.
    rounding : "nearest" or "floor"
        "nearest": in all layers that can, but those that round toward 0. None: to the nearest where some leak is at
        least 3/4, but not in a layer that never fires, whose membranes are compared with each other and lose alike.

    Raises
    ------
    CompileError
        The rounding is none of these.
    """
    if rounding is not None and rounding not in get_args(LeakRounding):
        raise CompileError(f"leak_rounding must be 'nearest' or 'floor', or None, not {shown(rounding)}")
    pairs = [_round(network, index, rounding) for index in range(len(network.layers))]
    return replace(network, layers=tuple(layer for layer, _ in pairs)), tuple(found for _, found in pairs)


def rounded_down(neuron: Neuron) -> Neuron:
    """The neurons whose membranes count from 0 again, if they are as `round_leaks` makes those that round to the
    nearest; else themselves."""
    origin = 0 * neuron.bias if neuron.leak_toward_zero else _origin(neuron)
    return _moved(neuron, origin) if origin.any() and np.array_equal(neuron.v_init, -origin) else neuron


def _round(network: IntegerNetwork, index: int, rounding: LeakRounding | None) -> tuple[Layer, RoundedLeak]:
    layer = network.layers[index]
    neuron, name = layer.neuron, layer.name
    origin = _origin(neuron)
    if neuron.leaky and neuron.leak_toward_zero:
        return layer, RoundedLeak(layer=name, rounding=None, text="toward 0", warnings=_warnings(neuron, "floor"))
    if not neuron.leaky or not origin.any():
        why = "none" if not neuron.leaky else "down, which is as near"
        return layer, RoundedLeak(layer=name, rounding=None, text=why, warnings=_warnings(neuron, "floor"))
    kept = "" if rounding == "floor" else _hindrance(network, index, origin)
    if not kept and rounding is None:
        slowest = np.max(neuron.leak, where=np.less(neuron.leak, 1), initial=0)
        kept = "" if slowest >= SLOW else "which is nearly as near"
        kept = kept if neuron.theta is not None else "all membranes that are compared alike"
    if kept or rounding == "floor":
        return layer, RoundedLeak(layer=name, rounding="floor", text=", ".join(filter(None, ("down", kept))),
                                  warnings=_warnings(neuron, "floor"))
    low = "…".join(f"−{one}" for one in np.unique([origin.min(), origin.max()]))
    return replace(layer, neuron=_moved(neuron, -origin)), RoundedLeak(
        layer=name, rounding="nearest", text=f"to the nearest, membranes count from {low}",
        warnings=_warnings(neuron, "nearest"))


def _origin(neuron: Neuron) -> np.ndarray:
    """`leak_origin` of each channel, int64[C]."""
    return np.broadcast_to(leak_origin(neuron.leak_num, neuron.leak_shift), len(neuron.bias)).astype(np.int64)


def _hindrance(network: IntegerNetwork, index: int, origin: np.ndarray) -> str:
    """Why the membranes of a layer cannot count from −origin; empty if they can."""
    neuron = network.layers[index].neuron
    alike = (origin == origin[0]).all()
    if neuron.clamped and not alike:
        return "as all channels share the clamps, but not the leak"
    if index == len(network.layers) - 1 and network.readout in ("first_spike", "potential") and not alike:
        return "as membranes are compared whose leaks differ"
    if neuron.theta is not None and (neuron.theta[:, 0] <= neuron.v_init).any():
        return "as neurons start at their thresholds"
    return ""


def _moved(neuron: Neuron, by: np.ndarray) -> Neuron:
    """The same neurons with membranes that are higher by so much, int64[C]."""
    changes: dict[str, Any] = {"v_init": neuron.v_init + by}
    if neuron.theta is not None:
        changes["theta"] = neuron.theta + by[:, None]
        if neuron.reset == "subtract" and not neuron.single_spike:
            step = neuron.theta[:, 0] if neuron.reset_step is None else neuron.reset_step
            changes["reset_step"] = None if np.array_equal(step, changes["theta"][:, 0]) else step
    if neuron.reset == "zero":
        value = by if neuron.v_reset is None else neuron.v_reset + by
        changes["v_reset"] = value if value.any() else None
    changes |= {name: value + int(by[0]) for name in Neuron.numbers("layer")
                if (value := getattr(neuron, name)) is not None}
    return replace(neuron, **changes)


def _warnings(neuron: Neuron, rounding: LeakRounding) -> tuple[str, ...]:
    """What rounding does to membranes, which count from 0, that leak less than a step, or than half of one."""
    if neuron.theta is None:
        return ()
    theta = neuron.theta[:, -1]
    lost = np.where(neuron.leak < 1, (1 - neuron.leak) * theta, np.inf)
    least = int(lost.argmin())
    if lost[least] >= (1 if rounding == "floor" else 0.5):
        return ()
    does = f"rounding {'toward 0' if neuron.leak_toward_zero else 'down'} takes up to 1" if rounding == "floor" else (
        "rounds to none: without a leak, they do nearly the same in fewer cycles")
    return (f"a membrane at its threshold of {theta[least]} steps leaks {lost[least]:.2g} of a step, "
            f"{'and' if rounding == 'floor' else 'which'} {does}; more weight bits, or weights smaller beside the "
            "thresholds, are finer",)
