# SPDX-License-Identifier: MIT
"""Sentences of the page: what each section and figure shows, as its title says it."""

from dataclasses import dataclass

from .page_data import PageData

__all__ = ["Tile", "describe_layer", "headline", "membranes_title", "share", "tiles", "titles"]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A number at the top of the page, what it is, and a remark."""

    value: str
    name: str
    remark: str = ""


def share(value: float) -> str:
    """Format a share as a percentage."""
    return f"{100 * value:.2f} %"


def headline(data: PageData) -> str:
    """The finding of the whole page."""
    count, name = data.network["inferences"], data.network["name"]
    inferences = f"{count:,} inference{'s' * (count != 1)}"
    if data.checks is None:
        return f"{name}: {inferences} in golden and timing model"
    compared = sum(one["compared"] for one in data.checks)
    if data.first:
        different = sum(one["different"] for one in data.checks)
        return f"{name}: hardware and models differ in {different:,} of {compared:,} values"
    return f"{name}: hardware equals the models in all {compared:,} values of {inferences}"


def tiles(data: PageData) -> list[Tile]:
    """The numbers that one looks for first."""
    found = []
    if data.accuracy is not None:
        measured = data.accuracy["hardware"]
        value = data.accuracy["integer"] if measured is None else measured
        found.append(Tile(value=share(value), name="accuracy", remark="in hardware" if measured is not None else
                          "of the integer network"))
    interval, latency, limit = data.cycles["interval"], data.cycles["latency"], data.busy["limit"]
    if interval is not None:
        found.append(Tile(value=f"{interval['mean']:,.1f}", name="cycles an inference",
                          remark=f"{1e8 / interval['mean']:,.0f} a second at 100 MHz"))
    found.append(Tile(value=f"{latency['mean']:,.1f}", name="cycles of latency", remark=f"at most {latency['max']:,}"))
    found.append(Tile(value=data.busy["layers"][limit], name="limits",
                      remark=f"core {limit}, busy {100 * data.busy['share'][limit]:.0f} %"))
    use = _shown(data)
    found.append(Tile(value=f"{use['luts']['used']:,}", name="LUTs", remark=f"and {use['memory']['used']} block RAMs "
                      f"of {use['name']}"))
    return found


def _shown(data: PageData) -> dict:
    return next(one for one in data.devices["devices"] if one["name"] == data.devices["shown"])


def titles(data: PageData) -> dict[str, str]:
    """Titles of sections and figures, by their names in the template."""
    network, busy, cycles = data.network, data.busy, data.cycles
    layers, limit, use = network["layers"], busy["limit"], _shown(data)
    found = {
        "network": f"{len(layers)} layer{'s' * (len(layers) > 1)} on {network['elements']:,} processing elements",
        "busy": f"Core {limit} ({busy['layers'][limit]}) limits: busy {100 * busy['share'][limit]:.0f} % of the cycles",
        "timeline": f"Where the cycles go: {busy['timeline']['inferences']} inferences back to back",
        "device": f"{_percent(use['luts'])} of the LUTs and {_percent(use['memory'])} of the block RAMs of "
                  f"{use['name']}" + ("" if use["fits"] else ": does not fit"),
        "parts": f"{max(data.devices['parts'], key=lambda one: one['luts'])['name']} takes the most LUTs",
        "latency": _span("Latency", cycles["latency"], "cycles"),
        "interval": _span("Interval", cycles["interval"], "cycles"),
        "step": f"{_span('Decision step', cycles['step'], '')} of {cycles['steps']}",
        "widths": _widths(data.widths),
        "cycles": "Cycles of an inference",
        "rasters": "Chosen inferences, spike by spike",
    }
    if data.accuracy is not None:
        found["accuracy"] = _accuracy(data.accuracy)
        found["confusion"] = _confusion(data.accuracy["mistaken"])
    if data.activity is not None:
        energy = data.activity["energy_nj"]["INT8"]
        less = f", {energy['ann'] / energy['spiking']:.1f} times less than its ANN" if energy["spiking"] else ""
        found["energy"] = f"An estimated {energy['spiking']:.3g} nJ of arithmetic an inference{less}"
        rate = max(data.activity["rate"].items(), key=lambda one: one[1])
        found["activity"] = f"{rate[0]} is the most active: {rate[1]:.3f} spikes a neuron and step"
    if data.checks is not None:
        found["checks"] = (f"First difference: {data.first}" if data.first else
                           f"0 differences in {len(data.checks)} kinds of values")
    if data.divergence is not None:
        found["divergence"] = f"Around the first divergence, in cycle {data.divergence['cycle']} of its run"
        found["membranes"] = membranes_title(data.divergence)
    return found


def _percent(one: dict) -> str:
    return f"{100 * one['used'] / one['of']:.0f} %" if one["of"] else "none"


def _span(name: str, one: dict | None, unit: str) -> str:
    if one is None:
        return f"{name}: only one inference"
    unit = f" {unit}" if unit else ""
    if one["min"] == one["max"]:
        return f"{name} always {one['min']:,}{unit}"
    return f"{name} {one['min']:,}…{one['max']:,}{unit}, mean {one['mean']:,.1f}"


def _widths(widths: list[dict]) -> str:
    bits = sorted({one["bits"] for one in widths})
    spare = max(one["bits"] - one["proved_bits"] for one in widths)
    return (f"No membrane can overflow its {'…'.join(map(str, {bits[0]: 0, bits[-1]: 0}))} bits"
            + (f", up to {spare} of them headroom" if spare else ""))


def _accuracy(accuracy: dict) -> str:
    value = accuracy["integer"] if accuracy["hardware"] is None else accuracy["hardware"]
    where = "of the integer network" if accuracy["hardware"] is None else "in hardware"
    real = accuracy["recorded"].get("float")
    # Real numbers were measured on all inputs of the split: beside a part of them they say nothing.
    if real is None or accuracy["recorded"].get("integer") != accuracy["integer"]:
        return f"{share(value)} {where}"
    gap = 100 * (value - real)
    return f"{share(value)} {where}, {abs(gap):.2f} points {'below' if gap < 0 else 'above'} real numbers"


def _confusion(mistaken: list[dict]) -> str:
    if not mistaken:
        return "No class is taken for another"
    one = mistaken[0]
    return f"{one['label']} is taken for {one['class']} most often: {one['count']} time{'s' * (one['count'] > 1)}"


def membranes_title(divergence: dict) -> str:
    """What the membranes of a divergence show; "": it has none."""
    one = divergence["membranes"]
    if one is None:
        return ""
    place = divergence["place"]
    where = f"neuron {divergence['neuron']} {tuple(place) if len(place) > 1 else ''}".rstrip()
    where = f"{where} of {divergence['layer']}"
    if one["hardware"] is None:
        return f"Membrane of {where} in the golden model"
    if not one["different"]:
        return f"Membrane of {where}: equal in every step, so that thresholds or timing differ"
    return f"Membrane of {where} differs from step {one['different'][0]} on"


def describe_layer(layer: dict, names: list[str]) -> list[str]:
    """What a box of the network says under its name."""
    banks = layer["banks"][0] * layer["banks"][1]
    sources = [str(one) if one == "input" else "its own spikes" if names[one] == layer["name"] else names[one]
               for one in layer["from"]]
    lines = [f"{'×'.join(map(str, layer['in_shape']))} → {'×'.join(map(str, layer['out_shape']))}",
             f"{layer['lanes']} lane{'s' * (layer['lanes'] > 1)}" + f" in {layer['banks'][0]}×{layer['banks'][1]} banks"
             * (banks > 1) + f" × {layer['rows']} row{'s' * (layer['rows'] > 1)}",
             f"weights {layer['weight_bits']} bits, {layer['memory'][0]:,} × {layer['memory'][1]:,}",
             f"membranes {layer['membrane_bits']} bits"]
    if layer["events_per_cycle"] == 2:
        lines.append("two events a cycle")
    if layer["merges"]:
        lines.append("spikes of a window merged")
    if layer["skips"]:
        lines.append("untouched rows skipped")
    if layer["forwards"]:
        lines.append("sums forwarded")
    if layer["multiplies_leaks"]:
        lines.append("leaks multiplied")
    if len(sources) > 1:
        lines.append(f"takes {', '.join(sources)}")
    return lines
