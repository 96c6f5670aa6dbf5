# SPDX-License-Identifier: MIT
"""firstspike report NETWORK --data DATA -o FOLDER"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .options import Data, Html, HtmlData, Limit, Network, ShownDevice, Split, load_for
from .progress import shown_progress, shown_stage


def report(
    network: Network, data: Data, split: Split = "test", limit: Limit = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the JSON file and the picture.")] = Path(
        "reports"),
    html: Html = None, html_data: HtmlData = None, device: ShownDevice = None,
) -> None:
    """Report accuracy and spikes by step, spike rates, operations, the papers' energy estimate and memory traffic."""
    from firstspike_sim.models.activity import measure_activity

    from . import api
    from .activity_report import show_activity, summary, write_activity
    from .page.command_line import check_page

    check_page(html, html_data, device)
    real = api.load(network)
    inputs, labels = load_for(real, data, split, limit)
    span = {"in_min": min(int(inputs.min()), 0), "in_max": max(int(inputs.max()), 1)} if inputs.ndim == 3 else {}
    program = api.compile(real, **span).program
    console = Console(highlight=False)
    with shown_progress(console, f"{len(inputs)} inferences") as progress:
        activity = measure_activity(program.network, inputs, progress)
    found = summary(program, activity, labels)
    show_activity(console, found)
    data_file, picture = write_activity(output, found)
    console.print(f"written to {data_file} and {picture.name}", soft_wrap=True)
    if html:
        from firstspike_sim.models.prediction import predict_inputs

        from .page.collect import collect, recorded_of, write_page
        from .page.command_line import given
        from .page.run_facts import Runs

        with shown_progress(console, f"{len(inputs)} inferences for the page") as progress:
            predictions = [predict_inputs(program, inputs, progress=progress)]
        with shown_stage(console, "drawing the page"):
            shown = collect(
                program, Runs(predictions=predictions), inputs, labels, device=device,
                command=given("report", network, data, split, limit, html=html, device=device), commands={},
                recorded=recorded_of(real.accuracy, split), activity=activity)
            write_page(shown, html, html_data)
        console.print(f"written to {html}", soft_wrap=True)
