# SPDX-License-Identifier: MIT
"""Tensors that stand for values of a model's steps: they have a shape and no numbers, and record what acts on them."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from firstspike_arch.connectivity import Shape

from .framework import Call
from .graph import Graph, Node, Refused

__all__ = ["ALL", "ALWAYS", "SUM", "Symbol", "Symbols", "leaves"]

ALWAYS, ALL, SUM = "always", "all", "sum"
"""Times of a symbol besides the number of a step: the same in every step; all steps, [T, B, …]; their sum, [B, …]."""


class Symbol(torch.Tensor):
    """A node's value at a time (see `ALWAYS`).

    ``step_shape`` is the shape of one step's value of one inference; ``folded``: [T·B, …] instead of [T, B, …];
    ``count``: of how many steps a sum is.
    """

    node: Node
    when: int | str
    step_shape: Shape
    folded: bool
    count: int
    symbols: "Symbols"

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        symbol = next(one for one in leaves([args, kwargs or {}]) if isinstance(one, Symbol))
        return symbol.symbols.operation(func, args, kwargs or {})

    @property
    def lead(self) -> int:
        """Number of dimensions in front of those of ``step_shape``."""
        return 2 if self.when == ALL and not self.folded else 1


class Symbols(ABC):
    """Makes the symbols of a trace, and knows which module's forward is running.

    Parameters
    ----------
    steps : int
    batch : int
        Size of the symbols' batches, which no other dimension has.
    how : str
        How the model takes its input, see `Call`.

    Attributes
    ----------
    graph : Graph
    path : list of str
        Names of the modules whose forwards are running, one inside the other.
    calls : int
        Number of operations so far.
    """

    def __init__(self, *, steps: int, batch: int, how: Call):
        self.steps, self.batch, self.how = steps, batch, how
        self.graph = Graph(lasting_input=how == "same")
        self.path: list[str] = []
        self.calls = 0

    @abstractmethod
    def operation(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """What a function or method of torch gives for symbols."""

    def symbol(self, node: Node, shape: Shape, when: int | str, *, folded: bool = False, count: int = 0) -> Symbol:
        """A tensor that stands for a node's value, of this shape in one step."""
        lead = (self.batch,) if when != ALL else (self.steps * self.batch,) if folded else (self.steps, self.batch)
        made = torch.Tensor._make_subclass(Symbol, torch.empty(*lead, *shape, device="meta"))
        made.node, made.step_shape, made.when, made.folded = node, shape, when, folded
        made.count, made.symbols = count, self
        return made

    def like(self, other: Symbol, node: Node, shape: Shape) -> Symbol:
        """The symbol of a node at the time of another symbol."""
        return self.symbol(node, shape, other.when, folded=other.folded, count=other.count)

    @property
    def where(self) -> str:
        return self.path[-1] if self.path else "model"

    def refuse(self, what: str) -> Refused:
        return Refused(f"{self.where} must have a forward that calls modules, adds, scales by constants, concatenates "
                       f"channels, pools and flattens, the same in every step, and no more: {what}")


def leaves(value: Any) -> list[Any]:
    """The leaves of nested lists, tuples and dictionaries."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [leaf for one in value for leaf in leaves(one)]
    return [value]
