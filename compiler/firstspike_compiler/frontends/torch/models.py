# SPDX-License-Identifier: MIT
"""Torch models as they are handed in: their modules by name, copies, their calls, and whether a run leaves them as
they were."""

import copy
import inspect
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from ...errors import CompileError

__all__ = ["check_hooks", "copied", "first_line", "keeps_nothing", "named_modules", "replaced_calls"]


def first_line(error: Exception) -> str:
    """The first line of a message, or the kind of an error without one."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def check_hooks(where: str, module: nn.Module) -> None:
    """Raise CompileError for a module with hooks on its forward."""
    from torch.nn.modules import module as globals_of

    if module._forward_hooks or module._forward_pre_hooks:
        raise CompileError(f"{where} must have no forward hooks: what they change cannot be seen")
    if globals_of._global_forward_hooks or globals_of._global_forward_pre_hooks:
        raise CompileError(f"{where} must be read without forward hooks for all modules: what they change cannot be "
                           "seen")


def copied(model: Any) -> Any:
    """A copy of a model, or a list of modules, also of one with results of autograd among its attributes. Modules that
    would copy themselves are copied by their attributes: what sinabs's layers make is in training mode, and of an ALIF
    has another norm_input, or none at all.

    Raises
    ------
    CompileError
        An attribute cannot be copied.
    """
    memo: dict[int, Any] = {}
    for _, module in named_modules(model):
        for tensors in (module._parameters, module._buffers, module.__dict__):
            for one in tensors.values():
                if isinstance(one, nn.Parameter):
                    memo[id(one)] = nn.Parameter(one.detach().clone(), requires_grad=False)
                elif isinstance(one, torch.Tensor):
                    memo[id(one)] = one.detach().clone()
    try:
        for _, module in reversed([*named_modules(model)]):  # those inside first
            if hasattr(module, "__deepcopy__"):
                memo[id(module)] = made = type(module).__new__(type(module))
                made.__dict__.update(copy.deepcopy(module.__dict__, memo))
        return copy.deepcopy(model, memo)
    except Exception as error:
        raise CompileError(f"model must be one that copy.deepcopy can copy: {first_line(error)}") from None


def named_modules(model: Any, path: str = "model") -> Iterator[tuple[str, nn.Module]]:
    """Yield all modules of a model, or of a list of modules, with their names."""
    if isinstance(model, nn.Module):
        yield from ((f"{path}.{name}".rstrip("."), one) for name, one in model.named_modules())
    elif isinstance(model, list | tuple):
        for index, one in enumerate(model):
            yield from named_modules(one, f"{path}[{index}]")


@contextmanager
def replaced_calls(call: Callable[..., Any]) -> Iterator[None]:
    """Let ``call(original, module, *args, **kwargs)`` give what a call of any module does."""
    original = nn.Module.__call__
    nn.Module.__call__ = lambda module, *args, **kwargs: call(original, module, *args, **kwargs)
    try:
        yield
    finally:
        nn.Module.__call__ = original


@contextmanager
def keeps_nothing(modules: Sequence[tuple[str, nn.Module]]) -> Iterator[None]:
    """Check that running forwards changes nothing that could change what they do the next time.

    Compared before and after are the modules' attributes, parameters and buffers, what their forwards read from
    outside, and the states of random numbers.

    Parameters
    ----------
    modules : pairs of name and module

    Raises
    ------
    CompileError
        Something differs; the message names it.
    """
    kept: list[Any] = []  # so that no id is given again
    before = [_fingerprints(module, kept) for _, module in modules]
    drawn = _random_states()
    yield
    for (where, module), old in zip(modules, before, strict=True):
        new = _fingerprints(module, kept)
        changed = next((name for name in {**old, **new} if old.get(name) != new.get(name)), None)
        if changed is not None:
            raise CompileError(f"{where} must keep nothing from step to step on its own, but its forward changes "
                               f"{changed}: only neurons have states; hand others around as local variables")
    if _random_states() != drawn:
        raise CompileError("model must not draw random numbers in its forward: no two runs would be the same")


def _random_states() -> tuple:
    return random.getstate(), torch.get_rng_state().numpy().tobytes(), str(np.random.get_state())


def _fingerprints(module: nn.Module, kept: list[Any]) -> dict[str, Any]:
    """What is comparable of all that a forward could change or depend on, by name."""
    plain = vars(nn.Module())
    ours = {name: value for name, value in vars(module).items() if name not in plain}
    values = {**module._parameters, **module._buffers, **ours}
    found = {name: _fingerprint(value, kept) for name, value in values.items()}
    for function in (type(module).forward, *(one for one in ours.values() if inspect.isfunction(one))):
        try:
            outside = inspect.getclosurevars(function)
        except (TypeError, ValueError):  # not written in Python
            continue
        for name, value in (*outside.nonlocals.items(), *outside.globals.items()):
            if not inspect.ismodule(value) and not callable(value):
                found[f"{name}, which stands outside of it"] = _fingerprint(value, kept)
    return found


def _fingerprint(value: Any, kept: list[Any], depth: int = 4) -> Any:
    kept.append(value)
    if isinstance(value, torch.Tensor):
        with torch._C.DisableTorchFunctionSubclass():  # symbols, too
            return id(value), value._version
    if isinstance(value, int | float | str | bytes | None):
        return value
    if isinstance(value, np.ndarray):
        return id(value), value.tobytes()
    if depth and isinstance(value, dict):
        return [(key, _fingerprint(one, kept, depth - 1)) for key, one in value.items()]
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [len(value), *(_fingerprint(one, kept, depth - 1) for one in value)]
    if depth and not isinstance(value, nn.Module) and hasattr(value, "__dict__") and not callable(value):
        return id(value), _fingerprint(vars(value), kept, depth - 1)
    return id(value)
