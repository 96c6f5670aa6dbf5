# SPDX-License-Identifier: MIT
"""What modules take and give between two layers of neurons: spikes on their way, or the currents of synapses."""

import math
from dataclasses import dataclass, replace

import numpy as np
from firstspike_arch.connectivity import Conv2d, Dense, Shape, Window, pool_sides, size_of

from ...errors import CompileError
from ..map_pool import MapPool, take_pool

__all__ = ["OWN", "Set", "Spikes", "Synapses", "Term", "check_no_window"]

OWN = -2
"""Source of the spikes that the neurons themselves sent in the step before."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Term:
    """The spikes of one layer or of the input, as a part of `Spikes`.

    ``shape`` is that of the sender. Magnitudes are ``low`` … ``high``, times ``gain``. ``pool`` are the average pools
    on the way, together. ``first`` is the place of its first value among the values of the whole. The spikes come
    ``delay`` steps late.
    """

    source: int
    shape: Shape
    low: float
    high: float
    gain: float = 1.0
    pool: MapPool | None = None
    first: int = 0
    delay: int = 0

    @property
    def out_shape(self) -> Shape:
        """Shape after the pools, (N,) or (C, H, W)."""
        return self.shape if self.pool is None else self.pool.shape(self.shape)

    @property
    def size(self) -> int:
        return size_of(self.out_shape)

    def into(self, where: str, weight: np.ndarray, connectivity: Dense | Conv2d) -> "Set":
        """The synapses, of the module ``where``, that take what comes out of the pools."""
        try:
            weight, connectivity, averages = take_pool(self.pool, self.shape, weight, connectivity)
        except ValueError as error:
            raise CompileError(f"{where} {error}") from None
        return Set(source=self.source, weight=weight * self.gain, connectivity=connectivity, average_pool=averages,
                   low=self.low, high=self.high, delay=self.delay)


@dataclass(frozen=True, kw_only=True, eq=False)
class Spikes:
    """Spikes on their way to synapses: those of one layer or of the input, or of several, joined or added up.

    ``where`` names the module that sends them, and ``pooled`` the last pool on the way. ``shape`` is (N,) or (C, H, W),
    after the pools; ``flat``: a map is taken as a vector; ``line``: a map of height 1 is taken as (C, L).
    """

    where: str
    terms: tuple[Term, ...]
    shape: Shape
    flat: bool = False
    pooled: str = ""
    line: bool = False

    @classmethod
    def of(cls, where: str, source: int, shape: Shape, *, low: float = 0.0, high: float = 1.0, flat: bool = False,
           line: bool = False) -> "Spikes":
        """Those of one source, as it sends them."""
        return cls(where=where, shape=shape, flat=flat, line=line,
                   terms=(Term(source=source, shape=shape, low=low, high=high),))

    @property
    def out_shape(self) -> Shape:
        return _seen(self.shape, flat=self.flat, line=self.line)

    @property
    def plain(self) -> Term | None:
        """The spikes themselves, if they are those of one layer, neither pooled nor scaled nor late."""
        one = self.terms[0]
        return one if len(self.terms) == 1 and one.pool is None and one.gain == 1 and not one.delay else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Set:
    """Synapses from one source; fields as in `FloatBranch`. The magnitudes that come in are ``low`` … ``high``."""

    source: int
    weight: np.ndarray
    connectivity: Dense | Conv2d
    average_pool: bool
    low: float
    high: float
    delay: int = 0

    @property
    def delays(self) -> np.ndarray | None:
        """The delay of each address, int64[N]; None: there is none."""
        return np.full(size_of(self.connectivity.in_shape), self.delay) if self.delay else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Synapses:
    """The synapses of a layer's neurons: one set, or several whose currents add up.

    ``where`` names the last module that was merged in. ``bias`` is float64[C]. ``flat``: a map is taken as a vector;
    ``line``: a map of height 1 is taken as (C, L). ``normalised``: a normalisation gave the weights of each channel a
    factor of its own. ``window``: the neurons get the largest of the sums in each window.
    """

    where: str
    sets: tuple[Set, ...]
    bias: np.ndarray
    flat: bool = False
    line: bool = False
    normalised: bool = False
    window: Window | None = None

    @property
    def sums_shape(self) -> Shape:
        """Shape of the sums, (N,) or (C, H, W)."""
        return self.sets[0].connectivity.out_shape

    @property
    def shape(self) -> Shape:
        """Shape of the neurons, (N,) or (C, H, W)."""
        return self.sums_shape if self.window is None else self.window.out_shape(self.sums_shape)

    @property
    def out_shape(self) -> Shape:
        return _seen(self.shape, flat=self.flat, line=self.line)

    @property
    def channels(self) -> int:
        return self.sets[0].connectivity.channels

    def largest_drive(self, lasting: np.ndarray | float = 0.0) -> np.ndarray:
        """Largest current that a neuron of each channel can get in one step, float64[C]; of currents that last, with
        a leak of ``lasting``, the most that they come near to."""
        drive = self.bias
        for one in self.sets:
            flat = one.weight.reshape(len(one.weight), -1)
            shared = 1 if one.average_pool else math.prod(pool_sides(one.connectivity.pool))  # a sum of whole windows
            drive = drive + shared * np.maximum(0.0, np.maximum(flat * one.low, flat * one.high)).sum(1)
        with np.errstate(divide="ignore"):
            return np.where(drive > 0, drive / (1.0 - np.broadcast_to(lasting, drive.shape)), drive)

    def scaled(self, gain: np.ndarray) -> "Synapses":
        """The synapses with weights and bias multiplied by a factor for each channel, float64[C]."""
        return replace(self, bias=self.bias * gain, sets=tuple(
            replace(one, weight=one.weight * gain.reshape(-1, *[1] * (one.weight.ndim - 1))) for one in self.sets))


def _seen(shape: Shape, *, flat: bool, line: bool) -> Shape:
    """The shape that torch sees."""
    return (size_of(shape),) if flat else (shape[0], shape[2]) if line else shape


def check_no_window(where: str, value: Spikes | Synapses) -> None:
    if isinstance(value, Synapses) and value.window is not None:
        raise CompileError(f"{where} must come before {value.where}, which takes the largest of currents for neurons "
                           "directly behind it")
