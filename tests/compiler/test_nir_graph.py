# SPDX-License-Identifier: MIT
"""NIR graphs that are no chains, run by their equations node by node, against the imported networks."""

import re
from itertools import pairwise

import nir
import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from firstspike_compiler.errors import CompileError
from firstspike_compiler.frontends.nir_file import inspect_nir, load_nir
from firstspike_sim.compare import ALIVE
from firstspike_sim.models.float_reference import run_float

DT, STEPS = 0.25, 6
NEURONS = (nir.IF, nir.LIF, nir.CubaLIF, nir.Threshold)


def pair(value) -> tuple[int, int]:
    return tuple(np.broadcast_to(value, 2).tolist())


def run_nir(
    graph: nir.NIRGraph, inputs: np.ndarray, subtract: bool, rule: str = "rate", delay: bool = False,
) -> dict[str, np.ndarray]:
    """Spikes [B, T, N] of all neurons, by forward Euler; what comes along a cycle comes a step later."""
    currents: dict[str, torch.Tensor] = {}
    spikes = {name: [] for name, node in graph.nodes.items() if isinstance(node, NEURONS)}
    state: dict[str, torch.Tensor] = {}
    shape = tuple(int(one) for one in graph.nodes["input"].input_type["input"])

    def value(name: str, step: int, asking: str) -> torch.Tensor | float:
        node = graph.nodes[name]
        if name == "input":
            return torch.tensor(inputs[:, step].reshape(-1, *shape), dtype=torch.float64)
        if name in spikes and (name == asking or len(spikes[name]) > step):
            past = step - (name == asking)
            return spikes[name][past] if past >= 0 else torch.zeros_like(state[name])
        # A neuron of which nothing is known yet is fed by a cycle: it comes after what else feeds it.
        sources = [one for one, other in graph.edges if other == name]
        x = sum(apply(value(one, step, name if name in spikes else asking), node) for one in sources)
        if name in spikes:
            spikes[name].append(fire(name, node, x))
            return spikes[name][step]
        return x

    def apply(x, node):
        def tensor(what):
            return torch.tensor(getattr(node, what), dtype=torch.float64)

        if isinstance(node, nir.Affine | nir.Linear):
            return functional.linear(x.flatten(1), tensor("weight"), tensor("bias") if hasattr(node, "bias") else None)
        if isinstance(node, nir.Conv1d | nir.Conv2d):
            work = functional.conv1d if isinstance(node, nir.Conv1d) else functional.conv2d
            return work(x, tensor("weight"), tensor("bias"), node.stride, node.padding, node.dilation, node.groups)
        if isinstance(node, nir.Scale):
            return x * tensor("scale")
        if isinstance(node, nir.SumPool2d | nir.AvgPool2d):
            return functional.avg_pool2d(x, pair(node.kernel_size), pair(node.stride), pair(node.padding),
                                         divisor_override=1 if isinstance(node, nir.SumPool2d) else None)
        return x.flatten(1) if isinstance(node, nir.Flatten) else x

    def fire(name, node, x):
        if isinstance(node, nir.Threshold):
            return (x > torch.tensor(node.threshold)).to(torch.float64)
        v = state.get(name, torch.zeros_like(x) + torch.tensor(getattr(node, "v_leak", 0.0)))
        if isinstance(node, nir.CubaLIF):
            before = currents.get(name, torch.zeros_like(x))
            share = DT / torch.tensor(node.tau_syn)
            currents[name] = before + share * (torch.tensor(node.w_in) * x - before)
            if rule != "rate":
                currents[name] = (before * (1 - share) + torch.tensor(node.w_in) * x if rule == "jump" else
                                  (before + torch.tensor(node.w_in) * x) * (1 - share))
            x = before if delay else currents[name]
        drive = x * torch.tensor(node.r)
        if isinstance(node, nir.IF):
            v = v + DT * drive
        else:
            rate = DT / torch.tensor(getattr(node, "tau_mem", None) if isinstance(node, nir.CubaLIF) else node.tau)
            v = v + rate * (torch.tensor(node.v_leak) - v + drive)
        spike = v > torch.tensor(node.v_threshold)
        state[name] = torch.where(spike, v - torch.tensor(node.v_threshold) if subtract else
                                  torch.tensor(node.v_reset).expand_as(v), v)
        return spike.to(torch.float64)

    last = next(one for one, other in graph.edges if other == "output")
    for step in range(inputs.shape[1]):
        for name in spikes:  # known to have no spikes yet: their shapes
            state.setdefault(name, torch.zeros(len(inputs), *getattr(graph.nodes[name], "r", getattr(
                graph.nodes[name], "threshold", None)).shape, dtype=torch.float64) + torch.tensor(
                    getattr(graph.nodes[name], "v_leak", 0.0)))
        value(last, step, "output")
    return {name: torch.stack(one, 1).flatten(2).numpy() for name, one in spikes.items()}


