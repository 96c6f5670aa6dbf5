# SPDX-License-Identifier: MIT
"""Simulation speed of the native driver against the cocotb bench, and compile time of large stacks."""

import resource
import time
from itertools import pairwise

import firstspike as fs
import numpy as np
from firstspike.verb_demo import shipped
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_sim.backends.cocotb_bench import CocotbBackend
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.models.prediction import predict_inputs
from firstspike_train.data import load
from table import Row, publish

COCOTB_IMAGES = 100


def stack(sizes: list[int]) -> IntegerNetwork:
    """Random 4-bit dense layers of these sizes."""
    random = np.random.default_rng(1)
    layers = tuple(
        Layer(
            name=f"dense{index}", weights=random.integers(-7, 8, (after, before)), weight_bits=4,
            neuron=Neuron(bias=random.integers(-3, 4, after), theta=np.full(after, 150),
                          v_init=np.zeros(after, int), single_spike=True),
        )
        for index, (before, after) in enumerate(pairwise(sizes))
    )
    return IntegerNetwork(name="stack", layers=layers, readout="first_spike", steps=8, steps_max=8)


def main() -> None:
    rows = []
    program = fs.compile(fs.load(shipped("zoo", "mnist_ettfs.safetensors")), lanes=128).program
    images = load("mnist", "test")[0]
    native, bench = VerilatorBackend(), CocotbBackend()
    native.load(program)
    bench.load(program)
    native.run(predict_inputs(program, images[:2000]).stimulus)
    few = predict_inputs(program, images[:COCOTB_IMAGES]).stimulus
    bench.run(few)
    slow = bench.cycles_per_second
    ratio = native.cycles_per_second / slow
    rows.append(Row(what="native Verilator against the cocotb bench, cycles a second", floor="≥ 40 ×",
                    measured=f"{ratio:.0f} × ({native.cycles_per_second / 1e6:.2f} M against {slow / 1e3:.1f} k)",
                    met=ratio >= 40))
    network = stack([2000] * 4 + [10])
    weights = sum(layer.weights.size for layer in network.layers)
    start = time.perf_counter()
    big = fs.compile(network, lanes=[100, 100, 100, 10]).program
    words = sum(len(image) for image in big.images().values())
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    rows.append(Row(what=f"{weights / 1e6:.1f} M weights to images", floor="≤ 90 s, ≤ 4 GB",
                    measured=f"{seconds:.1f} s, {memory:.2f} GB, {words} words", met=seconds <= 90 and memory <= 4))
    publish("speed", rows)


if __name__ == "__main__":
    main()
