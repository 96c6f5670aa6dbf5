# SPDX-License-Identifier: MIT
"""Twins of the timing model as functions that Python can call, for tests of a twin alone."""

from functools import cache
from types import ModuleType, SimpleNamespace

import numba
from numba.core.dispatcher import Dispatcher

from ..timing.compilation import FROM_PYTHON

__all__ = ["callable_twins"]


@cache
def callable_twins(module: ModuleType) -> SimpleNamespace:
    """What is in a module of `firstspike_sim.timing`, its twins compiled again with the wrappers that `twin` leaves
    out."""
    return SimpleNamespace(**{
        name: numba.njit(value.py_func, error_model="numpy", **FROM_PYTHON)
        if isinstance(value, Dispatcher) else value for name, value in vars(module).items()})