def dyadic(rng, low, high, *shape):
    return rng.integers(low, high + 1, size=shape) / 8


def lif(rng, *shape, kind=None, rest=0.0):
    """Neurons whose numbers a float holds exactly."""
    full = {"r": np.full(shape, 2.0), "v_leak": np.full(shape, rest), "v_reset": np.full(shape, rest),
            "v_threshold": np.full(shape, rest + float(rng.choice([0.25, 0.5, 1.0])))}
    kind = kind or str(rng.choice(["IF", "LIF", "CubaLIF"]))
    if kind == "IF":
        return nir.IF(r=full["r"], v_threshold=full["v_threshold"] - rest, v_reset=np.zeros(shape))
    tau = np.full(shape, DT * float(rng.choice([1, 2, 4])))
    if kind == "LIF":
        return nir.LIF(tau=tau, **full)
    return nir.CubaLIF(tau_mem=tau, tau_syn=np.full(shape, DT), w_in=np.full(shape, 0.5), **full)


def cuba(rng, *shape, rest=0.0):
    """Neurons whose currents last."""
    tau, gain = DT * rng.choice([1.0, 2, 4], 2), float(rng.choice([2.0, 4.0]))
    return nir.CubaLIF(
        tau_mem=np.full(shape, tau[0]), tau_syn=np.full(shape, max(tau[1], 2 * DT)), w_in=np.full(shape, gain),
        r=np.full(shape, 2.0), v_leak=np.full(shape, rest), v_reset=np.full(shape, rest),
        v_threshold=np.full(shape, rest + float(rng.choice([0.5, 1.0, 2.0]))))


def currents_last(rng):
    """Braille-like, with currents, biases of both synapses, and a rest apart from 0."""
    nodes = ends((6,), 3) | {"fc1": affine(rng, 5, 6), "lif": cuba(rng, 5, rest=0.25), "rec": affine(rng, 5, 5),
                             "fc2": affine(rng, 3, 5), "out": cuba(rng, 3)}
    return graph_of(nodes, [*pairwise(["input", "fc1", "lif", "fc2", "out", "output"]), ("lif", "rec"), ("rec", "lif")])


def affine(rng, outputs, inputs):
    return nir.Affine(weight=dyadic(rng, -3, 5, outputs, inputs), bias=dyadic(rng, -1, 2, outputs))


def conv(rng, outputs, inputs, size, kernel=3, stride=1, padding=1, dilation=1):
    return nir.Conv2d(input_shape=size, weight=dyadic(rng, -3, 5, outputs, inputs, kernel, kernel), stride=pair(stride),
                      padding=pair(padding), dilation=pair(dilation), groups=1, bias=dyadic(rng, -1, 2, outputs))


def graph_of(nodes: dict, edges) -> nir.NIRGraph:
    return nir.NIRGraph(nodes=nodes, edges=list(edges), type_check=False)


def ends(shape: tuple, outputs: int) -> dict:
    return {"input": nir.Input({"input": np.array(shape)}), "output": nir.Output({"output": np.array([outputs])})}


def recurrent(rng):
    """Braille-like: neurons that feed themselves through synapses."""
    nodes = ends((6,), 3) | {"fc1": affine(rng, 5, 6), "lif": lif(rng, 5), "rec": affine(rng, 5, 5),
                             "fc2": affine(rng, 3, 5), "out": lif(rng, 3)}
    return graph_of(nodes, [*pairwise(["input", "fc1", "lif", "fc2", "out", "output"]), ("lif", "rec"), ("rec", "lif")])


def nested(rng):
    """The same inside a sub-graph."""
    inner = graph_of(
        {"in": nir.Input({"input": np.array([5])}), "cell": lif(rng, 5), "rec": nir.Linear(
            weight=dyadic(rng, -3, 5, 5, 5)), "out": nir.Output({"output": np.array([5])})},
        [("in", "cell"), ("cell", "rec"), ("rec", "cell"), ("cell", "out")])
    nodes = ends((6,), 3) | {"fc1": affine(rng, 5, 6), "core": inner, "fc2": affine(rng, 3, 5), "last": lif(rng, 3)}
    return graph_of(nodes, pairwise(["input", "fc1", "core", "fc2", "last", "output"]))


