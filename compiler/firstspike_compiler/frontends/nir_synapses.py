# SPDX-License-Identifier: MIT
"""Merges the NIR nodes between spikes and neurons (pools, synapses, factors) into one set of synapses."""

from dataclasses import dataclass, field

import numpy as np
from firstspike_arch.connectivity import Conv2d, Dense, Shape, size_of
from firstspike_arch.shown import shown

from .map_pool import MapPool, pool_currents, take_pool, window_pool
from .nir_graph import Node
from .nir_nodes import POOLS, SYNAPSES, NodeError, check_kind, integers, numbers, per_channel
from .one_to_one import one_to_one

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
    pool: MapPool | None = None
    """Pools in front of the synapses, together."""
    averages: bool = False
    """``connectivity.pool`` averages instead of adding up."""
    connectivity: Dense | Conv2d | None = None
    weight: np.ndarray = field(default_factory=lambda: np.ones(()))
    """float64[connectivity.weight_shape]; before there is a connectivity, a factor for all weights."""
    bias: np.ndarray | None = None
    weight_bits: int | None = None
    delays: np.ndarray | None = None
    """float64[N] for each address of the source, in the unit of the file; None: there are none but 0."""

    @property
    def out_shape(self) -> Shape:
        if self.connectivity is not None:
            return self.connectivity.out_shape
        return self.shape if self.pool is None else self.pool.shape(self.shape)

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
        elif node.kind == "Delay":
            _delay(self, name, node)

    def end(self, name: str, node: Node) -> None:
        """Finish at the neurons ``node``: without a node of synapses on the way, they become one-to-one; check the
        size."""
        if self.connectivity is None:
            try:
                connectivity, ones = one_to_one(self.out_shape)
            except ValueError as error:
                raise NodeError(name, f"{node.kind} must come behind synapses: {error}") from None
            # The factor has one value for each input of a vector, or for each channel of a map.
            ones = ones * (self.weight.reshape(-1, 1, 1, 1) if ones.ndim == 4 else self.weight)
            self._connect(name, node, ones, connectivity)
        if size_of(self.out_shape) > ADDRESSES_MAX:
            raise NodeError(name, f"{node.kind} must have at most {ADDRESSES_MAX} neurons, not {self.out_shape}")

    def _pool(self, name: str, node: Node) -> None:
        kernel, stride, padding = (
            _pair(integers(name, node, what, 2, default=0 if what == "padding" else None))
            for what in ("kernel_size", "stride", "padding"))
        if len(self.out_shape) != 3:
            raise NodeError(name, f"{node.kind} must take a map, not a vector")
        _, height, width = self.out_shape
        try:
            # torch, to which the tools give these nodes, counts the padding.
            divisor = 1 if node.kind == "SumPool2d" else None
            pool = window_pool((height, width), kernel, stride, padding, divisor=divisor)
            if self.connectivity is None:
                pool = pool.behind(self.pool)
                self.pool = pool if pool.changes else None
                return
            self.weight, self.connectivity = pool_currents(pool, self.weight, self.connectivity)
            self.weight_bits = None
        except ValueError as error:
            raise NodeError(name, f"{node.kind} {error}") from None
        if self.bias is not None and pool.gain != 1:
            self.bias = self.bias * float(pool.gain)

    def _connect(self, name: str, node: Node, weight: np.ndarray, connectivity: Dense | Conv2d) -> None:
        """Take what comes out of the pools with these synapses."""
        try:
            self.weight, self.connectivity, self.averages = take_pool(self.pool, self.shape, weight, connectivity)
        except ValueError as error:
            raise NodeError(name, f"{node.kind} {error}") from None


