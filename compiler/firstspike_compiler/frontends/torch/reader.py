# SPDX-License-Identifier: MIT
"""Reads networks of torch modules. All frontends for frameworks on torch share it; each adds its own neurons.

Numbers are read, as float64, from modules that the caller holds in memory; nothing is trained or loaded. A chain is not
run; any other ``forward`` runs through all steps on a copy of the model, on symbols instead of tensors (`trace`).
"""

from collections.abc import Sequence
from typing import Any, Unpack

from firstspike_arch.connectivity import Shape, as_shape
from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.network import INPUT
from torch import nn

from ...errors import CompileError
from ...passes.choose_scales import take_scales
from .check_run import Reference, check_run
from .combine import add_up, flatten, join, late, scale
from .connect import connect, normalise, passed_on, vote
from .fields import Fields
from .framework import AVERAGES, IDENTITIES, SYNAPSES, Call, Framework
from .graph import Node, Refused
from .layers import Layers
from .models import check_hooks, copied, keeps_nothing
from .options import check_eval
from .pools import average, largest
from .trace import Trace
from .values import OWN, Spikes, Synapses

__all__ = ["read_modules"]

_BATCHES = (5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107)
"""Sizes of a symbol's batch, of which one no other dimension should have: what acts on the batch then shows."""


def read_modules(
    framework: Framework, model: nn.Module | Sequence[nn.Module], *, in_shape: int | Sequence[int],
    **fields: Unpack[Fields],
) -> FloatNetwork:
    """Read the network of a model in evaluation mode.

    Parameters
    ----------
    framework : Framework
    model : nn.Module, or list of modules
        A chain, `nn.Sequential` or a list: the modules in the order in which they run in one step. Or any module whose
        ``forward`` calls modules, adds up, scales by constants, concatenates, pools and flattens what they give, the
        same in every step; it may take one step's input, or those of all steps, or run one input through all steps.
    in_shape : N, (N,), (C, L) or (C, H, W)
        (C, L) becomes a map of height 1.
    fields
        See `Fields`.

    Raises
    ------
    CompileError
        A module has no counterpart; the message names it.
    """
    weight_scale, weight_bits = fields.pop("weight_scale", None), fields.pop("weight_bits", None)
    reference = fields.pop("reference", None)
    try:
        empty = FloatNetwork(layers=(), **{"name": "imported", "input_kind": "events", **fields})
    except TypeError as error:
        raise CompileError(f"a network must have the fields of FloatNetwork: {error}") from None
    try:
        shape = as_shape(in_shape)
    except ValueError as error:
        raise CompileError(str(error)) from None
    reader = _Reader(framework, shape, empty, line=isinstance(in_shape, Sequence) and len(in_shape) == 2)
    network = reader.read(model)
    if reference is not None:
        reader.check(model, network, reference)
    return take_scales(network, reader.layers.scales(weight_scale), weight_bits)


