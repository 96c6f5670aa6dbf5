# SPDX-License-Identifier: MIT
"""Faults planted in modules that are loaded: their functions run other code for a while."""

import importlib
import inspect
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proof import Fault

__all__ = ["faulty_source", "planted"]


def faulty_source(fault: Fault) -> str:
    """The source of the fault's module, with the fault.

    Raises
    ------
    ValueError
        The text to be replaced does not stand there exactly once.
    """
    text = Path(inspect.getfile(importlib.import_module(fault.module))).read_text()
    if text.count(fault.find) != 1:
        raise ValueError(f"{fault.module} must contain what is replaced exactly once, not {text.count(fault.find)} "
                         f"times, for the planted fault {fault.find!r}")
    return text.replace(fault.find, fault.replace)


@contextmanager
def planted(fault: Fault) -> Iterator[None]:
    """Plant a fault in a module; what others have imported from it is faulty, too, until the end of the context."""
    module = importlib.import_module(fault.module)
    other = types.ModuleType(fault.module)
    other.__package__, other.__file__ = module.__package__, module.__file__
    exec(compile(faulty_source(fault), fault.module, "exec"), other.__dict__)
    faulty, kept = dict(_functions(other)), []
    for name, function in _functions(module):
        kept.append((function, function.__code__))
        function.__code__ = faulty[name].__code__
    try:
        yield
    finally:
        for function, code in kept:
            function.__code__ = code


def _functions(module: types.ModuleType) -> Iterator[tuple[str, types.FunctionType]]:
    """The functions and methods that a module defines, by name."""
    for name, one in vars(module).items():
        if inspect.isfunction(one) and one.__module__ == module.__name__:
            yield name, one
        elif inspect.isclass(one) and one.__module__ == module.__name__:
            yield from ((f"{name}.{part}", method) for part, method in vars(one).items() if inspect.isfunction(method))
