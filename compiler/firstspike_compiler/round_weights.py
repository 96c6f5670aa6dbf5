# SPDX-License-Identifier: MIT
"""A trained network with the weights that the hardware has."""

from dataclasses import replace

import numpy as np
from firstspike_arch.float_network import FloatLayer, FloatNetwork

from .errors import CompileError
from .passes.fold_normalisation import fold_normalisation
from .passes.quantise import whole_weights

__all__ = ["round_weights"]


def round_weights(network: FloatNetwork) -> FloatNetwork:
    """The same integer network, of weights that are whole steps: what training keeps besides is rounded away.

    Normalisation, average pools and the scale of the input are folded. Compiled without options about weights, the
    network gives the same program. Other bits or scales then start from rounded weights.

    Raises
    ------
    CompileError
        A layer has no ``weight_scale``, or one for each channel: its steps are the compiler's choice.
    """
    folded = fold_normalisation(network)
    return replace(folded, layers=tuple(_round(f"layer {index}", layer) for index, layer in enumerate(folded.layers)))


def _round(where: str, layer: FloatLayer) -> FloatLayer:
    scale = layer.weight_scale
    if scale is None or isinstance(scale, np.ndarray):
        raise CompileError(f"{where}: weight_scale must be one number that training fixed, not "
                           f"{None if scale is None else 'one of each channel'}: only then are weights whole steps")
    step = scale * 2.0**layer.weight_exponent
    whole, *others = whole_weights(layer)
    branches = tuple(replace(branch, weight=weight * step)
                     for branch, weight in zip(layer.branches, others, strict=True))
    return replace(layer, weight=whole * step, branches=branches)
