# SPDX-License-Identifier: MIT
"""Integer networks written as NIR and read back: the same neurons, spike for spike; and run by another tool."""

from dataclasses import replace
from itertools import pairwise

import nir
import numpy as np
import pytest
import torch
from firstspike_arch.network import IntegerNetwork, Layer, NetworkError, Neuron
from firstspike_compiler.compile import compile_network
from firstspike_compiler.errors import CompileError
from firstspike_compiler.frontends.nir_file import load_nir
from firstspike_compiler.nir_export import save_nir
from firstspike_sim.compare import ALIVE, aliveness
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.testing.random_network import is_bounded, random_delays, random_inputs, random_network
from norse import torch as norse


def sayable(network: IntegerNetwork, reset: str, strict: bool, lasts: bool = False) -> IntegerNetwork:
    """The network without what NIR has no words for. Currents last in some layers; with ``lasts``, in all."""
    layers, late = [], bool(network.steps % 2)
    for layer in network.layers:
        theta = None if layer.neuron.theta is None else layer.neuron.theta[:, :1]
        below = theta[:, 0] - 1 if theta is not None and strict and theta.min() > 1 else None
        neuron = replace(
            layer.neuron, theta=theta, reset_step=below, reset=reset, v_init=0 * layer.neuron.v_init, reset_delay=False,
            single_spike=False, bias_once=False, theta_fall=None, v_min=None, v_max=None)
        if lasts:
            neuron = replace(neuron, current_delay=late, current_bias=True, leak_toward_zero=False)
            if not neuron.lasts or np.any(neuron.current_leak == 1):
                neuron = replace(neuron, current_leak_num=11, current_leak_shift=4)
            if np.any(neuron.leak == 1):
                neuron = replace(neuron, leak_num=13, leak_shift=4)
        layers.append(replace(layer, neuron=neuron))
    return replace(network, layers=tuple(layers), endless=network.endless and all(map(is_bounded, layers)))


@pytest.mark.thinned(2)
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize(("strict", "lasts"), [(False, False), (True, False), (False, True)])
def test_what_is_read_back_has_the_same_spikes(tmp_path, reset, strict, lasts):
    found = branches = leaky = apart = late = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        try:
            network = sayable(random_network(rng, neurons_max=24, maps=bool(seed % 2)), reset, strict, lasts)
            network = random_delays(rng.spawn(1)[0], network) if seed % 3 == 0 else network
            options = save_nir(network, tmp_path / "x.nir")
        except (CompileError, NetworkError):  # resets of different layers that NIR cannot tell apart
            continue
        inputs = random_inputs(rng, network, 6)
        expected = GoldenModel(network).run(inputs)
        alive = [ALIVE[0] <= share <= ALIVE[1] for share, layer in zip(
            aliveness(expected.spikes)[1:], network.layers, strict=True) if layer.neuron.theta is not None]
        if not all(alive):
            continue
        graph = nir.read(tmp_path / "x.nir", type_check=False) if found % 2 else tmp_path / "x.nir"
        again = compile_network(load_nir(graph, **options), lanes=1, leak_shift_max=15, steps_max=network.steps_max)
        actual = GoldenModel(again.program.network).run(inputs)
        for one, other in zip(expected.spikes, actual.spikes, strict=True):
            assert np.array_equal(one, other), f"seed {seed}"
        assert np.array_equal(expected.classes, actual.classes)
        for one, other in zip(network.layers, again.program.network.layers, strict=True):
            assert np.array_equal(one.weights, other.weights)
            assert np.array_equal(one.neuron.current_leak, other.neuron.current_leak) and one.neuron.lasts >= lasts
        branches += any(layer.branches for layer in network.layers)
        leaky += any(layer.neuron.leaky for layer in network.layers)
        apart += any(layer.neuron.v_reset is not None for layer in network.layers)
        late += any(branch.delays is not None and branch.delays.any()
                    for index, layer in enumerate(network.layers) for branch in layer.synapses(index))
        found += 1
        if found == 8:
            break
    assert found == 8 and branches and leaky and (apart or lasts) and late


