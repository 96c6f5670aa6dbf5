# SPDX-License-Identifier: MIT
"""Reads NIR graphs of synapses, pools and (leaky) integrate-and-fire neurons as a `FloatNetwork`."""

import re
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from firstspike_arch.connectivity import Shape
from firstspike_arch.events import DELAY_MAX
from firstspike_arch.float_network import FloatBranch, FloatLayer, FloatNetwork, Readout
from firstspike_arch.shown import shown

from ..errors import CompileError, CompileWarning
from ..passes.choose_scales import WeightScale, take_scales
from .nir_conventions import CLOSE, Conventions, CurrentRule, LeakRule, Settled, Start, settle
from .nir_graph import Graph, Node, read_graph
from .nir_neurons import neurons
from .nir_nodes import DIMENSIONS, FIRING, HOLDING, PASSED, POOLS, SYNAPSES, NodeError, check_kind, numbers
from .nir_plausible import implausible
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
    notes : list of str
        What was assumed, and what looks like a mistake.
    """

    graph: Graph
    roles: dict[str, str]
    refusals: dict[str, str]
    layers: dict[int, FloatLayer]
    notes: list[str]


def load_nir(
    source: Any, *, steps: int, reset: Literal["subtract", "zero"], strict: bool, readout: Readout,
    dt: float | None = None, leak_rule: LeakRule | None = None, gain: float | None = None,
    reset_delay: bool | None = None, current_rule: CurrentRule | None = None, current_delay: bool | None = None,
    levels: int | None = None, v_min: float | None = None, start: Start | None = None,
    weight_scale: WeightScale | None = None, weight_bits: int | Sequence[int | None] | None = None, **fields: Any,
) -> FloatNetwork:
    """Read a NIR file or graph; the parameters say what NIR does not.

    Neurons add what several edges bring, from earlier layers (residual) or from themselves (recurrent, the spikes of
    the previous step). A Delay, of any value for each address in front of synapses, is rounded to whole steps of
    ``dt``; in a recurrence it is added to the one step. A Conv1d becomes a convolution of height 1. What the numbers of
    a file show of its exporter is taken from them, with a `CompileWarning` that says so; what looks like a mistake is a
    `CompileWarning`, too.

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
        CubaLI. The "spike_count" of a graph that ends in pools of spikes becomes the potential of neurons that add them
        up.
    dt : float
        Length of a step in seconds, or in whatever tau is given in; currents of a CubaLIF last if its tau_syn is more.
        None: as r and tau of the neurons show it (all of them r = tau / dt, or 1 / dt of IF); else it must be given.
    leak_rule : "euler" or "exponential"
        A step leaves 1 − dt/tau of a membrane and adds r·dt/tau of the input (NIR's equation by forward Euler), or
        leaves exp(−dt/tau) and adds r·(1 − exp(−dt/tau)) of it. None: "exponential" with gain = 1 if r shows that
        Rockpool wrote it, else "euler".
    gain : float
        A step adds so many times the input, or the current, to a membrane, whatever r and tau are. None: as above.
    reset_delay : bool
        The reset takes place in the next step, after the leak. None: False, but it must be given if the file may be
        snnTorch's (r = tau / dt) and the reset subtracts.
    current_rule : "rate", "jump" or "decay"
        A step adds to a current that lasts what NIR's equation says, w_in·dt/tau_syn of its input (or w_in times what
        a step takes away, with "exponential"); w_in times its input, whatever tau_syn is; or that, which then leaks in
        the same step. None: "decay" if r shows that Rockpool wrote the file, else "rate"; it must be given if w_in is
        1, as Norse writes it.
    current_delay : bool
        Membranes take the current of the step before. None: False.
    levels : int
        Neurons have thresholds at 1, 2 … ``levels`` times v_threshold, up to 15, and so many spikes a step. None: 1.
    v_min : float
        Lowest membrane after a step, in the unit of v_threshold. None: there is none.
    start : "zero" or "reset"
        IF neurons start from 0 or from v_reset, others from v_leak. It must be given if there are some whose v_reset is
        not 0.
    weight_scale, weight_bits
        Real value of one step of the weights and their bits, as quantisation-aware training fixed them: one number, or
        one (or None) for each layer. A file whose metadata hold them needs neither.
    fields
        Further fields of `FloatNetwork`, such as name, input_kind and in_max; the default input is "events".

    Raises
    ------
    CompileError
        The source is not a NIR graph, or a node has no counterpart; the message names it.
    """
    said = Conventions(reset=reset, strict=strict, dt=dt, leak_rule=leak_rule, gain=gain, reset_delay=reset_delay,
                       current_rule=current_rule, current_delay=current_delay, levels=levels, v_min=v_min, start=start)
    graph = read_graph(source)
    settled = settle(graph, said)
    if readout == "spike_count" and _Mapper(graph, settled, potential=None, collect=False).pools_spikes:
        readout = "potential"  # of neurons that add the pooled spikes up
    layers = _Mapper(graph, settled, potential=readout == "potential", collect=False).run()
    default = {"name": re.sub(r"[^A-Za-z0-9_.+-]", "_", Path(graph.name).stem)[:80], "input_kind": "events"}
    try:
        network = FloatNetwork(steps=steps, layers=tuple(layers), readout=readout, **{**default, **fields})
    except TypeError as error:
        raise CompileError(f"a network must have the fields of FloatNetwork: {error}") from None
    for note in [*settled.notes, *implausible(network, settled.likely)]:
        warnings.warn(f"{graph.name}: {note}", CompileWarning, stacklevel=2)
    return take_scales(network, weight_scale, weight_bits)


def inspect_nir(
    source: Any, *, steps: int | None = None, reset: Literal["subtract", "zero"] = "zero", strict: bool = True,
    dt: float | None = None, leak_rule: LeakRule | None = None, gain: float | None = None,
    reset_delay: bool | None = None, current_rule: CurrentRule | None = None, current_delay: bool | None = None,
    levels: int | None = None, v_min: float | None = None, start: Start | None = None, in_max: int = 1,
) -> NirInspection:
    """Report what `load_nir` would make of each node, without raising for nodes that cannot be mapped.

    Parameters are those of `load_nir`; with ``steps``, the notes say what looks like a mistake, too.

    Raises
    ------
    CompileError
        Nothing in the file can be read, or an option is none.
    """
    said = Conventions(reset=reset, strict=strict, dt=dt, leak_rule=leak_rule, gain=gain, reset_delay=reset_delay,
                       current_rule=current_rule, current_delay=current_delay, levels=levels, v_min=v_min, start=start)
    graph = read_graph(source)
    try:
        settled = settle(graph, said)
    except CompileError as error:
        graph.errors.append(str(error).removeprefix(f"{graph.name}: "))
        settled = Settled(said=said, notes=[], added=False, likely="")
    mapper = _Mapper(graph, settled, potential=None, collect=True)
    mapper.run()
    notes = list(settled.notes)
    if steps is not None and not mapper.refusals and not graph.errors:
        notes += implausible(FloatNetwork(name="nir", steps=steps, layers=tuple(mapper.made.values()), in_max=in_max,
                                          readout="potential", input_kind="events"), settled.likely)
    return NirInspection(graph=graph, roles=mapper.roles, refusals=mapper.refusals, layers=dict(mapper.made),
                         notes=notes)


class _Mapper:
    """One pass over a graph, layer by layer.

    Parameters
    ----------
    potential : bool
        Potentials are read; None: if the graph does not end in neurons that fire.
    collect : bool
        Collect refusals and go on, instead of raising the first.
    """

    def __init__(self, graph: Graph, settled: Settled, *, potential: bool | None, collect: bool) -> None:
        self._graph, self._settled, self._collect = graph, settled, collect
        self._input = next(iter(self._doors("Input")), None)
        self._before: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for source, target in graph.edges:
            self._before[target].append(source)
        self._ends = {name: self._behind(name) for name in self._doors("Output")}
        self._output = next(iter(self._ends), None)
        fires = self._output is not None and graph.nodes[self._ends[self._output]].kind in FIRING
        self._potential = not fires if potential is None else potential
        self._index: dict[str, int] = {}
        self._shapes: dict[str, Shape] = {}
        self.roles: dict[str, str] = {}
        self.refusals: dict[str, str] = {}
        self.made: dict[int, FloatLayer] = {}

    @property
    def pools_spikes(self) -> bool:
        """Whether the graph ends in pools of what neurons fire."""
        if self._output is None:
            return False
        name, kinds = self._ends[self._output], []
        while self._graph.nodes[name].kind in POOLS and len(kinds) < len(self._graph.nodes):
            kinds.append(self._graph.nodes[name].kind)
            name = self._behind(name)
        return bool(kinds) and self._graph.nodes[name].kind in FIRING

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
            raise CompileError(f"{self._graph.name}: node {shown(error.node)}: {error}") from None
        self.refusals.setdefault(error.node, str(error))

    def _doors(self, kind: str) -> list[str]:
        """Names of the Input or Output nodes of the whole graph."""
        return [name for name, node in self._graph.nodes.items() if node.kind == kind and "/" not in name]

    def _behind(self, name: str) -> str:
        """The first node in front of ``name`` that is not passed as it is; ``name`` itself if there is not one."""
        seen = [name]
        while len(self._before[seen[-1]]) == 1:
            seen.append(self._before[seen[-1]][0])
            if self._graph.nodes[seen[-1]].kind not in PASSED or seen[-1] in seen[:-1]:
                return seen[-1]
        return name

    def _structure(self) -> Iterable[str]:
        """Yield what is wrong with the graph as a whole."""
        if (count := len(self._doors("Input"))) != 1:
            yield f"must have one Input node, not {count}"
        if not self._ends:
            yield "must have one Output node, not 0"
        elif len(set(self._ends.values())) > 1:
            yield f"must have one Output node, or several that take the same, not {len(self._ends)} that differ"
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
                    f"{shown(sorted(lost or waiting[name] - done)[0])}"))
                ready = [name]
            last = next((name for name in ready if last in waiting[name]), ready[0])
            done.add(last)
            del waiting[last]
            yield last
        if self._output is not None and last is not None and last not in self.refusals and last != self._output:
            self._check_end(last)

    def _open_end(self, output: str) -> list[str]:
        """The Output node, if the graph ends in synapses that are read by their potential; else an empty list."""
        if self._potential and self._graph.nodes[self._ends[output]].kind not in (*FIRING, *HOLDING, "Input", "Output"):
            return [output]
        self.roles |= dict.fromkeys(
            self._ends, "the membranes that are read" if self._potential else "the spikes that are read")
        return []

    def _check_end(self, last: str) -> None:
        """Refuse an Output node that does not take the last layer."""
        for output in self._ends:
            try:
                before = self._before[output]
                if len(before) != 1:
                    raise NodeError(output, f"Output must have one predecessor, not {len(before)}")
                source, chain = self._trace(output, before[0])
                self._check_prompt(chain)
                if source != last or any(self._graph.nodes[one].kind not in PASSED for one in chain):
                    raise NodeError(output, f"Output must take the neurons {shown(last)}, the last layer, as they are; "
                                   "a graph that ends in synapses is read by its potential")
                self.roles |= dict.fromkeys(chain, "passed on")
            except NodeError as error:
                self._refuse(error)

    def _check_prompt(self, chain: list[str]) -> None:
        """Refuse delays of what is read."""
        for name in chain:
            node = self._graph.nodes[name]
            if node.kind == "Delay" and numbers(name, node, "delay").any():
                raise NodeError(name, "Delay must be 0 in front of the Output, which is read in the step of its spikes")

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
        delays = [self._steps(name, one) for one in sets]
        sources = [-1 if one.source == self._input else self._index[one.source] for one in sets]
        if index - 1 not in sources:
            raise NodeError(name, f"{node.kind} must take what the layer before it gives, {index - 1}, among others")
        main = sources.index(index - 1)
        first = sets[main]
        assert first.connectivity is not None
        neuron, drive = neurons(name, node, first.connectivity, self._settled, potential=self._potential,
                                last=name in self._ends.values())
        if index in sources or node.kind == "CubaLIF":
            self._check_zeroed(name, node)
        biases = [one.bias * drive for one in sets if one.bias is not None]
        if neuron.lasts and np.any(biases):
            # A bias of the synapses reaches what their weights reach.
            if neuron.bias is not None:
                raise NodeError(name, f"v_leak must be {'the same for all' if neuron.theta is None else 'below'} "
                               f"{'neurons' if neuron.theta is None else 'v_threshold'} behind synapses with a bias, "
                               "where currents last: a layer has one bias, of its currents or of its membranes")
            neuron = replace(neuron, current_bias=True)
        if neuron.bias is not None:
            biases.append(neuron.bias)
        layer = FloatLayer(
            weight=_scaled(first.weight, drive), connectivity=first.connectivity,
            average_pool=first.averages, delays=delays[main],
            neuron=replace(neuron, bias=np.sum(biases, axis=0) if biases else None),
            branches=tuple(
                FloatBranch(source=source, weight=_scaled(one.weight, drive),
                            average_pool=one.averages, delays=delays[place],
                            connectivity=one.connectivity)  # pyright: ignore[reportArgumentType] - set by _weigh
                for place, (source, one) in enumerate(zip(sources, sets, strict=True)) if place != main),
        )
        bits = [one.weight_bits for one in sets]
        if None not in bits and (drive == drive[0]).all():
            layer = replace(layer, weight_scale=float(drive[0]), weight_bits=max(bits))  # pyright: ignore
        self.roles[name] = f"layer {index}: " + ("membranes that are read" if neuron.theta is None else "neurons")
        return layer

    def _steps(self, name: str, one: SynapseSet) -> np.ndarray | None:
        """Delays of synapses in whole steps, int64[N], rounded to the nearest."""
        if one.delays is None:
            return None
        dt, kind = self._settled.said.dt, self._graph.nodes[name].kind
        if dt is None:
            raise NodeError(name, f"{kind} takes a Delay, which is in seconds: dt must be given")
        steps = one.delays / dt
        whole = np.rint(steps)
        off = float(np.abs(whole - steps).max())
        if steps.max() > DELAY_MAX:
            raise NodeError(name, f"{kind} must take delays of at most {DELAY_MAX} steps, not {float(steps.max()):g}")
        if off > CLOSE * max(1.0, float(whole.max())):
            self._settled.notes.append(f"delays in front of {name} are rounded to whole steps, by up to {off:.2g}")
        return whole.astype(np.int64)

    def _check_zeroed(self, name: str, node: Node) -> None:
        """Refuse what snnTorch's neurons with a recurrence or a current may do, which zero a step late."""
        said = self._settled.said
        if self._settled.added and said.reset == "zero" and said.reset_delay is not False:
            raise NodeError(name, f"{node.kind} must have reset_delay=False with a reset to zero: snnTorch's RLeaky "
                           "and Synaptic, made without it, take the input of the step after a spike away, too")

    def _role(self, name: str, recurrent: bool) -> str:
        kind = self._graph.nodes[name].kind
        if kind in SYNAPSES:
            return "recurrent synapses" if recurrent else "synapses"
        return {"Scale": "factor of the synapses", "Delay": "delay of the synapses",
                "Flatten": "the order of addresses, as it is"}.get(kind, "pool" if kind in POOLS else "passed on")

    def _source_shape(self, name: str, source: str) -> Shape:
        """Shape of the spikes that come from ``source``, neurons or the Input: (N,) or (C, H, W)."""
        if source == self._input:
            shape = self._claimed(source)
            self.roles[source] = "the input"
        else:
            shape = self._shapes.get(source, ())
        if not shape:
            raise NodeError(name, f"{self._graph.nodes[name].kind} must come behind a node of known shape, not "
                           f"{shown(source)}")
        return shape

    def _claimed(self, name: str) -> Shape:
        """The shape that a node of input or neurons claims, as (N,) or (C, H, W); () if neurons claim none."""
        node = self._graph.nodes[name]
        if node.kind == "Input":
            given = node.fields.get("shape", node.fields.get("input_type"))
            numbers = given.ravel()[:8] if isinstance(given, np.ndarray) else np.zeros(0)
            sides = [int(one) for one in numbers] if np.isfinite(numbers).all() else []
            # Exporters that run a sample write its batch, and perhaps its one step, too.
            wanted = self._dimensions(name)
            while len(sides) > wanted and sides[0] == 1:
                sides = sides[1:]
        else:
            sides = list(next((shape for shape in node.shapes.values() if shape), ()))
        if node.kind == "Input" and not (0 < len(sides) <= 3 and min(sides) > 0):
            raise NodeError(name, f"shape must be one to three positive numbers, not {tuple(sides)}")
        if not 0 < len(sides) <= 3 or min(sides) < 1:
            return ()
        if float(np.prod(np.array(sides, dtype=np.float64))) > ADDRESSES_MAX:
            raise NodeError(name, f"shape must be of at most {ADDRESSES_MAX} addresses, not {tuple(sides)}")
        return (sides[0], 1, sides[1]) if len(sides) == 2 else tuple(sides)

    def _dimensions(self, name: str) -> int:
        """Dimensions of what a node sends, by the first synapses or pools behind it; 3 if they do not say."""
        waiting, seen = [name], set()
        while waiting:
            kind = self._graph.nodes[one := waiting.pop(0)].kind
            if kind in DIMENSIONS:
                return DIMENSIONS[kind]
            seen.add(one)
            if kind in (*PASSED, "Scale") and kind != "Flatten":
                waiting += [other for source, other in self._graph.edges if source == one and other not in seen]
        return 3


def _scaled(weight: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Weights multiplied by a factor for each channel, float64[C]."""
    return weight * gain.reshape(-1, *[1] * (weight.ndim - 1))
