# SPDX-License-Identifier: MIT
"""Merges the NIR nodes between spikes and neurons (pools, synapses, factors) into one set of synapses."""

from dataclasses import dataclass, field

import numpy as np
from firstspike_arch.connectivity import Conv2d, Dense, Shape, pooled, size_of

from .nir_graph import Node
from .nir_nodes import POOLS, SYNAPSES, NodeError, check_kind, integers, numbers, per_channel
from .one_to_one import one_to_one
from .pooled_kernel import pooled_kernel

__all__ = ["ADDRESSES_MAX", "SynapseSet"]

ADDRESSES_MAX = 1 << 24
"""Most neurons of a layer, or inputs; shapes from a file are checked before arrays of their size are made."""


@dataclass(kw_only=True, eq=False)
class SynapseSet:
    """The synapses between a source of spikes and neurons, built node by node.

    Call `take` for each node on the way, in order, then `end` for the neurons.
    """

    source: str
    shape: Shape
    pool: int = 1
    averages: bool = False
    connectivity: Dense | Conv2d | None = None
    weight: np.ndarray = field(default_factory=lambda: np.ones(()))
    """float64[connectivity.weight_shape]; before there is a connectivity, a factor for all weights."""
    bias: np.ndarray | None = None
    weight_bits: int | None = None

    @property
    def out_shape(self) -> Shape:
        return pooled(self.shape, self.pool) if self.connectivity is None else self.connectivity.out_shape

    def take(self, name: str, node: Node) -> None:
        """Add the next node between source and neurons, or raise NodeError."""
        check_kind(name, node)
        if node.kind in POOLS:
            self._pool(name, node)
        elif node.kind in SYNAPSES:
            if self.connectivity is not None:
                raise NodeError(name, f"{node.kind} must come behind neurons, not behind other synapses")
            _synapses(self, name, node)
        elif node.kind == "Scale":
            _scale(self, name, node)

    def end(self, name: str, node: Node) -> None:
        """Finish at the neurons ``node``: without a node of synapses on the way, they become one-to-one; check the
        size."""
        if self.connectivity is None:
            try:
                self.connectivity, ones = one_to_one(self.shape, self.pool)
            except ValueError as error:
                raise NodeError(name, f"{node.kind} must come behind synapses: {error}") from None
            # The factor has one value for each input of a vector, or for each channel of a map.
            self.weight = ones * (self.weight.reshape(-1, 1, 1, 1) if ones.ndim == 4 else self.weight)
        if size_of(self.connectivity.out_shape) > ADDRESSES_MAX:
            raise NodeError(name, f"{node.kind} must have at most {ADDRESSES_MAX} neurons, not "
                           f"{self.connectivity.out_shape}")

    def _pool(self, name: str, node: Node) -> None:
        side, averages = _window(name, node), node.kind == "AvgPool2d"
        if len(self.out_shape) != 3 or side > min(self.out_shape[1:]):
            raise NodeError(name, f"{node.kind} must have windows inside the map that comes in, {self.out_shape}, not "
                            f"of {side} × {side}")
        if self.connectivity is None:
            if self.pool > 1 and self.averages != averages:
                raise NodeError(name, f"{node.kind} must not follow a pool of the other kind")
            self.pool, self.averages = self.pool * side, averages
            return
        assert isinstance(self.connectivity, Conv2d)
        self.weight, self.connectivity = pooled_kernel(self.weight, self.connectivity, side)
        if averages:
            self.weight = self.weight / side**2
        elif self.bias is not None:
            self.bias = self.bias * side**2


