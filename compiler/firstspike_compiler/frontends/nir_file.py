# SPDX-License-Identifier: MIT
"""Reads NIR graphs of synapses, pools and (leaky) integrate-and-fire neurons as a `FloatNetwork`."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from firstspike_arch.connectivity import Conv2d, Dense, Shape
from firstspike_arch.float_network import FloatBranch, FloatLayer, FloatNetwork, Readout
from firstspike_arch.neuron import FloatNeuron, Reset

from ..errors import CompileError
from .nir_graph import Graph, Node, read_graph
from .nir_nodes import (
    DOORS,
    FIRING,
    HOLDING,
    POOLS,
    SYNAPSES,
    NodeError,
    check_kind,
    farthest,
    per_channel,
    positive,
)
from .nir_synapses import ADDRESSES_MAX, SynapseSet

__all__ = ["NirInspection", "inspect_nir", "load_nir"]


@dataclass(frozen=True, kw_only=True, eq=False)
class NirInspection:
    """Result of `inspect_nir`: what becomes of each node.

    Parameters
    ----------
    graph : Graph
    roles, refusals : dict
        Name of a node → what it becomes, or the reason why it cannot be mapped.
    layers : dict
        Index of each layer that could be made → the layer; all layers if there are neither refusals nor errors.
    """

    graph: Graph
    roles: dict[str, str]
    refusals: dict[str, str]
    layers: dict[int, FloatLayer]


def load_nir(
    source: Any, *, steps: int, reset: Literal["subtract", "zero"], strict: bool, readout: Readout,
    dt: float | None = None, **fields: Any,
) -> FloatNetwork:
    """Read a NIR file or graph; the parameters say what NIR does not.

    Neurons add what several edges bring, from earlier layers (residual) or from themselves (recurrent, the spikes of
    the previous step). A Conv1d becomes a convolution of height 1.

    Parameters
    ----------
    source : path or nir.NIRGraph
    steps : int
        Number of steps of an inference.
    reset : "subtract" or "zero"
        Reset of all neurons; NIR's ``v_reset`` = 0 may mean either.
    strict : bool
        Neurons fire on v > v_threshold instead of v ≥ v_threshold.
    readout : str
        "potential" reads a graph that ends in synapses, whose outputs are added up over the steps, or in I, LI or
        CubaLI.
    dt : float
        Length of a step in seconds. LIF and CubaLIF need it (forward Euler), and tau_syn of a CubaLIF must be equal to
        it. None: an IF node grows by r times its input in each step.
    fields
        Further fields of `FloatNetwork`, such as name, input_kind and in_max; the default input is "events".

    Raises
    ------
    CompileError
        The source is not a NIR graph, or a node has no counterpart; the message names it.
    """
    if reset not in ("subtract", "zero"):
        raise CompileError(f"reset must be 'subtract' or 'zero', not {reset!r}")
    if dt is not None and not (isinstance(dt, int | float) and np.isfinite(dt) and dt > 0):
        raise CompileError(f"dt must be a positive number of seconds, not {dt!r}")
    graph = read_graph(source)
    mapper = _Mapper(graph, reset=reset, strict=strict, potential=readout == "potential", dt=dt, collect=False)
    layers = mapper.run()
    default = {"name": re.sub(r"[^A-Za-z0-9_.+-]", "_", Path(graph.name).stem)[:80], "input_kind": "events"}
    try:
        return FloatNetwork(steps=steps, layers=tuple(layers), readout=readout, **{**default, **fields})
    except TypeError as error:
        raise CompileError(f"a network must have the fields of FloatNetwork: {error}") from None


def inspect_nir(source: Any, *, dt: float | None = None) -> NirInspection:
    """Report what `load_nir` would make of each node, without raising for nodes that cannot be mapped.

    Raises
    ------
    CompileError
        Nothing in the file can be read.
    """
    graph = read_graph(source)
    ends = {graph.nodes[one].kind for one, other in graph.edges
            if other in graph.nodes and graph.nodes[other].kind == "Output" and one in graph.nodes}
    potential = bool(ends) and not ends & set(FIRING)
    mapper = _Mapper(graph, reset="zero", strict=True, potential=potential, dt=dt, collect=True)
    mapper.run()
    return NirInspection(graph=graph, roles=mapper.roles, refusals=mapper.refusals, layers=dict(mapper.made))


class _Mapper:
    """One pass over a graph, layer by layer.

    Parameters
    ----------
    collect : bool
        Collect refusals and go on, instead of raising the first.
    """

    def __init__(
        self, graph: Graph, *, reset: Reset, strict: bool, potential: bool, dt: float | None, collect: bool,
    ) -> None:
        self._graph, self._strict, self._dt = graph, strict, dt
        self._reset: Reset = reset
        self._potential, self._collect = potential, collect
        self._input, self._output = (
            next((name for name, node in graph.nodes.items() if node.kind == kind and "/" not in name), None)
            for kind in ("Input", "Output"))
        self._before: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for source, target in graph.edges:
            self._before[target].append(source)
        self._index: dict[str, int] = {}
        self._shapes: dict[str, Shape] = {}
        self.roles: dict[str, str] = {}
        self.refusals: dict[str, str] = {}
        self.made: dict[int, FloatLayer] = {}

    def run(self) -> list[FloatLayer]:
        """Return the layers in order; with ``collect``, those that could be made."""
        graph = self._graph
        if graph.errors and not self._collect:
            raise CompileError(f"{graph.name}: {graph.errors[0]}")
        for error in self._structure():
            if not self._collect:
                raise CompileError(f"{graph.name}: {error}")
            graph.errors.append(error)
        for name in self._order():
            self._index[name] = len(self._index)
            try:
                self.made[self._index[name]] = self._layer(name)
            except NodeError as error:
                self._refuse(error)
                with suppress(NodeError):
                    self._shapes.setdefault(name, self._claimed(name))
        for name, node in graph.nodes.items():
            if name not in self.roles and name not in self.refusals:
                try:
                    check_kind(name, node)
                    raise NodeError(name, f"{node.kind} must lead to the Output, through neurons")
                except NodeError as error:
                    self._refuse(error)
        if not self.made and not self._collect:
            raise CompileError(f"{graph.name}: the graph must have neurons")
        return list(self.made.values())

    def _refuse(self, error: NodeError) -> None:
        if not self._collect:
            raise CompileError(f"{self._graph.name}: node {error.node!r}: {error}") from None
        self.refusals.setdefault(error.node, str(error))

    def _structure(self) -> Iterable[str]:
        """Yield what is wrong with the graph as a whole."""
        for kind in ("Input", "Output"):
            count = sum(node.kind == kind and "/" not in name for name, node in self._graph.nodes.items())
            if count != 1:
                yield f"must have one {kind} node, not {count}"
        if len(set(self._graph.edges)) < len(self._graph.edges):
            twice = next(edge for edge in self._graph.edges if self._graph.edges.count(edge) > 1)
            yield f"edge {twice[0]} → {twice[1]} must be there once"

    def _order(self) -> Iterable[str]:
        """Yield the nodes of neurons, each after all nodes that it takes spikes from; if there is a choice, one that
        takes those of the last layer."""
        neurons = [name for name, node in self._graph.nodes.items() if node.kind in FIRING + HOLDING]
        if self._output is not None:
            neurons += self._open_end(self._output)
        waiting: dict[str, set[str]] = {}
        for name in neurons:
            try:
                waiting[name] = {self._trace(name, one)[0] for one in self._before[name]} - {name}
                if not self._before[name]:
                    raise NodeError(name, f"{self._graph.nodes[name].kind} must have a predecessor")
            except NodeError as error:
                self._refuse(error)
        last, done = self._input, {self._input}
        while waiting:
            ready = [name for name, sources in waiting.items() if sources <= done]
            if not ready:
                name = next(iter(waiting))
                lost = waiting[name] - done - set(waiting)
                self._refuse(NodeError(
                    name, f"{self._graph.nodes[name].kind} must take spikes of layers before it and its own, not of "
                    f"{sorted(lost or waiting[name] - done)[0]!r}"))
                ready = [name]
            last = next((name for name in ready if last in waiting[name]), ready[0])
            done.add(last)
            del waiting[last]
            yield last
        if self._output is not None and last is not None and last not in self.refusals and last != self._output:
            self._check_end(last)

    def _open_end(self, output: str) -> list[str]:
        """The Output node, if the graph ends in synapses that are read by their potential; else an empty list."""
        before = self._before[output]
        ends = {self._graph.nodes[one].kind for one in before}
        if len(before) == 1 and self._potential and not ends & set(FIRING + HOLDING):
            return [output]
        self.roles[output] = "the spikes that are read" if not self._potential else "the membranes that are read"
        return []

    def _check_end(self, last: str) -> None:
        """Refuse an Output node that does not take the last layer."""
        assert self._output is not None
        try:
            before = self._before[self._output]
            if len(before) != 1:
                raise NodeError(self._output, f"Output must have one predecessor, not {len(before)}")
            source, chain = self._trace(self._output, before[0])
            if source != last or any(self._graph.nodes[one].kind not in DOORS for one in chain):
                raise NodeError(self._output, f"Output must take the neurons {last!r}, the last layer, as they are; "
                               "a graph that ends in synapses is read by its potential")
        except NodeError as error:
            self._refuse(error)

    def _trace(self, target: str, start: str) -> tuple[str, list[str]]:
        """The neurons or Input that ``start``, a predecessor of ``target``, gets spikes from, and the nodes on the way,
        in order."""
        chain: list[str] = []
        name = start
        while name != self._input and self._graph.nodes[name].kind not in FIRING + HOLDING:
            node, before = self._graph.nodes[name], self._before[name]
            check_kind(name, node)
            if name in chain or name == target:
                raise NodeError(name, f"{node.kind} must not be in a cycle without neurons")
            if len(before) != 1:
                raise NodeError(name, f"{node.kind} must have one predecessor, not {len(before)}: only neurons add up")
            chain.insert(0, name)
            name = before[0]
        return name, chain

    def _layer(self, name: str) -> FloatLayer:
        node, index = self._graph.nodes[name], self._index[name]
        check_kind(name, node)
        traces = sorted((self._trace(name, one) for one in self._before[name]), key=lambda one: one[0] == name)
        sets: list[SynapseSet] = []
        for source, chain in traces:
            one = SynapseSet(source=source, shape=self._source_shape(name, source))
            for step in chain:
                one.take(step, self._graph.nodes[step])
                self.roles[step] = f"layer {index}: {self._role(step, source == name)}"
            one.end(name, node)
            if sets and one.out_shape != sets[0].out_shape:
                raise NodeError(name, f"{node.kind} must take one shape, {sets[0].out_shape}, not {one.out_shape}")
            self._shapes[name] = one.out_shape
            sets.append(one)
        sources = [-1 if one.source == self._input else self._index[one.source] for one in sets]
        if index - 1 not in sources:
            raise NodeError(name, f"{node.kind} must take what the layer before it gives, {index - 1}, among others")
        main = sources.index(index - 1)
        first = sets[main]
        assert first.connectivity is not None
        neuron, drive = self._neurons(name, node, first.connectivity)
        biases = [one.bias * drive for one in sets if one.bias is not None]
        layer = FloatLayer(
            weight=_scaled(first.weight, drive), connectivity=first.connectivity,
            average_pool=first.averages and first.pool > 1,
            neuron=replace(neuron, bias=np.sum(biases, axis=0) if biases else None),
            branches=tuple(
                FloatBranch(source=source, weight=_scaled(one.weight, drive),
                            average_pool=one.averages and one.pool > 1,
                            connectivity=one.connectivity)  # pyright: ignore[reportArgumentType] - set by _weigh
                for place, (source, one) in enumerate(zip(sources, sets, strict=True)) if place != main),
        )
        bits = [one.weight_bits for one in sets]
        if None not in bits and (drive == drive[0]).all():
            layer = replace(layer, weight_scale=float(drive[0]), weight_bits=max(bits))  # pyright: ignore
        self.roles[name] = f"layer {index}: " + ("membranes that are read" if neuron.theta is None else "neurons")
        return layer

    def _role(self, name: str, recurrent: bool) -> str:
        kind = self._graph.nodes[name].kind
        if kind in SYNAPSES:
            return "recurrent synapses" if recurrent else "synapses"
        return {"Scale": "factor of the synapses", "Flatten": "the order of addresses, as it is"}.get(
            kind, "pool" if kind in POOLS else "passed on")

    def _source_shape(self, name: str, source: str) -> Shape:
        """Shape of the spikes that come from ``source``, neurons or the Input: (N,) or (C, H, W)."""
        if source == self._input:
            shape = self._claimed(source)
            self.roles[source] = "the input"
        else:
            shape = self._shapes.get(source, ())
        if not shape:
            raise NodeError(name, f"{self._graph.nodes[name].kind} must come behind a node of known shape, not "
                           f"{source!r}")
        return shape

    def _claimed(self, name: str) -> Shape:
        """The shape that a node of input or neurons claims, as (N,) or (C, H, W); () if neurons claim none."""
        node = self._graph.nodes[name]
        if node.kind == "Input":
            given = node.fields.get("shape", node.fields.get("input_type"))
            numbers = given.ravel()[:4] if isinstance(given, np.ndarray) else np.zeros(0)
            sides = tuple(int(one) for one in numbers) if np.isfinite(numbers).all() else ()
        else:
            sides = next((shape for shape in node.shapes.values() if shape), ())
        if node.kind == "Input" and not (0 < len(sides) <= 3 and min(sides) > 0):
            raise NodeError(name, f"shape must be one to three positive numbers, not {sides}")
        if not 0 < len(sides) <= 3 or min(sides) < 1:
            return ()
        if float(np.prod(np.array(sides, dtype=np.float64))) > ADDRESSES_MAX:
            raise NodeError(name, f"shape must be of at most {ADDRESSES_MAX} addresses, not {sides}")
        return (sides[0], 1, sides[1]) if len(sides) == 2 else sides

    def _neurons(
        self, name: str, node: Node, connectivity: Dense | Conv2d,
    ) -> tuple[FloatNeuron, np.ndarray]:
        """The neurons without their bias, and a factor for weights and bias of the synapses, float64[C].

        By forward Euler, v grows by ``gain`` times its input in a step; the thresholds are divided by it. Membranes
        that a potential read-out compares must share a unit, so there the gain becomes the factor.
        """
        plain = np.ones(connectivity.channels)

        def vector(what: str, default: float | None = None) -> np.ndarray:
            return per_channel(name, node, what, connectivity, default)

        if node.kind == "Output":
            return FloatNeuron(reset="none"), plain
        holds = node.kind in HOLDING
        if holds and not self._potential:
            raise NodeError(name, f"{node.kind} must be read by its potential: it does not fire")
        if self._potential and not holds and (self._output is None or name in self._before[self._output]):
            raise NodeError(name, f"{node.kind} must not be at the output of a potential read-out: it resets")
        if node.kind == "Threshold":
            theta = vector("threshold")
            positive(name, "threshold", theta)
            return FloatNeuron(theta=theta, leak=0.0, reset="none", strict=self._strict), plain
        gain = vector("r")
        positive(name, "r", gain)
        leak, rest = 1.0, np.zeros(connectivity.channels)
        if node.kind in ("IF", "I"):
            gain = gain * (1.0 if self._dt is None else self._dt)
        else:
            leak, gain = self._euler(name, node, gain, vector)
            rest = vector("v_leak", 0.0)
        after = rest if holds else vector("v_reset", 0.0)
        for what, values in (("v_leak", rest), ("v_reset", after)):
            if values.any() and (holds or self._reset == "subtract"):
                raise NodeError(name, f"{what} must be 0 {'of' if holds else 'with'} "
                                f"{node.kind if holds else 'a reset that subtracts'}, not {farthest(values)!r}")
        if holds:
            # What differs by rounding alone is the same.
            same = np.allclose(gain, gain[0], rtol=1e-12, atol=0)
            return FloatNeuron(leak=leak, reset="none"), np.full_like(gain, gain[0]) if same else gain
        theta = vector("v_threshold") - rest
        positive(name, "v_threshold above v_leak" if rest.any() else "v_threshold", theta)
        return FloatNeuron(theta=theta / gain, leak=leak, reset=self._reset, strict=self._strict,
                           v_reset=(after - rest) / gain if (after != rest).any() else None), plain

    def _euler(self, name: str, node: Node, gain: np.ndarray, vector) -> tuple[np.ndarray, np.ndarray]:
        """Leak and gain, float64[C] each, of one step by forward Euler."""
        current = node.kind.startswith("Cuba")
        if self._dt is None:
            raise NodeError(name, f"dt must be given for {node.kind}: the file does not say how long a step is")
        with np.errstate(divide="ignore"):
            rates = self._dt / vector("tau_mem" if current else "tau")
        if not ((rates > 0) & (rates <= 1)).all():
            raise NodeError(name, f"dt / tau must be in 0 … 1, not {float(rates.min())!r} … {float(rates.max())!r}")
        gain = gain * rates
        if current:
            decays = vector("tau_syn")
            if not np.allclose(decays, self._dt, rtol=1e-6, atol=0):
                raise NodeError(name, f"tau_syn must be dt, {self._dt!r}, so that a step's current is gone after it, "
                                f"not {float(decays.max())!r}: the core's neurons have one state")
            weights = vector("w_in", 1.0)
            positive(name, "w_in", weights)
            gain = gain * weights
        return 1.0 - rates, gain


def _scaled(weight: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Weights multiplied by a factor for each channel, float64[C]."""
    return weight * gain.reshape(-1, *[1] * (weight.ndim - 1))
