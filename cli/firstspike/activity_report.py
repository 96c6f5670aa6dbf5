# SPDX-License-Identifier: MIT
"""Report of a network on data: accuracy and spikes by step, operations, energy and memory traffic."""

from pathlib import Path

import numpy as np
from firstspike_arch.output_folder import write_folder
from firstspike_arch.program import Program
from firstspike_sim.models.activity import Activity
from firstspike_sim.models.energy import FP32, INT8, MEMORY_PJ_A_BIT, compute_energy, memory_traffic
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.console import Console
from rich.table import Table

from .picture import png
from .tables import print_table

__all__ = ["show_activity", "summary", "write_activity"]

ANN_BITS = 8
"""Bits of the weights and activations of the non-spiking network (ANN) that the report compares with."""


def summary(program: Program, activity: Activity, labels: np.ndarray | None) -> dict:
    """Compute all numbers of the report as plain JSON values; operations, energy and memory are those an inference."""
    network, count = program.network, activity.inferences
    traffic = memory_traffic(program, activity.operations)
    dense = sum(one.dense for one in activity.operations)
    names = ["input", *(layer.name for layer in network.layers)]
    return {
        "network": network.name, "inferences": count, "steps": len(activity.classes),
        "accuracy_by_step": None if labels is None else (activity.classes == labels).mean(1).tolist(),
        "decided_by_step": [float((activity.decision_steps <= t).mean()) for t in range(len(activity.classes))],
        "spikes_by_step": dict(zip(names, activity.spikes.tolist(), strict=True)),
        "rate": dict(zip(names, activity.rates.tolist(), strict=True)),
        "operations": {
            name: {key: value / count for key, value in vars(one).items()}
            for name, one in zip(names[1:], activity.operations, strict=True)},
        "energy_nj": {
            kind.name: {
                "spiking": compute_energy(activity.operations, kind) / count / 1000,
                "ann": dense * kind.multiply_accumulate_pj / count / 1000,
            } for kind in (FP32, INT8)},
        "memory_bits": {
            "weights": traffic.weight_bits / count, "membranes": traffic.membrane_bits / count,
            "ann": 2 * ANN_BITS * dense / count},
        "memory_nj": {
            "spiking": traffic.energy_pj / count / 1000, "ann": 2 * ANN_BITS * dense * MEMORY_PJ_A_BIT / count / 1000},
    }


def show_activity(console: Console, found: dict) -> None:
    """Print a summary as tables."""
    steps = Table("step", "accuracy", "decided by then", *found["spikes_by_step"],
                  title="if the inference ended after each step")
    for t in range(found["steps"]):
        accuracy = "-" if found["accuracy_by_step"] is None else f"{found['accuracy_by_step'][t]:.2%}"
        steps.add_row(str(t), accuracy, f"{found['decided_by_step'][t]:.1%}",
                      *(f"{spikes[t]:.1f}" for spikes in found["spikes_by_step"].values()))
    print_table(console, steps)
    counts = Table("layer", "spikes a neuron and step", "additions", "multiplications", "ANN's", "neuron updates",
                   title="operations of an inference")
    for name, one in found["operations"].items():
        counts.add_row(name, f"{found['rate'][name]:.4f}", f"{one['additions']:,.0f}", f"{one['multiplications']:,.0f}",
                       f"{one['dense']:,.0f}", f"{one['updates']:,.0f}")
    print_table(console, counts)
    energy = Table("45 nm, nJ an inference", "spiking", "ANN", "ratio", title="the papers' estimate, and memory")
    rows = {f"arithmetic, {name}": pair for name, pair in found["energy_nj"].items()}
    for name, pair in {**rows, "memory of 8 KB (not in the papers' figures)": found["memory_nj"]}.items():
        ratio = f"{pair['ann'] / pair['spiking']:.1f}" if pair["spiking"] else "-"
        energy.add_row(name, f"{pair['spiking']:.3g}", f"{pair['ann']:.3g}", ratio)
    print_table(console, energy)
    bits = found["memory_bits"]
    console.print(f"memory traffic of an inference: {bits['weights'] / 8000:.1f} kB of weights, "
                  f"{bits['membranes'] / 8000:.1f} kB of membranes; the ANN: {bits['ann'] / 8000:.1f} kB of weights "
                  "and activations, with sums kept in registers")


def write_activity(folder: Path, found: dict) -> list[Path]:
    """Write NAME.json and NAME.png into the folder, in place of older ones (`write_folder`); return their paths."""
    data, picture = f"{found['network']}.json", f"{found['network']}.png"
    write_folder(folder, {picture: png(_drawn(found))}, record=data, made_by="firstspike report", facts=found)
    return [folder / data, folder / picture]


def _drawn(found: dict) -> Figure:
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    steps = range(found["steps"])
    hidden = {name: spikes for name, spikes in found["spikes_by_step"].items() if name != "input"}
    bottom = np.zeros(found["steps"])
    for name, spikes in hidden.items():
        left.bar(steps, spikes, bottom=bottom, label=name, alpha=0.6)
        bottom = bottom + spikes
    left.set(xlabel="step", ylabel="spikes", title=found["network"])
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_ylim(0, 1.25 * max(bottom.max(), 1))  # room for the legend
    left.legend(fontsize=7, loc="upper left", ncols=len(hidden))
    if found["accuracy_by_step"] is not None:
        beside = left.twinx()
        beside.plot(steps, [100 * value for value in found["accuracy_by_step"]], "ko-")
        beside.set_ylabel("accuracy, if it ended there, %")
        beside.margins(y=0.2)
    middle.barh(list(found["rate"]), list(found["rate"].values()))
    middle.invert_yaxis()
    middle.set(xlabel="spikes a neuron and step", title="spike rates")
    labels = [*found["energy_nj"], "memory"]
    pairs = [*found["energy_nj"].values(), found["memory_nj"]]
    places = np.arange(len(labels))
    right.bar(places - 0.2, [pair["spiking"] for pair in pairs], 0.4, label="spiking")
    right.bar(places + 0.2, [pair["ann"] for pair in pairs], 0.4, label="ANN")
    right.set_xticks(places, labels)
    right.set(ylabel="nJ an inference, 45 nm", yscale="log", title="arithmetic (papers), and memory")
    right.margins(y=0.25)
    right.legend(loc="upper left", ncols=2)
    return figure
