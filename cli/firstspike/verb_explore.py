# SPDX-License-Identifier: MIT
"""firstspike explore FILE --device NAME --data DATA"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from .options import SAMPLES_OF_BITS, Data, Html, JobProcesses, Network, Scheduler, TrialsFile, load_for
from .progress import shown_progress
from .tables import print_table

if TYPE_CHECKING:
    from .exploring import Trial


def explore(
    network: Network, data: Data,
    device: Annotated[str, typer.Option(help="Device to map to: ecp5-85, artix-35t, …")],
    trials: TrialsFile = Path("explore.journal"),
    count: Annotated[int, typer.Option("--count", min=0, help="Trials to run now; 0: only show those there are.")] = 32,
    processes: JobProcesses = 1, scheduler: Scheduler = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of validation samples for accuracy and energy.")] = (
        SAMPLES_OF_BITS),
    seed: Annotated[int, typer.Option(help="Seed of what is tried.")] = 0,
    html: Html = None,
) -> None:
    """Explore lane budgets, weight bits and early exit: cycles, LUTs, block RAM, accuracy and energy of each.

    Shown are the trials that no other beats in every respect. They are kept in a file, and go on from there with the
    next call; 'firstspike compile FILE --from-trial N' builds one."""
    from .campaign import Workers
    from .exploring import Trials
    from .network_file import load

    if html is not None and (html.is_dir() or not html.parent.is_dir()):
        raise ValueError(f"--html must be a file in a folder that exists, not {html}")
    inputs, labels = load_for(load(network), data, "validation", limit)
    if labels is None:
        raise ValueError(f"{data}: must have labels, as accuracy is one of the aims")
    kept = Trials(trials, network, device=device, data=data, make=True)
    console = Console(highlight=False)
    if count:
        with shown_progress(console, f"{count} trials on {device}") as progress:
            kept.run(count, inputs, labels, seed=seed, progress=progress,
                     workers=Workers(processes=processes, scheduler=scheduler, tools=()))
    front, finished = kept.front(), kept.finished()
    if not finished and kept.refused():
        raise ValueError(f"no trial fits; the first: {kept.refused()[0]}")
    print_table(console, front_table(front))
    console.print(f"beaten by no other: {len(front)} of {len(finished)} trials; {len(kept.refused())} did not fit; "
                  f"kept in {trials}", soft_wrap=True)
    console.print(f"firstspike compile {network} --trials {trials} --from-trial N -o build/", soft_wrap=True)
    if html:
        from firstspike_arch.program import write_atomically

        from .page.explore_page import render_exploration

        write_atomically(html, render_exploration(kept.network.name, device, data, front, finished))
        console.print(f"written to {html}", soft_wrap=True)


def front_table(front: "list[Trial]") -> Table:
    """Make a table of trials."""
    table = Table("trial", "cycles", "LUTs", "block RAMs", "accuracy", "energy, nJ", "elements", "bits", "early exit")
    for one in front:
        measures = one.measures
        table.add_row(str(one.number), f"{measures.interval:,.1f}", f"{measures.luts:,}", str(measures.blocks),
                      f"{measures.accuracy:.2%}", f"{measures.energy_nj:.1f}", str(one.elements),
                      ",".join(map(str, one.weight_bits)), "yes" if one.early_exit else "no")
    return table
