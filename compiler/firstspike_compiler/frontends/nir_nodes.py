# SPDX-License-Identifier: MIT
"""NIR nodes: the kinds that can be mapped, and their fields, checked; errors name the node."""

import numpy as np
from firstspike_arch.connectivity import Conv2d, Dense, size_of
from firstspike_arch.shown import shown

from ..errors import CompileError
from .nir_graph import Node

__all__ = [
    "DIMENSIONS", "FIRING", "HOLDING", "PASSED", "POOLS", "SYNAPSES", "NodeError", "check_kind", "farthest", "integers",
    "numbers", "per_channel", "positive",
]

FIRING = ("IF", "LIF", "CubaLIF", "Threshold")
HOLDING = ("I", "LI", "CubaLI")
"""Neurons that do not fire, for the output of a potential read-out."""
SYNAPSES = ("Affine", "Linear", "Conv1d", "Conv2d")
POOLS = ("SumPool2d", "AvgPool2d")
PASSED = ("Flatten", "Input", "Output", "Delay")
"""Nodes that pass on what they get, delays later: among them those of sub-graphs."""
DIMENSIONS = {"Affine": 1, "Linear": 1, "Conv1d": 2, "Conv2d": 3, "SumPool2d": 3, "AvgPool2d": 3}
"""Dimensions of what a node takes."""
KNOWN = "Affine, Linear, Conv1d, Conv2d, Scale, SumPool2d, AvgPool2d, Flatten, Delay, IF, LIF, CubaLIF, " \
    "Threshold; at the output of a potential read-out I, LI, CubaLI"


class NodeError(CompileError):
    """A node has no counterpart; the message does not contain its name, which is ``node``."""

    def __init__(self, node: str, sentence: str):
        super().__init__(sentence)
        self.node = node


def check_kind(name: str, node: Node) -> None:
    """Raise NodeError if a node cannot be read or is of a kind without a counterpart."""
    if node.errors:
        part, why = next(iter(node.errors.items()))
        raise NodeError(name, f"{part or 'it'} must be readable: {why}")
    if node.kind not in (*FIRING, *HOLDING, *SYNAPSES, *POOLS, *PASSED, "Scale"):
        raise NodeError(name, f"{node.kind} must not be there; what can be mapped is {KNOWN}")


def numbers(name: str, node: Node, what: str, *, finite: bool = True) -> np.ndarray:
    """A field of a node as a float64 array that is not empty, holds no NaN and is ``finite``, or raise NodeError."""
    value = node.fields.get(what)
    if not isinstance(value, np.ndarray):
        raise NodeError(name, f"{what} must be numbers, but "
                        + ("is missing" if value is None else f"is {shown(value[:40])}"))
    value = value.astype(np.float64)
    if not value.size or np.isnan(value).any() or (finite and not np.isfinite(value).all()):
        raise NodeError(name, f"{what} must be finite everywhere, but holds NaN or infinity" if value.size else
                       f"{what} must not be empty")
    return value


def integers(name: str, node: Node, what: str, count: int, *, default: int | None) -> tuple[int, ...]:
    """``count`` whole numbers from a field that holds as many, or a single one for all; else raise NodeError."""
    if what not in node.fields and default is not None:
        return (default,) * count
    value = numbers(name, node, what).ravel()
    if value.size not in (1, count) or (value != np.rint(value)).any() or np.abs(value).max() > 2**31:
        raise NodeError(name, f"{what} must be {count} whole number{'s' * (count > 1)}, not {value[:4].tolist()}")
    return tuple(int(one) for one in np.broadcast_to(value, count))


def per_channel(
    name: str, node: Node, what: str, connectivity: Dense | Conv2d, default: float | None, *, finite: bool = True,
) -> np.ndarray:
    """float64[C] from a field that has a value for every neuron, which must agree within a channel; else raise
    NodeError."""
    if what not in node.fields and default is not None:
        return np.full(connectivity.channels, default)
    value = numbers(name, node, what, finite=finite)
    if value.size == 1:
        return np.full(connectivity.channels, value.ravel()[0])
    if value.size != size_of(connectivity.out_shape):
        raise NodeError(name, f"{what} must have shape {connectivity.out_shape}, not {value.shape}")
    by_channel = value.reshape(connectivity.channels, -1)
    if (by_channel != by_channel[:, :1]).any():
        raise NodeError(name, f"{what} must be the same for all neurons of a channel")
    return by_channel[:, 0].copy()


def positive(name: str, what: str, values: np.ndarray) -> None:
    """Raise NodeError if any value is not positive."""
    if (values <= 0).any():
        raise NodeError(name, f"{what} must be > 0, not {float(values.min())!r}")


def farthest(values: np.ndarray) -> float:
    """The value that is farthest from 0."""
    return float(values.flat[np.abs(values).argmax()])
