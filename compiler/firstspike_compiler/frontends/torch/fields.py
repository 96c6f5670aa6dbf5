# SPDX-License-Identifier: MIT
"""What a caller says of a network beside the model it is read from."""

from collections.abc import Sequence
from typing import Required, TypedDict

from firstspike_arch.float_network import InputKind, LeakRounding, Readout

from ...passes.choose_scales import WeightScale
from .check_run import Reference

__all__ = ["Fields"]


class Fields(TypedDict, total=False):
    """Fields of `FloatNetwork` that a model does not contain.

    Parameters
    ----------
    steps : int
    readout : str
        "potential" reads a model that ends in synapses, whose outputs are added up over the steps, or in neurons that
        do not fire, whose membranes after the last step count.
    input_kind : str
        Default "events".
    in_max : int
        Most events of an address in one step, or largest number of a direct input; default 1.
    weight_scale, weight_bits
        Real value of one step of the weights and their bits, as quantisation-aware training fixed them: one number, or
        one (or None) for each layer, see `take_scales`. One number is for layers without a BatchNorm, after which each
        channel has a step of its own.
    reference : function
        Runs the network that was read, beside which the model itself is run on a few random inputs, see
        `check_run`; the functions of `firstspike` give it. None: nothing is run.
    leak_rounding : str
        As in `FloatNetwork`.
    """

    name: str
    steps: Required[int]
    readout: Required[Readout]
    input_kind: InputKind
    cutoff: int
    in_min: int
    in_max: int
    input_scale: float
    step_weights: tuple[int, ...]
    endless: bool
    weight_scale: WeightScale
    weight_bits: int | Sequence[int]
    reference: Reference
    leak_rounding: LeakRounding
    accuracy: dict[str, float]
    recipe: dict
