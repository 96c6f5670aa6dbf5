# SPDX-License-Identifier: MIT
"""firstspike verify FILE --data DATA"""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from firstspike_arch.output_folder import refuse_foreign, write_folder
from firstspike_arch.program import write_atomically
from firstspike_arch.shown import shown
from rich.console import Console
from rich.table import Table

from .build_folder import recorded_accuracy
from .options import Backend, Data, Html, HtmlData, Limit, Scheduler, ShownDevice, Split, load_for
from .progress import shown_progress, shown_stage
from .verifiable import open_verifiable

if TYPE_CHECKING:
    from firstspike_arch.program import Program

    from .api import Verification
    from .verifiable import Verifiable

RECORD, MADE_BY = "verify.json", "firstspike verify"


def verify(
    file: Annotated[Path, typer.Argument(
        help="Build folder; or a program (.fsp) or checkpoint, whose Verilog is then exported.")],
    data: Data, split: Split = "test", limit: Limit = None, backend: Backend = "verilator",
    waits: Annotated[int | None, typer.Option(
        help="Seed of random waits at input and output; default: full rate.")] = None,
    processes: Annotated[int | None, typer.Option(
        min=1, help="Simulators, or jobs, at a time on this machine; default: one for each processor.")] = None,
    waves: Annotated[Path | None, typer.Option(
        help="Write an FST waveform (verilator), of all inputs in one run.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit XML file.")] = None,
    report: Annotated[Path | None, typer.Option("--json", help="Write a JSON file.")] = None,
    gates: Annotated[str | None, typer.Option(
        help="Simulate the gates that yosys makes of the Verilog for a family: ecp5, ice40 or xilinx.")] = None,
    html: Html = None, html_data: HtmlData = None, device: ShownDevice = None,
    output: Annotated[Path | None, typer.Option(
        "-o", "--output", help="Folder that keeps the outcome of each run, a job, from which the same command goes on, "
        "and the report of all.")] = None,
    scheduler: Scheduler = None,
) -> None:
    """Compare the hardware with golden and timing model: every spike, class and cycle."""
    from firstspike_sim.compare import to_junit

    from . import api
    from .page.command_line import check_page

    check_page(html, html_data, device)
    if scheduler is not None and output is None:
        raise ValueError("--scheduler must be given with -o FOLDER, which keeps the outcomes of jobs")
    if output is not None:
        _check_campaign(output, html, waves)
    if gates is not None:
        _check_gates(gates, backend, html)
    case = open_verifiable(file)
    program, verilog = case.program, case.verilog
    inputs, labels = load_for(program.network, data, split, limit)
    console = Console()
    if gates is not None:
        verilog = _synthesised(console, case, gates)
    if output is not None:
        facts = {"command": "verify", "network": program.network.name, "program": program.digest(), "data": data,
                 "split": split, "count": len(inputs), "backend": backend, "waits": waits, "gates": gates}
        outcome = _in_jobs(console, replace(case, verilog=verilog), inputs, output, facts, processes, scheduler)
    else:
        with shown_progress(console, f"{len(inputs)} inferences in {backend}") as progress:
            outcome = api.verify(program, inputs, backend=backend, waits=waits, processes=processes,
                                 verilog=verilog, waves=waves, optimise=gates is None, progress=progress)
    show(console, outcome, labels)
    if waves:
        console.print(f"waveform written to {waves}", highlight=False, soft_wrap=True)
    if junit:
        write_atomically(junit, to_junit(outcome.checks, program.network.name))
    if report:
        write_atomically(report, json.dumps(_facts(outcome), indent=1) + "\n")
    if output is not None:
        write_folder(output, {}, record=RECORD, made_by=MADE_BY, facts={**facts, **_facts(outcome)})
        console.print(f"written to {output / RECORD}", highlight=False, soft_wrap=True)
    if html:
        from .page.command_line import commands_of, given

        command = given("verify", file, data, split, limit, html=html, device=device, backend=backend, waits=waits)
        with shown_stage(console, "drawing the page" if outcome.equal else "simulating the divergence for the page"):
            write_verification(
                program, outcome, inputs, labels, html, html_data, verilog=case.text(), command=command,
                commands=commands_of(file, data, split, limit), accuracy=recorded_accuracy(file), split=split,
                device=device, waves=html.with_suffix(".fst") if backend == "verilator" and waits is None else None)
        console.print(f"written to {html}", soft_wrap=True)
    if outcome.dead:
        names = ", ".join(program.network.layers[index].name for index in outcome.dead)
        console.print(f"warning: {names} fires on less than 2 % or more than 70 % of neuron-steps: a weak comparison")
    if not outcome.equal:
        raise ValueError(f"hardware and models differ first at: {outcome.first}")


