# SPDX-License-Identifier: MIT
"""NIR files written here: mapped node by node, or refused by name."""

import re
from itertools import pairwise

import nir
import numpy as np
import pytest
import torch
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_compiler.errors import CompileError
from firstspike_compiler.frontends.nir_file import load_nir
from firstspike_sim.models.float_reference import run_float
from firstspike_sim.testing.framework_runs import run_norse
from norse import torch as norse
from norse.torch.functional.reset import reset_subtract, reset_value
from torch import nn

RANDOM = np.random.default_rng(1)


def spiking(*shape: int, threshold=2.0, r=0.5, v_reset=0.0) -> nir.IF:
    return nir.IF(r=np.full(shape, r), v_threshold=np.full(shape, threshold), v_reset=np.full(shape, v_reset))


def leaky(*shape: int, tau=4e-3, v_leak=0.0, v_reset=0.0) -> nir.LIF:
    return nir.LIF(tau=np.full(shape, tau), r=np.full(shape, 2.0), v_leak=np.full(shape, v_leak),
                   v_threshold=np.ones(shape), v_reset=np.full(shape, v_reset))


def current(*shape: int, tau_syn=1e-3) -> nir.CubaLIF:
    return nir.CubaLIF(tau_syn=np.full(shape, tau_syn), tau_mem=np.full(shape, 4e-3), r=np.full(shape, 2.0),
                       v_leak=np.zeros(shape), v_threshold=np.ones(shape), v_reset=np.zeros(shape),
                       w_in=np.full(shape, 3.0))


def nodes() -> dict:
    """2 × 8 × 8 → 4 channels 3 × 3 → sum of 2 × 2 → 5."""
    return {
        "in": nir.Input({"input": np.array([2, 8, 8])}),
        "conv": nir.Conv2d(input_shape=(8, 8), weight=RANDOM.normal(size=(4, 2, 3, 3)), stride=(1, 1), padding=(1, 1),
                           dilation=(1, 1), groups=1, bias=np.arange(4.0)),
        "fire": spiking(4, 8, 8),
        "pool": nir.SumPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0])),
        "flat": nir.Flatten(start_dim=0, end_dim=-1, input_type={"input": np.array([4, 4, 4])}),
        "dense": nir.Affine(weight=RANDOM.normal(size=(5, 64)), bias=np.zeros(5)),
        "out_fire": spiking(5),
        "out": nir.Output({"output": np.array([5])}),
    }


def written(tmp_path, parts: dict, edges=None):
    names = list(parts)
    graph = nir.NIRGraph(nodes=parts, edges=edges or list(pairwise(names)), type_check=False)
    path = tmp_path / "my net.nir"
    nir.write(path, graph)
    return path


def load(path, dt=1e-3, **more):
    return load_nir(path, steps=7, reset="zero", strict=True, readout="spike_count", dt=dt, **more)


def test_a_chain_becomes_layers(tmp_path):
    parts = nodes()
    network = load(written(tmp_path, parts))
    assert (network.name, network.steps, network.input_kind) == ("my_net", 7, "events")
    first, last = network.layers
    assert first.connectivity == Conv2d(in_shape=(2, 8, 8), channels=4, kernel=(3, 3), padding=(1, 1))
    assert last.connectivity == Dense(in_shape=(4, 8, 8), neurons=5, pool=2)
    assert np.allclose(first.weight, parts["conv"].weight) and np.allclose(first.neuron.bias, np.arange(4))
    assert np.allclose(first.neuron.theta, 4000)  # 2 / (0.5 · 1 ms)
    assert first.neuron.strict and first.neuron.reset == "zero"
    with pytest.raises(CompileError, match=r"dt must be given for IF with r = 0\.5"):
        load(written(tmp_path, parts), dt=None)


def test_leaky_neurons_by_forward_euler(tmp_path):
    """v ← v + dt/τ·(r·x − v), in units of dt/τ·r."""
    change = {
        "fire": leaky(4, 8, 8), "out_fire": current(5),
        "pool": nir.AvgPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0])),
    }
    first, last = load(written(tmp_path, nodes() | change)).layers
    assert first.neuron.leak == last.neuron.leak == 0.75 and last.average_pool and not first.average_pool
    assert np.allclose(first.neuron.theta, 1 / (0.25 * 2)) and np.allclose(last.neuron.theta, 1 / (0.25 * 2 * 3))
    with pytest.raises(CompileError, match="node 'fire': dt must be given for LIF"):
        load(written(tmp_path, nodes() | change), dt=None)


def test_each_neuron_has_its_own_time_constant(tmp_path):
    taus = 1e-3 * np.array([1, 2, 4, 4, 8])
    output = load(written(tmp_path, nodes() | {"out_fire": leaky(5, tau=taus)})).layers[-1].neuron
    assert np.allclose(output.leak, [0, 0.5, 0.75, 0.75, 0.875]) and np.allclose(output.theta, 1 / (2e-3 / taus))


