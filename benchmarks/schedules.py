# SPDX-License-Identifier: MIT
"""Latency step by step, as the machine works, against layer by layer: the same spikes, but a layer starts when the one
before it has ended its last step.

Step by step: one image alone, from the timing model. Layer by layer: the work of all cores added up, without any cycle
of pipelines or of moving the spikes of whole inferences, so the comparison favours it.
"""

from pathlib import Path

import firstspike as fs
import numpy as np
from firstspike.api import latencies
from firstspike_arch.program import Program
from firstspike_arch.work import work_cycles, workload
from firstspike_sim.models.prediction import predict_inputs
from firstspike_train.data import load
from table import Row, publish

ZOO = Path(__file__).parents[1] / "zoo"
NETWORKS = {
    "ETTFS dense": "mnist_ettfs", "ETTFS": "mnist_ettfs_conv", "DIET-SNN": "mnist_diet",
    "latency coding": "mnist_latency", "multi-threshold": "mnist_multi_threshold",
}
IMAGES, LANES = 50, 256


def alone(program: Program, images: np.ndarray) -> float:
    """Mean latency, in cycles, of images that have the machine to themselves."""
    predictions = [predict_inputs(program, image[None]) for image in images]
    return float(np.mean([latencies(one.stimulus, one.trace) for one in predictions]))


def layer_by_layer(program: Program, images: np.ndarray) -> float:
    """Mean cycles of all cores, one after another."""
    spikes = fs.infer(program, images).spikes
    return sum(float(work_cycles(core, workload(core, spikes)).mean()) for core in program.cores)


def measure(method: str, path: Path, images: np.ndarray) -> Row:
    network = fs.load(path)
    program = fs.compile(network, lane_budget=LANES).program
    integer = program.network
    whole, apart = alone(program, images), layer_by_layer(program, images)
    early = ""
    if integer.earliest_decides:
        cycles = alone(fs.compile(network, lane_budget=LANES, early_exit=True).program, images)
        early = f"; with early exit {cycles:.0f}"
    layers, steps = len(integer.layers), integer.steps
    return Row(
        what=f"{method}, {layers} layers, T = {steps}: latency of an MNIST image, step by step against layer by layer",
        floor="fewer cycles",
        measured=f"{whole:.0f} against {apart:.0f} cycles ({apart / whole:.2f} ×){early}; {steps} against "
                 f"{layers * steps} steps",
        met=whole < apart,
    )


def main() -> None:
    images, _ = load("mnist", "test")
    publish("schedules", [measure(method, ZOO / f"{name}.safetensors", images[:IMAGES])
                          for method, name in NETWORKS.items()])


if __name__ == "__main__":
    main()