class _Reader:
    """Builds the layers of a network from modules, taken in the order in which they run.

    Parameters
    ----------
    framework : Framework
    in_shape : (N,) or (C, H, W)
    line : bool
        Whether a map of height 1 is taken as (C, L).
    empty : FloatNetwork
        The network without its layers.

    Attributes
    ----------
    layers : Layers
    """

    def __init__(self, framework: Framework, in_shape: Shape, empty: FloatNetwork, *, line: bool):
        self._framework, self._empty, self._in_shape, self._line = framework, empty, in_shape, line
        self.layers = Layers(empty)
        self._seen: set[int] = set()  # modules of neurons
        self._calls: dict[str, Call] = {}  # names of modules whose forward was followed
        self._own_modules: dict[nn.Module, nn.Module] = {}  # those that were traced → the user's own

    def read(self, model: Any) -> FloatNetwork:
        """The network of a whole model."""
        self._framework.check_home(model)
        low, high = 0.0, 1.0
        if self._empty.input_kind != "latency":
            low, high = self._empty.in_min * self._empty.input_scale, self._empty.in_max * self._empty.input_scale
        source = Spikes.of("the input", INPUT, self._in_shape, low=low, high=high, line=self._line)
        return self.layers.end(self._run("model", model, source))

    def check(self, model: Any, network: FloatNetwork, reference: Reference) -> None:
        """Run the model beside the network that was read of it."""
        shape = self._in_shape
        check_run(self._framework, model, network, self.layers.names, self._calls, reference,
                  (shape[0], shape[2]) if self._line else shape)

    def _run(self, path: str, model: Any, value: Spikes | Synapses) -> Spikes | Synapses:
        """Return what a module gives for the value that it takes."""
        if isinstance(model, list | tuple):
            for index, child in enumerate(model):
                value = self._run(f"{path}[{index}]", child, value)
            return value
        if not isinstance(model, nn.Module):
            raise CompileError(f"{path} must be a torch module or a list of them, not {type(model).__name__}")
        where = f"{path} ({type(model).__name__})"
        check_hooks(where, model)
        if (inner := self._framework.inner(model)) is not model:
            return self._run(path, inner, value)
        if self._framework.children(model) is not None:
            for name, child in model._modules.items():  # named_children leaves out what is there a second time
                value = self._run(f"{path}.{name}", child, value)
            return value
        if self._framework.follows(model):
            return self._follow(path, where, model, value)
        if hasattr(model, "_orig_mod") or isinstance(model, nn.DataParallel):
            inside = "_orig_mod" if hasattr(model, "_orig_mod") else "module"
            raise CompileError(f"{where} must be given without its wrapper: {path}.{inside}")
        if path == "model":
            raise CompileError(f"{where} must be a Sequential, or the list of its modules in the order in which they "
                               "run")
        return self._take(where, model, value)

    def _follow(self, path: str, where: str, model: nn.Module, value: Spikes | Synapses) -> Spikes | Synapses:
        """Trace a ``forward`` of the user's own, and return what it gives."""
        framework = self._framework
        check_eval(where, model)  # its forward may depend on the mode
        calls: tuple[Call, ...] = ("step", "same", "all") if self._empty.input_kind == "direct" else ("step", "all")
        if any(protocol.all_steps if (protocol := framework.fires(one)) else framework.all_steps(one)
               for one in model.modules()):
            calls = ("all",)
        refused: list[tuple[int, Refused]] = []
        for call in calls:
            double = copied(model)
            pairs = [(f"{path}.{name}".rstrip("."), one)
                     for both in (double, model) for name, one in both.named_modules()]
            others = [(f"{name} ({type(one).__name__})", one) for name, one in pairs
                      if not framework.fires(one) and type(one) not in framework.delays]
            sizes = {size for one in model.parameters() for size in one.shape} | {*value.out_shape, self._empty.steps}
            trace = Trace(framework, {id(one): name for name, one in reversed(pairs)}, how=call,
                          steps=self._empty.steps, batch=next(one for one in _BATCHES if one not in sizes))
            source = Node(kind="input", where=value.where)
            try:
                with keeps_nothing(others):
                    node, membranes = trace.run(double, source, value.out_shape)
            except Refused as error:
                refused.append((trace.calls, error))
                continue
            if membranes and self._empty.readout != "potential":
                raise CompileError(f"{where} must return spikes for a {self._empty.readout} read-out, not membranes "
                                   "only")
            self._calls[path] = call
            self._own_modules.update(zip(double.modules(), model.modules(), strict=True))
            return self._evaluate(node, {source: value})
        raise max(reversed(refused), key=lambda one: one[0])[1]  # of the way that led furthest

    def _evaluate(self, node: Node, values: dict[Node, Spikes | Synapses]) -> Spikes | Synapses:
        """What a node of a trace gives; ``values`` has those that are known."""
        stack = [node]
        while stack:
            one = stack[-1]
            # Layers are made in the order in which neurons run; own spikes have no value of their own.
            missing = [other for other in one.inputs if other not in values and one.kind != "before"]
            if one not in values and missing:
                stack.append(missing[0])
                continue
            stack.pop()
            if one not in values:
                values[one] = self._value(one, [values[other] for other in one.inputs if other in values])
        return values[node]

    def _value(self, node: Node, inputs: list[Any]) -> Spikes | Synapses:
        if node.kind == "before":
            return Spikes.of(node.where, OWN, node.shape)
        if node.kind == "zero":
            raise CompileError("model must not take zeros alone: a tensor that is filled in place cannot be followed")
        if node.kind == "state":
            raise CompileError(f"{node.where} must pass on its spikes, not its membrane")
        if node.kind == "module" or node.kind == "neurons":
            return self._take(node.where, self._own_modules.get(node.module, node.module), inputs[0])
        for one in inputs:
            self.layers.check_fires(node.where, one)
        if node.kind == "add":
            return add_up(node.where, *inputs)
        if node.kind == "join":
            return join(node.where, inputs)
        assert node.kind == "scale"
        return scale(node.where, node.module, inputs[0])

    def _take(self, where: str, module: Any, value: Spikes | Synapses) -> Spikes | Synapses:
        """Return what a module of torch or of neurons gives for a value."""
        kind = self._framework.kind(module)
        self.layers.check_fires(where, value)
        if kind in self._framework.delays:
            return late(where, getattr(module, self._framework.delays[kind]), value)
        if kind in self._framework.votes:
            return vote(where, getattr(module, self._framework.votes[kind]), value)
        if kind in IDENTITIES:
            check_eval(where, module)
            return value
        if kind is nn.Flatten:
            return flatten(where, module, value)
        if kind in SYNAPSES:
            return connect(where, module, value)
        if kind is nn.BatchNorm1d or kind is nn.BatchNorm2d:
            return normalise(where, module, value)
        if kind in AVERAGES:
            return average(where, module, value)
        if kind is nn.MaxPool2d:
            if module.return_indices:
                raise CompileError(f"{where} must not have return_indices")
            return (largest(where, module, value) if isinstance(value, Synapses)
                    else self.layers.maximum(where, module, value))
        return self._neurons(where, module, value)

    def _neurons(self, where: str, module: nn.Module, value: Spikes | Synapses) -> Spikes:
        given = module
        if type(module) in self._framework.feedback:
            module, value = self._framework.feedback[type(module)](
                where, module, value, lambda shape: Spikes.of(where, OWN, shape),
                lambda one, taken: self._run(where.partition(" ")[0], one, taken))
        kind = type(module)
        if kind not in self._framework.neurons:
            raise CompileError(f"{where} must be a module that can be mapped: {self._framework.known}")
        if isinstance(value, Spikes):
            if len(value.terms) == 1:
                raise CompileError(f"{where} must come behind synapses, not behind {value.where}")
            value = passed_on(value.where, value)
        if id(given) in self._seen and self._framework.stateful(given):
            raise CompileError(f"{where} must have one place in the model: its membranes go on from call to call")
        self._seen.add(id(given))
        made = self._framework.neurons[kind](where, module, value)
        fired = self.layers.add(where, *(made if isinstance(made, tuple) else (made, value)))
        if self._framework.bounded(module) and any(one.source == INPUT for one in value.sets) and (
            self._empty.input_kind != "latency"
        ):
            self.layers.limit_input()
        return fired
