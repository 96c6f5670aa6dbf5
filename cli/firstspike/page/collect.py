# SPDX-License-Identifier: MIT
"""Collects the data of the page from what a command has computed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from firstspike_arch.program import Program, write_atomically
from firstspike_arch.versions import VERSION
from firstspike_sim.models.activity import Activity, measure_activity

from ..activity_report import summary
from .network_facts import device_facts, network_facts, width_facts
from .page_data import PageData
from .run_facts import Runs, accuracy_facts, busy_facts, cycle_facts, raster_facts

__all__ = ["collect", "recorded_of", "write_page"]

ACTIVITY = 1000
"""Inferences whose spikes, operations and membranes are counted, unless the command has counted more."""


def recorded_of(accuracy: Mapping[str, float], split: str) -> dict[str, float]:
    """Accuracies that training recorded in a network for a split: of real numbers and of integers, if they are there.
    """
    found = {"float": accuracy.get(f"float_{split}", accuracy.get(split)),
             "integer": accuracy.get(f"quantised_{split}")}
    return {name: float(value) for name, value in found.items() if value is not None}


def collect(
    program: Program, runs: Runs, inputs: np.ndarray, labels: np.ndarray | None, *, command: str,
    commands: Mapping[str, str], recorded: dict[str, float], device: str | None = None,
    activity: Activity | None = None, **more: Any,
) -> PageData:
    """Collect the data of a page.

    Parameters
    ----------
    runs : Runs
        Models, and the hardware if it ran, on all inputs.
    labels : int64[B] or None
    command : str
        The command as it was given.
    commands : mapping of str to str
        By section, other commands that print the same numbers.
    recorded : dict
        As of `recorded_of`.
    device : str or None
        Device whose use is shown part by part; None: the smallest that is enough.
    activity : Activity or None
        Activity of the network, if it was measured.
    more
        ``checks``, ``first`` and ``divergence`` of `PageData`.
    """
    if activity is None and not program.network.endless:
        activity = measure_activity(program.network, inputs[:ACTIVITY])
    counted = None if labels is None or activity is None else labels[:activity.inferences]
    return PageData(
        command=command, commands=dict(commands), version=VERSION, network=network_facts(program, len(inputs)),
        accuracy=accuracy_facts(runs, labels, recorded), rasters=raster_facts(program, runs, labels),
        cycles=cycle_facts(program, runs), busy=busy_facts(program, runs, inputs),
        devices=device_facts(program, device), widths=width_facts(program, activity),
        activity=None if activity is None else summary(program, activity, counted), **more)


def write_page(data: PageData, html: Path, json_file: Path | None = None) -> None:
    """Write the page, and its data as JSON if a file is given."""
    from .render import render

    write_atomically(html, render(data))
    if json_file is not None:
        write_atomically(json_file, data.to_json() + "\n")
