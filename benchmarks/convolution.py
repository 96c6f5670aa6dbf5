# SPDX-License-Identifier: MIT
"""Convolution: 15C5-P2-40C5-P2-300-10 with random weights on MNIST, and the cycles of one core beside their bound."""

import time
from dataclasses import replace

import firstspike as fs
import numpy as np
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_arch.core_specs import core_spec
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_arch.program import Program
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.compare import ALIVE, aliveness, compare
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.prediction import predict_inputs
from firstspike_train.data import load
from table import Row, publish

LANES = 64


def mnist_network(steps: int = 8) -> IntegerNetwork:
    """Random 4-bit weights, thresholds such that every layer is alive."""
    first = Conv2d(in_shape=(1, 28, 28), channels=15, kernel=(5, 5))
    second = Conv2d(in_shape=first.out_shape, channels=40, kernel=(5, 5), pool=2)
    third = Dense(in_shape=second.out_shape, neurons=300, pool=2)
    last = Dense(in_shape=third.out_shape, neurons=10)
    random, layers = np.random.default_rng(0), []
    for name, synapses, theta in zip(("conv0", "conv1", "dense2", "dense3"), (first, second, third, last),
                                     THRESHOLDS, strict=True):
        zeros = np.zeros(synapses.channels, dtype=np.int64)
        layers.append(Layer(
            name=name, weights=random.integers(-5, 8, synapses.weight_shape), weight_bits=4, connectivity=synapses,
            neuron=Neuron(bias=zeros, theta=zeros + theta, v_init=zeros, single_spike=True),
        ))
    return IntegerNetwork(name="conv_mnist", layers=tuple(layers), readout="first_spike", steps=steps, steps_max=steps)


THRESHOLDS = (20, 110, 150, 80)


def work(program: Program, spikes: tuple[np.ndarray, ...]) -> list[float]:
    """Σ over events of ⌈synaptic operations / lanes⌉ of each core, mean over the inferences."""
    totals = []
    for core in program.cores:
        one_bank = core_spec(program.network, core.index, replace(core.plan.options, banks=(1, 1)))
        _, _, y_counts, x_counts = one_bank.walks[0].visits(core.layer.in_shape)
        operations = y_counts * x_counts * core.plan.group_channels
        totals.append(float((spikes[core.index].sum(1) @ -(-operations // core.plan.elements)).mean()))
    return totals


def core_ratio(channels: int, lanes: int, images: np.ndarray, *, banks: tuple[int, int]) -> float:
    """Cycles of one convolution core with so many output channels, in hardware, over the bound.

    With all banks, a core is faster than the stream of its spikes, one a cycle: a higher threshold keeps them fewer
    than its cycles, so that it is the core that is measured.
    """
    synapses = Conv2d(in_shape=(1, 28, 28), channels=channels, kernel=(5, 5))
    random, zeros = np.random.default_rng(channels), np.zeros(channels, dtype=np.int64)
    hidden = Layer(
        name="conv", weights=random.integers(-5, 8, synapses.weight_shape), weight_bits=4, connectivity=synapses,
        neuron=Neuron(bias=zeros, theta=zeros + (40 if banks == (5, 5) else 20), v_init=zeros, single_spike=True),
    )
    ten = np.zeros(10, dtype=np.int64)
    readout = Dense(in_shape=synapses.out_shape, neurons=10, pool=24)
    last = Layer(
        name="last", weights=random.integers(-5, 8, readout.weight_shape), weight_bits=4, connectivity=readout,
        neuron=Neuron(bias=ten, theta=ten + 500, v_init=ten, single_spike=True),
    )
    network = IntegerNetwork(name="core", layers=(hidden, last), readout="first_spike", steps=8, steps_max=8)
    program = fs.compile(network, lanes=[lanes, 10], banks=[banks, (1, 1)]).program
    backend = VerilatorBackend()
    backend.load(program)
    prediction = predict_inputs(program, images)
    trace = backend.run(prediction.stimulus)
    assert not any(check.different for check in compare(program.network, prediction.stimulus, prediction.trace, trace))
    # From one inference's last marker at the core to the next one's: what the core took for an inference.
    ends = trace.edge_cycles[0][np.flatnonzero(trace.edge_tokens[0] == 3)]
    bound = work(program, prediction.golden.spikes)[0] + network.steps * program.cores[0].plan.rows
    return float(np.diff(ends).mean()) / bound


def main() -> None:
    rows = []
    network, images = mnist_network(), load("mnist", "test")[0]
    spikes = GoldenModel(network).run(images[:200]).spikes
    alive, events = aliveness(spikes)[1:-1], [float(sent.sum((1, 2)).mean()) for sent in spikes[:-1]]
    assert all(ALIVE[0] <= share <= ALIVE[1] for share in alive), alive
    # Events as the layers send them, of which `work` counts the operations.
    program = fs.compile(network, lane_budget=LANES, events=events, merges=False).program
    backend = VerilatorBackend()
    backend.load(program)
    few = images[:1000]
    prediction = predict_inputs(program, few)
    trace = backend.run(prediction.stimulus)
    checks = compare(program.network, prediction.stimulus, prediction.trace, trace)
    compared, different = sum(check.compared for check in checks), sum(check.different for check in checks)
    rows.append(Row(what="conv MNIST (random weights): RTL against golden and timing model, 1,000 images",
                    floor="0 differences", measured=f"{different} differences in {compared} values",
                    met=not different))
    interval = float(trace.intervals.mean())
    busiest = max(work(program, prediction.golden.spikes))
    rows.append(Row(what=f"conv MNIST on {LANES} lanes: mean interval over the busiest core's work",
                    floor="≤ 1.3 ×", measured=f"{interval / busiest:.2f} × ({interval:.0f} cycles)",
                    met=interval <= 1.3 * busiest))
    for mapping, lanes, banks in (("serial", 16, (1, 1)), ("1 × 5 banks", 8, (1, 5)),
                                  ("kernel-parallel, 25 banks", 8, (5, 5))):
        ratios = {channels: core_ratio(channels, min(channels, lanes), images[:50], banks=banks)
                  for channels in (1, 4, 15, 16, 64)}
        rows.append(Row(
            what=f"conv core 5 × 5, {mapping}: cycles over Σ ⌈operations / lanes⌉ + rows visited, 1 … 64 channels",
            floor="≤ 1.15 ×", measured=", ".join(f"{ratio:.3f} ({channels})" for channels, ratio in ratios.items()),
            met=max(ratios.values()) <= 1.15,
        ))
    start = time.perf_counter()
    predict_inputs(program, images)
    model_seconds = time.perf_counter() - start
    hardware_seconds = (int(trace.taken[-1]) / backend.cycles_per_second) * len(images) / len(few)
    rows.append(Row(
        what="conv MNIST: golden + timing model, 10,000 images, against one process of native RTL", floor="≥ 3 ×",
        measured=f"{hardware_seconds / model_seconds:.1f} × ({model_seconds:.0f} s, RTL {hardware_seconds:.0f} s "
                 f"from 1,000 images)",
        met=hardware_seconds >= 3 * model_seconds,
    ))
    publish("convolution", rows)


if __name__ == "__main__":
    main()
