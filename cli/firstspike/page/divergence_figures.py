# SPDX-License-Identifier: MIT
"""Figures of a divergence: spikes around it, and the membrane of its neuron."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .inline_svg import COLOURS, figure

__all__ = ["membranes", "spikes_around"]


def spikes_around(data: dict) -> Figure:
    """Spikes of both, only of the models (circles), and only of the hardware (crosses), around the divergence. Where
    spikes have magnitudes, those of the latter two are beside them: of the models above, of the hardware below."""
    streams = data["streams"]
    drawn = figure(4.8, 1.0 + 1.1 * len(streams))
    axes = np.atleast_1d(drawn.subplots(len(streams), 1, sharex=True))
    for axis, stream in zip(axes, streams, strict=True):
        plain = all(magnitude == 1 for key in ("both", "expected", "hardware") for *_, magnitude in stream[key])
        for key, marker, colour, label in (("both", "|", "muted", "both"), ("expected", "o", "blue", "only expected"),
                                           ("hardware", "x", "red", "only in hardware")):
            points = np.array(stream[key], dtype=int).reshape(-1, 3)
            hollow = {"markerfacecolor": "none"} if marker == "o" else {}
            axis.plot(points[:, 0], points[:, 1], marker, color=COLOURS[colour], markersize=5, label=label, **hollow)
            for cycle, neuron, magnitude in [] if plain or key == "both" else stream[key]:
                axis.annotate(str(magnitude), (cycle, neuron), xytext=(4, 3 if key == "expected" else -9),
                              textcoords="offset points", fontsize=7, color=COLOURS[colour])
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
    for number, threshold in enumerate(data["thresholds"], start=1):
        axis.axhline(threshold, color=COLOURS["muted"], linewidth=0.8)
        axis.annotate("threshold" + f" {number}" * (len(data["thresholds"]) > 1), (0, threshold), xytext=(2, 2),
                      textcoords="offset points", fontsize=8)
    axis.set(xlabel="step", ylabel="v − theta")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, fontsize=8)
    return drawn
