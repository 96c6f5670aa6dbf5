# SPDX-License-Identifier: MIT
"""What a NIR file shows of the tool that wrote it, what must be given, and what looks like a mistake."""

import re
import warnings
from itertools import pairwise

import nir
import numpy as np
import pytest
from firstspike_compiler.errors import CompileError, CompileWarning
from firstspike_compiler.frontends.nir_file import inspect_nir, load_nir
from firstspike_sim.models.float_reference import run_float

HARD, SOFT = {"reset": "zero", "strict": False}, {"reset": "subtract", "strict": True}
PLAIN = {"reset": "subtract", "strict": False}


def lif(tau: float, r: float, neurons: int = 3) -> nir.LIF:
    full = np.full(neurons, 1.0)
    return nir.LIF(tau=tau * full, r=r * full, v_leak=0 * full, v_reset=0 * full, v_threshold=full)


def fire(r: float, v_reset: float = 0.0) -> nir.IF:
    return nir.IF(r=np.full(3, r), v_threshold=np.ones(3), v_reset=np.full(3, v_reset))


def chain(*neurons) -> nir.NIRGraph:
    rng = np.random.default_rng(0)
    nodes = [part for one in neurons for part in (nir.Linear(rng.normal(0.3, 1, (3, 3))), one)]
    return nir.NIRGraph.from_list(nir.Input({"input": np.array([3])}), *nodes, nir.Output({"output": np.array([3])}))


