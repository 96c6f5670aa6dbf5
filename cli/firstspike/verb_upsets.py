# SPDX-License-Identifier: MIT
"""firstspike upsets FILE --data DATA -o FOLDER"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .options import Data, JobProcesses, Scheduler, Split, load_for
from .progress import shown_progress, shown_stage
from .tables import print_table
from .verifiable import open_verifiable


def upsets(
    file: Annotated[Path, typer.Argument(
        help="Build folder; or a program (.fsp) or checkpoint, whose Verilog is then exported.")],
    data: Data, split: Split = "test",
    count: Annotated[int, typer.Option(min=1, help="Upsets of each kind of state.")] = 200,
    inferences: Annotated[int, typer.Option(min=2, help="Inferences of a run, back to back.")] = 4,
    runs: Annotated[int, typer.Option(min=1, help="Different runs, of which each upset strikes one.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the upsets.")] = 0,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the JSON file and the picture; a campaign "
                                         "of the same options there goes on.")] = Path("reports"),
    processes: JobProcesses = 1, scheduler: Scheduler = None,
) -> None:
    """Flip bits of weights, membranes and registers during inferences, and count what that changes."""
    from .campaign import Workers
    from .job_folder import JobFolder, digest_of_input
    from .upset_campaign import UpsetCase, machine_of, run_upsets
    from .upset_report import bit_table, check_folder, effect_table, summary, write_report

    check_folder(output)
    opened = open_verifiable(file)
    inputs, _ = load_for(opened.program.network, data, split, inferences * runs)
    console = Console()
    with shown_stage(console) as stage:
        stage("building the simulator")
        case = UpsetCase(program=opened.program, text=opened.text(), inputs=inputs, inferences=inferences, seed=seed)
        limits = machine_of(case).limits
    facts = {"network": case.program.network.name, "program": case.program.digest(), "data": data, "split": split,
             "inferences": inferences, "runs": len(limits), "limits_cycles": limits, "seed": seed}
    folder = JobFolder(output, {"command": "upsets", **facts, "inputs": digest_of_input(inputs),
                                "verilog": digest_of_input(case.text)})
    if folder.results():
        console.print(f"going on with {output}", highlight=False, soft_wrap=True)
    with shown_progress(console, "upsets") as progress:
        outcomes = run_upsets(case, count, folder=folder, progress=progress,
                              workers=Workers(processes=processes, scheduler=scheduler))
    parity = case.program.has_parity
    print_table(console, effect_table(outcomes, parity=parity))
    print_table(console, bit_table(outcomes))
    for sentence in summary(outcomes, parity=parity):
        console.print(sentence, highlight=False)
    written, picture = write_report(output, facts, outcomes)
    console.print(f"written to {written} and {picture.name}", highlight=False, soft_wrap=True)
