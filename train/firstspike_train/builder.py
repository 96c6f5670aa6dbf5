# SPDX-License-Identifier: MIT
"""From a network in words, such as "15C5-P2-40C5-P2-300-10", to the connectivity of its layers."""

import math
import re

from firstspike_arch.connectivity import Conv2d, Dense, Shape

__all__ = ["build_layers"]

# Ref: the notation of the multi-threshold paper's tables: nCk a convolution, Pk an average pool, n a dense layer.
_CONVOLUTION = re.compile(r"(\d+)C(\d+)(?:p(\d+))?(?:s(\d+))?")
_POOL = re.compile(r"P(\d+)")
_DENSE = re.compile(r"\d+")


def build_layers(text: str, pixels: int) -> tuple[Dense | Conv2d, ...]:
    """The layers of a network on square images of one channel.

    Parameters
    ----------
    text : str
        Joined by "-": ``nCk`` is a convolution to n channels with a kernel k × k (``p1``: padding, ``s2``: stride),
        ``Pk`` pools the spikes of the layer before in windows of k × k, ``n`` is a dense layer of n neurons.
        A pool belongs to the synapses behind it.
    pixels : int
        Of an image.

    Raises
    ------
    ValueError
        A part that is none of these, or does not fit what comes before.
    """
    side = math.isqrt(pixels)
    shape: Shape = (1, side, side) if _CONVOLUTION.match(text) or text.startswith("P") else (pixels,)
    layers: list[Dense | Conv2d] = []
    pool = 1
    for part in text.split("-"):
        convolution, pooling = _CONVOLUTION.fullmatch(part), _POOL.fullmatch(part)
        if pooling:
            pool *= int(pooling[1])
        elif convolution:
            channels, kernel, padding, stride = (int(number or 0) for number in convolution.groups())
            layers.append(Conv2d(
                in_shape=shape, channels=channels, kernel=(kernel, kernel), padding=(padding, padding),
                stride=(stride or 1, stride or 1), pool=pool,
            ))
        elif _DENSE.fullmatch(part):
            layers.append(Dense(in_shape=shape, neurons=int(part), pool=pool))
        else:
            raise ValueError(f"{part!r} must be a convolution like 15C5 or 15C3p1s2, a pool like P2 or a number")
        if not pooling:
            shape, pool = layers[-1].out_shape, 1
    if pool > 1:
        raise ValueError("a pool must be followed by a layer")
    return tuple(layers)
