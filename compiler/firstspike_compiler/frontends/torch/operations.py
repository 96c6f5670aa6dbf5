# SPDX-License-Identifier: MIT
"""What functions and methods of torch give for symbols: sums, factors, reshapes, joined channels, slices, pools."""

import inspect
from typing import Any

import torch
from firstspike_arch.connectivity import size_of
from firstspike_arch.shown import shown
from torch import nn

from ...errors import CompileError
from .graph import Refused
from .models import first_line
from .options import as_array
from .symbol import ALL, ALWAYS, SUM, Symbol, Symbols, leaves

__all__ = ["Operations"]

_SAME = ("detach", "clone", "contiguous", "float", "to", "requires_grad_", "cpu", "type_as")
"""Methods that leave the numbers as they are."""
_SHAPES = ("size", "dim", "numel", "__len__", "is_floating_point", "ndimension", "is_complex")
_ATTRIBUTES = ("shape", "dtype", "ndim", "requires_grad", "is_sparse", "is_cuda", "layout", "is_meta", "is_quantized")
_RESHAPED = ("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as")
_ADD, _SUBTRACT = ("add", "__add__", "__radd__", "__iadd__", "add_"), ("sub", "__sub__", "__isub__", "sub_")
_SCALE = ("mul", "__mul__", "__rmul__", "__imul__", "mul_", "div", "__truediv__", "__itruediv__", "div_", "true_divide")
_POOLS = {"max_pool2d": nn.MaxPool2d, "avg_pool2d": nn.AvgPool2d, "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
          "avg_pool1d": nn.AvgPool1d, "adaptive_avg_pool1d": nn.AdaptiveAvgPool1d, "dropout": nn.Dropout}


