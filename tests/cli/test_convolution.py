# SPDX-License-Identifier: MIT
"""A real convolutional network with average pooling, from torch's own operations to the hardware."""

import dataclasses

import firstspike as fs
import numpy as np
import pytest
from firstspike_arch.checkpoint import CheckpointError, load_network, save_network
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_arch.events import MARKER
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_arch.neuron import FloatNeuron
from firstspike_compiler.errors import CompileError
from firstspike_sim.compare import compare
from firstspike_sim.models.float_reference import run_float
from firstspike_sim.models.prediction import predict_inputs

STEPS, STEP = 5, 0.25


@pytest.fixture(scope="module")
def network() -> FloatNetwork:
    """12 × 11 pixels → 6 channels 3 × 3 → average 2 × 2 → 8 channels, depthwise in two groups → average → 4 classes."""
    random = np.random.default_rng(11)

    def layer(synapses, theta: float, bias: bool, *, average: bool) -> FloatLayer:
        return FloatLayer(
            weight=random.integers(-5, 8, synapses.weight_shape) * STEP, connectivity=synapses, average_pool=average,
            weight_bits=4, weight_scale=STEP, neuron=FloatNeuron(
                bias=random.integers(-1, 2, synapses.channels) * STEP / synapses.pool**2 if bias else None,
                theta=np.full(synapses.channels, theta), single_spike=True),
        )

    first = Conv2d(in_shape=(1, 12, 11), channels=6, kernel=(3, 3), padding=(1, 0))
    second = Conv2d(in_shape=first.out_shape, channels=8, kernel=(3, 2), stride=(1, 2), groups=2, pool=2)
    last = Dense(in_shape=second.out_shape, neurons=4, pool=2)
    return FloatNetwork(
        name="maps", steps=STEPS, readout="first_spike",
        layers=(layer(first, 2.5, True, average=False), layer(second, 1.0, True, average=True),
                layer(last, 0.75, False, average=True)),
    )


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    random = np.random.default_rng(12)
    return np.where(random.random((6, 132)) < 0.5, random.integers(0, 256, (6, 132)), 0).astype(np.uint8)


def test_golden_model_and_hardware_do_what_torch_does(network, images):
    program = fs.compile(network, lanes=[3, 2, 4]).program
    golden = fs.infer(program, images)
    wanted = run_float(network, images).spikes  # exact: everything here is a multiple of 1/64
    assert [0.02 <= edge.mean() <= 0.7 for edge in wanted[1:]] == [True] * 3
    for mine, other in zip(golden.spikes, wanted, strict=True):
        assert np.array_equal(mine, other)
    assert fs.verify(program, images, waits=3).equal


@pytest.mark.parametrize("options", [
    {"port": "image", "early_exit": True, "lane_budget": 40}, {"lanes": [6, 4, 1], "winner": "scan"},
])
def test_ports_and_mappings(network, images, options):
    assert fs.verify(fs.compile(network, **options).program, images).equal


def test_checkpoint_and_build_keep_the_maps(network, images, tmp_path):
    save_network(tmp_path / "maps.safetensors", network)
    again = load_network(tmp_path / "maps.safetensors")
    assert [layer.connectivity for layer in again.layers] == [layer.connectivity for layer in network.layers]
    compilation = fs.compile(again, lanes=2)
    fs.export(compilation, tmp_path / "build")
    program = fs.compile(network, lanes=2).program
    assert compilation.program.digest() == program.digest()
    assert type(program).load(tmp_path / "build" / "program.fsp").digest() == program.digest()


def test_a_difference_in_a_map_is_named_by_channel_y_and_x(network, images):
    program = fs.compile(network, lanes=100).program  # as many as there are channels
    prediction = predict_inputs(program, images)
    cycles = [edge.copy() for edge in prediction.trace.edge_cycles]
    at = int(np.flatnonzero(prediction.trace.edge_tokens[1] & MARKER == 0)[3])
    cycles[1][at] += 1
    later = dataclasses.replace(prediction.trace, edge_cycles=tuple(cycles))
    checks = compare(program.network, prediction.stimulus, prediction.trace, later)
    (check,) = (check for check in checks if check.different)
    order = prediction.golden.spikes[1][0, 0].reshape(program.network.layers[0].out_shape).transpose(1, 2, 0)
    y, x, channel = (int(part[3]) for part in np.nonzero(order))
    assert f"neuron ({channel}, {y}, {x}) in cycle {cycles[1][at]}" in check.first


