# SPDX-License-Identifier: MIT
"""Check of inputs: whatever array comes, a plain NumPy array of integers in the network's shape and range goes on."""

from typing import Any

import numpy as np
import torch
from firstspike_arch.network import IntegerNetwork

__all__ = ["check_inputs"]

_PLAIN = (np.uint8, np.int8, np.int16, np.int32, np.int64)
"""Types that torch and NumPy both calculate with."""


def check_inputs(network: IntegerNetwork, inputs: Any, *, some: bool = False) -> np.ndarray:
    """Return the inputs of a batch of inferences as a NumPy array.

    Parameters
    ----------
    inputs : array, tensor or nested list
        uint8[B, N] ("latency"), integers[B, N] ("direct"), or integers[B, T, N] ("events"), 1 ≤ T ≤ ``steps_max``, or
        any T ≥ 1 of an endless network;
        or with the axes C, H, W of the network's input in place of N. Integers may have any type, also bool.
    some : bool
        Whether there must be at least one inference.

    Returns
    -------
    uint8[B, N], integer[B, N] or integer[B, T, N]
        In the range of the network.

    Raises
    ------
    ValueError
        Wrong shape, type or range.
    """
    values, kind = _as_array(inputs), network.input_kind
    before = 2 if kind == "events" else 1
    if values.shape[before:] == network.input_shape:
        values = values.reshape(*values.shape[:before], network.inputs)
    if kind == "latency":
        if values.dtype != np.uint8 or values.ndim != 2 or values.shape[1] != network.inputs:
            raise ValueError(f"inputs must be uint8 images of shape (batch, {network.inputs}), not {values.dtype} of "
                             f"shape {values.shape}")
    elif kind == "direct":
        if values.ndim != 2 or values.shape[1] != network.inputs:
            raise ValueError(f"inputs must have shape (batch, {network.inputs}), not {values.shape}")
    elif values.ndim != 3 or values.shape[2] != network.inputs or not 1 <= values.shape[1] <= (
        network.longest or values.shape[1]
    ):
        steps = "steps" if network.endless else f"1…{network.steps_max} steps"
        raise ValueError(f"inputs must be {'numbers' if network.in_min else 'spike counts'} of shape (batch, {steps}, "
                         f"{network.inputs}), not {values.shape}")
    if some and not len(values):
        raise ValueError(f"inputs must be at least one inference, not none, of shape {values.shape}")
    if kind == "latency":
        return values
    if values.dtype.kind not in "iub":
        whole = values.dtype.kind == "f" and bool((np.isfinite(values) & (values == np.rint(values))).all())
        raise ValueError(f"inputs must be integers, not {values.dtype}: " + (
            "these are whole, and can be converted" if whole else "real numbers are whole multiples of input_scale"))
    if values.size:
        low, high = int(values.min()), int(values.max())
        if low < network.in_min or high > network.in_max:
            what = "numbers" if kind == "direct" or network.in_min else "spike counts"
            raise ValueError(f"inputs must be {what} {network.in_min}…{network.in_max}, not {low}…{high}")
    # Within the range, which is at most −256…255.
    return values if values.dtype in _PLAIN else values.astype(np.int16 if network.in_min else np.uint8)


def _as_array(inputs: Any) -> np.ndarray:
    """Convert what has the form of an array, to one that torch can take: without gaps, with this machine's bytes."""
    if isinstance(inputs, torch.Tensor):
        inputs = inputs.detach().cpu()
        inputs = (inputs.float() if inputs.dtype == torch.bfloat16 else inputs).numpy()
    try:
        values = np.asarray(inputs)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"inputs must be an array of integers: {str(error).split('. ')[0]}") from None
    if values.dtype.kind not in "biufc":
        raise ValueError(f"inputs must be an array of integers, not of {values.dtype}")
    return np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="), copy=False)).reshape(values.shape)
