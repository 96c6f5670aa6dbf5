# SPDX-License-Identifier: MIT
"""Figures of a divergence: spikes around it, and the membrane of its neuron."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .inline_svg import COLOURS, figure

__all__ = ["membranes", "spikes_around"]


def spikes_around(data: dict) -> Figure:
    """Spikes of both, only of the models (circles), and only of the hardware (crosses), around the divergence."""
    streams = data["streams"]
    drawn = figure(4.8, 1.0 + 1.1 * len(streams))
    axes = np.atleast_1d(drawn.subplots(len(streams), 1, sharex=True))
    for axis, stream in zip(axes, streams, strict=True):
        for key, marker, colour, label in (("both", "|", "muted", "both"), ("expected", "o", "blue", "only expected"),
                                           ("hardware", "x", "red", "only in hardware")):
            points = np.array(stream[key]).reshape(-1, 2)
            hollow = {"markerfacecolor": "none"} if marker == "o" else {}
            axis.plot(points[:, 0], points[:, 1], marker, color=COLOURS[colour], markersize=5, label=label, **hollow)
        if data["cycle"] is not None:
            axis.axvline(data["cycle"], color=COLOURS["red"], linewidth=0.8, linestyle="--")
        axis.set_ylabel(f"{stream['name']}\n{stream['neurons']}")
        axis.set_ylim(-1, stream["neurons"])
        axis.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=3))
    axes[-1].set_xlabel("clock cycle of the run (dashed: the first divergence)")
    axes[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize=8)
    return drawn


def membranes(data: dict) -> Figure:
    """A membrane at the end of each step: of the golden model, and as the hardware captured it."""
    drawn = figure(4.8, 2.6)
    axis = drawn.subplots()
    steps = range(len(data["expected"]))
    axis.plot(steps, data["expected"], "o-", color=COLOURS["blue"], markerfacecolor="none", markersize=8,
              label="golden model")
    if data["hardware"] is not None:
        values = [np.nan if one is None else one for one in data["hardware"]]
        axis.plot(steps, values, "x--", color=COLOURS["red"], label="hardware")
    if data["fires"]:
        axis.axhline(0, color=COLOURS["muted"], linewidth=0.8)
        axis.annotate("threshold", (0, 0), xytext=(2, 2), textcoords="offset points", fontsize=8)
    axis.set(xlabel="step", ylabel="v − theta")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, fontsize=8)
    return drawn
