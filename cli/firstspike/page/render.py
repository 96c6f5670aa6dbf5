# SPDX-License-Identifier: MIT
"""Renders the page: one HTML file with its figures, style and data inside, that loads nothing."""

import math

from firstspike_sim.compare import QUANTITIES
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from . import divergence_figures, figures
from .findings import describe_layer, headline, share, tiles, titles
from .inline_svg import inline_svg
from .page_data import PageData

__all__ = ["page_template", "render"]


def page_template(name: str) -> Template:
    """Return a template of HTML, in which all text is escaped."""
    environment = Environment(loader=PackageLoader("firstspike"), undefined=StrictUndefined, autoescape=True,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters["share"] = share
    environment.filters["number"] = lambda value: f"{value:,.0f}"
    environment.filters["short"] = lambda value: f"{value:,.3g}"
    return environment.get_template(name)


def render(data: PageData) -> str:
    """Return the page as text."""
    named = titles(data)
    template = page_template("page.html.j2")
    layers = data.network["layers"]
    names = [layer["name"] for layer in layers]
    most = max(layer["elements"] for layer in layers)
    return template.render(
        data=data, headline=headline(data), tiles=tiles(data), titles=named,
        figures={name: Markup(svg) for name, svg in _figures(data, named).items()},
        layers=[{"name": layer["name"], "lines": describe_layer(layer, names),
                 "width": 100 * layer["elements"] / most, "rows": 4 + 4 * math.log2(1 + layer["rows"])}
                for layer in layers],
        quantities=QUANTITIES, json=Markup(data.to_json()))


def _figures(data: PageData, named: dict[str, str]) -> dict[str, str]:
    """All figures that the data has, by their names in the template."""
    units = {"latency": "clock cycles", "interval": "clock cycles", "step": "step"}
    found = {name: inline_svg(figures.histogram, data.cycles[name], unit, name=name,
                              alt=f"Histogram of the {name}. {named[name]}.")
             for name, unit in units.items() if data.cycles[name] is not None}
    shares = ", ".join(f"{name} {100 * one:.0f} %" for name, one in zip(
        data.busy["layers"], data.busy["share"], strict=True))
    found["busy"] = inline_svg(figures.busy_shares, data.busy, name="busy", alt=f"{named['busy']}: {shares}.")
    found["timeline"] = inline_svg(figures.timeline, data.busy, name="timeline",
                                   alt=f"Busy share of each core over the cycles. {named['timeline']}.")
    found["parts"] = inline_svg(figures.parts, data.devices, name="parts", alt="LUTs and block RAMs of each part: " +
                                ", ".join(f"{one['name']} {one['luts']} and {one['memory']}"
                                          for one in data.devices["parts"]) + ".")
    found["widths"] = inline_svg(figures.widths, data.widths, name="widths",
                                 alt=f"Proved and reached ranges of the membranes. {named['widths']}.")
    for number, one in enumerate(data.rasters):
        spikes = ", ".join(f"{layer['count']} spikes of {layer['name']}" for layer in one["layers"])
        found[f"raster{number}"] = inline_svg(
            figures.raster, one, name=f"raster{number}",
            alt=f"Inference {one['index']} by cycle: {spikes}; decided in cycle {one['decided'][-1]}.")
    if data.accuracy is not None:
        found["confusion"] = inline_svg(figures.confusion, data.accuracy, name="confusion",
                                        alt=f"Confusion matrix. {named['confusion']}.")
    if data.activity is not None:
        found["activity"] = inline_svg(figures.activity, data.activity, name="activity",
                                       alt=f"Spikes and accuracy by step. {named['activity']}.")
    if data.divergence is not None:
        found["divergence"] = inline_svg(divergence_figures.spikes_around, data.divergence, name="divergence",
                                         alt=f"Spikes around the divergence. {data.divergence['text']}.")
        if data.divergence["membranes"] is not None:
            found["membranes"] = inline_svg(divergence_figures.membranes, data.divergence["membranes"],
                                            name="membranes", alt=f"{named['membranes']}.")
    return found
