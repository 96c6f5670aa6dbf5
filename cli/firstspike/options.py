# SPDX-License-Identifier: MIT
"""Options that several verbs share, and the data they name."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from firstspike_train.data import load

Network = Annotated[Path, typer.Argument(help="Checkpoint of a trained network.")]
Build = Annotated[Path, typer.Argument(help="Build folder, made by 'firstspike compile'.")]
Data = Annotated[str, typer.Option(help="A data set (digits, mnist, cifar10, …), or a .npy file of inputs.")]
Split = Annotated[str, typer.Option(help="train, validation or test.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only so many, from the first.")]
Backend = Annotated[str, typer.Option(help="verilator or pysim.")]


def load_inputs(data: str, split: str, limit: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Inputs, and their labels if the data have any."""
    if data.endswith(".npy"):
        try:
            inputs = np.load(data, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{data}: must be a .npy file of numbers: {error}") from None
        if not isinstance(inputs, np.ndarray):
            raise ValueError(f"{data}: must be a .npy file with one array, not an archive of several")
        if inputs.ndim < 2 or not inputs.size:
            raise ValueError(f"{data}: must have shape (images, pixels) or (inferences, steps, inputs) and at least "
                             f"one input, not {inputs.shape}")
        return inputs[:limit], None
    images, labels = load(data, split)
    return images[:limit], labels[:limit]