def test_a_network_whose_maps_do_not_fit_is_not_saved(network, tmp_path):
    broken = FloatNetwork(name="broken", steps=STEPS, readout="first_spike", layers=(network.layers[0],
                                                                                     network.layers[2]))
    with pytest.raises(CheckpointError, match=r"tensor 1\.weight must have inputs of the shape \(6, 12, 9\)"):
        save_network(tmp_path / "broken.safetensors", broken)
    assert not list(tmp_path.iterdir())


def test_a_max_pool_passes_the_first_spike_of_a_window(network, images):
    first, second, last = network.layers
    pooled = dataclasses.replace(network, layers=(
        first, dataclasses.replace(second, average_pool=False, max_pool=True,
                                   neuron=dataclasses.replace(second.neuron, bias=None)), last))
    program = fs.compile(pooled).program
    assert len(program.network.layers) == 4
    wanted = run_float(pooled, images)
    golden = fs.infer(program, images)
    for mine, other in zip((*golden.spikes[:2], *golden.spikes[3:]), wanted.spikes, strict=True):
        assert np.array_equal(mine, other)
    windows = golden.spikes[2].sum(1)
    assert set(np.unique(windows)) == {0, 1} and golden.spikes[1].sum() > windows.sum()
    assert fs.verify(program, images[:2]).equal


def test_a_max_pool_behind_neurons_that_fire_again_is_refused(network):
    first, second, last = network.layers
    again = dataclasses.replace(first, neuron=dataclasses.replace(first.neuron, single_spike=False))
    layers = (again, dataclasses.replace(second, max_pool=True), last)
    with pytest.raises(CompileError, match=r"^layer 1: max_pool must follow neurons that fire once; use average_pool$"):
        fs.compile(dataclasses.replace(network, layers=layers))


@pytest.mark.parametrize(("theta", "dead"), [(1.0, []), (60.0, [0])])
def test_layers_that_could_fire_and_do_not_make_a_weak_comparison(theta, dead):
    hidden = FloatLayer(weight=np.eye(4), neuron=FloatNeuron(theta=np.full(4, theta)), weight_bits=2, weight_scale=1.0)
    output = FloatLayer(weight=np.eye(4)[:2], weight_bits=2, weight_scale=1.0)  # read by its potential: never fires
    program = fs.compile(FloatNetwork(name="dim", steps=3, readout="potential", layers=(hidden, output))).program
    images = np.array([[0, 100, 200, 255], [90, 0, 180, 0]], dtype=np.uint8)
    assert fs.verify(program, images, backend="pysim").dead == dead


def with_bias(bias: int) -> FloatNetwork:
    """A convolution of grey levels, whose units are 255 times smaller than those of its weights."""
    first = Conv2d(in_shape=(1, 5, 4), channels=3, kernel=(3, 3), padding=(1, 1))
    second = Dense(in_shape=first.out_shape, neurons=3)
    random = np.random.default_rng(5)
    return FloatNetwork(
        name="grey", steps=3, readout="potential", input_kind="direct", in_min=0, in_max=255, input_scale=1 / 255,
        layers=(
            FloatLayer(weight=random.integers(-5, 8, first.weight_shape) / 8, connectivity=first, weight_bits=5,
                       weight_scale=1 / 8, neuron=FloatNeuron(
                           theta=np.full(3, 1.0), bias=np.array([bias, 40, -bias]) / (8 * 255), leak=0.5)),
            FloatLayer(weight=random.integers(-5, 8, second.weight_shape) / 8, connectivity=second, weight_bits=4,
                       weight_scale=1 / 8),
        ))


@pytest.mark.parametrize("parallel", [False, True])
def test_a_bias_too_large_for_weights_is_a_constant(parallel):
    images = np.random.default_rng(6).integers(0, 256, (3, 20)).astype(np.uint8)
    compilation = fs.compile(with_bias(700), lanes=[2, 3], kernel_parallel=[parallel, False])
    outcome = fs.verify(compilation.program, images, backend="pysim")
    assert outcome.equal and not outcome.dead
    banks = " in each of 3×3 banks" * parallel
    assert f"conv2d0: 60 neurons on 2 lanes{banks}, a bias too large for weights as a constant" in compilation.report()
    small, large = ([fs.compile(with_bias(bias)).program.architecture() for bias in pair]
                    for pair in ((100, 101), (700, 701)))
    assert small[0] == small[1] and large[0] != large[1]  # an image that is loaded, or a part of the hardware
