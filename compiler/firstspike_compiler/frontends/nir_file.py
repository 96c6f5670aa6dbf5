# SPDX-License-Identifier: MIT
"""NIR graphs: synapses, pools and (leaky) integrate-and-fire neurons become a `FloatNetwork`, or a list of reasons."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from firstspike_arch.connectivity import Conv2d, Dense, Shape, pooled, size_of
from firstspike_arch.model import FloatBranch, FloatLayer, FloatNetwork, Readout

from ..errors import CompileError
from .nir_graph import Graph, Node, read_graph
from .pooled_kernel import pooled_kernel

__all__ = ["NirInspection", "inspect_nir", "load_nir"]

FIRING = ("IF", "LIF", "CubaLIF", "Threshold")
HOLDING = ("I", "LI", "CubaLI")
"""Neurons that do not fire: at the output of a potential read-out."""
SYNAPSES = ("Affine", "Linear", "Conv1d", "Conv2d")
POOLS = ("SumPool2d", "AvgPool2d")
DOORS = ("Flatten", "Input", "Output")
KNOWN = "Affine, Linear, Conv1d, Conv2d, Scale, SumPool2d, AvgPool2d, Flatten, IF, LIF, CubaLIF, Threshold; at the " \
    "output of a potential read-out I, LI, CubaLI"

ADDRESSES_MAX = 1 << 24
"""Neurons of a layer, or inputs: what shapes claim is checked before anything of that size is made."""


class _NodeError(CompileError):
    """A node has no counterpart; the sentence is without the node's name."""

    def __init__(self, node: str, sentence: str):
        super().__init__(sentence)
        self.node = node


@dataclass(frozen=True, kw_only=True, eq=False)
class NirInspection:
    """What becomes of each node.

    Parameters
    ----------
    graph : Graph
    roles, refusals : dict
        Name of a node → what it becomes, or why it cannot.
    layers : dict
        Number of the layer → what could be made of it; complete if there are neither refusals nor errors.
    """

    graph: Graph
    roles: dict[str, str]
    refusals: dict[str, str]
    layers: dict[int, FloatLayer]


def load_nir(
    source: Any, *, steps: int, reset: Literal["subtract", "zero"], strict: bool, readout: Readout,
    dt: float | None = None, **fields: Any,
) -> FloatNetwork:
    """Read a file or graph. What it does not say must be given; what cannot be mapped is refused by name.

    Neurons add up what several edges bring them, from earlier layers (residual) or from themselves (recurrent: the
    spikes of the step before). A Conv1d is a convolution of height 1.

    Parameters
    ----------
    source : path or nir.NIRGraph
    steps : int
        Steps of an inference.
    reset : "subtract" or "zero"
        NIR's ``v_reset`` = 0 says neither.
    strict : bool
        Fire on v > v_threshold, not on v ≥ v_threshold.
    readout : str
        "potential": of a graph that ends in synapses, whose outputs are added up over the steps, or in I, LI or CubaLI.
    dt : float
        Seconds of a step. LIF and CubaLIF need it (forward Euler; of a CubaLIF, tau_syn must be dt); None: IF nodes
        grow by r times their input in a step.
    fields
        Further ones of `FloatNetwork`, such as name, input_kind, in_max; by default the input is "events".

    Raises
    ------
    CompileError
        The source is no NIR graph, or has a node that has no counterpart.
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
    """What `load_nir` would make of each node; nothing but an unreadable file raises.

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


@dataclass(kw_only=True, eq=False)
class _Set:
    """Synapses on their way: what stands between a source of spikes and neurons."""

    source: str
    shape: Shape
    pool: int = 1
    averages: bool = False
    connectivity: Dense | Conv2d | None = None
    weight: np.ndarray = field(default_factory=lambda: np.ones(()))
    """A factor of all weights, until there are some."""
    bias: np.ndarray | None = None
    weight_bits: int | None = None

    @property
    def out_shape(self) -> Shape:
        return pooled(self.shape, self.pool) if self.connectivity is None else self.connectivity.out_shape