def _synapses(one: SynapseSet, name: str, node: Node) -> None:
    weight = numbers(name, node, "weight")
    shape = one.out_shape
    try:
        if node.kind in ("Affine", "Linear"):
            if weight.ndim != 2:
                raise NodeError(name, f"weight must have shape (outputs, inputs), not {weight.shape}")
            connectivity: Dense | Conv2d = Dense(in_shape=shape, neurons=len(weight))
        else:
            flat = node.kind == "Conv1d"
            if weight.ndim != (3 if flat else 4):
                raise NodeError(name, f"weight must have {3 if flat else 4} dimensions, not {weight.shape}")
            weight = weight[:, :, None] if flat else weight
            kernel = weight.shape[2], weight.shape[3]
            connectivity = Conv2d(
                in_shape=shape, channels=len(weight), kernel=kernel,
                groups=integers(name, node, "groups", 1, default=1)[0], **_sides(name, node, kernel, flat),
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
        if one.pool is not None or not isinstance(connectivity, Dense):
            raise NodeError(name, f"{node.kind} must come behind a Scale of one number, or be Affine or Linear "
                            "without a pool")
        factor = np.broadcast_to(factor.ravel(), size_of(one.shape))
    one._connect(name, node, weight * factor, connectivity)
    # Weights that a pool spreads over others are no longer those that were stored.
    one.weight_bits = _kept_bits(node, one.weight) if one.pool is None or one.pool.sides else None


def _sides(name: str, node: Node, kernel: tuple[int, int], flat: bool) -> dict[str, tuple[int, int]]:
    """Stride, padding and dilation of a convolution."""
    first, sides = 1 if flat else 0, 1 if flat else 2

    def pair(what: str, default: int, least: int) -> tuple[int, int]:
        values = integers(name, node, what, sides, default=default)
        if min(values) < least or max(values) > ADDRESSES_MAX:
            raise NodeError(name, f"{what} must be at least {least}, not {values}")
        return (default, values[0]) if flat else (values[0], values[1])

    dilation, stride = pair("dilation", 1, 1), pair("stride", 1, 1)
    padding = node.fields.get("padding", "valid")
    if not isinstance(padding, str):
        return {"dilation": dilation, "stride": stride, "padding": pair("padding", 0, 0)}
    reach = [(side - 1) * step + 1 for side, step in zip(kernel, dilation, strict=True)]
    if padding not in ("same", "valid") or (padding == "same" and any(side % 2 == 0 for side in reach[first:])):
        raise NodeError(name, f"padding must be numbers, 'valid', or 'same' with a kernel of odd sides, not "
                       f"{shown(padding[:40])} with {tuple(reach[first:])}")
    amount = [(side - 1) // 2 if padding == "same" else 0 for side in reach]
    return {"dilation": dilation, "stride": stride, "padding": (amount[0], amount[1])}


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


def _delay(one: SynapseSet, name: str, node: Node) -> None:
    values = numbers(name, node, "delay")
    if values.min() < 0:
        raise NodeError(name, f"delay must be ≥ 0, not {float(values.min()):g}")
    if not values.any():
        return
    equal, (*_, last) = bool((values == values.flat[0]).all()), values.ravel()
    if not equal and values.size != size_of(one.out_shape):
        raise NodeError(name, f"delay must have shape {one.out_shape}, not {values.shape}")
    if one.connectivity is not None and not equal:
        raise NodeError(name, "delay must be the same everywhere behind synapses; in front of them it may differ")
    if one.bias is not None and one.bias.any():
        raise NodeError(name, "Delay must be in front of synapses with a bias, which is there from the first step on")
    delays = np.full(size_of(one.shape), last)
    if not equal and one.pool is None:
        delays = values.ravel()
    elif not equal and one.pool is not None:
        if one.pool.sides is None:
            raise NodeError(name, "delay must be the same everywhere behind a pool whose windows overlap")
        (down, across), spread = one.pool.sides, np.zeros(one.shape)  # of rows and columns that no window has, 0
        repeated = values.reshape(one.out_shape).repeat(down, 1).repeat(across, 2)
        spread[:, : repeated.shape[1], : repeated.shape[2]] = repeated
        delays = spread.ravel()
    one.delays = delays if one.delays is None else one.delays + delays


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    down, across = values
    return down, across
