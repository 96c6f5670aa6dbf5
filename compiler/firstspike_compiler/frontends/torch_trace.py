# SPDX-License-Identifier: MIT
"""Traces the ``forward`` of torch models: which modules one step runs, on what, and that all steps do the same.

A copy of the model runs on symbols: tensors with a shape and no numbers, which record what acts on them. Neurons do not
run; they hand out symbols for their spikes and states, each with its step. An operation on the same symbols in a later
step must be one that the first step had, so that a ``forward`` that differs from step to step is refused.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from firstspike_arch.connectivity import Shape, size_of
from firstspike_arch.shown import shown
from torch import nn

from ..errors import CompileError
from .torch_models import check_hooks, first_line
from .torch_synapses import as_array

__all__ = ["Call", "Node", "Protocol", "Refused", "Trace"]

Call = Literal["step", "same", "all"]
"""How a forward takes its input: one step's at a time, [B, …], called once for each step; one that it runs through all
steps, [B, …]; or those of all steps, [T, B, …]."""

ALWAYS, ALL, SUM = "always", "all", "sum"
"""Times of a symbol besides the number of a step: the same in every step; all steps, [T, B, …]; their sum, [B, …]."""

_SAME = ("detach", "clone", "contiguous", "float", "to", "requires_grad_", "cpu", "type_as")
"""Methods that leave the numbers as they are."""
_SHAPES = ("size", "dim", "numel", "__len__", "is_floating_point", "ndimension", "is_complex")
_ATTRIBUTES = ("shape", "dtype", "ndim", "requires_grad", "is_sparse", "is_cuda", "layout", "is_meta", "is_quantized")
_RESHAPED = ("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as")
_ADD, _SUBTRACT = ("add", "__add__", "__radd__", "__iadd__", "add_"), ("sub", "__sub__", "__isub__", "sub_")
_SCALE = ("mul", "__mul__", "__rmul__", "__imul__", "mul_", "div", "__truediv__", "__itruediv__", "div_", "true_divide")
_POOLS = {"max_pool2d": nn.MaxPool2d, "avg_pool2d": nn.AvgPool2d, "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
          "avg_pool1d": nn.AvgPool1d, "adaptive_avg_pool1d": nn.AdaptiveAvgPool1d, "dropout": nn.Dropout}


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How neurons are called.

    Parameters
    ----------
    all_steps : bool
        They take the currents of all steps, [T, B, …], instead of one step's.
    states : int
        Number of states that a call returns behind the spikes, each a tensor; 0: one object.
    spikes_only : bool
        A call returns no states.
    kept : bool
        A call that is given no states goes on from those of the last call.
    neurons : int
        Number of neurons, if they are a vector of another shape than the currents; 0: one for each current.
    """

    all_steps: bool = False
    states: int = 0
    spikes_only: bool = True
    kept: bool = True
    neurons: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """A value of one step: what something gives for the values that it takes.

    Parameters
    ----------
    kind : str
        "input"; "module", which acts on one value; "neurons"; "state" of neurons; "before": spikes of the neurons in
        the step before; "zero"; "add" and "join" (concatenate channels) of several values; "scale".
    where : str
        Name for messages.
    inputs : list of Node
    module : Any
        Module of "module" and "neurons", factor of "scale".
    shape : tuple
        Of "neurons" and "before".
    """

    kind: str
    where: str
    inputs: list["Node"] = field(default_factory=list)
    module: Any = None
    shape: Shape = ()


class Symbol(torch.Tensor):
    """A tensor without numbers: a node's value at a time (see `ALWAYS`); ``folded``: [T·B, …] instead of [T, B, …]."""

    node: Node
    when: int | str
    folded: bool
    count: int
    trace: "Trace"

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        symbol = next(one for one in _flat([args, kwargs or {}]) if isinstance(one, Symbol))
        return symbol.trace.operation(func, args, kwargs or {})


@dataclass(eq=False)
class _Site:
    """Neurons at one place: what they took in each step so far."""

    node: Node
    shape: Shape
    steps: int = 0
    first: Node | None = None
    later: Node | None = None


class Refused(CompileError):  # noqa: N818
    """A forward that cannot be followed."""


