# SPDX-License-Identifier: MIT
"""Options of torch modules as numbers, checked: every function takes ``where``, the module's name for messages."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from firstspike_arch.shown import shown
from torch import nn

from ...errors import CompileError
from .values import Synapses

__all__ = ["as_array", "as_pair", "check_eval", "check_heaviside", "per_channel", "single"]

_PROBE = (-1e3, -1.0, -0.5, -1e-3, -1e-6, 0.0, 1e-6, 1e-3, 0.5, 1.0, 1e3)


def per_channel(where: str, name: str, value: Any, synapses: Synapses) -> np.ndarray:
    """float64[C] from a number, or from a tensor that torch would broadcast to the neurons.

    Raises
    ------
    CompileError
        The shape does not fit, a value is not finite, or neurons of one channel differ.
    """
    array, shape = as_array(value), synapses.out_shape
    if array.ndim > len(shape) and array.shape[: array.ndim - len(shape)] == (1,) * (array.ndim - len(shape)):
        array = array.reshape(array.shape[array.ndim - len(shape) :])
    try:
        spread = np.broadcast_to(array, shape).reshape(synapses.channels, -1)
    except ValueError:
        raise CompileError(f"{where} must have a {name} that fits its neurons {shape}, not one of shape "
                           f"{array.shape}") from None
    if not np.isfinite(spread).all():
        raise CompileError(f"{where} must have a finite {name}, not {shown(value)}")
    if (spread != spread[:, :1]).any():
        raise CompileError(f"{where} must have the same {name} for all neurons of a channel")
    return spread[:, 0].copy()


def single(where: str, name: str, value: Any) -> float:
    """The number that all neurons of a layer share.

    Raises
    ------
    CompileError
        Values differ or are not finite.
    """
    array = as_array(value)
    if not array.size or (array != array.flat[0]).any() or not np.isfinite(array.flat[0]):
        raise CompileError(f"{where} must have one finite {name} for all its neurons, not {shown(value)}")
    return float(array.flat[0])


def check_heaviside(where: str, fire: Callable[[torch.Tensor], torch.Tensor], *, at_zero: bool) -> None:
    """Check that the forward function of a surrogate is a step function.

    Raises
    ------
    CompileError
        It is not: 1 for x > 0, and for x = 0 if ``at_zero``, and 0 otherwise.
    """
    with torch.no_grad():
        values = torch.tensor(_PROBE)
        fired = fire(values)
    if not torch.equal(fired, ((values >= 0) if at_zero else (values > 0)).to(fired.dtype)):
        raise CompileError(f"{where} must have a surrogate that is 1 for {'≥' if at_zero else '>'} 0 and else 0")


def check_eval(where: str, module: nn.Module) -> None:
    """Raise CompileError for a module in training mode."""
    if module.training:
        raise CompileError(f"{where} must be in evaluation mode: call model.eval() first")


def as_array(value: Any) -> np.ndarray:
    """A number, array or tensor as a float64 array."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().to(torch.float64).numpy()
    return np.array(value, dtype=np.float64)


def as_pair(value: Any, down: int | None = None) -> tuple[int, int]:
    """An option of torch, one number or two, as (vertical, horizontal); ``down``: the vertical one of a line."""
    first, second = (value, value) if isinstance(value, int) else value if len(value) == 2 else (value[0], value[0])
    return int(first if down is None else down), int(second)