def layer(called="only", **changes) -> Layer:
    neuron = {"bias": np.zeros(2, dtype=int), "theta": np.array([3, 4]), "v_init": np.zeros(2, dtype=int)} | changes
    return Layer(name=called, weights=np.array([[1, 2], [-1, 3]]), weight_bits=4, neuron=Neuron(**neuron))


REFUSALS = [
    ([layer(single_spike=True)], "layer 0 (only): neurons must not fire once to be exported"),
    ([layer(theta=np.array([[3, 4], [3, 5]]))], "layer 0 (only): neurons must not have several thresholds"),
    ([layer(reset_delay=True)], "layer 0 (only): neurons must not reset a step late"),
    ([layer(v_min=-5)], "layer 0 (only): neurons must not clamp"),
    ([layer(v_init=np.ones(2, dtype=int))], "layer 0 (only): neurons must not start from a membrane other than 0"),
    ([layer(bias=np.ones(2, dtype=int), bias_once=True)], "layer 0 (only): neurons must not take their bias once"),
    ([layer(leak_num=3, leak_shift=2, leak_toward_zero=True)],
     "layer 0 (only): neurons must not round toward 0 as they leak"),
    ([layer(reset="none")], "layer 0 (only): neurons must not fire without a reset"),
    ([layer(reset_step=np.array([1, 1]))], "layer 0 (only): theta must be reset_step, or one above it"),
    ([layer(current_leak_num=1, bias=np.ones(2, dtype=int))], "layer 0 (only): neurons must not have a bias beside "),
    ([layer(current_leak_num=1)], "layer 0 (only): leak must be below 1 for all channels whose currents last"),
    ([layer(current_leak_num=1, leak_num=1, leak_shift=1)],
     "layer 0 (only): current_leak must be below 1 for all channels whose currents last"),
    ([layer(current_leak_num=1, current_leak_shift=1), layer(current_leak_num=1, current_delay=True)],
     "layer 1 (only): current_delay must be that of layer 0 (only), False, not True"),
    ([layer(), layer()], "layers must have names of their own to be exported, but 'only' would be there twice"),
    ([layer("output"), layer()], "layers must have names of their own to be exported, but 'output' would be there"),
    ([layer(), layer("only_neurons")], "layers must have names of their own to be exported, but 'only_neurons' would"),
    ([layer(), layer(reset="zero")],
     "layer 1 (only): reset and comparison must be those of layer 0 (only), subtract and ≥, not zero"),
]


@pytest.mark.parametrize(("layers", "sentence"), REFUSALS)
def test_what_nir_cannot_say_is_refused(tmp_path, layers, sentence):
    network = IntegerNetwork(name="x", layers=tuple(layers), readout="spike_count", steps=4, steps_max=4,
                             input_kind="events")
    with pytest.raises(CompileError) as error:
        save_nir(network, tmp_path / "x.nir")
    assert str(error.value).startswith(sentence) and not list(tmp_path.iterdir())


def test_norse_runs_what_is_written(tmp_path):
    alive = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        network = IntegerNetwork(
            name="dense", readout="spike_count", steps=8, steps_max=8, input_kind="events", in_max=2, layers=tuple(
                Layer(name=f"layer{index}", weights=rng.integers(-9, 12, (outputs, inputs)), weight_bits=5,
                      neuron=Neuron(bias=rng.integers(0, 4, outputs), theta=rng.integers(12, 24, outputs), reset="zero",
                                    v_init=np.zeros(outputs, dtype=int)))
                for index, (inputs, outputs) in enumerate(pairwise([8, 6, 5, 3]))))
        save_nir(network, tmp_path / "x.nir")
        inputs = rng.integers(0, 3, (4, 8, 8))
        expected = GoldenModel(network).run(inputs).spikes[-1]
        if not ALIVE[0] < expected.mean() < ALIVE[1]:
            continue
        model, state, spikes = norse.from_nir(nir.read(tmp_path / "x.nir"), dt=1.0), None, []
        with torch.no_grad():
            for step in range(8):
                out, state = model(torch.tensor(inputs[:, step], dtype=torch.float32), state)
                spikes.append(out)
        assert np.array_equal(torch.stack(spikes, 1).numpy(), expected), f"seed {seed}"
        alive += 1
        if alive == 10:
            return
    pytest.fail(f"only {alive} networks are alive")
