# SPDX-License-Identifier: MIT
"""firstspike estimate FOLDER --data DATA"""

import numpy as np
from rich.console import Console

from .build_folder import read_build, recorded_accuracy
from .options import Build, Data, Html, HtmlData, Limit, ShownDevice, Split, load_inputs
from .progress import shown_progress
from .verb_simulate import distribution


def estimate(
    build: Build, data: Data, split: Split = "test", limit: Limit = None, html: Html = None, html_data: HtmlData = None,
    device: ShownDevice = None,
) -> None:
    """Estimate accuracy, latency and interval by golden and timing model, without simulating the hardware."""
    from firstspike_sim.models.prediction import predict_inputs

    from .api import latencies
    from .page.command_line import check_page
    from .quantising import labels_of_results

    check_page(html, html_data, device)
    program, _ = read_build(build)
    inputs, labels = load_inputs(data, split, limit)
    console = Console(highlight=False)
    with shown_progress(console, f"{len(inputs)} inferences in the models") as progress:
        prediction = predict_inputs(program, inputs, progress=progress)
    if labels is not None:
        right = prediction.golden.classes == labels_of_results(labels, prediction.golden.classes)
        console.print(f"accuracy of the integer network: {np.mean(right):.2%}")
    console.print(f"decision step: {distribution(prediction.golden.steps)}")
    console.print(f"interval, cycles: {distribution(prediction.trace.intervals)}")
    console.print(f"latency in the stream, cycles: {distribution(latencies(prediction.stimulus, prediction.trace))}")
    if html:
        from .page.collect import collect, recorded_of, write_page
        from .page.command_line import commands_of, given
        from .page.run_facts import Runs

        found = collect(
            program, Runs(predictions=[prediction]), inputs, labels, device=device,
            command=given("estimate", build, data, split, limit, html=html, device=device),
            commands=commands_of(build, data, split, limit), recorded=recorded_of(recorded_accuracy(build), split))
        write_page(found, html, html_data)
        console.print(f"written to {html}", soft_wrap=True)
