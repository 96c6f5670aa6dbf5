# SPDX-License-Identifier: MIT
"""What one step of a model does, as a graph: a node for each value, and the same node for the same operation."""

from dataclasses import dataclass, field
from typing import Any

from firstspike_arch.connectivity import Shape

from ...errors import CompileError

__all__ = ["Graph", "Node", "Refused"]


class Refused(CompileError):  # noqa: N818
    """A forward that cannot be followed."""


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
    key : Any
        What tells it from other nodes of its kind with the same inputs.
    """

    kind: str
    where: str
    inputs: list["Node"] = field(default_factory=list)
    module: Any = None
    shape: Shape = ()
    key: Any = None

    @property
    def cone(self) -> list["Node"]:
        """The node and all it depends on, up to neurons."""
        found: list[Node] = []
        stack: list[Node] = [self]
        while stack:
            one = stack.pop()
            if one not in found:
                found.append(one)
                stack.extend(one.inputs if one.kind not in ("neurons", "before") else ())
        return found


class Graph:
    """The nodes of a trace.

    Parameters
    ----------
    lasting_input : bool
        The input is the same in every step.
    """

    def __init__(self, *, lasting_input: bool):
        self._lasting_input = lasting_input
        self._nodes: dict[tuple, Node] = {}
        self.zero = Node(kind="zero", where="zeros")

    def make(self, kind: str, where: str, *inputs: Node, module: Any = None, key: Any = None) -> Node:
        """The node of an operation; the same operation on the same nodes is the same node."""
        if kind == "add" and any(one.kind == "zero" for one in inputs):
            return next((one for one in inputs if one.kind != "zero"), inputs[0])
        if all(one.kind == "zero" for one in inputs) and getattr(module, "bias", None) is None:
            return inputs[0]
        key = where if key is None else key
        if (kind, key, inputs) not in self._nodes:
            self._nodes[kind, key, inputs] = Node(kind=kind, where=where, inputs=list(inputs), module=module, key=key,
                                                  shape=inputs[0].shape if kind == "before" else ())
        return self._nodes[kind, key, inputs]

    def _rebuilt(self, node: Node, inputs: list[Node]) -> Node:
        return self.make(node.kind, node.where, *inputs, module=node.module, key=node.key)

    def before(self, node: Node, where: str) -> Node:
        """The node's value in the step before, which ``where`` takes."""
        if node.kind == "neurons":
            return self.make("before", node.where, node)
        if node.kind == "zero" or (node.kind == "input" and self._lasting_input):
            return node
        if node.kind == "input":
            raise Refused(f"{where} must not take an input of an earlier step: a forward that runs one input through "
                          "all steps is read with input_kind 'direct', or must take those of all steps, [T, B, …]; and "
                          "a current that lasts must be that of neurons")
        if node.kind in ("before", "state"):
            raise Refused(f"{where} must take spikes of the step before only, of its own neurons")
        return self._rebuilt(node, [self.before(one, where) for one in node.inputs])

    def at_first(self, node: Node) -> Node:
        """The node with nothing in the step before."""
        if node.kind == "before":
            return self.zero
        if node.kind in ("input", "zero", "neurons", "state"):
            return node
        return self._rebuilt(node, [self.at_first(one) for one in node.inputs])
