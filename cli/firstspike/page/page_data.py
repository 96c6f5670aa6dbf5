# SPDX-License-Identifier: MIT
"""Data of the HTML report: everything that the page shows, as plain JSON values."""

import json
from dataclasses import asdict, dataclass

__all__ = ["PageData"]


@dataclass(frozen=True, kw_only=True)
class PageData:
    """All numbers of a page. What is None was not computed by the command, and has no section.

    Parameters
    ----------
    command : str
        The command that made the page.
    commands : dict of str to str
        By section, the command that prints the same numbers.
    version : str
        Version of firstspike.
    network : dict
        Name, input, steps, read-out, number of inferences, and layers with their mapping.
    accuracy : dict or None
        Share of right classes: ``recorded`` by training, if known, of the ``integer`` network, and in ``hardware``;
        ``confusion`` int[classes][classes], rows are labels; and the pairs ``mistaken`` most often.
    rasters : list of dict
        Chosen inferences: why, label, class, step, cycle of the decision, and spikes as [cycle, neuron] of each layer.
    cycles : dict
        Latency, interval and decision step, each with its distribution, and how often each value came.
    busy : dict
        Share of the cycles in which each core works, over all inferences; and by windows of cycles, over the first.
    devices : dict
        What the accelerator takes of every known device, and what each part takes of the one that is shown.
    widths : list of dict
        For each layer, the bits of its membranes, the proved range, and the range that was reached.
    activity : dict or None
        Accuracy and spikes by step, operations, energy and memory traffic, as ``firstspike report`` gives them.
    checks : list of dict or None
        What was compared with the hardware, as `firstspike_sim.compare.Check`.
    first : str
        The earliest difference; "" if there is none.
    divergence : dict or None
        Expected and actual spikes around the first divergence, and membranes of its neuron.
    """

    command: str
    commands: dict[str, str]
    version: str
    network: dict
    accuracy: dict | None
    rasters: list[dict]
    cycles: dict
    busy: dict
    devices: dict
    widths: list[dict]
    activity: dict | None
    checks: list[dict] | None = None
    first: str = ""
    divergence: dict | None = None

    def to_json(self) -> str:
        """Return the JSON text, one line, which no HTML parser takes for a tag."""
        return json.dumps(asdict(self), ensure_ascii=False).replace("<", "\\u003c")
