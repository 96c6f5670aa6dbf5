# SPDX-License-Identifier: MIT
"""firstspike study NAME -o FOLDER"""

from pathlib import Path
from typing import Annotated

import typer
from firstspike_arch.shown import shown
from rich.console import Console
from rich.progress import track

from .tables import print_table


def study(
    name: Annotated[str, typer.Argument(
        help="ettfs_ablation, ettfs_decoding, diet_learning, latency_loss, surrogate_shapes or parts_in_time")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the JSON file and the picture.")] = Path(
        "reports"),
    seeds: Annotated[int, typer.Option(min=1, help="Train each variant with the seeds 1, 2, … up to this.")] = 2,
    samples: Annotated[int | None, typer.Option(
        min=1, help="Training images; default: the study's own number.")] = None,
    epochs: Annotated[int | None, typer.Option(
        min=1, help="Epochs of training in real numbers; default: the study's own number.")] = None,
) -> None:
    """Train and compare variants of a method: a table, a JSON file and a picture."""
    from .study_report import STUDIES, study_table, write_study

    if name not in STUDIES:
        raise ValueError(f"study must be one of {', '.join(STUDIES)}, not {shown(name)}")
    chosen = STUDIES[name].resized(samples, epochs)
    outcomes = list(track(chosen.run(seeds), description=name, total=len(chosen.variants) * seeds))
    console = Console()
    print_table(console, study_table(chosen, outcomes))
    console.print(f"paper: {chosen.claim}", markup=False)
    for path in write_study(output, chosen, outcomes):
        console.print(f"written to {path}", highlight=False, soft_wrap=True)