def _facts(outcome: "Verification") -> dict:
    from firstspike_sim.compare import to_json

    return {"equal": outcome.equal, "first": outcome.first, "alive": outcome.alive, "checks": to_json(outcome.checks)}


def _check_campaign(output: Path, html: Path | None, waves: Path | None) -> None:
    for name, given in (("--html", html), ("--waves", waves)):
        if given is not None:
            raise ValueError(f"{name} must be given without -o, whose jobs leave their spikes behind")
    refuse_foreign(output, [], record=RECORD, made_by=MADE_BY)


def _in_jobs(
    console: Console, case: "Verifiable", inputs: np.ndarray, output: Path, facts: dict, processes: int | None,
    scheduler: str | None,
) -> "Verification":
    """Verify in jobs, which go on from those that ``output`` has."""
    from .campaign import Workers
    from .job_folder import JobFolder, digest_of_input
    from .verify_campaign import VerifyCase, verify_in_jobs

    backend = facts["backend"]
    text = case.text() if backend == "verilator" else None
    folder = JobFolder(output, {**facts, "inputs": digest_of_input(inputs), "verilog": digest_of_input(text)})
    if folder.results():
        console.print(f"going on with {output}", highlight=False, soft_wrap=True)
    workers = Workers(processes=processes or os.cpu_count() or 1, scheduler=scheduler,
                      tools=("verilator",) * (backend == "verilator"))
    with shown_progress(console, f"{len(inputs)} inferences in {backend}") as progress:
        return verify_in_jobs(
            VerifyCase(program=case.program, verilog=text, backend=backend, waits=facts["waits"],
                       optimise=facts["gates"] is None), inputs, folder=folder, workers=workers, progress=progress)


def _check_gates(gates: str, backend: str, html: Path | None) -> None:
    from firstspike_boards.gates import cell_models_of

    cell_models_of(gates)
    if backend != "verilator":
        raise ValueError(f"--gates must be simulated with backend 'verilator', not {shown(backend)}")
    if html is not None:
        raise ValueError("--html must be given without --gates, whose signals have no names to show membranes by")


def _synthesised(console: Console, case: "Verifiable", gates: str) -> str:
    """Return the Verilog of the gates of a family, and print what they are."""
    from firstspike_boards.gates import gates_of

    with shown_stage(console) as stage:
        stage(f"synthesis for {gates}")
        found = gates_of(case.program, case.text(), gates)
    kinds = ", ".join(f"{number} {name}" for name, number in found.cells.most_common())
    console.print(f"cells of {gates}: {kinds}", highlight=False)
    return found.text


def write_verification(
    program: "Program", outcome: "Verification", inputs: np.ndarray, labels: np.ndarray | None, html: Path,
    html_data: Path | None = None, *, verilog: str, command: str, commands: dict[str, str], accuracy: dict[str, float],
    split: str, device: str | None = None, waves: Path | None = None,
) -> None:
    """Write the page of a verification; of a failed one, with the waveform ``waves`` of the first divergence."""
    from firstspike_sim.compare import to_json

    from .page.collect import collect, recorded_of, write_page
    from .page.divergence import divergence_facts
    from .page.run_facts import Runs

    found = collect(
        program, Runs(predictions=outcome.predictions, hardware=outcome.traces), inputs, labels, command=command,
        commands=commands, recorded=recorded_of(accuracy, split), device=device, checks=to_json(outcome.checks),
        first=outcome.first,
        divergence=None if outcome.equal else divergence_facts(program, outcome, inputs, verilog, waves=waves))
    write_page(found, html, html_data)


def show(console: Console, outcome: "Verification", labels: np.ndarray | None) -> None:
    """Print the outcome as a table."""
    from firstspike_sim.compare import QUANTITIES

    from .quantising import labels_of_results

    table = Table("compared", "values", "different")
    for check in outcome.checks:
        table.add_row(QUANTITIES.get(check.name, check.name), str(check.compared), str(check.different),
                      style="red" if check.different else None)
    console.print(table)
    layers = ", ".join(f"{share:.1%}" for share in outcome.alive)
    console.print(f"firing share of neuron-steps, input first: {layers}", highlight=False)
    if labels is not None:
        right = outcome.classes == labels_of_results(labels, outcome.classes)
        console.print(f"accuracy in hardware: {np.mean(right):.2%}", highlight=False)
    mean = f"{np.mean(outcome.intervals):.1f}" if len(outcome.intervals) else "-"
    console.print(f"mean interval {mean} cycles, mean latency in the stream {np.mean(outcome.latency):.1f} cycles, "
                  f"{outcome.cycles} cycles simulated", highlight=False)
