# SPDX-License-Identifier: MIT
"""Figures of the page, each from a part of its data."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from .inline_svg import COLOURS, SERIES, figure

__all__ = ["activity", "busy_shares", "confusion", "histogram", "parts", "raster", "timeline", "widths"]

BARS = 48
"""Bars of a histogram, at most."""

LABELLED = 12
"""Classes up to which a confusion matrix has numbers."""


def confusion(data: dict) -> Figure:
    """How often each label got each class; darker is more."""
    counts = np.array(data["confusion"])
    drawn = figure(4.8, 4.0)
    axis = drawn.subplots()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    for label, got in zip(*np.nonzero(counts), strict=True):
        right, share = label == got, float(shares[label, got])
        axis.add_patch(Rectangle((got - 0.5, label - 0.5), 1, 1, linewidth=0, alpha=0.12 + 0.68 * share ** 0.5,
                                 facecolor=COLOURS["blue" if right else "red"]))
        if len(counts) <= LABELLED:
            axis.text(got, label, str(counts[label, got]), ha="center", va="center", fontsize=8)
    axis.set(xlim=(-0.5, len(counts) - 0.5), ylim=(len(counts) - 0.5, -0.5), aspect="equal", xlabel="class given",
             ylabel="label")
    if len(counts) <= LABELLED:
        axis.set_xticks(range(len(counts)))
        axis.set_yticks(range(len(counts)))
    return drawn


def histogram(data: dict, unit: str) -> Figure:
    """How often each value came; a line marks the mean."""
    values, counts = np.array(data["values"]), np.array(data["counts"])
    drawn = figure(3.6, 2.0)
    axis = drawn.subplots()
    width = max(1, -(-(data["max"] - data["min"] + 1) // BARS))  # whole: every bar has as many values
    bars = np.bincount((values - data["min"]) // width, counts)
    axis.bar(data["min"] + width * (np.arange(len(bars)) + 0.5) - 0.5, bars, 0.9 * width, color=COLOURS["blue"])
    axis.axvline(data["mean"], color=COLOURS["orange"], linewidth=1.4)
    axis.annotate(f"mean {data['mean']:.1f}", (data["mean"], 1), xycoords=("data", "axes fraction"),
                  xytext=(3, -2), textcoords="offset points", va="top", fontsize=8)
    axis.set(xlabel=unit, ylabel="inferences")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axis.grid(axis="y", linewidth=0.5)
    return drawn


def busy_shares(data: dict) -> Figure:
    """Share of all cycles in which each core works."""
    names, shares = data["layers"], [100 * share for share in data["share"]]
    drawn = figure(4.8, 0.7 + 0.32 * len(names))
    axis = drawn.subplots()
    colours = [COLOURS["orange" if index == data["limit"] else "blue"] for index in range(len(names))]
    axis.barh(names, shares, 0.66, color=colours)
    for place, share in enumerate(shares):
        axis.text(share + 1, place, f"{share:.0f} %", va="center", fontsize=8)
    axis.invert_yaxis()
    axis.set(xlim=(0, 112), xlabel="busy, % of all cycles")
    axis.set_xticks(range(0, 101, 25))
    return drawn


def timeline(data: dict) -> Figure:
    """Work of each core over time: a row a core, filled to its busy share of each window."""
    names, line = data["layers"], data["timeline"]
    busy, window = np.array(line["busy"]), line["window"]
    drawn = figure(9.6, 0.8 + 0.42 * len(names))
    axes = np.atleast_1d(drawn.subplots(len(names), 1, sharex=True))
    edges = window * np.arange(busy.shape[1] + 1)
    for index, (axis, name) in enumerate(zip(axes, names, strict=True)):
        colour = COLOURS["orange" if index == data["limit"] else "blue"]
        axis.stairs(busy[index] / window, edges, fill=True, color=colour)
        for start in line["starts"]:
            axis.axvline(start, color=COLOURS["muted"], linewidth=0.6, linestyle=":")
        axis.set(ylim=(0, 1.02), xlim=(0, edges[-1]), yticks=[])
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
        axis.spines["left"].set_visible(False)
    axes[-1].set_xlabel(f"clock cycle, in windows of {window} (dotted: an inference begins)")
    return drawn


def _spikes(axis: Axes, points: np.ndarray, colour: str, size: float) -> None:
    """A short line for each [cycle, neuron], all in one path."""
    if len(points):
        x = np.column_stack([points[:, 0], points[:, 0], np.full(len(points), np.nan)]).ravel()
        y = np.column_stack([points[:, 1] - size, points[:, 1] + size, np.full(len(points), np.nan)]).ravel()
        axis.plot(x, y, color=COLOURS[colour], linewidth=1.4)


def raster(data: dict) -> Figure:
    """Spikes of an inference by cycle, a panel a stream; a line marks the decision."""
    layers = data["layers"]
    drawn = figure(4.8, 0.9 + 1.05 * len(layers))
    axes = np.atleast_1d(drawn.subplots(len(layers), 1, sharex=True, height_ratios=[2] + [1.3] * (len(layers) - 1)))
    for axis, layer, colour in zip(axes, layers, np.resize(SERIES, len(layers)).tolist(), strict=True):
        for cycle in layer["marks"]:
            axis.axvline(cycle, color=COLOURS["grid"], linewidth=0.8)
        _spikes(axis, np.array(layer["spikes"], dtype=float).reshape(-1, 2), colour, max(0.45, layer["neurons"] / 70))
        for decided in data["decided"]:
            axis.axvline(decided, color=COLOURS["red"], linewidth=1.2)
        axis.set(ylim=(-0.03 * layer["neurons"] - 0.5, 1.03 * layer["neurons"]))
        axis.set_ylabel(f"{layer['name']}\n{layer['neurons']}")
        axis.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=3))
    axes[-1].set_xlabel("clock cycle (grey: end of a step; red: decision)")
    return drawn


def parts(data: dict) -> Figure:
    """LUTs and block RAMs that each part takes."""
    names = [one["name"] for one in data["parts"]]
    drawn = figure(4.8, 0.9 + 0.3 * len(names))
    left, right = drawn.subplots(1, 2, sharey=True)
    for axis, field, title in ((left, "luts", "LUTs"), (right, "memory", "block RAMs")):
        values = [one[field] for one in data["parts"]]
        axis.barh(names, values, 0.66, color=COLOURS["blue"])
        for place, value in enumerate(values):
            axis.annotate(f"{value:,}", (value, place), xytext=(2, 0), textcoords="offset points", va="center",
                          fontsize=8)
        axis.set(title=title, xlim=(0, 1.35 * max(1, *values)))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=3))
    left.invert_yaxis()
    return drawn


def widths(data: list[dict]) -> Figure:
    """Ranges of v − theta of each layer: what its bits hold, what is proved, and what was reached."""
    drawn = figure(4.8, 1.1 + 0.36 * len(data))
    axis = drawn.subplots()
    for place, one in enumerate(data):
        limit = 1 << one["bits"] - 1
        for key, height, colour, alpha in (("proved", 0.62, "blue", 0.35), ("reached", 0.34, "blue", 1)):
            if one[key] is not None:
                low, high = (value / limit for value in one[key])
                axis.barh(place, high - low, height, left=low, color=COLOURS[colour], alpha=alpha,
                          label=key if not place else None)
    axis.set_yticks(range(len(data)), [f"{one['layer']}, {one['bits']} bits" for one in data])
    axis.invert_yaxis()
    axis.set(xlim=(-1.02, 1.02), xlabel="v − theta, as a share of what the bits hold")
    axis.axvline(0, color=COLOURS["muted"], linewidth=0.6)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, fontsize=8)
    return drawn


def activity(data: dict) -> Figure:
    """Spikes of each layer by step, and the accuracy if the inference ended there."""
    drawn = figure(4.8, 2.6)
    axis = drawn.subplots()
    steps, bottom = np.arange(data["steps"]), np.zeros(data["steps"])
    streams = {name: values for name, values in data["spikes_by_step"].items() if name != "input"}
    for (name, spikes), colour in zip(streams.items(), np.resize(SERIES, len(streams)).tolist(), strict=True):
        axis.bar(steps, spikes, 0.7, bottom=bottom, label=name, color=COLOURS[colour])
        bottom += spikes
    axis.set(xlabel="step", ylabel="spikes")
    axis.set_ylim(0, 1.3 * max(bottom.max(), 1))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if data["accuracy_by_step"] is not None:
        beside = axis.twinx()
        shares = [100 * value for value in data["accuracy_by_step"]]
        beside.plot(steps, shares, "o-", color=COLOURS["ink"], markersize=3, linewidth=1)
        beside.set(ylabel="accuracy, if it ended there, %", ylim=(0, 105))
        beside.spines["right"].set_visible(True)
    if len(streams) <= 6:
        axis.legend(loc="upper left", ncols=3, fontsize=7)
    return drawn
