# SPDX-License-Identifier: MIT
"""firstspike pack FILE -o FILE"""

from pathlib import Path
from typing import Annotated

import typer
from firstspike_arch.checkpoint import load_network, save_network
from rich.console import Console


def pack(
    network: Annotated[Path, typer.Argument(help="Checkpoint of a network trained for integers.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Checkpoint to write.")],
) -> None:
    """Write a checkpoint with the weights that the hardware has, each in its few bits; it compiles to the same program.

    What training keeps besides is rounded away, so other bits or scales are better chosen from the original."""
    from firstspike_compiler.round_weights import round_weights

    save_network(output, round_weights(load_network(network)))
    before, now = network.stat().st_size, output.stat().st_size
    Console(highlight=False).print(f"written to {output}: {now:,} bytes, were {before:,}", markup=False, soft_wrap=True)