def residual(rng):
    """Spikes as they are, and through a convolution, onto the same membranes."""
    nodes = ends((2, 6, 6), 4) | {
        "conv1": conv(rng, 2, 2, (6, 6)), "fire1": lif(rng, 2, 6, 6), "conv2": conv(rng, 2, 2, (6, 6)),
        "fire2": lif(rng, 2, 6, 6), "pool": nir.AvgPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]),
                                                         padding=np.array([0, 0])),
        "flat": nir.Flatten(start_dim=0, end_dim=-1, input_type={"input": np.array([2, 3, 3])}),
        "fc": affine(rng, 4, 18), "out": lif(rng, 4)}
    return graph_of(nodes, [*pairwise(["input", "conv1", "fire1", "conv2", "fire2", "pool", "flat", "fc", "out",
                                       "output"]), ("fire1", "fire2")])


def pooled_current(rng):
    """A pool between synapses and neurons; dilation; a scale in front and one behind."""
    pool = (nir.SumPool2d, nir.AvgPool2d)[int(rng.integers(2))]
    nodes = ends((1, 9, 9), 4) | {
        "half": nir.Scale(scale=np.full((1, 9, 9), 0.5)), "conv": conv(rng, 3, 1, (9, 9), dilation=2),
        "pool": pool(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0])),
        "fire": lif(rng, 3, 3, 3), "fc": affine(rng, 4, 27), "gain": nir.Scale(scale=dyadic(rng, 1, 8, 4)),
        "out": nir.Threshold(threshold=np.full(4, 0.5))}
    return graph_of(nodes, pairwise(["input", "half", "conv", "pool", "fire", "fc", "gain", "out", "output"]))


def pool(kind, kernel, stride, padding=0):
    return kind(kernel_size=np.array(kernel), stride=np.array(stride), padding=np.array(pair(padding)))


def pooled_apart(rng):
    """Pools with windows that overlap, are no squares or stick out, in front of a convolution, between it and its
    neurons, and in front of dense synapses."""
    kinds = nir.SumPool2d, nir.AvgPool2d
    first, second, third, fourth = (kinds[int(rng.integers(2))] for _ in range(4))
    nodes = ends((1, 9, 9), 4) | {
        "pool1": pool(first, (2, 2), (1, 1)), "conv": conv(rng, 3, 1, (8, 8), padding=0),
        "pool2": pool(second, (2, 1), (1, 1)), "fire": lif(rng, 3, 5, 6), "pool3": pool(third, (2, 1), (2, 1)),
        "pool4": pool(fourth, (2, 2), (1, 2), 1), "fc": affine(rng, 4, 3 * 3 * 4), "out": lif(rng, 4)}
    return graph_of(nodes, pairwise(["input", "pool1", "conv", "pool2", "fire", "pool3", "pool4", "fc", "out",
                                     "output"]))


def in_time(rng):
    """A Conv1d, and a resting potential that is also the reset potential."""
    nodes = ends((2, 12), 3) | {
        "conv": nir.Conv1d(input_shape=12, weight=dyadic(rng, -3, 5, 3, 2, 3), stride=2, padding=1, dilation=1,
                           groups=1, bias=dyadic(rng, -1, 2, 3)),
        "fire": lif(rng, 3, 6, kind="LIF", rest=-0.5),
        "flat": nir.Flatten(start_dim=0, end_dim=-1, input_type={"input": np.array([3, 6])}),
        "fc": affine(rng, 3, 18), "out": lif(rng, 3)}
    return graph_of(nodes, pairwise(["input", "conv", "fire", "flat", "fc", "out", "output"]))


def reset_apart(rng):
    """Every neuron has a reset potential of its own; some have a resting potential apart from it."""
    nodes = ends((6,), 3) | {"fc1": affine(rng, 5, 6), "lif": lif(rng, 5, kind=str(rng.choice(["LIF", "CubaLIF"])),
                                                                  rest=float(rng.choice([-0.5, 0.0, 0.25]))),
                             "rec": affine(rng, 5, 5), "fc2": affine(rng, 3, 5), "out": lif(rng, 3)}
    for name in ("lif", "out"):
        nodes[name].v_reset = dyadic(rng, -4, 2, *nodes[name].r.shape)
    return graph_of(nodes, [*pairwise(["input", "fc1", "lif", "fc2", "out", "output"]), ("lif", "rec"), ("rec", "lif")])


