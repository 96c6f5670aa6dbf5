# SPDX-License-Identifier: MIT
"""firstspike train RECIPE -o FILE"""

import os
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from .tables import accuracy_table, print_table


def train(
    recipe: Annotated[Path, typer.Argument(help="TOML recipe.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Checkpoint to write.")],
    device: Annotated[str, typer.Option(help="cpu or cuda; torchrun runs several.")] = "cpu",
    curves: Annotated[Path | None, typer.Option(help="Folder for curves that TensorBoard shows.")] = None,
    fresh: Annotated[bool, typer.Option(help="Start anew instead of resuming an interrupted training.")] = False,
    real: Annotated[Path | None, typer.Option(
        help="File for the state after training in real numbers: written if missing, else the start for other bit "
        "widths.")] = None,
    teacher: Annotated[Path | None, typer.Option(
        help="File for the trained network of the recipe's [teacher]: written if missing, else taken instead of a "
        "training.")] = None,
    start: Annotated[Path | None, typer.Option(
        help="File that another training wrote as its --real: the weights begin as there, for another schedule, other "
        "data or a teacher. Or a trained network, whose thresholds become channels or steps.")] = None,
    compiled: Annotated[bool, typer.Option(
        "--compile", help="Fuse the training in real numbers by torch.compile; faster with --mixed.")] = False,
    mixed: Annotated[bool, typer.Option(
        "--mixed", help="Multiply in bfloat16 while training in real numbers; faster on CPUs with AMX. Those without "
        "AVX-512 stay with float32; GPUs always use bfloat16.")] = False,
    threads: Annotated[int, typer.Option(
        min=0, help="CPU threads; 0: one for small networks, as many as torch takes for large ones.")] = 0,
) -> None:
    """Train a network by a recipe."""
    import firstspike_train
    from firstspike_train.inputs import load_inputs
    from firstspike_train.recipe_file import recipe_of

    from . import api
    from .event_counts import SAMPLES

    network = firstspike_train.train(
        recipe, output, resume=not fresh, device=device, curves=curves, real=real, compiled=compiled, mixed=mixed,
        threads=threads, teacher=teacher, start=start)
    if os.environ.get("RANK", "0") != "0":  # of several processes of torchrun, only the first prints
        return
    inputs, _ = load_inputs(recipe_of(network), "validation")
    api.save(api.count_events(network, np.asarray(inputs[:SAMPLES])), output)
    console = Console()
    print_table(console, accuracy_table(network.accuracy, network.readout))
    console.print(f"written to {output}", highlight=False, soft_wrap=True)
