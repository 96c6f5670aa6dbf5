# SPDX-License-Identifier: MIT
"""firstspike train RECIPE -o FILE"""

import os
from pathlib import Path
from typing import Annotated

import firstspike_train
import typer
from rich.console import Console


def train(
    recipe: Annotated[Path, typer.Argument(help="TOML recipe.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Checkpoint to write.")],
    device: Annotated[str, typer.Option(help="cpu, or cuda; several by torchrun.")] = "cpu",
    curves: Annotated[Path | None, typer.Option(help="Folder for TensorBoard.")] = None,
    fresh: Annotated[bool, typer.Option(help="Start afresh, even if an interrupted training could go on.")] = False,
    real: Annotated[Path | None, typer.Option(
        help="State between real numbers and integers, to keep or to start from: for other bit widths.")] = None,
    compiled: Annotated[bool, typer.Option(
        "--compile", help="Let torch.compile fuse the training of real numbers: faster with --mixed.")] = False,
    mixed: Annotated[bool, typer.Option(
        "--mixed", help="Multiply real numbers in bfloat16: faster where the processor can. GPUs always do.")] = False,
    threads: Annotated[int, typer.Option(
        min=0, help="Of the CPU; 0: one for small networks, all that torch takes for large ones.")] = 0,
) -> None:
    """Train a network by a recipe."""
    network = firstspike_train.train(
        recipe, output, resume=not fresh, device=device, curves=curves, real=real, compiled=compiled, mixed=mixed,
        threads=threads)
    if os.environ.get("RANK", "0") != "0":  # of several processes of torchrun, the first one speaks
        return
    for split, accuracy in network.accuracy.items():
        Console().print(f"{split}: {accuracy:.2%}")
    Console().print(f"written to {output}")
