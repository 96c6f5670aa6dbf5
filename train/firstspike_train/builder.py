# SPDX-License-Identifier: MIT
"""Reading of a network's text form, such as "15C5-P2-40C5-P2-300-10", into the connectivity of its layers."""

import re
from dataclasses import dataclass, replace

from firstspike_arch.connectivity import Conv2d, Dense, Shape, size_of
from firstspike_arch.shown import shown

__all__ = ["Loop", "Skip", "Wiring", "build_layers"]

# Ref: the notation in the tables of the multi-threshold paper (from memory): nCk is a convolution, Pk an average pool,
# n a dense layer. Skips and loops are ours.
_CONVOLUTION = re.compile(r"(\d+)C(\d+)(?:p(\d+))?(?:s(\d+))?(?:\+(\d+))?")
_POOL = re.compile(r"P(\d+)")
_DENSE = re.compile(r"(\d+)(r?)")


@dataclass(frozen=True, kw_only=True)
class Skip:
    """Synapses that bypass other layers, from the layer with index ``source`` onto the same membranes."""

    source: int
    synapses: Conv2d


@dataclass(frozen=True, kw_only=True)
class Loop:
    """Recurrent synapses of the layer with index ``source``, which take its own spikes of the step before."""

    source: int
    synapses: Dense


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """Synapses onto the membranes of one layer: those from the layer before, and a skip or a loop if there is one."""

    synapses: Dense | Conv2d
    skip: Skip | None = None
    loop: Loop | None = None


def build_layers(text: str, shape: Shape) -> tuple[Wiring, ...]:
    """Build the layers of a network on images of a shape (C, H, W).

    Parameters
    ----------
    text : str
        Parts joined by "-". ``nCk`` is a convolution to n channels with a kernel k × k; ``p1`` after it sets the
        padding, ``s2`` the stride, and ``+2`` adds a skip from the layer 2 back. ``Pk`` pools the spikes of the layer
        before in windows of k × k, and belongs to the synapses that follow. ``n`` is a dense layer of n neurons, and
        ``nr`` one that is recurrent.

    Raises
    ------
    ValueError
        A part has another form, or does not fit the parts before.
    """
    if not (_CONVOLUTION.match(text) or text.startswith("P")):
        shape = (size_of(shape),)
    layers: list[Wiring] = []
    pool = 1
    for part in text.split("-"):
        convolution, pooling = _CONVOLUTION.fullmatch(part), _POOL.fullmatch(part)
        if pooling:
            pool *= int(pooling[1])
            continue
        if convolution:
            channels, kernel, padding, stride, back = (int(number or 0) for number in convolution.groups())
            made = Wiring(synapses=Conv2d(
                in_shape=shape, channels=channels, kernel=(kernel, kernel), padding=(padding, padding),
                stride=(stride or 1, stride or 1), pool=pool,
            ))
            layers.append(replace(made, skip=_skip(part, layers, made.synapses, back)) if convolution[5] else made)
        elif dense := _DENSE.fullmatch(part):
            synapses = Dense(in_shape=shape, neurons=int(dense[1]), pool=pool)
            own = Dense(in_shape=synapses.out_shape, neurons=synapses.neurons)
            layers.append(Wiring(synapses=synapses, loop=Loop(source=len(layers), synapses=own) if dense[2] else None))
        else:
            raise ValueError(f"{shown(part)} must be a convolution like 15C5, 15C3p1s2 or 16C3p1+2, a pool like P2 or "
                             "a number like 300 or 128r")
        shape, pool = layers[-1].synapses.out_shape, 1
    if pool > 1:
        raise ValueError("a pool must be followed by a layer")
    return tuple(layers)


def _skip(part: str, before: list[Wiring], synapses: Dense | Conv2d, back: int) -> Skip:
    """Return a skip: one weight for each channel if the shapes are equal, else a 1 × 1 convolution with a stride."""
    if not 2 <= back <= len(before):
        raise ValueError(f"{shown(part)} must go 2…{len(before)} layers back, to one that is there, not {back}")
    if synapses.pool_size > 1:
        raise ValueError(f"{shown(part)} must not stand behind a pool: its two sets of synapses share one scale")
    source = len(before) - back
    start, end = before[source].synapses.out_shape, synapses.out_shape
    channels, stride = end[0], -(-start[1] // end[1]) if len(start) == 3 else 1
    skip = Conv2d(in_shape=start, channels=channels, kernel=(1, 1), stride=(stride, stride),
                  groups=channels if start == end else 1)
    if skip.out_shape != end:
        raise ValueError(f"{shown(part)} must reach the shape {end} from {start} by a stride, not {skip.out_shape}")
    return Skip(source=source, synapses=skip)
