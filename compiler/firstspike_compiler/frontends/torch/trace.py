# SPDX-License-Identifier: MIT
"""Traces the ``forward`` of torch models: which modules one step runs, on what, and that all steps do the same.

A copy of the model runs on symbols: tensors with a shape and no numbers, which record what acts on them. Neurons do not
run; they hand out symbols for their spikes and states, each with its step. An operation on the same symbols in a later
step must be one that the first step had, so that a ``forward`` that differs from step to step is refused.
"""

import inspect
from typing import Any

import torch
from firstspike_arch.connectivity import Shape
from torch import nn

from ...errors import CompileError
from .framework import Call, Framework
from .graph import Node, Refused
from .models import check_hooks, first_line, replaced_calls
from .operations import Operations
from .options import check_eval
from .sites import Sites
from .symbol import ALL, ALWAYS, SUM, Symbol, leaves

__all__ = ["Trace"]


class Trace:
    """The steps of a model, traced with one symbol for its input.

    Parameters
    ----------
    framework : Framework
    names : dict
        id of each module, of the model and of its copy → its name for messages.
    how : str
        How the model takes its input, see `Call`.
    steps : int
    batch : int
        Size of the symbols' batches, which no other dimension has.
    """

    def __init__(self, framework: Framework, names: dict[int, str], *, how: Call, steps: int, batch: int):
        self._framework, self._names = framework, names
        self._symbols = Operations(steps=steps, batch=batch, how=how)
        self._sites = Sites(self._symbols)
        self._shapes: dict[tuple[int, Shape], Shape] = {}  # shapes of what modules made of shapes

    @property
    def calls(self) -> int:
        """Number of operations so far."""
        return self._symbols.calls

    def run(self, model: nn.Module, value: Node, shape: Shape) -> tuple[Node, bool]:
        """Trace all steps of a model; return the node that it gives, and whether it gives the states of these neurons,
        and no spikes."""
        symbols = self._symbols
        given: list[tuple[Node, bool]] = []
        handed: tuple = ()
        with replaced_calls(self._instead):
            for step in range(symbols.steps if symbols.how == "step" else 1):
                when = {"step": step, "same": ALWAYS, "all": ALL}[symbols.how]
                symbols.calls += 1
                try:
                    out = model(symbols.symbol(value, shape, when), *handed)
                except CompileError:
                    raise
                except Exception as error:  # whatever a forward does with tensors without numbers
                    raise symbols.refuse(f"{type(error).__name__}: {first_line(error)}") from error
                if "state" in inspect.signature(model.forward).parameters and isinstance(out, tuple) and len(out) == 2:
                    handed = out[1:]
                given.append(self._given(out, step if symbols.how == "step" else None))
                if given[0][0] is not given[-1][0]:
                    raise symbols.refuse(f"it gives {given[0][0].where} in one step, and {given[-1][0].where} in "
                                         "another")
        self._sites.close()
        return given[-1]

    def _instead(self, original: Any, module: nn.Module, *args, **kwargs) -> Any:
        """What a call of any module gives, of symbols or of other tensors."""
        given = [one for one in leaves([args, kwargs]) if isinstance(one, torch.Tensor)]
        ours = id(module) in self._names
        if any(isinstance(one, Symbol) for one in given):
            return self._call(module, args, kwargs)
        if ours and given and not isinstance(module, nn.Sequential) and not self._framework.follows(module) and (
                all(one.device.type != "meta" and not one.any() for one in given)):
            zeros = self._symbols.symbol(self._symbols.graph.zero, tuple(given[0].shape)[1:], ALWAYS)
            return self._call(module, (zeros, *args[1:]), kwargs)
        return original(module, *args, **kwargs)

    def _call(self, module: nn.Module, args: tuple, kwargs: dict) -> Any:
        """What a module gives for symbols."""
        framework, symbols = self._framework, self._symbols
        symbols.calls += 1
        path = self._names.get(id(module))
        if path is None:
            raise symbols.refuse(f"it calls a {type(module).__name__} that is not a part of the model")
        where = f"{path} ({type(module).__name__})"
        check_hooks(where, module)
        protocol = framework.fires(module)
        if protocol is not None:
            return self._sites.fire(where, module, protocol, args, kwargs)
        only = args[0] if len(args) == 1 and not kwargs and isinstance(args[0], Symbol) else None
        followed = type(module).forward is nn.Sequential.forward or framework.follows(module)
        if only is not None and not followed and framework.children(module) is not None:
            return symbols.like(only, *self._each_step(module, only.node, only.step_shape, only))
        if followed:
            check_eval(where, module)
            symbols.path.append(where)
            try:
                return module.forward(*args, **kwargs)
            finally:
                symbols.path.pop()
        if only is None:
            raise symbols.refuse(f"{where} must be called with one tensor")
        if "forward" in module.__dict__:
            raise CompileError(f"{where} must have the forward of its class, not one of its own")
        return self._whole(where, module, only)

    def _whole(self, where: str, module: nn.Module, value: Symbol) -> Symbol:
        """What a module that is not followed gives."""
        given, lead = tuple(value.shape), value.lead
        out = self._shapes.get((id(module), given))
        if out is None:
            try:
                with torch._C.DisableTorchFunctionSubclass():
                    out = self._shapes[id(module), given] = _shape_only(module, given)
            except Exception as error:
                raise Refused(f"{where} must take what comes in, as torch does: {first_line(error)}") from None
        if out[:lead] != given[:lead]:
            raise Refused(f"{where} must act on each step and inference alone: it makes {out} of {given}, which is "
                          f"{'[T, B, …]' if lead == 2 else '[B, …]'}")
        node = self._symbols.graph.make("module", where, value.node, module=module)
        return self._symbols.like(value, node, out[lead:])

    def _each_step(self, module: nn.Module, node: Node, shape: Shape, like: Symbol) -> tuple[Node, Shape]:
        """A module inside a container that runs it on each step alone, or, if it is of neurons, on all steps."""
        chain = self._framework.children(module)
        if chain is not None:
            for one in chain:
                node, shape = self._each_step(one, node, shape, like)
            return node, shape
        protocol = self._framework.fires(module)
        times, folded = [like.when], False
        if like.when == ALL and protocol is not None and not protocol.all_steps:
            times = range(self._symbols.steps)
        elif like.when == ALL:
            folded = protocol is None and not self._framework.follows(module)
        given = [self._symbols.symbol(node, shape, when, folded=folded) for when in times]
        *_, out = [self._call(module, (one,), {}) for one in given]
        out = out[0] if isinstance(out, tuple) else out
        return out.node, out.step_shape

    def _given(self, out: Any, step: int | None) -> tuple[Node, bool]:
        """The node that a model gives, of what its forward returned, and whether it gives its states only."""
        symbols = self._symbols
        values = [one for one in (symbols.value(item) for item in (
            [out] if not isinstance(out, tuple | list) or symbols.all_steps(out) else out)) if one is not None]
        if not values:
            raise symbols.refuse(f"it returns {type(out).__name__}, none of which is a value of the model")
        one = next((value for value in values if value.node.kind != "state"), values[0])
        state = one.node.kind == "state"
        whole = one.when in (ALL, ALWAYS, step) or (one.when == SUM and one.count == symbols.steps) or (
            state and one.when == symbols.steps - 1)
        if not whole or one.folded:
            raise symbols.refuse("it must return the values of all steps, or their sum")
        return (one.node.inputs[0] if state else one.node), state


def _shape_only(module: nn.Module, given: Shape) -> Shape:
    """The shape that a module makes of one, with nothing computed."""
    numbers = {name: one.to("meta") for name, one in (*module.named_parameters(), *module.named_buffers())}
    with torch.no_grad():
        return tuple(torch.func.functional_call(module, numbers, (torch.empty(given, device="meta"),)).shape)