class _Mapper:
    """One pass over a graph, layer by layer.

    Parameters
    ----------
    collect : bool
        Note refusals and go on, instead of raising the first.
    """

    def __init__(self, graph: Graph, *, reset: str, strict: bool, potential: bool, dt: float | None, collect: bool):
        self._graph, self._reset, self._strict, self._dt = graph, reset, strict, dt
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
        """The layers in order; while collecting, those that could be made."""
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
            except _NodeError as error:
                self._refuse(error)
                self._shapes.setdefault(name, self._claimed(name))
        for name, node in graph.nodes.items():
            if name not in self.roles and name not in self.refusals:
                try:
                    self._check_kind(name, node)
                    raise _NodeError(name, f"{node.kind} must lead to the Output, through neurons")
                except _NodeError as error:
                    self._refuse(error)
        if not self.made and not self._collect:
            raise CompileError(f"{graph.name}: the graph must have neurons")
        return list(self.made.values())

    def _refuse(self, error: _NodeError) -> None:
        if not self._collect:
            raise CompileError(f"{self._graph.name}: node {error.node!r}: {error}") from None
        self.refusals.setdefault(error.node, str(error))

    def _structure(self) -> Iterable[str]:
        """What is wrong with the graph as a whole."""
        for kind in ("Input", "Output"):
            count = sum(node.kind == kind and "/" not in name for name, node in self._graph.nodes.items())
            if count != 1:
                yield f"must have one {kind} node, not {count}"
        if len(set(self._graph.edges)) < len(self._graph.edges):
            twice = next(edge for edge in self._graph.edges if self._graph.edges.count(edge) > 1)
            yield f"edge {twice[0]} → {twice[1]} must be there once"

    def _order(self) -> Iterable[str]:
        """Neurons, each behind all that it takes spikes from; the one that goes on from the last layer first."""
        neurons = [name for name, node in self._graph.nodes.items() if node.kind in FIRING + HOLDING]
        if self._output is not None:
            neurons += self._open_end(self._output)
        waiting: dict[str, set[str]] = {}
        for name in neurons:
            try:
                waiting[name] = {self._trace(name, one)[0] for one in self._before[name]} - {name}
                if not self._before[name]:
                    raise _NodeError(name, f"{self._graph.nodes[name].kind} must have a predecessor")
            except _NodeError as error:
                self._refuse(error)
        last, done = self._input, {self._input}
        while waiting:
            ready = [name for name, sources in waiting.items() if sources <= done]
            if not ready:
                name = next(iter(waiting))
                lost = waiting[name] - done - set(waiting)
                self._refuse(_NodeError(
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
        """The Output itself, where a graph ends in synapses that are read by their potential."""
        before = self._before[output]
        ends = {self._graph.nodes[one].kind for one in before}
        if len(before) == 1 and self._potential and not ends & set(FIRING + HOLDING):
            return [output]
        self.roles[output] = "the spikes that are read" if not self._potential else "the membranes that are read"
        return []

    def _check_end(self, last: str) -> None:
        """Refuse an Output that does not take the last layer."""
        assert self._output is not None
        try:
            before = self._before[self._output]
            if len(before) != 1:
                raise _NodeError(self._output, f"Output must have one predecessor, not {len(before)}")
            source, chain = self._trace(self._output, before[0])
            if source != last or any(self._graph.nodes[one].kind not in DOORS for one in chain):
                raise _NodeError(self._output, f"Output must take the neurons {last!r}, the last layer, as they are; "
                               "a graph that ends in synapses is read by its potential")
        except _NodeError as error:
            self._refuse(error)

    def _trace(self, target: str, start: str) -> tuple[str, list[str]]:
        """Neurons or Input that a predecessor of ``target`` leads back to, and the nodes on the way, in order."""
        chain: list[str] = []
        name = start
        while name != self._input and self._graph.nodes[name].kind not in FIRING + HOLDING:
            node, before = self._graph.nodes[name], self._before[name]
            self._check_kind(name, node)
            if name in chain or name == target:
                raise _NodeError(name, f"{node.kind} must not be in a cycle without neurons")
            if len(before) != 1:
                raise _NodeError(name, f"{node.kind} must have one predecessor, not {len(before)}: only neurons add up")
            chain.insert(0, name)
            name = before[0]
        return name, chain

    def _check_kind(self, name: str, node: Node) -> None:
        if node.errors:
            part, why = next(iter(node.errors.items()))
            raise _NodeError(name, f"{part or 'it'} must be readable: {why}")
        if node.kind not in (*FIRING, *HOLDING, *SYNAPSES, *POOLS, *DOORS, "Scale"):
            raise _NodeError(name, f"{node.kind} must not be there; what can be mapped is {KNOWN}")

    def _layer(self, name: str) -> FloatLayer:
        node, index = self._graph.nodes[name], self._index[name]
        self._check_kind(name, node)
        traces = sorted((self._trace(name, one) for one in self._before[name]), key=lambda one: one[0] == name)
        sets: list[_Set] = []
        for source, chain in traces:
            one = _Set(source=source, shape=self._source_shape(name, source))
            for step in chain:
                self._take(one, step)
                self.roles[step] = f"layer {index}: {self._role(step, source == name)}"
            self._weigh(name, one)
            if sets and one.out_shape != sets[0].out_shape:
                raise _NodeError(name, f"{node.kind} must take one shape, {sets[0].out_shape}, not {one.out_shape}")
            self._shapes[name] = one.out_shape
            sets.append(one)
        sources = [-1 if one.source == self._input else self._index[one.source] for one in sets]
        if index - 1 not in sources:
            raise _NodeError(name, f"{node.kind} must take what the layer before it gives, {index - 1}, among others")
        main = sources.index(index - 1)
        first = sets[main]
        assert first.connectivity is not None
        neurons, drive = self._neurons(name, node, first.connectivity)
        biases = [one.bias * drive for one in sets if one.bias is not None]
        layer = FloatLayer(
            weight=_scaled(first.weight, drive), connectivity=first.connectivity,
            average_pool=first.averages and first.pool > 1, bias=np.sum(biases, axis=0) if biases else None,
            branches=tuple(
                FloatBranch(source=source, weight=_scaled(one.weight, drive),
                            average_pool=one.averages and one.pool > 1,
                            connectivity=one.connectivity)  # pyright: ignore[reportArgumentType] - set by _weigh
                for place, (source, one) in enumerate(zip(sources, sets, strict=True)) if place != main),
            **neurons,
        )
        bits = [one.weight_bits for one in sets]
        if None not in bits and (drive == drive[0]).all():
            layer = replace(layer, weight_scale=float(drive[0]), weight_bits=max(bits))  # pyright: ignore
        self.roles[name] = f"layer {index}: " + ("membranes that are read" if layer.theta is None else "neurons")
        return layer

    def _role(self, name: str, recurrent: bool) -> str:
        kind = self._graph.nodes[name].kind
        if kind in SYNAPSES:
            return "recurrent synapses" if recurrent else "synapses"
        return {"Scale": "factor of the synapses", "Flatten": "the order of addresses, as it is"}.get(
            kind, "pool" if kind in POOLS else "passed on")

    def _source_shape(self, name: str, source: str) -> Shape:
        """Of the spikes that come from neurons or the Input, (N,) or (C, H, W)."""
        if source == self._input:
            shape = self._claimed(source)
            self.roles[source] = "the input"
        else:
            shape = self._shapes.get(source, ())
        if not shape:
            raise _NodeError(name, f"{self._graph.nodes[name].kind} must come behind a node of known shape, not "
                           f"{source!r}")
        return shape

    def _claimed(self, name: str) -> Shape:
        """The shape that an Input or neurons say they have, as (N,) or (C, H, W); () if they say none that is one."""
        node = self._graph.nodes[name]
        if node.kind == "Input":
            given = node.fields.get("shape", node.fields.get("input_type"))
            sides = () if not isinstance(given, np.ndarray) else tuple(int(one) for one in given.ravel()[:4])
        else:
            sides = next((shape for shape in node.shapes.values() if shape), ())
        if node.kind == "Input" and not (0 < len(sides) <= 3 and min(sides) > 0):
            raise _NodeError(name, f"shape must be one to three positive numbers, not {sides}")
        if not 0 < len(sides) <= 3 or min(sides) < 1:
            return ()
        if float(np.prod(np.array(sides, dtype=np.float64))) > ADDRESSES_MAX:
            raise _NodeError(name, f"shape must be of at most {ADDRESSES_MAX} addresses, not {sides}")
        return (sides[0], 1, sides[1]) if len(sides) == 2 else sides

    def _take(self, one: _Set, name: str) -> None:
        """The next node between source and neurons."""
        node = self._graph.nodes[name]
        self._check_kind(name, node)
        if node.kind in POOLS:
            self._pool(one, name, node)
        elif node.kind in SYNAPSES:
            if one.connectivity is not None:
                raise _NodeError(name, f"{node.kind} must come behind neurons, not behind other synapses")
            _synapses(one, name, node)
        elif node.kind == "Scale":
            _scale(one, name, node)

    def _pool(self, one: _Set, name: str, node: Node) -> None:
        side, averages = _window(name, node), node.kind == "AvgPool2d"
        if len(one.out_shape) != 3 or side > min(one.out_shape[1:]):
            raise _NodeError(name, f"{node.kind} must have windows inside the map that comes in, {one.out_shape}, not "
                             f"of {side} × {side}")
        if one.connectivity is None:
            if one.pool > 1 and one.averages != averages:
                raise _NodeError(name, f"{node.kind} must not follow a pool of the other kind")
            one.pool, one.averages = one.pool * side, averages
            return
        assert isinstance(one.connectivity, Conv2d)
        one.weight, one.connectivity = pooled_kernel(one.weight, one.connectivity, side)
        if averages:
            one.weight = one.weight / side**2
        elif one.bias is not None:
            one.bias = one.bias * side**2

    def _weigh(self, name: str, one: _Set) -> None:
        """Synapses of weight 1 where spikes go to neurons as they are; and bounds on what there is."""
        if one.connectivity is None:
            shape = one.out_shape
            if len(shape) == 3:
                one.connectivity = Conv2d(in_shape=one.shape, channels=shape[0], kernel=(1, 1), groups=shape[0],
                                          pool=one.pool)
                one.weight = np.ones(one.connectivity.weight_shape) * one.weight.reshape(-1, 1, 1, 1)
            elif shape[0] > 4096:
                raise _NodeError(name, f"{self._graph.nodes[name].kind} must come behind synapses: {shape[0]} spikes "
                                 "are too many to be passed on one to one")
            else:
                one.connectivity = Dense(in_shape=one.shape, neurons=shape[0], pool=one.pool)
                one.weight = np.eye(shape[0]) * one.weight
        if size_of(one.connectivity.out_shape) > ADDRESSES_MAX:
            raise _NodeError(name, f"{self._graph.nodes[name].kind} must have at most {ADDRESSES_MAX} neurons, not "
                           f"{one.connectivity.out_shape}")

    def _neurons(
        self, name: str, node: Node, connectivity: Dense | Conv2d,
    ) -> tuple[dict[str, Any], np.ndarray]:
        """Fields of `FloatLayer`, and a factor of the synapses, float64[C].

        By forward Euler, v grows by ``gain`` times its input in a step: that goes into the thresholds. Membranes that
        are compared with each other share a unit instead, and the gain goes into the synapses.
        """
        plain = np.ones(connectivity.channels)

        def vector(what: str, default: float | None = None) -> np.ndarray:
            return _per_channel(name, node, what, connectivity, default)

        if node.kind == "Output":
            return {"theta": None, "leak": 1.0, "reset": "none"}, plain
        holds = node.kind in HOLDING
        if holds and not self._potential:
            raise _NodeError(name, f"{node.kind} must be read by its potential: it does not fire")
        if self._potential and not holds and (self._output is None or name in self._before[self._output]):
            raise _NodeError(name, f"{node.kind} must not be at the output of a potential read-out: it resets")
        if node.kind == "Threshold":
            theta = vector("threshold")
            _positive(name, "threshold", theta)
            return {"theta": theta, "leak": 0.0, "reset": "none", "strict": self._strict}, plain
        gain = vector("r")
        _positive(name, "r", gain)
        origin = np.zeros(connectivity.channels) if holds else vector("v_reset", 0.0)
        leak = 1.0
        if node.kind in ("IF", "I"):
            gain = gain * (1.0 if self._dt is None else self._dt)
            if origin.any():
                raise _NodeError(name, f"v_reset must be 0, not {_far(origin)!r}")
        else:
            leak, gain = self._euler(name, node, gain, vector)
            rest = vector("v_leak", 0.0)
            if (rest != origin).any() or (origin.any() and self._reset == "subtract"):
                wanted = "0" if holds or self._reset == "subtract" else "v_reset"
                raise _NodeError(name, f"v_leak must be {wanted}, not {_far(rest if rest.any() else origin)!r}")
        if holds:
            return {"theta": None, "leak": leak, "reset": "none"}, gain
        theta = vector("v_threshold") - origin
        _positive(name, "v_threshold above v_reset" if origin.any() else "v_threshold", theta)
        return {"theta": theta / gain, "leak": leak, "reset": self._reset, "strict": self._strict}, plain

    def _euler(self, name: str, node: Node, gain: np.ndarray, vector) -> tuple[float, np.ndarray]:
        """Leak and gain of a step."""
        current = node.kind.startswith("Cuba")
        if self._dt is None:
            raise _NodeError(name, f"dt must be given for {node.kind}: the file does not say how long a step is")
        with np.errstate(divide="ignore"):
            rates = self._dt / vector("tau_mem" if current else "tau")
        if (rates != rates[0]).any() or not 0 < rates[0] <= 1:
            raise _NodeError(name, f"dt / tau must be in 0 … 1 and the same for all neurons, not "
                           f"{float(rates.min())!r} … {float(rates.max())!r}")
        gain = gain * rates[0]
        if current:
            decays = vector("tau_syn")
            if not np.allclose(decays, self._dt, rtol=1e-6, atol=0):
                raise _NodeError(name, f"tau_syn must be dt, {self._dt!r}, so that a step's current is gone after it, "
                                 f"not {float(decays.max())!r}: the core's neurons have one state")
            weights = vector("w_in", 1.0)
            _positive(name, "w_in", weights)
            gain = gain * weights
        return 1.0 - float(rates[0]), gain


def _scaled(weight: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Weights with a factor for each channel."""
    return weight * gain.reshape(-1, *[1] * (weight.ndim - 1))


def _synapses(one: _Set, name: str, node: Node) -> None:
    weight = _numbers(name, node, "weight")
    shape = one.out_shape
    try:
        if node.kind in ("Affine", "Linear"):
            if weight.ndim != 2:
                raise _NodeError(name, f"weight must have shape (outputs, inputs), not {weight.shape}")
            connectivity: Dense | Conv2d = Dense(in_shape=one.shape, neurons=len(weight), pool=one.pool)
        else:
            flat = node.kind == "Conv1d"
            if weight.ndim != (3 if flat else 4):
                raise _NodeError(name, f"weight must have {3 if flat else 4} dimensions, not {weight.shape}")
            weight, stride, padding = _kernel(name, node, weight[:, :, None] if flat else weight, flat)
            connectivity = Conv2d(
                in_shape=one.shape, channels=len(weight), kernel=(weight.shape[2], weight.shape[3]), stride=stride,
                padding=padding, groups=_integers(name, node, "groups", 1, default=1)[0], pool=one.pool,
            )
    except _NodeError:
        raise
    except ValueError as error:
        raise _NodeError(name, str(error)) from None
    if weight.shape != connectivity.weight_shape:
        raise _NodeError(name, f"weight must have shape {connectivity.weight_shape} for an input of shape {shape}, not "
                       f"{weight.shape}")
    if "bias" in node.fields:
        one.bias = _numbers(name, node, "bias")
        if one.bias.shape != weight.shape[:1]:
            raise _NodeError(name, f"bias must have shape {weight.shape[:1]}, not {one.bias.shape}")
    factor = one.weight  # of a Scale in front
    if factor.ndim:
        if connectivity.pool > 1 or not isinstance(connectivity, Dense):
            raise _NodeError(name, f"{node.kind} must come behind a Scale of one number, or be Affine or Linear "
                             "without a pool")
        factor = np.broadcast_to(factor.ravel(), size_of(one.shape))
    one.weight, one.connectivity = weight * factor, connectivity
    one.weight_bits = _kept_bits(node, one.weight)


def _kernel(name: str, node: Node, weight: np.ndarray, flat: bool):
    """Kernel with its dilation filled by zeros, stride, padding."""
    first, sides = 1 if flat else 0, 1 if flat else 2

    def pair(what: str, default: int, least: int) -> tuple[int, int]:
        values = _integers(name, node, what, sides, default=default)
        if min(values) < least or max(values) > ADDRESSES_MAX:
            raise _NodeError(name, f"{what} must be at least {least}, not {values}")
        return (default, values[0]) if flat else (values[0], values[1])

    dilation = pair("dilation", 1, 1)
    size = [(side - 1) * step + 1 for side, step in zip(weight.shape[2:], dilation, strict=True)]
    if max(size) > 4096:
        raise _NodeError(name, f"kernel and dilation must reach over at most 4096 pixels, not {max(size)}")
    if max(dilation) > 1:
        filled = np.zeros((*weight.shape[:2], *size))
        filled[:, :, :: dilation[0], :: dilation[1]] = weight
        weight = filled
    padding = node.fields.get("padding", "valid")
    if isinstance(padding, str):
        if padding not in ("same", "valid") or (padding == "same" and any(side % 2 == 0 for side in size[first:])):
            raise _NodeError(name, f"padding must be numbers, 'valid', or 'same' with a kernel of odd sides, not "
                           f"{padding!r} with {tuple(size[first:])}")
        amount = [(side - 1) // 2 if padding == "same" else 0 for side in size]
        return weight, pair("stride", 1, 1), (amount[0], amount[1])
    return weight, pair("stride", 1, 1), pair("padding", 0, 0)


def _kept_bits(node: Node, weight: np.ndarray) -> int | None:
    """Bits of weights that `save_nir` wrote as whole numbers; None of any others."""
    bits = node.metadata.get("weight_bits")
    ours = isinstance(bits, np.ndarray) and bits.size == 1 and 2 <= int(bits.ravel()[0]) <= 8
    if not ours or (weight != np.rint(weight)).any():
        return None
    return int(bits.ravel()[0])  # pyright: ignore


def _scale(one: _Set, name: str, node: Node) -> None:
    factor = _numbers(name, node, "scale")
    if (uniform := bool(factor.size) and bool((factor == factor.flat[0]).all())):
        factor = factor.reshape(-1)[0]
    if one.connectivity is None:
        if not uniform and factor.size != size_of(one.out_shape):
            raise _NodeError(name, f"scale must have shape {one.out_shape}, not {factor.shape}")
        one.weight = one.weight * (factor if uniform else factor.ravel())
        return
    factor = _per_channel(name, node, "scale", one.connectivity, None)
    one.weight = one.weight * factor.reshape(-1, *[1] * (one.weight.ndim - 1))
    one.bias = None if one.bias is None else one.bias * factor
    one.weight_bits = None


def _window(name: str, node: Node) -> int:
    kernel, stride, padding = (
        _integers(name, node, what, 2, default=0 if what == "padding" else None)
        for what in ("kernel_size", "stride", "padding"))
    if kernel != stride or kernel[0] != kernel[1] or any(padding) or kernel[0] < 1:
        raise _NodeError(name, f"{node.kind} must have equal kernel and stride and no padding, not {kernel}, {stride}, "
                       f"{padding}")
    return kernel[0]


def _numbers(name: str, node: Node, what: str) -> np.ndarray:
    """A field as float64, finite everywhere."""
    value = node.fields.get(what)
    if not isinstance(value, np.ndarray):
        raise _NodeError(name, f"{what} must be numbers, but " + ("is missing" if value is None else f"is {value!r}"))
    value = value.astype(np.float64)
    if not value.size or not np.isfinite(value).all():
        raise _NodeError(name, f"{what} must be finite everywhere, but holds NaN or infinity" if value.size else
                       f"{what} must not be empty")
    return value


def _integers(name: str, node: Node, what: str, count: int, *, default: int | None) -> tuple[int, ...]:
    """``count`` whole numbers, of a field that holds as many, or one for all."""
    if what not in node.fields and default is not None:
        return (default,) * count
    value = _numbers(name, node, what).ravel()
    if value.size not in (1, count) or (value != np.rint(value)).any() or np.abs(value).max() > 2**31:
        raise _NodeError(name, f"{what} must be {count} whole number{'s' * (count > 1)}, not {value[:4].tolist()}")
    return tuple(int(one) for one in np.broadcast_to(value, count))


def _per_channel(
    name: str, node: Node, what: str, connectivity: Dense | Conv2d, default: float | None,
) -> np.ndarray:
    """float64[C] of a value that NIR has for every neuron."""
    if what not in node.fields and default is not None:
        return np.full(connectivity.channels, default)
    value = _numbers(name, node, what)
    if value.size == 1:
        return np.full(connectivity.channels, value.ravel()[0])
    if value.size != size_of(connectivity.out_shape):
        raise _NodeError(name, f"{what} must have shape {connectivity.out_shape}, not {value.shape}")
    by_channel = value.reshape(connectivity.channels, -1)
    if (by_channel != by_channel[:, :1]).any():
        raise _NodeError(name, f"{what} must be the same for all neurons of a channel")
    return by_channel[:, 0].copy()


def _positive(name: str, what: str, values: np.ndarray) -> None:
    if (values <= 0).any():
        raise _NodeError(name, f"{what} must be > 0, not {float(values.min())!r}")


def _far(values: np.ndarray) -> float:
    """The one farthest from 0."""
    return float(values[np.abs(values).argmax()])