class Operations(Symbols):
    """Symbols that torch's functions take; fields as in `Symbols`."""

    def __init__(self, **fields: Any):
        super().__init__(**fields)
        self._records: dict[int, tuple[torch.Tensor, dict[int, Symbol]]] = {}  # tensors filled step by step

    def operation(self, func: Any, args: tuple, kwargs: dict) -> Any:
        name, owner = getattr(func, "__name__", str(func)), getattr(getattr(func, "__self__", None), "__name__", "")
        one = next(one for one in leaves([args, kwargs]) if isinstance(one, Symbol))
        self.calls += 1
        if name == "__get__":
            if owner == "device":
                return torch.device("cpu")
            if owner == "data":
                return one
            if owner not in _ATTRIBUTES:
                raise self.refuse(f"it takes .{owner} of a tensor")
        if name == "__get__" or name in _SHAPES:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        if name in ("zeros_like", "new_zeros"):
            return torch.zeros(*(one.shape if name == "zeros_like" else leaves(args[1:])))
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
        raise self.refuse(f"{name} of a tensor")

    def _here(self, name: str) -> str:
        return f"{self.where.partition(' ')[0]}.{name}"

    # arithmetic

    def _arithmetic(self, name: str, args: tuple, kwargs: dict) -> Any:
        left: Any = args[0]
        right: Any = args[1] if len(args) > 1 else kwargs.get("other")
        if len(args) + len(kwargs) > 2:
            raise self.refuse(f"{name} with options")
        if name in ("neg", "__neg__"):
            return self._scaled(left, -1.0)
        if name in ("__rsub__", "rsub"):
            left, right, name = right, left, "sub"
        if name in _SCALE:
            if isinstance(left, Symbol) and isinstance(right, Symbol):
                raise self.refuse("it multiplies tensors with each other")
            one, factor = (left, right) if isinstance(left, Symbol) else (right, left)
            if "div" in name:
                if not isinstance(left, Symbol):
                    raise self.refuse("it divides by a tensor")
                factor = 1.0 / factor
            return self._scaled(one, factor)
        if not (isinstance(left, Symbol) and isinstance(right, Symbol)):
            one, constant = (left, right) if isinstance(left, Symbol) else (right, left)
            tensor = isinstance(constant, torch.Tensor)
            if constant.any() if tensor else constant != 0:
                raise self.refuse(f"it adds a constant, {'a tensor' if tensor else constant}")
            return self._scaled(one, -1.0) if name in _SUBTRACT and one is right else one
        return self._added(left, self._scaled(right, -1.0) if name in _SUBTRACT else right)

    def _added(self, left: Symbol, right: Symbol) -> Symbol:
        times = {left.when, right.when}
        if SUM in times or (left.node is right.node and len(times) == 2 and ALWAYS not in times):
            # spikes of several steps of the same neurons add up to a count
            parts = sorted((left, right), key=lambda one: (one.when != SUM, one.when))
            count = [one.count if one.when == SUM else 1 for one in parts]
            if left.node is right.node and parts[1].when == count[0]:
                return self.symbol(left.node, left.step_shape, SUM, count=sum(count))
            if SUM in times:
                raise self.refuse("it adds a sum over steps to something else")
        if left.step_shape != right.step_shape:
            raise CompileError(f"{self._here('add')} must add up equal shapes, not {left.step_shape} and "
                               f"{right.step_shape}")
        left, right = self._aligned([left, right])
        return self.like(left if left.when != ALWAYS else right,
                         self.graph.make("add", self._here("add"), left.node, right.node), left.step_shape)

    def _aligned(self, values: list[Symbol]) -> list[Symbol]:
        """Values of one time; those of the step before become that."""
        times = {one.when for one in values} - {ALWAYS}
        if len({(one.when == ALL, one.folded) for one in values if one.when != ALWAYS}) > 1:
            raise self.refuse("it joins values of one step with those of all steps")
        if len(times) < 2:
            return values
        latest = max(one for one in times if isinstance(one, int))
        if times != {latest, latest - 1}:
            raise self.refuse("it joins values of several steps")
        return [one if one.when in (latest, ALWAYS) else
                self.symbol(self.graph.before(one.node, self._here("add")), one.step_shape, latest) for one in values]

    def _scaled(self, one: Symbol, factor: Any) -> Symbol:
        if one.when == SUM:
            if isinstance(factor, torch.Tensor) or not factor > 0:
                raise self.refuse("it scales a sum over steps by other than a positive number")
            return one
        array = as_array(factor)
        if (more := array.ndim - len(one.step_shape)) > 0:
            if set(array.shape[:more]) != {1}:
                raise self.refuse("it multiplies by a tensor that differs between inferences")
            array = array.reshape(array.shape[more:])
        if array.size == 1:
            array = array.reshape(())
            if array == 1:
                return one
        key = (array.shape, array.tobytes())
        return self.like(one, self.graph.make("scale", self._here("mul"), one.node, module=array, key=key),
                         one.step_shape)

    # shapes

    def _reshaped(self, name: str, func: Any, args: tuple, kwargs: dict) -> Symbol:
        one = args[0]
        with torch._C.DisableTorchFunctionSubclass():
            try:
                shape = tuple(func(*args, **kwargs).shape)
            except Exception as error:
                raise self.refuse(f"{name}: {first_line(error)}") from None
        before = one.step_shape
        for lead, folded in ((((self.steps, self.batch), False), ((self.steps * self.batch,), True))
                             if one.when == ALL else (((self.batch,), False),)):
            if shape[: len(lead)] == lead and shape[len(lead):] in (before, (size_of(before),)):
                after = shape[len(lead):]
                node = one.node if after == before else self.graph.make(
                    "module", self._here("flatten"), one.node, module=nn.Flatten(), key="flatten")
                return self.symbol(node, after, one.when, folded=folded, count=one.count)
        raise self.refuse(f"{name} must flatten all of a step, {before}, and keep steps and inferences apart, not "
                          f"make {shape} of {tuple(one.shape)}")

    def _joined(self, name: str, tensors: Any, dim: Any = 0) -> Symbol:
        tensors = list(tensors)
        if not all(isinstance(one, Symbol) for one in tensors):
            raise self.refuse(f"{name} of other things than values of the model")
        if name == "stack":
            one = tensors[0]
            if dim == 0 and [value.when for value in tensors] == list(range(len(tensors))) != list(range(self.steps)):
                raise Refused(f"{self.where} must stack the values of all {self.steps} steps, as many as steps says, "
                              f"not {len(tensors)}")
            if dim != 0 or [value.when for value in tensors] != list(range(self.steps)) or any(
                    value.node is not one.node for value in tensors):
                raise self.refuse("stack must put the values of all steps one behind the other, in dimension 0")
            return self.symbol(one.node, one.step_shape, ALL)
        tensors = self._aligned(tensors)
        lead = {one.lead for one in tensors}
        channel = (dim + tensors[0].dim()) if dim < 0 else dim
        shapes = [one.step_shape for one in tensors]
        if len(lead) > 1 or channel != lead.pop() or len({one[1:] for one in shapes}) > 1:
            raise self.refuse("cat must join channels")
        like = next((one for one in tensors if one.when != ALWAYS), tensors[0])
        total = (sum(one[0] for one in shapes), *shapes[0][1:])
        return self.like(like, self.graph.make("join", self._here("cat"), *[one.node for one in tensors]), total)

    def _pooled(self, name: str, args: tuple, kwargs: dict) -> Symbol:
        one, kind = args[0], _POOLS[name]
        options = {key: value for key, value in kwargs.items() if key != "inplace"}
        options |= dict(zip(inspect.signature(kind).parameters, args[1:], strict=False))
        if name == "dropout":
            if options.pop("training", True):
                raise self.refuse("dropout must be given training=self.training, in evaluation mode")
            return one
        module = kind(**options)
        if one.when == ALL and not one.folded:
            raise self.refuse(f"{name} must act on the maps of each step, [B, C, H, W] or [T·B, C, H, W]")
        with torch._C.DisableTorchFunctionSubclass():
            try:
                shape = tuple(module(torch.empty(one.shape, device="meta")).shape)[1:]
            except Exception as error:
                raise self.refuse(f"{name}: {first_line(error)}") from None
        node = self.graph.make("module", self._here(name), one.node, module=module, key=(name, repr(options)))
        return self.like(one, node, shape)

    # steps

    def _taken(self, name: str, args: tuple, kwargs: dict) -> Any:
        one, rest = args[0], [*args[1:], *kwargs.values()]
        index = 0
        if name in ("__getitem__", "select"):
            index = rest[0] if name == "__getitem__" else rest[1]
        index, others = (index[0], index[1:]) if isinstance(index, tuple) and index else (index, ())
        if (not isinstance(one, Symbol) or one.when != ALL or one.folded
                or (name != "__getitem__" and rest and rest[0] != 0)
                or any(item not in (slice(None), Ellipsis) for item in others)):
            raise self.refuse("it takes a slice of a value; only steps can be taken")
        if name in ("unbind", "__iter__"):
            values = [self.symbol(one.node, one.step_shape, step) for step in range(self.steps)]
            return values if name == "unbind" else iter(values)
        if not isinstance(index, int) or not -self.steps <= index < self.steps:
            raise self.refuse(f"it takes {shown(index)} of the steps 0 … {self.steps - 1}")
        return self.symbol(one.node, one.step_shape, index % self.steps)

    def _summed(self, name: str, args: tuple, kwargs: dict) -> Symbol:
        one, dim = args[0], args[1] if len(args) > 1 else kwargs.get("dim")
        dim = dim[0] if isinstance(dim, tuple | list) and len(dim) == 1 else dim
        if one.when != ALL or one.folded or dim != 0:
            raise self.refuse(f"{name} must be over the steps, dimension 0 of [T, B, …], at the end")
        return self.symbol(one.node, one.step_shape, SUM, count=self.steps)

    def _record(self, target: torch.Tensor, index: Any, value: Any) -> None:
        """``record[t] = value``, into a tensor made for it."""
        if isinstance(target, Symbol) or not isinstance(value, Symbol):
            raise self.refuse("it writes into a tensor that is an input of others")
        step, rest = (index[0], index[1:]) if isinstance(index, tuple) else (index, ())
        if not isinstance(step, int) or any(one != slice(None) for one in rest) or step != value.when:
            raise self.refuse("it writes other things than the value of each step into a tensor")
        self._records.setdefault(id(target), (target, {}))[1][step] = value

    def all_steps(self, out: Any) -> bool:
        """Whether a list holds the values of all steps of one node."""
        return (bool(out) and all(isinstance(one, Symbol) for one in out) and len({id(one.node) for one in out}) == 1
                and [one.when for one in out] == list(range(self.steps)) and self.steps > 1)

    def value(self, out: Any) -> Symbol | None:
        """The symbol that a forward returned, also as a list of all steps' values, or a tensor filled with them."""
        if isinstance(out, Symbol):
            return out
        if isinstance(out, torch.Tensor) and id(out) in self._records:
            steps = self._records[id(out)][1]
            out = [steps[step] for step in sorted(steps)]
        if isinstance(out, tuple | list) and self.all_steps(out):
            return self.symbol(out[0].node, out[0].step_shape, ALL)
        return None