def opened(graph: nir.NIRGraph) -> nir.NIRGraph:
    """`nested` as one graph, for `run_nir`."""
    nodes = {f"core/{name}": node for name, node in graph.nodes["core"].nodes.items()}
    nodes |= {name: node for name, node in graph.nodes.items() if name != "core"}
    edges = [("core/out" if one == "core" else one, "core/in" if other == "core" else other)
             for one, other in graph.edges]
    return graph_of(nodes, edges + [(f"core/{one}", f"core/{other}") for one, other in graph.nodes["core"].edges])


@pytest.mark.parametrize(("draw", "subtract"), [
    *((draw, subtract) for draw in (recurrent, nested, residual, pooled_current, pooled_apart)
      for subtract in (False, True)),
    (in_time, False), (reset_apart, False)])
def test_spikes_are_those_of_the_equations(draw, subtract):
    alive = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        graph = draw(rng)
        network = load_nir(graph, steps=STEPS, reset="subtract" if subtract else "zero", strict=True, dt=DT,
                           reset_delay=False, start="zero", readout="spike_count")
        inputs = rng.integers(0, 2, size=(5, STEPS, int(np.prod(graph.nodes["input"].input_type["input"]))))
        expected = run_nir(opened(graph) if draw is nested else graph, inputs, subtract)
        actual = run_float(network, inputs).spikes[1:]
        for one, (name, other) in zip(actual, expected.items(), strict=True):
            assert np.array_equal(one, other), f"seed {seed}, {name}"
        alive += all(ALIVE[0] <= one.mean() <= ALIVE[1] for one in actual)
        if alive == 10:
            return
    pytest.fail(f"only {alive} networks are alive")


@pytest.mark.parametrize(("rule", "delay"), [("rate", False), ("jump", False), ("decay", False), ("rate", True)])
def test_currents_that_last_are_those_of_each_rule(rule, delay):
    alive = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        graph = currents_last(rng)
        inputs = rng.integers(0, 2, size=(5, STEPS, 6))
        network = load_nir(graph, steps=STEPS, reset="zero", strict=True, dt=DT, current_rule=rule, current_delay=delay,
                           reset_delay=False, readout="spike_count")
        expected = run_nir(graph, inputs, False, rule, delay)
        actual = run_float(network, inputs).spikes[1:]
        for one, (name, other) in zip(actual, expected.items(), strict=True):
            assert np.array_equal(one, other), f"seed {seed}, {name}"
        alive += all(ALIVE[0] <= one.mean() <= ALIVE[1] for one in actual)
        if alive == 10:
            assert all(layer.neuron.lasts for layer in network.layers)
            return
    pytest.fail(f"only {alive} networks are alive")


def test_a_file_is_the_graph_in_memory(tmp_path):
    graph = nested(np.random.default_rng(1))
    nir.write(tmp_path / "x.nir", graph)
    options = {"steps": 4, "reset": "zero", "strict": True, "readout": "spike_count", "dt": DT}
    left, right = load_nir(graph, **options), load_nir(tmp_path / "x.nir", **options)
    for one, other in zip(left.layers, right.layers, strict=True):
        assert one.connectivity == other.connectivity and np.array_equal(one.weight, other.weight)
        assert [branch.source for branch in one.branches] == [branch.source for branch in other.branches]
        assert np.array_equal(one.neuron.theta, other.neuron.theta) and one.neuron.leak == other.neuron.leak


def test_a_potential_is_read_of_the_last_synapses_or_of_integrators():
    rng = np.random.default_rng(0)
    nodes = ends((6,), 3) | {"fc1": affine(rng, 5, 6), "lif": lif(rng, 5), "fc2": affine(rng, 3, 5)}
    options = {"steps": 4, "reset": "zero", "strict": True, "dt": DT}
    graph = graph_of(nodes, pairwise(["input", "fc1", "lif", "fc2", "output"]))
    network = load_nir(graph, readout="potential", **options)
    assert network.layers[-1].neuron.theta is None and network.layers[-1].neuron.leak == 1
    with pytest.raises(CompileError, match="node 'output': Output must take the neurons 'lif', the last layer"):
        load_nir(graph, readout="spike_count", **options)
    nodes["li"] = nir.LI(tau=np.full(3, 4 * DT), r=np.full(3, 2.0), v_leak=np.zeros(3))
    graph = graph_of(nodes, pairwise(["input", "fc1", "lif", "fc2", "li", "output"]))
    last = load_nir(graph, readout="potential", **options).layers[-1]
    assert last.neuron.theta is None and last.neuron.leak == 0.75
    assert np.allclose(last.weight, 0.5 * nodes["fc2"].weight)
    with pytest.raises(CompileError, match="node 'li': LI must be read by its potential"):
        load_nir(graph, readout="spike_count", **options)