def _synapses(one: SynapseSet, name: str, node: Node) -> None:
    weight = numbers(name, node, "weight")
    shape = one.out_shape
    try:
        if node.kind in ("Affine", "Linear"):
            if weight.ndim != 2:
                raise NodeError(name, f"weight must have shape (outputs, inputs), not {weight.shape}")
            connectivity: Dense | Conv2d = Dense(in_shape=one.shape, neurons=len(weight), pool=one.pool)
        else:
            flat = node.kind == "Conv1d"
            if weight.ndim != (3 if flat else 4):
                raise NodeError(name, f"weight must have {3 if flat else 4} dimensions, not {weight.shape}")
            weight, stride, padding = _kernel(name, node, weight[:, :, None] if flat else weight, flat)
            connectivity = Conv2d(
                in_shape=one.shape, channels=len(weight), kernel=(weight.shape[2], weight.shape[3]), stride=stride,
                padding=padding, groups=integers(name, node, "groups", 1, default=1)[0], pool=one.pool,
            )
    except NodeError:
        raise
    except ValueError as error:
        raise NodeError(name, str(error)) from None
    if weight.shape != connectivity.weight_shape:
        raise NodeError(name, f"weight must have shape {connectivity.weight_shape} for an input of shape {shape}, not "
                       f"{weight.shape}")
    if "bias" in node.fields:
        one.bias = numbers(name, node, "bias")
        if one.bias.shape != weight.shape[:1]:
            raise NodeError(name, f"bias must have shape {weight.shape[:1]}, not {one.bias.shape}")
    factor = one.weight  # from a Scale node before
    if factor.ndim:
        if connectivity.pool > 1 or not isinstance(connectivity, Dense):
            raise NodeError(name, f"{node.kind} must come behind a Scale of one number, or be Affine or Linear "
                            "without a pool")
        factor = np.broadcast_to(factor.ravel(), size_of(one.shape))
    one.weight, one.connectivity = weight * factor, connectivity
    one.weight_bits = _kept_bits(node, one.weight)


def _kernel(name: str, node: Node, weight: np.ndarray, flat: bool):
    """Kernel (its dilation filled with zeros), stride and padding."""
    first, sides = 1 if flat else 0, 1 if flat else 2

    def pair(what: str, default: int, least: int) -> tuple[int, int]:
        values = integers(name, node, what, sides, default=default)
        if min(values) < least or max(values) > ADDRESSES_MAX:
            raise NodeError(name, f"{what} must be at least {least}, not {values}")
        return (default, values[0]) if flat else (values[0], values[1])

    dilation = pair("dilation", 1, 1)
    size = [(side - 1) * step + 1 for side, step in zip(weight.shape[2:], dilation, strict=True)]
    if max(size) > 4096:
        raise NodeError(name, f"kernel and dilation must reach over at most 4096 pixels, not {max(size)}")
    if max(dilation) > 1:
        filled = np.zeros((*weight.shape[:2], *size))
        filled[:, :, :: dilation[0], :: dilation[1]] = weight
        weight = filled
    padding = node.fields.get("padding", "valid")
    if isinstance(padding, str):
        if padding not in ("same", "valid") or (padding == "same" and any(side % 2 == 0 for side in size[first:])):
            raise NodeError(name, f"padding must be numbers, 'valid', or 'same' with a kernel of odd sides, not "
                           f"{padding!r} with {tuple(size[first:])}")
        amount = [(side - 1) // 2 if padding == "same" else 0 for side in size]
        return weight, pair("stride", 1, 1), (amount[0], amount[1])
    return weight, pair("stride", 1, 1), pair("padding", 0, 0)


def _kept_bits(node: Node, weight: np.ndarray) -> int | None:
    """The ``weight_bits`` that `save_nir` stored with whole weights; None for any other weights."""
    bits = node.metadata.get("weight_bits")
    ours = isinstance(bits, np.ndarray) and bits.size == 1 and 2 <= int(bits.ravel()[0]) <= 8
    if not ours or (weight != np.rint(weight)).any():
        return None
    return int(bits.ravel()[0])  # pyright: ignore


def _scale(one: SynapseSet, name: str, node: Node) -> None:
    factor = numbers(name, node, "scale")
    if (uniform := bool(factor.size) and bool((factor == factor.flat[0]).all())):
        factor = factor.reshape(-1)[0]
    if one.connectivity is None:
        if not uniform and factor.size != size_of(one.out_shape):
            raise NodeError(name, f"scale must have shape {one.out_shape}, not {factor.shape}")
        one.weight = one.weight * (factor if uniform else factor.ravel())
        return
    factor = per_channel(name, node, "scale", one.connectivity, None)
    one.weight = one.weight * factor.reshape(-1, *[1] * (one.weight.ndim - 1))
    one.bias = None if one.bias is None else one.bias * factor
    one.weight_bits = None


def _window(name: str, node: Node) -> int:
    kernel, stride, padding = (
        integers(name, node, what, 2, default=0 if what == "padding" else None)
        for what in ("kernel_size", "stride", "padding"))
    if kernel != stride or kernel[0] != kernel[1] or any(padding) or kernel[0] < 1:
        raise NodeError(name, f"{node.kind} must have equal kernel and stride and no padding, not {kernel}, {stride}, "
                       f"{padding}")
    return kernel[0]