def test_scales_and_thresholds_without_a_state(tmp_path):
    parts = nodes() | {"out_fire": nir.Threshold(threshold=np.full(5, 0.5))}
    parts["scaled"] = nir.Scale(scale=np.arange(5.0))
    names = list(nodes())
    names.insert(names.index("out_fire"), "scaled")
    last = load(written(tmp_path, parts, list(pairwise(names)))).layers[-1]
    assert last.neuron.leak == 0 and last.neuron.reset == "none" and np.allclose(last.neuron.theta, 0.5)
    assert np.allclose(last.weight, parts["dense"].weight * np.arange(5.0)[:, None])


REFUSALS = [
    ({"fire": nir.Delay(delay=np.ones((4, 8, 8)))}, "node 'fire': Delay must be in front of synapses with a bias"),
    ({"fire": leaky(4, 8, 8, tau=5e-4)}, "node 'fire': dt / tau must be in 0 … 1, not 2: dt is too long"),
    ({"fire": leaky(4, 8, 8, tau=np.arange(1.0, 257).reshape(4, 8, 8))},
     "node 'fire': tau must be the same for all neurons of a channel"),
    ({"fire": leaky(4, 8, 8, v_leak=1.0, v_reset=1.5)},
     "node 'fire': v_threshold must be above v_leak, or above v_reset, not below by 0.5"),
    ({"fire": current(4, 8, 8, tau_syn=5e-4)}, "node 'fire': dt / tau_syn must be in 0 … 1, not 2: dt is too long"),
    ({"fire": current(4, 8, 8, tau_syn=np.inf)}, "node 'fire': w_in·dt / tau_syn must be > 0, not 0.0"),
    ({"fire": current(4, 8, 8, tau_syn=-1.0)}, "node 'fire': tau_syn must be > 0, not -1.0"),
    ({"fire": spiking(4, 8, 8, r=0.0)}, "node 'fire': r must be > 0, not 0.0"),
    ({"fire": spiking(3, 8, 8)}, "node 'fire': r must have shape (4, 8, 8), not (3, 8, 8)"),
    ({"fire": nir.IF(r=np.ones((4, 8, 8)), v_threshold=np.arange(1.0, 257).reshape(4, 8, 8),
                     v_reset=np.zeros((4, 8, 8)))},
     "node 'fire': v_threshold must be the same for all neurons of a channel"),
    ({"dense": nir.Affine(weight=np.ones((5, 60)), bias=np.zeros(5))},
     "node 'dense': weight must have shape (5, 64) for an input of shape (4, 4, 4), not (5, 60)"),
    ({"pool": nir.SumPool2d(kernel_size=np.array([9, 2]), stride=np.array([1, 1]), padding=np.array([0, 0]))},
     "node 'pool': SumPool2d must have windows inside the map of 8 × 8, padded by at most half a window, not windows "
     "of 9 × 2 with stride (1, 1) and padding (0, 0)"),
    ({"conv": nir.Conv2d(input_shape=(8, 8), weight=np.ones((4, 2, 3, 3)), stride=(1, 1), padding=(1, 1),
                         dilation=(0, 1), groups=1, bias=np.zeros(4))},
     "node 'conv': dilation must be at least 1, not (0, 1)"),
]


@pytest.mark.parametrize(("change", "sentence"), REFUSALS)
def test_what_cannot_be_mapped_is_refused_by_name(tmp_path, change, sentence):
    with pytest.raises(CompileError, match=f"my net.nir: {re.escape(sentence)}"):
        load(written(tmp_path, nodes() | change))


def test_a_reset_potential_apart_from_rest_is_kept(tmp_path):
    change = {"fire": spiking(4, 8, 8, v_reset=-1.0), "out_fire": leaky(5, v_leak=0.5)}
    path = written(tmp_path, nodes() | change)
    with pytest.raises(CompileError, match="node 'fire': start must be given for IF with v_reset = -1: SpikingJelly's"):
        load(path)
    assert np.allclose(load(path, start="reset").layers[0].neuron.v_init, -2000)
    first, last = load(path, start="zero").layers
    assert np.allclose(first.neuron.v_reset, -2000) and first.neuron.v_init is None  # −1 / (0.5 · 1 ms)
    assert np.allclose(last.neuron.v_reset, -0.5 / (0.25 * 2)) and np.allclose(last.neuron.theta, 0.5 / (0.25 * 2))


def test_a_reset_that_subtracts_has_no_reset_potential(tmp_path):
    with pytest.raises(CompileError, match=r"node 'fire': v_reset must be 0 with a reset that subtracts, not 1\.0$"):
        load_nir(written(tmp_path, nodes() | {"fire": spiking(4, 8, 8, v_reset=1.0)}), steps=7, reset="subtract",
                 strict=True, readout="spike_count", dt=1e-3)