def broken(change: dict, edges=None):
    rng = np.random.default_rng(0)
    nodes = ends((6,), 3) | {"fc1": affine(rng, 5, 6), "lif": lif(rng, 5, kind="IF"), "fc2": affine(rng, 3, 5),
                             "out": lif(rng, 3, kind="IF")} | change
    return graph_of(nodes, edges or pairwise(["input", "fc1", "lif", "fc2", "out", "output"]))


CHAIN = list(pairwise(["input", "fc1", "lif", "fc2", "out", "output"]))
MALFORMED = [
    (broken({}, CHAIN + CHAIN[:1]), "edge input → fc1 must be there once"),
    (broken({}, [*CHAIN, ("nowhere", "out")]), "edge nowhere → out must join nodes of the graph: there is no"),
    (broken({}, CHAIN[:-1]), "node 'output': Output must have one predecessor, not 0"),
    (broken({}, [*CHAIN, ("lif", "fc1")]), "node 'fc1': Affine must have one predecessor, not 2: only neurons add up"),
    (broken({}, [*CHAIN[1:], ("fc1", "fc1")]), "node 'fc1': Affine must not be in a cycle without neurons"),
    (broken({"back": affine(np.random.default_rng(1), 5, 3)}, [*CHAIN, ("out", "back"), ("back", "lif")]),
     "node 'lif': IF must take spikes of layers before it and its own, not of 'out'"),
    (broken({"more": affine(np.random.default_rng(1), 5, 6)}, [*CHAIN, ("input", "more")]),
     "node 'more': Affine must lead to the Output, through neurons"),
    (broken({"input": nir.Input({"input": np.array([1 << 40])})}), "node 'input': shape must be of at most"),
    (broken({"input": nir.Input({"input": np.array([-6])})}), "node 'input': shape must be one to three positive"),
    (broken({"input": nir.Input({"input": np.array([np.nan])})}), "node 'input': shape must be one to three positive"),
    (broken({"input": nir.Input({"input": np.array([np.inf])})}), "node 'input': shape must be one to three positive"),
    (broken({"fc1": nir.Affine(weight=np.full((5, 6), np.nan), bias=np.zeros(5))}),
     "node 'fc1': weight must be finite everywhere, but holds NaN or infinity"),
    (broken({"fc1": nir.Affine(weight=np.ones((5, 6)), bias=np.zeros(4))}), "node 'fc1': bias must have shape (5,)"),
    (broken({"lif": nir.IF(r=np.ones(5), v_threshold=np.full(5, -1.0), v_reset=np.zeros(5))}),
     "node 'lif': v_threshold must be > 0, not -1.0"),
    (broken({"lif": nir.IF(r=np.ones(5), v_threshold=np.full(5, np.inf), v_reset=np.zeros(5))}),
     "node 'lif': v_threshold must be finite everywhere"),
    (broken({"fc1": nir.Conv2d(input_shape=(6, 1), weight=np.ones((5, 1, 2, 2)), stride=1, padding=0, dilation=1 << 20,
                               groups=1, bias=np.zeros(5))}), "node 'fc1': in_shape must be (C, H, W), not (6,)"),
    (broken({"lif": nir.Affine(weight=np.ones((5, 5)), bias=np.zeros(5))}),
     "node 'lif': Affine must come behind neurons, not behind other synapses"),
]


@pytest.mark.parametrize(("graph", "sentence"), MALFORMED)
def test_malformed_graphs_end_in_one_sentence(graph, sentence):
    with pytest.raises(CompileError, match=f"^nir: {re.escape(sentence)}[^\n]*$"):
        load_nir(graph, steps=4, reset="zero", strict=True, readout="spike_count", dt=DT)
    found = inspect_nir(graph, dt=DT)
    said = [*found.graph.errors, *(f"node {name!r}: {why}" for name, why in found.refusals.items())]
    assert any(one.startswith(sentence) for one in said)


def test_inspection_goes_on_behind_what_is_refused():
    found = inspect_nir(broken({"lif": nir.Delay(delay=np.ones(5))}))
    assert found.refusals["lif"].startswith("Delay must be in front of synapses with a bias") and not found.layers
    found = inspect_nir(broken({"lif": nir.IF(r=np.zeros(5), v_threshold=np.ones(5), v_reset=np.zeros(5))}), dt=DT)
    assert found.refusals == {"lif": "r must be > 0, not 0.0"}
    assert found.roles["out"] == "layer 1: neurons" and list(found.layers) == [1]
