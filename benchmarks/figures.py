# SPDX-License-Identifier: MIT
"""Pictures: the raster of one inference, and cycles against spikes, lanes and layer width beside their bounds."""

from pathlib import Path

import firstspike as fs
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from firstspike.api import intervals
from firstspike.verb_demo import shipped
from firstspike_arch.events import ADDRESS_SHIFT, MARKER
from firstspike_arch.network import DenseLayer, IntegerNetwork, Neuron
from firstspike_sim.model import predict_inputs
from firstspike_train.data import load

PICTURES = Path(__file__).parents[1] / "docs"
IMAGES = 1000


def raster(program, image: np.ndarray, path: Path) -> None:
    """Every spike of one inference, by cycle, as the hardware sends it."""
    trace = fs.simulate(program, image[None])
    figure, axes = plt.subplots(2, 1, figsize=(8, 4.5), sharex=True, height_ratios=(3, 2), layout="constrained")
    for axis, tokens, cycles, name in zip(
        axes, trace.link_tokens, trace.link_cycles, ("input (784)", "hidden (128)"), strict=True,
    ):
        marker = (tokens & MARKER) != 0
        axis.plot(cycles[~marker], tokens[~marker] >> ADDRESS_SHIFT, "|", markersize=5)
        for cycle in cycles[marker]:
            axis.axvline(cycle, color="0.8", linewidth=0.8, zorder=0)
        axis.set_ylabel(name)
    decided = int(trace.decided[0])
    for axis in axes:
        axis.axvline(decided, color="tab:red", linewidth=1.2)
    axes[1].set_xlabel("clock cycle (grey: end of a step)")
    axes[0].set_title(f"One MNIST image: class {trace.classes[0]} decided in cycle {decided} (early exit)")
    figure.savefig(path, dpi=120)


def mean_interval(program, images: np.ndarray) -> float:
    prediction = predict_inputs(program, images)
    return float(intervals(prediction.stimulus, prediction.trace).mean())


def scaling(network, images: np.ndarray, path: Path) -> None:
    """Cycles beside the lower bound: every event of the busiest core costs ⌈neurons / lanes⌉ cycles."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    program = fs.compile(network, lanes=128).program
    prediction = predict_inputs(program, images)
    spikes = prediction.golden.spikes[0].sum((1, 2))
    axes[0].plot(spikes[:-1], intervals(prediction.stimulus, prediction.trace), ".", markersize=3, label="measured")
    line = np.array([spikes.min(), spikes.max()])
    axes[0].plot(line, line + network.steps, "k--", label="spikes + T")
    axes[0].set(xlabel="input spikes", ylabel="interval, cycles", title="128 lanes")
    lanes = [1, 2, 4, 8, 16, 32, 64, 128]
    axes[1].loglog(lanes, [mean_interval(fs.compile(network, lanes=[count, min(count, 10)]).program, images[:200])
                           for count in lanes], "o-", label="measured")
    golden = prediction.golden
    sent = [spikes[:200].mean(), golden.spikes[1][:200].sum((1, 2)).mean()]
    bound = [max(sent[0] * -(-128 // count), sent[1] * -(-10 // min(count, 10))) for count in lanes]
    axes[1].loglog(lanes, bound, "k--", label="busiest core's events · rows")
    axes[1].set(xlabel="lanes", title="784-128-10")
    widths, random = [64, 128, 256, 512, 1024], np.random.default_rng(0)
    measured, bound = [], []
    for width in widths:
        layers = []
        for before, count in ((784, width), (width, 10)):
            layers.append(DenseLayer(
                name=f"dense{len(layers)}", weights=random.integers(-7, 8, (count, before)), weight_bits=4,
                neuron=Neuron(bias=np.zeros(count, int), theta=np.full(count, 90), v_init=np.zeros(count, int),
                              single_spike=True)))
        wide = IntegerNetwork(name="wide", layers=tuple(layers), readout="first_spike", steps=8, steps_max=8)
        program = fs.compile(wide, lanes=[64, 10]).program
        measured.append(mean_interval(program, images[:200]))
        sent = fs.predict(program, images[:200]).spikes
        bound.append(max(sent[0].sum((1, 2)).mean() * width / 64, sent[1].sum((1, 2)).mean()))
    axes[2].loglog(widths, measured, "o-", label="measured")
    axes[2].loglog(widths, bound, "k--", label="busiest core's events · rows")
    axes[2].set(xlabel="hidden neurons", title="64 lanes, random weights")
    for axis in axes:
        axis.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    network = fs.load(shipped("zoo", "mnist_ettfs.safetensors"))
    images = load("mnist", "test")[0][:IMAGES]
    raster(fs.compile(network, lanes=128, early_exit=True).program, images[0], PICTURES / "raster.png")
    scaling(network, images, PICTURES / "scaling.png")


if __name__ == "__main__":
    main()
