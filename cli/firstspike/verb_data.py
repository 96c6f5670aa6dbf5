# SPDX-License-Identifier: MIT
"""firstspike data NAME"""

import io
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from firstspike_arch.program import write_atomically
from rich.console import Console

from .options import Split
from .progress import shown_progress


def data(
    name: Annotated[str, typer.Argument(
        help="mnist, fashion-mnist, cifar10, cifar100 or tiny-imagenet; with -o: nmnist, dvs-gesture, cifar10-dvs, shd "
        "or glides.")],
    output: Annotated[Path | None, typer.Option(
        "-o", "--output", help="Bin recordings that are already in FIRSTSPIKE_DATA, or made by code (glides), into "
        "this .npz file, instead of fetching.")] = None,
    split: Split = "test",
    steps: Annotated[int, typer.Option(min=1, help="With -o: number of steps of an inference.")] = 10,
    step_us: Annotated[int, typer.Option(min=1, help="With -o: length of a step in µs.")] = 30_000,
    count_max: Annotated[int, typer.Option(
        min=1, max=255, help="With -o: largest number of events of an address in a step; more are dropped.")] = 1,
) -> None:
    """Fetch the official files of a data set into FIRSTSPIKE_DATA, checked by their MD5 sums; or bin recordings."""
    from firstspike_train.official_files import fetch
    from firstspike_train.recordings import load_recordings

    console = Console()
    if output is not None:
        if output.suffix != ".npz":
            raise ValueError(f"--output must be a .npz file, not {output}")
        with console.status(f"reading {name}"):
            counts, labels = load_recordings(name, split, steps, step_us, count_max)
        output.parent.mkdir(parents=True, exist_ok=True)
        packed = io.BytesIO()
        np.savez_compressed(packed, inputs=counts, labels=labels)
        write_atomically(output, packed.getvalue())
        console.print(f"{len(counts)} recordings of {steps} steps written to {output}", highlight=False, soft_wrap=True)
        return
    with shown_progress(console, f"fetching {name}") as progress:
        found = fetch(name, progress)
    for path in found:
        console.print(f"present: {path}", highlight=False, soft_wrap=True)
