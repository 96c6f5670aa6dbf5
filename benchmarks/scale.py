# SPDX-License-Identifier: MIT
"""A network of VGG-11's size on CIFAR-10's shape, with random weights: compiled, linted, one inference simulated."""

import resource
import tempfile
import time
from pathlib import Path

import firstspike as fs
import numpy as np
from firstspike_arch.connectivity import Conv2d, Dense, Shape
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_hw.toolchain import find_tool
from firstspike_hw.verilog_files import TOP
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.compare import ALIVE, aliveness, compare
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.prediction import predict_inputs
from table import Row, publish

CHANNELS = ((64, 1), (128, 2), (256, 2), (256, 1), (512, 2), (512, 1), (512, 2), (512, 1))
"""Output channels of the 3 × 3 convolutions, and the pooling in front of each."""

STEPS = 4
NOT_WARNINGS = ("DECLFILENAME", "UNUSEDSIGNAL", "PROCASSINIT", "WIDTHEXPAND", "WIDTHTRUNC", "CMPCONST")


def random_layer(name: str, synapses: Conv2d | Dense, theta: int) -> Layer:
    """4-bit weights, the same for the same name. Their mean is 0: else few spikes less would silence layers behind."""
    zeros = np.zeros(synapses.channels, dtype=np.int64)
    weights = np.random.default_rng(list(name.encode())).integers(-7, 8, synapses.weight_shape)
    return Layer(name=name, weights=weights, weight_bits=4, connectivity=synapses,
                 neuron=Neuron(bias=zeros, theta=zeros + theta, v_init=zeros, single_spike=True))


def network_of(layers: list[Layer], steps: int) -> IntegerNetwork:
    return IntegerNetwork(name="vgg11", layers=tuple(layers), readout="first_spike", steps=steps, steps_max=steps)


def vgg11(images: np.ndarray, steps: int = STEPS) -> IntegerNetwork:
    """Thresholds such that about one neuron of seven fires."""
    shape: Shape = (3, 32, 32)
    shapes: list[Conv2d | Dense] = []
    for channels, pool in CHANNELS:
        shapes.append(Conv2d(in_shape=shape, channels=channels, kernel=(3, 3), padding=(1, 1), pool=pool))
        shape = shapes[-1].out_shape
    shapes += [Dense(in_shape=shape, neurons=512, pool=2), Dense(in_shape=(512,), neurons=10)]
    layers: list[Layer] = []
    for index, synapses in enumerate(shapes):
        name = f"layer{index}"
        last = random_layer("unused", Dense(in_shape=synapses.out_shape, neurons=1), 1)
        trial = network_of([*layers, random_layer(name, synapses, 1 << 20), last], steps)
        membranes = GoldenModel(trial).run(images, membranes=True).membranes
        assert membranes is not None
        layers.append(random_layer(name, synapses, max(1, int(np.quantile(membranes[index].max(1), 0.85)))))
    return network_of(layers, steps)


def main() -> None:
    random = np.random.default_rng(0)
    images = np.where(random.random((2, 3072)) < 0.4, random.integers(0, 256, (2, 3072)), 0).astype(np.uint8)
    network = vgg11(images)
    alive = aliveness(GoldenModel(network).run(images).spikes)[1:]
    assert all(ALIVE[0] <= share <= ALIVE[1] for share in alive), alive
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "build"
        start = time.perf_counter()
        compilation = fs.compile(network, lane_budget=512)
        fs.export(compilation, folder)
        seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        weights = sum(layer.weights.size for layer in network.layers)
        rows.append(Row(
            what=f"VGG-11-sized network, {weights / 1e6:.1f} M weights: to images and Verilog",
            floor="≤ 150 s, ≤ 6 GB", measured=f"{seconds:.0f} s, {peak:.1f} GB", met=seconds <= 150 and peak <= 6,
        ))
        said = find_tool("verilator").run(
            ["--lint-only", "-Wall", "-Wno-fatal", *(f"-Wno-{code}" for code in NOT_WARNINGS), "--top-module", TOP,
             f"{TOP}.v"], folder=folder)
        warnings = sum(line.startswith("%Warning") for line in said.splitlines())
        rows.append(Row(what="… lint by Verilator", floor="clean", measured=f"{warnings} warnings", met=not warnings))
    prediction = predict_inputs(compilation.program, images[:1])
    backend = VerilatorBackend()
    backend.load(compilation.program)
    trace = backend.run(prediction.stimulus)
    checks = compare(compilation.program.network, prediction.stimulus, prediction.trace, trace)
    compared, different = sum(check.compared for check in checks), sum(check.different for check in checks)
    rows.append(Row(what="… one inference: RTL against golden and timing model", floor="0 differences",
                    measured=f"{different} differences in {compared} values, {int(trace.taken[0]) + 1} cycles",
                    met=not different))
    publish("scale", rows)


if __name__ == "__main__":
    main()
