# SPDX-License-Identifier: MIT
"""Speed of software: golden model and verification beside an older version in the same run, the native driver against
the cocotb bench, and the compilation of large stacks.

Beside the older version only ratios count, and both must give the same values, or the run fails.
"""

import argparse
import resource
import sys
import time
from itertools import pairwise
from statistics import median

import firstspike as fs
import numpy as np
from beside import BEFORE, checked_out, in_turn
from firstspike.verb_demo import shipped
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_sim.backends.cocotb_bench import CocotbBackend
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.models.prediction import predict_inputs
from firstspike_train.data import load
from table import Row, publish

COCOTB_IMAGES = 100
ROUNDS = 3
GOLDEN = {"mnist_ettfs": (4000, "dense"), "mnist_latency": (400, "convolutions"), "mnist_diet": (400, "convolutions")}
VERIFIED = 1000
MEASURE_GOLDEN = f"""
import time
import firstspike as fs
import torch
from firstspike_train.data import load
torch.set_num_threads(1)
for name, (count, _) in {GOLDEN!r}.items():
    program = fs.compile(fs.load(f"zoo/{{name}}.safetensors"), lanes=1).program
    images, times = load("mnist", "test")[0][:count], []
    for _ in range(4):
        begun = time.process_time()
        result = fs.infer(program, images)
        times.append(time.process_time() - begun)
    values = sum(int(spikes.sum()) for spikes in result.spikes), int(result.scores.sum()), int(result.steps.sum())
    print(name, count / min(times[1:]), *values)
"""
"""Images a second of CPU time, and values."""

MEASURE_VERIFY = f"""
import time
import firstspike as fs
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.verilog import verilog
from firstspike_train.data import load
program = fs.compile(fs.load("zoo/mnist_latency.safetensors"), lanes=[15, 8, 38, 3],
                     kernel_parallel=[False, True, False, False]).program
images = load("mnist", "test")[0][:{VERIFIED}]
text = verilog(Accelerator(program), program.memories())
fs.verify(program, images[:2], verilog=text)  # builds the simulator, if it is not in the cache
begun = time.perf_counter()
outcome = fs.verify(program, images, verilog=text)
print("verify", time.perf_counter() - begun, outcome.equal, "".join(map(str, outcome.classes)))
"""
"""Seconds, and whether hardware and models agree, as they must."""


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


def beside(revision: str) -> list[Row]:
    """Golden model and verification beside a revision of this repository."""
    with checked_out(revision) as tree:
        golden, verified = (in_turn(code, tree, rounds=ROUNDS) for code in (MEASURE_GOLDEN, MEASURE_VERIFY))
    rows = []
    for name, (_, kind) in GOLDEN.items():
        old, new = (median(float(found[name][0]) for found in part) for part in golden)
        _same(name, [found[name][1:] for part in golden for found in part])
        rows.append(Row(what=f"golden model of {name} ({kind}), images a second of CPU time, beside the version before",
                        floor="≥ 2 ×", measured=f"{new / old:.1f} × ({new:.0f} against {old:.0f})", met=new >= 2 * old))
    old, new = (median(float(found["verify"][0]) for found in part) for part in verified)
    _same("verify", [found["verify"][1:] for part in verified for found in part])
    rows.append(Row(what=f"verify of {VERIFIED} images of mnist_latency, simulator cached, beside the version before",
                    floor="≥ 2 ×", measured=f"{old / new:.1f} × ({new:.0f} s against {old:.0f} s)", met=old >= 2 * new))
    return rows


def _same(name: str, values: list[list[str]]) -> None:
    if any(one != values[0] for one in values) or "False" in values[0]:
        sys.exit(f"{name}: both versions must give the same values, but they differ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", metavar="REVISION", default=BEFORE, help="the older version (default %(default)s)")
    rows = beside(parser.parse_args().against)
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
