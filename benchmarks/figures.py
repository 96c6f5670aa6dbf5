# SPDX-License-Identifier: MIT
"""Pictures: the machine, a raster of one inference, cycles over spikes, lanes and layer width beside their bounds."""

from pathlib import Path

import firstspike as fs
import numpy as np
from firstspike.picture import save_picture
from firstspike.verb_demo import shipped
from firstspike_arch.events import ADDRESS_SHIFT, MARKER
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_sim.models.prediction import predict_inputs
from firstspike_train.data import load
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

PICTURES = Path(__file__).parents[1] / "docs"
IMAGES = 1000


def raster(program, image: np.ndarray, path: Path) -> None:
    """Every spike of one inference, by cycle, as the hardware sends it."""
    trace = fs.simulate(program, image[None])
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for axis, tokens, cycles, name in zip(
        axes, trace.edge_tokens, trace.edge_cycles, ("input (784)", "hidden (128)"), strict=True,
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
    save_picture(figure, path)


def wide_network(width: int) -> IntegerNetwork:
    """784-width-10 with random weights."""
    random = np.random.default_rng(0)
    layers = tuple(
        Layer(
            name=f"dense{index}", weights=random.integers(-7, 8, (count, before)), weight_bits=4,
            neuron=Neuron(bias=np.zeros(count, int), theta=np.full(count, 90), v_init=np.zeros(count, int),
                          single_spike=True),
        )
        for index, (before, count) in enumerate(((784, width), (width, 10)))
    )
    return IntegerNetwork(name="wide", layers=layers, readout="first_spike", steps=8, steps_max=8)


def both(network: IntegerNetwork, lanes: int, images: np.ndarray) -> tuple[float, float]:
    """Mean interval, and its lower bound: every event of the busiest core costs ⌈neurons / lanes⌉ cycles."""
    program = fs.compile(network, lanes=[lanes, min(lanes, 10)]).program
    prediction = predict_inputs(program, images)
    sent = [spikes.sum((1, 2)).mean() for spikes in prediction.golden.spikes]
    bound = max(events * core.plan.rows for events, core in zip(sent, program.cores, strict=False))
    return float(prediction.trace.intervals.mean()), bound


def machine(program, path: Path) -> None:
    """The units of an accelerator with their sizes, and the streams between them."""
    network = program.network
    first = "encoder" if program.config.port == "image" else "guard"
    boxes = [(f"{first}\n{network.inputs} addresses", "0.92")]
    for core in program.cores:
        layer, plan, memory = core.layer, core.plan, core.memory
        boxes.append((
            f"core: {layer.name}\n{layer.inputs} → {layer.neurons}\n{plan.lanes} lanes × {plan.rows} rows\n"
            f"{plan.membrane_bits}-bit membranes\n\nweights {layer.weight_bits} bits\n"
            f"{memory.depth} × {memory.used_bits}", "#cfe3f5",
        ))
        boxes.append(("spike queue\nand extractor", "0.92"))
    readout = network.readout.replace("_", " ")
    boxes[-1] = (f"read-out\n{readout}\n{program.config.winner} over {program.cores[-1].plan.lanes}", "0.92")
    figure = Figure(figsize=(2.1 * len(boxes), 2.9), layout="constrained")
    axis = figure.subplots()
    axis.set(xlim=(-0.75, 2 * len(boxes) + 0.25), ylim=(-1.5, 1.1))
    axis.axis("off")
    arrow = {"arrowstyle": "-|>", "color": "black"}
    for place, (text, colour) in enumerate(boxes):
        axis.add_patch(Rectangle((2 * place, -0.8), 1.4, 1.6, facecolor=colour, edgecolor="black"))
        axis.text(2 * place + 0.7, 0, text, ha="center", va="center", fontsize=8)
        axis.annotate("", (2 * place, 0), (2 * place - 0.6, 0), arrowprops=arrow)
        if 0 < place < len(boxes):
            axis.text(2 * place - 0.3, 0.08, "tokens" if place % 2 else "rows", ha="center", fontsize=7)
    axis.text(-0.35, 0.08, "beats" if first == "encoder" else "tokens", ha="center", fontsize=7)
    end = 2 * len(boxes) - 0.6
    axis.annotate("", (end + 0.6, 0), (end, 0), arrowprops=arrow)
    axis.text(end + 0.05, 0.08, "class, step,\nevidence", fontsize=7)
    if program.config.early_exit:
        axis.plot([2 * len(boxes) - 1.3] * 2, [-0.8, -1.2], color="tab:red")
        axis.plot([2.7, 2 * len(boxes) - 1.3], [-1.2, -1.2], color="tab:red")
        for place in range(1, len(boxes), 2):
            if place + 1 < len(boxes):
                axis.annotate("", (2 * place + 0.7, -0.8), (2 * place + 0.7, -1.2),
                              arrowprops=arrow | {"color": "tab:red"})
        axis.text(len(boxes), -1.42, "early exit: decided, drop the rest", color="tab:red", ha="center", fontsize=8)
    save_picture(figure, path)


def scaling(network, images: np.ndarray, path: Path) -> None:
    """Cycles beside the lower bound: every event of the busiest core costs ⌈neurons / lanes⌉ cycles."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    axes = figure.subplots(1, 3)
    program = fs.compile(network, lanes=128).program
    prediction = predict_inputs(program, images)
    spikes = prediction.golden.spikes[0].sum((1, 2))
    axes[0].plot(spikes[1:], prediction.trace.intervals, ".", markersize=3, label="measured")
    line = np.array([spikes.min(), spikes.max()])
    axes[0].plot(line, line + network.steps, "k--", label="spikes + T")
    axes[0].set(xlabel="input spikes", ylabel="interval, cycles", title="128 lanes")
    lanes = [1, 2, 4, 8, 16, 32, 64, 128, 256]
    measured, bound = zip(*(both(wide_network(256), count, images[:200]) for count in lanes), strict=True)
    axes[1].loglog(lanes, measured, "o-", label="measured")
    axes[1].loglog(lanes, bound, "k--", label="busiest core's events · rows")
    axes[1].set(xlabel="lanes", title="784-256-10, random weights")
    widths = [64, 128, 256, 512, 1024]
    measured, bound = zip(*(both(wide_network(width), 64, images[:200]) for width in widths), strict=True)
    axes[2].loglog(widths, measured, "o-", label="measured")
    axes[2].loglog(widths, bound, "k--", label="busiest core's events · rows")
    axes[2].set(xlabel="hidden neurons", title="64 lanes, random weights")
    for axis in axes:
        axis.legend()
    save_picture(figure, path)


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    network = fs.load(shipped("zoo", "mnist_ettfs.safetensors"))
    images = load("mnist", "test")[0][:IMAGES]
    program = fs.compile(network, lanes=128, early_exit=True).program
    machine(program, PICTURES / "machine.png")
    raster(program, images[0], PICTURES / "raster.png")
    scaling(network, images, PICTURES / "scaling.png")


if __name__ == "__main__":
    main()
