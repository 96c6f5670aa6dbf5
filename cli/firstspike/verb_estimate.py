# SPDX-License-Identifier: MIT
"""firstspike estimate FOLDER --data DATA"""

from typing import Annotated

import numpy as np
import typer
from firstspike_arch.backend import IDEAL_MEMORY, MemoryTiming
from firstspike_arch.program import Program
from rich.console import Console

from .build_folder import read_build, recorded_accuracy
from .options import Build, Data, Html, HtmlData, Limit, ShownDevice, Split, load_for
from .progress import shown_progress, shown_stage
from .verb_simulate import distribution


def estimate(
    build: Build, data: Data, split: Split = "test", limit: Limit = None, html: Html = None, html_data: HtmlData = None,
    device: ShownDevice = None,
    memory_latency: Annotated[int | None, typer.Option(
        min=0, help="Cycles until an external memory offers the first beat of a request. Default: 32.")] = None,
    memory_gap: Annotated[int | None, typer.Option(
        min=0, help="Cycles without a beat between two beats of a request. Default: 0.")] = None,
) -> None:
    """Estimate accuracy, latency and interval by golden and timing model, without simulating the hardware."""
    from firstspike_sim.models.prediction import predict_inputs

    from .api import latencies
    from .page.command_line import check_page
    from .quantising import labels_of_results

    check_page(html, html_data, device)
    program, _ = read_build(build)
    memory = _memory(program, memory_latency, memory_gap)
    inputs, labels = load_for(program.network, data, split, limit)
    console = Console(highlight=False)
    with shown_progress(console, f"{len(inputs)} inferences in the models") as progress:
        prediction = predict_inputs(program, inputs, progress=progress, memory=memory)
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

        with shown_stage(console, "drawing the page"):
            found = collect(
                program, Runs(predictions=[prediction]), inputs, labels, device=device,
                command=given("estimate", build, data, split, limit, html=html, device=device,
                              **{"memory-latency": memory_latency, "memory-gap": memory_gap}),
                commands=commands_of(build, data, split, limit), recorded=recorded_of(recorded_accuracy(build), split))
            write_page(found, html, html_data)
        console.print(f"written to {html}", soft_wrap=True)


def _memory(program: Program, latency: int | None, gap: int | None) -> MemoryTiming:
    if latency is None and gap is None:
        return IDEAL_MEMORY
    if not program.external:
        raise ValueError("--memory-latency and --memory-gap must be given for a build with external weights, and this "
                         "one has none")
    return MemoryTiming(latency=IDEAL_MEMORY.latency if latency is None else np.array([latency]),
                        gaps=np.array([gap or 0]), stalls=IDEAL_MEMORY.stalls)