def load(graph, **options):
    """The network, and the notes."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        network = load_nir(graph, **{"steps": 10, "readout": "spike_count"} | options)
    assert all(one.category is CompileWarning for one in found)
    return network, [str(one.message) for one in found]


def cuba(tau_mem: float, r: float, tau_syn: float, w_in: float) -> nir.CubaLIF:
    full = np.full(3, 1.0)
    return nir.CubaLIF(tau_mem=tau_mem * full, r=r * full, v_leak=0 * full, v_reset=0 * full, v_threshold=full,
                       tau_syn=tau_syn * full, w_in=w_in * full)


@pytest.mark.parametrize(("node", "options", "leak", "theta", "note"), [
    # snnTorch: v = 0.9·v + i, i = 0.75·i + x
    (cuba(1e-3, 10.0, 4e-4, 4.0), SOFT | {"reset_delay": True}, 0.75, 1, "dt = 0.0001 is taken"),
    # Norse: v += 0.5·(i − v), i = 0.75·i + x, and NIR's equation: i += 0.25·(x − i)
    (cuba(2.0, 1.0, 4.0, 1.0), HARD | {"dt": 1.0, "leak_rule": "euler", "current_rule": "jump"}, 0.75, 2, ""),
    (cuba(2.0, 1.0, 4.0, 1.0), HARD | {"dt": 1.0, "leak_rule": "euler", "current_rule": "rate"}, 0.75, 8, ""),
    (cuba(2.0, 1.0, 4.0, 1.0), HARD | {"dt": 1.0, "leak_rule": "exponential", "current_rule": "rate"}, np.exp(-0.25),
     1 / (1 - np.exp(-0.5)) / (1 - np.exp(-0.25)), "for norm_input=False"),
    # Rockpool: i = exp(−0.5)·(i + x), v = exp(−0.1)·v + i
    (cuba(1e-2, 1e-2 * np.exp(-0.1) / 1e-3, 2e-3, 1.0), PLAIN | {"levels": 3}, np.exp(-0.5), np.exp(0.5),
     "current_rule = 'decay' is taken from them, too"),
    # A current that is gone after its step does not last.
    (cuba(1e-3, 10.0, 1e-4, 1.0), SOFT | {"reset_delay": True}, None, 1, "dt = 0.0001 is taken"),
])
def test_currents_by_what_the_file_shows_and_what_is_given(node, options, leak, theta, note):
    network, notes = load(chain(node), **options)
    neuron = network.layers[0].neuron
    assert neuron.current_leak is leak or neuron.current_leak == pytest.approx(leak)
    assert np.ravel(neuron.theta)[0] == pytest.approx(theta) and any(note in one for one in notes) == bool(note)


def test_what_is_not_known_of_currents_is_asked_for():
    with pytest.raises(CompileError, match=r"current_rule must be given with w_in = 1: Norse writes it for currents"):
        load(chain(cuba(2.0, 1.0, 4.0, 1.0)), dt=1.0, leak_rule="euler", **HARD)
    with pytest.raises(CompileError, match="current_rule must be 'rate' or 'jump' or 'decay', not 'both'"):
        load(chain(cuba(2.0, 1.0, 4.0, 1.0)), dt=1.0, leak_rule="euler", current_rule="both", **HARD)
    slow, notes = load(chain(cuba(1e-3, 10.0, 1e6, 1e10)), reset_delay=True, **SOFT)
    assert slow.layers[0].neuron.current_leak == 1 - 1e-10
    assert any("a leak of currents of 1 does next to nothing in 10 steps" in one for one in notes)


def rockpool(tau: float, dt: float) -> nir.LIF:
    return lif(tau, tau * np.exp(-dt / tau) / dt)


@pytest.mark.parametrize(("graph", "options", "leaks", "thetas", "note"), [
    (chain(lif(1e-3, 10.0), lif(2e-4, 2.0)), SOFT | {"reset_delay": True}, [0.9, 0.5], [1, 1], "dt = 0.0001 is taken"),
    (chain(lif(1e-3, 10.0)), HARD, [0.9], [1], "dt = 0.0001 is taken"),
    (chain(fire(1e4)), HARD, [1], [1], "dt = 0.0001 is taken"),
    (chain(lif(2e-4, 1.0), fire(1e4)), HARD, [0.5, 1], [2, 1], "dt = 0.0001 is taken"),
    (chain(rockpool(1e-2, 1e-3), rockpool(2e-2, 1e-3)), PLAIN | {"levels": 3}, [np.exp(-0.1), np.exp(-0.05)], [1, 1],
     "dt = 0.001 is taken"),
    (chain(rockpool(1e-2, 3e-4)), PLAIN | {"dt": 3e-4}, [np.exp(-0.03)], [1], "leak_rule = 'exponential' and gain = 1"),
    (chain(lif(np.inf, np.inf)), HARD, [1], [1], ""),
    (chain(fire(1.0)), HARD, [1], [1], ""),
    (chain(fire(1.0)), PLAIN, [1], [1], "levels = 1 and no v_min are assumed"),
    (chain(lif(10.0, 1.0)), PLAIN | {"dt": 1, "leak_rule": "exponential", "levels": 1}, [np.exp(-0.1)],
     [1 / (1 - np.exp(-0.1))], "for norm_input=False give gain = 1"),
    (chain(lif(10.0, 1.0)), PLAIN | {"dt": 1, "leak_rule": "exponential", "gain": 1.0}, [np.exp(-0.1)], [1], ""),
    (chain(lif(10.0, 1.0)), HARD | {"dt": 1, "leak_rule": "euler"}, [0.9], [10], ""),
])
def test_what_the_numbers_show_is_taken_and_said(graph, options, leaks, thetas, note):
    network, notes = load(graph, **options)
    for layer, leak, theta in zip(network.layers, leaks, thetas, strict=True):
        assert np.allclose(layer.neuron.leak, leak) and np.allclose(layer.neuron.theta.reshape(3, -1)[:, 0], theta)
    assert any(note in one for one in notes) if note else not notes
    said = inspect_nir(graph, **options).notes
    assert not said if not note else any(note in one for one in said)


def test_beta_of_0_in_float32_is_a_leak_of_0():
    tau = np.float32(1e-4)  # dt / tau is 1.0000000252621255
    network, _ = load(chain(lif(float(tau), 1.0)), **HARD, dt=1e-4)
    assert np.all(network.layers[0].neuron.leak == 0)
    network, _ = load(chain(lif(float(np.float32(1e-4) / np.float32(0.125)), 8.0)), **HARD)
    assert np.all(network.layers[0].neuron.leak == 0.875)
    assert np.array_equal(network.layers[0].neuron.theta, np.ones(3))


@pytest.mark.parametrize(("graph", "options", "sentence"), [
    (chain(lif(2e-4, 1.0)), HARD, "node 'lif': dt must be given for LIF: the file does not say how long a step is; by "
     "the file, it could be 0.0001 (the default of SpikingJelly and snnTorch) or 1e-06 (the default of Norse"),
    (chain(lif(10.0, 1.0)), HARD, "node 'lif': dt must be given for LIF: the file does not say how long a step is; by "
     "the file, it could be 1 (sinabs, which writes tau in steps)"),
    (chain(fire(2.0)), HARD, "node 'if': dt must be given for IF with r = 2"),
    (chain(lif(1e-3, 10.0)), SOFT, "reset_delay must be given with a reset that subtracts: r = tau / dt is what "),
    (chain(lif(np.inf, np.inf)), SOFT, "reset_delay must be given with a reset that subtracts: r = tau / dt is what "),
    (chain(lif(10.0, 1.0)), HARD | {"dt": 1.0}, "leak_rule must be given with dt = 1 and r = 1: sinabs writes tau in"),
    (chain(lif(10.0, 1.0), fire(1.0)), HARD, "leak_rule must be given with dt = 1 and r = 1: sinabs writes tau in"),
    (chain(lif(1e-3, 10.0)), HARD | {"dt": 1e-2}, "node 'lif': dt / tau must be in 0 … 1, not 10: dt is too long; by "
     "the file, it could be 0.0001 (by r and tau of the neurons)"),
    (chain(fire(1.0, -0.5)), HARD, "node 'if': start must be given for IF with v_reset = -0.5: SpikingJelly's "),
    (chain(lif(np.inf, 2.0)), HARD | {"dt": 1.0, "leak_rule": "euler"}, "node 'lif': r·dt / tau must be > 0, not 0.0"),
])
def test_what_may_be_meant_in_two_ways_is_asked_for(graph, options, sentence):
    with pytest.raises(CompileError, match=f"^nir: {re.escape(sentence)}[^\n]*$"):
        load(graph, **options)
    found = inspect_nir(graph, **options)
    assert any(one.startswith(sentence.split(": ", 1)[-1]) or sentence.startswith(one[:40])
               for one in (*found.graph.errors, *found.refusals.values()))


@pytest.mark.parametrize(("options", "sentence"), [
    ({"reset": "none"}, "reset must be 'subtract' or 'zero', not 'none'"),
    ({"dt": 0}, "dt must be a positive number of seconds, not 0"),
    ({"dt": "1 ms"}, "dt must be a positive number of seconds, not '1 ms'"),
    ({"leak_rule": "rk4"}, "leak_rule must be 'euler' or 'exponential', not 'rk4'"),
    ({"gain": -1}, "gain must be a positive number, not -1"),
    ({"gain": np.nan}, "gain must be a positive number, not nan"),
    ({"levels": 16}, "levels must be a whole number in 1 … 15, not 16"),
    ({"levels": 1.5}, "levels must be a whole number in 1 … 15, not 1.5"),
    ({"v_min": 1.0}, "v_min must be a number ≤ 0, where membranes start, not 1.0"),
    ({"start": "rest"}, "start must be 'zero' or 'reset', not 'rest'"),
])
def test_an_option_that_is_none_is_refused(options, sentence):
    with pytest.raises(CompileError, match=f"^{re.escape(sentence)}$"):
        load(chain(fire(1.0)), **HARD | options)


@pytest.mark.parametrize(("graph", "options", "sentence"), [
    (chain(lif(1e-3, 10.0)), {"dt": 1e-7}, "dt should be 0.0001, by r and tau of the neurons, not 1e-07"),
    (chain(lif(1e-5, 1.0)), {"dt": 1e-9}, "layer 0: a leak of 0.9999 does next to nothing in 10 steps; by the file, dt "
     "could be 1e-06 (the default of Norse"),
    (chain(lif(1e-5, 1.0)), {"dt": 1e-9}, "layer 0: no neuron can fire: 10 steps bring at most "),
    (chain(lif(1e-5, 1.0), fire(1.0)), {"dt": 1e-6}, "layer 1: no neuron can fire: 10 steps bring at most "),
])
def test_what_looks_like_a_mistake_is_a_warning(graph, options, sentence):
    _, notes = load(graph, **HARD | options)
    assert any(one.startswith(f"nir: {sentence}") for one in notes), notes
    assert any(one.startswith(sentence) for one in inspect_nir(graph, steps=10, **options).notes)


def test_the_options_reach_the_neurons():
    first, last = load(chain(lif(1e-3, 10.0), lif(2e-4, 2.0)), **SOFT, reset_delay=True, levels=2, v_min=-0.5,
                       gain=0.5)[0].layers
    for one in (first, last):
        assert one.neuron.reset_delay and one.neuron.v_min == -1 and np.array_equal(one.neuron.theta, [[2, 4]] * 3)
    network, _ = load(chain(lif(1e-3, 10.0)), **HARD, reset_delay=True)
    assert not network.layers[0].neuron.reset_delay  # to zero, it makes no difference


def test_one_lowest_membrane_for_neurons_whose_gains_differ():
    network, _ = load(chain(nir.IF(r=np.array([1.0, 2.0, 4.0]), v_threshold=np.ones(3), v_reset=np.zeros(3))), **HARD,
                      dt=1.0, v_min=-0.5)
    layer, plain = network.layers[0], load(chain(fire(1.0)), **HARD)[0].layers[0]
    assert layer.neuron.v_min == -0.5 and np.array_equal(layer.neuron.theta, np.ones(3))
    assert np.array_equal(layer.weight, plain.weight * np.array([[1.0], [2.0], [4.0]]))


def test_what_a_recurrent_layer_of_snntorch_zeroes_late_is_refused():
    nodes = {"input": nir.Input({"input": np.array([3])}), "fc": nir.Linear(np.ones((3, 3))), "lif": lif(1e-3, 10.0),
             "back": nir.Linear(np.eye(3)), "output": nir.Output({"output": np.array([3])})}
    graph = nir.NIRGraph(nodes, [("input", "fc"), ("fc", "lif"), ("lif", "back"), ("back", "lif"), ("lif", "output")])
    with pytest.raises(CompileError, match="node 'lif': LIF must have reset_delay=False with a reset to zero"):
        load(graph, **HARD)
    assert load(graph, **HARD, reset_delay=False)[0].layers[0].branches[0].source == 0


def test_the_batch_of_an_input_is_no_dimension():
    for shape, nodes, wanted in (
        ([1, 3], (nir.Linear(np.ones((3, 3))), fire(1.0)), (3,)),
        ([1, 1, 3], (nir.Linear(np.ones((3, 3))), fire(1.0)), (3,)),
        ([1, 2, 4, 4], (nir.Conv2d(input_shape=(4, 4), weight=np.ones((3, 2, 4, 4)), stride=1, padding=0, dilation=1,
                                   groups=1, bias=np.zeros(3)), fire(1.0)), (2, 4, 4)),
        ([1, 2, 4], (nir.Conv1d(input_shape=4, weight=np.ones((3, 2, 4)), stride=1, padding=0, dilation=1, groups=1,
                                bias=np.zeros(3)), fire(1.0)), (2, 1, 4)),
    ):
        named = {"input": nir.Input({"input": np.array(shape)}), "a": nodes[0], "b": nodes[1],
                 "output": nir.Output({"output": np.array([1, 3])})}
        graph = nir.NIRGraph(named, [("input", "a"), ("a", "b"), ("b", "output")], type_check=False)
        assert load(graph, **HARD)[0].layers[0].connectivity.in_shape == wanted


def test_what_is_passed_on_in_front_of_the_output():
    """A Flatten, a Delay of 0, and a second Output that takes the same."""
    nodes = {"input": nir.Input({"input": np.array([3])}), "wait": nir.Delay(np.zeros(3)),
             "fc": nir.Linear(np.ones((3, 3))), "if": fire(1.0),
             "flat": nir.Flatten(start_dim=0, end_dim=-1, input_type={"input": np.array([3])}),
             "output": nir.Output({"output": np.array([3])}), "more": nir.Output({"output": np.array([3])})}
    edges = [("input", "wait"), ("wait", "fc"), ("fc", "if"), ("if", "flat"), ("flat", "output"), ("if", "more")]
    graph = nir.NIRGraph(nodes, edges, type_check=False)
    assert len(load(graph, **HARD)[0].layers) == 1
    found = inspect_nir(graph)
    assert not found.refusals and not found.graph.errors and len(found.layers) == 1
    other = nir.NIRGraph(nodes, [*edges[:-1], ("fc", "more")], type_check=False)
    with pytest.raises(CompileError, match="one Output node, or several that take the same, not 2 that differ"):
        load(other, **HARD)
    nodes["flat"] = nir.Delay(np.full(3, 0.5))
    with pytest.raises(CompileError, match=r"node 'flat': Delay must be 0 in front of the Output, which is read in "):
        load(nir.NIRGraph(nodes, edges, type_check=False), **HARD)


def late_graph(**changes):
    """Two sets of synapses from the input, of different delays, one recurrent, and a pool with a Delay behind it."""
    weight = np.array([[1.0, 2.0, 1.0], [0.0, 1.0, 3.0]])
    nodes = {"input": nir.Input({"input": np.array([3])}), "wait": nir.Delay(np.array([0.0, 2e-3, 1e-3])),
             "fc": nir.Linear(weight), "later": nir.Delay(np.full(3, 3e-3)), "more": nir.Linear(weight[:, ::-1].copy()),
             "if": nir.IF(r=np.full(2, 1e3), v_threshold=np.full(2, 2.5), v_reset=np.zeros(2)),
             "own": nir.Linear(np.array([[0.0, 1.0], [-1.0, 0.0]])), "slow": nir.Delay(np.array([0.0, 1e-3])),
             "output": nir.Output({"output": np.array([2])}), **changes}
    edges = [("input", "wait"), ("wait", "fc"), ("fc", "if"), ("input", "more"), ("more", "later"), ("later", "if"),
             ("if", "slow"), ("slow", "own"), ("own", "if"), ("if", "output")]
    return nir.NIRGraph({name: node for name, node in nodes.items() if node is not None}, edges, type_check=False)


def test_delays_become_those_of_synapses():
    network, notes = load(late_graph(), **HARD, dt=1e-3)
    (layer,) = network.layers
    by_source = {tuple(one.delays): one for one in (layer, *layer.branches)}
    assert by_source.keys() == {(0, 2, 1), (3, 3, 3), (0, 1)} and by_source[0, 1].source == 0
    assert not [note for note in notes if "delays" in note]
    spikes = np.zeros((1, 6, 3))
    spikes[0, 0] = 1
    found = run_float(network, spikes).spikes[1][0]
    v, fired, wait = np.zeros(2), [], np.array([0, 2, 1])
    weight = np.array([[1.0, 2.0, 1.0], [0.0, 1.0, 3.0]])
    for step in range(6):
        v = v + weight @ (wait == step) + weight[:, ::-1].sum(1) * (step == 3)
        for target, source, late in ((0, 1, 1), (1, 0, 0)):
            if step - 1 - late >= 0:
                v[target] += (1 if target == 0 else -1) * fired[step - 1 - late][source]
        fired.append(v > 2.5)
        v = np.where(fired[-1], 0, v)
    assert np.array_equal(found, np.array(fired, dtype=float)) and 2 < found.sum() < 10


def test_delays_that_are_no_whole_steps_are_rounded_and_noted():
    network, notes = load(late_graph(), **HARD, dt=0.7e-3)
    (layer,) = network.layers
    assert {tuple(one.delays) for one in (layer, *layer.branches)} == {(0, 3, 1), (4, 4, 4), (0, 1)}
    assert [note for note in notes if "delays in front of if are rounded to whole steps, by up to 0.43" in note]


@pytest.mark.parametrize(("changes", "dt", "sentence"), [
    ({"wait": nir.Delay(np.array([0.0, -2e-3, 0.0]))}, 1e-3, "node 'wait': delay must be ≥ 0, not -0.002"),
    ({"wait": nir.Delay(np.array([0.0, 2e-3]))}, 1e-3, "node 'wait': delay must have shape (3,), not (2,)"),
    ({"wait": nir.Delay(np.full(3, 5.0))}, 1e-3, "node 'if': IF must take delays of at most 4095 steps, not 5000"),
    ({"later": nir.Delay(np.array([1e-3, 2e-3]))}, 1e-3,
     "node 'later': delay must be the same everywhere behind synapses; in front of them it may differ"),
    ({"more": nir.Affine(np.ones((2, 3)), np.ones(2))}, 1e-3,
     "node 'later': Delay must be in front of synapses with a bias, which is there from the first step on"),
    ({"if": nir.Threshold(np.full(2, 2.5))}, None,
     "node 'if': Threshold takes a Delay, which is in seconds: dt must be given"),
])
def test_delays_that_cannot_be_are_refused(changes, dt, sentence):
    with pytest.raises(CompileError, match=re.escape(sentence)):
        load(late_graph(**changes), **HARD, dt=dt)


@pytest.mark.parametrize("equal", [False, True])
def test_delays_behind_a_pool_are_those_of_its_pixels(equal):
    late = np.array([[[1.0, 1.0 if equal else 2.0]]])
    nodes = {"input": nir.Input({"input": np.array([1, 3, 4])}),
             "pool": nir.SumPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0])),
             "wait": nir.Delay(late), "flat": nir.Flatten(start_dim=0, end_dim=-1, input_type={
                 "input": np.array([1, 1, 2])}), "fc": nir.Linear(np.ones((3, 2))), "if": fire(1.0),
             "output": nir.Output({"output": np.array([3])})}
    network, _ = load(nir.NIRGraph(nodes, list(pairwise(nodes)), type_check=False), **HARD, dt=1.0)
    found = network.layers[0].delays.reshape(3, 4)
    assert found[:2].tolist() == ([[1] * 4] * 2 if equal else [[1, 1, 2, 2]] * 2)