class Trace:
    """The steps of a model, traced with one symbol for its input.

    Parameters
    ----------
    names : dict
        id of each module, of the model and of its copy → its name for messages.
    steps : int
    protocol : function of module
        `Protocol` of a module of neurons; None for other modules.
    inner, children
        Functions of a module: the one inside a wrapper, or itself; and the modules that a container runs one after the
        other in every step, or None.
    follows : function of module
        Whether its forward is run with symbols. Other modules are taken as a whole.
    batch : int
        Size of the symbols' batches, which no other dimension has.

    Attributes
    ----------
    calls : int
        Number of operations so far.
    membranes : bool
        The model gives the states of neurons, and no spikes.
    """

    def __init__(
        self, names: dict[int, str], steps: int, *, protocol: Callable[[Any], Protocol | None],
        inner: Callable[[nn.Module], nn.Module], children: Callable[[nn.Module], Sequence[nn.Module] | None],
        follows: Callable[[nn.Module], bool], batch: int,
    ):
        self._names, self._steps, self._protocol = names, steps, protocol
        self._inner, self._children, self._follows = inner, children, follows
        self._nodes: dict[tuple, Node] = {}
        self._shapes: dict[Node, Shape] = {}
        self._outputs: dict[tuple[int, Shape], Shape] = {}  # shapes of what modules made of shapes
        self._sites: dict[Node, _Site] = {}
        self._kept: dict[str, _Site] = {}  # sites of modules that keep their states, by name
        self._path: list[str] = []
        self._how: Call = "step"
        self._records: dict[int, tuple[torch.Tensor, dict[int, Symbol]]] = {}
        self.calls = 0
        self.membranes = False
        self.batch = batch

    # nodes

    def make(self, kind: str, where: str, *inputs: Node, module: Any = None, key: Any = None) -> Node:
        """The node of an operation; the same operation on the same nodes is the same node."""
        if kind == "add" and any(one.kind == "zero" for one in inputs):
            return next((one for one in inputs if one.kind != "zero"), inputs[0])
        if inputs and all(one.kind == "zero" for one in inputs) and getattr(module, "bias", None) is None:
            return inputs[0]
        found = self._nodes.get(place := (kind, where if key is None else key, inputs))
        if found is None:
            found = self._nodes[place] = Node(kind=kind, where=where, inputs=list(inputs), module=module,
                                              shape=inputs[0].shape if kind == "before" else ())
        return found

    def before(self, node: Node, where: str) -> Node:
        """The node's value in the step before."""
        if node.kind == "neurons":
            return self.make("before", node.where, node, key=id(node))
        if node.kind == "input" and self._how == "same":
            return node
        if node.kind == "input":
            raise Refused(f"{where} must not take an input of an earlier step: a forward that runs one input through "
                          "all steps is read with input_kind 'direct', or must take those of all steps, [T, B, …]; and "
                          "a current that lasts must be that of neurons")
        if node.kind in ("before", "state"):
            raise Refused(f"{where} must take spikes of the step before only, of its own neurons")
        if node.kind == "zero":
            return node
        return self._rebuilt(node, [self.before(one, where) for one in node.inputs])

    def _at_first(self, node: Node) -> Node:
        """The node with nothing in the step before."""
        if node.kind == "before":
            return self.zero
        if node.kind in ("input", "zero", "neurons", "state"):
            return node
        return self._rebuilt(node, [self._at_first(one) for one in node.inputs])

    def _rebuilt(self, node: Node, inputs: list[Node]) -> Node:
        key = next(place[1] for place, one in self._nodes.items() if one is node)
        return self.make(node.kind, node.where, *inputs, module=node.module, key=key)

    @property
    def zero(self) -> Node:
        return self.make("zero", "zeros", key="zero")

    # symbols

    def symbol(self, node: Node, shape: Shape, when: int | str, *, folded: bool = False, count: int = 0) -> Symbol:
        """A tensor that stands for a node's value, of this shape in one step."""
        self._shapes.setdefault(node, shape)
        lead = (self.batch,) if when != ALL else (
            (self._steps * self.batch,) if folded else (self._steps, self.batch))
        made = torch.Tensor._make_subclass(Symbol, torch.empty(*lead, *shape, device="meta"))
        made.node, made.when, made.folded, made.count, made.trace = node, when, folded, count, self
        return made

    def _like(self, one: Symbol, node: Node, shape: Shape) -> Symbol:
        return self.symbol(node, shape, one.when, folded=one.folded, count=one.count)

    def _lead(self, one: Symbol) -> int:
        return 2 if one.when == ALL and not one.folded else 1

    def _shape(self, one: Symbol) -> Shape:
        return tuple(one.shape)[self._lead(one):]

    @property
    def where(self) -> str:
        return self._path[-1] if self._path else "model"

    def _refuse(self, what: str) -> Refused:
        return Refused(f"{self.where} must have a forward that calls modules, adds, scales by constants, concatenates "
                       f"channels, pools and flattens, the same in every step, and no more: {what}")

    # modules

    def run(self, model: nn.Module, value: Node, shape: Shape, how: Call) -> tuple[Node, Shape]:
        """Trace all steps of a model; return the node that it gives, and its shape."""
        found: Node | None = None
        handed: tuple = ()
        calls = self._steps if how == "step" else 1
        self._how = how
        with self._patched():
            for step in range(calls):
                when = {"step": step, "same": ALWAYS, "all": ALL}[how]
                self.calls += 1
                try:
                    out = model(self.symbol(value, shape, when), *handed)
                except CompileError:
                    raise
                except Exception as error:  # whatever a forward does with tensors without numbers
                    raise self._refuse(f"{type(error).__name__}: {first_line(error)}") from error
                if "state" in inspect.signature(model.forward).parameters and isinstance(out, tuple) and len(out) == 2:
                    handed = out[1:]
                node = self._given(out, step if how == "step" else None)
                if found is not None and node is not found:
                    raise self._refuse(f"it gives {found.where} in one step, and {node.where} in another")
                found = node
        assert found is not None
        for site in self._sites.values():
            if site.steps != self._steps:
                raise Refused(f"{site.node.where} must run {self._steps} steps, as many as steps says, not "
                              f"{site.steps}")
            assert site.first is not None
            site.node.inputs[:] = [site.first if site.later is None else site.later]
        return found, self._shapes[found]

    @contextmanager
    def _patched(self) -> Iterator[None]:
        original = nn.Module.__call__

        def call(module: nn.Module, *args, **kwargs):
            given = [one for one in _flat([args, kwargs]) if isinstance(one, torch.Tensor)]
            ours = id(module) in self._names
            if any(isinstance(one, Symbol) for one in given):
                return self._call(module, args, kwargs)
            if ours and given and not isinstance(module, nn.Sequential) and not self._follows(module) and (
                    all(one.device.type != "meta" and not one.any() for one in given)):
                zeros = self.symbol(self.zero, tuple(given[0].shape)[1:], ALWAYS)
                return self._call(module, (zeros, *args[1:]), kwargs)
            return original(module, *args, **kwargs)

        nn.Module.__call__ = call
        try:
            yield
        finally:
            nn.Module.__call__ = original

    def _call(self, module: nn.Module, args: tuple, kwargs: dict) -> Any:
        """What a module gives for symbols."""
        self.calls += 1
        path = self._names.get(id(module))
        if path is None:
            raise self._refuse(f"it calls a {type(module).__name__} that is not a part of the model")
        where = f"{path} ({type(module).__name__})"
        check_hooks(where, module)
        protocol = self._protocol(module)
        if protocol is not None:
            return self._fire(where, module, protocol, args, kwargs)
        first = args[0] if args else None
        chain = self._chain(module)
        if chain is not None and isinstance(first, Symbol) and len(args) == 1 and not kwargs:
            node, shape = first.node, self._shape(first)
            for one in chain:
                node, shape = self._each_step(one, node, shape, first)
            return self._like(first, node, shape)
        if type(module).forward is nn.Sequential.forward or self._follows(module):
            if module.training:
                raise CompileError(f"{where} must be in evaluation mode: call model.eval() first")
            self._path.append(where)
            try:
                return module.forward(*args, **kwargs)
            finally:
                self._path.pop()
        if len(args) != 1 or kwargs or not isinstance(first, Symbol):
            raise self._refuse(f"{where} must be called with one tensor")
        if "forward" in module.__dict__:
            raise CompileError(f"{where} must have the forward of its class, not one of its own")
        given, lead = tuple(first.shape), self._lead(first)
        out = self._outputs.get((id(module), given))
        if out is None:
            try:
                with torch._C.DisableTorchFunctionSubclass():
                    out = self._outputs[id(module), given] = _shape_only(module, given)
            except Exception as error:
                raise Refused(f"{where} must take what comes in, as torch does: {first_line(error)}") from None
        if out[:lead] != given[:lead]:
            raise Refused(f"{where} must act on each step and inference alone: it makes {out} of {given}, which is "
                          f"{'[T, B, …]' if lead == 2 else '[B, …]'}")
        return self._like(first, self.make("module", where, first.node, module=module), out[lead:])

    def _chain(self, module: nn.Module) -> Sequence[nn.Module] | None:
        """The modules of a container that gives each of them one step at a time; None if it is none."""
        if self._follows(module) or type(module).forward is nn.Sequential.forward:
            return None
        return self._children(module)

    def _each_step(self, module: nn.Module, node: Node, shape: Shape, like: Symbol) -> tuple[Node, Shape]:
        """A module inside a container that runs it on each step alone, or, if it is of neurons, on all steps."""
        chain = self._children(module)
        if chain is not None:
            for one in chain:
                node, shape = self._each_step(one, node, shape, like)
            return node, shape
        protocol = self._protocol(module)
        if protocol is not None and not protocol.all_steps and like.when == ALL:
            value = [self.symbol(node, shape, step) for step in range(self._steps)]
            out = [self._spikes(self._call(module, (one,), {})) for one in value]
            return out[-1].node, self._shape(out[-1])
        folded = like.when == ALL and protocol is None and not self._follows(module)
        given = self.symbol(node, shape, like.when, folded=folded)
        out = self._spikes(self._call(module, (given,), {}))
        return out.node, self._shape(out)

    @staticmethod
    def _spikes(out: Any) -> Symbol:
        return out[0] if isinstance(out, tuple) else out

    # neurons

    def _fire(self, where: str, module: nn.Module, protocol: Protocol, args: tuple, kwargs: dict) -> Any:
        given = args[0] if args else None
        if not isinstance(given, Symbol):
            raise self._refuse(f"{where} must be called with its currents first")
        handed = [*args[1:], *kwargs.values()]
        tokens = [one for one in _flat(handed) if isinstance(one, (Symbol, _Handed))]
        for one in _flat(handed):
            if isinstance(one, torch.Tensor) and not isinstance(one, Symbol) and bool(one.any()):
                raise CompileError(f"{where} must start from its resting state, not from another")
        shape = (protocol.neurons,) if protocol.neurons else self._shape(given)
        if protocol.all_steps:
            if given.when != ALL or given.folded:
                raise Refused(f"{where} must take the currents of all steps, [T, B, …]")
            if tokens or (protocol.kept and where in self._kept):
                raise self._two_places(where)
            site = self._site(where, module, shape)
            self._kept[where] = site
            site.steps, site.first = self._steps, given.node
            return self._out(site, given, protocol)
        if given.when in (ALL, SUM):
            raise Refused(f"{where} must take the currents of one step, [B, …]")
        if tokens:
            owners = {_owner(one) for one in tokens}
            site = self._sites.get(next(iter(owners)))
            if site is None or len(owners) > 1 or site.node.module is not module or any(
                    one.when != site.steps - 1 for one in tokens):
                raise self._refuse(f"{where} must get the states that it gave in the step before")
        elif not protocol.kept or any(isinstance(one, torch.Tensor) for one in _flat(handed)):
            site = self._site(where, module, shape)
        else:
            if where not in self._kept:
                self._kept[where] = self._site(where, module, shape)
            site = self._kept[where]
        node, step = given.node, site.steps
        if given.when not in (ALWAYS, step):
            if step == 0 and self._how == "step":
                raise Refused(f"{where} must go on from its states of the step before, not start anew in every call: "
                              "keep them in the module, or run all steps in the forward")
            if step == 0:
                raise Refused(f"{where} must run all steps in their order and start once, not in step {given.when}")
            if given.when != step - 1 or (not tokens and self._how == "step"):
                if not tokens:
                    raise self._two_places(where)
                raise self._refuse(f"{where} takes values of step {given.when} in step {step}")
            node = self.before(node, where)
        if step == 0:
            site.first = node
        elif site.later is None:
            site.later = node
            self._own(where, site)
            if self._at_first(node) is not site.first:
                raise self._unlike(where, site.first, node, step)
        elif node is not site.later:
            raise self._unlike(where, site.later, node, step)
        site.steps += 1
        return self._out(site, self.symbol(site.node, shape, step), protocol)

    def _own(self, where: str, site: _Site) -> None:
        for one in _cone(site.later):
            if one.kind == "before" and one.inputs[0] is not site.node:
                raise CompileError(f"{where} must not take spikes that {one.where} sent in the step before: recurrence "
                                   "stays inside a layer")

    def _unlike(self, where: str, one: Node | None, other: Node, step: int) -> Refused:
        assert one is not None
        ways = _cone(one), _cone(other)
        left, right = ([node.where for node in way] for way in ways)
        first = next((name for name in left if name not in right), one.where)
        then = next((name for name in right if name not in left), other.where)
        return Refused(f"{where} must get its currents in the same way in every step, not by {first} in one, and by "
                            f"{then} in step {step}")

    def _two_places(self, where: str) -> Refused:
        hint = " (a forward that runs one input through all steps is read with input_kind 'direct')"
        return Refused(f"{where} must have one place in the model: its membranes go on from call to call"
                       f"{hint * (self._how == 'step')}")

    def _site(self, where: str, module: nn.Module, shape: Shape) -> _Site:
        node = Node(kind="neurons", where=where, module=module, shape=shape)
        self._nodes["neurons", where, len(self._sites)] = node
        return self._sites.setdefault(node, _Site(node=node, shape=shape))

    def _out(self, site: _Site, given: Symbol, protocol: Protocol) -> Any:
        spikes = self._like(given, site.node, site.shape)
        if protocol.spikes_only:
            return spikes
        if protocol.states == 0:
            return spikes, _Handed(site.node, given.when)
        states = [self.make("state", site.node.where, site.node, key=(id(site.node), place))
                  for place in range(protocol.states)]
        return spikes, *(self._like(given, one, site.shape) for one in states)

    # operations on symbols

    def operation(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """What a function or method of torch gives for symbols."""
        name, owner = getattr(func, "__name__", str(func)), getattr(getattr(func, "__self__", None), "__name__", "")
        symbols = [one for one in _flat([args, kwargs]) if isinstance(one, Symbol)]
        one = symbols[0]
        self.calls += 1
        if name == "__get__":
            if owner == "device":
                return torch.device("cpu")
            if owner == "data":
                return one
            if owner not in _ATTRIBUTES:
                raise self._refuse(f"it takes .{owner} of a tensor")
        if name == "__get__" or name in _SHAPES:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        if name in ("zeros_like", "new_zeros"):
            size = one.shape if name == "zeros_like" else _flat(args[1:])
            return torch.zeros(*size)
        if name in _SAME:
            return one
        if name == "__setitem__":
            return self._record(*args)
        if name in (*_ADD, *_SUBTRACT, *_SCALE, "__rsub__", "rsub", "neg", "__neg__"):
            return self._arithmetic(name, args, kwargs)
        if name in _RESHAPED:
            return self._reshaped(name, func, args, kwargs)
        if name in ("stack", "cat", "concat", "concatenate"):
            return self._joined(name, *args, **kwargs)
        if name in ("__getitem__", "unbind", "__iter__", "select"):
            return self._taken(name, args, kwargs)
        if name in ("sum", "mean"):
            return self._summed(name, args, kwargs)
        if name in _POOLS:
            return self._pooled(name, args, kwargs)
        raise self._refuse(f"{name} of a tensor")

    def _record(self, target: torch.Tensor, index: Any, value: Any) -> None:
        """``record[t] = value``, into a tensor made for it."""
        if isinstance(target, Symbol) or not isinstance(value, Symbol):
            raise self._refuse("it writes into a tensor that is an input of others")
        step = index[0] if isinstance(index, tuple) else index
        rest = index[1:] if isinstance(index, tuple) else ()
        if not isinstance(step, int) or any(one != slice(None) for one in rest) or step != value.when:
            raise self._refuse("it writes other things than the value of each step into a tensor")
        self._records.setdefault(id(target), (target, {}))[1][step] = value

    def _arithmetic(self, name: str, args: tuple, kwargs: dict) -> Any:
        left: Any = args[0]
        right: Any = args[1] if len(args) > 1 else kwargs.get("other")
        if len(args) + len(kwargs) > 2:
            raise self._refuse(f"{name} with options")
        if name in ("neg", "__neg__"):
            return self._scaled(left, -1.0, name)
        if name in ("__rsub__", "rsub"):
            left, right, name = right, left, "sub"
        if name in _SCALE:
            if isinstance(left, Symbol) and isinstance(right, Symbol):
                raise self._refuse("it multiplies tensors with each other")
            one, factor = (left, right) if isinstance(left, Symbol) else (right, left)
            if "div" in name:
                if not isinstance(left, Symbol):
                    raise self._refuse("it divides by a tensor")
                factor = 1.0 / factor
            return self._scaled(one, factor, name)
        if not (isinstance(left, Symbol) and isinstance(right, Symbol)):
            one, constant = (left, right) if isinstance(left, Symbol) else (right, left)
            tensor = isinstance(constant, torch.Tensor)
            if constant.any() if tensor else constant != 0:
                raise self._refuse(f"it adds a constant, {'a tensor' if tensor else constant}")
            return self._scaled(one, -1.0, name) if name in _SUBTRACT and one is right else one
        if name in _SUBTRACT:
            right = self._scaled(right, -1.0, name)
        return self._added(left, right)

    def _added(self, left: Symbol, right: Symbol) -> Symbol:
        times = {left.when, right.when}
        if SUM in times or (left.node is right.node and len(times) == 2 and ALWAYS not in times):
            # spikes of several steps of the same neurons add up to a count
            parts = sorted((left, right), key=lambda one: (one.when != SUM, one.when))
            count = [one.count if one.when == SUM else 1 for one in parts]
            if left.node is right.node and parts[1].when == count[0]:
                return self.symbol(left.node, self._shape(left), SUM, count=sum(count))
            if SUM in times:
                raise self._refuse("it adds a sum over steps to something else")
        shapes = self._shape(left), self._shape(right)
        if shapes[0] != shapes[1]:
            raise CompileError(f"{self._here('add')} must add up equal shapes, not {shapes[0]} and {shapes[1]}")
        left, right = self._aligned([left, right])
        return self._like(left if left.when != ALWAYS else right,
                          self.make("add", self._here("add"), left.node, right.node), shapes[0])

    def _aligned(self, values: list[Symbol]) -> list[Symbol]:
        """Values of one time; those of the step before become that."""
        times = {one.when for one in values} - {ALWAYS}
        if len({(one.when == ALL, one.folded) for one in values if one.when != ALWAYS}) > 1:
            raise self._refuse("it joins values of one step with those of all steps")
        if len(times) < 2:
            return values
        latest = max(one for one in times if isinstance(one, int))
        if times != {latest, latest - 1}:
            raise self._refuse("it joins values of several steps")
        return [one if one.when in (latest, ALWAYS) else
                self.symbol(self.before(one.node, self._here("add")), self._shape(one), latest) for one in values]

    def _scaled(self, one: Symbol, factor: Any, name: str) -> Symbol:
        if one.when == SUM:
            if isinstance(factor, torch.Tensor) or not factor > 0:
                raise self._refuse("it scales a sum over steps by other than a positive number")
            return one
        array = as_array(factor)
        if array.ndim > len(self._shape(one)):
            if set(array.shape[: array.ndim - len(self._shape(one))]) != {1}:
                raise self._refuse("it multiplies by a tensor that differs between inferences")
            array = array.reshape(array.shape[array.ndim - len(self._shape(one)):])
        if array.size == 1:
            array = array.reshape(())
            if array == 1:
                return one
        key = (array.shape, array.tobytes())
        return self._like(one, self.make("scale", self._here("mul"), one.node, module=array, key=key), self._shape(one))

    def _reshaped(self, name: str, func: Any, args: tuple, kwargs: dict) -> Symbol:
        one = args[0]
        with torch._C.DisableTorchFunctionSubclass():
            try:
                shape = tuple(func(*args, **kwargs).shape)
            except Exception as error:
                raise self._refuse(f"{name}: {first_line(error)}") from None
        before = self._shape(one)
        for lead, folded in ((((self._steps, self.batch), False), ((self._steps * self.batch,), True))
                             if one.when == ALL else (((self.batch,), False),)):
            if shape[: len(lead)] == lead and shape[len(lead):] in (before, (size_of(before),)):
                after = shape[len(lead):]
                node = one.node if after == before else self.make(
                    "module", self._here("flatten"), one.node, module=nn.Flatten(), key="flatten")
                return self.symbol(node, after, one.when, folded=folded, count=one.count)
        raise self._refuse(f"{name} must flatten all of a step, {before}, and keep steps and inferences apart, not "
                           f"make {shape} of {tuple(one.shape)}")

    def _joined(self, name: str, tensors: Any, dim: Any = 0) -> Symbol:
        tensors = list(tensors)
        if not all(isinstance(one, Symbol) for one in tensors):
            raise self._refuse(f"{name} of other things than values of the model")
        if name == "stack":
            one = tensors[0]
            if dim == 0 and [value.when for value in tensors] == list(range(len(tensors))) != list(range(self._steps)):
                raise Refused(f"{self.where} must stack the values of all {self._steps} steps, as many as steps says, "
                              f"not {len(tensors)}")
            if dim != 0 or [value.when for value in tensors] != list(range(self._steps)) or any(
                    value.node is not one.node for value in tensors):
                raise self._refuse("stack must put the values of all steps one behind the other, in dimension 0")
            return self.symbol(one.node, self._shape(one), ALL)
        tensors = self._aligned(tensors)
        lead = {self._lead(one) for one in tensors}
        channel = (dim + tensors[0].dim()) if dim < 0 else dim
        shapes = [self._shape(one) for one in tensors]
        if len(lead) > 1 or channel != lead.pop() or len({one[1:] for one in shapes}) > 1:
            raise self._refuse("cat must join channels")
        like = next((one for one in tensors if one.when != ALWAYS), tensors[0])
        total = (sum(one[0] for one in shapes), *shapes[0][1:])
        return self._like(like, self.make("join", self._here("cat"), *[one.node for one in tensors]), total)

    def _taken(self, name: str, args: tuple, kwargs: dict) -> Any:
        one, rest = args[0], [*args[1:], *kwargs.values()]
        if not isinstance(one, Symbol) or one.when != ALL or one.folded:
            raise self._refuse("it takes a slice of a value; only steps can be taken")
        shape = self._shape(one)
        if name in ("unbind", "__iter__"):
            if rest and rest[0] != 0:
                raise self._refuse("it takes a slice of a value; only steps can be taken")
            values = [self.symbol(one.node, shape, step) for step in range(self._steps)]
            return values if name == "unbind" else iter(values)
        index = rest[0] if name == "__getitem__" else rest[1]
        if name == "select" and rest[0] != 0:
            raise self._refuse("it takes a slice of a value; only steps can be taken")
        if isinstance(index, tuple):
            if any(item not in (slice(None), Ellipsis) for item in index[1:]):
                raise self._refuse("it takes a slice of a value; only steps can be taken")
            index = index[0]
        if not isinstance(index, int) or not -self._steps <= index < self._steps:
            raise self._refuse(f"it takes {shown(index)} of the steps 0 … {self._steps - 1}")
        return self.symbol(one.node, shape, index % self._steps)

    def _summed(self, name: str, args: tuple, kwargs: dict) -> Symbol:
        one, dim = args[0], args[1] if len(args) > 1 else kwargs.get("dim")
        dim = dim[0] if isinstance(dim, tuple | list) and len(dim) == 1 else dim
        if one.when != ALL or one.folded or dim != 0:
            raise self._refuse(f"{name} must be over the steps, dimension 0 of [T, B, …], at the end")
        return self.symbol(one.node, self._shape(one), SUM, count=self._steps)

    def _pooled(self, name: str, args: tuple, kwargs: dict) -> Symbol:
        one, kind = args[0], _POOLS[name]
        options = {key: value for key, value in kwargs.items() if key != "inplace"}
        options |= dict(zip(inspect.signature(kind).parameters, args[1:], strict=False))
        if name == "dropout":
            if options.pop("training", True):
                raise self._refuse("dropout must be given training=self.training, in evaluation mode")
            return one
        module = kind(**options)
        if one.when == ALL and not one.folded:
            raise self._refuse(f"{name} must act on the maps of each step, [B, C, H, W] or [T·B, C, H, W]")
        with torch._C.DisableTorchFunctionSubclass():
            try:
                shape = tuple(module(torch.empty(one.shape, device="meta")).shape)[1:]
            except Exception as error:
                raise self._refuse(f"{name}: {first_line(error)}") from None
        node = self.make("module", self._here(name), one.node, module=module, key=(name, repr(options)))
        return self._like(one, node, shape)

    def _here(self, name: str) -> str:
        return f"{self.where.partition(' ')[0]}.{name}"

    # what is given back

    def _given(self, out: Any, step: int | None) -> Node:
        """The node that a model gives, of what its forward returned."""
        values = [one for one in (self._value(item) for item in (
            [out] if not isinstance(out, tuple | list) or self._steps_of(out) else out)) if one is not None]
        if not values:
            raise self._refuse(f"it returns {type(out).__name__}, none of which is a value of the model")
        one = next((value for value in values if value.node.kind != "state"), values[0])
        whole = one.when in (ALL, ALWAYS, step) or (one.when == SUM and one.count == self._steps) or (
            one.node.kind == "state" and one.when == self._steps - 1)
        if not whole or one.folded:
            raise self._refuse("it must return the values of all steps, or their sum")
        self.membranes = one.node.kind == "state"
        return one.node.inputs[0] if self.membranes else one.node

    def _steps_of(self, out: Any) -> bool:
        """Whether a list holds the values of all steps of one node."""
        return (bool(out) and all(isinstance(one, Symbol) for one in out) and len({id(one.node) for one in out}) == 1
                and [one.when for one in out] == list(range(self._steps)) and self._steps > 1)

    def _value(self, out: Any) -> Symbol | None:
        if isinstance(out, Symbol):
            return out
        if isinstance(out, torch.Tensor) and id(out) in self._records:
            steps = self._records[id(out)][1]
            values = [steps[step] for step in sorted(steps)]
            return self.symbol(values[0].node, self._shape(values[0]), ALL) if self._steps_of(values) else None
        if isinstance(out, tuple | list) and self._steps_of(out):
            return self.symbol(out[0].node, self._shape(out[0]), ALL)
        return None


@dataclass(frozen=True, eq=False)
class _Handed:
    """States of neurons after a step, as one object."""

    node: Node
    when: int | str


def _owner(one: Any) -> Node:
    """The neurons of a state, or of spikes handed as one."""
    return one.node.inputs[0] if one.node.kind == "state" else one.node


def _cone(node: Node | None) -> list[Node]:
    """The node and all it depends on, up to neurons."""
    found: list[Node] = []
    stack = [] if node is None else [node]
    while stack:
        one = stack.pop()
        if not any(one is other for other in found):
            found.append(one)
            stack.extend(one.inputs if one.kind not in ("neurons", "before") else ())
    return found


def _flat(value: Any) -> list[Any]:
    """The leaves of nested lists, tuples and dictionaries."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [leaf for one in value for leaf in _flat(one)]
    return [value]


def _shape_only(module: nn.Module, given: Shape) -> Shape:
    """The shape that a module makes of one, with nothing computed."""
    numbers = {name: one.to("meta") for name, one in (*module.named_parameters(), *module.named_buffers())}
    with torch.no_grad():
        return tuple(torch.func.functional_call(module, numbers, (torch.empty(given, device="meta"),)).shape)
