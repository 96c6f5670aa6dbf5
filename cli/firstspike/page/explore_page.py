# SPDX-License-Identifier: MIT
"""The page of an exploration: cycles against look-up tables and accuracy of all trials, and a table of the best."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from ..exploring import Trial
from .inline_svg import COLOURS, figure, inline_svg
from .render import page_template

__all__ = ["render_exploration"]

AXES = {"luts": "LUTs", "blocks": "block RAMs", "accuracy": "accuracy, %", "energy_nj": "nJ an inference"}
"""What the cycles are drawn against, by the fields of `Measures`."""


def render_exploration(
    name: str, device: str, data: str, front: Sequence[Trial], finished: Sequence[Trial],
) -> str:
    """Return the page as text."""
    facts = {"network": name, "device": device, "data": data, "front": [_plain(one) for one in front],
             "trials": [_plain(one) for one in finished]}
    headline = f"{name} on {device}: beaten by no other, {len(front)} of {len(finished)} trials"
    alt = "Cycles between inferences of each trial against its {}; those that no other beats are filled."
    figures = {field: Markup(inline_svg(_against, front, finished, field, name=field, alt=alt.format(label)))
               for field, label in AXES.items()}
    return page_template("explore.html.j2").render(
        headline=headline, facts=facts, front=front, figures=figures, titles=_titles(front),
        json=Markup(json.dumps(facts, ensure_ascii=False).replace("<", "\\u003c")))


def _plain(one: Trial) -> dict:
    return {**asdict(one), "weight_bits": list(one.weight_bits), "measures": one.measures._asdict()}


def _titles(front: Sequence[Trial]) -> dict[str, str]:
    if not front:
        return dict.fromkeys(AXES, "No trial fits yet")
    fast = min(front, key=lambda one: one.measures.interval)
    small = min(front, key=lambda one: one.measures.luts)
    right = max(front, key=lambda one: one.measures.accuracy)
    light = min(front, key=lambda one: one.measures.energy_nj)
    lean = min(front, key=lambda one: one.measures.blocks)
    return {
        "luts": f"{fast.measures.interval:,.0f} cycles take {fast.measures.luts:,} LUTs" + (
            "" if small is fast else f"; {small.measures.luts:,} are enough for {small.measures.interval:,.0f}"),
        "blocks": f"{lean.measures.blocks} block RAMs are enough for {lean.measures.interval:,.0f} cycles",
        "accuracy": f"At most {100 * right.measures.accuracy:.2f} %, in {right.measures.interval:,.0f} cycles",
        "energy_nj": f"At least {light.measures.energy_nj:,.1f} nJ, with {','.join(map(str, light.weight_bits))} bits",
    }


def _against(front: Sequence[Trial], finished: Sequence[Trial], field: str) -> Figure:
    drawn = figure(4.8, 3.0)
    axis = drawn.subplots()
    best = {one.number for one in front}
    factor = 100 if field == "accuracy" else 1
    for filled in (False, True):
        some = [one.measures for one in finished if (one.number in best) == filled]
        axis.plot([factor * getattr(one, field) for one in some], [one.interval for one in some], "o", markersize=5,
                  color=COLOURS["blue" if filled else "muted"], alpha=0.9 if filled else 0.6,
                  markerfacecolor=COLOURS["blue"] if filled else "none",
                  label="beaten by no other" if filled else "others")
    axis.set(xlabel=AXES[field], ylabel="cycles between inferences", yscale="log")
    if finished:
        cycles = [one.measures.interval for one in finished]
        ticks = np.unique(np.geomspace(min(cycles), max(cycles), 4).round(-1))
        axis.set_yticks(ticks)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
    axis.grid(linewidth=0.5)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, fontsize=8)
    return drawn
