# SPDX-License-Identifier: MIT
"""firstspike report NETWORK --data DATA -o FOLDER"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .options import Data, Limit, Network, Split, load_inputs
from .progress import shown_progress


def report(
    network: Network, data: Data, split: Split = "test", limit: Limit = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the JSON file and the picture.")] = Path(
        "reports"),
) -> None:
    """Report accuracy and spikes by step, spike rates, operations, the papers' energy estimate and memory traffic."""
    from firstspike_sim.models.activity import measure_activity

    from . import api
    from .activity_report import show_activity, summary, write_activity

    inputs, labels = load_inputs(data, split, limit)
    span = {"in_min": min(int(inputs.min()), 0), "in_max": max(int(inputs.max()), 1)} if inputs.ndim == 3 else {}
    program = api.compile(api.load(network), **span).program
    console = Console(highlight=False)
    with shown_progress(console, f"{len(inputs)} inferences") as progress:
        activity = measure_activity(program.network, inputs, progress)
    found = summary(program, activity, labels)
    show_activity(console, found)
    data_file, picture = write_activity(output, found)
    console.print(f"written to {data_file} and {picture.name}", soft_wrap=True)
