# SPDX-License-Identifier: MIT
"""NIR graphs as plain nodes and edges, with sub-graphs merged in; from a file, which may be damaged, or from memory."""

# Ref: NIR 1.0.8, nir/serialization.py and nir/ir/graph.py; files of 0.1 and 0.2 have fewer fields and no others

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from firstspike_arch.shown import shown

from ..errors import CompileError
from .hdf5_tree import Tree, TreeReader

__all__ = ["Graph", "Node", "graph_of_tree", "read_graph"]

Value = np.ndarray | str


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """A node of a NIR graph.

    Parameters
    ----------
    kind : str
        Type of the node; "?" if the file has none.
    fields, metadata : dict
        Name → numbers or text.
    shapes : dict
        Name of a field → its shape, also if its numbers are lost.
    errors : dict
        Name of a field ("" for the node itself) → reason why it cannot be read.
    """

    kind: str
    fields: dict[str, Value]
    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, Value] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Nodes by name, those of sub-graphs as "outer/inner", and the edges between them.

    ``errors`` are sentences about the graph itself; a graph that can be compiled has none.
    """

    name: str
    nodes: dict[str, Node]
    edges: list[tuple[str, str]]
    errors: list[str]


def read_graph(source: Any) -> Graph:
    """Read a graph from the path of a file or from a `nir.NIRGraph` in memory; a `Graph` is returned as it is.

    Raises
    ------
    CompileError
        The source is none of these, or nothing in it can be read.
    """
    if isinstance(source, Graph):
        return source
    if isinstance(source, str | Path):
        with TreeReader() as reader:
            return graph_of_tree(Path(source), reader.read(source))
    if not hasattr(source, "nodes") or not hasattr(source, "edges"):
        raise CompileError(f"a NIR graph must be the path of a file or a nir.NIRGraph, not {type(source).__name__}")
    graph = Graph(name="nir", nodes={}, edges=[], errors=[])
    _open_up(graph, "", _plain(source))
    return graph


def graph_of_tree(path: Path, tree: Tree) -> Graph:
    """The graph in the contents of a file; what is wrong goes into its ``errors`` and those of its nodes."""
    errors = [f"the file must be whole: {tree.error}"] if tree.error else []
    graph = Graph(name=str(path), nodes={}, edges=[], errors=errors)
    if "/node" not in tree.groups:
        others = sorted(one[1:61] for one in {*tree.groups, *tree.values, *tree.shapes} if one.count("/") == 1)
        lost = f"the file holds {', '.join(map(repr, others[:4])) or 'nothing'}"
        lost += "; load_lava reads networks of lava-dl, which commands take as .net" * ("/layer" in tree.groups)
        graph.errors.append(f"the group 'node' of NIR must be there: {tree.errors.get('/node', lost)}")
    else:
        _open_up(graph, "", _nested(tree, "/node"))
    return graph


@dataclass(kw_only=True)
class _Nested:
    """A node with the nodes inside it, before sub-graphs are merged in."""

    kind: str | None
    node: Node
    children: dict[str, "_Nested"]
    edges: list[tuple[str, str]]
    errors: list[str]


def _nested(tree: Tree, path: str) -> _Nested:
    depth = path.count("/") + 1

    def inside(names) -> dict[str, str]:
        """Name → path of the entries directly in this group."""
        return {one.rsplit("/", 1)[1]: one for one in names if one.startswith(f"{path}/") and one.count("/") == depth}

    values = {name: tree.values[one] for name, one in inside(tree.values).items()}
    errors = {name: tree.errors[one] for name, one in inside(tree.errors).items()}
    kind = values.pop("type", None)
    children, edges, wrong = {}, [], []
    if f"{path}/nodes" in tree.groups or kind == "NIRGraph":
        kind = "NIRGraph"
        names = sorted({one.split("/")[depth + 1] for one in (*tree.groups, *tree.errors)
                        if one.startswith(f"{path}/nodes/")})
        children = {name: _nested(tree, f"{path}/nodes/{name}") for name in names}
        pairs = values.pop("edges", [])
        if "edges" in errors:
            wrong.append(f"the edges must be readable: {errors['edges']}")
        for pair in pairs if isinstance(pairs, list) else [pairs]:
            if isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair):
                edges.append((pair[0], pair[1]))
            else:
                wrong.append(f"an edge must be two names, not {str(pair)[:60]!r}")
    if path in tree.errors:
        errors[""] = tree.errors[path]
    prefix = f"{path}/metadata/"
    node = Node(
        kind=kind[:60] if isinstance(kind, str) else "?", errors=errors,
        fields={name: value for name, value in values.items() if isinstance(value, np.ndarray | str)},
        shapes={name: tree.shapes[one] for name, one in inside(tree.shapes).items() if name != "type"},
        metadata={one.removeprefix(prefix): value for one, value in tree.values.items()
                  if one.startswith(prefix) and isinstance(value, np.ndarray | str)},
    )
    return _Nested(kind=node.kind, node=node, children=children, edges=edges, errors=wrong)


def _plain(node: Any) -> _Nested:
    """Convert a node of the nir package, with the nodes inside it."""
    kind = type(node).__name__
    if kind == "NIRGraph":
        return _Nested(
            kind=kind, node=Node(kind=kind, fields={}, shapes={}), errors=[], edges=[(a, b) for a, b in node.edges],
            children={str(name): _plain(child) for name, child in node.nodes.items()})
    fields: dict[str, Value] = {}
    for name, value in node.to_dict().items():
        if name in ("type", "metadata") or value is None:
            continue
        array = value if isinstance(value, str) else _array(value)
        if not isinstance(array, str) and array.dtype.kind not in "fiub":
            raise CompileError(f"{kind}: {name} must be numbers, not {array.dtype}")
        fields[name] = array
    return _Nested(
        kind=kind, children={}, edges=[], errors=[],
        node=Node(kind=kind, fields=fields, shapes={n: v.shape for n, v in fields.items() if isinstance(v, np.ndarray)},
                  metadata={n: v if isinstance(v, str) else _array(v) for n, v in node.metadata.items()}))


def _array(value: Any) -> np.ndarray:
    """Numbers as an array; some exporters leave torch's parameters in a graph, which NumPy does not take."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def _open_up(graph: Graph, prefix: str, outer: _Nested) -> None:
    """Add the nodes of ``outer`` and of its sub-graphs to ``graph``; an edge to a sub-graph then leads to its Input
    node, an edge from it comes from its Output node."""
    doors: dict[str, tuple[list[str], list[str]]] = {}
    for name, child in outer.children.items():
        if child.kind == "NIRGraph":
            _open_up(graph, f"{prefix}{name}/", child)
            doors[name] = (
                [f"{prefix}{name}/{one}" for one, node in child.children.items() if node.kind == "Input"],
                [f"{prefix}{name}/{one}" for one, node in child.children.items() if node.kind == "Output"])
            for what, found in zip(("Input", "Output"), doors[name], strict=True):
                if len(found) != 1:
                    graph.errors.append(f"sub-graph {shown(prefix + name)} must have one {what} node, not {len(found)}")
        else:
            graph.nodes[prefix + name] = child.node
    graph.errors.extend(f"{prefix}: {one}" if prefix else one for one in outer.errors)
    for source, target in outer.edges:
        if lost := [one for one in (source, target) if one not in outer.children]:
            graph.errors.append(
                f"edge {prefix}{source} → {target} must join nodes of the graph: there is no {shown(lost[0])}")
            continue
        ends = doors[source][1] if source in doors else [prefix + source]
        starts = doors[target][0] if target in doors else [prefix + target]
        graph.edges.extend((one, other) for one in ends[:1] for other in starts[:1])