@pytest.mark.parametrize(("reset", "low"), [("zero", 0.25), ("zero", -0.5), ("subtract", 0.25)])
def test_each_neuron_does_as_in_norse(tmp_path, reset, low):
    """Time constants, thresholds, resting and reset potentials of their own; some rest above their threshold if low."""
    rng, dt = np.random.default_rng(5), 2.0**-10
    rates, rest, theta = rng.choice([0.25, 0.5, 1.0], 20), rng.choice([0.0, 0.125, -0.125], 20), np.full(20, low)
    theta[10:], after = 0.5, rng.choice([-0.75, -0.625], 20) if reset == "zero" else np.zeros(20)
    linear = nn.Linear(8, 20)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(rng.integers(-3, 5, (20, 8)) / 8))
        linear.bias.copy_(torch.tensor(rng.integers(-1, 2, 20) / 8))
    numbers = {"v_th": theta, "v_leak": rest, "v_reset": after, "tau_mem_inv": rates / dt}
    cell = norse.LIFBoxCell(norse.LIFBoxParameters(
        **{name: torch.tensor(value, dtype=torch.float32) for name, value in numbers.items()},
        reset_method=reset_subtract if reset == "subtract" else reset_value), dt=dt)
    path = written(tmp_path, {
        "in": nir.Input({"input": np.array([8])}),
        "dense": nir.Affine(weight=linear.weight.detach().numpy(), bias=linear.bias.detach().numpy()),
        "fire": nir.LIF(tau=dt / rates, r=np.ones(20), v_leak=rest, v_threshold=theta, v_reset=after),
        "out": nir.Output({"output": np.array([20])})})
    network = load_nir(path, steps=12, reset=reset, strict=True, readout="spike_count", dt=dt)
    inputs = rng.integers(0, 2, (10, 12, 8))
    expected, = run_norse([linear, cell], (8,), torch.tensor(inputs, dtype=torch.float32))
    assert 0.05 < expected.mean() < 0.8 and np.array_equal(run_float(network, inputs).spikes[1], expected)


def test_membranes_that_rest_apart_are_compared_as_they_are(tmp_path):
    parts, tau = nodes(), 1e-3 * np.array([1, 2, 4, 4, 8])
    rest = np.array([0.0, 0.5, 0.5, -0.25, 0.0])
    parts["out_fire"] = nir.LI(tau=tau, r=np.ones(5), v_leak=rest)
    network = load_nir(written(tmp_path, parts), steps=5, reset="zero", strict=True, readout="potential", dt=1e-3)
    result = run_float(network, np.random.default_rng(0).integers(0, 2, (4, 5, 128)))
    v = np.broadcast_to(rest, (4, 5))
    for step in range(5):
        spikes = result.spikes[1][:, step].reshape(4, 4, 4, 2, 4, 2).sum((3, 5)).reshape(4, 64)
        v = v + 1e-3 / tau * (rest - v + spikes @ parts["dense"].weight.T)
        assert np.allclose(result.membranes[1][:, step], v)


@pytest.mark.parametrize("raw", [b"", b"not HDF5 at all"])
def test_a_file_that_is_none_is_refused(tmp_path, raw):
    (tmp_path / "x.nir").write_bytes(raw)
    with pytest.raises(CompileError, match=r"x.nir: must be a NIR file, (which is HDF5, but does not|not an empty)"):
        load(tmp_path / "x.nir")
    with pytest.raises(CompileError, match=r"absent.nir: must be a NIR file"):
        load(tmp_path / "absent.nir")


def test_an_output_may_be_a_map_and_pooled_spikes_are_added_up(tmp_path):
    parts = {name: nodes()[name] for name in ("in", "conv", "fire")}
    whole = {**parts, "out": nir.Output({"output": np.array([4, 8, 8])})}
    (only,) = load(written(tmp_path, whole)).layers
    assert only.connectivity.out_shape == (4, 8, 8)
    pool = nir.AvgPool2d(kernel_size=np.array([8, 8]), stride=np.array([8, 8]), padding=np.array([0, 0]))
    network = load(written(tmp_path, {**parts, "pool": pool, "flat": nodes()["flat"], "out": nodes()["out"]}))
    assert network.readout == "potential" and len(network.layers) == 2
    last = network.layers[-1]
    assert last.connectivity == Conv2d(in_shape=(4, 8, 8), channels=4, kernel=(1, 1), groups=4, pool=8)
    assert last.average_pool and last.neuron.theta is None and last.neuron.leak == 1 and (last.weight == 1).all()
    with pytest.raises(CompileError, match="node 'out': Output must take the neurons 'fire', the last layer"):
        load_nir(written(tmp_path, {**parts, "pool": pool, "out": nodes()["out"]}), steps=7, reset="zero", strict=True,
                 readout="first_spike", dt=1e-3)
